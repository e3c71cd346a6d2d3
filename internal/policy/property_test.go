package policy_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"keyshield/internal/policy"
	"keyshield/internal/wire"
)

// anyPrices is a table with a model m, an alias of two snapshots, with or without
// a long context and the prices that may be left out. It returns m's own prices.
func anyPrices(t *rapid.T) (*policy.Table, map[string]map[string]string) {
	price := func(least int64) int64 { return rapid.Int64Range(least, least+1_000_000).Draw(t, "price") }
	write := func(n int64) string { return fmt.Sprintf("%d.%05d", n/100_000, n%100_000) }
	all := map[string]map[string]string{}
	models := ""
	for _, id := range []string{"m", "m-2026-01-01", "m-0613"} {
		p := map[string]string{}
		entry, long := `"kind": ["chat"]`, ""
		longer := rapid.Bool().Draw(t, "long")
		if longer {
			p["from"] = strconv.FormatInt(rapid.Int64Range(1, 5000).Draw(t, "from"), 10)
			long = `"from": ` + p["from"]
		}
		input := price(1)
		for _, name := range []string{"input", "cached", "written", "output"} {
			n := price(1)
			switch {
			case name == "input":
				n = input
			case name == "cached":
				n = rapid.Int64Range(1, input).Draw(t, "cached")
				fallthrough
			case name == "written":
				if rapid.Bool().Draw(t, "without "+name) {
					continue
				}
			}
			p[name] = write(n)
			entry += fmt.Sprintf(`, %q: %s`, name, p[name])
			if longer {
				p["long "+name] = write(price(n))
				long += fmt.Sprintf(`, %q: %q`, name, p["long "+name])
			}
		}
		if longer {
			entry += `, "long": {` + long + `}`
		}
		if models != "" {
			models += ", "
		}
		models += fmt.Sprintf(`%q: {%s}`, id, entry)
		all[id] = p
	}
	prices, problems := policy.ParsePrices([]byte(`{"version": "x", "models": {` + models + `}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	return prices, all
}

type request struct {
	model string
	b     policy.Bounds
	by    policy.Multiplier
}

func anyRequest(t *rapid.T) request {
	r := request{model: rapid.SampledFrom([]string{"m", "m", "m-2026-01-01", "gpt-4o", "gpt-6-luna", "gpt-5.6-sol", "o3"}).Draw(t, "model")}
	r.b.BodyBytes = rapid.IntRange(0, 6000).Draw(t, "body")
	if rapid.Bool().Draw(t, "huge") {
		r.b.BodyBytes += 270_000
	}
	r.b.SchemaBytes = rapid.IntRange(0, r.b.BodyBytes).Draw(t, "schema")
	r.b.OutputLimit = rapid.Int64Range(1, 100_000).Draw(t, "output")
	r.b.Tier = rapid.SampledFrom([]string{"", "default", "flex", "priority", "fast", "auto"}).Draw(t, "tier")
	r.by = policy.Multiplier(rapid.Int64Range(1000, 3000).Draw(t, "multiplier"))
	return r
}

func (r request) tokens() int64 {
	n := r.b.BodyBytes + 256
	if r.b.SchemaBytes > 0 {
		n += 3*r.b.SchemaBytes + 1024
	}
	return int64(n)
}

// anyAnswer is one within the bounds of r, and in its tier or a cheaper one.
func (r request) anyAnswer(t *rapid.T) policy.Answer {
	var a policy.Answer
	u := &a.Usage
	u.Prompt = rapid.OneOf(rapid.Just(r.tokens()), rapid.Int64Range(1, r.tokens())).Draw(t, "prompt")
	u.Cached = rapid.Int64Range(0, u.Prompt).Draw(t, "cached")
	u.CacheWrite = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, u.Prompt-u.Cached)).Draw(t, "written")
	u.Completion = rapid.OneOf(rapid.Just(r.b.OutputLimit+16), rapid.Int64Range(0, r.b.OutputLimit+16)).Draw(t, "completion")
	a.WritesUntold = rapid.Bool().Draw(t, "untold")
	names := []string{"", r.model, r.model + "-2030-01-01"}
	if r.model == "m" {
		names = append(names, "m-2026-01-01", "m-0613")
	}
	a.Model = rapid.SampledFrom(names).Draw(t, "answered")
	tiers := []string{"", "default", "flex"}
	if r.b.Tier != "" && r.b.Tier != "default" && r.b.Tier != "flex" {
		tiers = append(tiers, "priority", "fast")
	}
	a.Tier = rapid.SampledFrom(tiers).Draw(t, "served")
	return a
}

// TestNoAnswerWithinItsBoundsCostsMoreThanTheCeiling is the property that the cap
// stands on.
func TestNoAnswerWithinItsBoundsCostsMoreThanTheCeiling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prices, _ := anyPrices(t)
		r := anyRequest(t)
		a := r.anyAnswer(t)
		at := today.AddDate(0, 0, -rapid.IntRange(0, 700).Draw(t, "days ago"))
		ceiling, err := prices.Ceiling(r.model, policy.Chat, r.b, r.by, at)
		if err != nil || ceiling <= 0 {
			t.Fatalf("ceiling %v, %v", ceiling, err)
		}
		cost, err := prices.Cost(r.model, policy.Chat, a, r.by, at)
		if err != nil {
			if a.Usage.CacheWrite == 0 || !errors.Is(err, policy.ErrUnproven) {
				t.Fatalf("%+v: %v", a, err)
			}
			return
		}
		if cost < 0 || cost > ceiling {
			t.Fatalf("%+v costs %v, over the ceiling of %v", a, cost, ceiling)
		}
	})
}

// TestMoreNeverCostsLess: one more token of any sort, one more byte.
func TestMoreNeverCostsLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prices, _ := anyPrices(t)
		r := anyRequest(t)
		a := r.anyAnswer(t)
		before, err := prices.Cost(r.model, policy.Chat, a, r.by, today)
		if err != nil {
			return
		}
		more := []func(*wire.Usage){
			func(u *wire.Usage) { u.Prompt++ },
			func(u *wire.Usage) { u.Prompt++; u.Cached++ },
			func(u *wire.Usage) { u.Completion++ },
			func(u *wire.Usage) { u.Completion++; u.Reasoning++ },
		}
		if a.Usage.CacheWrite > 0 {
			more = append(more, func(u *wire.Usage) { u.Prompt++; u.CacheWrite++ })
		}
		for i, add := range more {
			b := a
			add(&b.Usage)
			if after, err := prices.Cost(r.model, policy.Chat, b, r.by, today); err != nil || after < before {
				t.Fatalf("%d: %+v costs %v, %+v costs %v (%v)", i, a.Usage, before, b.Usage, after, err)
			}
		}

		ceiling, err := prices.Ceiling(r.model, policy.Chat, r.b, r.by, today)
		if err != nil {
			t.Fatal(err)
		}
		for i, add := range []func(*request){
			func(r *request) { r.b.BodyBytes++ },
			func(r *request) { r.b.BodyBytes++; r.b.SchemaBytes++ },
			func(r *request) { r.b.OutputLimit++ },
			func(r *request) { r.by++ },
			func(r *request) { r.b.Tier = "priority" },
		} {
			s := r
			add(&s)
			if after, err := prices.Ceiling(s.model, policy.Chat, s.b, s.by, today); err != nil || after < ceiling {
				t.Fatalf("%d: the ceiling falls from %v to %v (%v)", i, ceiling, after, err)
			}
		}
		r.b.Tier = ""
		plain, _ := prices.Ceiling(r.model, policy.Chat, r.b, r.by, today)
		r.b.Tier = "flex"
		if flex, err := prices.Ceiling(r.model, policy.Chat, r.b, r.by, today); err != nil || flex != plain {
			t.Fatalf("flex moves the ceiling from %v to %v (%v)", plain, flex, err)
		}
	})
}

// TestCostIsExact compares with fractions of any size, rounded up once.
func TestCostIsExact(t *testing.T) {
	rat := func(s string) *big.Rat {
		if s == "" {
			return new(big.Rat)
		}
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			panic(s)
		}
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		prices, all := anyPrices(t)
		p := all["m-2026-01-01"]
		r := anyRequest(t)
		r.model = "m-2026-01-01"
		a := r.anyAnswer(t)
		a.WritesUntold = false
		got, err := prices.Cost(r.model, policy.Chat, a, r.by, today)
		if err != nil {
			return
		}

		prefix := ""
		if from, _ := strconv.ParseInt(p["from"], 10, 64); from > 0 && a.Usage.Prompt >= from {
			prefix = "long "
		}
		cached := p[prefix+"cached"]
		if cached == "" {
			cached = p[prefix+"input"]
		}
		exact := new(big.Rat)
		for _, part := range []struct {
			tokens int64
			price  string
		}{
			{a.Usage.Prompt - a.Usage.Cached - a.Usage.CacheWrite, p[prefix+"input"]},
			{a.Usage.Cached, cached},
			{a.Usage.CacheWrite, p[prefix+"written"]},
			{a.Usage.Completion, p[prefix+"output"]},
		} {
			exact.Add(exact, new(big.Rat).Mul(new(big.Rat).SetInt64(part.tokens), rat(part.price)))
		}
		exact.Mul(exact, big.NewRat(int64(r.by), 1000))
		exact.Mul(exact, big.NewRat(1000, 1)) // nano-dollars per millionth
		switch a.Tier {
		case "flex":
			exact.Mul(exact, big.NewRat(1, 2))
		case "priority", "fast":
			exact.Mul(exact, big.NewRat(2, 1))
		}
		want, rest := new(big.Int).QuoRem(exact.Num(), exact.Denom(), new(big.Int))
		if rest.Sign() > 0 {
			want.Add(want, big.NewInt(1))
		}
		if int64(got) != want.Int64() {
			t.Fatalf("%+v × %v costs %d, want %v (exactly %v)", a, r.by, int64(got), want, exact)
		}
	})
}

// TestImmenseUsageIsAnErrorNotASmallSum: whatever the counts, a cost is at least
// what the same counts cost in floating point, or there is none.
func TestImmenseUsageIsAnErrorNotASmallSum(t *testing.T) {
	edge := rapid.OneOf(rapid.Int64Range(0, math.MaxInt64), rapid.SampledFrom([]int64{0, 1, math.MaxInt64 / 2, math.MaxInt64 - 1, math.MaxInt64}))
	rapid.Check(t, func(t *rapid.T) {
		u := wire.Usage{Prompt: edge.Draw(t, "prompt"), Completion: edge.Draw(t, "completion")}
		got, err := policy.Reviewed().Cost("gpt-6-astra", policy.Chat, policy.Answer{Usage: u, Tier: "priority"}, 100_000, today)
		about := 200 * (10_000*float64(u.Prompt) + 50_000*float64(u.Completion))
		if err == nil && float64(got) < about*0.999 {
			t.Fatalf("%+v costs %v, about %g was expected", u, got, about)
		}
		if err != nil && !errors.Is(err, policy.ErrUnproven) {
			t.Fatal(err)
		}
	})
}
