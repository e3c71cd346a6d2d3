package policy

import (
	"testing"
	"time"

	"keyshield/internal/money"
)

// TestARiseCountsADayEarly: so far OpenAI's prices only fell; the next change
// may be the other way.
func TestARiseCountsADayEarly(t *testing.T) {
	rise := day(2027, 3, 1)
	prices := &Table{models: map[string]*priced{"m": {id: "m", kinds: []Kind{Chat}, periods: []period{
		{base: rates{input: 1 * money.Dollar, output: 1 * money.Dollar}},
		{from: rise, base: rates{input: 2 * money.Dollar, output: 2 * money.Dollar}},
		{from: rise.Add(36 * time.Hour), base: rates{input: 3 * money.Dollar, output: 3 * money.Dollar}},
	}}}}
	for after, want := range map[time.Duration]money.USD{
		-24*time.Hour - 1: 1, -24 * time.Hour: 2, -1: 2, 0: 2, 12*time.Hour - 1: 2, 12 * time.Hour: 3, 1000 * time.Hour: 3,
	} {
		// 256 tokens of frame and 16 beyond the limit, and so 1000 in all.
		got, err := prices.Ceiling("m", Chat, Bounds{BodyBytes: 700, OutputLimit: 28}, Same, rise.Add(after))
		if err != nil || got != want*1000*1000 {
			t.Errorf("%v after the rise: %v, %v; want %v", after, got, err, want*1000*1000)
		}
	}
}
