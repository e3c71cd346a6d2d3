package upstream

import (
	"context"
	"slices"
	"time"
)

// verdict is what a try says about a key.
type verdict int

const (
	unclear verdict = iota // OpenAI was not reached, or said something else
	works
	refusedKey
)

// mend sees to it that someone tries the keys that are due, now or later. Someone
// holds the lock.
func (r *ring) mend() {
	if r.ctx.Err() != nil {
		return
	}
	if !r.running {
		r.running = true
		r.done.Go(r.revive)
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// revive tries keys until there is none to try.
func (r *ring) revive() {
	for {
		k, wait := r.due()
		if k == nil {
			return
		}
		if wait <= 0 {
			r.judge(k)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.wake: // another key may be due before this one
		case <-r.ctx.Done():
		}
		timer.Stop()
	}
}

// due returns the key that is to be tried next, and in how long; nil if there is
// none, or the Client is closed.
func (r *ring) due() (first *key, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		if (!k.good() || k.suspect) && (first == nil || k.next.Before(first.next)) {
			first = k
		}
	}
	if first == nil || r.ctx.Err() != nil {
		r.running = false
		return nil, 0
	}
	return first, time.Until(first.next)
}

// judge tries k and draws the conclusion.
func (r *ring) judge(k *key) {
	said, err := r.try(r.ctx, k.Key)
	if r.ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	var told []KeyEvent
	switch {
	case !slices.Contains(r.keys, k): // replaced meanwhile
	case k.suspect:
		k.suspect, k.cleared = false, time.Now()
		if said == refusedKey {
			told = r.quarantine(k, err.Error())
		}
	case said == works:
		told = r.release(k)
	default:
		k.pause = min(2*k.pause, longestPause)
		k.next = time.Now().Add(k.pause)
	}
	r.mu.Unlock()
	r.tell(told)
}

// release makes a quarantined key a standby again, or the active one where there
// is no other. Someone holds the lock.
func (r *ring) release(k *key) []KeyEvent {
	k.quarantined, k.why = time.Time{}, ""
	if r.active.CompareAndSwap(nil, k) {
		return []KeyEvent{r.event(Recovered, k, "OpenAI takes the key again, and requests with it")}
	}
	return []KeyEvent{r.event(Recovered, k, "OpenAI takes the key again; it is kept ready")}
}

// probe is how keys are tried: by listing the models, which costs nothing.
func (c *Client) probe(ctx context.Context, k Key) (verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	_, failed := list(ctx, &c.cfg, k.Secret, c.transport)
	if failed == nil {
		return works, nil
	}
	return failed.verdict(), failed
}
