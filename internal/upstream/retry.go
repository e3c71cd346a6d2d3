package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// patience is the longest wait we take upon us; the client decides about
	// anything longer.
	patience = 2 * time.Second

	redialDelay = 100 * time.Millisecond
	busyDelay   = 500 * time.Millisecond
)

// attempt sends, and sends once more where that cannot be billed twice: when
// mayRepeat says so, or when the key was refused and there is another. There is never
// a third send.
//
// For that a 401 counts whoever says it: nobody can be billed who is not known. A
// refund still needs OpenAI's own words, as everywhere.
func (c *Client) attempt(k *call) (*Answer, error) {
	under := c.ring.active.Load()
	if under == nil {
		return nil, broke(fmt.Errorf("%w: %w", ErrKeyRefused, ErrNoKey))
	}
	answer, err := c.send(k, under)
	var next *key
	switch {
	case err == nil:
		return answer, nil
	case unauthorized(err):
		next = c.ring.refused(under)
	case k.mayRepeat(err):
		next = c.ring.active.Load()
	}
	if next == nil || k.ctx.Err() != nil {
		return nil, err
	}
	k.owed = !k.free(err)
	if answer, err = c.send(k, next); unauthorized(err) {
		c.ring.refused(next)
	}
	return answer, err
}

// unauthorized reports whether err is a 401: about the key, whatever was asked.
func unauthorized(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.status == http.StatusUnauthorized
}

// mayRepeat decides whether err allows the one retry there is, and waits for
// its time. It does when nothing was sent (no connection was ever there), or
// when OpenAI says in its own words that it did not take the request. Any other
// failure may have been billed, and a second send could be billed again.
func (k *call) mayRepeat(err error) bool {
	delay, ok := k.repeatAfter(err)
	if !ok || time.Since(k.began)+delay >= k.firstByte() {
		return false
	}
	wait := time.NewTimer(delay)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-k.ctx.Done():
		return false
	}
}

func (k *call) repeatAfter(err error) (time.Duration, bool) {
	if !k.reached.Load() {
		return redialDelay, k.ctx.Err() == nil
	}
	var r *refusal
	if !errors.As(err, &r) || !r.spoken || r.quota() {
		return 0, false
	}
	switch r.status {
	case http.StatusTooManyRequests:
		return r.wait, r.wait > 0 && r.wait <= patience
	case http.StatusServiceUnavailable:
		return max(r.wait, busyDelay), r.wait <= patience
	}
	return 0, false
}
