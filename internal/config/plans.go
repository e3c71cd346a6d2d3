package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"keyshield/internal/limit"
	"keyshield/internal/money"
	"keyshield/internal/policy"
)

func (l *Loaded) readPrices(dir string) {
	l.Config.Prices = policy.Reviewed()
	path := l.Config.Money.PricesFile
	if data, ok := l.operatorsFile("PRICES_FILE", path, dir); ok {
		table, problems := policy.ParsePrices(data)
		l.fileProblems("PRICES_FILE", path, problems)
		if len(problems) == 0 {
			l.Config.Prices = table
		}
	}
	l.note("PRICES_FILE", "prices "+l.Config.Prices.Version())
}

// environmentsPlan is what everyone may do who is on no plan of PLANS_FILE.
func (l *Loaded) environmentsPlan() policy.Plan {
	c := l.Config
	plan := policy.Plan{
		Name:      policy.DefaultName,
		Requests:  policy.Rate(c.Limits.RateUser),
		Streams:   int(c.Limits.MaxStreamsPerUser), // off is policy.Unlimited too
		Endpoints: c.Server.Endpoints,
		UserDay:   money.USD(c.Money.BudgetUserDay),
		UserMonth: money.USD(c.Money.BudgetUserMonth),

		TextModel:    c.Text.Model,
		PromptChars:  c.Text.MaxPromptChars,
		OutputTokens: c.Text.MaxOutputTokens,

		Models:         c.V1.Models,
		OutputTokensV1: c.V1.MaxOutputTokensV1,
		SystemMessages: true,
	}
	return plan.WithFree(c.Prices)
}

// readPlans reads PLANS_FILE and returns the names of the plans in it.
func (l *Loaded) readPlans(standard policy.Plan, dir string) []string {
	path := l.Config.Money.PlansFile
	data, ok := l.operatorsFile("PLANS_FILE", path, dir)
	if !ok {
		return nil
	}
	plans, problems := policy.ParsePlans(data, policy.Defaults{
		Plan:        standard,
		Prices:      l.Config.Prices,
		LeastOutput: l.leastOutput(),
		ParseRate: func(text string) (policy.Rate, error) {
			var r limit.Rate
			err := r.UnmarshalText([]byte(text))
			return policy.Rate(r), err
		},
	})
	l.fileProblems("PLANS_FILE", path, problems)
	if len(problems) > 0 {
		return nil
	}
	l.Config.Plans = plans
	var file map[string]json.RawMessage
	if json.Unmarshal(data, &file) != nil {
		panic("config: PLANS_FILE was read and cannot be")
	}
	names := slices.Sorted(maps.Keys(file))
	l.note("PLANS_FILE", strings.Join(names, ", "))
	return names
}

// operatorsFile reads a file with prices or plans.
func (l *Loaded) operatorsFile(name, path, dir string) (data []byte, ok bool) {
	if path == "" {
		return nil, false
	}
	shown := quote(path)
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	data, err := readBounded(path)
	if err != nil {
		l.problem(name, fmt.Sprintf("the file %s %v", shown, err), name+"=<a file that this user can read>")
	}
	return data, err == nil
}

// fileProblems reports what is wrong with a file. Each text names the place in it
// and says what is right, so there is no line to add.
func (l *Loaded) fileProblems(name, path string, problems []error) {
	for _, err := range problems {
		text := strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return ' ' // a file's text must not write to the terminal
		}, err.Error())
		if secretive(text) {
			text = "something is wrong beside what looks like a secret, which is not shown and does not belong there"
		}
		l.problem(name, quote(path)+": "+text, "")
	}
}
