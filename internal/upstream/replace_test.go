package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestNoRequestFailsWhileKeysRotate: 200 at a time over ten rotations. With grace the
// old key is revoked when the calls that began under it are over, and then no call
// meets a 401; without, at once, and those under way go on under the new key.
func TestNoRequestFailsWhileKeysRotate(t *testing.T) {
	for _, grace := range []bool{true, false} {
		g, c := behind(t, []string{"k0"}, "k0")
		var underWay sync.RWMutex
		var done, failed atomic.Int64
		stop := make(chan struct{})
		var workers sync.WaitGroup
		for range 200 {
			workers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					underWay.RLock()
					err := ask(t, c)
					underWay.RUnlock()
					if done.Add(1); err != nil && failed.Add(1) < 4 {
						t.Error(err)
					}
				}
			})
		}
		for n := range 10 {
			before := done.Load()
			eventually(t, "the requests stand still", func() bool { return done.Load() >= before+200 })
			last, next := "k"+string(rune('0'+n)), "k"+string(rune('1'+n))
			g.set(func() { g.valid[next] = true })
			if err := c.Replace(t.Context(), keyset(next, last)); err != nil {
				t.Fatal(err)
			}
			revoke := func() { g.set(func() { delete(g.valid, last) }) }
			if !grace {
				revoke()
			}
			underWay.Lock() // the calls that began before are over: one is sent once more, not twice
			if grace {
				revoke()
			}
			underWay.Unlock()
		}
		close(stop)
		workers.Wait()
		if failed.Load() > 0 || grace && g.refused > 0 {
			t.Errorf("grace %v: of %d requests %d failed, %d were sent under a key that was not valid", grace, done.Load(), failed.Load(), g.refused)
		}
		var rotated int
		for _, e := range g.told() {
			if strings.HasPrefix(e, string(Rotated)) {
				rotated++
			} else if grace || !strings.HasPrefix(e, string(Rejected)) {
				t.Errorf("grace %v: %s", grace, e)
			}
		}
		if rotated != 10 || len(g.asked) < 10 {
			t.Errorf("%d of 10 rotations were told; calls by key %v", rotated, g.asked)
		}
		c.Close()
	}
}

// TestANewKeyIsTriedBeforeItTakesOver: what is not known to work stays outside.
func TestANewKeyIsTriedBeforeItTakesOver(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		taken  bool
	}{
		{"works", 200, `{"data":[]}`, true},
		{"wrong", 401, envelope, false},
		{"wrong, says a page", 401, "<html>", false},
		{"at its limit", 429, envelope, true},
		{"may not list models", 403, envelope, false},
		{"a page says no", 403, "<html>", false},
		{"OpenAI broke", 500, envelope, false},
		{"a redirect", 302, "", false},
		{"rubbish", 200, "<html>", false},
		{"cut off", 0, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}))
			defer srv.Close()
			var events []KeyEvent
			c, err := New(Config{BaseURL: srv.URL, Keys: keyset("a"), Tell: func(e KeyEvent) { events = append(events, e) }})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for range 2 {
				err = c.Replace(t.Context(), keyset("b", "c"))
			}
			c.ring.lead.proven.Store(true)
			want, kind := "active a", SourceFailed
			if tt.taken {
				want, kind = "active b, standby c", Rotated
			}
			if got := states(c, "a", "b", "c"); got != want || errors.Is(err, ErrKeysKept) == tt.taken {
				t.Errorf("the keys are %s, want %s; %v", got, want, err)
			}
			if len(events) != 1 || events[0].Kind != kind || events[0].Source != "test" || strings.Contains(events[0].Why, "test-k") {
				t.Errorf("told %+v, want %s once", events, kind)
			}
			if err != nil && (strings.Contains(err.Error(), "test-k") || !strings.Contains(err.Error(), fingerprint("b"))) {
				t.Errorf("%v: want the key's fingerprint, and nothing of the key", err)
			}
		})
	}
}

