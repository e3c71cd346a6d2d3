package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
)

const (
	refreshEvery = time.Hour
	refreshGap   = 10 * time.Second // between fetches that unknown key ids ask for
	refreshWait  = time.Second      // how long such a token waits for a fetch under way
	retryFirst   = time.Second
	retryMax     = 30 * time.Second
)

// errStale says that a token could not be judged: its key is not in the set,
// and the set may not be the latest.
var errStale = errors.New("the key set is not up to date")

var errNoKey = errors.New("the key set has no usable key; it needs keys with a kid, for RS256 (2048 bits or more), ES256 or EdDSA")

// keySet is the provider's keys as keyfunc's storage. jwkset's own HTTP storage
// is not used: it blocks the constructor on the first fetch, tries again only
// after an hour when that fails, bounds the fetch for an unknown key by the
// time allowed for its rate limiter, lets one odd key spoil the whole set, and
// its goroutine cannot be waited for.
//
// A set that the provider did answer is final, even when it is empty: keys it
// no longer lists are revoked. Every other answer is an outage, and the last
// good set stays.
type keySet struct {
	jwkset.Storage // always swapped as a whole

	source  *source
	log     *slog.Logger
	changed func() // called after the keys changed
	work    sync.WaitGroup
	wake    chan struct{} // asks the background goroutine for a fetch

	mu       sync.RWMutex
	print    [sha256.Size]byte // of the keys in force
	none     error             // why there is no key at all; nil when there is one
	failure  error             // of the latest fetch
	tried    time.Time         // when the latest fetch began
	underway chan struct{}     // closed when the fetch asked for or running has ended
}

func newKeySet(source *source, log *slog.Logger, changed func()) *keySet {
	return &keySet{
		Storage: jwkset.NewMemoryStorage(),
		source:  source,
		log:     log,
		changed: changed,
		wake:    make(chan struct{}, 1),
		none:    errors.New("the key set has not been loaded yet"),
	}
}

func (k *keySet) start(ctx context.Context) {
	k.work.Go(func() { k.refreshUntil(ctx) })
}

func (k *keySet) ready() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.none
}

// KeyRead finds a key by its id. For an unknown one it has the set fetched
// again, because keys rotate; but at most every refreshGap, because ids cost an
// attacker nothing. Tokens with a known key never wait here.
func (k *keySet) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	jwk, err := k.Storage.KeyRead(ctx, kid)
	if !errors.Is(err, jwkset.ErrKeyNotFound) {
		return jwk, err
	}
	if err := k.catchUp(ctx); err != nil {
		return jwkset.JWK{}, err
	}
	return k.Storage.KeyRead(ctx, kid)
}

// catchUp returns nil when the set is at most refreshGap old.
func (k *keySet) catchUp(ctx context.Context) error {
	k.mu.Lock()
	done, failure := k.underway, k.failure
	if done == nil && time.Since(k.tried) >= refreshGap {
		done = make(chan struct{})
		k.underway = done
		k.wake <- struct{}{} // never blocks: one place, emptied before underway is nil again
	}
	k.mu.Unlock()
	if done != nil {
		timer := time.NewTimer(refreshWait)
		defer timer.Stop()
		select {
		case <-done:
			k.mu.RLock()
			failure = k.failure
			k.mu.RUnlock()
		case <-timer.C:
			return fmt.Errorf("%w: a fetch is under way", errStale)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errStale, ctx.Err())
		}
	}
	if failure != nil {
		return fmt.Errorf("%w: %w", errStale, failure)
	}
	return nil
}

// refreshUntil is the background goroutine. After a failure it tries again soon,
// most eagerly while there is no key at all.
func (k *keySet) refreshUntil(ctx context.Context) {
	retry := retryFirst
	for {
		wait := refreshEvery
		if err := k.refresh(ctx); err == nil {
			retry = retryFirst
		} else {
			wait, retry = retry, min(2*retry, retryMax)
			if k.ready() == nil {
				wait = max(wait, refreshGap)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-k.wake:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// refresh fetches the set once and tells everyone who waits for it.
func (k *keySet) refresh(ctx context.Context) error {
	k.mu.Lock()
	if k.underway == nil {
		k.underway = make(chan struct{})
	}
	done := k.underway
	k.tried = time.Now()
	k.mu.Unlock()

	keys, refused, err := k.source.fetch(ctx)
	if err == nil {
		err = k.replace(ctx, keys, refused)
	}
	k.mu.Lock()
	k.failure = err
	if err != nil && k.none != nil {
		k.none = fmt.Errorf("no key to verify tokens with: %w", err) // the latest reason
	}
	select {
	case <-k.wake: // whoever asked meanwhile has been served
	default:
	}
	k.underway = nil
	k.mu.Unlock()
	close(done)
	if err != nil && ctx.Err() == nil {
		k.log.Warn("key set not refreshed", "err", err, "have_keys", k.ready() == nil)
	}
	return err
}

// replace puts a set in force that the provider has answered. One without a
// usable key takes force too, and is reported as a failure, so that the next try
// comes soon.
func (k *keySet) replace(ctx context.Context, keys []jwkset.JWK, refused []error) error {
	var none error
	if len(keys) == 0 {
		none = errors.Join(append([]error{errNoKey}, refused...)...)
	}
	print := fingerprint(keys)
	k.mu.RLock()
	same, recovered := print == k.print, k.failure != nil
	k.mu.RUnlock()
	if !same {
		if err := k.KeyReplaceAll(ctx, keys); err != nil {
			return fmt.Errorf("replace the keys: %w", err)
		}
	}
	k.mu.Lock()
	k.print, k.none = print, none
	k.mu.Unlock()
	if !same {
		k.changed()
	}
	if none == nil && (!same || recovered) {
		k.log.Info("key set in force", "keys", len(keys), "changed", !same, "unusable", fmt.Sprint(refused))
	}
	return none
}

// fingerprint identifies a set of keys whatever their order.
func fingerprint(keys []jwkset.JWK) [sha256.Size]byte {
	lines := make([]string, 0, len(keys))
	for _, key := range keys {
		line, err := json.Marshal(key.Marshal())
		if err != nil {
			continue // strings only: cannot happen
		}
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	return sha256.Sum256([]byte(strings.Join(lines, "\n")))
}
