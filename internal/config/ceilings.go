package config

import (
	"fmt"
	"strings"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// need is what a kind of request is charged.
type need struct {
	what string // in words, after "is less than "
	cost money.USD
	must bool   // a budget below it is no budget; else it keeps some requests out
	then string // what comes of a budget below it
}

// checkCeilings compares budgets with what one request is charged: a budget below
// it lets nobody ask, and that would look like an outage.
func (l *Loaded) checkCeilings(environments policy.Plan, names []string, now time.Time) {
	for _, name := range []string{
		"OPENAI_MODEL", "OPENAI_BASE_URL", "PRICE_MULTIPLIER", "SYSTEM_PROMPT", "TEMPERATURE", "MAX_OUTPUT_TOKENS", "MAX_PROMPT_CHARS", "MAX_BODY",
		"ENDPOINTS", "MODELS", "MAX_OUTPUT_TOKENS_V1", "SYSTEM_PROMPT_V1",
		"BUDGET_MONTH", "BUDGET_DAY", "BUDGET_USER_DAY", "BUDGET_USER_MONTH",
	} {
		if !l.sound(name) {
			return
		}
	}
	c := l.Config.Money
	needs, ok := l.needs(environments, "the", now, func(name, text string) { l.problem(name, text, name+"=gpt-6-luna") })
	if !ok {
		return
	}
	for _, b := range []struct {
		name   string
		budget Budget
	}{
		{"BUDGET_MONTH", c.BudgetMonth}, {"BUDGET_DAY", c.BudgetDay}, {"BUDGET_USER_DAY", c.BudgetUserDay}, {"BUDGET_USER_MONTH", c.BudgetUserMonth},
	} {
		missing, dearest := unmet(needs, money.USD(b.budget))
		for _, n := range missing {
			text := fmt.Sprintf("%s (%s) is less than %s can cost (%s), so that %s", b.name, b.budget, n.what, n.cost, n.then)
			if n.must {
				l.problem(b.name, text, b.name+"="+cents(dearest))
				break
			}
			l.warn(fmt.Sprintf("%s. To let any through: %s=%s", text, b.name, cents(n.cost)))
		}
	}
	for _, name := range names {
		l.checkPlan(l.Config.Plans.For(name), now)
	}
}

// checkPlan is the same for a plan of PLANS_FILE.
func (l *Loaded) checkPlan(p policy.Plan, now time.Time) {
	if p.MayUse(policy.TextEndpoint) {
		if p.TextModel == "" {
			l.warn(fmt.Sprintf("PLANS_FILE: plan %q has the endpoint %q, but not the model that answers there (OPENAI_MODEL is %s): its users are refused.", p.Name, policy.TextEndpoint, l.Config.Text.Model))
		} else {
			l.checkRoom(fmt.Sprintf("prompt_chars of plan %q in PLANS_FILE", p.Name), p.PromptChars)
		}
	}
	for _, kind := range kindsOf(p.Endpoints) {
		if !l.serves(p.Models, kind) {
			l.warn(fmt.Sprintf("PLANS_FILE: plan %q has the endpoint %q, but no model with a price for it: its users are refused.", p.Name, kind))
		}
	}
	needs, ok := l.needs(p, "its", now, func(_, text string) { l.problem("PLANS_FILE", fmt.Sprintf("plan %q: %s", p.Name, text), "") })
	if !ok {
		return
	}
	for _, b := range []struct {
		member string
		budget money.USD
	}{{"budget_day", p.UserDay}, {"budget_month", p.UserMonth}} {
		missing, _ := unmet(needs, b.budget)
		for _, n := range missing {
			text := fmt.Sprintf("plan %q: %s (%s) is less than %s can cost (%s), so that %s", p.Name, b.member, b.budget, n.what, n.cost, n.then)
			if n.must {
				l.problem("PLANS_FILE", text, "")
				break
			}
			l.warn("PLANS_FILE: " + text + ".")
		}
	}
}

// unmet finds the needs that a budget does not meet, those that must be met first;
// and the dearest of all, which meets every one.
func unmet(needs []need, budget money.USD) (missing []need, dearest money.USD) {
	var rest []need
	for _, n := range needs {
		dearest = max(dearest, n.cost)
		switch {
		case budget >= n.cost:
		case n.must:
			missing = append(missing, n)
		default:
			rest = append(rest, n)
		}
	}
	return append(missing, rest...), dearest
}

// needs are what a plan's requests are charged. It is false when that has no bound,
// and unbounded was told why, and by which setting.
func (l *Loaded) needs(p policy.Plan, whose string, now time.Time, unbounded func(name, text string)) ([]need, bool) {
	const why = "what a request can cost is not bounded: "
	var all []need
	if p.MayUse(policy.TextEndpoint) && p.TextModel != "" {
		least, most, err := l.ceilings(p, now)
		if err != nil {
			unbounded("OPENAI_MODEL", why+err.Error())
			return nil, false
		}
		all = append(all,
			need{whose + " shortest prompt", least, true, "nobody could ask anything"},
			need{whose + " longest prompt", most, false, "such prompts are always refused"})
	}
	onV1, err := l.needsV1(p, now)
	if err != nil {
		unbounded("MODELS", why+err.Error())
		return nil, false
	}
	return append(all, onV1...), true
}

// ceilings are what a plan's shortest and longest prompt are charged.
func (l *Loaded) ceilings(p policy.Plan, now time.Time) (least, most money.USD, err error) {
	c := l.Config
	text, err := policy.NewText(policy.TextSettings{
		Model: c.Text.Model, SystemPrompt: c.Text.SystemPrompt, MaxOutputTokens: p.OutputTokens,
		Temperature: c.Text.Temperature, ReasoningEffort: c.Text.ReasoningEffort,
	})
	if err != nil {
		return 0, 0, err
	}
	bounds := policy.Bounds{BodyBytes: len(text.Append(nil, "x", pseudonym, false)), OutputLimit: int64(p.OutputTokens)}
	least, err = c.Prices.Ceiling(c.Text.Model, policy.Chat, bounds, c.Multiplier, now)
	if err != nil {
		return 0, 0, err
	}
	// What comes in encoded within MAX_BODY goes out encoded no longer.
	bounds.BodyBytes = len(text.Append(nil, "", pseudonym, true)) + min(longestChar*p.PromptChars, int(c.Server.MaxBody))
	most, err = c.Prices.Ceiling(c.Text.Model, policy.Chat, bounds, c.Multiplier, now)
	return least, most, err
}

// pseudonym is as long as the one that every request carries: a SHA-256 in base64.
const pseudonym = "0123456789012345678901234567890123456789012"

// cents is an amount rounded up, as it is written for a budget.
func cents(a money.USD) string {
	const cent = money.Dollar / 100
	return strings.TrimPrefix(((a + cent - 1) / cent * cent).String(), "$")
}
