package watch_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"keyshield/internal/watch"
)

// at takes away the monotonic reading: a wall clock that is set is seen as it is.
func at(t time.Time) time.Time { return t.Round(0) }

func TestAClockThatStepsAlarmsNobody(t *testing.T) {
	for _, step := range []time.Duration{
		-20 * 365 * 24 * time.Hour, -24 * time.Hour, -61 * time.Minute, -time.Hour, -10 * time.Minute, -55 * time.Second, -time.Second,
		time.Second, time.Minute, time.Hour, 24 * time.Hour, 40 * 24 * time.Hour, 80 * 365 * 24 * time.Hour, 200 * 365 * 24 * time.Hour,
	} {
		t.Run(step.String(), func(t *testing.T) {
			bubble(t, usually(), func(r *rig) {
				r.ordinary(4, "alice")
				r.sleep(12 * time.Hour)
				busy := func(offset time.Duration) {
					for range 120 {
						s := seen("alice")
						s.At, s.Proven = at(s.At.Add(offset)), 0
						r.See(s)
						r.sleep(5 * time.Second)
					}
				}
				busy(0)
				busy(step)
				busy(0)
				busy(step)
				r.quiet("the same few requests as ever")
			})
		})
	}
}

func TestAWallClockThatIsSetDoesNotBlindTheWatch(t *testing.T) {
	bubble(t, usually(), func(r *rig) {
		r.sleep(10 * 24 * time.Hour)
		r.ask("alice", 5, time.Second)
		for range 150 {
			s := refused("alice", "rate_limited")
			s.At = at(s.At.Add(-5 * time.Hour))
			r.See(s)
			r.sleep(time.Second / 20)
		}
		kinds := map[watch.Kind]bool{}
		for _, a := range r.heard() {
			kinds[a.Kind] = true
		}
		if !kinds[watch.Spike] || !kinds[watch.Disable] {
			t.Errorf("a flood after the clock was set back five hours: %v", kinds)
		}
	})
}

func TestStragglersAtMidnightAreNoDayOfTheirOwn(t *testing.T) {
	bubble(t, usually(), func(r *rig) {
		// Each midnight, requests of both days come mixed. If each turned the day,
		// two nights would make a past of many days, and a newcomer somebody known.
		for range 2 {
			r.sleep(time.Until(time.Now().Truncate(24 * time.Hour).Add(24*time.Hour - time.Second)))
			for range 40 {
				s := seen("alice")
				s.At = s.At.Add(time.Duration(rand.IntN(4)-2) * time.Second)
				r.See(s)
				r.sleep(time.Second / 20)
			}
		}
		r.heard()
		r.sleep(time.Hour)
		for i := range 60 {
			s := seen("alice")
			s.IP = s.IP.Next()
			for range i {
				s.IP = s.IP.Next()
			}
			r.See(s)
		}
		for _, a := range r.heard() {
			if a.Kind == watch.Disable {
				t.Errorf("a newcomer of two days: %s", a.Text)
			}
		}
	})
}

func TestAnyOrderOfTimesIsTaken(t *testing.T) {
	bubble(t, usually(), func(r *rig) {
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 20_000 {
			s := seen(fmt.Sprintf("user-%d", i%7))
			s.At = time.Unix(random.Int64N(1<<40)-1<<39, 0)
			if i%3 == 0 {
				s.At = time.Unix(random.Int64(), 0)
			}
			s.Proven, s.Unproven = -s.Proven, -1
			r.See(s)
		}
		for _, a := range r.heard() {
			if a.Kind != watch.Spike || a.Now < 0 || a.Usual < 0 {
				t.Errorf("%+v", a)
			}
		}
	})
}
