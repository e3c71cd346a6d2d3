package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/secret"
)

// TestAClientCannotHaveAKeyQuarantined: a restricted key lacks the right for one
// endpoint (401), and clients choose endpoints. Their calls go on under the next key.
func TestAClientCannotHaveAKeyQuarantined(t *testing.T) {
	g, c := behind(t, []string{"b"}, "a", "b")
	g.set(func() { g.lists = true })
	rested(t, c)
	for range 3 {
		for range 10 {
			if err := ask(t, c); err != nil {
				t.Error(err)
			}
		}
		rested(t, c)
		c.ring.mu.Lock()
		c.ring.keys[0].cleared = time.Now().Add(-doubtEvery)
		c.ring.mu.Unlock()
	}
	g.wantsTold(t)
	if got := states(c, "a", "b"); got != "active a, standby b" || c.ring.active.Load() != c.ring.keys[0] {
		t.Errorf("the keys are %s", got)
	}

	// The same 401 is another thing when it cannot list the models either.
	g.set(func() { g.lists = false })
	for range 10 {
		if err := ask(t, c); err != nil {
			t.Error(err)
		}
		rested(t, c)
	}
	g.wantsTold(t, "rejected "+fingerprint("a"))
	if got := states(c, "a", "b"); got != "quarantined a, active b" {
		t.Errorf("the keys are %s", got)
	}
}

// TestASuspectIsSparedUntilItWasTried: of the calls meanwhile none is sent twice. One
// that is not proven stands in for nobody: it could fail them.
func TestASuspectIsSparedUntilItWasTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := proven(t, unclear, "a", "b", "c")
		a, b := tr.ring.keys[0], tr.ring.keys[1]
		a.suspect = true // its try is under way
		tr.ring.follow(a)
		if tr.ring.active.Load() != b {
			t.Error("calls still leave under the suspect")
		}
		if got := states(tr.Client, "a", "b", "c"); got != "active a, standby b, standby c" {
			t.Errorf("the keys are %s; a suspicion is not shown", got)
		}
		tr.refused("b", "c")
		synctest.Wait()
		if tr.ring.active.Load() != a {
			t.Error("a suspicion that came to nothing changed the key")
		}
		tr.wantsTold()

		b.proven.Store(false)
		tr.ring.keys[2].proven.Store(false)
		a.suspect = true
		tr.ring.follow(a)
		if tr.ring.active.Load() != a {
			t.Error("calls leave under a key that nobody has tried")
		}
	})
}

// TestEveryNewKeyIsTried, a few at a time, and one that is refused is told at once.
func TestEveryNewKeyIsTried(t *testing.T) {
	g, c := behind(t, []string{"a", "b"}, "a", "wrong")
	rested(t, c)
	g.wantsTold(t, "rejected "+fingerprint("wrong"))
	if err := c.Replace(t.Context(), keyset("a", "b", "rubbish")); err != nil {
		t.Fatal(err)
	}
	rested(t, c)
	g.wantsTold(t, "rejected "+fingerprint("rubbish"))
	if got := states(c, "a", "b", "rubbish"); got != "active a, standby b, quarantined rubbish" {
		t.Errorf("the keys are %s", got)
	}
	if g.sends() != 0 {
		t.Error("a try cost something")
	}
}

func TestAFewKeysAreTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most, all atomic.Int32
		c := &Client{}
		var err error
		c.ring, err = newRing(&c.cfg, keyset(strings.Split("abcdefghijklmnop", "")...), func(context.Context, Key) (verdict, error) {
			all.Add(1)
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return works, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.ring.close()
		time.Sleep(4*time.Second + time.Millisecond)
		if most.Load() != together || all.Load() != MaxKeys-1 {
			t.Errorf("%d tries, %d at once; want %d, %d", all.Load(), most.Load(), MaxKeys-1, together)
		}
	})
}

// TestAKeyThatIsNotProvenComesLast, and is tried until it is.
func TestAKeyThatIsNotProvenComesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t, unclear, "a", "b", "c")
		tr.wantsTold()
		a, c := tr.ring.keys[0], tr.ring.keys[2]
		c.proven.Store(true)
		tr.refused("a", "c")
		time.Sleep(8 * time.Minute)
		tr.mu.Lock()
		tries := strings.Join(tr.tries, " ")
		tr.mu.Unlock()
		if !strings.HasSuffix(tries, " b1m0s b3m0s b7m0s") {
			t.Errorf("tried %s; want b again and again", tries)
		}
		tr.now(refusedKey)
		tr.refused("a", "c")
		synctest.Wait()
		if got := states(tr.Client, "a", "b", "c"); got != "quarantined a, standby b, active c" {
			t.Errorf("the keys are %s", got)
		}
		// Without a proven one it is better than none.
		time.Sleep(time.Second)
		tr.refused("c", "b")
		synctest.Wait()
		if got := states(tr.Client, "a", "b", "c"); got != "quarantined a, active b, quarantined c" || a.good() {
			t.Errorf("the keys are %s", got)
		}
	})
}

