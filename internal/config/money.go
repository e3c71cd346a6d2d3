package config

import (
	"fmt"
	"net/url"
	"time"

	"keyshield/internal/policy"
)

// dayOf is which part of the month's budget a day gets that was given none: a bad
// day is then noticed with most of the month left.
const dayOf = 5

// checkMoney works out what may be spent, at what prices and by whom, and refuses
// what cannot be bounded.
func (l *Loaded) checkMoney(dir string, now time.Time) {
	l.checkBudgets()
	l.checkMultiplier()
	l.checkHangup()
	l.readPrices(dir)
	l.fillModels()
	plan := l.environmentsPlan()
	l.Config.Plans = policy.NewPlans(plan)
	if !l.sound("PRICES_FILE") {
		return // what has a price is not known, and all that would follow from that
	}
	l.checkPriced()
	l.checkModels(plan, now)
	names := l.readPlans(plan, dir)
	l.checkCeilings(plan, names, now)
}

func (l *Loaded) checkBudgets() {
	c := &l.Config.Money
	if c.BudgetUserMonth == 0 && l.sound("BUDGET_USER_MONTH") {
		c.BudgetUserMonth = Budget(policy.NoCap)
		l.note("BUDGET_USER_MONTH", "as much as all together")
	}
	if !l.sound("BUDGET_MONTH") || !l.sound("BUDGET_DAY") {
		return
	}
	if c.BudgetDay == 0 && c.BudgetMonth.Off() {
		l.problem("BUDGET_DAY", "BUDGET_DAY is missing: it would be a part of BUDGET_MONTH, which is off. Say what a day may cost, or off", "BUDGET_DAY=5")
		return
	}
	if c.BudgetDay == 0 {
		c.BudgetDay = max(c.BudgetMonth/dayOf, 1)
		l.note("BUDGET_DAY", "a fifth of BUDGET_MONTH")
	}
	switch {
	case c.BudgetMonth.Off() && c.BudgetDay.Off():
		l.warn("BUDGET_MONTH and BUDGET_DAY are off: NOTHING HERE LIMITS WHAT OPENAI MAY BILL. One script with one user's token can spend without end.")
	case c.BudgetMonth.Off():
		l.warn(fmt.Sprintf("BUDGET_MONTH is off: NOTHING HERE LIMITS WHAT OPENAI MAY BILL IN A MONTH, only in a day (%s).", c.BudgetDay))
	case c.BudgetDay.Off():
		l.warn(fmt.Sprintf("BUDGET_DAY is off: a single day can spend the whole budget of the month (%s).", c.BudgetMonth))
	case c.BudgetDay > c.BudgetMonth:
		l.warn(fmt.Sprintf("BUDGET_DAY (%s) is more than BUDGET_MONTH (%s), which ends first.", c.BudgetDay, c.BudgetMonth))
	}
	l.checkUserBudgets()
}

func (l *Loaded) checkUserBudgets() {
	c := &l.Config.Money
	if !l.sound("BUDGET_USER_DAY") || !l.sound("BUDGET_USER_MONTH") {
		return
	}
	switch {
	case c.BudgetUserDay.Off() && c.BudgetUserMonth.Off():
		l.warn("BUDGET_USER_DAY is off: one user can spend what all together may.")
	case c.BudgetUserDay > c.BudgetDay && !c.BudgetUserDay.Off():
		l.warn(fmt.Sprintf("BUDGET_USER_DAY (%s) is more than BUDGET_DAY (%s): one user can use up everyone's day.", c.BudgetUserDay, c.BudgetDay))
	}
	if c.BudgetUserMonth.Off() {
		return
	}
	if c.BudgetUserMonth > c.BudgetMonth {
		l.warn(fmt.Sprintf("BUDGET_USER_MONTH (%s) is more than BUDGET_MONTH (%s): one user can use up everyone's month.", c.BudgetUserMonth, c.BudgetMonth))
	}
	if c.BudgetUserDay > c.BudgetUserMonth && !c.BudgetUserDay.Off() {
		l.warn(fmt.Sprintf("BUDGET_USER_DAY (%s) is more than BUDGET_USER_MONTH (%s), which ends first.", c.BudgetUserDay, c.BudgetUserMonth))
	}
}

// checkMultiplier: what another host charges nobody knows here, and a guess would
// be every ceiling's mistake.
func (l *Loaded) checkMultiplier() {
	c := &l.Config.Money
	if !l.sound("PRICE_MULTIPLIER") || !l.sound("OPENAI_BASE_URL") {
		return
	}
	host := ""
	if u, err := url.Parse(l.Config.OpenAI.BaseURL); err == nil {
		host = u.Hostname()
	}
	byHost, known := policy.MultiplierFor(host)
	switch {
	case c.PriceMultiplier == 0 && !known:
		l.problem("PRICE_MULTIPLIER", fmt.Sprintf("PRICE_MULTIPLIER is missing: what %s charges is not known here. Say by how much it is dearer than api.openai.com, 1 if it is not", quote(host)), "PRICE_MULTIPLIER=1")
	case c.PriceMultiplier == 0:
		c.PriceMultiplier = byHost
		l.note("PRICE_MULTIPLIER", "by the host of OPENAI_BASE_URL")
	case c.PriceMultiplier < byHost:
		l.warn(fmt.Sprintf("PRICE_MULTIPLIER=%s is less than what OpenAI says of the host of OPENAI_BASE_URL (%s): if OpenAI is right, budgets are passed.", c.PriceMultiplier, byHost))
	}
	l.Config.Multiplier = c.PriceMultiplier
}

func (l *Loaded) checkHangup() {
	if l.Config.Money.Hangup == "cancel" && l.Sources["DRAIN_TOKENS"] != FromDefault {
		l.warn("DRAIN_TOKENS has no effect without HANGUP=drain.")
	}
}

// checkPriced refuses a model whose cost nobody has reviewed.
func (l *Loaded) checkPriced() {
	model := l.Config.Text.Model
	if l.sound("OPENAI_MODEL") && !l.Config.Prices.Knows(model, policy.Chat) {
		l.problem("OPENAI_MODEL", fmt.Sprintf("OPENAI_MODEL %s has no reviewed price, so that no budget could hold: name another model, or its exact id, or give it a price in PRICES_FILE", model),
			"OPENAI_MODEL=gpt-6-luna, or PRICES_FILE=<a file with its price>")
	}
}
