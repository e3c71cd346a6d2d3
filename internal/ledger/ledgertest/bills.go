package ledgertest

import (
	"slices"

	"pgregory.net/rapid"

	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// check holds every account of the present windows against the list, and every
// window there ever was against the bill.
func (w *world) check(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "hurry") == 0 {
		return // leave ends in the queue
	}
	for _, u := range users {
		s := w.standing(u)
		if w.day.Start().After(s.Day.Window.Start()) {
			t.Fatalf("I8: the window went back from %v to %v", w.day, s.Day.Window)
		}
		w.day = s.Day.Window
		used, open := w.sums(s, u)
		if used != four(s) {
			t.Fatalf("I5, I6: %s used %v, want %v", u, four(s), used)
		}
		for i, b := range []ledger.Balance{s.Day, s.Month, s.UserDay, s.UserMonth} {
			if b.Open != open[i] || b.Used != b.Cost+b.AtCeiling+b.Open+b.Seeded {
				t.Fatalf("I6: open %v in %+v", open[i], b)
			}
		}
	}
	w.checkBills(t)
}

// checkBills is I1 and I2, for each account there ever was: at no time more than
// was charged, and at the end no more than the largest cap that let somebody in.
func (w *world) checkBills(t *rapid.T) {
	type account struct {
		window ledger.Window
		user   string
	}
	type sum struct {
		bill, charge, largest money.USD
		capped, overshot      bool
	}
	sums := map[account]*sum{}
	for _, c := range w.calls {
		for i, limit := range [4]ledger.Cap{c.caps.Day, c.caps.Month, c.caps.UserDay, c.caps.UserMonth} {
			a := account{[4]ledger.Window{c.window, c.month, c.window, c.month}[i], [4]string{"", "", c.user, c.user}[i]}
			s := sums[a]
			if s == nil {
				s = &sum{capped: true}
				sums[a] = s
			}
			s.bill, s.charge = s.bill+c.bill, s.charge+c.charge
			s.overshot = s.overshot || c.bill > c.ceiling
			amount, ok := limit.Limit()
			s.capped, s.largest = s.capped && ok, max(s.largest, amount)
		}
	}
	for a, s := range sums {
		if s.bill > s.charge {
			t.Fatalf("I2: %v was billed, %v charged to %v", s.bill, s.charge, a)
		}
		if s.capped && !s.overshot && s.bill > s.largest {
			t.Fatalf("I1: %v was billed under caps of at most %v to %v", s.bill, s.largest, a)
		}
	}
	if slices.ContainsFunc(w.calls, func(c *call) bool { return !c.sent && c.bill > 0 }) {
		t.Fatal("I4: billed without having been sent")
	}
}