// TestABarredKeyLeadsOnlyWhereNobodyElseCan: OpenAI lets it list no models (403), and
// perhaps answer nothing.
func TestABarredKeyLeadsOnlyWhereNobodyElseCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := proven(t, barred, "a")
		if err := tr.Replace(t.Context(), keyset("b")); !errors.Is(err, ErrKeysKept) {
			t.Errorf("it took over from a good key: %v", err)
		}
		tr.wantsTold("0s source_failed ")
		tr.now(refusedKey)
		tr.refused("a", "")
		tr.wantsTold("0s rejected "+fingerprint("a"), "0s none_left "+fingerprint("a"))
		tr.now(barred)
		if err := tr.Replace(t.Context(), keyset("b", "a")); err != nil {
			t.Error(err)
		}
		tr.wantsTold("0s source_back ", "0s rotated "+fingerprint("b"))

		// And it is left for the first that is proven.
		tr.now(works)
		tr.ring.mu.Lock()
		tr.ring.lead.later() // the other one is tried first
		tr.ring.mu.Unlock()
		time.Sleep(61 * time.Second)
		tr.wantsTold("1m0s recovered " + fingerprint("a"))
		if got := states(tr.Client, "a", "b"); got != "standby b, active a" {
			t.Errorf("the keys are %s", got)
		}
	})

	synctest.Test(t, func(t *testing.T) { // the same for one that was not refused before
		tr := proven(t, refusedKey, "a")
		tr.refused("a", "")
		synctest.Wait()
		tr.now(barred)
		if err := tr.Replace(t.Context(), keyset("b", "c")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		tr.events = nil
		tr.now(works)
		tr.ring.mu.Lock()
		tr.ring.lead.later()
		tr.ring.mu.Unlock()
		time.Sleep(61 * time.Second)
		tr.wantsTold("1m0s rotated " + fingerprint("c"))
		if got := states(tr.Client, "b", "c"); got != "standby b, active c" {
			t.Errorf("the keys are %s", got)
		}
	})
}

// TestOnlyWhatIsTakenIsLookedFor: what the detectors learn, no answer may hold. A
// key that does not work is masked in logs, and a word is no key.
func TestOnlyWhatIsTakenIsLookedFor(t *testing.T) {
	g, c := behind(t, []string{"a", "b"}, "a")
	long := "internal-server-error-page"
	for _, s := range []string{"undefined", "internal", long} {
		if err := c.Replace(t.Context(), []Key{{Secret: secret.New(s)}}); !errors.Is(err, ErrKeysKept) {
			t.Errorf("%s: %v", s, err)
		}
	}
	if err := c.Replace(t.Context(), keyset("wrong")); !errors.Is(err, ErrKeysKept) {
		t.Error(err)
	}
	if err := c.Replace(t.Context(), keyset("b")); err != nil {
		t.Error(err)
	}
	key := func(n string) string { return "test-key-0123456789-" + n }
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.learned) != 2 || !g.learned[key("a")] || !g.learned[key("b")] {
		t.Errorf("learned %v, want a and b", g.learned)
	}
	if len(g.masked) != 4 || !g.masked[key("wrong")] || !g.masked[long] {
		t.Errorf("masked %v, want a, wrong, b and the long word", g.masked)
	}
}

// TestTheSecondSendDoesNotClearTheFirst: a 401 that OpenAI did not say in its own
// words may come from behind a call that was billed, whatever becomes of the next.
func TestTheSecondSendDoesNotClearTheFirst(t *testing.T) {
	for _, tt := range []struct {
		first, second string // "": it cannot be dialled
		want          bool
	}{
		{"<html>", "", false},
		{"<html>", envelope, false},
		{envelope, "", true},
		{envelope, envelope, true},
		{envelope, "<html>", false},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			var sends atomic.Int32
			var door net.Listener
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if r.Method == http.MethodGet {
					io.WriteString(w, `{"data":[]}`)
					return
				}
				body := tt.first
				if sends.Add(1) > 1 {
					body = tt.second
				} else if tt.second == "" {
					door.Close()
				}
				w.WriteHeader(http.StatusUnauthorized)
				io.WriteString(w, body)
			}))
			srv.Config.SetKeepAlivesEnabled(false)
			door = srv.Listener
			srv.Start()
			defer srv.Close()
			c, err := New(Config{BaseURL: srv.URL, Keys: keyset("a", "b"), Timeout: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			rested(t, c)
			err = ask(t, c)
			if err == nil || Unbilled(err) != tt.want {
				t.Errorf("Unbilled(%v) = %t, want %t", err, Unbilled(err), tt.want)
			}
			if tt.second != "" && sends.Load() != 2 || sends.Load() == 0 {
				t.Errorf("%d sends", sends.Load())
			}
		})
	}
}
