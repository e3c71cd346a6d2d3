package server

import (
	"maps"
	"slices"
	"sync"
	"time"

	"keyshield/internal/audit"
)

// State is what the server counts and knows of itself, for the operator.
type State struct {
	Since    time.Time        // its start, from which on it counts
	Requests map[string]int64 // by outcome: ok, refused, failed, client_gone
	Refusals map[string]int64 // by code; beyond a number of codes "other"
	InFlight int64
	Streams  int64
	Added    Latency // by us: the time of a request less what was waited for OpenAI
	Breaker  string  // closed, half-open, open; "" is off
	Refuses  ProviderRefusal
	Limiters map[string]int
}

// Latency is how long something took, of the last requests: for half of them, for
// most and for nearly all.
type Latency struct {
	Count         int64 // since the start
	P50, P95, P99 time.Duration
}

// State reads everything at once.
func (s *Server) State() State {
	state := s.tally.state()
	state.InFlight, state.Streams = s.inFlight.Load(), s.streams.Load()
	if s.cfg.Breaker.Failures > 0 {
		state.Breaker = s.breaker.State().String()
	}
	state.Refuses = s.refusing.now()
	state.Limiters = map[string]int{
		"ip":        s.spending.narrow.Len(),
		"ip_others": s.others.narrow.Len(),
		"user":      s.tiers.users(),
	}
	return state
}

// Holds is how many calls are reserved and not settled.
func (s *Server) Holds() int64 { return s.holds.Load() }

// tally counts how requests end, in bounded memory.
type tally struct {
	since time.Time

	mu       sync.Mutex
	outcomes map[string]int64
	refusals map[string]int64
	asked    int64 // of OpenAI
	added    [lastAdded]time.Duration
}

const (
	lastAdded = 1024 // requests whose added latency is remembered
	maxCodes  = 64   // of refusals: on /v1 one may be OpenAI's own word
)

func newTally() *tally {
	return &tally{since: time.Now(), outcomes: map[string]int64{}, refusals: map[string]int64{}}
}

// count counts what was asked by clients: not the operator's own looking, nor that of
// machines that ask whether we live.
func (t *tally) count(scope *Scope, e ending) {
	if scope.operator || scope.Caller.ID == "" && e.outcome == audit.OK {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcomes[e.outcome]++
	if e.outcome == audit.Denied || e.outcome == audit.Failed {
		code := e.code
		if _, known := t.refusals[code]; !known && len(t.refusals) >= maxCodes {
			code = "other"
		}
		t.refusals[code]++
	}
	if scope.Waited > 0 {
		t.added[t.asked%lastAdded] = max(0, e.took-scope.Waited)
		t.asked++
	}
}

func (t *tally) state() State {
	t.mu.Lock()
	s := State{Since: t.since, Requests: maps.Clone(t.outcomes), Refusals: maps.Clone(t.refusals), Added: Latency{Count: t.asked}}
	last := slices.Clone(t.added[:min(t.asked, lastAdded)])
	t.mu.Unlock()
	if n := len(last); n > 0 {
		slices.Sort(last)
		s.Added.P50, s.Added.P95, s.Added.P99 = last[n/2], last[n*95/100], last[n*99/100]
	}
	return s
}

// users is how many users the limits of all plans know apart.
func (t *tiers) users() (n int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, one := range t.byName {
		n += one.users.Len()
	}
	return n
}
