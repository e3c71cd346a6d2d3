package server

import (
	"errors"
	"net/http"
	"sync"

	"keyshield/internal/apierr"
)

// allowed refuses whom a switch has stopped, and notes who is let in: a switch that
// is thrown later ends what is under way.
func (s *Server) allowed(_ http.ResponseWriter, r *http.Request) error {
	x := exchangeOf(r)
	s.running.add(x) // first: else a switch thrown in between would miss it
	return s.ledger.StoppedUser(x.scope.Caller.Pseudonym, x.scope.Caller.ID)
}

// recorded refuses what cannot be written down, if it must be.
func (s *Server) recorded(http.ResponseWriter, *http.Request) error {
	if s.cfg.AuditRequired && s.audit != nil {
		if err := s.audit.Healthy(); err != nil {
			return unavailable().Because(err)
		}
	}
	return nil
}

// EndStopped ends the requests under way of whoever is stopped now. A stream ends
// with an error event that says why.
func (s *Server) EndStopped() {
	s.running.each(func(x *exchange) {
		if err := s.ledger.StoppedUser(x.scope.Caller.Pseudonym, x.scope.Caller.ID); err != nil {
			x.end(apierr.From(err).Because(errSwitchedOff))
		}
	})
}

var errSwitchedOff = errors.New("a switch was thrown while it ran")

// running are the requests of known callers that are under way. Their table is cut
// up, so that requests do not wait for each other.
type running [16]struct {
	mu  sync.Mutex
	all map[*exchange]struct{}
}

// add notes a request whose caller is known, until remove.
func (all *running) add(x *exchange) {
	x.scope.running = true
	part := &all[x.scope.ID[0]%16]
	part.mu.Lock()
	if part.all == nil {
		part.all = map[*exchange]struct{}{}
	}
	part.all[x] = struct{}{}
	part.mu.Unlock()
}

func (all *running) remove(x *exchange) {
	if !x.scope.running {
		return
	}
	part := &all[x.scope.ID[0]%16]
	part.mu.Lock()
	delete(part.all, x)
	part.mu.Unlock()
}

func (all *running) each(do func(*exchange)) {
	for i := range all {
		part := &all[i]
		part.mu.Lock()
		for x := range part.all {
			do(x)
		}
		part.mu.Unlock()
	}
}
