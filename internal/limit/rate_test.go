package limit_test

import (
	"strings"
	"testing"
	"time"

	"keyshield/internal/limit"
)

func TestRateReads(t *testing.T) {
	for text, want := range map[string]limit.Rate{
		"20/15m":        {Count: 20, Period: 15 * time.Minute},
		"100/1h":        {Count: 100, Period: time.Hour},
		"600/90s":       {Count: 600, Period: 90 * time.Second},
		"1000000000/1s": {Count: 1e9, Period: time.Second},
		"1/744h":        {Count: 1, Period: 31 * 24 * time.Hour},
		"off":           {},
	} {
		var r limit.Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%q = %+v, %v; want %+v", text, r, err, want)
		}
	}
}

func TestARateThatIsNoneSaysWhatIs(t *testing.T) {
	for _, text := range []string{
		"", "20", "/", "20/", "/15m", "0/15m", "-1/15m", "+1/15m", "1.5/1m", "1000000001/1s", "99999999999999999999/1s", "20/15", "20/15min",
		"20/0s", "20/500ms", "20/1500ms", "20/-15m", "20/745h", "20/15m/2", " 20/15m", "20 / 15m", "OFF", "Off", "none", "unlimited", "20/2562048h",
	} {
		r := limit.Rate{Count: 7, Period: time.Minute}
		err := r.UnmarshalText([]byte(text))
		if err == nil {
			t.Errorf("%q is taken for %v", text, r)
			continue
		}
		if !strings.Contains(err.Error(), "20/15m") {
			t.Errorf("%q: %q does not show a right value", text, err)
		}
		if r != (limit.Rate{Count: 7, Period: time.Minute}) {
			t.Errorf("%q changed the rate to %v all the same", text, r)
		}
	}
}

func TestRateTimesStaysARate(t *testing.T) {
	minute := time.Minute
	for _, tt := range []struct{ rate, want limit.Rate }{
		{limit.Rate{Count: 20, Period: minute}, limit.Rate{Count: 200, Period: minute}},
		{limit.Rate{Count: 5e8, Period: minute}, limit.Rate{Count: 1e9, Period: minute}},
		{limit.Rate{}, limit.Rate{}},
	} {
		if got := tt.rate.Times(10); got != tt.want {
			t.Errorf("10 × %v = %v, want %v", tt.rate, got, tt.want)
		}
	}
}

func FuzzRate(f *testing.F) {
	for _, s := range []string{"20/15m", "off", "1/1h0m1s", "7/100m", "10/10h", "1/0.5m", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var r, again limit.Rate
		if r.UnmarshalText([]byte(s)) != nil {
			return
		}
		if !r.Off() && (r.Count < 1 || r.Period < time.Second) {
			t.Fatalf("%q = %+v limits nothing", s, r)
		}
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Errorf("%q = %v, read again: %v, %v", s, r, again, err)
		}
	})
}
