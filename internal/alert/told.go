package alert

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxTold bounds what is remembered: a flood may be about a new user each time.
const maxTold = 1024

// always are the kinds that are told each time: each of them changes what the
// operator believes to be so.
var always = map[string]bool{
	KindUserDisabled: true, KindUserEnabled: true, KindServiceDisabled: true, KindServiceEnabled: true,
	KindKeyRotated: true, KindKeyRecovered: true, KindReconciled: true,
}

// seldom are reminders: their Key changes when they should be told again.
var seldom = map[string]bool{KindKeyOld: true, KindModelRetiring: true}

const seldomWindow = 31 * 24 * time.Hour

// ends says which kind takes back which. What was taken back is told again at
// once when it returns: else "works again" would be the last word on what is broken.
var ends = map[string]string{
	KindLedgerWritable: KindLedgerUnwritable,
	KindAuditWorks:     KindAuditBroken,
	KindSourceBack:     KindSourceFailed,
	KindKeyRecovered:   KindKeyRejected,
}

// endsForAll takes back what is told without a Key.
var endsForAll = map[string]string{KindKeyRotated: KindNoKeyLeft, KindKeyRecovered: KindNoKeyLeft}

// told remembers what was told, and how often it was not.
type told struct {
	window time.Duration
	last   map[subject]*telling
}

type subject struct{ Kind, Key string }

type telling struct {
	Severity Severity
	At       time.Time
	More     int // as many since were not told
}

// admit says whether e is told, and adds to it how many were not.
func (t *told) admit(e Event, now time.Time) (_ Event, fresh bool) {
	s := subject{e.Kind, e.Key}
	before := t.last[s]
	if before != nil && e.Severity <= before.Severity && t.recent(e.Kind, before.At, now) {
		before.More++
		return e, false
	}
	if before != nil && before.More > 0 && !seldom[e.Kind] {
		meantime := fmt.Sprintf("And %d more in the meantime.", before.More)
		if e.Text != "" {
			meantime = cut(e.Text, maxText-len(meantime)-1) + "\n" + meantime
		}
		e.Text = meantime
	}
	t.takeBack(e)
	if t.last == nil {
		t.last = make(map[subject]*telling)
	}
	t.last[s] = &telling{Severity: e.Severity, At: now}
	t.shrink(now)
	return e, true
}

// recent is false where the clock was set back: rather twice than never.
func (t *told) recent(kind string, at, now time.Time) bool {
	window := t.window
	switch {
	case always[kind]:
		return false
	case seldom[kind]:
		window = seldomWindow
	}
	since := now.Sub(at)
	return since >= 0 && since < window
}

func (t *told) takeBack(e Event) {
	for end, begin := range ends {
		switch e.Kind {
		case end:
			delete(t.last, subject{begin, e.Key})
		case begin:
			delete(t.last, subject{end, e.Key})
		}
	}
	if begin, ok := endsForAll[e.Kind]; ok {
		delete(t.last, subject{begin, ""})
	}
}

// shrink forgets what no longer matters, and an eighth of the rest, the oldest, if
// that is not enough: in a flood of new subjects not each of them buys a search.
func (t *told) shrink(now time.Time) {
	if len(t.last) <= maxTold {
		return
	}
	maps.DeleteFunc(t.last, func(s subject, v *telling) bool {
		return v.More == 0 && !t.recent(s.Kind, v.At, now)
	})
	if len(t.last) <= maxTold-maxTold/8 {
		return
	}
	oldest := slices.SortedFunc(maps.Keys(t.last), func(a, b subject) int {
		return t.last[a].At.Compare(t.last[b].At)
	})
	for _, s := range oldest[:len(oldest)-(maxTold-maxTold/8)] {
		delete(t.last, s)
	}
}
