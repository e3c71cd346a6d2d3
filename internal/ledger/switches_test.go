package ledger_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"keyshield/internal/ledger"
	"keyshield/internal/ledger/ledgertest"
)

func disable(t testing.TB, l *ledger.Ledger, r ledger.DisableRequest) {
	t.Helper()
	if err := l.Disable(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// collected is what a ledger tells from its own goroutine.
type collected[T any] struct {
	mu  sync.Mutex
	all []T
}

func (c *collected[T]) add(one T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, one)
}

// take is all since it was last called.
func (c *collected[T]) take() []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all
	c.all = nil
	return all
}

func TestWhatHasEndedIsRemovedAndToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events collected[ledger.Event]
		l := open(t, ledger.Options{Dir: t.TempDir(), Event: events.add})
		const many = 1203
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() { disable(t, l, ledger.DisableRequest{User: user(i), For: time.Hour, By: ledger.ByWatch}) })
		}
		wg.Wait()
		disable(t, l, ledger.DisableRequest{Everything: true, For: 2 * time.Hour, By: "cli", Why: "incident"})
		disable(t, l, ledger.DisableRequest{User: user(many), By: "cli"})
		events.take()
		time.Sleep(time.Hour + 10*time.Second)
		told := events.take()
		users := map[ledger.User]bool{}
		for _, e := range told {
			if e.Kind != ledger.UserEnabled || e.By != ledger.ByExpiry {
				t.Fatalf("told %+v", e)
			}
			users[e.User] = true
		}
		if len(told) != many || len(users) != many {
			t.Errorf("told %d times of %d users, want once of each of %d", len(told), len(users), many)
		}
		time.Sleep(time.Hour)
		if told = events.take(); len(told) != 1 || told[0].Kind != ledger.ServiceEnabled || told[0].Why != "incident" {
			t.Errorf("told %+v", told)
		}
		if n := must(t, of(l.MarkCount())); n != 1 {
			t.Errorf("%d stops are kept, want the one without an end", n)
		}
		if l.Stopped(user(many).Key) == nil || l.Stopped(user(0).Key) != nil {
			t.Error("the wrong ones are stopped")
		}
	})
}

// Else somebody who goes on is disabled again and again, with an alert each time.
func TestTheWatchTellsOnceOfAStop(t *testing.T) {
	for name, first := range map[string]ledger.DisableRequest{
		"of its own":     {For: time.Hour, By: ledger.ByWatch, Why: "too much"},
		"an operator's":  {By: "cli", Why: "her token was stolen"},
		"a short word":   {For: time.Minute, By: "cli"},
		"of everything":  {Everything: true, For: time.Hour, By: ledger.ByWatch},
		"for everything": {Everything: true, By: "cli"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events collected[ledger.Event]
				l := open(t, ledger.Options{Dir: t.TempDir(), Event: events.add})
				if !first.Everything {
					first.User = user(1)
				}
				if !must(t, of(l.DisableAnew(t.Context(), first))) {
					t.Error("the first is no news")
				}
				again := first
				again.For, again.By, again.Why = time.Hour, ledger.ByWatch, "goes on"
				for range 30 {
					if must(t, of(l.DisableAnew(t.Context(), again))) {
						t.Fatal("the watch's next word is news")
					}
					time.Sleep(time.Second)
				}
				if told := events.take(); len(told) != 1 || told[0].By != first.By {
					t.Errorf("told of %d stops, want the first alone", len(told))
				}
				time.Sleep(time.Hour - 2*time.Second)
				if l.Stopped(user(1).Key) == nil {
					t.Error("the stop was not made longer")
				}
				by := first
				by.By, by.For = "cli", 2*time.Hour
				if !must(t, of(l.DisableAnew(t.Context(), by))) || len(events.take()) != 1 {
					t.Error("an operator's word about somebody who is stopped is no news")
				}
				time.Sleep(2*time.Hour + time.Minute)
				events.take() // its end
				if !must(t, of(l.DisableAnew(t.Context(), again))) || len(events.take()) != 1 {
					t.Error("after the end of the first, the next is no news")
				}
			})
		})
	}
}

func TestAnOvershootOutlastsADisableWithAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, ledger.Options{Dir: t.TempDir()})
		h := call(t, l, "before", user(1), 10)
		disable(t, l, ledger.DisableRequest{User: user(1), For: time.Hour, By: "cli", Why: "for a while"})
		_ = h.Settle(ledger.Usage{Cost: 12})
		flush(t, l)
		time.Sleep(2 * time.Hour)
		stops := must(t, of(l.Stops(t.Context())))
		if len(stops) != 1 || stops[0].By != ledger.ByOvershoot || stops[0].Over != 2 || stops[0].ID != user(1).ID || !stops[0].Until.IsZero() {
			t.Errorf("stops: %+v, want the overshoot's", stops)
		}
		if l.Stopped(user(1).Key) == nil {
			t.Error("a suspended user is not stopped")
		}
		disable(t, l, ledger.DisableRequest{User: user(1), For: time.Hour, By: ledger.ByWatch})
		time.Sleep(2 * time.Hour)
		if l.Stopped(user(1).Key) == nil {
			t.Error("the watch shortened a suspension")
		}
	})
}

