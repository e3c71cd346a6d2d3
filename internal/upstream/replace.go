package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"keyshield/internal/secret"
)

// ErrKeysKept means that a new set of keys was not taken, and those in force stay.
var ErrKeysKept = errors.New("the keys in force stay")

// Replace makes keys the ones in force, the first to be used first. If the first
// is new to its place and not proven, or none of them is good, it is tried before it
// takes over. When OpenAI refuses it, or cannot be asked, or does not let it list
// models (403) while a good key is there, everything stays as it is and the error
// wraps ErrKeysKept: call again later. The others are tried after Replace's return,
// and one that OpenAI refuses is told and quarantined.
//
// Calls under way finish under the key they began with; a key that is not in the set
// gets no new ones. A set that is in force already changes nothing, and tries nothing:
// for that there is Retry.
func (c *Client) Replace(ctx context.Context, keys []Key) error {
	r := c.ring
	if err := r.turn.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("wait for another change of keys: %w", err)
	}
	defer r.turn.Release(1)
	if err := checkKeys(keys); err != nil {
		return r.keep(ctx, sourceOf(keys), "invalid", err)
	}
	hear(r.cfg.Mask, keys)
	said := unclear
	if !r.holds(keys) && r.unproven(keys) {
		var err error
		said, err = r.try(ctx, keys[0])
		switch {
		case said == refusedKey:
			return r.keep(ctx, keys[0].Source, "refused", fmt.Errorf("the new key %s was tried: %w", Fingerprint(keys[0].Secret), err))
		case said == barred && !r.leaderless():
			return r.keep(ctx, keys[0].Source, "barred", fmt.Errorf("the new key %s was tried, and will be again: %w", Fingerprint(keys[0].Secret), err))
		case said == unclear:
			return r.keep(ctx, keys[0].Source, "unclear", fmt.Errorf("the new key %s could not be tried, and will be again: %w", Fingerprint(keys[0].Secret), err))
		}
	}
	hear(r.cfg.Learn, keys)
	r.tell(r.adopt(keys, said))
	return nil
}

// SourceFailed says that the source of our keys gives none. It is told once, until
// a Replace succeeds.
func (c *Client) SourceFailed(source string, why error) {
	c.ring.fail(source, "unread", why)
}

// keep is the end of a Replace that changes nothing.
func (r *ring) keep(ctx context.Context, source, what string, why error) error {
	if ctx.Err() == nil { // else nobody knows
		r.fail(source, what, why)
	}
	return fmt.Errorf("%w: %w", ErrKeysKept, why)
}

// fail tells what is wrong with the source, when that is news.
func (r *ring) fail(source, what string, why error) {
	r.mu.Lock()
	news := r.failing != what
	if r.failing == "" {
		r.source = source // one name from now on, by which its return is known
	}
	r.failing, source = what, r.source
	r.mu.Unlock()
	if news {
		r.tell([]KeyEvent{{Kind: SourceFailed, Source: source, Why: why.Error() + "; " + ErrKeysKept.Error(), At: time.Now()}})
	}
}

// adopt puts a set in force; first is what the try of its first key said, if there
// was one.
func (r *ring) adopt(keys []Key, first verdict) (told []KeyEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing != "" {
		r.failing = ""
		told = append(told, KeyEvent{Kind: SourceBack, Source: r.source, Why: "the source gives good keys again", At: time.Now()})
	}
	was, fresh := r.lead, r.merge(keys)
	if k := fresh[0]; first != unclear {
		k.proven.Store(first == works)
		k.barred = first == barred
		k.later()
		if !k.good() {
			k.quarantined, k.why = time.Time{}, ""
			told = append(told, r.event(Recovered, k, "OpenAI takes the key again"))
		}
	}
	sameFirst := fresh[0] == r.keys[0]
	r.keys = fresh
	r.mend()
	if sameFirst && slices.Contains(fresh, was) {
		r.follow(was) // whoever took over for the first key goes on
		return told
	}
	now := r.after(nil)
	if r.follow(now); now == was {
		return told
	}
	if now == nil { // its last good key was refused a moment ago
		return append(told, r.event(NoneLeft, fresh[0], noneLeft))
	}
	why := "it is used from now on"
	if was != nil {
		why += ", instead of " + was.fingerprint
	}
	return append(told, r.event(Rotated, now, why))
}

// merge returns the keys of a set: those that are there already as they are, and the
// others to be tried. Someone holds the lock.
func (r *ring) merge(keys []Key) []*key {
	all := make([]*key, 0, len(keys))
	for _, said := range keys {
		k := r.find(said.Secret)
		if k == nil {
			k = newKey(said, r.cfg)
			k.untried = true
		}
		k.know(said)
		all = append(all, k)
	}
	return all
}

// leaderless reports whether a key that is barred may take over.
func (r *ring) leaderless() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open()
}

// find returns the key that is there already; nil if none is. Someone holds the
// lock.
func (r *ring) find(s secret.String) *key {
	for _, k := range r.keys {
		if k.Secret.Equal(s.Reveal()) {
			return k
		}
	}
	return nil
}

// holds reports whether keys are the ones in force, in their order.
func (r *ring) holds(keys []Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.EqualFunc(r.keys, keys, func(k *key, said Key) bool { return k.Secret.Equal(said.Secret.Reveal()) })
}

// unproven reports whether the first of keys is to be tried: it is new, or has not
// been first and not worked yet, or there would be no good key.
func (r *ring) unproven(keys []Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.find(keys[0].Secret); k == nil || !k.proven.Load() && k != r.keys[0] {
		return true
	}
	return !slices.ContainsFunc(keys, func(said Key) bool {
		k := r.find(said.Secret)
		return k != nil && k.good()
	})
}

func secrets(keys []Key) []secret.String {
	all := make([]secret.String, len(keys))
	for i, k := range keys {
		all[i] = k.Secret
	}
	return all
}

func sourceOf(keys []Key) string {
	if len(keys) == 0 {
		return ""
	}
	return keys[0].Source
}
