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
	ownLines  = 1_000  // a minute, of a user refused with a code
	maxTurned = 10_000 // users and codes that are told apart in a minute
)

// Turned takes a refusal of a known user before anything was asked: they are disabled,
// too fast, or the server is full. The first 1,000 of a user, code and minute get a
// line each, as with Request and wait; the others of that minute are counted and share one, which
// is written when the minute is over and at Close: a request's record with Count, and
// only what they have in common. So a user with a valid token cannot fill the disk, and
// nothing goes uncounted, except that kill -9 loses the count of the minute. Beyond
// 10,000 users and codes in a minute, all others share one line for each code, which
// names nobody.
func (l *Log) Turned(r *Record) {
	now := l.opts.Now()
	own, over := l.turned.count(r, now, l.opts.own)
	for _, sum := range over {
		l.push(&sum, false)
	}
	if own {
		l.Request(r, true)
	}
}

type who struct{ user, code string }

// sum is what one user was refused with one code.
type sum struct {
	own    int64  // lines of their own
	record Record // of the others
}

// turned counts refusals of known users for a minute.
type turned struct {
	mu     sync.Mutex
	minute time.Time
	sums   map[who]*sum
	others map[string]int64 // by code
	ended  bool
}

// count says whether r gets a line of its own, and ends the last minute if it is over.
func (t *turned) count(r *Record, now time.Time, most int64) (own bool, over []Record) {
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
			t.stranger(r.Code)
			return false, over
		}
		s = &sum{}
		t.sums[who{strings.Clone(key.user), strings.Clone(key.code)}] = s
	}
	if s.own < most {
		s.own++
		return true, over
	}
	if s.record.Count == 0 {
		s.record = Record{
			Kind: Request, Time: t.minute, Outcome: cmp.Or(r.Outcome, Denied), Code: kept(r.Code), Status: r.Status,
			User: kept(r.User), Issuer: kept(r.Issuer), UserKey: kept(r.UserKey), Plan: kept(r.Plan),
		}
	}
	s.record.Count++
	return false, over
}

// kept is a text that outlives its request: no more of it than a line has.
func kept(s string) string { return strings.Clone(bounded(s, maxText)) }

func (t *turned) stranger(code string) {
	if _, known := t.others[code]; !known && len(t.others) >= maxCodes {
		code = otherCodes
	}
	t.others[strings.Clone(code)]++
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

func (t *turned) take(now time.Time) (records []Record) {
	for _, s := range t.sums {
		if s.record.Count > 0 {
			records = append(records, s.record)
		}
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.UserKey, b.UserKey), cmp.Compare(a.User, b.User), cmp.Compare(a.Code, b.Code))
	})
	for _, code := range slices.Sorted(maps.Keys(t.others)) {
		records = append(records, Record{
			Kind: Request, Time: t.minute, Outcome: Denied, Code: code, Count: t.others[code], Why: "of further users",
		})
	}
	t.sums, t.others = map[who]*sum{}, map[string]int64{}
	t.minute = now.Truncate(time.Minute)
	return records
}
