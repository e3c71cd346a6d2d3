package server

import (
	"net/http"

	"keyshield/internal/ledger"
	"keyshield/internal/limit"
	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// usageMe says what the caller has used, and what is left. Amounts are dollars, as
// decimal strings: a float would not add up.
func (s *Server) usageMe(w http.ResponseWriter, r *http.Request) error {
	scope, t := scopeOf(r), s.tierOf(r)
	standing, err := s.ledger.Standing(r.Context(), userOf(scope))
	if err != nil {
		return err
	}
	answer := usageAnswer{
		Plan:     t.plan.Name,
		Requests: requestsOf(t.users.Look(scope.Caller.Pseudonym)),
		Day:      windowOf(standing.UserDay, t.plan.UserDay),
		Month:    windowOf(standing.UserMonth, t.plan.UserMonth),
	}
	return writeJSON(w, answer)
}

type usageAnswer struct {
	Plan     string         `json:"plan"`
	Requests *requestsUsage `json:"requests"` // null where there is no limit
	Day      windowUsage    `json:"day"`
	Month    windowUsage    `json:"month"`
}

type requestsUsage struct {
	Limit     int `json:"limit"`
	Remaining int `json:"remaining"`
	Reset     int `json:"reset"` // seconds
}

// windowUsage is one user's account. Used is spent, charged at the ceiling and
// held together.
type windowUsage struct {
	Window           string  `json:"window"` // "2026-11-21", "2026-11": UTC
	Requests         int64   `json:"requests"`
	InputTokens      int64   `json:"input_tokens"`
	OutputTokens     int64   `json:"output_tokens"`
	Used             string  `json:"used"`
	Spent            string  `json:"spent"`
	ChargedAtCeiling string  `json:"charged_at_ceiling"` // calls whose cost nobody proved
	Held             string  `json:"held"`               // calls under way
	Cap              *string `json:"cap"`                // null where there is none
	Left             *string `json:"left"`
}

func requestsOf(d limit.Decision) *requestsUsage {
	if d.Limit == 0 {
		return nil
	}
	return &requestsUsage{Limit: d.Limit, Remaining: d.Remaining, Reset: wholeSeconds(d.Reset)}
}

func windowOf(b ledger.Balance, most money.USD) windowUsage {
	u := windowUsage{
		Window:           b.Window.String(),
		Requests:         b.Requests,
		InputTokens:      b.Input,
		OutputTokens:     b.Output,
		Used:             decimal(b.Used),
		Spent:            decimal(b.Cost),
		ChargedAtCeiling: decimal(b.AtCeiling),
		Held:             decimal(b.Open),
	}
	if most != policy.NoCap {
		limit, left := decimal(most), decimal(max(0, most-b.Used))
		u.Cap, u.Left = &limit, &left
	}
	return u
}
