package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	ownLines  = 1_000  // of a user and a code, at once;
	moreLines = 60     // they get so many back a minute
	maxTurned = 10_000 // users and codes that are told apart
)

// Turned takes a request of a known user for which nothing was asked of OpenAI: it was
// refused, or looked at what is left and what there is. A user has 1,000 lines for each
// code (none is one, too), and 60 more with each minute: so many get a line each, as with
// Request and wait; the others of a minute are counted and share one, which is written
// when the minute is over and at Close: a request's record with Count, and only what they
// have in common. So a user with a valid token, disabled or not, cannot fill the disk, and
// nothing goes uncounted, except that kill -9 loses the count of the minute. Beyond 10,000
// users and codes all others share one line for each outcome and code, which names nobody.
func (l *Log) Turned(r *Record) {
	now := l.opts.Now()
	own, over := l.turned.count(r, now)
	for _, sum := range over {
		l.push(&sum, false)
	}
	if own {
		l.Request(r, true)
	}
}

type who struct{ user, code string }

// how is how a request ended.
type how struct{ outcome, code string }

// sum is the requests of one user that ended with one code.
type sum struct {
	left   int64  // lines of their own
	record Record // of the others, in this minute
}

// turned counts for a minute what known users did for nothing.
type turned struct {
	most int64 // lines that a user has, for a code

	mu     sync.Mutex
	minute time.Time
	sums   map[who]*sum
	others map[how]int64
	ended  bool
}

// count says whether r gets a line of its own, and ends the last minute if it is over.
func (t *turned) count(r *Record, now time.Time) (own bool, over []Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return true, nil // which is refused, and counted as lost
	}
	if !t.minute.Equal(now.Truncate(time.Minute)) {
		over = t.take(now)
	}
	key := who{cmp.Or(r.UserKey, r.Issuer+"\x00"+r.User), r.Code}
	s := t.sums[key]
	if s == nil {
		if len(t.sums) >= maxTurned {
			t.stranger(how{outcomeOf(r), r.Code})
			return false, over
		}
		s = &sum{left: t.most}
		t.sums[who{strings.Clone(key.user), strings.Clone(key.code)}] = s
	}
	if s.left > 0 {
		s.left--
		return true, over
	}
	if s.record.Count == 0 {
		s.record = Record{
			Kind: Request, Time: t.minute, Outcome: outcomeOf(r), Code: kept(r.Code), Status: r.Status,
			User: kept(r.User), Issuer: kept(r.Issuer), UserKey: kept(r.UserKey), Plan: kept(r.Plan),
		}
	}
	s.record.Count++
	return false, over
}

// kept is a text that outlives its request: no more of it than a line has.
func kept(s string) string { return strings.Clone(bounded(s, maxText)) }

func outcomeOf(r *Record) string { return cmp.Or(r.Outcome, Denied) }

func (t *turned) stranger(end how) {
	if _, known := t.others[end]; !known && len(t.others) >= maxCodes {
		end = how{Denied, otherCodes}
	}
	t.others[how{strings.Clone(end.outcome), strings.Clone(end.code)}]++
}

// turn gives the sums of a minute that is over.
func (t *turned) turn(now time.Time) []Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.minute.Equal(now.Truncate(time.Minute)) {
		return nil
	}
	return t.take(now)
}

// end gives the last sums.
func (t *turned) end(now time.Time) []Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	return t.take(now)
}

func (h how) compare(to how) int {
	return cmp.Or(cmp.Compare(h.code, to.code), cmp.Compare(h.outcome, to.outcome))
}

func (t *turned) take(now time.Time) (records []Record) {
	for _, s := range t.sums {
		if s.record.Count > 0 {
			records = append(records, s.record)
		}
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.UserKey, b.UserKey), cmp.Compare(a.User, b.User), cmp.Compare(a.Code, b.Code))
	})
	for _, end := range slices.SortedFunc(maps.Keys(t.others), how.compare) {
		records = append(records, Record{
			Kind: Request, Time: t.minute, Outcome: end.outcome, Code: end.code, Count: t.others[end], Why: "of further users",
		})
	}
	t.refill(now)
	t.others = map[how]int64{}
	t.minute = now.Truncate(time.Minute)
	return records
}

// refill gives back lines, and forgets who has all of them.
func (t *turned) refill(now time.Time) {
	minutes := max(1, int64(now.Sub(t.minute)/time.Minute))
	again := map[who]*sum{}
	for key, s := range t.sums {
		if left := s.left + moreLines*minutes; left < t.most {
			again[key] = &sum{left: left}
		}
	}
	t.sums = again
}
