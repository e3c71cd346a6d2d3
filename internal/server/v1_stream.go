package server

import (
	"errors"
	"net/http"
	"regexp"
	"time"

	"keyshield/internal/policy"
	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

// relayEvents passes OpenAI's events on as they come, to one of its own SDKs. No
// event is decoded whole: a scan finds its usage, how the answer ended, errors,
// and every text in it, which is searched for our key.
func (s *Server) relayEvents(w http.ResponseWriter, r *http.Request, b *bill) error {
	p := newPassing(s, responseOf(w), scopeOf(r), b)
	return s.stream(r, b, &p.out, p)
}

// passHeaders passes on what a client sees of OpenAI's headers: a time, and a date.
// The others describe our account, or our connection.
func passHeaders(to http.Header, got *upstream.Answer) {
	for _, name := range [...]string{"Openai-Processing-Ms", "Openai-Version"} {
		if v := got.Header(name); plainNumber.MatchString(v) {
			to[name] = []string{v}
		}
	}
}

var plainNumber = regexp.MustCompile(`^[0-9-]{1,16}$`)

// passing is the state of one relayed stream. Everything that a chunk needs stands
// together: with thousands of streams none of it is in the processor's cache when the
// next chunk comes, and every pointer that is followed is waited for.
type passing struct {
	scope  *Scope
	bill   *bill
	kind   policy.Kind
	spoke  bool // the first token has come
	finish string
	hear   wire.Hear // ears.hear, bound once
	ears   ears
	out    frameSink
}

func newPassing(s *Server, w *response, scope *Scope, b *bill) *passing {
	p := &passing{scope: scope, bill: b, kind: b.q.kind, ears: ears{detector: s.detector}}
	p.hear = p.ears.hear
	p.out.init(w, b.q.kind)
	return p
}

func (p *passing) complete() bool { return p.finish != "" }
func (p *passing) pending() bool  { return p.out.pending() }
func (p *passing) flush() error   { return p.out.flush() }

// event passes one event on, or keeps it back: it says whether it is the last.
func (p *passing) event(e wire.Event) (last bool, err error) {
	switch {
	case string(e.Data) == "[DONE]":
		return true, nil
	case string(e.Name) == "error" && p.kind == policy.Responses:
		return false, interruptedBy(errFailedResponse)
	case string(e.Name) == "error":
		return false, interruptedBy(errFailedStream)
	}
	p.ears.generated = 0
	var drop bool
	if p.kind == policy.Responses {
		last, err = p.response(e.Data)
	} else {
		drop, err = p.chunk(e.Data)
	}
	if err != nil {
		return false, err
	}
	p.ears.search(e.Data)
	p.ears.search(e.Name)
	if p.ears.broken != nil {
		return false, p.ears.broken
	}
	for range p.ears.generated {
		p.bill.heard()
	}
	if p.ears.generated > 0 && !p.spoke {
		p.spoke = true
		p.scope.FirstToken = time.Since(p.scope.Began)
	}
	if drop {
		return last, nil
	}
	err = p.out.frame(e, p.ears.held > 0)
	if err == errWithheld {
		return false, interruptedBy(err)
	}
	return last, p.bill.left(err)
}

// chunk reads an event of a chat completion. The chunk that we asked for and the
// client did not is dropped: it has no choices, and code that takes choices[0]
// breaks on it.
func (p *passing) chunk(data []byte) (drop bool, err error) {
	c, err := wire.HearChunk(data, p.hear)
	if err != nil {
		return false, interruptedBy(err)
	}
	if err := p.bill.hears(p.scope, &c, &p.finish); err != nil {
		return false, err
	}
	return c.HasUsage && c.Choices == 0 && !p.bill.q.usageAsked, nil
}

// response reads an event of a response.
func (p *passing) response(data []byte) (last bool, err error) {
	e, err := wire.HearResponseEvent(data, p.hear)
	if err != nil {
		return false, interruptedBy(err)
	}
	if e.HasUsage {
		p.scope.Usage = e.Usage
		if e.Last {
			p.bill.received = true // in whatever event it was: no response is made of nothing
			p.bill.prove(e.Answer)
		}
	}
	if e.Failed {
		return false, interruptedBy(errFailedResponse)
	}
	if e.Last {
		p.finish = e.Finish
	}
	p.out.seq = max(p.out.seq, e.Seq)
	return e.Last, nil
}

// end lets out what was kept back, and says the end.
func (p *passing) end() error {
	if p.finish == "" {
		return interruptedBy(errors.New("OpenAI said that it is done, and never how the answer ended"))
	}
	if err := p.ears.end(); err != nil {
		return err
	}
	if err := p.out.done(); err != nil {
		return errors.Join(errClientLeft, err)
	}
	return nil
}
