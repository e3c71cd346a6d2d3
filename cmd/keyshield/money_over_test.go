package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"keyshield/internal/sim"
)

const (
	wholeAnswer = "application/json"
	streamed    = "text/event-stream"
)

// rushMode is a way in which a thousand requests meet a budget for forty.
type rushMode struct {
	name     string
	words    string // the simulator's
	accept   string
	hangUp   int // bytes after which every client leaves
	settings []string
	outcomes []string // of the admitted
	kept     bool     // nothing is refunded: exactly forty are admitted
}

func rushModes() []rushMode {
	return []rushMode{
		{name: "normal", accept: wholeAnswer, outcomes: []string{"200"}},
		{name: "streams", accept: streamed, outcomes: []string{"200"}},
		{name: "harsh, up to the output limit and beyond it", words: "harsh size=5000 extra_tokens=16", accept: wholeAnswer, outcomes: []string{"200"}},
		{name: "hang-up after the first chunk", words: "harsh chunks=10 pace=20ms", accept: streamed, hangUp: 20, outcomes: []string{"left"}},
		{name: "hang-up, drained", words: "harsh chunks=10 pace=20ms", accept: streamed, hangUp: 20, settings: []string{"HANGUP=drain"}, outcomes: []string{"left"}},
		{name: "no usage", words: "harsh usage=missing size=5000", accept: wholeAnswer, outcomes: []string{"200"}, kept: true},
		{name: "stream without usage", words: "harsh usage=missing size=5000", accept: streamed, outcomes: []string{"200"}, kept: true},
		{name: "cut stream", words: "harsh fault=cut size=5000", accept: streamed, outcomes: []string{"200"}, kept: true},
		{name: "500 that bills", words: "harsh status=500 bill size=5000", accept: wholeAnswer, outcomes: []string{"502 upstream_error"}, kept: true},
		{name: "reset after reading", words: "harsh fault=reset size=5000", accept: wholeAnswer, outcomes: []string{"502 upstream_error"}, kept: true},
		{name: "retries", words: "harsh status=503 fail_times=30 size=5000", accept: wholeAnswer, outcomes: []string{"200", "502 upstream_error"}},
	}
}

// TestDrillNeverOverTheBudgetWhateverOpenAIDoes: a thousand requests at once against a
// budget for forty, and what OpenAI bills is within it.
func TestDrillNeverOverTheBudgetWhateverOpenAIDoes(t *testing.T) {
	for i, m := range rushModes() {
		t.Run(m.name, func(t *testing.T) {
			scope, users := "BUDGET_DAY", 50
			if i%2 == 1 {
				scope, users = "BUDGET_USER_DAY", 1
			}
			neverOver(t, m, scope, users)
		})
	}
}

func neverOver(t *testing.T, m rushMode, scope string, users int) {
	const all, room = 1000, 40
	q := question{"[[sim " + m.words + "]] hello", m.accept}
	ceiling := ceilingOf(t, q)
	limit := room*ceiling + ceiling - 1
	p := openPurse(t, append([]string{dollars(scope, limit)}, m.settings...)...)
	counts := p.rush(all, users, q, m.hangUp)
	books := p.rested()
	bill, calls := p.bill(), p.sim.Report().Calls
	t.Logf("%s for %d: %v; the ledger was slow %d times; %d calls, billed %v, used %v, cap %v", scope, room, counts, p.slow.Load(), calls, bill, books.Day.Used, limit)

	if bill > nanoUSD(limit) {
		t.Errorf("OpenAI bills %v; the budget is %v", bill, limit)
	}
	if books.Day.Used < bill || books.Day.Used > nanoUSD(limit) {
		t.Errorf("the ledger has %v; want from the bill (%v) to the budget (%v)", books.Day.Used, bill, limit)
	}
	if m.kept && calls != room {
		t.Errorf("%d were admitted; want exactly %d", calls, room)
	}
	if calls < room {
		t.Errorf("%d calls; the budget has room for %d", calls, room)
	}
	for _, said := range slices.Sorted(maps.Keys(counts)) {
		if said != "429 budget_busy" && said != "429 budget_exhausted" && !slices.Contains(m.outcomes, said) {
			t.Errorf("%d requests ended with %q", counts[said], said)
		}
	}
}

// TestExactlyAsManyAsTheBudgetAllows are admitted of a thousand equal requests that
// are all under way together; the others are told that it is busy.
func TestExactlyAsManyAsTheBudgetAllows(t *testing.T) {
	const all, room = 1000, 40
	q := question{"[[sim fault=hang_before harsh]] hello", wholeAnswer}
	// The same length, and an answer.
	ceiling := ceilingOf(t, question{"[[sim tag=abcdefghijklm harsh]] hello", wholeAnswer})
	p := openPurse(t, dollars("BUDGET_DAY", room*ceiling+ceiling-1))
	tokens := p.tokens(50)
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	var clients sync.WaitGroup
	refused := make(chan verdict, all)
	for i := range all {
		clients.Go(func() {
			if v := p.send(ctx, tokens[i%50], q, 0); ctx.Err() == nil {
				refused <- v
			}
		})
	}
	for range all - room {
		if v := <-refused; v.said != "429 budget_busy" {
			t.Errorf("refused with %q", v.said)
		}
	}
	p.await(t, "the calls", func(r sim.Report) bool { return r.Open == room })
	leave()
	clients.Wait()
	if books := p.rested(); books.Day.Used != nanoUSD(room*ceiling) || books.Day.Unproven != room {
		t.Errorf("used %v for %d calls without proof; want %v for %d", books.Day.Used, books.Day.Unproven, room*ceiling, room)
	}
	if got := p.send(t.Context(), tokens[0], q, 0); got.said != "429 budget_exhausted" {
		t.Errorf("afterwards: %q", got.said)
	}
	if calls := p.sim.Report().Calls; calls != room {
		t.Errorf("%d calls, want %d", calls, room)
	}
}