// TestTheSameSetAgainChangesNothing: a source is read every minute.
func TestTheSameSetAgainChangesNothing(t *testing.T) {
	g, c := behind(t, []string{"a", "b"}, "a", "b")
	old := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, since := range []time.Time{{}, old, old.Add(time.Hour), {}} {
		keys := keyset("a", "b")
		keys[0].Since = since
		if err := c.Replace(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Keys()[0].Since; g.listed > 1 || !got.Equal(old) {
		t.Errorf("models were listed %d times; the key is of %v, want %v", g.listed, got, old)
	}
	g.wantsTold(t)

	// Nor does it bring back a key that was refused and works again: whoever took
	// over goes on.
	g.set(func() { delete(g.valid, "a") })
	if err := ask(t, c); err != nil {
		t.Fatal(err)
	}
	rested(t, c)
	g.waitTold(t, 1)
	g.told()
	c.ring.mu.Lock()
	c.ring.conclude(c.ring.keys[0], works, nil)
	c.ring.mu.Unlock()
	g.set(func() { g.valid["c"] = true })
	g.wantsTold(t)
	if err := c.Replace(t.Context(), keyset("a", "b", "c")); err != nil {
		t.Fatal(err)
	}
	rested(t, c)
	g.wantsTold(t)
	if got := states(c, "a", "b", "c"); got != "standby a, active b, standby c" {
		t.Errorf("the keys are %s", got)
	}
	// Another order is another will; what is known to work needs no try.
	g.set(func() { g.listed = 0 })
	if err := c.Replace(t.Context(), keyset("c", "b")); err != nil {
		t.Fatal(err)
	}
	g.wantsTold(t, "rotated "+fingerprint("c"))
	if g.listed > 0 {
		t.Errorf("models were listed %d times", g.listed)
	}
}

// TestAKeyThatVanishesGetsNoNewCalls; one under way finishes under it.
func TestAKeyThatVanishesGetsNoNewCalls(t *testing.T) {
	arrived, goOn := make(chan string, 2), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			arrived <- r.Header.Get("Authorization")
			<-goOn
		}
		io.WriteString(w, `{"data":[]}`)
	}))
	defer srv.Close()
	c, err := New(Config{BaseURL: srv.URL, Keys: keyset("a"), Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended := make(chan error, 2)
	go func() { ended <- ask(t, c) }()
	if got := <-arrived; got != "Bearer test-key-0123456789-a" {
		t.Errorf("sent under %q", got)
	}
	if err := c.Replace(t.Context(), keyset("b")); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- ask(t, c) }()
	if got := <-arrived; got != "Bearer test-key-0123456789-b" {
		t.Errorf("sent under %q", got)
	}
	close(goOn)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if got := states(c, "b"); got != "active b" {
		t.Errorf("the keys are %s", got)
	}
}

// TestTroubleWithTheSourceIsToldOnce, and its end.
func TestTroubleWithTheSourceIsToldOnce(t *testing.T) {
	g, c := behind(t, []string{"a", "c"}, "a")
	for range 3 {
		c.SourceFailed("vault", errors.New("it is down"))
	}
	g.wantsTold(t, "source_failed")
	for range 3 { // another trouble
		if err := c.Replace(t.Context(), keyset("b")); !errors.Is(err, ErrKeysKept) {
			t.Errorf("a wrong key: %v", err)
		}
	}
	g.wantsTold(t, "source_failed")
	if err := c.Replace(t.Context(), nil); !errors.Is(err, ErrKeysKept) {
		t.Errorf("no key at all: %v", err)
	}
	g.wantsTold(t, "source_failed")
	if err := ask(t, c); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := c.Replace(t.Context(), keyset("a")); err != nil {
			t.Error(err)
		}
	}
	g.wantsTold(t, "source_back")
	if err := c.Replace(t.Context(), keyset("c")); err != nil {
		t.Error(err)
	}
	g.wantsTold(t, "rotated "+fingerprint("c"))

	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := c.Replace(gone, keyset("d")); err == nil {
		t.Error("a Replace that was given up succeeded")
	}
	g.wantsTold(t)
}

// TestANewSetEndsTheStandstill of a ring whose keys were all refused.
func TestANewSetEndsTheStandstill(t *testing.T) {
	g, c := behind(t, nil, "a")
	ask(t, c)
	eventually(t, "the key is still in force", func() bool { return c.ring.active.Load() == nil })
	g.wantsTold(t, "rejected "+fingerprint("a"), "none_left "+fingerprint("a"))
	listed := g.listed
	if err := c.Replace(t.Context(), keyset("a")); err != nil || g.listed != listed {
		t.Errorf("the set in force: %v; models were listed %d times", err, g.listed-listed)
	}
	g.set(func() { g.valid["b"] = true })
	if err := c.Replace(t.Context(), keyset("b", "a")); err != nil {
		t.Fatal(err)
	}
	g.wantsTold(t, "rotated "+fingerprint("b"))
	if err := ask(t, c); err != nil {
		t.Error(err)
	}

	// Nor does a set begin one: of keys that are all quarantined the first is tried.
	if err := c.Replace(t.Context(), keyset("a")); !errors.Is(err, ErrKeysKept) {
		t.Errorf("a set of refused keys: %v", err)
	}
	g.wantsTold(t, "source_failed")
	if diff := cmp.Diff("active b, quarantined a", states(c, "a", "b")); diff != "" {
		t.Error(diff)
	}
	g.set(func() { g.valid["a"] = true })
	if err := c.Replace(t.Context(), keyset("a")); err != nil {
		t.Error(err)
	}
	g.wantsTold(t, "source_back", "recovered "+fingerprint("a"), "rotated "+fingerprint("a"))
	if diff := cmp.Diff("active a", states(c, "a")); diff != "" {
		t.Error(diff)
	}
}
