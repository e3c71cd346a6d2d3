package limit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	maxCount  = 1_000_000_000
	minPeriod = time.Second
	maxPeriod = 31 * 24 * time.Hour
)

// Rate is a number of requests per period. The zero Rate is off.
type Rate struct {
	Count  int
	Period time.Duration
}

// Off reports whether nothing is limited.
func (r Rate) Off() bool { return r == Rate{} }

// Times returns n times the rate in the same period.
func (r Rate) Times(n int) Rate {
	if r.Off() {
		return r
	}
	if n > maxCount/r.Count {
		return Rate{maxCount, r.Period}
	}
	return Rate{r.Count * n, r.Period}
}

// UnmarshalText reads "20/15m" or "off".
func (r *Rate) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "off" {
		*r = Rate{}
		return nil
	}
	count, period, ok := strings.Cut(s, "/")
	if !ok {
		return fmt.Errorf(`%q is not a rate: write <number>/<duration>, such as 20/15m, or "off"`, s)
	}
	n, err := strconv.ParseUint(count, 10, 32)
	if err != nil || n < 1 || n > maxCount {
		return fmt.Errorf(`%q: the number before the slash must be 1 to %d, as in 20/15m; for no limit write "off"`, s, maxCount)
	}
	d, err := time.ParseDuration(period)
	if err != nil {
		return fmt.Errorf(`%q: the duration after the slash must be like 30s, 15m or 24h, as in 20/15m`, s)
	}
	if d < minPeriod || d > maxPeriod || d%time.Second != 0 {
		return fmt.Errorf(`%q: the duration must be whole seconds, from 1s to %dh, as in 20/15m`, s, int(maxPeriod.Hours()))
	}
	*r = Rate{int(n), d}
	return nil
}

// String returns what UnmarshalText reads: "20/15m", "off".
func (r Rate) String() string {
	if r.Off() {
		return "off"
	}
	period := r.Period.String() // 15m0s
	if strings.HasSuffix(period, "m0s") {
		period = strings.TrimSuffix(period, "0s")
	}
	if strings.HasSuffix(period, "h0m") {
		period = strings.TrimSuffix(period, "0m")
	}
	return strconv.Itoa(r.Count) + "/" + period
}

// MarshalText returns String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
