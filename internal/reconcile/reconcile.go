// Package reconcile compares our ledger with OpenAI's own books: what it billed the
// project, day by day. When OpenAI counts more than we have charged, something else
// spends with the key. That is how a leak is noticed.
//
// Ours is an upper bound. It has every call at its proven cost, and at its ceiling
// where nothing was proven. OpenAI's is a lower bound: costs arrive there with
// hours of delay, never early. So a difference beyond the tolerance is no matter of
// waiting: the key is used elsewhere, or a price in our table is too low.
//
// One thing moves between days: a call that was under way at midnight counts with us
// on the day of its reservation, and with OpenAI perhaps on the next. Each stretch
// of days is therefore compared with what we charged in it and in the hour before it.
package reconcile

import (
	"time"

	"keyshield/internal/money"
)

// Day is what OpenAI billed on one day (UTC).
type Day struct {
	Start  time.Time
	Amount money.USD
}

// Charged is what we charged on one day: proven, at the ceiling, and held by calls
// under way.
type Charged struct {
	Start    time.Time
	Amount   money.USD
	LastHour money.USD // of it, in the day's last hour
}

// Tolerance is what the two may differ by: so much, or this part of ours, whichever
// is more.
type Tolerance struct {
	Amount  money.USD
	Percent int64
}

// Usual is for OpenAI's rounding.
var Usual = Tolerance{Amount: money.Dollar / 100, Percent: 1}

// Compared is one day in both books.
type Compared struct {
	Day    time.Time
	Theirs money.USD
	Ours   money.USD
}

// Result is what came of a comparison.
type Result struct {
	At      time.Time
	Project string
	Days    []Compared // oldest first
	Theirs  money.USD
	Ours    money.USD

	// Elsewhere is what OpenAI billed beyond all that can be ours, in the stretch of
	// days where that is most; 0 if it is within the tolerance.
	Elsewhere money.USD
	From      time.Time // the first day of that stretch,
	To        time.Time // and its last
}

// Compare finds the stretch of days in which OpenAI billed most beyond what we
// charged. Days that one of the two does not have cost nothing there.
func Compare(theirs []Day, ours []Charged, t Tolerance) Result {
	days, charged := merge(theirs, ours)
	r := Result{Days: days}
	for _, d := range days {
		r.Theirs, r.Ours = r.Theirs+d.Theirs, r.Ours+d.Ours
	}
	for from := range days {
		var billed, had money.USD
		if from > 0 {
			had = charged[from-1].LastHour
		}
		for to := from; to < len(days); to++ {
			billed, had = billed+days[to].Theirs, had+days[to].Ours
			if over := billed - had; over > t.of(had) && over >= r.Elsewhere { // the latest of equals says most
				r.Elsewhere, r.From, r.To = over, days[from].Day, days[to].Day
			}
		}
	}
	return r
}

func (t Tolerance) of(ours money.USD) money.USD {
	return max(t.Amount, ours/100*money.USD(t.Percent))
}

// merge puts the days of both side by side, in their order, with none missing.
func merge(theirs []Day, ours []Charged) (days []Compared, charged []Charged) {
	billed, ledger := map[int64]money.USD{}, map[int64]Charged{}
	first, last := int64(1<<62), int64(-1<<62)
	reach := func(at time.Time) int64 {
		day := at.Unix() / daySeconds
		first, last = min(first, day), max(last, day)
		return day
	}
	for _, d := range theirs {
		billed[reach(d.Start)] += d.Amount
	}
	for _, c := range ours {
		ledger[reach(c.Start)] = c
	}
	for day := first; day <= last; day++ {
		days = append(days, Compared{Day: time.Unix(day*daySeconds, 0).UTC(), Theirs: billed[day], Ours: ledger[day].Amount})
		charged = append(charged, ledger[day])
	}
	return days, charged
}

const daySeconds = 24 * 60 * 60
