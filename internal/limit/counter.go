package limit

import (
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/go-chi/httprate"
)

var _ httprate.LimitCounter = (*counter)(nil)

// counter holds the counts of this window and the one before it, for at most
// capacity keys each; those who come later share the count of strangers.
//
// Keys are kept as 64 bits of a hash seeded anew in each process, which nobody can
// aim at. Two keys that met by chance (one in 40 million with a full table) would
// share an allowance.
//
// The wall clock may go back. One window back and the counts stand still until
// the clock has caught up; further back and they move to where that is true, or
// everybody would stay refused until the wrong date came round again.
type counter struct {
	capacity int
	seed     maphash.Seed

	mu       sync.Mutex
	period   time.Duration
	start    time.Time // of the latest window
	latest   tally
	previous tally
}

// tally is what was let through in one window.
type tally struct {
	counts    map[hash]uint32
	strangers uint32 // of all keys that found the table full
}

// hash is a key's 64 bits. In two halves a map's slot is 12 bytes; a uint64 would
// be aligned to 16.
type hash [2]uint32

func newCounter(capacity int) *counter {
	return &counter{capacity: capacity, seed: maphash.MakeSeed(), latest: newTally(), previous: newTally()}
}

func newTally() tally { return tally{counts: make(map[hash]uint32)} }

// Config is called once, by httprate's constructor.
func (c *counter) Config(_ int, period time.Duration) { c.period = period }

// Increment counts one request.
func (c *counter) Increment(key string, window time.Time) error {
	return c.IncrementBy(key, window, 1)
}

// IncrementBy counts amount requests, in the latest window even when the caller
// waited so long for httprate's lock that its own is over.
func (c *counter) IncrementBy(key string, window time.Time, amount int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveTo(window)
	c.latest.add(c.hash(key), max(1, amount), c.capacity)
	return nil
}

// Get returns what counts for key in the window and in the one before it.
func (c *counter) Get(key string, window, _ time.Time) (curr, prev int, err error) {
	curr, prev = c.usage(key, window).at(window, c.period)
	return curr, prev, nil
}

func (c *counter) usage(key string, window time.Time) usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveTo(window)
	h := c.hash(key)
	return usage{c.start, c.latest.of(h), c.previous.of(h)}
}

// size is how many keys have a count of their own in the latest window.
func (c *counter) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.latest.counts)
}

func (c *counter) hash(key string) hash {
	sum := maphash.String(c.seed, key)
	return hash{uint32(sum >> 32), uint32(sum)}
}

// moveTo drops the maps of a window that is over rather than emptying them:
// emptying walks the whole table, under the lock, and keeps a flood's memory.
func (c *counter) moveTo(window time.Time) {
	switch ahead := window.Sub(c.start); {
	case ahead == 0:
	case ahead == c.period:
		c.start, c.previous, c.latest = window, c.latest, newTally()
	case ahead > c.period:
		c.start, c.previous, c.latest = window, newTally(), newTally()
	case ahead < -c.period:
		c.start = window.Add(c.period)
	}
}

func (t *tally) add(h hash, amount, capacity int) {
	count, known := t.counts[h]
	if !known && len(t.counts) >= capacity {
		t.strangers = plus(t.strangers, amount)
		return
	}
	t.counts[h] = plus(count, amount)
}

// of takes a key that has no count for a stranger. While the table has room there
// are none, and it is 0.
func (t *tally) of(h hash) int {
	if count, known := t.counts[h]; known {
		return int(count)
	}
	return int(t.strangers)
}

func plus(count uint32, amount int) uint32 {
	if amount > math.MaxInt32-int(count) {
		return math.MaxInt32
	}
	return count + uint32(amount)
}

// usage is what one key used in the window that began at start, and before it.
type usage struct {
	start      time.Time
	curr, prev int
}

// at is what counts in a window if nothing more is used. In a window before start
// the clock has gone back: everything counts in full, so that a client that waits
// only ever gains.
func (u usage) at(window time.Time, period time.Duration) (curr, prev int) {
	switch ahead := window.Sub(u.start); {
	case ahead < 0:
		return u.curr + u.prev, 0
	case ahead == 0:
		return u.curr, u.prev
	case ahead == period:
		return 0, u.curr
	default:
		return 0, 0
	}
}
