package server

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// laggard is a client that takes its time to take what is flushed.
type laggard struct {
	nowhere
	takes time.Duration
}

func (l *laggard) FlushError() error                { time.Sleep(l.takes); return nil }
func (l *laggard) SetReadDeadline(time.Time) error  { return nil }
func (l *laggard) SetWriteDeadline(time.Time) error { return nil }

// TestOnlyWaitsForTheClientMakeASlowReader: not those for OpenAI, and not the writes of
// a stream that goes on for long.
func TestOnlyWaitsForTheClientMakeASlowReader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		writes       int
		takes, pause time.Duration
		slow         bool
	}{
		{"all the time is OpenAI's", 20, 0, time.Minute, false},
		{"many quick writes", 10_000, time.Millisecond, time.Millisecond, false},
		{"a short wait", 1, 500 * time.Millisecond, 0, false},
		{"one long wait", 1, 1500 * time.Millisecond, 0, true},
		{"many short waits", 10, 300 * time.Millisecond, time.Second, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var p pulse
			defer p.begin()()
			client := &laggard{nowhere{http.Header{}}, c.takes}
			w := &response{ResponseWriter: client, control: client, pulse: &p}
			for range c.writes {
				if _, err := w.send([]byte("data: {}\n\n")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.pause)
			}
			if w.readsSlowly() != c.slow {
				t.Errorf("%s: a slow reader: %t, want %t", c.name, !c.slow, c.slow)
			}
		})
	}
}

// TestThePulseBeatsWhileThereAreStreams, as one, and no longer.
func TestThePulseBeatsWhileThereAreStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p pulse
		after := func(what string, d time.Duration, want int64) {
			t.Helper()
			before := p.beats.Load()
			time.Sleep(d)
			if n := p.beats.Load() - before; n != want {
				t.Errorf("%s: %d beats in %v, want %d", what, n, d, want)
			}
		}
		after("no stream", time.Second, 0)
		for range 2 {
			one, two := p.begin(), p.begin()
			time.Sleep(beat / 2) // else both wake up at once
			after("two streams", time.Second, 10)
			one()
			after("one stream", time.Second, 10)
			two()
			after("after the last", time.Hour, 0)
		}
	})
}
