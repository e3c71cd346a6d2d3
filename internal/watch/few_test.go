package watch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/money"
	"keyshield/internal/watch"
)

const cent = money.Dollar / 100

// drain is n calls of some users in turn, one every so often.
func (r *rig) drain(n int, every time.Duration, proven money.USD, ids ...string) {
	for i := range n {
		s := seen(ids[i%len(ids)])
		s.Proven = proven
		r.See(s)
		r.sleep(every)
	}
}

// stops is what was disabled since the last call.
func (r *rig) stops() []string {
	return slices.DeleteFunc(r.said(), func(said string) bool { return strings.HasPrefix(said, string(watch.Spike)) })
}

func names(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("mallory-%d", i))
	}
	return ids
}

// halfway is a month of $20 of which others have spent $11.
func halfway(t *testing.T, story func(*rig)) {
	t.Helper()
	bubble(t, usually(), func(r *rig) {
		r.spend(1100, 20*time.Second, cent, 0)
		if said := r.stops(); len(said) > 0 {
			t.Fatalf("an even day: %v", said)
		}
		story(r)
	})
}

func TestOneUserDoesNotStopEverybody(t *testing.T) {
	halfway(t, func(r *rig) {
		r.drain(22, 4*time.Second, 10*cent, "mallory")
		var stops []watch.Alarm
		for _, a := range r.heard() {
			if a.Kind != watch.Spike {
				stops = append(stops, a)
			}
		}
		if len(stops) != 1 || stops[0].Kind != watch.Disable || stops[0].Key != "key-of-mallory" {
			t.Fatalf("a newcomer's 22 calls for $2.20: %+v, want mallory disabled, and nobody else", stops)
		}
		a := stops[0]
		if a.ID != "mallory" || a.Issuer != "https://id.example" || a.Signal != watch.Dollars || a.For != time.Hour || a.Now != 2 {
			t.Errorf("%+v", a)
		}
		if want := "mallory spent $2 of the $2.02 that were spent in the last 2 minutes; at this pace the $7 left of the month's $20 " +
			"are gone in less than 10; disabled for 1h; undo: keyshield enable --user mallory"; a.Text != want {
			t.Errorf("got  %s\nwant %s", a.Text, want)
		}
		r.spend(500, time.Second, cent/4, 0)
		if said := r.stops(); len(said) > 0 {
			t.Errorf("the others, afterwards: %v", said)
		}
	})
}

func TestAHandfulIsDisabledBeforeEverything(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(*rig)
		want  []string
	}{
		{"two of equal parts, beside what others spend", func(r *rig) { r.drain(24, time.Second, 10*cent, names(2)...) },
			[]string{"disable mallory-0 dollars", "disable mallory-1 dollars"}},
		{"five of equal parts: the half is three of them", func(r *rig) { r.drain(25, time.Second, 10*cent, names(5)...) },
			[]string{"disable mallory-0 dollars", "disable mallory-1 dollars", "disable mallory-2 dollars"}},
		{"ten of equal parts are no handful", func(r *rig) { r.drain(30, time.Second, 10*cent, names(10)...) },
			[]string{"disable_all all dollars"}},
		{"the rest goes on as before", func(r *rig) {
			r.drain(22, time.Second, 10*cent, "mallory")
			r.drain(60, time.Second, 10*cent, names(30)...)
		}, []string{"disable mallory dollars", "disable_all all dollars"}},
		{"others are brought on within the hour", func(r *rig) {
			r.drain(22, time.Second, 10*cent, "mallory")
			r.sleep(50 * time.Minute)
			r.drain(22, time.Second, 10*cent, "trudy")
		}, []string{"disable mallory dollars", "disable_all all dollars"}},
		{"calls that were under way when they were disabled", func(r *rig) {
			r.drain(22, time.Second, 10*cent, "mallory")
			r.drain(22, time.Second, 10*cent, "mallory")
		}, []string{"disable mallory dollars"}},
		{"a disable that does not hold", func(r *rig) { r.drain(120, 4*time.Second, 5*cent, "mallory") },
			[]string{"disable mallory dollars", "disable_all all dollars"}},
		{"enabled again by the operator, and going on", func(r *rig) {
			r.drain(22, time.Second, 10*cent, "mallory")
			r.Forgive("key-of-mallory")
			r.sleep(2 * time.Minute)
			r.drain(22, time.Second, 10*cent, "mallory")
		}, []string{"disable mallory dollars", "disable mallory dollars"}},
		{"requests without a key are nobody's", func(r *rig) {
			for range 30 {
				r.See(watch.Seen{At: time.Now(), Proven: 10 * cent})
				r.sleep(time.Second)
			}
		}, []string{"disable_all all dollars"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			halfway(t, func(r *rig) {
				c.story(r)
				if diff := cmp.Diff(c.want, r.stops()); diff != "" {
					t.Errorf("-want +said:\n%s", diff)
				}
			})
		})
	}
}

// Somebody known who is disabled for their own habit is not disabled a second time
// by the purse, in whose sight they did the same.
func TestNobodyIsDisabledTwiceForOneDrain(t *testing.T) {
	bubble(t, watch.Options{Month: 2 * money.Dollar, DisableFor: time.Hour}, func(r *rig) {
		r.ordinary(5, "alice")
		r.heard()
		r.drain(20, time.Second/10, cent/2, "alice", "bob")
		r.drain(1, time.Second, 70*cent, "alice")
		if diff := cmp.Diff([]string{"disable alice dollars"}, r.stops()); diff != "" {
			t.Errorf("-want +said:\n%s", diff)
		}
	})
}

func TestNewcomersAndKnownUsersHaveABrakeEach(t *testing.T) {
	flooded := func(r *rig, ids []string) (disabled int) {
		for range 120 {
			for _, id := range ids {
				r.See(refused(id, "rate_limited"))
			}
			r.sleep(time.Second / 12)
		}
		for _, a := range r.heard() {
			if a.Kind == watch.Disable {
				disabled++
			}
		}
		return disabled
	}
	throwaways, known := names(30), []string{"alice"}
	for i := range 14 {
		known = append(known, fmt.Sprintf("known-%d", i))
	}
	for name, fresh := range map[string]bool{"a stolen token after a flood of throwaways": true, "a throwaway after a flood of known users": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, stateful(t), func(r *rig) {
				r.ordinary(5, known...)
				r.heard()
				flood, then := throwaways, "alice"
				if !fresh {
					flood, then = known, "mallory"
				}
				if n := flooded(r, flood); n != 10 {
					t.Errorf("%d of %d were disabled, want 10", n, len(flood))
				}
				r.restart()
				if n := flooded(r, []string{then}); n != 1 {
					t.Errorf("%s goes free: the others have used up the brake", then)
				}
				if n := flooded(r, flood[20%len(flood):]); n != 0 {
					t.Errorf("%d more were disabled after a restart", n)
				}
			})
		})
	}
}
