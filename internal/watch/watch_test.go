package watch_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/money"
	"keyshield/internal/watch"
)

func TestWhatIsUnusualAndWhatIsNot(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(*rig)
		want  []string
	}{
		{"a quiet app's second request", func(r *rig) {
			r.ask("alice", 2, time.Second)
		}, nil},
		{"a quiet app's busy afternoon", func(r *rig) {
			r.ordinary(7)
			r.ask("alice", 25, 3*time.Second)
		}, nil},
		{"days with a peak at lunch", func(r *rig) {
			r.ordinary(20, "alice", "bob")
		}, nil},
		{"the first day of two hundred people", func(r *rig) {
			ids := make([]string, 200)
			for i := range ids {
				ids[i] = fmt.Sprintf("user-%d", i)
			}
			r.ordinary(1, ids...)
			r.alarms = slices.DeleteFunc(r.alarms, func(a watch.Alarm) bool { return a.Kind == watch.Spike && a.Key == "" })
		}, nil},
		{"growth of a fifth a day, for three weeks", func(r *rig) {
			for day, n := 0, 10.0; day < 21; day, n = day+1, n*1.2 {
				r.sleep(12 * time.Hour)
				r.ask("alice", int(n), time.Minute/time.Duration(n+1))
				r.sleep(12*time.Hour - time.Minute)
			}
		}, nil},
		{"a newcomer who is busy for a day", func(r *rig) {
			r.ordinary(5, "bob")
			r.ask("alice", 24*60, time.Minute)
			r.ask("alice", 600, time.Second)
		}, []string{"spike alice dollars", "spike alice requests", "spike all dollars"}},
		{"a batch of a user that the limits let through, eight times the usual", func(r *rig) {
			r.ordinary(5, "alice")
			r.ask("alice", 90, time.Minute/90)
		}, []string{"spike alice requests"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, usually(), func(r *rig) {
				c.story(r)
				if diff := cmp.Diff(c.want, r.said()); diff != "" {
					t.Errorf("-want +said:\n%s", diff)
				}
			})
		})
	}
}

func TestALaunchStopsNobody(t *testing.T) {
	bubble(t, watch.Options{Month: 100 * money.Dollar, DisableFor: time.Hour}, func(r *rig) {
		var known, fresh []string
		for i := range 30 {
			known = append(known, fmt.Sprintf("known-%d", i))
		}
		for i := range 120 {
			fresh = append(fresh, fmt.Sprintf("fresh-%d", i))
		}
		r.ordinary(5, known...)
		r.heard()
		r.sleep(15 * time.Hour)
		for range 96 { // eight times the busiest hour of an ordinary day, and five times the people
			for _, id := range slices.Concat(known, fresh) {
				r.See(seen(id))
			}
			r.sleep(time.Hour / 96)
		}
		told := 0
		for _, a := range r.heard() {
			if a.Kind != watch.Spike {
				t.Errorf("%s", a.Text)
			}
			if a.Key == "" {
				told++
			}
		}
		if told == 0 {
			t.Error("nobody was told of a launch")
		}
	})
}

// flood is a stolen token at 20 requests a second, of which the limits let some
// through; it returns when each kind of alarm came first.
func flood(r *rig, id string, through int, wait time.Duration) map[watch.Kind]time.Duration {
	began := time.Now()
	first := map[watch.Kind]time.Duration{}
	for i := 0; time.Since(began) < wait; i++ {
		s := seen(id)
		if i >= through {
			s = refused(id, "rate_limited")
		}
		if _, disabled := first[watch.Disable]; disabled {
			s.Code = "disabled"
		}
		r.See(s)
		for _, a := range r.heard() {
			if _, before := first[a.Kind]; !before && a.ID == id {
				first[a.Kind] = a.At.Sub(began.Truncate(time.Second))
			}
		}
		r.sleep(time.Second / 20)
	}
	return first
}

func TestAFloodIsToldAtOnceAndDisabledWithinSeconds(t *testing.T) {
	for _, c := range []struct {
		name    string
		days    int
		through int
	}{
		{"by somebody known, mostly refused", 5, 20},
		{"by somebody known, let through", 5, 1000},
		{"by a newcomer, mostly refused", 0, 20},
		{"by a newcomer, after their hundred of the hour", 0, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, usually(), func(r *rig) {
				r.ordinary(c.days, "alice", "bob")
				r.heard()
				first := flood(r, "alice", c.through, time.Minute)
				if at, ok := first[watch.Spike]; !ok || at > 2*time.Second {
					t.Errorf("told after %v (%v), want within 2 s", at, ok)
				}
				if at, ok := first[watch.Disable]; !ok || at > 11*time.Second {
					t.Errorf("disabled after %v (%v), want within 11 s", at, ok)
				}
				r.ask("bob", 3, time.Second)
				r.quiet("the others, and the disabled one who goes on")
			})
		})
	}
}

