package upstream

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"keyshield/internal/secret"
)

// MaxKeys is how many keys there may be at once: more are a mistake.
const MaxKeys = 16

const (
	shortestKey = 20 // config's own least; real ones have 50 and more
	longestKey  = 512
)

// Key is one of our keys for OpenAI.
type Key struct {
	Secret secret.String
	Source string    // where it comes from: "environment"
	Since  time.Time // when it was made; zero: not known
}

// KeyState is what may be shown of a key.
type KeyState struct {
	Fingerprint   string
	Source        string
	Since         time.Time // when it was made; zero: not known
	State         string    // active, standby or quarantined
	QuarantinedAt time.Time // zero: it is not
	Why           string    // it is quarantined
	LastUsed      time.Time // zero: not since we began
}

// What the State of a key may be.
const (
	Active      = "active"      // calls leave under it
	Standby     = "standby"     // takes over when the active one is refused
	Quarantined = "quarantined" // OpenAI refused it; it is tried again now and then
)

// KeyEventKind is what happened to a key, or to where keys come from.
type KeyEventKind string

const (
	Rotated      KeyEventKind = "rotated"       // a new set of keys made another one the active one
	Rejected     KeyEventKind = "rejected"      // OpenAI refused a key: it is quarantined
	NoneLeft     KeyEventKind = "none_left"     // no key works: nothing is sent any more
	Recovered    KeyEventKind = "recovered"     // a quarantined key works again
	SourceFailed KeyEventKind = "source_failed" // no new keys: those in force stay
	SourceBack   KeyEventKind = "source_back"   // the source gives good keys again
)

// KeyEvent is told once, when it happens.
type KeyEvent struct {
	Kind        KeyEventKind
	Fingerprint string // of the key; "" where it is about none
	Source      string
	Why         string // in plain words
	At          time.Time
}

// Fingerprint names a key without a byte of it: the first 32 bits of its SHA-256
// in hex. A key has far too many bits to be found by so few.
func Fingerprint(s secret.String) string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return "sha256:" + hex.EncodeToString(sum[:4])
}

// CheckKey says why s cannot be a key, in words that hold nothing of it: it is looked
// for in every answer, so a word of some language is none.
func CheckKey(s secret.String) error {
	switch v := s.Reveal(); {
	case strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("holds a space, or a character that no key has: copy it again")
	case strings.HasPrefix(v, "sk-admin-"):
		return errors.New("is an admin key, which can do far more than is needed here: make an ordinary one")
	case len(v) < shortestKey:
		return fmt.Errorf("is too short to be a whole key: it has %d bytes", len(v))
	case len(v) > longestKey:
		return fmt.Errorf("is too long to be a key: it has %d bytes", len(v))
	}
	return nil
}

// checkKeys says what is wrong with a set of keys.
func checkKeys(keys []Key) error {
	if len(keys) == 0 {
		return errors.New("there is no key")
	}
	if len(keys) > MaxKeys {
		return fmt.Errorf("there are %d keys; there may be %d", len(keys), MaxKeys)
	}
	for i, k := range keys {
		if err := CheckKey(k.Secret); err != nil {
			return fmt.Errorf("the key at place %d %w", i+1, err)
		}
		for _, before := range keys[:i] {
			if before.Secret.Equal(k.Secret.Reveal()) {
				return fmt.Errorf("the key at place %d is there twice", i+1)
			}
		}
	}
	return nil
}

// key is one of the ring. What is not atomic belongs to the ring's lock, but for
// the header, which never changes.
type key struct {
	Key
	fingerprint string
	header      http.Header  // built once; net/http only reads it
	used        atomic.Int64 // when last, in Unix nanoseconds
	proven      atomic.Bool  // it worked: at a try, or for a call

	quarantined time.Time // zero: it is not
	why         string
	untried     bool          // it stands by, and is tried until it is proven
	barred      bool          // OpenAI knows it and does not let it list models (403)
	suspect     bool          // a call under it was refused: is that so?
	cleared     time.Time     // when a suspicion was last looked into
	next        time.Time     // of the next try
	pause       time.Duration // before it
}

func newKey(k Key, cfg *Config) *key {
	return &key{Key: k, fingerprint: Fingerprint(k.Secret), header: cfg.header(k.Secret)}
}

// know keeps what a set of keys says about one that is there already. A key does
// not grow younger because its source was written anew.
func (k *key) know(said Key) {
	k.Source = said.Source
	if !said.Since.IsZero() && (k.Since.IsZero() || said.Since.Before(k.Since)) {
		k.Since = said.Since
	}
}

func (k *key) good() bool { return k.quarantined.IsZero() }

// rank orders the good keys: the smaller, the sooner it is used.
func (k *key) rank() (n int) {
	if !k.proven.Load() {
		n += 2
	}
	if k.suspect {
		n++
	}
	return n
}

// due reports whether k is to be tried, at its next.
func (k *key) due() bool {
	return !k.good() || k.suspect || k.untried && !k.proven.Load()
}

// later puts off the next try, ever longer.
func (k *key) later() {
	k.pause = min(max(2*k.pause, firstPause), longestPause)
	k.next = time.Now().Add(k.pause)
}

// sooner has the next try come within the shortest pause.
func (k *key) sooner() {
	k.pause = min(k.pause, firstPause)
	if soon := time.Now().Add(firstPause); k.next.After(soon) {
		k.next = soon
	}
}

func (k *key) state(active bool) KeyState {
	s := KeyState{
		Fingerprint: k.fingerprint, Source: k.Source, Since: k.Since,
		State: Standby, QuarantinedAt: k.quarantined, Why: k.why,
	}
	switch {
	case !k.good():
		s.State = Quarantined
	case active:
		s.State = Active
	}
	if used := k.used.Load(); used != 0 {
		s.LastUsed = time.Unix(0, used)
	}
	return s
}
