package server

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"

	"keyshield/internal/apierr"
	"keyshield/internal/policy"
	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

// frameSink writes OpenAI's own events. A stream that breaks ends in an error
// frame, which is what makes each of the SDKs raise.
type frameSink struct {
	eventStream
	frames *[]byte // whole ones that have not left, in a buffer that is borrowed; or nil
	held   []byte  // those that may hold the beginning of our key
	seq    int64   // of the last event of a response
	kind   policy.Kind
}

// maxHeld bounds what is kept back, but for the last frame of it, which may repeat a
// long request: texts add up to our key within a few frames, or go on otherwise.
const maxHeld = 1 << 20

var errWithheld = errors.New("too many events say nothing after a text that our key may begin with")

func (s *frameSink) init(w *response, kind policy.Kind) {
	s.w, s.terse, s.kind, s.seq = w, true, kind, -1
	s.start()
}

func (s *frameSink) open(got *upstream.Answer) error {
	if got != nil {
		passHeaders(s.w.Header(), got)
	}
	return s.eventStream.open(got)
}

// frame passes an event on, or keeps it back until the next one shows what its text
// is the beginning of.
//
// Frames are collected without the lock, since the heartbeat may stand between any
// two. Their buffer is borrowed until they leave: a few serve thousands of streams, and
// so are always in the processor's cache.
func (s *frameSink) frame(e wire.Event, hold bool) error {
	if hold {
		if len(s.held) > maxHeld {
			return errWithheld
		}
		s.held = appendFrame(s.held, e)
		return s.failed()
	}
	if s.frames == nil {
		s.frames = buffers.Get().(*[]byte)
	}
	*s.frames = appendFrame(append(*s.frames, s.held...), e)
	s.held = s.held[:0]
	if len(*s.frames) > keepable {
		return s.flush()
	}
	return nil
}

func (s *frameSink) pending() bool { return s.frames != nil }

func (s *frameSink) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frames != nil {
		s.write(*s.frames)
		giveBack(s.frames)
		s.frames = nil
	}
	return s.gone
}

func (s *frameSink) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// collect gets everything that waits ready to leave with the next send; with the lock
// held.
func (s *frameSink) collect() {
	if s.frames != nil {
		s.buf = append(s.buf, *s.frames...)
		giveBack(s.frames)
		s.frames = nil
	}
}

func (s *frameSink) done() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collect()
	s.buf = append(s.buf, s.held...)
	if s.kind == policy.Chat {
		s.buf = append(s.buf, "data: [DONE]\n\n"...)
	}
	return s.last()
}

// fail says in the stream why it is not complete. What was kept back stays here.
func (s *frameSink) fail(e *apierr.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.beginError() {
		return
	}
	s.collect()
	_, body := openAIError(e)
	if s.kind == policy.Responses {
		// As OpenAI has it, its members besides; the "error" within is what the SDKs
		// look for.
		s.buf = append(s.buf, "event: error\n"...)
		body = append([]byte(`{"type":"error","sequence_number":`+strconv.FormatInt(s.seq+1, 10)+`,`), flatError(e, body)...)
	}
	s.buf = append(append(append(s.buf, "data: "...), body...), "\n\n"...)
	s.last()
}

// flatError is the members of an error, and then the error itself.
func flatError(e *apierr.Error, body []byte) []byte {
	b := append([]byte(nil), `"code":`...)
	b = wire.AppendQuote(b, e.Code)
	b = append(b, `,"message":`...)
	b = wire.AppendQuote(b, e.Message)
	b = append(b, `,"param":null,`...)
	return append(b, body[1:]...)
}

// eventName is a name as OpenAI gives one. The SDKs read the type in the data; what
// is no name is left out.
var eventName = regexp.MustCompile(`^[a-z._]{1,64}$`)

// appendFrame appends an event as it goes over the line.
func appendFrame(dst []byte, e wire.Event) []byte {
	if len(e.Name) > 0 && eventName.Match(e.Name) {
		dst = append(append(append(dst, "event: "...), e.Name...), '\n')
	}
	for rest, more := e.Data, true; more; {
		var line []byte
		line, rest, more = bytes.Cut(rest, []byte{'\n'})
		dst = append(append(append(dst, "data: "...), line...), '\n')
	}
	return append(dst, '\n')
}
