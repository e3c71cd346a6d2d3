package limit_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"keyshield/internal/limit"
)

func TestSlotsBoundWhatOneKeyHasOpen(t *testing.T) {
	s := limit.NewSlots(2, 10)
	first, ok1 := s.Acquire("ana")
	_, ok2 := s.Acquire("ana")
	if _, ok3 := s.Acquire("ana"); !ok1 || !ok2 || ok3 {
		t.Fatalf("three of two: %v %v %v, want the third refused", ok1, ok2, ok3)
	}
	if _, ok := s.Acquire("ben"); !ok {
		t.Error("ben is refused for ana's two")
	}
	for range 3 {
		first() // however often, it frees one
	}
	_, ok1 = s.Acquire("ana")
	if _, ok2 = s.Acquire("ana"); !ok1 || ok2 {
		t.Errorf("after one release: %v %v, want one more and no other", ok1, ok2)
	}
}

func TestARefusedSlotFreesNothing(t *testing.T) {
	s := limit.NewSlots(1, 1)
	s.Acquire("ana")
	s.Acquire("a stranger")
	for _, key := range []string{"ana", "another"} {
		release, ok := s.Acquire(key)
		release()
		if _, again := s.Acquire(key); ok || again {
			t.Errorf("%s: %v, then %v: a refused slot was given back", key, ok, again)
		}
	}
}

func TestStrangersShareSlotsWhenFull(t *testing.T) {
	s := limit.NewSlots(2, 3)
	var releases []func()
	for i := range 3 {
		release, _ := s.Acquire(strconv.Itoa(i))
		releases = append(releases, release)
	}
	stranger, ok1 := s.Acquire("x")
	_, ok2 := s.Acquire("y")
	if _, ok3 := s.Acquire("z"); !ok1 || !ok2 || ok3 {
		t.Errorf("strangers: %v %v %v, want two slots for all of them", ok1, ok2, ok3)
	}
	if _, ok := s.Acquire("0"); !ok {
		t.Error("one who was here first is taken for a stranger")
	}
	stranger()
	if _, ok := s.Acquire("z"); !ok {
		t.Error("a stranger's slot is not free again")
	}
	releases[1]()
	if _, ok := s.Acquire("z"); !ok {
		t.Error("room in the table is not used")
	}
}

func TestNoSlotsAtAll(t *testing.T) {
	if _, ok := limit.NewSlots(0, 10).Acquire("ana"); ok {
		t.Error("one of none")
	}
}

func TestSlotsUnderConcurrency(t *testing.T) {
	s := limit.NewSlots(5, 2)
	var open [3]atomic.Int64 // two residents, and the strangers together
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			who := i % 3
			for range 200 {
				release, ok := s.Acquire(strconv.Itoa(who))
				if !ok {
					continue
				}
				if n := open[who].Add(1); n > 10 { // twice 5: see NewSlots
					t.Errorf("key %d has %d open", who, n)
				}
				open[who].Add(-1)
				release()
			}
		})
	}
	wg.Wait()
	for i := range 5 {
		if _, ok := s.Acquire("0"); !ok {
			t.Errorf("only %d of 5 are free after everyone left", i)
		}
	}
}
