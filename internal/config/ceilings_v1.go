package config

import (
	"fmt"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// needsV1 are what short requests to a plan's models are charged: those for text
// with the plan's whole output limit, which is what a client gets that names none.
// The cheapest must be affordable; a dearer one may be there for few.
//
// There is no longest request to look at, as the text API has: with schemas that
// count four times, MAX_BODY_V1 would be beyond most budgets, and such requests are
// rare.
func (l *Loaded) needsV1(p policy.Plan, now time.Time) ([]need, error) {
	limit := fmt.Sprintf(" on /v1 with %d tokens of output", p.OutputTokensV1)
	var all []need
	for _, group := range []struct {
		kinds []policy.Kind
		with  string
		none  string // what comes of it when nothing can be paid
		some  string // and when that one cannot
	}{
		{[]policy.Kind{policy.Chat, policy.Responses}, limit, "nobody could ask anything there without a smaller limit of their own", "such requests are refused unless they set a smaller limit"},
		{[]policy.Kind{policy.Embeddings}, "", "nobody could ask for embeddings", "such requests are always refused"},
		{[]policy.Kind{policy.Moderations}, "", "nobody could ask for moderations", "such requests are always refused"},
	} {
		var of []need
		cheapest := 0
		for _, model := range p.Models {
			cost, asked, err := l.shortest(p, model, group.kinds, now)
			if err != nil {
				return nil, err
			}
			if !asked {
				continue
			}
			of = append(of, need{what: "a short request to " + model + group.with, cost: cost, then: group.some})
			if cost < of[cheapest].cost {
				cheapest = len(of) - 1
			}
		}
		if len(of) > 0 {
			of[cheapest].must, of[cheapest].then = true, group.none
		}
		all = append(all, of...)
	}
	return all, nil
}

// shortest is what the shortest request to a model is charged, on the dearest of
// kinds; asked is false when the plan opens none of them for it.
func (l *Loaded) shortest(p policy.Plan, model string, kinds []policy.Kind, now time.Time) (cost money.USD, asked bool, err error) {
	c := l.Config
	for _, kind := range kinds {
		if !p.MayUse(string(kind)) || !c.Prices.Knows(model, kind) {
			continue
		}
		bounds := policy.Bounds{BodyBytes: len(fmt.Sprintf(`{"model":%q,"input":"x"}`, model))}
		if kind == policy.Chat || kind == policy.Responses {
			text, err := policy.NewText(policy.TextSettings{Model: model, SystemPrompt: c.V1.SystemPromptV1, MaxOutputTokens: p.OutputTokensV1})
			if err != nil {
				return 0, false, err
			}
			bounds = policy.Bounds{BodyBytes: len(text.Append(nil, "x", pseudonym, false)), OutputLimit: int64(p.OutputTokensV1)}
		}
		ceiling, err := c.Prices.Ceiling(model, kind, bounds, c.Multiplier, now)
		if err != nil {
			return 0, false, err
		}
		cost, asked = max(cost, ceiling), true
	}
	return cost, asked, nil
}
