package server

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/apierr"
)

// heard is what a client has received through a sink so far. Sinks write from
// goroutines of their own.
type heard struct {
	mu sync.Mutex
	httptest.ResponseRecorder
}

func newHeard() (*heard, *response) {
	h := &heard{ResponseRecorder: *httptest.NewRecorder()}
	return h, &response{ResponseWriter: h, control: connectionOf(h)}
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ResponseRecorder.Write(p)
}

func (h *heard) Flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ResponseRecorder.Flush()
}

// wants checks that exactly this has left by now.
func (h *heard) wants(t *testing.T, when, want string) {
	t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := h.Body.String(); got != want {
		t.Errorf("%s: got %q, want %q", when, got, want)
	}
	if want != "" && !h.Flushed {
		t.Errorf("%s: it was written and not flushed", when)
	}
}

func statusOf(s *eventSink) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.status
}

const opening, ping = ": open\n\n", ": ping\n\n"

// TestAStreamOpensAfterTenSeconds although the provider is silent: Heroku cuts
// what has not begun after 30.
func TestAStreamOpensAfterTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := newHeard()
		s := newEventSink(w, "ID")
		defer s.close()
		time.Sleep(10*time.Second - 1)
		h.wants(t, "before 10 s", "")
		if status := statusOf(s); status != 0 {
			t.Errorf("status %d has left before 10 s: an error could no longer have its own", status)
		}
		time.Sleep(time.Nanosecond)
		h.wants(t, "after 10 s", opening)
		for name, want := range map[string]string{"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"} {
			if got := h.Header().Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if err := s.open(nil); err != nil {
			t.Error(err)
		}
		h.wants(t, "when the provider answers at last", opening)
	})
}

func TestAStreamOpensAtOnceWhenTheProviderAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := newHeard()
		s := newEventSink(w, "ID")
		defer s.close()
		time.Sleep(3 * time.Second)
		s.open(nil)
		h.wants(t, "at once", opening)
		time.Sleep(8 * time.Second) // past the ten
		h.wants(t, "later", opening)
	})
}

func TestEveryFifteenSecondsOfSilenceAreBroken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := newHeard()
		s := newEventSink(w, "ID")
		defer s.close()
		s.open(nil)
		want := opening
		for range 4 {
			time.Sleep(15*time.Second - 1)
			h.wants(t, "within 15 s", want)
			time.Sleep(time.Nanosecond)
			want += ping
			h.wants(t, "after 15 s of silence", want)
		}
		time.Sleep(14 * time.Second)
		s.say([]byte("hi"), nil)
		s.flush()
		want += "data: {\"delta\":\"hi\"}\n\n"
		time.Sleep(15*time.Second - 1) // the heartbeat's own time has passed meanwhile
		h.wants(t, "within 15 s of a word", want)
		time.Sleep(time.Nanosecond)
		h.wants(t, "15 s after a word", want+ping)
	})
}

// TestAnOpenedStreamHasAHeartbeatBeforeTheFirstWord: reasoning takes its time.
func TestAnOpenedStreamHasAHeartbeatBeforeTheFirstWord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := newHeard()
		s := newEventSink(w, "ID")
		defer s.close()
		time.Sleep(25 * time.Second)
		h.wants(t, "10 + 15 s", opening+ping)
		time.Sleep(15 * time.Second)
		h.wants(t, "10 + 30 s", opening+ping+ping)
	})
}

func TestAnEndedStreamStaysSilent(t *testing.T) {
	t.Parallel()
	for end, do := range map[string]func(*eventSink){
		opening + "event: done\ndata: {\"finish_reason\":\"stop\",\"request_id\":\"ID\"}\n\n": func(s *eventSink) { s.open(nil); s.done("stop") },
		opening + "event: error\ndata: {\"error\":\"No.\",\"code\":\"why\",\"request_id\":\"ID\"}\n\n": func(s *eventSink) {
			s.open(nil)
			s.fail(apierr.New(500, "why", "No."))
		},
		opening: func(s *eventSink) { s.open(nil); s.close() }, // the client has left
		"":      (*eventSink).close,
	} {
		synctest.Test(t, func(t *testing.T) {
			h, w := newHeard()
			s := newEventSink(w, "ID")
			do(s)
			time.Sleep(time.Hour)
			h.wants(t, "an hour later", end)
			if framed := strings.Contains(end, "event: "); w.framed != framed {
				t.Errorf("%q: framed is %t: only a stream that said how it ended may end cleanly", end, w.framed)
			}
			s.close()
		})
	}
}

// TestAnErrorComesAsItsStatusOrAsAnEvent, never as both or neither: before the
// header the refusal is left to whoever writes statuses, and no timer may write a
// 200 under its hands.
func TestAnErrorComesAsItsStatusOrAsAnEvent(t *testing.T) {
	t.Parallel()
	e := apierr.New(502, "upstream_error", "Our server encountered an issue.")
	synctest.Test(t, func(t *testing.T) {
		h, w := newHeard()
		s := newEventSink(w, "ID")
		defer s.close()
		time.Sleep(10*time.Second - 1)
		s.fail(e)
		time.Sleep(time.Minute)
		h.wants(t, "an error before the header", "")
		if status := statusOf(s); status != 0 {
			t.Errorf("status %d was sent after the error", status)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h, w := newHeard()
		s := newEventSink(w, "ID")
		defer s.close()
		time.Sleep(11 * time.Second)
		s.fail(e)
		h.wants(t, "an error after the header", opening+"event: error\ndata: "+`{"error":"Our server encountered an issue.","code":"upstream_error","request_id":"ID"}`+"\n\n")
	})
}

// TestPlainTextHasNoHeartbeat, for it would be text.
func TestPlainTextHasNoHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := newHeard()
		s := &plainSink{w: w}
		defer s.close()
		time.Sleep(time.Minute)
		h.wants(t, "before the provider answers", "")
		s.open(nil)
		s.say([]byte("one"), nil)
		s.flush()
		time.Sleep(time.Hour)
		h.wants(t, "an hour later", "one")
		if w.framed {
			t.Error("plain text that nobody has ended may not end cleanly")
		}
		s.done("stop")
		if !w.framed {
			t.Error("complete plain text may end cleanly")
		}
	})
}
