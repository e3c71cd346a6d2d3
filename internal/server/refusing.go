package server

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/upstream"
)

// ProviderRefusal is why OpenAI takes nothing from us, although it knows the key.
type ProviderRefusal string

// What OpenAI refuses us for.
const (
	NotRefused   ProviderRefusal = ""
	QuotaSpent   ProviderRefusal = "quota" // its own budget, or credit, is used up
	RightsLacked ProviderRefusal = "key"   // 401 or 403, for a minute and without an answer in between
)

// refusedFor is how long 401s and 403s go on before they are told: a key that was
// revoked is found out by then, and told as that.
const refusedFor = time.Minute

// refusing remembers why OpenAI refuses us, until it answers.
type refusing struct {
	is    atomic.Bool // something is remembered
	mu    sync.Mutex
	why   ProviderRefusal
	since time.Time // of the first 401 or 403 without an answer after it
	told  time.Time
}

// hear takes note of how a call to OpenAI ended; tell says that it is to be told now,
// which is once a minute: whoever is told leaves out what is said again. That we have
// no key left is no word of OpenAI's.
func (f *refusing) hear(err error, at time.Time) (why ProviderRefusal, tell bool) {
	quota := errors.Is(err, upstream.ErrQuota)
	rights := errors.Is(err, upstream.ErrKeyRefused) && !errors.Is(err, upstream.ErrNoKey)
	if !quota && !rights && (err != nil || !f.is.Load()) {
		return NotRefused, false // says nothing about it; nearly always
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.why
	switch {
	case quota:
		f.why, f.since = QuotaSpent, time.Time{}
	case !rights:
		f.why, f.since = NotRefused, time.Time{}
	case f.since.IsZero():
		f.since = at
	case at.Sub(f.since) >= refusedFor:
		f.why = RightsLacked
	}
	f.is.Store(f.why != NotRefused || !f.since.IsZero())
	said := f.why == QuotaSpent && quota || f.why == RightsLacked && rights
	if !said || f.why == before && at.Sub(f.told) < refusedFor {
		return f.why, false
	}
	f.told = at
	return f.why, true
}

func (f *refusing) now() ProviderRefusal {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.why
}

// hearProvider has it told when OpenAI refuses us.
func (s *Server) hearProvider(scope *Scope, at time.Time) {
	if scope.Waited == 0 && scope.Err == nil {
		return
	}
	if why, tell := s.refusing.hear(scope.Err, at); tell && s.providerRefuses != nil {
		s.providerRefuses(why, apierr.From(scope.Err).Unwrap())
	}
}
