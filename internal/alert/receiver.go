package alert

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// What one receiver is burdened with.
const (
	perHour  = 30               // events
	spared   = 10               // of them for what is critical,
	perKind  = 5                // and of which there were fewer in the hour
	inform   = 8                // of the others for what is merely good to know
	maxQueue = perHour          // events that wait while it does not answer
	giveUp   = 24 * time.Hour   // what is older is news no more
	backoff  = time.Second      // after the first try, doubled by each
	maxWait  = 15 * time.Minute // between two tries
	maxAsked = time.Hour        // of a receiver that says how long to wait
)

// receiver is one of those that are told. Its queue and state belong to Alerts.mu.
type receiver struct {
	name    string
	address string // shown; nothing secret
	deliver func(context.Context, *notice) error

	wake     chan struct{}
	queue    []*letter
	accepted []accepted // the last hour's events, oldest first
	held     digest
	digested time.Time // when the last digest was made

	failures  int       // in a row
	notBefore time.Time // the next try
	state     ReceiverState
}

// accepted is an event that took its place in the hour.
type accepted struct {
	at       time.Time
	severity Severity
	kind     string
}

// letter is a notice on its way to one receiver.
type letter struct {
	*notice
	change uint64 // what must be on disk before it leaves
	tries  int
	flying bool
}

// poke wakes the worker.
func (r *receiver) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take queues the notice, or puts it aside for the digest: then it is kept with
// what is kept next, for a flood must not buy one write each.
func (r *receiver) take(n *notice, now time.Time, change uint64) (queued bool) {
	r.accepted = slices.DeleteFunc(r.accepted, func(a accepted) bool {
		return now.Sub(a.at) >= time.Hour || a.at.After(now)
	})
	if !r.hasRoom(n.Event) {
		r.held.add(n.Event, now)
		return false
	}
	if len(r.queue) >= maxQueue && !r.makeRoom(n.Event.Severity, now) {
		r.held.add(n.Event, now)
		return false
	}
	r.accepted = append(r.accepted, accepted{now, n.Event.Severity, n.Event.Kind})
	r.queue = append(r.queue, &letter{notice: n, change: change})
	return true
}

// hasRoom says whether the hour has a place left for such an event. What users do
// all day, such as using up their budgets, must not take the warnings' places; nor may
// a crowd of them that is disabled take those of a key that leaked.
func (r *receiver) hasRoom(e Event) bool {
	infos, alike := 0, 0
	for _, a := range r.accepted {
		if a.severity == Info {
			infos++
		}
		if a.kind == e.Kind {
			alike++
		}
	}
	if len(r.accepted) >= perHour-spared {
		return e.Severity == Critical && len(r.accepted) < perHour && alike < perKind
	}
	return e.Severity > Info || infos < inform
}

// makeRoom puts the oldest of what matters least aside, if it matters less.
func (r *receiver) makeRoom(than Severity, now time.Time) bool {
	least := -1
	for i, l := range r.queue {
		if l.flying || l.Event.Severity >= than || l.Event.Kind == kindDigest {
			continue
		}
		if least < 0 || l.Event.Severity < r.queue[least].Event.Severity {
			least = i
		}
	}
	if least < 0 {
		return false
	}
	r.held.add(r.queue[least].Event, now)
	r.queue = slices.Delete(r.queue, least, least+1)
	return true
}

// next returns the letter to deliver now, or how long there is none (negative:
// until poked). It makes the digest a letter when its time has come.
func (r *receiver) next(now time.Time, kept uint64) (*letter, time.Duration) {
	wait := time.Duration(-1)
	until := func(at time.Time) {
		if d := at.Sub(now); wait < 0 || d < wait {
			wait = max(d, 0)
		}
	}
	waiting := slices.ContainsFunc(r.queue, func(l *letter) bool { return l.Event.Kind == kindDigest })
	if due := r.held.due(r.digested); !due.IsZero() && !waiting {
		if due.After(now) {
			until(due)
		} else {
			r.queue = append(r.queue, &letter{notice: r.held.notice(now)})
			r.held, r.digested = digest{}, now
		}
	}
	if len(r.queue) > 0 && r.notBefore.After(now) {
		until(r.notBefore)
		return nil, wait
	}

	var best *letter
	for _, l := range r.queue {
		if late := l.Since.Add(keepWait); l.change > kept && late.After(now) && !l.Since.After(now) {
			until(late)
			continue
		}
		if best == nil || before(l, best) {
			best = l
		}
	}
	return best, wait
}

