package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

// verdict is what one call says about OpenAI: at most once. The zero value is for
// calls that leave no charge behind, and says nothing.
type verdict struct {
	breaker *gobreaker.TwoStepCircuitBreaker[any]

	mu     sync.Mutex
	report func(error) // nil once it was told
	trial  *time.Timer // of the one call that finds out whether OpenAI is back
	given  bool
}

// begin asks whether the call may leave.
func (v *verdict) begin(breaker *gobreaker.TwoStepCircuitBreaker[any]) error {
	report, err := breaker.Allow()
	if err != nil {
		return unavailable().Because(errBreaker)
	}
	v.breaker, v.report = breaker, report
	if breaker.State() == gobreaker.StateHalfOpen {
		v.trial = time.AfterFunc(breakFor, v.letOthersTry)
	}
	return nil
}

// letOthersTry ends a trial that takes long. Nobody knows yet what it will say, and
// everyone waits for it.
func (v *verdict) letOthersTry() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if report := v.report; report != nil && !v.given {
		v.report = nil
		report(errNotJudged)
	}
}

// give tells the breaker, once. A failure counts from when it is known: gobreaker
// forgets a call that began an interval ago, and the calls of an outage are long.
func (v *verdict) give(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.given || v.breaker == nil {
		return
	}
	v.given = true
	report := v.report
	if v.trial != nil {
		v.trial.Stop()
	}
	if report != nil {
		if err == nil || err == errNotJudged || v.trial != nil {
			report(err)
			return
		}
		report(errNotJudged)
	}
	if err == errNotJudged {
		return
	}
	if again, open := v.breaker.Allow(); open == nil {
		again(err)
	}
}

// blame is what the breaker counts: a call that failed and left a charge behind.
// Who hangs up, reads slowly, asks for more than there is time and room for, or for
// what no model says, is not OpenAI's fault, or one client could stop everyone.
func (q *question) blame(err, unproven error) error {
	switch {
	case err == nil, unproven == nil:
		return nil
	case gaveUp(err), errors.Is(err, upstream.ErrTooMuch), errors.Is(err, errFailedResponse), errors.Is(err, errSlowReader):
		return errNotJudged
	case q.Theirs && (errors.Is(err, errFailedStream) || errors.Is(err, wire.ErrTooLong)): // what stands in it may bring them about
		return errNotJudged
	}
	return err
}

var (
	errNotJudged = errors.New("the call says nothing about OpenAI")
	errBreaker   = errors.New("OpenAI only fails, and leaves charges behind: the breaker is open")
)

// gaveUp reports whether a call ended because the client left or the server stops.
func gaveUp(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, errClientLeft) || errors.Is(err, errStopping) || errors.Is(err, errSwitchedOff)
}

// newBreaker opens after a few unproven failures in a short time, or an outage would
// eat the budget in charges that nobody can prove. It tries one call after
// breakFor.
func newBreaker(settings BreakerSettings) *gobreaker.TwoStepCircuitBreaker[any] {
	return gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		MaxRequests: 1,
		Interval:    settings.Within,
		Timeout:     breakFor,
		IsExcluded:  func(err error) bool { return err == errNotJudged },
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return settings.Failures > 0 && c.TotalFailures >= uint32(settings.Failures)
		},
	})
}

const breakFor = 2 * time.Second

// BreakerSettings say when we stop asking an OpenAI that only fails; the zero
// value never does.
type BreakerSettings struct {
	Failures int
	Within   time.Duration
}
