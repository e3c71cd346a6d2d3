package server

import (
	"net/http"
	"sync"

	"keyshield/internal/apierr"
	"keyshield/internal/limit"
	"keyshield/internal/policy"
	"keyshield/internal/prompt"
	"keyshield/internal/upstream"
)

// tier is a plan with all that works for it: built once for each plan, since the
// counts of a limit and an encoded request belong to it.
type tier struct {
	plan  policy.Plan
	users *limit.Limiter
	slots *limit.Slots
	rules prompt.Rules
	text  *policy.Text
	err   error // why there is no text
}

// tiers are those that have been asked for; there are never more than plans.
type tiers struct {
	mu     sync.RWMutex
	byName map[string]*tier
}

// tierOf is the caller's.
func (s *Server) tierOf(r *http.Request) *tier {
	plan := s.cfg.Plans.For(scopeOf(r).Caller.Plan)
	s.tiers.mu.RLock()
	t := s.tiers.byName[plan.Name]
	s.tiers.mu.RUnlock()
	if t != nil {
		return t
	}
	s.tiers.mu.Lock()
	defer s.tiers.mu.Unlock()
	if t = s.tiers.byName[plan.Name]; t == nil {
		t = s.newTier(plan)
		s.tiers.byName[plan.Name] = t
	}
	return t
}

func (s *Server) newTier(plan policy.Plan) *tier {
	settings := s.cfg.Text
	settings.MaxOutputTokens = plan.OutputTokens
	t := &tier{
		plan:  plan,
		users: limit.New(limit.Rate(plan.Requests), tableSize),
		slots: limit.NewSlots(plan.Streams, tableSize),
		rules: prompt.Rules{MaxChars: plan.PromptChars, StripHTML: s.cfg.StripHTML},
	}
	t.text, t.err = policy.NewText(settings)
	return t
}

// admitWords says whether the plan has an endpoint that takes words alone, and the
// operator's model behind it.
func (t *tier) admitWords(endpoint, model string) error {
	switch {
	case t.err != nil:
		return t.err
	case !t.plan.MayUse(endpoint):
		return policy.ErrEndpoint()
	case t.plan.TextModel != model:
		return apierr.New(http.StatusForbidden, "model_not_allowed", "Your plan does not include this model.")
	}
	return nil
}

// textQuestion is the text API's question.
func (s *Server) textQuestion(r *http.Request, t *tier, prompt string, form form) *question {
	return &question{
		Question: upstream.Question{
			To:     upstream.Chat,
			Body:   t.text.Append(nil, prompt, scopeOf(r).Caller.Pseudonym, form.streams()),
			Stream: form.streams(),
		},
		kind:  policy.Chat,
		model: s.cfg.Text.Model,
		limit: int64(t.plan.OutputTokens),
	}
}
