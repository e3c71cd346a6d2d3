package main

import (
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/money"
	"keyshield/internal/reconcile"
)

// told is a desk that says what a test wants.
type toldDesk struct {
	desk
	usage   admin.UsageReport
	records []audit.Record
}

func (d toldDesk) Usage(context.Context, admin.UsageQuery) (admin.UsageReport, error) {
	return d.usage, nil
}

func (d toldDesk) ExportAudit(_ context.Context, q admin.AuditQuery, w io.Writer) error {
	for _, r := range d.records {
		if r.Time.Before(q.From) || !r.Time.Before(q.To) {
			continue
		}
		if err := json.NewEncoder(w).Encode(r); err != nil {
			return err
		}
	}
	return nil
}

const usd = nanoUSD(money.Dollar)

// onThe is a day of a month in which nothing else happens.
func onThe(day int) time.Time { return time.Date(2020, 5, day, 0, 0, 0, 0, time.UTC) }

// books are ours on the 3rd, with these hours.
func books(hours map[time.Time]nanoUSD) admin.UsageReport {
	r := admin.UsageReport{
		Day:   admin.Account{Start: onThe(3), End: onThe(4)},
		Month: admin.Account{Start: onThe(1), End: onThe(1).AddDate(0, 1, 0)},
	}
	for at, amount := range hours {
		r.ByHour = append(r.ByHour, admin.Row{Hour: &at, Tally: admin.Tally{Proven: amount - amount/2, AtCeiling: amount / 2}})
		if !at.Before(onThe(3)) {
			r.Day.Used += amount
		}
		r.Month.Used += amount
	}
	return r
}

