package limit

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

func TestAMillionKeysCostLessThan64MB(t *testing.T) {
	const keys, strangers = 1_000_000, 1000
	before := heap()
	c := newCounter(keys)
	c.Config(1, time.Minute)
	var key [8]byte
	for window := range 2 {
		start := time.Unix(0, 0).Add(time.Duration(window) * time.Minute)
		for i := range keys + strangers {
			binary.LittleEndian.PutUint64(key[:], uint64(window)<<32|uint64(i))
			c.Increment(string(key[:]), start)
		}
	}
	if got := heap() - before; got >= 64<<20 {
		t.Errorf("two windows full of a million keys: %d MiB, want < 64", got>>20)
	}
	if len(c.latest.counts) != keys || c.latest.strangers != strangers {
		t.Errorf("%d keys and %d requests of strangers, want %d and %d", len(c.latest.counts), c.latest.strangers, keys, strangers)
	}
	runtime.KeepAlive(c)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAClockGoingBackForgetsNothing(t *testing.T) {
	c := newCounter(10)
	c.Config(100, time.Minute)
	at := func(minute int) time.Time { return time.Unix(0, 0).Add(time.Duration(minute) * time.Minute) }
	check := func(minute, wantCurr, wantPrev int) {
		t.Helper()
		if curr, prev, _ := c.Get("ana", at(minute), at(minute-1)); curr != wantCurr || prev != wantPrev {
			t.Errorf("minute %d: %d now and %d before, want %d and %d", minute, curr, prev, wantCurr, wantPrev)
		}
	}
	for range 3 {
		c.Increment("ana", at(1000))
	}
	for range 5 {
		c.Increment("ana", at(1001))
	}
	for range 3 { // back and forth over a border
		check(1001, 5, 3)
		check(1000, 8, 0)
	}
	c.Increment("ana", at(1000)) // one that waited for the lock
	check(1001, 6, 3)

	check(17, 9, 0) // the year was wrong: all counts in full,
	c.Increment("ana", at(17))
	check(17, 10, 0)
	check(18, 7, 3) // and then it ages as it would have
	check(19, 0, 7)
	check(20, 0, 0)
}

// TestWaitingOnlyEverHelps covers what a bubble's clock cannot: counts that lie
// ahead of a clock that went back.
func TestWaitingOnlyEverHelps(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	for range 2000 {
		period := time.Duration(1+rnd.IntN(1000)) * time.Second
		l := &Limiter{rate: Rate{1 + rnd.IntN(50), period}}
		now := time.Unix(1e9, 0).Add(time.Duration(rnd.Int64N(int64(period)))).UTC()
		start := now.Truncate(period).Add(period * time.Duration(rnd.IntN(3)-1))
		u := usage{start, rnd.IntN(l.rate.Count + 1), rnd.IntN(l.rate.Count + 1)}

		d := l.decide(u, now, false)
		if d.Wait <= 0 || d.Wait > 3*period {
			t.Fatalf("%+v of %v: wait %v", u, l.rate, d.Wait)
		}
		for range 50 {
			later := now.Add(d.Wait + time.Duration(rnd.Int64N(int64(3*period))))
			if l.decide(u, later, true).Remaining < 1 {
				t.Fatalf("%+v of %v: refused %v after a wait of %v", u, l.rate, later.Sub(now), d.Wait)
			}
		}
	}
}

func TestSlotsForgetWhoHasNothingOpen(t *testing.T) {
	s := NewSlots(2, 10)
	for range 100 {
		release, _ := s.Acquire("ana")
		release()
	}
	if len(s.open) != 0 {
		t.Errorf("%d keys kept with nothing open", len(s.open))
	}
}
