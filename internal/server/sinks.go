package server

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

const (
	// openAfter is when the header leaves although OpenAI has not answered yet:
	// proxies cut what stays silent (Heroku after 30 s).
	openAfter = 10 * time.Second

	// pingAfter is the silence after which a comment keeps the line open
	// (Heroku cuts after 55 s, Cloudflare after about 120).
	pingAfter = 15 * time.Second
)

// eventStream is what all server-sent events have in common: when they open, what
// keeps them open, what leaves when. There is no id: and no retry:, for a browser
// that resumes would pay twice.
//
// One timer serves the opening and the heartbeat; it writes from a goroutine of
// its own, hence the lock.
type eventStream struct {
	w *response

	// terse is for OpenAI's own SDKs: the header leaves with the true status, nothing
	// is said that OpenAI does not say, and a heartbeat is a single line, since
	// openai-go takes an empty one for an event.
	terse bool

	mu     sync.Mutex
	opened bool
	closed bool
	gone   error     // the client's connection failed
	wrote  time.Time // when something last began to leave
	buf    []byte
	timer  *time.Timer
	mark   http.Header // what this protocol's header has besides; nil for nothing
}

// start sets the timer; before it nothing runs.
func (s *eventStream) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(openAfter, s.tick)
}

// tick opens the stream, or breaks a silence.
func (s *eventStream) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.gone != nil {
		return
	}
	switch silence := time.Since(s.wrote); {
	case !s.opened && s.terse:
	case !s.opened:
		s.begin()
	case silence < pingAfter:
		s.timer.Reset(pingAfter - silence)
		return
	default:
		s.buf = append(s.buf, ": ping\n\n"...)
		if s.terse {
			s.buf = s.buf[:len(s.buf)-1]
		}
		s.send()
	}
	s.timer.Reset(pingAfter)
}

func (s *eventStream) open(*upstream.Answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opened {
		s.begin()
	}
	return s.gone
}

// begin sends the header and the first comment; with the lock held.
func (s *eventStream) begin() {
	s.opened = true
	h := s.w.Header()
	h["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
	streamed(h)
	maps.Copy(h, s.mark)
	if s.terse {
		s.w.WriteHeader(http.StatusOK)
		s.wrote = time.Now()
		s.gone = s.w.flush()
	} else {
		s.buf = append(s.buf, ": open\n\n"...)
		s.send()
	}
	s.timer.Reset(pingAfter)
}

// streamed keeps what stands between us and the client from holding a stream
// back (nginx) or packing it (Cloudflare).
func streamed(h map[string][]string) {
	h["Cache-Control"] = []string{"no-cache, no-transform"}
	h["X-Accel-Buffering"] = []string{"no"}
}

// quote appends text as a JSON string; with the lock held. literal is the same,
// where there is one.
func (s *eventStream) quote(text []byte, literal wire.Literal) {
	if literal != nil {
		s.buf = append(s.buf, literal...)
	} else {
		s.buf = wire.AppendQuote(s.buf, text)
	}
}

// spill keeps the buffer small between two flushes; with the lock held.
func (s *eventStream) spill() error {
	if len(s.buf) > keepable {
		s.send()
	}
	return s.gone
}

// send writes and flushes what is buffered; with the lock held.
func (s *eventStream) send() {
	s.write(s.buf)
	s.buf = s.buf[:0]
}

// write writes and flushes p; with the lock held. However long it is, it has the time of
// one write: pieces with a time each would go on for long after STREAM_MAX.
func (s *eventStream) write(p []byte) {
	if s.gone == nil && len(p) > 0 {
		s.wrote, s.gone = s.w.send(p)
	}
}

func (s *eventStream) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send()
	return s.gone
}

// beginError reports whether an error is told in the stream; with the lock held.
// Before the header it is not: refuse still answers with a status, and the timer
// must not open the stream under its hands, so that it closes.
func (s *eventStream) beginError() bool {
	if !s.opened {
		s.closed = true
	}
	return s.opened
}

// last sends how the stream ended, and with it the rest; with the lock held.
func (s *eventStream) last() error {
	s.send()
	s.closed = true
	s.w.framed = true
	return s.gone
}

func (s *eventStream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.timer.Stop()
}

// eventSink writes the text API's own events. A stream ends with exactly one done
// or error event, never with a silent end of file: SDKs take a clean end for
// success.
type eventSink struct {
	eventStream
	id string
}

func newEventSink(w *response, id string) *eventSink {
	s := &eventSink{id: id, eventStream: eventStream{w: w}}
	s.start()
	return s
}

func (s *eventSink) say(text []byte, literal wire.Literal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf, `data: {"delta":`...)
	s.quote(text, literal)
	s.buf = append(s.buf, "}\n\n"...)
	return s.spill()
}

func (s *eventSink) done(finish string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf, "event: done\ndata: {\"finish_reason\":"...)
	s.buf = wire.AppendQuote(s.buf, finish)
	s.buf = append(s.buf, `,"request_id":`...)
	s.buf = wire.AppendQuote(s.buf, s.id)
	s.buf = append(s.buf, "}\n\n"...)
	return s.last()
}

func (s *eventSink) fail(e *apierr.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.beginError() {
		return
	}
	s.buf = append(s.buf, "event: error\ndata: "...)
	s.buf = append(s.buf, textError(e, s.id)...)
	s.buf = append(s.buf, "\n\n"...)
	s.last()
}

// plainSink writes the text and nothing else (the Vercel AI SDK's text stream
// protocol). It has no frame for an error, so a broken one is cut: refuse aborts
// the connection of an answer that nobody has marked as framed.
type plainSink struct {
	w *response
}

func (s *plainSink) open(*upstream.Answer) error {
	h := s.w.Header()
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	streamed(h)
	s.w.WriteHeader(200)
	return s.w.flush()
}

func (s *plainSink) say(text []byte, _ wire.Literal) error {
	_, err := s.w.Write(text)
	return err
}

func (s *plainSink) flush() error      { return s.w.flush() }
func (s *plainSink) done(string) error { s.w.framed = true; return s.w.flush() }

// fail lets out what was said; that it was not all, only the cut can tell.
func (s *plainSink) fail(*apierr.Error) {
	if s.w.status != 0 {
		s.w.flush()
	}
}

func (s *plainSink) close() {}