// before orders letters: a letter that the receiver alone does not like must not
// stand in the way of the others, so what was tried less goes first.
func before(a, b *letter) bool {
	if a.tries != b.tries {
		return a.tries < b.tries
	}
	return a.Event.Severity > b.Event.Severity // else the older one, which comes first
}

// expire removes what is too old to be told, and returns it.
func (r *receiver) expire(now time.Time) (old []*letter) {
	r.queue = slices.DeleteFunc(r.queue, func(l *letter) bool {
		if l.flying || now.Sub(l.Since) < giveUp {
			return false
		}
		old = append(old, l)
		return true
	})
	r.state.Dropped += int64(len(old))
	return old
}

// work delivers one letter after the other, until Close.
func (a *Alerts) work(ctx context.Context, r *receiver) {
	for ctx.Err() == nil {
		a.mu.Lock()
		now := a.opts.Now()
		old := r.expire(now)
		kept := a.kept
		if a.closed || a.file == nil {
			kept = a.changed
		}
		l, wait := r.next(now, kept)
		closed := a.closed
		if l != nil {
			l.flying = true
		}
		if len(old) > 0 {
			a.changed++
			a.keepSoon()
		}
		a.mu.Unlock()

		for _, l := range old {
			a.opts.Log.Error("an alert was given up after a day", "receiver", r.name, "kind", l.Event.Kind, "title", l.Event.Title)
		}
		switch {
		case l != nil:
			a.carry(ctx, r, l)
		case closed:
			return
		default:
			rest(ctx, r.wake, wait)
		}
	}
}

// rest waits for a poke, the time given, or the end.
func rest(ctx context.Context, poke <-chan struct{}, wait time.Duration) {
	var over <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-poke:
	case <-over:
	case <-ctx.Done():
	}
}

// carry delivers a letter, or says when to try again.
func (a *Alerts) carry(ctx context.Context, r *receiver, l *letter) {
	err := a.try(ctx, r, l.notice)
	a.mu.Lock()
	l.flying = false
	if err != nil && ctx.Err() != nil {
		a.mu.Unlock() // cut off by Close: the next process delivers it
		return
	}
	if err == nil {
		r.queue = slices.DeleteFunc(r.queue, func(q *letter) bool { return q == l })
		r.state.Sent++
		r.state.LastSent = a.opts.Now()
		a.changed++
		a.keepSoon()
		a.mu.Unlock()
		a.works(r)
		return
	}
	l.tries++
	first := r.fail(err, a.opts.Now())
	a.mu.Unlock()
	if first {
		a.opts.Log.Warn("an alert could not be delivered and will be tried again", "receiver", r.name, "error", err.Error())
	}
}

// try is one delivery. Its error can be shown: it holds no secret.
func (a *Alerts) try(ctx context.Context, r *receiver, n *notice) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	if err := r.deliver(ctx, n); err != nil {
		return a.hide.error(ctx, err, a.opts.Redact)
	}
	return nil
}

// fail notes a failed try, and says whether it is the first in a row.
func (r *receiver) fail(err error, now time.Time) (first bool) {
	r.state.Failed++
	r.state.Error = err.Error()
	wait := min(backoff<<min(r.failures, 20), maxWait)
	wait -= rand.N(wait/2 + 1) // so that receivers of many servers are not asked at once
	if later, ok := errors.AsType[*laterError](err); ok {
		wait = later.after
	}
	r.notBefore = now.Add(wait)
	r.failures++
	if first = r.state.Failing.IsZero(); first {
		r.state.Failing = now
	}
	return first
}

// works notes that the receiver answers, and has it told what waits.
func (a *Alerts) works(r *receiver) {
	a.mu.Lock()
	again := !r.state.Failing.IsZero()
	r.failures, r.notBefore = 0, time.Time{}
	r.state.Failing, r.state.Error = time.Time{}, ""
	a.mu.Unlock()
	if again {
		a.opts.Log.Info("alerts are delivered again", "receiver", r.name)
		r.poke()
	}
}

// laterError is a receiver's request to wait.
type laterError struct {
	text  string
	after time.Duration
}

func (e *laterError) Error() string { return e.text }
