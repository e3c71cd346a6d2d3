package server

import (
	"sync"
	"time"

	"keyshield/internal/apierr"
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

// eventSink writes server-sent events. A stream ends with exactly one done or
// error event, never with a silent end of file: SDKs take a clean end for
// success. There is no id: and no retry:, for a browser that resumes would pay
// twice.
//
// One timer serves the opening and the heartbeat; it writes from a goroutine of
// its own, hence the lock.
type eventSink struct {
	w  *response
	id string

	mu     sync.Mutex
	timer  *time.Timer
	buf    []byte
	wrote  time.Time // the last time something left
	opened bool
	closed bool
	gone   error // the client's connection failed
}

func newEventSink(w *response, id string) *eventSink {
	s := &eventSink{w: w, id: id}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(openAfter, s.tick)
	return s
}

// tick opens the stream, or breaks a silence.
func (s *eventSink) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.gone != nil {
		return
	}
	switch silence := time.Since(s.wrote); {
	case !s.opened:
		s.begin()
	case silence < pingAfter:
		s.timer.Reset(pingAfter - silence)
		return
	default:
		s.buf = append(s.buf, ": ping\n\n"...)
		s.send()
	}
	s.timer.Reset(pingAfter)
}

func (s *eventSink) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opened {
		s.begin()
	}
	return s.gone
}

// begin sends the header and the first comment; with the lock held.
func (s *eventSink) begin() {
	s.opened = true
	h := s.w.Header()
	h["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
	streamed(h)
	s.buf = append(s.buf, ": open\n\n"...)
	s.send()
	s.timer.Reset(pingAfter)
}

// streamed keeps what stands between us and the client from holding a stream
// back (nginx) or packing it (Cloudflare).
func streamed(h map[string][]string) {
	h["Cache-Control"] = []string{"no-cache, no-transform"}
	h["X-Accel-Buffering"] = []string{"no"}
}

// send writes and flushes what is buffered; with the lock held.
func (s *eventSink) send() {
	if s.gone == nil && len(s.buf) > 0 {
		if _, s.gone = s.w.Write(s.buf); s.gone == nil {
			s.gone = s.w.flush()
		}
		s.wrote = time.Now()
	}
	s.buf = s.buf[:0]
}

func (s *eventSink) say(text []byte, literal wire.Literal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf, `data: {"delta":`...)
	if literal != nil {
		s.buf = append(s.buf, literal...)
	} else {
		s.buf = wire.AppendQuote(s.buf, text)
	}
	s.buf = append(s.buf, "}\n\n"...)
	if len(s.buf) > keepable {
		s.send()
	}
	return s.gone
}

func (s *eventSink) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send()
	return s.gone
}

func (s *eventSink) done(finish string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf, "event: done\ndata: {\"finish_reason\":"...)
	s.buf = wire.AppendQuote(s.buf, finish)
	s.buf = append(s.buf, `,"request_id":`...)
	s.buf = wire.AppendQuote(s.buf, s.id)
	s.last()
	return s.gone
}

func (s *eventSink) fail(e *apierr.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opened {
		s.closed = true // refuse still answers with a status; the timer must not open it now
		return
	}
	s.buf = append(s.buf, "event: error\ndata: "...)
	s.buf = append(s.buf, textError(e, s.id)...)
	s.buf = s.buf[:len(s.buf)-1] // last closes the object
	s.last()
}

// last ends the event, and with it the stream; with the lock held.
func (s *eventSink) last() {
	s.buf = append(s.buf, "}\n\n"...)
	s.send()
	s.closed = true
	s.w.framed = true
}

func (s *eventSink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.timer.Stop()
}

// plainSink writes the text and nothing else (the Vercel AI SDK's text stream
// protocol). It has no frame for an error, so a broken one is cut: refuse aborts
// the connection of an answer that nobody has marked as framed.
type plainSink struct {
	w *response
}

func (s *plainSink) open() error {
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
