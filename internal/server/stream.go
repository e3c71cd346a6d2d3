package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/aside"
	"keyshield/internal/secret"
	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

// sink is a streamed form of the text API.
type sink interface {
	open() error                                 // the header leaves
	say(text []byte, literal wire.Literal) error // literal is text as a JSON string, where there is one
	flush() error                                // what was said leaves
	done(finish string) error                    // the stream is complete
	fail(e *apierr.Error)                        // it is not;
	close()                                      // nothing is written after it
}

// stream asks for a streamed answer and relays its text.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, b *bill, form form) (err error) {
	ctx, done := s.outlive(r, b)
	defer done()
	out := s.sinkFor(form, responseOf(w), scopeOf(r).ID)
	defer out.close()

	var got *upstream.Answer
	aside.Run(func() { got, err = s.begin(ctx, r, b, out) })
	if got != nil {
		defer got.Close()
	}
	if err == nil {
		err = s.relay(r, b, got, out)
	}
	if err != nil {
		return s.broken(r, out, err)
	}
	return nil
}

// begin asks, and opens the stream to the client once OpenAI has taken the
// question. An Answer is to be closed, with an error too.
func (s *Server) begin(ctx context.Context, r *http.Request, b *bill, out sink) (*upstream.Answer, error) {
	got, err := s.ask(ctx, r, b)
	if err != nil {
		return nil, err
	}
	if !got.Streams() {
		return got, brokenAnswer(errors.New("OpenAI's answer is no event stream"))
	}
	if err := out.open(); err != nil && !b.drains() {
		return got, errors.Join(errClientLeft, err)
	}
	return got, nil
}

// ask sends the question that b has paid for.
func (s *Server) ask(ctx context.Context, r *http.Request, b *bill) (*upstream.Answer, error) {
	if err := b.hold.Use(); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnused, err)
	}
	got, err := s.upstream.Ask(ctx, b.q.Question)
	if err != nil {
		return nil, err
	}
	scopeOf(r).Upstream = got.RequestID()
	if at := got.Date(); !at.IsZero() {
		s.ledger.Observe(at)
	}
	return got, nil
}

func (s *Server) sinkFor(form form, w *response, id string) sink {
	if form == asText {
		return &plainSink{w: w}
	}
	return newEventSink(w, id)
}

// broken tells the client in the stream's own words, if the stream has begun;
// refuse does it otherwise.
func (s *Server) broken(r *http.Request, out sink, err error) error {
	if !clientGone(r) && !errors.Is(err, errClientLeft) {
		out.fail(s.explain(r, err))
	}
	return err
}

var readers = sync.Pool{New: func() any { return wire.NewEvents(nil) }}

// relay passes text on as it comes. It returns nil when the answer is complete
// and its end has been said.
func (s *Server) relay(r *http.Request, b *bill, got *upstream.Answer, out sink) error {
	events := readers.Get().(*wire.Events)
	events.Reset(got)
	defer func() { events.Reset(nil); readers.Put(events) }()

	t := telling{scope: scopeOf(r), bill: b, scan: s.detector.NewScan(), out: out}
	for {
		event, err := events.Next()
		if (err == io.EOF || err == io.ErrUnexpectedEOF) && t.finish != "" {
			return t.end() // everything was said; only "[DONE]" is missing, or its last line end
		}
		if err != nil {
			return interrupted(r, err)
		}
		if string(event.Data) == "[DONE]" {
			if err := t.end(); err != nil {
				return err
			}
			got.Linger(make([]byte, 64))
			return nil
		}
		if err := t.tell(event.Data); err != nil {
			return err
		}
		if t.pending && !events.Buffered() {
			t.pending = false
			if err := t.left(t.out.flush()); err != nil {
				return err
			}
		}
	}
}

// telling is the state of one relayed answer.
type telling struct {
	scope   *Scope
	bill    *bill
	scan    secret.Scan
	out     sink
	scratch []byte
	finish  string
	said    bool // some text came
	refused bool // the model's own refusal came
	pending bool // something was said and not flushed
}

// tell passes on what one event says.
func (t *telling) tell(data []byte) error {
	chunk, err := wire.ReadChunk(data)
	switch {
	case err != nil:
		return interruptedBy(err)
	case chunk.Error:
		return interruptedBy(errors.New("OpenAI reported an error in the stream"))
	}
	if chunk.Finish != "" {
		t.finish = chunk.Finish
	}
	if chunk.HasUsage {
		t.scope.Usage = chunk.Usage
		if chunk.Choices == 0 && t.finish != "" { // the terminal chunk: no other counts all
			t.bill.prove(chunk.Answer)
		}
	}
	if chunk.Refusal != nil {
		t.refused = true
		t.bill.heard()
	}

	text, plain := chunk.Content.Plain()
	literal := chunk.Content
	if !plain {
		t.scratch = chunk.Content.AppendText(t.scratch[:0])
		text, literal = t.scratch, nil
	}
	if len(text) == 0 {
		return nil
	}
	t.bill.heard()
	if !t.said {
		t.said = true
		t.scope.FirstToken = time.Since(t.scope.Began)
	}
	return t.pass(text, literal)
}

// pass lets text through the scan for our key.
func (t *telling) pass(text []byte, literal wire.Literal) error {
	free, found := t.scan.Push(text)
	if found {
		return apierr.From(errLeak)
	}
	if len(free) != len(text) || t.scan.Held() > 0 {
		literal = nil // something was held back, or let go
	}
	return t.say(free, literal)
}

func (t *telling) say(text []byte, literal wire.Literal) error {
	if len(text) == 0 {
		return nil
	}
	t.pending = true
	return t.left(t.out.say(text, literal))
}

// left is the end of a client that err says has left; or nil, if the rest is read
// for its usage.
func (t *telling) left(err error) error {
	if err == nil || t.bill.drains() {
		return nil
	}
	return errors.Join(errClientLeft, err)
}

// end says how a complete answer ended.
func (t *telling) end() error {
	rest, found := t.scan.Flush()
	if found {
		return apierr.From(errLeak)
	}
	if err := t.say(rest, nil); err != nil {
		return err
	}
	if err := unfit(t.finish, t.said, t.refused, t.scope.Usage); err != nil {
		return err
	}
	finish := "stop"
	if t.finish == "length" {
		finish = "length"
	}
	if err := t.out.done(finish); err != nil {
		return errors.Join(errClientLeft, err)
	}
	return nil
}

// interrupted is a stream that OpenAI did not finish. The end of the server and
// of the client are their own causes.
func interrupted(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return err
	}
	return interruptedBy(err)
}

func interruptedBy(cause error) error {
	return apierr.New(http.StatusBadGateway, "upstream_interrupted", "The AI provider stopped answering.").Because(cause)
}
