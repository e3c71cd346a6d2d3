package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"keyshield/internal/wire"
)

// relayAnswer passes a whole answer on, byte for byte, once all of it has been
// read and searched for our key.
func (s *Server) relayAnswer(w http.ResponseWriter, r *http.Request, b *bill, e endpoint) error {
	ctx, done := s.outlive(r, b)
	defer done()
	got, err := s.ask(ctx, r, b)
	if err != nil {
		return err
	}
	defer got.Close()
	scope := scopeOf(r)

	buf := buffers.Get().(*[]byte)
	defer giveBack(buf)
	if *buf, err = got.ReadAll((*buf)[:0]); err != nil {
		return err
	}
	scope.FirstToken = time.Since(scope.Began)
	listening := ears{detector: s.detector}
	a, err := e.hear(*buf, listening.hear)
	if err != nil {
		return brokenAnswer(err)
	}
	scope.Usage = a.Usage
	for range listening.generated {
		b.heard()
	}
	if a.HasUsage && (a.Finish != "" || b.q.limit == 0) {
		b.prove(a)
	}
	switch {
	case clientGone(r):
		return context.Cause(r.Context()) // it was read for its usage alone
	case a.Finish == wire.Failed:
		return brokenAnswer(errors.New("OpenAI reported that the response failed"))
	}
	listening.search(*buf)
	if err := listening.end(); err != nil {
		return err
	}

	h := w.Header()
	passHeaders(h, got)
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(*buf))}
	return writeAll(w, *buf)
}

// writeAll writes in pieces, each with a deadline of its own: who reads a long
// answer slowly is no client that stalls.
func writeAll(w http.ResponseWriter, body []byte) error {
	for piece := range slices.Chunk(body, keepable) {
		if _, err := w.Write(piece); err != nil {
			return errors.Join(errClientLeft, err)
		}
	}
	return nil
}