func TestStopsOfTheFirstVersionKeepTheirNames(t *testing.T) {
	dir := t.TempDir()
	l := open(t, ledger.Options{Dir: dir})
	reserve(t, l, "once", 1).Free() // user 1 has a name now
	flush(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ledger.FileName)
	old := []byte{1, 1, 100, 2, 0} // version, in force, since, sum, nobody else
	for _, mark := range []string{"u" + user(1).Key, "mgpt-6-sol"} {
		if err := ledger.WriteRow(path, "mark", []byte(mark), old); err != nil {
			t.Fatal(err)
		}
	}
	l = open(t, ledger.Options{Dir: dir})
	stops := must(t, of(l.Stops(t.Context())))
	if len(stops) != 2 || !slices.ContainsFunc(stops, func(s ledger.Stop) bool {
		return s.User == user(1).Key && s.ID == user(1).ID && s.By == ledger.ByOvershoot && s.Over == 2 && s.Since.Unix() == 100
	}) {
		t.Errorf("stops: %+v", stops)
	}
	if l.Stopped(user(1).Key) == nil {
		t.Error("not stopped any more")
	}
}

// TestRecordsAreWrittenBeforeTheCommit watches the order itself.
func TestRecordsAreWrittenBeforeTheCommit(t *testing.T) {
	var order collected[string]
	opts := ledger.Options{Dir: t.TempDir(), BeforeEnd: func() error { order.add("record"); return nil }}.WithCommit(func(tx *bbolt.Tx) error {
		order.add("commit")
		return tx.Commit()
	})
	l := open(t, opts)
	h := reserve(t, l, "a", 10)
	h.Free()
	flush(t, l)
	if got := strings.Join(order.take(), " "); got != "commit commit record commit" { // start, reserve, its end
		t.Errorf("order: %s", got)
	}
}

// TestOrphansAreToldAgainUntilTheyAreForgotten: the disk fails when the first news
// should become durable.
func TestOrphansAreToldAgainUntilTheyAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, ledger.Options{Dir: dir})
		for i := range 3 {
			call(t, l, fmt.Sprint(i), user(i), 10)
		}
		if err := l.Crash(); err != nil {
			t.Fatal(err)
		}
		var d disk
		var orphans collected[ledger.Orphan]
		open(t, ledger.Options{Dir: dir, Orphan: orphans.add}.WithCommit(d.unsynced))
		for _, mode := range []int32{loses, works} {
			d.mode.Store(mode)
			time.Sleep(3 * time.Second)
			told := map[ledger.User]int{}
			for _, o := range orphans.take() {
				told[o.User]++
			}
			if len(told) != 3 || told[user(0)] == 0 {
				t.Errorf("told %v, want all three: what was told before did not become durable", told)
			}
		}
		time.Sleep(10 * time.Second)
		if again := orphans.take(); len(again) != 0 {
			t.Errorf("told for ever: %+v", again)
		}
	})
}

func TestVerifyReadsEveryRow(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ledger.FileName)
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	l := open(t, ledger.Options{Dir: dir, Clock: ledgertest.NewClock(now).Read})
	call(t, l, "open", user(1), 10)
	disable(t, l, ledger.DisableRequest{User: user(2), For: time.Hour, By: "cli"})
	if err := l.Seed(t.Context(), ledger.SeedRequest{At: now, Month: 100, By: "cli"}); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Verify(path); err == nil {
		t.Error("verified while a server writes it")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Verify(path); err != nil {
		t.Errorf("a whole ledger: %v", err)
	}
	if err := ledger.WriteRow(path, "charge", []byte("anything"), []byte{1, 1}); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Verify(path); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged row: %v", err)
	}
	if err := ledger.Verify(filepath.Join(dir, "nothing")); err == nil {
		t.Error("verified nothing")
	}
}

// BenchmarkStopped is on the way of every request.
func BenchmarkStopped(b *testing.B) {
	for _, others := range []int{0, 1000} {
		b.Run(fmt.Sprint(others), func(b *testing.B) {
			l := open(b, ledger.Options{Dir: b.TempDir()})
			for i := range others {
				disable(b, l, ledger.DisableRequest{User: user(i), By: "cli"})
			}
			key := user(others).Key
			for b.Loop() {
				if err := l.Stopped(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
