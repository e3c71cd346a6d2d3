package watch

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"time"
)

const codeDisabled = "disabled"

// notTheirs are refusals that say nothing about the user: they come over everyone
// when we or the provider are in trouble, and a budget may be everyone's.
var notTheirs = []string{
	"budget_busy", "budget_exhausted", "insufficient_quota", "internal", "output_limit_reached",
	"overloaded", "unavailable", "upstream_error", "upstream_interrupted", "upstream_timeout",
}

// tooOften are refusals of somebody who goes on although there were too many. Other
// refusals are mistakes, or somebody trying out what is let through: worth an alert,
// and harmless.
var tooOften = []string{"rate_limited", "rate_limit_exceeded", "too_many_streams"}

// sight is what of a request counts.
type sight struct {
	now     int64
	asked   int64 // 0 or 1: of OpenAI, or would have been if they came less often
	refused int64 // 0 or 1
	flooded int64 // 0 or 1: refused for coming too often
	theirs  bool  // the user's own doing
	proven  int64
	from    uint64 // hash of the address, if
	located bool

	by              uint64 // hash of the key, if there is one
	key, issuer, id string
}

func (w *Watch) sight(s *Seen) sight {
	of := sight{now: w.instant(s.At), theirs: true, proven: max(0, int64(s.Proven))}
	switch {
	case s.Refused:
		of.refused, of.theirs = 1, !slices.Contains(notTheirs, s.Code)
		if slices.Contains(tooOften, s.Code) {
			of.asked, of.flooded = 1, 1
		}
	case !s.Free:
		of.asked = 1
	}
	if s.Key != "" && len(s.Key) <= maxKey {
		of.by, of.key, of.issuer, of.id = maphash.String(w.table.seed, s.Key), s.Key, s.Issuer, s.ID
	}
	if s.IP.IsValid() {
		of.from, of.located = hashAddr(w.seed, s.IP), true
	}
	return of
}

// instant is a time in Unix seconds that steps of the wall clock do not move while
// the process lives, if at has a monotonic reading.
func (w *Watch) instant(at time.Time) int64 {
	if at.IsZero() {
		at = w.options.Now()
	}
	return int64(stamp(w.base.Add(at.Sub(w.base)).Unix())) // in 2106 it is a clock set back, once
}

// hashAddr hashes the address; of IPv6 a subscriber's /64, who has 2^64 addresses
// to come from.
func hashAddr(seed maphash.Seed, addr netip.Addr) uint64 {
	b := addr.As16()
	if !addr.Is4() && !addr.Is4In6() {
		clear(b[8:])
	}
	return maphash.Bytes(seed, b[:])
}
