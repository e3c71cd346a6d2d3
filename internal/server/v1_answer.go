package server

import (
	"context"
	"net/http"

	"keyshield/internal/apierr"
	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

// relayAnswer passes a whole answer on, byte for byte, once all of it has been
// read and searched for our key.
func (s *Server) relayAnswer(w http.ResponseWriter, r *http.Request, b *bill, e endpoint) error {
	return s.whole(r, b, func(got *upstream.Answer, body []byte) error { return s.giveAnswer(w, r, b, e, got, body) })
}

func (s *Server) giveAnswer(w http.ResponseWriter, r *http.Request, b *bill, e endpoint, got *upstream.Answer, body []byte) error {
	listening := ears{detector: s.detector}
	a, err := e.hear(body, listening.hear)
	if err != nil {
		return brokenAnswer(err)
	}
	scopeOf(r).Usage = a.Usage
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
		return apierr.From(brokenAnswer(errFailedResponse)).ForGood() // an SDK would send it twice more, and each is billed
	}
	listening.search(body)
	if err := listening.end(); err != nil {
		return err
	}
	passHeaders(w.Header(), got)
	return give(w, body)
}
