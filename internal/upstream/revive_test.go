package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/secret"
)

// trial is a ring in a bubble whose keys are tried by nobody.
type trial struct {
	*Client
	t      *testing.T
	began  time.Time
	mu     sync.Mutex
	answer verdict
	tries  []string
	events []string
}

func newTrial(t *testing.T, answer verdict, names ...string) *trial {
	t.Helper()
	tr := &trial{t: t, began: time.Now(), answer: answer}
	tr.Client = &Client{cfg: Config{Tell: tr.tell}}
	var err error
	if tr.ring, err = newRing(&tr.cfg, keyset(names...), tr.try); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.ring.close)
	return tr
}

// proven is a trial whose keys all work, until answer is what tries say.
func proven(t *testing.T, answer verdict, names ...string) *trial {
	t.Helper()
	tr := newTrial(t, works, names...)
	synctest.Wait()
	tr.ring.lead.proven.Store(true)
	tr.now(answer)
	tr.tries = nil
	return tr
}

func (tr *trial) try(_ context.Context, k Key) (verdict, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.tries = append(tr.tries, fmt.Sprint(strings.TrimPrefix(k.Secret.Reveal(), "test-key-0123456789-"), time.Since(tr.began)))
	if tr.answer == works {
		return works, nil
	}
	return tr.answer, errors.New("it did not work")
}

func (tr *trial) tell(e KeyEvent) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.events = append(tr.events, fmt.Sprintf("%v %s %s", time.Since(tr.began), e.Kind, e.Fingerprint))
}

// now is what a try says from now on.
func (tr *trial) now(answer verdict) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.answer = answer
}

// refused says that OpenAI refused a key, and checks which one is next.
func (tr *trial) refused(name, next string) {
	tr.t.Helper()
	k := tr.ring.refused(tr.ring.find(secret.New("test-key-0123456789-" + name)))
	if k == nil && next != "" || k != nil && k.fingerprint != fingerprint(next) {
		tr.t.Fatalf("%v is next after %s, want %q", k, name, next)
	}
}

func (tr *trial) wants(what string, got *[]string, want ...string) {
	tr.t.Helper()
	synctest.Wait()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if diff := cmp.Diff(want, *got); diff != "" {
		tr.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
	*got = nil
}

func (tr *trial) wantsTold(want ...string) { tr.t.Helper(); tr.wants("told", &tr.events, want...) }

func (tr *trial) wantsTries(want ...string) { tr.t.Helper(); tr.wants("tried", &tr.tries, want...) }

// TestAQuarantinedKeyIsTriedAgainEverMoreSeldom, and comes back as a standby.
func TestAQuarantinedKeyIsTriedAgainEverMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := proven(t, refusedKey, "a", "b")
		tr.refused("a", "b")
		tr.wantsTold("0s rejected " + fingerprint("a"))

		time.Sleep(6*time.Hour + time.Second)
		tr.wantsTries("a0s", "a1m0s", "a3m0s", "a7m0s", "a15m0s", "a31m0s", "a1h3m0s", "a2h3m0s", "a3h3m0s", "a4h3m0s", "a5h3m0s")
		tr.now(unclear)
		time.Sleep(time.Hour)
		tr.wantsTold()
		tr.now(works)
		time.Sleep(time.Hour)
		tr.wantsTold("7h3m0s recovered " + fingerprint("a"))
		if got := states(tr.Client, "a", "b"); got != "standby a, active b" {
			t.Errorf("the keys are %s", got)
		}
		tr.wantsTries("a6h3m0s", "a7h3m0s")
		time.Sleep(24 * time.Hour)
		tr.wantsTries() // none of a key that works

		// Now the other one is revoked: it begins anew.
		tr.now(refusedKey)
		tr.refused("b", "a")
		synctest.Wait()
		tr.now(works)
		time.Sleep(time.Minute)
		tr.wantsTold("32h0m1s rejected "+fingerprint("b"), "32h1m1s recovered "+fingerprint("b"))
	})
}

// TestWithoutAnyKeyTheFirstThatWorksIsUsed, although nobody does anything.
func TestWithoutAnyKeyTheFirstThatWorksIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := proven(t, refusedKey, "a", "b")
		tr.refused("a", "b")
		time.Sleep(time.Second)
		tr.refused("b", "")
		tr.wantsTold("0s rejected "+fingerprint("a"), "1s rejected "+fingerprint("b"), "1s none_left "+fingerprint("b"))
		if tr.ring.active.Load() != nil {
			t.Fatal("a refused key is in force")
		}
		tr.now(works)
		time.Sleep(2 * time.Minute)
		tr.wantsTold("1m0s recovered "+fingerprint("a"), "1m1s recovered "+fingerprint("b"))
		if got := states(tr.Client, "a", "b"); got != "active a, standby b" {
			t.Errorf("the keys are %s", got)
		}
	})
}

