// Package limit says how often: requests per period ([Limiter]), things open at
// once ([Slots]), and whose address is counted ([Trust], [AddrKeys]).
//
// We count with httprate's sliding window over our own table: its own is never
// freed, tells every client to wait the whole window, and hashes keys with no
// seed. Windows lie on the wall clock, as a shared store's must. Nothing slow may
// stand behind a Limiter: httprate holds one lock across the whole decision.
package limit

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/go-chi/httprate"
)

// Decision is what a Limiter answers. The caller writes the headers from it.
//
// Remaining and Reset follow draft-ietf-httpapi-ratelimit-headers-10: Reset is
// the time until there is more than Remaining, so on a refusal it equals Wait,
// and it is 0 while nothing is used. While requests are let through it is never
// said to be more than a period, though the last trace of a request can take half
// a period longer to fade: nobody would believe it.
type Decision struct {
	Allowed   bool
	Limit     int           // 0 when there is no limit
	Remaining int           // requests that would be let through at once now
	Reset     time.Duration // until one more than Remaining would be, or a period
	Wait      time.Duration // until one request is let through; 0 when Allowed
	Policy    string        // for RateLimit-Policy: "20;w=900"
}

// Limiter counts requests by key. New makes one.
type Limiter struct {
	rate    Rate
	policy  string
	counter *counter
	limiter *httprate.RateLimiter
}

// New makes a Limiter that tells at most capacity keys apart in a period. Keys
// beyond that share one allowance: a table that a flood could grow without end
// would be the better target, and forgetting somebody would free a flooder.
func New(rate Rate, capacity int) *Limiter {
	if rate.Off() {
		return &Limiter{}
	}
	counter := newCounter(capacity)
	return &Limiter{
		rate:    rate,
		policy:  fmt.Sprintf("%d;w=%d", rate.Count, int64(rate.Period/time.Second)),
		counter: counter,
		limiter: httprate.NewRateLimiter(rate.Count, rate.Period,
			httprate.WithLimitCounter(counter),
			httprate.WithResponseHeaders(httprate.ResponseHeaders{}), // ours are written from the Decision
			httprate.WithLimitHandler(func(http.ResponseWriter, *http.Request) {}),
			httprate.WithErrorHandler(func(http.ResponseWriter, *http.Request, error) {}), // the default shows the error's text
		),
	}
}

// Take counts one request of key if it is allowed. It writes nothing to w.
func (l *Limiter) Take(w http.ResponseWriter, r *http.Request, key string) Decision {
	if l.rate.Off() {
		return Decision{Allowed: true}
	}
	allowed := !l.limiter.OnLimit(w, r, key)
	now := time.Now().UTC()
	usage := l.counter.usage(key, now.Truncate(l.rate.Period))
	return l.decide(usage, now, allowed)
}

// Look says where key stands, and counts nothing. Allowed is whether one request
// would be.
func (l *Limiter) Look(key string) Decision {
	if l.rate.Off() {
		return Decision{Allowed: true}
	}
	now := time.Now().UTC()
	window := now.Truncate(l.rate.Period)
	usage := l.counter.usage(key, window)
	curr, prev := usage.at(window, l.rate.Period)
	return l.decide(usage, now, weigh(curr, prev, now.Sub(window), l.rate.Period) < l.rate.Count)
}

// Len is how many keys are told apart in this period.
func (l *Limiter) Len() int {
	if l.counter == nil {
		return 0
	}
	return l.counter.size()
}

// decide describes where usage stands at now. Between OnLimit and here others may
// have taken, or a window ended: then what is left is told as it is now, but
// never as something on a refusal.
func (l *Limiter) decide(u usage, now time.Time, allowed bool) Decision {
	d := Decision{Allowed: allowed, Limit: l.rate.Count, Policy: l.policy}
	window := now.Truncate(l.rate.Period)
	if curr, prev := u.at(window, l.rate.Period); allowed {
		d.Remaining = max(0, l.rate.Count-weigh(curr, prev, now.Sub(window), l.rate.Period))
	}
	if d.Remaining < l.rate.Count {
		d.Reset = l.until(u, now, d.Remaining+1)
	}
	if allowed {
		d.Reset = min(d.Reset, l.rate.Period)
		return d
	}
	d.Reset = max(d.Reset, 1) // a refusal is never followed by "at once"
	d.Wait = d.Reset
	return d
}

const nearby = 16 // nanoseconds

// until is the time from now until n requests would be let through together, if
// nobody asked meanwhile; n ≤ Count. What is counted only ever weighs less as time
// passes, so the first such instant in a window is found by halving.
func (l *Limiter) until(u usage, now time.Time, n int) time.Duration {
	period := l.rate.Period
	for window := now.Truncate(period); ; window = window.Add(period) {
		curr, prev := u.at(window, period)
		fits := func(into time.Duration) bool {
			return weigh(curr, prev, into, period)+n <= l.rate.Count
		}
		low, high := max(0, now.Sub(window)), period-1
		if !fits(high) {
			continue
		}
		// The arithmetic turned round comes within a few nanoseconds, which leaves
		// next to nothing to halve.
		if prev > 0 {
			near := time.Duration(float64(period) * (1 - (float64(l.rate.Count-n-curr)+0.5)/float64(prev)))
			if before := near - nearby; low <= before && before < high && !fits(before) {
				low = before + 1
			}
			if after := near + nearby; low < after && after < high && fits(after) {
				high = after
			}
		}
		for low < high {
			if mid := low + (high-low)/2; fits(mid) {
				high = mid
			} else {
				low = mid + 1
			}
		}
		return window.Add(low).Sub(now)
	}
}

// weigh is httprate's own arithmetic, to the last bit: the previous window counts
// for the share of it that still lies within one period, and the sum is rounded.
func weigh(curr, prev int, into, period time.Duration) int {
	rate := float64(prev)*(float64(period)-float64(into))/float64(period) + float64(curr)
	return int(math.Round(rate))
}