func TestAddressesOfAStolenToken(t *testing.T) {
	from := func(r *rig, id string, n int, address string) {
		for i := range n {
			s := seen(id)
			s.IP = netip.MustParseAddr(fmt.Sprintf(address, i))
			r.See(s)
			r.sleep(time.Minute)
		}
	}
	bubble(t, usually(), func(r *rig) {
		r.ordinary(4, "alice", "bob", "carol")
		from(r, "alice", 30, "203.0.113.%d")
		if diff := cmp.Diff([]string{"disable alice addresses", "spike alice addresses"}, r.said()); diff != "" {
			t.Errorf("30 addresses in half an hour: -want +said:\n%s", diff)
		}
		from(r, "bob", 30, "2001:db8:0:7::%x")
		r.quiet("one subscriber's IPv6 network is one address")
		from(r, "carol", 5, "203.0.113.%d")
		r.quiet("five addresses on a train")
		from(r, "newcomer", 30, "203.0.113.%d")
		if diff := cmp.Diff([]string{"spike newcomer addresses"}, r.said()); diff != "" {
			t.Errorf("a name that a whole office shares since today: -want +said:\n%s", diff)
		}
	})
}

func TestSpendingTwentyTimesTheUsual(t *testing.T) {
	bubble(t, usually(), func(r *rig) {
		for range 5 {
			r.sleep(12 * time.Hour)
			for range 10 { // five cents a day
				s := seen("alice")
				s.Proven = money.Dollar / 200
				r.See(s)
				r.sleep(time.Minute)
			}
			r.sleep(12*time.Hour - 10*time.Minute)
		}
		r.quiet("a usual day")
		var kinds []string
		for spent := money.USD(0); spent < money.Dollar && !slices.Contains(kinds, "disable dollars"); spent += money.Dollar / 25 {
			s := seen("alice")
			s.Proven = money.Dollar / 25
			r.See(s)
			for _, a := range r.heard() {
				if a.ID == "alice" {
					kinds = append(kinds, fmt.Sprintf("%s %s", a.Kind, a.Signal))
				}
			}
			r.sleep(time.Minute)
		}
		if diff := cmp.Diff([]string{"spike dollars", "disable dollars"}, kinds); diff != "" {
			t.Errorf("-want +said:\n%s", diff)
		}
		r.heard()
		for range 30 {
			s := seen("bob")
			s.Proven, s.Unproven = 0, money.Dollar
			r.See(s)
			r.sleep(time.Minute)
		}
		r.quiet("a dollar a minute, of which nothing is proven")
	})
}

// Whoever tries out what is let through is told of, and let try: it costs nothing,
// and a broken form of the app's own looks just so.
func TestProbingIsToldAndDisablesNobody(t *testing.T) {
	bubble(t, usually(), func(r *rig) {
		for range 1_000 {
			r.See(refused("mallory", "unknown_field"))
			r.sleep(time.Second / 20)
		}
		if diff := cmp.Diff([]string{"spike all refusals", "spike mallory refusals"}, r.said()); diff != "" {
			t.Errorf("-want +said:\n%s", diff)
		}
	})
}

// A broken form sends 200 a minute of somebody known, and a page looks as often at what
// is left: no user may be taken out for it, and nothing is worn by it.
func TestAKnownUserIsNotDisabledForWhatAsksNothing(t *testing.T) {
	free := func(id string) watch.Seen {
		s := seen(id)
		s.Free, s.Proven = true, 0
		return s
	}
	for name, c := range map[string]struct {
		one  func(id string) watch.Seen
		want []string
	}{
		"a broken form":                {func(id string) watch.Seen { return refused(id, "invalid_prompt") }, []string{"spike alice refusals", "spike all refusals"}},
		"a page that looks all along":  {free, nil},
		"a model that is not for them": {func(id string) watch.Seen { return refused(id, "model_not_allowed") }, []string{"spike alice refusals", "spike all refusals"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, usually(), func(r *rig) {
				r.ordinary(4, "alice")
				r.quiet("ordinary days")
				for range 2_000 {
					r.See(c.one("alice"))
					r.sleep(3 * time.Second / 10)
				}
				if diff := cmp.Diff(c.want, r.said()); diff != "" {
					t.Errorf("-want +said:\n%s", diff)
				}
			})
		})
	}
}

// Else whoever holds a stolen token would look at the models for a week first.
func TestWhatAsksNothingTeachesNothing(t *testing.T) {
	bubble(t, usually(), func(r *rig) {
		for range 10 {
			r.ordinary(1, "alice")
			for range 300 {
				s := seen("alice")
				s.Free, s.Proven = true, 0
				r.See(s)
				r.See(refused("alice", "invalid_prompt"))
				r.sleep(time.Second / 10)
			}
			r.sleep(time.Until(time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)))
		}
		r.heard()
		if at, ok := flood(r, "alice", 1000, time.Minute)[watch.Disable]; !ok || at > 11*time.Second {
			t.Errorf("disabled after %v (%v), want within 11 s as without those days", at, ok)
		}
	})
}

// A page that asks a thousand times at once, or a test of the limits, is no flood.
func TestABurstDisablesNobody(t *testing.T) {
	bubble(t, usually(), func(r *rig) {
		for range 5 {
			for range 1_000 {
				r.See(refused("mallory", "rate_limited"))
			}
			r.sleep(time.Minute)
		}
		if diff := cmp.Diff([]string{"spike all refusals", "spike all requests", "spike mallory refusals", "spike mallory requests"}, r.said()); diff != "" {
			t.Errorf("-want +said:\n%s", diff)
		}
	})
}

