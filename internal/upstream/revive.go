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

// Retry tries the quarantined keys at once, and waits for what comes of it, or for the
// end of ctx. It reports whether there were any. Those that are refused again begin anew
// with the shortest pause. It is for an operator who knows that OpenAI's trouble is over:
// to read a source again is no reason to ask OpenAI.
func (c *Client) Retry(ctx context.Context) bool {
	r := c.ring
	if r.turn.Acquire(ctx, 1) != nil {
		return false
	}
	defer r.turn.Release(1)
	over := make(chan struct{})
	r.mu.Lock()
	keys := r.pardon()
	if len(keys) > 0 {
		r.done.Go(func() {
			defer close(over)
			for some := range slices.Chunk(keys, together) {
				r.judgeAll(some)
			}
		})
	}
	r.mu.Unlock()
	if len(keys) == 0 {
		return false
	}
	select {
	case <-over:
	case <-ctx.Done():
	}
	return true
}

// pardon returns the quarantined keys, whose pauses begin anew. Someone holds the lock.
func (r *ring) pardon() (keys []*key) {
	if r.ctx.Err() != nil {
		return nil
	}
	for _, k := range r.keys {
		if !k.good() {
			k.pause = 0
			k.next = time.Now().Add(firstPause) // by then whoever asks for them now is done
			keys = append(keys, k)
		}
	}
	if len(keys) > 0 {
		r.mend()
	}
	return keys
}

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
			r.judgeAll(keys)
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

// judgeAll tries keys at once.
func (r *ring) judgeAll(keys []*key) {
	var tries sync.WaitGroup
	for _, k := range keys {
		tries.Go(func() { r.judge(k) })
	}
	tries.Wait()
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
