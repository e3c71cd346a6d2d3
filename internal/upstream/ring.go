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

	"keyshield/internal/secret"
)

const (
	// A quarantined key is tried again after so long, then after twice as long; after
	// no more than the first where no key is left, for a try is free and an outage is not.
	firstPause   = time.Minute
	longestPause = time.Hour

	// doubtEvery bounds how often a key is looked into.
	doubtEvery = 5 * time.Second
)

const noneLeft = "no key is left that works; every request is refused until one does"

// ErrNoKey is why nothing was sent: OpenAI refuses every key that there is.
var ErrNoKey = errors.New("no key is left that works; nothing was sent")

// ring holds our keys in the order in which they are to be used. One of them has the
// lead; a call takes the active one by one atomic load. A new set of keys replaces
// the ring's (replace.go).
//
// A call that OpenAI refuses (401) goes on under the next key, and its own is a
// suspect: others take the next one, too, until it was tried (revive.go). Only when
// it cannot even list the models it is quarantined, and tried again now and then:
// OpenAI answers 401 also where a restricted key lacks a right for one endpoint, and
// clients choose endpoints.
//
// A key that stands by is tried as soon as it comes. As long as it is not proven to
// work, it is used only where no proven one is left.
//
// A 403 changes no key. What OpenAI documents of it is the country and the model
// that a project may not use, and the next key would meet the same.
type ring struct {
	cfg    *Config
	active atomic.Pointer[key]                               // the lead, or who stands in while it is a suspect; nil: none is left
	try    func(ctx context.Context, k Key) (verdict, error) // is it a key that works?

	turn *semaphore.Weighted // of who replaces the set: one at a time

	mu      sync.Mutex
	keys    []*key
	lead    *key   // nil: none is left
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
	hear(cfg.Mask, keys)
	hear(cfg.Learn, keys)
	for i, k := range keys {
		r.keys = append(r.keys, newKey(k, cfg))
		r.keys[i].untried = i > 0 // the first proves itself by its calls
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follow(r.keys[0])
	if len(r.keys) > 1 {
		r.mend()
	}
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
// instead, or nil. However many calls were refused, it is tried once.
func (r *ring) refused(k *key) *key {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.keys, k) && k.good() { // else it was replaced, or is quarantined
		r.doubt(k)
	}
	if next := r.active.Load(); next != nil && next != k && !next.suspect {
		return next
	}
	return r.after(k)
}

// after returns the good key other than k that is used first; nil if there is none.
func (r *ring) after(k *key) (first *key) {
	for _, other := range r.keys {
		if other != k && other.good() && (first == nil || other.rank() < first.rank()) {
			first = other
		}
	}
	return first
}

// follow gives k the lead; nil: there is none. While it is a suspect one that is
// proven stands in, so that a revoked key costs few calls a second send. Someone
// holds the lock.
func (r *ring) follow(k *key) {
	r.lead = k
	if k == nil {
		for _, refused := range r.keys {
			refused.sooner()
		}
	}
	if k != nil && k.suspect {
		if next := r.after(k); next != nil && next.rank() == 0 {
			k = next
		}
	}
	r.active.Store(k)
}

// quarantine puts k aside. Someone holds the lock.
func (r *ring) quarantine(k *key, why string) []KeyEvent {
	now := time.Now()
	k.quarantined, k.why, k.suspect = now, why, false
	k.proven.Store(false)
	k.pause = 0
	k.later()
	r.mend()
	lead := r.lead
	if lead == k {
		lead = r.after(k)
	}
	r.follow(lead)
	if lead == nil {
		return []KeyEvent{r.event(Rejected, k, why), r.event(NoneLeft, k, noneLeft)}
	}
	return []KeyEvent{r.event(Rejected, k, why+"; "+lead.fingerprint+" is used")}
}

// doubt has k tried at once. Someone holds the lock.
func (r *ring) doubt(k *key) {
	now := time.Now()
	if k.suspect || !k.cleared.IsZero() && now.Sub(k.cleared) < doubtEvery {
		return
	}
	k.suspect, k.next = true, now
	r.follow(r.lead)
	r.mend()
}

// open reports whether a key that is barred may have the lead: nobody has it, or one
// that is no better. Someone holds the lock.
func (r *ring) open() bool {
	return r.lead == nil || r.lead.barred && !r.lead.proven.Load()
}

// Keys shows the keys, in the order in which they are used.
func (c *Client) Keys() []KeyState {
	r := c.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make([]KeyState, 0, len(r.keys))
	for _, k := range r.keys {
		states = append(states, k.state(k == r.lead))
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

// hear tells one of the Config's hooks of keys.
func hear(hook func(...secret.String), keys []Key) {
	if hook == nil {
		return
	}
	hook(secrets(keys)...)
}
