package server

import (
	"context"
	"net/http"
	"time"
)

const (
	// drainFor bounds how long an answer is read for nobody.
	drainFor = 30 * time.Second

	// drainShare is the part of the requests in flight that may do so.
	drainShare = 10
)

// outlive is the context to ask under. It ends with the client, at once; unless
// HANGUP=drain and little is left to be generated: then the rest is read for its
// usage, which proves the cost, while the user's stream slot stays taken.
func (s *Server) outlive(r *http.Request, b *bill) (ctx context.Context, done func()) {
	if s.cfg.DrainTokens == 0 {
		return r.Context(), func() {}
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	stop := context.AfterFunc(r.Context(), func() {
		why := context.Cause(r.Context())
		if endedByUs(r) != nil || !b.drains() || !s.takeDrain() {
			cancel(why)
			return
		}
		defer s.draining.Add(-1)
		limit := time.NewTimer(drainFor)
		defer limit.Stop()
		select {
		case <-limit.C:
			cancel(why)
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel(nil) }
}

func (s *Server) takeDrain() bool {
	if s.draining.Add(1) <= max(1, int64(s.cfg.MaxInFlight)/drainShare) {
		return true
	}
	s.draining.Add(-1)
	return false
}

// drains reports whether the call is read to its end although the client left.
func (b *bill) drains() bool {
	return b.s.cfg.DrainTokens > 0 && b.q.limit-b.pieces.Load() <= int64(b.s.cfg.DrainTokens)
}