func TestOursHasWhatIsUnderWayAndWhatWasSeeded(t *testing.T) {
	t.Parallel()
	hours := map[time.Time]nanoUSD{
		onThe(1).Add(5 * time.Hour): 1 * usd, onThe(1).Add(23 * time.Hour): 2 * usd,
		onThe(2).Add(23 * time.Hour): 4 * usd, onThe(3).Add(time.Hour): 8 * usd, onThe(3).Add(-72 * time.Hour): 100 * usd,
	}
	theirs := []reconcile.Day{{Start: onThe(1), Amount: 13 * money.Dollar}, {Start: onThe(2), Amount: 30 * money.Dollar}, {Start: onThe(3), Amount: 50 * money.Dollar}}
	for name, c := range map[string]struct {
		change func(*admin.UsageReport)
		want   [3]reconcile.Charged
	}{
		"nothing else": {func(*admin.UsageReport) {}, [3]reconcile.Charged{{Amount: 3, LastHour: 2}, {Amount: 4, LastHour: 4}, {Amount: 8}}},
		"a call under way": {
			func(r *admin.UsageReport) {
				r.Day.Open, r.Day.Used, r.Month.Open = 5*usd, 13*usd, 5*usd
			},
			[3]reconcile.Charged{{Amount: 3, LastHour: 2}, {Amount: 4, LastHour: 4}, {Amount: 13, LastHour: 5}},
		},
		"under way since yesterday": {
			func(r *admin.UsageReport) { r.Month.Open = 6 * usd },
			[3]reconcile.Charged{{Amount: 3, LastHour: 2}, {Amount: 10, LastHour: 10}, {Amount: 8}},
		},
		"seeded, the oldest day first": {
			func(r *admin.UsageReport) { r.Month.Seeded = 12 * usd },
			[3]reconcile.Charged{{Amount: 13, LastHour: 2}, {Amount: 6, LastHour: 4}, {Amount: 8}},
		},
		"seeded today": {
			func(r *admin.UsageReport) {
				r.Day.Seeded, r.Day.Used, r.Month.Seeded = 7*usd, 15*usd, 7*usd
			},
			[3]reconcile.Charged{{Amount: 3, LastHour: 2}, {Amount: 4, LastHour: 4}, {Amount: 15}},
		},
	} {
		r := books(hours)
		c.change(&r)
		got, err := new(comparing).ours(t.Context(), toldDesk{usage: r}, onThe(1), theirs)
		if err != nil || len(got) != 3 {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		for i, want := range c.want {
			if got[i].Start != onThe(i+1) || got[i].Amount != want.Amount*money.Dollar || got[i].LastHour != want.LastHour*money.Dollar {
				t.Errorf("%s: on the %d. %v, in the last hour %v; want %d and %d dollars", name, i+1, got[i].Amount, got[i].LastHour, want.Amount, want.LastHour)
			}
		}
	}
}

// TestOnlyTheStretchThatShowsItIsTold: a theft on one day must not be made up for by
// days on which OpenAI has less.
func TestOnlyTheStretchThatShowsItIsTold(t *testing.T) {
	t.Parallel()
	c := comparing{tolerance: reconcile.Usual}
	r := reconcile.Compare(
		[]reconcile.Day{{Start: onThe(1), Amount: -money.Dollar}, {Start: onThe(2), Amount: 9 * money.Dollar}, {Start: onThe(3)}},
		[]reconcile.Charged{{Start: onThe(1), Amount: 5 * money.Dollar, LastHour: money.Dollar}, {Start: onThe(2), Amount: 5 * money.Dollar}, {Start: onThe(3), Amount: 5 * money.Dollar}},
		c.tolerance)
	got := c.report(r)
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	if got.From != onThe(2) || got.To != onThe(3).Add(-time.Second) || got.Theirs != 9*usd || got.Ours != 6*usd || got.Theirs-got.Ours <= got.Tolerance || len(got.Days) != 3 {
		t.Errorf("told %+v, want the 2nd with $9 and, with the hour before, $6", got)
	}
	r = reconcile.Compare([]reconcile.Day{{Start: onThe(2), Amount: -money.Dollar}}, []reconcile.Charged{{Start: onThe(1), Amount: money.Dollar}}, c.tolerance)
	if got = c.report(r); got.Check() != nil || got.From != onThe(1) || got.To != onThe(3).Add(-time.Second) || got.Theirs != 0 || got.Ours != usd {
		t.Errorf("told %+v (%v), want both days", got, got.Check())
	}
}

func TestASeedOfLastMonthEndsTheComparison(t *testing.T) {
	t.Parallel()
	first, month := onThe(1).AddDate(0, 0, -5), onThe(1)
	seed := func(at time.Time) audit.Record {
		return audit.Record{Seq: 1, Kind: audit.Operator, Action: "seed", Time: at}
	}
	d := toldDesk{records: []audit.Record{seed(first.Add(-time.Hour)), seed(first.Add(time.Hour)), {Seq: 2, Kind: audit.Operator, Action: "disable", Time: first.Add(50 * time.Hour)}, seed(month.Add(time.Hour))}}
	if got, err := lastMonthsSeed(t.Context(), d, first, month); err != nil || !got.Equal(first.Add(time.Hour)) {
		t.Errorf("%v, %v; want the one within last month's days", got, err)
	}
	if got, err := lastMonthsSeed(t.Context(), d, month, month); err != nil || !got.IsZero() {
		t.Errorf("of this month alone: %v, %v", got, err)
	}
}

// TestCallsUnderWayAtTheFirstMidnightAreNoTheft: they count here on the day before the
// first, and with OpenAI on the first.
func TestCallsUnderWayAtTheFirstMidnightAreNoTheft(t *testing.T) {
	t.Parallel()
	r := books(map[time.Time]nanoUSD{
		onThe(1).Add(22 * time.Hour): 50 * usd, onThe(1).Add(23 * time.Hour): 4 * usd, onThe(2).Add(time.Hour): usd,
	})
	c := comparing{tolerance: reconcile.Usual, days: 2}
	for billed, want := range map[money.USD]money.USD{5 * money.Dollar: 0, 8 * money.Dollar: 3 * money.Dollar} {
		theirs := []reconcile.Day{{Start: onThe(1), Amount: 99 * money.Dollar}, {Start: onThe(2), Amount: billed}}
		ours, err := c.ours(t.Context(), toldDesk{usage: r}, onThe(1), theirs)
		if err != nil {
			t.Fatal(err)
		}
		got := c.compared(onThe(2), theirs, ours)
		if got.Elsewhere != want || got.Ours != money.Dollar || got.Theirs != billed || len(got.Days) != 2 || !got.Days[0].Day.Equal(onThe(2)) || want > 0 && !got.From.Equal(onThe(2)) {
			t.Errorf("billed %v on the 2nd: %+v, want %v elsewhere", billed, got, want)
		}
	}
}
