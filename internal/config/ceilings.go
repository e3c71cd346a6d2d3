package config

import (
	"fmt"
	"strings"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// checkCeilings compares budgets with what one request is charged: a budget below
// it lets nobody ask, and that would look like an outage.
func (l *Loaded) checkCeilings(environments policy.Plan, names []string, now time.Time) {
	for _, name := range []string{
		"OPENAI_MODEL", "OPENAI_BASE_URL", "PRICE_MULTIPLIER", "SYSTEM_PROMPT", "TEMPERATURE", "MAX_OUTPUT_TOKENS", "MAX_PROMPT_CHARS", "MAX_BODY",
		"BUDGET_MONTH", "BUDGET_DAY", "BUDGET_USER_DAY", "BUDGET_USER_MONTH",
	} {
		if !l.sound(name) {
			return
		}
	}
	c := l.Config.Money
	least, most, err := l.ceilings(environments, now)
	if err != nil {
		l.problem("OPENAI_MODEL", "what a request can cost is not bounded: "+err.Error(), "OPENAI_MODEL=gpt-6-luna")
		return
	}
	for _, b := range []struct {
		name   string
		budget Budget
	}{
		{"BUDGET_MONTH", c.BudgetMonth}, {"BUDGET_DAY", c.BudgetDay}, {"BUDGET_USER_DAY", c.BudgetUserDay}, {"BUDGET_USER_MONTH", c.BudgetUserMonth},
	} {
		switch budget := money.USD(b.budget); {
		case budget < least:
			l.problem(b.name, fmt.Sprintf("%s (%s) is less than the shortest prompt can cost (%s), so that nobody could ask anything", b.name, budget, least), b.name+"="+cents(most))
		case budget < most:
			l.warn(fmt.Sprintf("%s (%s) is less than the longest prompt can cost (%s), so that such prompts are always refused. To let any through: %s=%s", b.name, budget, most, b.name, cents(most)))
		}
	}
	for _, name := range names {
		l.checkPlan(l.Config.Plans.For(name), now)
	}
}

// checkPlan is the same for a plan of PLANS_FILE.
func (l *Loaded) checkPlan(p policy.Plan, now time.Time) {
	if !p.MayUse(textEndpoint) {
		return
	}
	if model := l.Config.Text.Model; !p.MayAsk(model) {
		l.warn(fmt.Sprintf("PLANS_FILE: plan %q has the endpoint %q, but not the model that answers there (OPENAI_MODEL is %s): its users are refused.", p.Name, textEndpoint, model))
		return
	}
	l.checkRoom(fmt.Sprintf("prompt_chars of plan %q in PLANS_FILE", p.Name), p.PromptChars)
	least, most, err := l.ceilings(p, now)
	if err != nil {
		l.problem("PLANS_FILE", fmt.Sprintf("plan %q: what a request can cost is not bounded: %v", p.Name, err), "")
		return
	}
	for _, b := range []struct {
		member string
		budget money.USD
	}{{"budget_day", p.UserDay}, {"budget_month", p.UserMonth}} {
		switch {
		case b.budget < least:
			l.problem("PLANS_FILE", fmt.Sprintf("plan %q: %s (%s) is less than its shortest prompt can cost (%s), so that nobody on it could ask anything", p.Name, b.member, b.budget, least), "")
		case b.budget < most:
			l.warn(fmt.Sprintf("PLANS_FILE: plan %q: %s (%s) is less than its longest prompt can cost (%s), so that such prompts are always refused.", p.Name, b.member, b.budget, most))
		}
	}
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
