package upstream

import (
	"context"
	"slices"
	"sync"
	"time"
)

// verdict is what a try says about a key.
type verdict int

const (
	unclear verdict = iota // OpenAI was not reached, or said something else
	works
	barred // OpenAI knows it, and lets it do less than list models (403)
	refusedKey
)

// together is how many keys are tried at once.
const together = 4

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
		keys, wait := r.due()
		if wait < 0 {
			return
		}
		if len(keys) > 0 {
			var tries sync.WaitGroup
			for _, k := range keys {
				tries.Go(func() { r.judge(k) })
			}
			tries.Wait()
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

// due returns the keys that are to be tried now, the suspects first, or how long
// there will be none; less than 0 if there is none to come, or the Client is closed.
func (r *ring) due() (now []*key, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait = -1
	for _, k := range r.keys {
		if !k.due() {
			continue
		}
		if left := max(0, time.Until(k.next)); left == 0 {
			now = append(now, k)
		} else if wait < 0 || left < wait {
			wait = left
		}
	}
	if r.ctx.Err() != nil {
		now, wait = nil, -1
	}
	if len(now) > 0 {
		wait = 0
	}
	r.running = wait >= 0
	slices.SortStableFunc(now, func(a, b *key) int {
		switch {
		case a.suspect == b.suspect:
			return 0
		case a.suspect:
			return -1
		}
		return 1
	})
	return now[:min(len(now), together)], wait
}

// judge tries k and draws the conclusion.
func (r *ring) judge(k *key) {
	r.mu.Lock()
	tried := k.Key // a new set may say something else about it
	r.mu.Unlock()
	said, err := r.try(r.ctx, tried)
	if r.ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	var told []KeyEvent
	if slices.Contains(r.keys, k) { // else it was replaced meanwhile
		told = r.conclude(k, said, err)
	}
	r.mu.Unlock()
	r.tell(told)
}

// conclude draws the conclusion from a try. Someone holds the lock.
func (r *ring) conclude(k *key, said verdict, err error) (told []KeyEvent) {
	if k.suspect {
		k.suspect, k.cleared = false, time.Now()
	}
	if said != unclear {
		k.barred = said == barred
	}
	k.later()
	switch {
	case said == refusedKey && k.good():
		return r.quarantine(k, err.Error())
	case said == works && k.good():
		k.proven.Store(true)
		if k != r.lead && r.open() {
			told = append(told, r.event(Rotated, k, "it is used from now on, instead of "+r.lead.fingerprint+", which may not even list models (403)"))
			r.lead = k
		}
	case said == works, said == barred && !k.good():
		k.proven.Store(said == works)
		return r.release(k)
	}
	r.follow(r.lead)
	return told
}

// release makes a quarantined key a standby again, or gives it the lead where nobody
// better has it. Someone holds the lock.
func (r *ring) release(k *key) []KeyEvent {
	k.quarantined, k.why, k.untried = time.Time{}, "", true
	if r.lead == nil || r.open() && k.proven.Load() {
		r.follow(k)
		return []KeyEvent{r.event(Recovered, k, "OpenAI takes the key again, and requests with it")}
	}
	r.follow(r.lead)
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
