package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"keyshield/internal/secret"
	"keyshield/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func key(n string) upstream.Key {
	return upstream.Key{Secret: secret.New("test-key-0123456789-" + n), Source: "test"}
}

// script is a source that answers with the next of its steps, the last for ever, and
// a ring that writes down what it is given, and when.
type script struct {
	mu    sync.Mutex
	last  time.Time
	steps []step
	taken error // what Replace says
	log   []string
	waits []time.Duration
}

type step func(context.Context) ([]upstream.Key, error)

func (s *script) String() string { return "script" }

func (s *script) Read(ctx context.Context) ([]upstream.Key, error) {
	s.mu.Lock()
	next := s.steps[0]
	if len(s.steps) > 1 {
		s.steps = s.steps[1:]
	}
	s.waits = append(s.waits, time.Since(s.last))
	s.last = time.Now()
	s.mu.Unlock()
	return next(ctx)
}

func (s *script) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, what)
}

func (s *script) Replace(_ context.Context, keys []upstream.Key) error {
	s.note(fmt.Sprint(len(keys), " keys"))
	return s.taken
}

func (s *script) SourceFailed(source string, why error) { s.note(source + ": " + why.Error()) }

func (s *script) wants(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.log = nil
}

// until lets the time pass until so much was written down.
func (s *script) until(n int) {
	for got := 0; got < n; {
		time.Sleep(time.Second)
		s.mu.Lock()
		got = len(s.log)
		s.mu.Unlock()
	}
}

// waited checks how long it was between readings, ±10 %.
func (s *script) waited(t *testing.T, want ...time.Duration) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, d := range want {
		if i >= len(s.waits) || s.waits[i] < d*9/10 || s.waits[i] > d*11/10 {
			t.Errorf("read after %v; want about %v", s.waits, want)
			break
		}
	}
	s.waits = nil
}

func gives(n int) step {
	return func(context.Context) ([]upstream.Key, error) { return make([]upstream.Key, n), nil }
}

func fails(context.Context) ([]upstream.Key, error) { return nil, errors.New("it is down") }

func hangs(ctx context.Context) ([]upstream.Key, error) {
	<-ctx.Done()
	return nil, errors.New("it hung")
}

// run runs a Poller that polls every minute.
func run(t *testing.T, s *script) (p *Poller, stop func()) {
	t.Helper()
	s.last = time.Now()
	p = NewPoller(s, s, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() { p.Run(ctx); close(done) }()
	return p, func() { cancel(); <-done }
}

func TestASourceThatFailsIsAskedMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{gives(1), fails, fails, fails, fails, hangs, hangs, fails, fails, fails, fails, gives(2), gives(3)}}
		_, stop := run(t, s)
		defer stop()
		const down = "script: it is down"
		s.until(6)
		s.wants(t, "1 keys", down, down, "script: it hung", down, down)
		s.waited(t, time.Minute, time.Minute, again, 2*time.Minute, again, 4*time.Minute, readTimeout+again, 5*time.Minute+readTimeout, again, 5*time.Minute, again)
		s.until(2)
		s.wants(t, "2 keys", "3 keys")
		s.waited(t, 5*time.Minute, time.Minute)
	})
	for _, tt := range []struct{ every, longest time.Duration }{
		{2 * time.Second, 16 * time.Second}, {time.Minute, 5 * time.Minute}, {time.Hour, time.Hour},
	} {
		if got := NewPoller(nil, nil, tt.every).longest(); got != tt.longest {
			t.Errorf("asked every %v, and every %v when it fails; want %v", tt.every, got, tt.longest)
		}
	}
}

// TestOneLostPacketWakesNobody: what fails once is read again before anyone hears.
func TestOneLostPacketWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{fails, gives(1), gives(2)}}
		_, stop := run(t, s)
		defer stop()
		s.until(2)
		s.wants(t, "1 keys", "2 keys")
		s.waited(t, time.Minute, again, time.Minute)
	})
}

func TestKeysThatAreNotTakenAreOfferedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{gives(1)}, taken: upstream.ErrKeysKept}
		_, stop := run(t, s)
		defer stop()
		s.until(4)
		s.wants(t, "1 keys", "1 keys", "1 keys", "1 keys")
		s.waited(t, time.Minute, 2*time.Minute, 4*time.Minute, 5*time.Minute)
	})
}

func TestReplicasDoNotAskTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{gives(1)}}
		_, stop := run(t, s)
		defer stop()
		time.Sleep(time.Hour)
		s.mu.Lock()
		defer s.mu.Unlock()
		spread := map[time.Duration]bool{}
		for _, d := range s.waits {
			spread[d.Truncate(time.Second)] = true
			if d < 54*time.Second || d > 66*time.Second {
				t.Errorf("waited %v, want a minute ±10 %%", d)
			}
		}
		if len(s.waits) < 50 || len(spread) < 5 {
			t.Errorf("%d readings in an hour, after waits of %v", len(s.waits), spread)
		}
	})
}

func TestReloadReadsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan bool)
		waits := func(context.Context) ([]upstream.Key, error) { <-goOn; return make([]upstream.Key, 1), nil }
		s := &script{steps: []step{fails, fails, fails, fails, fails, fails, waits, gives(2)}}
		p, stop := run(t, s)
		defer stop()
		s.until(3)
		s.wants(t, "script: it is down", "script: it is down", "script: it is down")
		p.Reload()
		synctest.Wait()
		for range 5 { // while one is under way: they are one more together
			p.Reload()
		}
		close(goOn)
		s.wants(t, "1 keys", "2 keys")
		s.mu.Lock()
		s.waits = nil
		s.mu.Unlock()
		time.Sleep(70 * time.Second)
		s.waited(t, time.Minute)
	})
}

// TestAStopIsNoFailure: nobody is told of a source that was not asked to the end.
func TestAStopIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{hangs}}
		_, stop := run(t, s)
		time.Sleep(70 * time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 0 {
			t.Errorf("stopped after %v", took)
		}
		s.wants(t)
	})
}

// TestOnlyWholeSetsAreJoined: when one of two sources is down there is no set, else
// the keys of the other would seem to be all.
func TestOnlyWholeSetsAreJoined(t *testing.T) {
	one := Env(key("1"), key("2"))
	if got, err := Join(one, Env(key("2"), key("3"))).Read(t.Context()); err != nil || len(got) != 3 || !got[2].Secret.Equal("test-key-0123456789-3") {
		t.Errorf("%d keys, %v; want 1, 2, 3", len(got), err)
	}
	if got, err := Join(one, &script{steps: []step{fails}}).Read(t.Context()); err == nil || got != nil {
		t.Errorf("%d keys, %v; want none", len(got), err)
	}
	if got := Join(one, File("/k")).String(); got != "env and file /k" {
		t.Errorf("it is called %q", got)
	}
}