func TestOurOwnTroubleIsNobodysFault(t *testing.T) {
	for _, code := range []string{"unavailable", "overloaded", "budget_exhausted", "budget_busy", "insufficient_quota", "internal"} {
		t.Run(code, func(t *testing.T) {
			bubble(t, usually(), func(r *rig) {
				for range 600 {
					r.See(refused("alice", code))
					r.sleep(time.Second / 10)
				}
				for _, said := range r.said() {
					if strings.Contains(said, "alice") {
						t.Error(said)
					}
				}
			})
		})
	}
}

func TestOneAlertAnHourAndAPlateauOnce(t *testing.T) {
	bubble(t, watch.Options{Month: -1}, func(r *rig) {
		r.ordinary(5, "alice")
		begin := time.Now()
		r.ask("alice", 5*3600, time.Second) // 60 in a minute, for five hours
		told := 0
		for _, a := range r.heard() {
			if a.Signal == watch.Requests && a.Key != "" {
				told++
				t.Logf("after %v: %s", a.At.Sub(begin), a.Text)
			}
		}
		if told != 1 {
			t.Errorf("60 requests a minute instead of 12, for five hours, were told %d times, want once", told)
		}
		r.ask("alice", 60*10, time.Second/10) // ten times as much again
		if said := r.said(); !slices.Contains(said, "spike alice requests") {
			t.Errorf("a much higher plateau was not told: %v", said)
		}
		r.ask("alice", 60*100, time.Second/100)
		for _, said := range r.said() {
			if said == "spike alice requests" {
				t.Error("two alerts within an hour")
			}
		}
	})
}

func TestTheWatchDoesNotDisableEverybody(t *testing.T) {
	bubble(t, usually(), func(r *rig) {
		disabled := map[string]bool{}
		var braked []string
		for range 100 { // a front end that tries again without end
			for i := range 200 {
				r.See(refused(fmt.Sprintf("user-%d", i), "rate_limited"))
			}
			r.sleep(time.Second / 4)
		}
		for _, a := range r.heard() {
			if a.Kind == watch.Disable {
				disabled[a.ID] = true
			} else if strings.Contains(a.Text, "not disabled") {
				braked = append(braked, a.Text)
			}
		}
		if len(disabled) != 10 {
			t.Errorf("%d of 200 users were disabled, want 10: it is the app", len(disabled))
		}
		if len(braked) != 1 {
			t.Errorf("that the others were spared was said %d times, want once: %q", len(braked), braked)
		}
	})
}

func TestForgivenIsNotDisabledAtOnceAndTeaches(t *testing.T) {
	bubble(t, watch.Options{Month: -1, DisableFor: time.Hour}, func(r *rig) { // of 70 batches the purse would have its own opinion
		r.ordinary(5, "alice")
		r.sleep(10*time.Hour + 59*time.Minute + 50*time.Second)
		batch := func(what string, want bool) {
			t.Helper()
			r.heard()
			r.ask("alice", 1200, time.Second/20)
			disabled := slices.ContainsFunc(r.heard(), func(a watch.Alarm) bool { return a.Kind == watch.Disable })
			if disabled != want {
				t.Errorf("%s: disabled %v, want %v", what, disabled, want)
			}
		}
		batch("a batch from nowhere", true)
		r.Forgive("key-of-alice")
		for range 70 {
			batch("after the operator's word", false)
		}
		r.sleep(4 * time.Hour)
		batch("the same batch later", false)
		r.sleep(72 * time.Hour)
		batch("the same batch some days later", false)
		r.Forgive("nobody")
		r.Forgive("")
	})
}

func TestWithoutDisableForThereAreOnlyAlerts(t *testing.T) {
	bubble(t, watch.Options{Month: money.Dollar}, func(r *rig) {
		r.ordinary(4, "alice")
		r.heard()
		for range 1000 {
			s := seen("alice")
			s.Proven = money.Dollar / 50
			r.See(s)
			r.sleep(time.Second / 20)
		}
		all := r.heard()
		for _, a := range all {
			if a.Kind != watch.Spike || a.For != 0 || strings.Contains(a.Text, "undo") {
				t.Errorf("%s: %s", a.Kind, a.Text)
			}
		}
		if !slices.ContainsFunc(all, func(a watch.Alarm) bool { return strings.Contains(a.Text, "at this pace") }) {
			t.Error("nobody was told that the month's money goes")
		}
	})
}

func TestActMayCallBack(t *testing.T) {
	bubble(t, usually(), func(r *rig) {
		var w *watch.Watch
		calls := 0
		o := usually()
		o.Act = func(a watch.Alarm) {
			calls++
			w.Forgive(a.Key)
			w.Forgive("")
			w.See(seen("somebody else"))
		}
		var err error
		if w, err = watch.New(o); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			w.See(refused("alice", "rate_limited"))
		}
		if calls == 0 {
			t.Error("no alarm of 300 refusals at once")
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}