// TestAnOutageDoesNotOutlastItself: where OpenAI refuses every key for a while, one is
// back within a minute of the end, however long it took.
func TestAnOutageDoesNotOutlastItself(t *testing.T) {
	for _, names := range [][]string{{"a"}, {"a", "b"}} {
		synctest.Test(t, func(t *testing.T) {
			tr := proven(t, refusedKey, names...)
			happened := func() (tries, events int) {
				synctest.Wait()
				tr.mu.Lock()
				defer tr.mu.Unlock()
				tries, events = len(tr.tries), len(tr.events)
				tr.tries, tr.events = nil, nil
				return tries, events
			}
			tr.ring.refused(tr.ring.keys[0])
			time.Sleep(5 * time.Hour) // one that was refused for so long is tried once an hour
			tr.ring.refused(tr.ring.keys[len(names)-1])
			happened()
			time.Sleep(40*time.Minute + time.Second)
			if n, _ := happened(); tr.ring.active.Load() != nil || n != 40*len(names) {
				t.Errorf("%d keys: %d tries in 40 minutes without a key, want one a minute for each", len(names), n)
			}
			tr.now(works)
			time.Sleep(time.Minute)
			if _, n := happened(); tr.ring.active.Load() == nil || n != len(names) {
				t.Errorf("%d keys: a minute after the end %d of them are back", len(names), n)
			}
		})
	}
}

// TestRetryTriesWhatIsQuarantined at once, and what is refused again begins anew with the
// shortest pause. The same set from the source tries nothing.
func TestRetryTriesWhatIsQuarantined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := proven(t, refusedKey, "a", "b")
		if tr.Retry(t.Context()) {
			t.Error("a good key was tried")
		}
		tr.refused("a", "b")
		time.Sleep(40 * time.Minute)
		tr.wants("told", &tr.events, "0s rejected "+fingerprint("a"))
		tr.wantsTries("a0s", "a1m0s", "a3m0s", "a7m0s", "a15m0s", "a31m0s")
		if err := tr.Replace(t.Context(), keyset("a", "b")); err != nil {
			t.Error(err)
		}
		tr.wantsTries()
		if !tr.Retry(t.Context()) {
			t.Error("nothing was tried")
		}
		time.Sleep(4 * time.Minute)
		tr.wantsTries("a40m0s", "a41m0s", "a43m0s")
		tr.wantsTold()
		tr.now(works)
		tr.Retry(t.Context())
		if got := states(tr.Client, "a", "b"); got != "standby a, active b" {
			t.Errorf("when Retry returns the keys are %s", got)
		}
		tr.wantsTries("a44m0s")
		tr.wantsTold("44m0s recovered " + fingerprint("a"))
	})
}

// TestRetryEndsTheStandstill, for whoever waits and for whoever does not.
func TestRetryEndsTheStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := proven(t, refusedKey, "a")
		tr.refused("a", "")
		tr.wantsTold("0s rejected "+fingerprint("a"), "0s none_left "+fingerprint("a"))
		tr.now(works)
		time.Sleep(time.Second)
		gone, leave := context.WithCancel(t.Context())
		leave()
		tr.Retry(gone) // whoever has left does not wait
		synctest.Wait()
		tr.Retry(t.Context())
		tr.wantsTold("1s recovered " + fingerprint("a"))
		if got := states(tr.Client, "a"); got != "active a" {
			t.Errorf("the keys are %s", got)
		}
		tr.ring.close()
		if tr.Retry(t.Context()) {
			t.Error("tries go on after the end")
		}
	})
}

// TestTheLastKeyIsDoubtedNowAndThen: not once for each call that is refused, and it
// stays while OpenAI cannot be reached.
func TestTheLastKeyIsDoubtedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t, works, "a")
		for range 100 {
			tr.refused("a", "")
			synctest.Wait()
		}
		tr.wantsTries("a0s")
		tr.now(unclear)
		time.Sleep(doubtEvery)
		tr.refused("a", "")
		tr.wantsTries("a5s")
		if got := states(tr.Client, "a"); got != "active a" {
			t.Errorf("the keys are %s", got)
		}
		tr.now(refusedKey)
		time.Sleep(doubtEvery)
		tr.refused("a", "")
		tr.wantsTold("10s rejected "+fingerprint("a"), "10s none_left "+fingerprint("a"))
	})
}

// TestCloseEndsATry that hangs.
func TestCloseEndsATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := make(chan bool)
		c := &Client{}
		var err error
		c.ring, err = newRing(&c.cfg, keyset("a"), func(ctx context.Context, _ Key) (verdict, error) {
			close(began)
			<-ctx.Done()
			return unclear, ctx.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		c.ring.refused(c.ring.keys[0])
		<-began
		c.ring.close()
		c.ring.refused(c.ring.keys[0])
		if c.ring.running {
			t.Error("tries go on after the end")
		}
	})
}
