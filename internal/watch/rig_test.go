package watch_test

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/watch"
)

// rig is a watch in a bubble, and all that it said. The clock starts at midnight.
type rig struct {
	*watch.Watch
	t       *testing.T
	options watch.Options

	mu     sync.Mutex
	alarms []watch.Alarm
}

const home = "198.51.100.7"

// bubble runs a story in a synctest bubble.
func bubble(t *testing.T, o watch.Options, story func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, options: o}
		r.start()
		defer func() { r.stop() }()
		story(r)
	})
}

func usually() watch.Options {
	return watch.Options{Month: 20 * money.Dollar, DisableFor: time.Hour}
}

func (r *rig) start() {
	r.t.Helper()
	r.options.Act = func(a watch.Alarm) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.alarms = append(r.alarms, a)
	}
	w, err := watch.New(r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Watch = w
}

func (r *rig) stop() {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
}

// sleep goes on by the bubble's clock: there is no rig outside of one.
func (r *rig) sleep(d time.Duration) { time.Sleep(d) }

// seen is a request of a user, at home, for a tenth of a cent.
func seen(id string) watch.Seen {
	return watch.Seen{
		Key: "key-of-" + id, Issuer: "https://id.example", ID: id,
		IP: netip.MustParseAddr(home), At: time.Now(), Proven: money.Dollar / 1000,
	}
}

func refused(id, code string) watch.Seen {
	s := seen(id)
	s.Refused, s.Code, s.Proven = true, code, 0
	return s
}

// ask makes n requests, one every so often.
func (r *rig) ask(id string, n int, every time.Duration) {
	for range n {
		r.See(seen(id))
		r.sleep(every)
	}
}

// ordinary lives through some days: from 9 to 18 o'clock each user makes 3
// requests in a minute of each hour, and 12 at noon.
func (r *rig) ordinary(days int, ids ...string) {
	for range days {
		midnight := time.Now().Truncate(24 * time.Hour)
		for h := 9; h < 18; h++ {
			r.sleep(time.Until(midnight.Add(time.Duration(h) * time.Hour)))
			n := 3
			if h == 12 {
				n = 12
			}
			for range n {
				for _, id := range ids {
					r.See(seen(id))
				}
				r.sleep(time.Minute / 12)
			}
		}
		r.sleep(time.Until(midnight.Add(24 * time.Hour)))
	}
}

// said is what the watch said since the last call, shortly and sorted.
func (r *rig) said() []string {
	var all []string
	for _, a := range r.heard() {
		who := a.ID
		if a.Key == "" {
			who = "all"
		}
		all = append(all, fmt.Sprintf("%s %s %s", a.Kind, who, a.Signal))
	}
	slices.Sort(all)
	return all
}

func (r *rig) heard() []watch.Alarm {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.alarms
	r.alarms = nil
	return all
}

func (r *rig) quiet(why string) {
	r.t.Helper()
	if all := r.heard(); len(all) > 0 {
		r.t.Errorf("%s: %d alarms, want none; the first: %s", why, len(all), all[0].Text)
	}
}
