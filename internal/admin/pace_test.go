package admin

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPaceLeadsToTheDayTheCapIsUsedUp(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		gone   time.Duration
		used   NanoUSD
		perDay NanoUSD
		month  NanoUSD
		usedUp string // "": not in this month
	}{
		{10 * 24 * time.Hour, 5e9, 5e8, 15e9, ""},
		{10 * 24 * time.Hour, 10e9, 1e9, 30e9, "2026-11-21 00:00"},
		{10 * 24 * time.Hour, 20e9, 2e9, 60e9, "2026-11-11 00:00"}, // now
		{20 * 24 * time.Hour, 40e9, 2e9, 60e9, "2026-11-11 00:00"}, // a cap that was lowered
		{15 * 24 * time.Hour, 10e9, 666666666, 20e9, ""},           // at the very end
		{10 * 24 * time.Hour, 0, 0, 0, ""},
		{time.Minute, 1e9, 24e9, 720e9, "2026-11-01 20:00"}, // as if it had been an hour
		{-time.Hour, 1e9, 24e9, 720e9, "2026-11-01 20:00"},  // a clock that is behind
		{90 * 24 * time.Hour, 15e9, 5e8, 15e9, ""},          // one that is ahead
	} {
		month := Account{Start: start, End: start.AddDate(0, 1, 0), Used: c.used, Cap: new(NanoUSD(20e9))}
		p := paceOf(month, start.Add(c.gone))
		usedUp := ""
		if p.UsedUp != nil {
			usedUp = p.UsedUp.Format("2006-01-02 15:04")
		}
		if p.PerDay != c.perDay || p.Month != c.month || usedUp != c.usedUp {
			t.Errorf("%v after %v: %v a day, %v in all, used up %q; want %v, %v, %q", c.used, c.gone, p.PerDay, p.Month, usedUp, c.perDay, c.month, c.usedUp)
		}
		month.Cap = nil
		if p := paceOf(month, start.Add(c.gone)); p.UsedUp != nil {
			t.Errorf("without a cap it is used up %v", p.UsedUp)
		}
	}
}

func TestScaleIsExactAndBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, num, den := rapid.Int64().Draw(t, "n"), rapid.Int64().Draw(t, "num"), rapid.Int64Min(1).Draw(t, "den")
		want := new(big.Int).Mul(big.NewInt(max(n, 0)), big.NewInt(max(num, 0)))
		want.Div(want, big.NewInt(den))
		if !want.IsInt64() {
			want.SetInt64(math.MaxInt64)
		}
		if got := scale(n, num, den); got != want.Int64() {
			t.Fatalf("%d × %d / %d = %d, want %v", n, num, den, got, want)
		}
	})
}
