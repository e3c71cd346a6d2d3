package reconcile

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyshield/internal/money"
)

const cent = money.Dollar / 100

func day(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }

func TestWhatIsSpentElsewhereIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		theirs []Day
		ours   []Charged
		want   money.USD
		from   int
		to     int
	}{
		"nothing at all":               {},
		"equal":                        {[]Day{{day(1), 50 * cent}}, []Charged{{day(1), 50 * cent, 0}}, 0, 0, 0},
		"OpenAI is late":               {[]Day{{day(1), 10 * cent}}, []Charged{{day(1), 50 * cent, 0}}, 0, 0, 0},
		"rounding":                     {[]Day{{day(1), 51 * cent}}, []Charged{{day(1), 50 * cent, 0}}, 0, 0, 0},
		"a percent of much":            {[]Day{{day(1), 1009 * cent}}, []Charged{{day(1), 1000 * cent, 0}}, 0, 0, 0},
		"a second program":             {[]Day{{day(1), 80 * cent}}, []Charged{{day(1), 50 * cent, 0}}, 30 * cent, 1, 1},
		"only a second program":        {[]Day{{day(3), 80 * cent}}, nil, 80 * cent, 3, 3},
		"hidden among cheap days":      {[]Day{{day(1), 0}, {day(2), 90 * cent}, {day(3), 0}}, []Charged{{day(1), 50 * cent, 0}, {day(2), 50 * cent, 0}, {day(3), 50 * cent, 0}}, 40 * cent, 2, 2},
		"a little on each of days":     {[]Day{{day(1), 9 * cent}, {day(2), 9 * cent}, {day(3), 9 * cent}}, []Charged{{day(1), 8 * cent, 0}, {day(2), 8 * cent, 0}, {day(3), 8 * cent, 0}}, 3 * cent, 1, 3},
		"under way at midnight":        {[]Day{{day(1), 10 * cent}, {day(2), 25 * cent}}, []Charged{{day(1), 20 * cent, 10 * cent}, {day(2), 15 * cent, 0}}, 0, 0, 0},
		"more than was under way":      {[]Day{{day(1), 10 * cent}, {day(2), 45 * cent}}, []Charged{{day(1), 20 * cent, 10 * cent}, {day(2), 15 * cent, 0}}, 20 * cent, 2, 2},
		"a day that we do not have":    {[]Day{{day(1), 10 * cent}, {day(4), 10 * cent}}, []Charged{{day(1), 10 * cent, 0}}, 10 * cent, 4, 4},
		"a credit on another day":      {[]Day{{day(1), -50 * cent}, {day(2), 40 * cent}}, []Charged{{day(2), 10 * cent, 0}}, 30 * cent, 2, 2},
		"a day in two parts of theirs": {[]Day{{day(1), 30 * cent}, {day(1), 30 * cent}}, []Charged{{day(1), 40 * cent, 0}}, 20 * cent, 1, 1},
	} {
		got := Compare(c.theirs, c.ours, Usual)
		if got.Elsewhere != c.want || c.want > 0 && (!got.From.Equal(day(c.from)) || !got.To.Equal(day(c.to))) {
			t.Errorf("%s: %v elsewhere from %v to %v, want %v from %d to %d", name, got.Elsewhere, got.From, got.To, c.want, c.from, c.to)
		}
	}
}

// What only we have spent is never taken for someone else's, however OpenAI cuts it
// into days at midnight and however late it is.
func TestOurOwnSpendingIsNeverElsewhere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var ours []Charged
		theirs := make([]Day, 0, 12)
		carried := money.USD(0)
		for n := range rapid.IntRange(1, 10).Draw(t, "days") {
			amount := money.USD(rapid.Int64Range(0, int64(money.Dollar)).Draw(t, "charged"))
			last := money.USD(rapid.Int64Range(0, int64(amount)).Draw(t, "in the last hour"))
			late := money.USD(rapid.Int64Range(0, int64(last)).Draw(t, "counted on the next day"))
			there := rapid.Int64Range(0, int64(amount-late+carried)).Draw(t, "has arrived")
			ours = append(ours, Charged{day(1).AddDate(0, 0, n), amount, last})
			theirs = append(theirs, Day{day(1).AddDate(0, 0, n), money.USD(there)})
			carried = late
		}
		if r := Compare(theirs, ours, Tolerance{}); r.Elsewhere != 0 {
			t.Fatalf("%v elsewhere: %+v", r.Elsewhere, r)
		}
	})
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(`{"object":"page","data":[{"object":"bucket","start_time":1730419200,"end_time":1730505600,"results":[{"object":"organization.costs.result","amount":{"value":0.06,"currency":"usd"},"line_item":null}]}],"has_more":false,"next_page":null}`))
	f.Add([]byte(`{"object":"page","data":[{"start_time":0,"results":[{"amount":{"value":"1.2e-5"}}]}],"has_more":true,"next_page":"x"}`))
	f.Add([]byte(`{"object":"page","data":[{"results":[{"amount":{"value":1e999999999}}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		days, _, err := readPage(body)
		if err != nil {
			return
		}
		for _, d := range days {
			if d.Amount > money.Max || d.Start.Unix() < 0 {
				t.Errorf("a day that cannot be: %+v", d)
			}
		}
	})
}

func TestAmountsAreReadAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]money.USD{
		"0.06": 6 * cent, "0.1": 10 * cent, "0.10000000000000001": 10 * cent, "1.2345678e-05": 12346, "12": 12 * money.Dollar,
		`"0.5"`: 50 * cent, "0": 0, "null": 0, "-0.25": -25 * cent, "1E2": 100 * money.Dollar,
	} {
		if got, err := dollars([]byte(text)); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"1e9999999", `"a"`, "{}", "[1]", "true", "1/2", "0x10", "1_000", "9e12", "-9e12", `"` + string(make([]byte, 100)) + `"`} {
		if got, err := dollars([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
