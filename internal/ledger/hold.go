package ledger

import (
	"errors"
	"sync/atomic"
	"time"

	"keyshield/internal/money"
)

// useWithin is how long a reservation may lie unused. Without it a call that is
// stuck before it leaves would lock others out of the budget.
const useWithin = 5 * time.Second

// Hold is a charge of a call's ceiling. Use it before the call leaves, then end it
// in one of three ways; the first counts, so that "defer hold.Close()" is right:
//
//	Settle  there is proof of the cost: the rest is refunded
//	Free    there is proof that nothing was billed: all of it is
//	Close   there is no proof: the charge stays; unless the hold was never used
type Hold struct {
	request Request
	end     func(*Hold, verb, Usage) // the engine's; called once
	state   atomic.Int32

	born  time.Time
	timer *time.Timer

	// Written by the engine before the hold is handed out.
	key      holdKey
	day      day
	at       int64 // Unix milliseconds, within the day
	accounts [4]accountKey
	left     money.USD
	capped   bool
}

const (
	unused int32 = iota
	used
	ended
)

// ErrNotProof is what Settle returns for a usage that cannot be.
var ErrNotProof = errors.New("a usage that cannot be proves nothing")

var (
	errUsedTwice = errors.New("a reservation is for one call")
	errTooLate   = errors.New("the reservation was not used in time and is released")
)

func newHold(r Request, end func(*Hold, verb, Usage)) *Hold {
	return &Hold{request: r, end: end}
}

// start begins the time in which the hold must be used.
func (h *Hold) start() {
	h.born = time.Now()
	h.timer = time.AfterFunc(useWithin, h.expire)
}

// Request is what was reserved.
func (h *Hold) Request() Request { return h.request }

// hour is that of the reservation.
func (h *Hold) hour() hour { return hour(h.at / milliPerHour) }

// Left is what the tightest cap left after this charge, or false if there is none.
func (h *Hold) Left() (money.USD, bool) { return h.left, h.capped }

// Use must succeed before the call leaves. It does once, and not later than five
// seconds after the reservation. A second try to send belongs to the same Use, and
// only if nothing was sent or the provider refused.
func (h *Hold) Use() error {
	if time.Since(h.born) >= useWithin {
		h.release()
	}
	if !h.state.CompareAndSwap(unused, used) {
		if h.state.Load() == used {
			return errUsedTwice
		}
		return unavailable(errTooLate)
	}
	h.timer.Stop()
	return nil
}

// Settle replaces the charge by the proven cost, also when that is more than the
// ceiling. What is no proof leaves the hold as it was.
func (h *Hold) Settle(u Usage) error {
	if !u.Proves() {
		return ErrNotProof
	}
	if h.state.Swap(ended) != ended {
		h.finish(settle, u)
	}
	return nil
}

// Free takes the charge back: the call was never sent, or the provider refused it
// in a way that proves it billed nothing.
func (h *Hold) Free() {
	if h.state.Swap(ended) != ended {
		h.finish(free, Usage{})
	}
}

// Close keeps the charge, or takes it back if the hold was never used. It does
// nothing after Settle or Free.
func (h *Hold) Close() {
	h.release()
	if h.state.Swap(ended) != ended {
		h.finish(keep, Usage{})
	}
}

// release frees a hold that was never used, and from now on cannot be.
func (h *Hold) release() {
	h.timer.Stop()
	h.expire()
}

func (h *Hold) expire() {
	if h.state.CompareAndSwap(unused, ended) {
		h.end(h, free, Usage{})
	}
}

func (h *Hold) finish(v verb, u Usage) {
	h.timer.Stop()
	h.end(h, v, u)
}
