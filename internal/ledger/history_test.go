package ledger_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/ledger"
	"keyshield/internal/ledger/ledgertest"
	"keyshield/internal/money"
)

func history(t testing.TB, l *ledger.Ledger, from, to time.Time) (all []ledger.Entry) {
	t.Helper()
	err := l.History(t.Context(), from, to, func(e ledger.Entry) error {
		all = append(all, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// call reserves and sends for u, who has no caps.
func call(t testing.TB, l *ledger.Ledger, id string, u ledger.User, ceiling money.USD) *ledger.Hold {
	t.Helper()
	h := must(t, of(l.Reserve(t.Context(), request(id, u, ceiling))))
	if err := h.Use(); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHistoryIsByHourUserAndModel(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 30, 0, 0, time.UTC)
	clock := ledgertest.NewClock(noon)
	l := open(t, ledger.Options{Dir: t.TempDir(), Clock: clock.Read})
	usage := ledger.Usage{Input: 100, Cached: 40, Written: 20, Output: 50, Reasoning: 30, Cost: 7}
	late := call(t, l, "1", user(1), 10)
	_ = call(t, l, "2", user(1), 10).Settle(usage)
	call(t, l, "3", user(2), 10).Close()
	call(t, l, "4", user(2), 10).Free()
	call(t, l, "open", user(2), 10)
	clock.Pass(time.Hour)
	_ = late.Settle(usage)
	_ = call(t, l, "5", user(1), 10).Settle(ledger.Usage{Cost: 12})
	flush(t, l)

	two := ledger.Tally{Requests: 2, Input: 200, Cached: 80, Written: 40, Output: 100, Reasoning: 60, Cost: 14}
	hour := noon.Truncate(time.Hour)
	want := []ledger.Entry{
		{Hour: hour, User: user(1), Model: "gpt-6-luna", Tally: two},
		{Hour: hour, User: user(2), Model: "gpt-6-luna", Tally: ledger.Tally{Requests: 1, Unproven: 1, AtCeiling: 10}},
		{Hour: hour.Add(time.Hour), User: user(1), Model: "gpt-6-luna", Tally: ledger.Tally{Requests: 1, Cost: 12}},
	}
	if diff := cmp.Diff(want, history(t, l, noon, noon.Add(2*time.Hour))); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if got := history(t, l, hour, hour.Add(time.Hour)); len(got) != 2 {
		t.Errorf("the first hour has %d entries, want 2", len(got))
	}
	if got := history(t, l, hour.Add(2*time.Hour), hour.Add(9000*time.Hour)); len(got) != 0 {
		t.Errorf("the future has %d entries", len(got))
	}
}

func TestALongHistoryIsReadInPieces(t *testing.T) {
	l := open(t, ledger.Options{Dir: t.TempDir()})
	const many = 1203
	for i := range many {
		_ = call(t, l, fmt.Sprint(i), user(i), 10).Settle(ledger.Usage{Cost: 1})
	}
	flush(t, l)
	seen := map[string]bool{}
	for _, e := range history(t, l, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)) {
		seen[e.User.ID] = true
		// Writing goes on while somebody reads, or this would never end.
		reserve(t, l, "during-"+e.User.ID, 1)
	}
	if len(seen) != many {
		t.Errorf("saw %d of %d users", len(seen), many)
	}
}

func TestWhatDeadProcessesLeftOpenComesIntoTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, ledger.Options{Dir: dir})
		for i := range 1203 {
			call(t, l, fmt.Sprint(i), user(i%3), 10)
		}
		if err := l.Crash(); err != nil {
			t.Fatal(err)
		}
		reader := open(t, ledger.Options{Dir: dir}) // keeps no records, and leaves them alone
		time.Sleep(5 * time.Second)
		if got := history(t, reader, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)); len(got) != 0 {
			t.Errorf("swept by who keeps no records: %+v", got)
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, ledger.Options{Dir: dir, Orphan: func(ledger.Orphan) {}})
		mine := call(t, l, "mine", user(1), 10)
		before := must(t, of(l.Standing(t.Context(), user(1))))
		time.Sleep(5 * time.Second)
		var sum ledger.Tally
		for _, e := range history(t, l, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)) {
			sum.Requests, sum.AtCeiling, sum.Unproven = sum.Requests+e.Requests, sum.AtCeiling+e.AtCeiling, sum.Unproven+e.Unproven
		}
		if want := (ledger.Tally{Requests: 1203, Unproven: 1203, AtCeiling: 12030}); sum != want {
			t.Errorf("history: %+v, want %+v", sum, want)
		}
		after := must(t, of(l.Standing(t.Context(), user(1))))
		if after.Day.Used != before.Day.Used || after.Day.Open != 10 || after.Day.AtCeiling != 12030 || after.UserDay.AtCeiling != 4010 {
			t.Errorf("sweeping moved money: %+v, then %+v", before, after)
		}
		_ = mine.Settle(ledger.Usage{Cost: 4})
		flush(t, l)
		if got := used(t, l, user(1)); got != 12034 {
			t.Errorf("used %d, want 12034", got)
		}
	})
}

func TestHistoryIsKeptForFourHundredDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		clock := ledgertest.NewClock(start)
		l := open(t, ledger.Options{Dir: t.TempDir(), Clock: clock.Read})
		pass := func(days int) {
			clock.Pass(time.Duration(days) * 24 * time.Hour)
			time.Sleep(time.Minute) // of upkeep
		}
		all := func() []ledger.Entry { return history(t, l, start.Add(-time.Hour), start.Add(10_000*time.Hour)) }
		for i := range 1203 {
			_ = call(t, l, fmt.Sprint(i), user(i), 10).Settle(ledger.Usage{Cost: 1})
		}
		pass(1)
		_ = call(t, l, "next day", user(7), 10).Settle(ledger.Usage{Cost: 1})
		pass(ledger.KeepDays - 1)
		if got := all(); len(got) != 1204 {
			t.Fatalf("%d entries after %d days, want all", len(got), ledger.KeepDays)
		}
		pass(1)
		if got := all(); len(got) != 1 || got[0].User != user(7) {
			t.Errorf("a day later there are %d entries, want the one of the next day, with its user", len(got))
		}
		pass(60)
		if got := all(); len(got) != 0 {
			t.Errorf("in the end there are %d entries", len(got))
		}
		if rows := must(t, of(l.Rows())); rows != (ledger.RowCount{}) {
			t.Errorf("left of it: %+v", rows)
		}
	})
}

func TestSoftLimitsAreToldOncePerWindow(t *testing.T) {
	clock := ledgertest.NewClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	dir := t.TempDir()
	var told []string
	opts := ledger.Options{Dir: dir, Clock: clock.Read, Soft: []int{100, 50, 80}, Event: func(e ledger.Event) {
		who := "everything"
		if e.User != (ledger.User{}) {
			who = e.User.ID
		}
		told = append(told, fmt.Sprintf("%s %s %s %d%%: %d of %d", e.Kind, who, e.Window, e.Percent, e.Amount, e.Limit))
	}}
	l := open(t, opts)
	ids := 0
	spend := func(u int, cost money.USD) {
		t.Helper()
		ids++
		r := request(fmt.Sprint(ids), user(u), 30)
		r.Caps.Day, r.Caps.UserMonth = ledger.UpTo(100), ledger.UpTo(50)
		h, err := l.Reserve(t.Context(), r)
		if err == nil {
			_ = h.Use()
			_ = h.Settle(ledger.Usage{Cost: cost})
		}
		flush(t, l)
	}
	expect := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		told = nil
	}
	spend(1, 20)
	expect()
	spend(1, 5)
	expect("soft_limit user-1 2026-11 50%: 25 of 50")
	spend(2, 29)
	expect("soft_limit everything 2026-11-21 50%: 54 of 100", "soft_limit user-2 2026-11 50%: 29 of 50")
	spend(3, 30)
	expect("soft_limit everything 2026-11-21 80%: 84 of 100", "soft_limit user-3 2026-11 50%: 30 of 50")
	if err := l.Crash(); err != nil {
		t.Fatal(err)
	}
	l = open(t, opts)
	spend(4, 1) // refused: 84 + 30 > 100
	spend(4, 1)
	expect("soft_limit everything 2026-11-21 100%: 84 of 100")
	clock.Pass(24 * time.Hour)
	spend(5, 20)
	spend(5, 30)
	expect("soft_limit everything 2026-11-22 50%: 50 of 100",
		"soft_limit user-5 2026-11 50%: 50 of 50", "soft_limit user-5 2026-11 80%: 50 of 50", "soft_limit user-5 2026-11 100%: 50 of 50")
}

func TestStopsAreListedAndLifted(t *testing.T) {
	var kinds []ledger.EventKind
	l := open(t, ledger.Options{Dir: t.TempDir(), Event: func(e ledger.Event) { kinds = append(kinds, e.Kind) }})
	for i := range 3 {
		_ = call(t, l, fmt.Sprint(i), user(i), 10).Settle(ledger.Usage{Cost: 11})
		flush(t, l)
	}
	stops := must(t, of(l.Stops(t.Context())))
	if len(stops) != 4 || stops[0].Since.IsZero() {
		t.Fatalf("stopped: %+v, want three users and their model", stops)
	}
	want := []ledger.EventKind{"overshoot", "user_suspended", "overshoot", "user_suspended", "overshoot", "user_suspended", "model_stopped"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if was := must(t, of(l.Enable(t.Context(), ledger.EnableRequest{Model: "gpt-6-luna", By: "test"}))); !was {
		t.Error("the model was not stopped")
	}
	call(t, l, "zoe", user(9), 10).Free()
	if _, err := l.Reserve(t.Context(), request("again", user(1), 10)); code(t, err) != "disabled" {
		t.Errorf("the model is free, its user should not be: %v", err)
	}
	if was := must(t, of(l.Enable(t.Context(), ledger.EnableRequest{User: user(1).Key, By: "test"}))); !was {
		t.Error("the user was not suspended")
	}
	call(t, l, "again", user(1), 10).Free()
	if was := must(t, of(l.Enable(t.Context(), ledger.EnableRequest{User: user(8).Key, By: "test"}))); was {
		t.Error("a user who did nothing was suspended")
	}
}
