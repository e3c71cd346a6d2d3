package metrics

import (
	"time"

	"keyshield/internal/money"
)

// Seen is one request that is over.
type Seen struct {
	Route   string // the pattern that matched; "" or an unknown one counts as "other"
	Status  int    // 0 when nobody was there to read one
	Outcome string
	Code    string // why there was no whole answer; "" when there was

	Model           string    // "" when none was asked
	Tokens                    // zero when nobody proved them
	Cost, AtCeiling money.USD // at most one of them is positive

	Took       time.Duration
	FirstToken time.Duration // since the request began; 0 when none came
	Upstream   time.Duration // spent waiting for OpenAI; 0 when it was not asked
	Stream     bool
}

// Tokens are counted as OpenAI bills them: Cached is a part of Input, Reasoning a
// part of Output.
type Tokens struct{ Input, Cached, Output, Reasoning int64 }

// The outcomes, as the audit log names them.
const (
	OK         = "ok"
	Refused    = "refused"     // by us, for the caller's sake or for ours
	Failed     = "failed"      // OpenAI's fault or ours
	ClientGone = "client_gone" // they did not wait for the end
)

// Request counts s. It is on the way of every request: no lock, no allocation, no
// label looked up twice.
func (m *Metrics) Request(s Seen) {
	route := m.routes[s.Route]
	m.requests.at(route, classOf(s.Status), outcomeOf(s.Outcome)).Inc()
	m.took[route].Observe(max(0, s.Took).Seconds())
	if s.Stream && s.FirstToken > 0 {
		m.firstToken.Observe(s.FirstToken.Seconds())
	}
	if s.Upstream > 0 {
		m.added.Observe(max(0, s.Took-s.Upstream).Seconds())
	}
	if s.Code != "" && (s.Outcome == Refused || s.Outcome == Failed) {
		pick(m.refusals, s.Code).Inc()
	}
	if s.Model != "" {
		pick(m.models, s.Model).count(&s)
	}
}

// modelSeries are one model's counters. The kinds of tokens do not overlap, so
// that their sum is the number of tokens.
type modelSeries struct {
	fresh, cached, visible, reasoning counter
	proven, ceiling                   counter
}

func (m *modelSeries) count(s *Seen) {
	m.fresh.add(s.Input - s.Cached)
	m.cached.add(s.Cached)
	m.visible.add(s.Output - s.Reasoning)
	m.reasoning.add(s.Reasoning)
	m.proven.spend(s.Cost)
	m.ceiling.spend(s.AtCeiling)
}

func dollars(a money.USD) float64 { return float64(a) / float64(money.Dollar) }
