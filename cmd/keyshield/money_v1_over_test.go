package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/sim"
)

// quotaSaid is the refusal of a budget that is used up, and of one that is busy, in
// the words of a path.
func quotaSaid(path string) (exhausted, busy string) {
	if strings.HasPrefix(path, "/v1/") {
		return "429 insufficient_quota", "429 rate_limit_exceeded"
	}
	return "429 budget_exhausted", "429 budget_busy"
}

// TestExactlyAsManyAsTheBudgetAllowsOnV1 are admitted of equal requests that are all
// under way together, at every endpoint, whole and streamed.
func TestExactlyAsManyAsTheBudgetAllowsOnV1(t *testing.T) {
	const all, room = 150, 10
	text := padded("fault=hang_before harsh")
	ceilings := ceilingsV1(t, text)
	for _, a := range v1Asks() {
		t.Run(a.name, func(t *testing.T) {
			ceiling := ceilings[a.name]
			exhausted, busy := quotaSaid(a.path)
			p := openPurseV1(t, dollars("BUDGET_DAY", room*ceiling+ceiling-1))
			tokens := p.tokens(20)
			ctx, leave := context.WithCancel(context.Background())
			defer leave()
			var clients sync.WaitGroup
			refused := make(chan v1Verdict, all)
			for i := range all {
				clients.Go(func() {
					if v := p.tell(ctx, tokens[i%20], a.path, a.body(text), 0); ctx.Err() == nil {
						refused <- v
					}
				})
			}
			for range all - room {
				if v := <-refused; v.said != busy {
					t.Errorf("refused with %q %s", v.said, v.body)
				}
			}
			p.await(t, "the calls", func(r sim.Report) bool { return r.Open == room })
			leave()
			clients.Wait()
			if books := p.rested(); books.Day.Used != nanoUSD(room*ceiling) || books.Day.Unproven != room {
				t.Errorf("used %v for %d calls without proof; want %v for %d", books.Day.Used, books.Day.Unproven, room*ceiling, room)
			}
			v := p.tell(t.Context(), tokens[0], a.path, a.body(text), 0)
			if v.said != exhausted || v.header.Get("X-Should-Retry") != "false" || v.header.Get("Retry-After") == "" {
				t.Errorf("afterwards: %q, X-Should-Retry %q, Retry-After %q", v.said, v.header.Get("X-Should-Retry"), v.header.Get("Retry-After"))
			}
			if calls := p.sim.Report().Calls; calls != room {
				t.Errorf("%d calls, want %d", calls, room)
			}
		})
	}
}

// v1Mode is a way in which many requests meet a budget for a few.
type v1Mode struct {
	words    string   // the simulator's
	hangUp   int      // bytes after which every client leaves
	outcomes []string // of the admitted
	kept     bool     // nothing is refunded: exactly so many are admitted
	speaks   bool     // needs an answer with text
}

func v1Modes() []v1Mode {
	broken := []string{"502 upstream_error"}
	return []v1Mode{
		{words: "harsh", outcomes: []string{"200"}},
		{words: "harsh size=5000 extra_tokens=16", outcomes: []string{"200"}, speaks: true},
		{words: "harsh size=5000 chunks=9 pace=9ms", hangUp: 10, outcomes: []string{"left"}, speaks: true},
		{words: "harsh usage=missing", outcomes: []string{"200"}, kept: true},
		{words: "harsh usage=negative size=5000", outcomes: []string{"200"}, kept: true},
		{words: "harsh fault=cut size=5000", outcomes: append([]string{"200"}, broken...), kept: true},
		{words: "harsh fault=malformed size=5000", outcomes: append([]string{"200"}, broken...), kept: true},
		{words: "harsh status=500 bill size=5000", outcomes: broken, kept: true},
		{words: "harsh html bill size=5000", outcomes: broken, kept: true},
		{words: "harsh fault=reset size=5000", outcomes: broken, kept: true},
	}
}

// TestDrillNeverOverTheBudgetOnV1: thirty requests at once against a user's budget for six,
// at every endpoint, and what OpenAI bills is within it, whatever it does.
func TestDrillNeverOverTheBudgetOnV1(t *testing.T) {
	ceilings := ceilingsV1(t, padded(""))
	for _, setting := range []string{"HANGUP=cancel", "HANGUP=drain"} {
		plans, number := []string{}, map[string]int{}
		for i, a := range v1Asks() {
			plans = append(plans, fmt.Sprintf(`"p%d": {"budget_day": %q}`, i, amountOf(6*ceilings[a.name]+ceilings[a.name]-1)))
			number[a.name] = i
		}
		p := openPurseV1(t, setting, plansAre(t, "{"+strings.Join(plans, ",")+"}"))
		for i, m := range v1Modes() {
			if m.hangUp == 0 && setting == "HANGUP=drain" {
				continue // as without it
			}
			for _, a := range v1Asks() {
				if m.speaks && !a.words || m.hangUp > 0 && !a.stream {
					continue
				}
				plan := fmt.Sprint("p", number[a.name])
				neverOverV1(t, p, a, m, onPlanV1(t, fmt.Sprintf("%s-%d", plan, i), plan), ceilings[a.name])
			}
		}
	}
}

// spentBy is what a user has used, once nothing is held for them any more.
func (p *purse) spentBy(token string) nanoUSD {
	p.t.Helper()
	var m mine
	if !eventually(p.t, 10*time.Second, func() bool { m = p.mine(token); return strings.Trim(m.Day.Held, "0.") == "" }) {
		p.t.Errorf("%s is still held, and no call is open", m.Day.Held)
	}
	used, err := money.Parse(m.Day.Used)
	if err != nil {
		p.t.Fatalf("used %q: %v", m.Day.Used, err)
	}
	return nanoUSD(used)
}

func neverOverV1(t *testing.T, p *purse, a v1Ask, m v1Mode, token string, ceiling money.USD) {
	t.Helper()
	const all, room = 30, 6
	limit := nanoUSD(room*ceiling + ceiling - 1)
	before := p.calm()
	counts := p.rushV1(all, token, a.path, a.body(padded(m.words)), m.hangUp)
	after := p.calm()
	used, bill, calls := p.spentBy(token), nanoUSD(after.BillNano-before.BillNano), after.Calls-before.Calls
	what := fmt.Sprintf("%s with %q: %v", a.name, m.words, counts)
	if bill > limit || bill == 0 {
		t.Errorf("%s: OpenAI bills %v; the budget is %v", what, bill, limit)
	}
	if used < bill || used > limit {
		t.Errorf("%s: the ledger has %v; want from the bill (%v) to the budget (%v)", what, used, bill, limit)
	}
	if m.kept && calls != room || calls < room {
		t.Errorf("%s: %d calls; the budget has room for %d", what, calls, room)
	}
	exhausted, busy := quotaSaid(a.path)
	for _, said := range slices.Sorted(maps.Keys(counts)) {
		if said != exhausted && said != busy && !slices.Contains(m.outcomes, said) {
			t.Errorf("%s: %d ended with %q", what, counts[said], said)
		}
	}
}
