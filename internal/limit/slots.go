package limit

import (
	"hash/maphash"
	"sync"
)

// Slots bounds what one key may have open at once. NewSlots makes one.
type Slots struct {
	perKey, capacity int
	seed             maphash.Seed

	mu        sync.Mutex
	open      map[uint64]int // a key with nothing open has no entry
	strangers int
}

// NewSlots allows perKey things open at once for each of at most capacity keys
// that have any; perKey 0 allows none. Keys beyond capacity share perKey between
// them. One that found the table full and later finds room may for that time have
// twice perKey.
func NewSlots(perKey, capacity int) *Slots {
	return &Slots{perKey: perKey, capacity: capacity, seed: maphash.MakeSeed(), open: make(map[uint64]int)}
}

// Acquire occupies a slot until release is called, once or more often.
func (s *Slots) Acquire(key string) (release func(), ok bool) {
	hash := maphash.String(s.seed, key)
	s.mu.Lock()
	defer s.mu.Unlock()

	count, known := s.open[hash]
	if known || len(s.open) < s.capacity {
		if count >= s.perKey {
			return func() {}, false
		}
		s.open[hash] = count + 1
		return s.once(func() {
			if s.open[hash]--; s.open[hash] == 0 {
				delete(s.open, hash)
			}
		}), true
	}
	if s.strangers >= s.perKey {
		return func() {}, false
	}
	s.strangers++
	return s.once(func() { s.strangers-- }), true
}

func (s *Slots) once(free func()) func() {
	freed := false
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !freed {
			freed = true
			free()
		}
	}
}
