package upstream

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// A quarantined key is tried again after so long, then after twice as long.
	firstPause   = time.Minute
	longestPause = time.Hour

	// doubtEvery bounds how often the last key is looked into.
	doubtEvery = 5 * time.Second
)

const noneLeft = "no key is left that works; every request is refused until one does"

var errNoKey = errors.New("no key is left that works; nothing was sent")

// ring holds our keys in the order in which they are to be used. One of them is
// active; a call takes it by one atomic load. A key that OpenAI refuses (401) is
// quarantined: the next one becomes active, and it is tried again now and then
// (revive.go). A new set of keys replaces the ring's (replace.go).
//
// The last key that works is not quarantined for the 401 of one call, but only
// when it cannot even list the models: OpenAI answers 401 also where a restricted
// key lacks a right for one endpoint, and the others would stand still with it.
//
// A 403 changes no key. What OpenAI documents of it is the country and the model
// that a project may not use, and the next key would meet the same.
type ring struct {
	cfg    *Config
	active atomic.Pointer[key]                               // nil: none is left
	try    func(ctx context.Context, k Key) (verdict, error) // is it a key that works?

	turn *semaphore.Weighted // of who replaces the set: one at a time

	mu      sync.Mutex
	keys    []*key
	failing string // what is wrong with the source, once it was told
	source  string // as it was told

	// Who tries keys again: there while there is something to try.
	wake    chan struct{}
	running bool
	ctx     context.Context // of the tries; ends with the Client
	end     context.CancelFunc
	done    sync.WaitGroup
}

func newRing(cfg *Config, keys []Key, try func(context.Context, Key) (verdict, error)) (*ring, error) {
	if err := checkKeys(keys); err != nil {
		return nil, err
	}
	r := &ring{cfg: cfg, try: try, turn: semaphore.NewWeighted(1), wake: make(chan struct{}, 1)}
	r.ctx, r.end = context.WithCancel(context.Background())
	r.learn(keys)
	for _, k := range keys {
		r.keys = append(r.keys, newKey(k, cfg))
	}
	r.active.Store(r.keys[0])
	return r, nil
}

// close ends the tries and waits for them. No new ones begin after it: mend looks
// under the same lock.
func (r *ring) close() {
	r.mu.Lock()
	r.end()
	r.mu.Unlock()
	r.done.Wait()
}

// refused is told that OpenAI answered 401 under k. It returns the key to ask with
// instead, or nil. However many calls were refused, it is quarantined once.
func (r *ring) refused(k *key) *key {
	r.mu.Lock()
	var told []KeyEvent
	if slices.Contains(r.keys, k) && k.good() { // else it was replaced, or another call was here first
		if r.after(k) != nil {
			told = r.quarantine(k, "OpenAI refused it (401): it is wrong or revoked")
		} else {
			r.doubt(k)
		}
	}
	next := r.active.Load()
	r.mu.Unlock()
	r.tell(told)
	if next == k {
		return nil
	}
	return next
}

// after returns the first good key other than k.
func (r *ring) after(k *key) *key {
	for _, other := range r.keys {
		if other != k && other.good() {
			return other
		}
	}
	return nil
}

// quarantine puts k aside. Someone holds the lock.
func (r *ring) quarantine(k *key, why string) []KeyEvent {
	now := time.Now()
	k.quarantined, k.why, k.suspect = now, why, false
	k.pause = firstPause
	k.next = now.Add(k.pause)
	r.mend()
	next := r.after(k)
	if r.active.Load() == k {
		r.active.Store(next)
	}
	if next == nil {
		return []KeyEvent{r.event(Rejected, k, why), r.event(NoneLeft, k, noneLeft)}
	}
	return []KeyEvent{r.event(Rejected, k, why+"; "+r.active.Load().fingerprint+" is used")}
}

// doubt has the last key tried at once. Someone holds the lock.
func (r *ring) doubt(k *key) {
	now := time.Now()
	if k.suspect || !k.cleared.IsZero() && now.Sub(k.cleared) < doubtEvery {
		return
	}
	k.suspect, k.next = true, now
	r.mend()
}

// Keys shows the keys, in the order in which they are used.
func (c *Client) Keys() []KeyState {
	r := c.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make([]KeyState, 0, len(r.keys))
	active := r.active.Load()
	for _, k := range r.keys {
		states = append(states, k.state(k == active))
	}
	return states
}

// any returns the headers of some key, for what even a revoked one may ask.
func (r *ring) any() http.Header {
	if k := r.active.Load(); k != nil {
		return k.header
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys[0].header
}

func (r *ring) event(kind KeyEventKind, k *key, why string) KeyEvent {
	return KeyEvent{Kind: kind, Fingerprint: k.fingerprint, Source: k.Source, Why: why, At: time.Now()}
}

// tell must not be called under the lock: who is told may ask for the Keys.
func (r *ring) tell(events []KeyEvent) {
	if r.cfg.Tell == nil {
		return
	}
	for _, e := range events {
		r.cfg.Tell(e)
	}
}

// learn is told of keys before they are used for anything.
func (r *ring) learn(keys []Key) {
	if r.cfg.Learn == nil {
		return
	}
	r.cfg.Learn(secrets(keys)...)
}
