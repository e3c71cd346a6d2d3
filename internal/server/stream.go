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
	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

// stream asks for a streamed answer, and has t pass it on.
func (s *Server) stream(r *http.Request, b *bill, out sink, t teller) (err error) {
	s.streams.Add(1)
	defer s.streams.Add(-1)
	defer s.pulse.begin()()
	ctx, done := s.outlive(r, b)
	defer done()
	defer out.close()
	defer func() { scopeOf(r).Waited = b.waited() }()

	var got *upstream.Answer
	aside.Run(func() { got, err = s.begin(ctx, r, b, out) })
	if got != nil {
		defer got.Close()
	}
	if err == nil {
		err = s.follow(r, b, got, t)
	}
	if err != nil && !clientGone(r) && !errors.Is(err, errClientLeft) {
		out.fail(s.explain(r, err)) // in the stream's own words, if it has begun; refuse does it otherwise
	}
	return err
}

// sink is what a stream is written to.
type sink interface {
	open(got *upstream.Answer) error // the header leaves
	flush() error                    // what was said leaves
	fail(e *apierr.Error)            // the stream is not complete;
	close()                          // nothing is written after it
}

// teller passes on what OpenAI's events say.
type teller interface {
	event(e wire.Event) (last bool, err error)
	complete() bool // all was said, but for the mark of the end
	pending() bool  // something was said and has not left
	flush() error
	end() error // says how a complete answer ended
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
	return got, b.left(out.open(got))
}

// ask sends the question that b has paid for.
func (s *Server) ask(ctx context.Context, r *http.Request, b *bill) (*upstream.Answer, error) {
	if err := b.hold.Use(); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnused, err)
	}
	b.asked = time.Now()
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

var readers = sync.Pool{New: func() any { return wire.NewEvents(nil) }}

// maxEcho bounds one event of a client's own request: a response repeats its tools
// and its instructions, each byte of them in up to six when it is escaped, and holds
// more besides. All of its output is in its last event, so that there is room
// for a long one however short the request is.
func maxEcho(body []byte) int {
	const (
		anyAnswer = 8 << 20
		repeated  = 8
	)
	return max(anyAnswer, min(roomForFrame+repeated*len(body), upstream.MaxAnswer))
}

// follow reads the events as they come. It returns nil when the answer is complete
// and its end has been said.
func (s *Server) follow(r *http.Request, b *bill, got *upstream.Answer, t teller) error {
	events := readers.Get().(*wire.Events)
	events.Reset(got)
	if b.q.Theirs {
		events.Allow(maxEcho(b.q.Body))
	}
	defer func() { events.Reset(nil); readers.Put(events) }()

	for {
		event, err := events.Next()
		if (err == io.EOF || err == io.ErrUnexpectedEOF) && t.complete() {
			return t.end() // everything was said; only "[DONE]" is missing, or its last line end
		}
		if err != nil {
			return interrupted(r, err)
		}
		last, err := t.event(event)
		if err != nil {
			return err
		}
		if last {
			if err := t.end(); err != nil {
				return err
			}
			got.Linger(make([]byte, 64))
			return nil
		}
		if t.pending() && !events.Buffered() {
			if err := b.left(t.flush()); err != nil {
				return err
			}
		}
	}
}

// left is the end of a client that err says has left; or nil, if the rest is read
// for its usage.
func (b *bill) left(err error) error {
	if err == nil || b.drains() {
		return nil
	}
	return errors.Join(errClientLeft, err)
}

// hears notes what one chunk of a completion says of its end and its cost.
func (b *bill) hears(scope *Scope, c *wire.Chunk, finish *string) error {
	if c.Error {
		return interruptedBy(errFailedStream)
	}
	if c.Finish != "" {
		*finish = c.Finish
	}
	if c.ServiceTier != nil && b.served == "" {
		b.served = text(c.ServiceTier)
	}
	if c.HasUsage {
		scope.Usage = c.Usage
		terminal := c.Choices == 0 && *finish != "" // no other chunk counts all
		if terminal || b.answer != nil {            // what follows it must not say otherwise
			b.prove(c.Answer)
		}
	}
	return nil
}

var (
	errFailedStream   = errors.New("OpenAI reported an error in the stream")
	errFailedResponse = errors.New("OpenAI reported that the response failed") // for the client's prompt, perhaps
	errSlowReader     = errors.New("the client reads slowly, and OpenAI did not wait for it")
)

// interrupted is a stream that OpenAI did not finish. The end of the server and
// of the client are their own causes.
func interrupted(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return err
	}
	if exchangeOf(r).out.readsSlowly() {
		err = fmt.Errorf("%w: %w", errSlowReader, err)
	}
	return interruptedBy(err)
}

func interruptedBy(cause error) error {
	return apierr.New(http.StatusBadGateway, "upstream_interrupted", "The AI provider stopped answering.").Because(cause)
}
