package watch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/watch"
)

// spend is n calls of many users, one every so often.
func (r *rig) spend(n int, every time.Duration, proven, unproven money.USD) {
	for i := range n {
		s := seen(fmt.Sprintf("user-%d", i%500))
		s.Proven, s.Unproven = proven, unproven
		r.See(s)
		r.sleep(every)
	}
}

func TestWhenEverythingIsStopped(t *testing.T) {
	const cent = money.Dollar / 100
	for _, c := range []struct {
		name  string
		month money.USD
		story func(*rig)
		want  bool
	}{
		{"a fifth of the cap in half a minute", 20 * money.Dollar, func(r *rig) { r.spend(30, time.Second, 14*cent, 0) }, true},
		{"two thirds in ten minutes", 20 * money.Dollar, func(r *rig) { r.spend(600, time.Second, cent*9/4, 0) }, true},
		{"the cap in an hour, evenly: the half that is left lasts half an hour", 20 * money.Dollar, func(r *rig) { r.spend(1800, time.Second, 20*money.Dollar/3600, 0) }, false},
		{"the cap in an hour, evenly, to its end", 20 * money.Dollar, func(r *rig) { r.spend(3600, time.Second, 20*money.Dollar/3600, 0) }, true},
		{"two dear calls under a small cap", money.Dollar, func(r *rig) { r.spend(2, time.Second, 30*cent, 0) }, false},
		{"nineteen dear calls under a small cap", money.Dollar, func(r *rig) { r.spend(19, time.Second, 5*cent, 0) }, false},
		{"the cap charged at the ceiling, nothing proven", 20 * money.Dollar, func(r *rig) { r.spend(600, time.Second, 0, money.Dollar) }, false},
		{"ceilings beside a little that is proven", 20 * money.Dollar, func(r *rig) { r.spend(600, time.Second, cent/100, money.Dollar) }, false},
		{"the last tenth of the month's cap in a minute", 20 * money.Dollar, func(r *rig) {
			r.spend(1825, 20*time.Second, cent, 0) // 18.25 dollars, over ten hours
			r.runs("an even day")
			r.spend(60, time.Second, 3*cent, 0)
		}, false},
		{"a month ends, and another begins", 20 * money.Dollar, func(r *rig) {
			r.spend(1500, 20*time.Second, cent, 0)
			r.sleep(31 * 24 * time.Hour)
			r.spend(60, time.Second, 5*cent, 0)
		}, false},
		{"no cap", -1, func(r *rig) { r.spend(600, time.Second, 100*money.Dollar, 0) }, false},
		{"a cap of nothing", 0, func(r *rig) { r.spend(600, time.Second, cent, 0) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, watch.Options{Month: c.month, DisableFor: time.Hour}, func(r *rig) {
				c.story(r)
				all := r.heard()
				i := slices.IndexFunc(all, func(a watch.Alarm) bool { return a.Kind == watch.DisableAll })
				if (i >= 0) != c.want {
					t.Fatalf("everything stopped: %v, want %v; %v", i >= 0, c.want, all)
				}
				if i < 0 {
					return
				}
				a := all[i]
				if a.Key != "" || a.ID != "" || a.Issuer != "" || a.For != time.Hour || a.Signal != watch.Dollars {
					t.Errorf("%+v", a)
				}
				for _, part := range []string{"at this pace", "month's $20", "stopped for 1h", "undo: keyshield enable --everything"} {
					if !strings.Contains(a.Text, part) {
						t.Errorf("%q does not say %q", a.Text, part)
					}
				}
			})
		})
	}
}

// runs is that everything goes on.
func (r *rig) runs(why string) {
	r.t.Helper()
	for _, a := range r.heard() {
		if a.Kind == watch.DisableAll {
			r.t.Errorf("%s: %s", why, a.Text)
		}
	}
}

func TestEverythingIsNotStoppedAgainBeforeTheOperatorsWordIsOver(t *testing.T) {
	stops := func(r *rig) (n int) {
		for _, a := range r.heard() {
			if a.Kind == watch.DisableAll {
				n++
			}
		}
		return n
	}
	bubble(t, watch.Options{Month: 100 * money.Dollar, DisableFor: time.Hour}, func(r *rig) {
		r.spend(40, time.Second, money.Dollar/2, 0)
		if n := stops(r); n != 1 {
			t.Errorf("stopped %d times, want once: what is under way still ends", n)
		}
		r.Forgive("")
		r.spend(40, time.Second, money.Dollar/2, 0)
		if n := stops(r); n != 0 {
			t.Errorf("stopped %d times after the operator let it go on", n)
		}
		r.sleep(3 * time.Hour)
		r.spend(40, time.Second, money.Dollar/2, 0)
		if n := stops(r); n != 1 {
			t.Errorf("stopped %d times some hours later, want once", n)
		}
	})
}
