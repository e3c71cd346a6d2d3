package server

import (
	"errors"
	"net/http"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/secret"
	"keyshield/internal/wire"
)

// wordSink is a streamed form of an answer that is nothing but text.
type wordSink interface {
	sink
	say(text []byte, literal wire.Literal) error // literal is text as a JSON string, where there is one
	done(finish string) error                    // the stream is complete
}

// streamWords asks for a streamed answer and relays its text, and nothing else of it.
func (s *Server) streamWords(w http.ResponseWriter, r *http.Request, b *bill, form form) error {
	scope := scopeOf(r)
	out := sinkFor(form, responseOf(w), scope.ID)
	return s.stream(r, b, out, &telling{scope: scope, bill: b, scan: s.detector.NewScan(), out: out})
}

func sinkFor(form form, w *response, id string) wordSink {
	switch form {
	case asText:
		return &plainSink{w: w}
	case asUI:
		return newUISink(w, id)
	}
	return newEventSink(w, id)
}

// telling is the state of one relayed answer.
type telling struct {
	scope   *Scope
	bill    *bill
	scan    secret.Scan
	out     wordSink
	scratch []byte
	finish  string
	said    bool // some text came
	refused bool // the model's own refusal came
	unsent  bool // something was said and not flushed
}

// event passes on what one event says.
func (t *telling) event(e wire.Event) (last bool, err error) {
	if string(e.Data) == "[DONE]" {
		return true, nil
	}
	return false, t.tell(e.Data)
}

func (t *telling) complete() bool { return t.finish != "" }
func (t *telling) pending() bool  { return t.unsent }
func (t *telling) flush() error   { t.unsent = false; return t.out.flush() }

func (t *telling) tell(data []byte) error {
	chunk, err := wire.ReadChunk(data)
	if err != nil {
		return interruptedBy(err)
	}
	if err := t.bill.hears(t.scope, &chunk, &t.finish); err != nil {
		return err
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
	t.unsent = true
	return t.bill.left(t.out.say(text, literal))
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
