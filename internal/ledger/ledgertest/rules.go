package ledgertest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

func testExactlyN(t *testing.T, b *bench) {
	for range 7 {
		b.send("ana", 3, daily(23)).Close()
	}
	b.refused("budget_exhausted", "ana", 3, daily(23))
	b.used("ana", 21, 21, 21, 21)
	b.send("ben", 2, daily(23)).Close()
	b.used("ben", 23, 23, 2, 2)
	b.send("ben", 0, daily(23)).Close() // what costs nothing is always within
}

func testConcurrent(t *testing.T, b *bench) {
	const each, limit = 7, 40*7 + 6
	var admitted, refused atomic.Int32
	var wg sync.WaitGroup
	for range 400 {
		r := b.request("ana", each, daily(limit))
		wg.Go(func() {
			h, err := b.ledger.Reserve(context.Background(), r)
			if err != nil {
				refused.Add(1)
				return
			}
			admitted.Add(1)
			if err := h.Use(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if admitted.Load() != 40 || refused.Load() != 360 {
		t.Errorf("a budget for 40 admitted %d of 400 and refused %d", admitted.Load(), refused.Load())
	}
	b.used("ana", 280, 280, 280, 280)
}

func testAllOrNone(t *testing.T, b *bench) {
	caps := ledger.Caps{Day: ledger.UpTo(100), Month: ledger.UpTo(100), UserDay: ledger.UpTo(10), UserMonth: ledger.UpTo(15)}
	b.send("ana", 10, caps).Close()
	for _, narrow := range []func(*ledger.Caps){
		func(c *ledger.Caps) { c.Day = ledger.UpTo(19) },
		func(c *ledger.Caps) { c.Month = ledger.UpTo(19) },
		func(c *ledger.Caps) { c.UserDay = ledger.UpTo(19) },
		func(c *ledger.Caps) { c.UserMonth = ledger.UpTo(19) },
		func(c *ledger.Caps) { c.UserMonth = ledger.Cap{} },
	} {
		c := uncapped()
		narrow(&c)
		b.refused("budget_exhausted", "ana", 10, c)
		b.used("ana", 10, 10, 10, 10)
	}
	b.refused("budget_exhausted", "ana", 1, ledger.Caps{}) // caps that nobody set allow nothing
	b.send("ben", 10, caps).Close()
	b.used("ben", 20, 20, 10, 10)
}

func testBusy(t *testing.T, b *bench) {
	caps := daily(100)
	first, second := b.send("ana", 60, caps), b.send("ana", 40, caps)
	if r := b.refused("budget_busy", "ben", 60, caps); r.Final || r.RetryAfter != 2*time.Second || r.Status != 429 {
		t.Errorf("busy: %+v, want a short wait", r)
	}
	b.settle(first, 10)
	h := b.send("ben", 50, caps) // 10 + 40 + 50
	second.Close()               // 40 stay charged
	b.refused("budget_exhausted", "ben", 51, caps)
	b.refused("budget_busy", "ben", 50, caps)
	h.Free()
	b.send("ben", 50, caps)
	b.refused("budget_exhausted", "ben", 101, caps)
	if s := b.standing("ben"); s.Day.Open != 50 || s.Day.AtCeiling != 40 || s.Day.Cost != 10 || s.Day.Unproven != 1 {
		t.Errorf("the day: %+v", s.Day)
	}
}

func testExhausted(t *testing.T, b *bench) {
	caps := daily(10)
	b.send("ana", 10, caps).Close()
	r := b.refused("budget_exhausted", "ana", 1, caps)
	if !strings.HasPrefix(r.Message, "The budget for today is used up. ") || r.RetryAfter != 12*time.Hour || !r.Final || r.Status != 429 {
		t.Errorf("at noon: %+v", r)
	}
	caps.UserMonth = ledger.UpTo(10)
	r = b.refused("budget_exhausted", "ana", 1, caps)
	if !strings.HasPrefix(r.Message, "The budget for this month is used up. ") || r.RetryAfter != (9*24+12)*time.Hour {
		t.Errorf("with the month used up too: %+v, want the later end", r)
	}
	b.clock.Pass(12*time.Hour - time.Millisecond)
	if r := b.refused("budget_exhausted", "ana", 1, daily(10)); r.RetryAfter != time.Second {
		t.Errorf("just before midnight: wait %v, want at least a second", r.RetryAfter)
	}
	b.clock.Pass(time.Millisecond)
	b.send("ana", 10, daily(10)).Close()
	b.used("ana", 10, 20, 10, 20)
}

func testOwnDay(t *testing.T, b *bench) {
	b.clock.Pass(12*time.Hour - 100*time.Millisecond) // 23:59:59.9
	h := b.send("ana", 10, daily(10))
	b.clock.Pass(time.Second)
	next := b.send("ana", 10, daily(10)) // a new day, a new cap
	b.settle(h, 4)
	b.settle(h, 1)
	h.Free()
	h.Close()
	b.used("ana", 10, 14, 10, 14)
	b.refused("budget_exhausted", "ana", 11, daily(10))
	b.refused("budget_busy", "ana", 10, daily(10)) // yesterday's refund buys nothing today
	b.settle(next, 10)
	b.used("ana", 10, 14, 10, 14)
}

func testClose(t *testing.T, b *bench) {
	b.reserve("ana", 10, daily(10)).Close()
	b.used("ana", 0, 0, 0, 0)
	h := b.reserve("ana", 10, daily(10))
	h.Free()
	if err := h.Use(); err == nil {
		t.Error("a hold was used after it had been freed")
	}
	h = b.send("ana", 10, daily(10))
	if err := h.Use(); err == nil {
		t.Error("two calls for one reservation")
	}
	h.Close()
	h.Free()
	b.settle(h, 1)
	b.used("ana", 10, 10, 10, 10)
	if left, ok := h.Left(); !ok || left != 0 {
		t.Errorf("left %v, %v", left, ok)
	}
}

func testCrash(t *testing.T, b *bench) {
	caps := daily(100)
	unused, open := b.reserve("ana", 10, caps), b.send("ana", 20, caps)
	b.settle(b.send("ana", 30, caps), 5)
	b.used("ana", 35, 35, 35, 35)
	b.crash()
	b.settle(open, 1) // from a process that is dead: nobody may refund any more
	unused.Close()
	b.used("ana", 35, 35, 35, 35)
	if s := b.standing("ana"); s.Day.Open != 0 || s.Day.AtCeiling != 30 {
		t.Errorf("after the crash: %+v, want what was open to be spent", s.Day)
	}
	b.refused("budget_exhausted", "ana", 66, caps) // and not busy: nothing will come back
	b.clock.Pass(24 * time.Hour)
	b.send("ana", 100, caps)
	b.used("ana", 100, 135, 100, 135)
}

func testLowered(t *testing.T, b *bench) {
	h := b.send("ana", 50, daily(100))
	b.refused("budget_busy", "ana", 10, daily(40))
	b.refused("budget_exhausted", "ana", 41, daily(40))
	b.settle(h, 50)
	b.refused("budget_exhausted", "ana", 0, daily(40))
	b.send("ana", 10, daily(60))
	b.used("ana", 60, 60, 60, 60)
}

func testOvershoot(t *testing.T, b *bench) {
	caps := uncapped()
	caps.Month = ledger.UpTo(10_000)
	b.settle(b.send("ana", 10, caps), 60) // half a percent of the cap
	b.used("ana", 60, 60, 60, 60)
	b.refused("disabled", "ana", 1, caps)
	for _, u := range []string{"ben", "eve"} {
		h := b.send(u, 10, caps) // one user stops nobody else
		b.settle(h, 15)
	}
	b.standing("zoe")
	b.crash()
	b.refused("disabled", "ben", 1, caps)
	if r := b.refused("disabled", "zoe", 1, caps); r.Status != 503 {
		t.Errorf("after three users: %+v, want the model stopped", r)
	}
	b.used("ana", 90, 90, 60, 60)
}

func testJumps(t *testing.T, b *bench) {
	b.send("ana", 10, daily(10)).Close()
	b.clock.Set(24 * time.Hour)
	b.refused("budget_exhausted", "ana", 1, daily(10))
	if !b.ledger.InDoubt() {
		t.Error("the wall jumped a day and nobody doubts it")
	}
	b.ledger.Observe(noon.Add(2 * time.Minute)) // the wall was wrong
	b.refused("budget_exhausted", "ana", 1, daily(10))
	if b.ledger.InDoubt() {
		t.Error("still in doubt though the provider agreed with the time that went by")
	}
	b.clock.Pass(12 * time.Hour) // midnight by what went by; the wall stays a day ahead
	b.send("ana", 10, daily(10)).Close()
	b.refused("budget_exhausted", "ana", 1, daily(10))

	b.clock.Set(-10 * 24 * time.Hour)
	b.clock.Set(20 * 24 * time.Hour)
	b.refused("budget_exhausted", "ana", 1, daily(10))
	wall, _ := b.clock.Read()
	b.ledger.Observe(wall.Add(48 * time.Hour)) // agrees with nobody
	b.refused("budget_exhausted", "ana", 1, daily(10))
	b.ledger.Observe(wall.Add(-time.Minute)) // a machine that slept for days
	b.send("ana", 10, daily(10)).Close()
	if s := b.standing("ana"); s.Day.Window.String() != wall.Format(time.DateOnly) || s.Month.Window.String() != "2026-12" {
		t.Errorf("windows %v, %v at %v", s.Day.Window, s.Month.Window, wall)
	}
}

// testBackAndForth sets the clock forward a day, back a day and forward again,
// with a new start at each, when there is nothing to compare it with.
func testBackAndForth(t *testing.T, b *bench) {
	var spent money.USD
	for _, step := range []time.Duration{0, 24 * time.Hour, -24 * time.Hour, 24 * time.Hour, -30 * 24 * time.Hour, 24 * time.Hour} {
		b.clock.Set(step)
		b.crash()
		h, err := b.ledger.Reserve(context.Background(), b.request("ana", 10, daily(10)))
		if err == nil {
			_ = h.Use()
			spent += 10
		}
	}
	if spent != 20 {
		t.Errorf("two days were spent for %v, want 20", spent)
	}
}

func testNoProof(t *testing.T, b *bench) {
	for _, u := range []ledger.Usage{{Cost: -1}, {Input: -1}, {Output: -5, Cost: 1}, {Cached: -1}, {Cost: money.Max + 1}} {
		h := b.send("ana", 10, uncapped())
		if err := h.Settle(u); err == nil {
			t.Errorf("%+v was taken for proof", u)
		}
		h.Close()
	}
	b.used("ana", 50, 50, 50, 50)
}
