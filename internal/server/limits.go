package server

import (
	"net/http"
	"strconv"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/limit"
)

const (
	// tableSize is how many addresses or users a limiter knows apart. Beyond it
	// strangers share one allowance. All tables full are less than 64 MB.
	tableSize = 200_000

	// wideFactor is how much more than one /64 network the /48 around it may do.
	wideFactor = 10
)

// limits are the two limiters of an address: the address itself (of IPv6 the
// /64, which any subscriber has whole) and the /48 around it.
type limits struct{ narrow, wide *limit.Limiter }

func newLimits(rate limit.Rate) limits {
	return limits{limit.New(rate, tableSize), limit.New(rate.Times(wideFactor), tableSize)}
}

// limitByIP counts requests that can spend. It stands before any cryptography.
func (s *Server) limitByIP(w http.ResponseWriter, r *http.Request) error {
	return s.spending.take(w, r)
}

// limitOthers counts everything else, with ten times the allowance.
func (s *Server) limitOthers(w http.ResponseWriter, r *http.Request) error {
	return s.others.take(w, r)
}

func (l limits) take(w http.ResponseWriter, r *http.Request) error {
	key, wide := limit.AddrKeys(scopeOf(r).IP)
	d := l.narrow.Take(w, r, key)
	if d.Allowed && wide != "" {
		d = tighter(d, l.wide.Take(w, r, wide))
	}
	responseOf(w).limit = d
	if d.Allowed {
		return nil
	}
	return apierr.New(http.StatusTooManyRequests, "rate_limited", "Too many requests from this IP. Please try again after %s.", inWords(d.Wait)).After(d.Wait)
}

// limitByUser counts what one signed-in user does, wherever from.
func (s *Server) limitByUser(w http.ResponseWriter, r *http.Request) error {
	d := s.tierOf(r).users.Take(w, r, scopeOf(r).Caller.Pseudonym)
	out := responseOf(w)
	out.limit = tighter(out.limit, d)
	if d.Allowed {
		return nil
	}
	return apierr.New(http.StatusTooManyRequests, "rate_limited", "Too many requests. Please try again after %s.", inWords(d.Wait)).After(d.Wait)
}

// takeStream occupies one of the user's stream slots.
func (t *tier) takeStream(r *http.Request) (release func(), err error) {
	release, ok := t.slots.Acquire(scopeOf(r).Caller.Pseudonym)
	if !ok {
		return nil, apierr.New(http.StatusTooManyRequests, "too_many_streams", "Too many answers are being streamed to you at once. Please wait until one has ended.").After(2 * time.Second)
	}
	return release, nil
}

// boundOpen bounds the requests in flight. What it admits is counted until
// observe's finish.
func (s *Server) boundOpen(w http.ResponseWriter, r *http.Request) error {
	if s.inFlight.Add(1) > int64(s.cfg.MaxInFlight) {
		s.inFlight.Add(-1)
		return apierr.New(http.StatusServiceUnavailable, "overloaded", "Our system is busy right now. Please try again soon.").After(2 * time.Second)
	}
	scopeOf(r).counted = true
	return nil
}

// tell writes the headers of a limit (draft-ietf-httpapi-ratelimit-headers:
// seconds, not a date).
func tell(h http.Header, d limit.Decision) {
	if d.Limit == 0 {
		return // off, or none passed yet
	}
	said := [...]string{strconv.Itoa(d.Limit), strconv.Itoa(d.Remaining), strconv.Itoa(wholeSeconds(d.Reset)), d.Policy}
	values := said[:]
	h["Ratelimit-Limit"] = values[0:1:1]
	h["Ratelimit-Remaining"] = values[1:2:2]
	h["Ratelimit-Reset"] = values[2:3:3]
	h["Ratelimit-Policy"] = values[3:4:4]
}

// tighter is the limit that refuses, or the one with less left.
func tighter(a, b limit.Decision) limit.Decision {
	if b.Limit > 0 && (a.Limit == 0 || !b.Allowed || b.Remaining < a.Remaining) {
		return b
	}
	return a
}
