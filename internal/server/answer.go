package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	json "github.com/go-json-experiment/json"

	"keyshield/internal/apierr"
	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

// buffers hold whole answers while they are read.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// keepable is the largest buffer that goes back: one large answer must not stay
// in memory for ever.
const keepable = 64 << 10

func giveBack(b *[]byte) {
	if cap(*b) <= keepable {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// whole asks for an answer that is not streamed, and has give pass it on. Neither it
// nor its body is good after that.
func (s *Server) whole(r *http.Request, b *bill, give func(got *upstream.Answer, body []byte) error) error {
	ctx, done := s.outlive(r, b)
	defer done()
	got, err := s.ask(ctx, r, b)
	if err != nil {
		return err
	}
	defer got.Close()

	buf := buffers.Get().(*[]byte)
	defer giveBack(buf)
	if *buf, err = got.ReadAll((*buf)[:0]); err != nil {
		return err
	}
	scope := scopeOf(r)
	scope.FirstToken, scope.Waited = time.Since(scope.Began), time.Since(b.asked)
	return give(got, *buf)
}

// answer asks for a whole answer and gives its text, and nothing else of it:
// {"<field>": "…"}.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, b *bill, field string) error {
	return s.whole(r, b, func(_ *upstream.Answer, body []byte) error { return s.giveText(w, r, b, field, body) })
}

func (s *Server) giveText(w http.ResponseWriter, r *http.Request, b *bill, field string, body []byte) error {
	a, err := wire.ReadAnswer(body)
	if err != nil {
		return brokenAnswer(err)
	}
	scopeOf(r).Usage = a.Usage
	if len(a.Content) > len(`""`) || a.Refusal != nil {
		b.heard()
	}
	if a.HasUsage && a.Finish != "" {
		b.prove(a)
	}
	if clientGone(r) {
		return context.Cause(r.Context()) // it was read for its usage alone
	}
	literal, err := s.sayable(a)
	if err != nil {
		return err
	}

	out := make([]byte, 0, len(field)+len(literal)+8)
	out = append(append(append(out, `{"`...), field...), `":`...)
	out = append(append(out, literal...), '}')
	return give(w, out)
}

// give writes a document in pieces, each with a deadline of its own: who reads a long
// answer slowly is no client that stalls.
//
// One so large that room was taken for it has a deadline for all of it, by a rate at
// which any server reads: else who reads a piece every half a minute would keep the
// room from others for hours, for the price of an embedding.
func give(w http.ResponseWriter, doc []byte) error {
	out := responseOf(w)
	write := out.Write
	if len(doc) > upstream.UsualAnswer {
		out.control.SetWriteDeadline(time.Now().Add(writeTimeout + time.Duration(len(doc)/leastRate)*time.Second))
		write = out.write // which leaves the deadline as it is
	}
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(doc))}
	for piece := range slices.Chunk(doc, keepable) {
		if _, err := write(piece); err != nil {
			return errors.Join(errClientLeft, err)
		}
	}
	return nil
}

const leastRate = 256 << 10 // bytes a second

var (
	jsonType      = []string{"application/json; charset=utf-8"}
	errClientLeft = errors.New("the client left")
	errLeak       = errors.New("the generated text contained our OpenAI key; it was held back")
)

// sayable returns the text as a JSON string, if it is one to be passed on.
func (s *Server) sayable(a wire.Answer) ([]byte, error) {
	text, plain := a.Content.Plain()
	if !plain {
		text = a.Content.AppendText(nil)
	}
	if s.detector.In(text) {
		return nil, apierr.From(errLeak)
	}
	if err := unfit(a.Finish, len(text) > 0, a.Refusal != nil, a.Usage); err != nil {
		return nil, err
	}
	if plain && len(text) > 0 {
		return a.Content, nil // as it stood on the wire: a JSON string of valid UTF-8
	}
	return wire.AppendQuote(nil, text), nil
}

// unfit says why a complete answer is none, if it is so.
func unfit(finish string, said, refused bool, usage wire.Usage) error {
	switch {
	case finish == "content_filter", refused && !said:
		return apierr.New(http.StatusUnprocessableEntity, "content_filtered", "The answer was withheld by the AI provider's content filter. Please rephrase your prompt.")
	case !said && (finish == "length" || usage.Reasoning > 0):
		return apierr.New(http.StatusBadGateway, "output_limit_reached", "The output limit was reached before any text was written. Please ask for something shorter.")
	case !said:
		return brokenAnswer(errors.New("OpenAI's answer has no text in it"))
	}
	return nil
}

// brokenAnswer is for a 200 that cannot be read.
func brokenAnswer(cause error) error {
	return apierr.New(http.StatusBadGateway, "upstream_error", "Our server encountered an issue.").Because(cause)
}

// writeJSON answers with a document of our own.
func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header()["Content-Type"] = jsonType
	_, err = w.Write(body)
	return err
}
