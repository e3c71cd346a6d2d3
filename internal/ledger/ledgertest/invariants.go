package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyshield/internal/apierr"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// testInvariants runs random histories against the engine and against a model
// that is too simple to be wrong: a list of everything that ever happened.
func testInvariants(t *testing.T, fresh func() Store) {
	rapid.Check(t, func(t *rapid.T) {
		store := fresh()
		defer store.Remove()
		w := &world{T: t, store: store, clock: NewClock(noon), stopped: map[string]bool{}, seeded: map[ledger.Window]money.USD{}}
		w.open()
		defer func() { _ = w.ledger.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"fault":   w.fault,
			"reserve": w.reserve, "use": w.use, "settle": w.settle, "free": w.free, "close": w.close,
			"disable": w.disable, "enable": w.enable, "seed": w.seed,
			"again": w.again, "crash": w.crash, "restart": w.restart, "time": w.time, "jump": w.jump, "date": w.date,
			"": w.check,
		})
	})
}

// call is one reservation that was acknowledged.
type call struct {
	hold    *ledger.Hold
	user    string
	window  ledger.Window // its day
	month   ledger.Window
	ceiling money.USD
	caps    ledger.Caps
	charge  money.USD // what the ledger should count
	bill    money.USD // the most that the provider can have billed
	sent    bool
	over    bool // ended, or its process is dead
	gone    bool // its process is dead
}

type world struct {
	*rapid.T
	store   Store
	clock   *Clock
	ledger  Ledger
	calls   []*call
	ids     int
	stopped map[string]bool // by overshoots and switches
	seeded  map[ledger.Window]money.USD
	day     ledger.Window
	pending []*call // ended, perhaps not on disk: a crash may undo a tail of them
}

func (w *world) open() {
	l, err := w.store.Open(Hooks{Clock: w.clock.Read})
	if err != nil {
		w.Fatal(err)
	}
	w.ledger = l
}

var users = []string{"ana", "ben", "eve"}

func drawCaps(t *rapid.T) ledger.Caps {
	one := func(name string) ledger.Cap {
		n := rapid.SampledFrom([]int64{-1, -1, 0, 30, 60, 100, 250}).Draw(t, name)
		if n < 0 {
			return ledger.NoCap()
		}
		return ledger.UpTo(money.USD(n))
	}
	return ledger.Caps{Day: one("day"), Month: one("month"), UserDay: one("user day"), UserMonth: one("user month")}
}

// sums are an account's used and the part of it that may come back.
func (w *world) sums(s ledger.Standing, user string) (used, open [4]money.USD) {
	used[0], used[1] = w.seeded[s.Day.Window], w.seeded[s.Month.Window]
	for _, c := range w.calls {
		for i, in := range [4]bool{
			c.window == s.Day.Window, c.month == s.Month.Window,
			c.window == s.Day.Window && c.user == user, c.month == s.Month.Window && c.user == user,
		} {
			if in {
				used[i] += c.charge
				if !c.over {
					open[i] += c.ceiling
				}
			}
		}
	}
	return used, open
}

func (w *world) standing(user string) ledger.Standing {
	s, err := w.ledger.Standing(context.Background(), ledger.User{Key: user})
	if err != nil {
		w.Fatal(err)
	}
	w.pending = nil // it is answered after everything before it
	return s
}

func four(s ledger.Standing) [4]money.USD {
	return [4]money.USD{s.Day.Used, s.Month.Used, s.UserDay.Used, s.UserMonth.Used}
}

// expect is what the rules say of a reserve: a code, "" for yes.
func (w *world) expect(s ledger.Standing, user string, ceiling money.USD, caps ledger.Caps) string {
	if w.stopped[user] {
		return "disabled"
	}
	used, open := w.sums(s, user)
	code := ""
	for i, c := range [4]ledger.Cap{caps.Day, caps.Month, caps.UserDay, caps.UserMonth} {
		limit, ok := c.Limit()
		switch {
		case !ok || used[i]+ceiling <= limit:
		case used[i]-open[i]+ceiling > limit:
			return "budget_exhausted"
		default:
			code = "budget_busy"
		}
	}
	return code
}

func (w *world) reserve(t *rapid.T) {
	user := rapid.SampledFrom(users).Draw(t, "user")
	ceiling := money.USD(rapid.SampledFrom([]int64{0, 1, 9, 10, 30, 70}).Draw(t, "ceiling"))
	caps := drawCaps(t)
	before := w.standing(user)
	want := w.expect(before, user, ceiling, caps)

	w.ids++
	h, err := w.ledger.Reserve(context.Background(), ledger.Request{
		ID: fmt.Sprint(w.ids), User: ledger.User{Key: user}, Model: "model-of-" + user, Ceiling: ceiling, Prices: "1", Caps: caps,
	})
	got := ""
	if refusal, ok := errors.AsType[*apierr.Error](err); ok {
		got = refusal.Code
	} else if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("%s reserves %d under %v: %q, want %q (%+v)", user, ceiling, caps, got, want, before)
	}
	after := w.standing(user)
	if err != nil {
		if after != before {
			t.Fatalf("I9: a refusal left a trace: %+v, then %+v", before, after)
		}
		return
	}
	for i, c := range [4]ledger.Cap{caps.Day, caps.Month, caps.UserDay, caps.UserMonth} {
		if limit, ok := c.Limit(); ok && four(after)[i] > limit {
			t.Fatalf("I3: used %v after an admission under a cap of %v", four(after)[i], limit)
		}
	}
	w.calls = append(w.calls, &call{
		hold: h, user: user, window: after.Day.Window, month: after.Month.Window,
		ceiling: ceiling, caps: caps, charge: ceiling,
	})
}

// pick is a call that pleases, or nil.
func (w *world) pick(t *rapid.T, pleases func(*call) bool) *call {
	var some []*call
	for _, c := range w.calls {
		if pleases(c) {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return rapid.SampledFrom(some).Draw(t, "call")
}

func isOpen(c *call) bool { return !c.over }

func (w *world) use(t *rapid.T) {
	c := w.pick(t, isOpen)
	if c == nil {
		return
	}
	if err := c.hold.Use(); (err == nil) == c.sent {
		t.Fatalf("I4: sent before: %v; Use: %v", c.sent, err)
	}
	c.sent, c.bill = true, c.ceiling
}

// end is called once the hold was ended: charge is what should be left.
func (w *world) end(c *call, charge, bill money.USD) {
	c.charge, c.bill, c.over = charge, bill, true
	w.pending = append(w.pending, c)
}

func (w *world) settle(t *rapid.T) {
	c := w.pick(t, func(c *call) bool { return !c.over && c.sent })
	if c == nil {
		return
	}
	cost := money.USD(rapid.Int64Range(0, int64(c.ceiling)).Draw(t, "cost"))
	if rapid.IntRange(0, 19).Draw(t, "overshoot") == 0 {
		cost = c.ceiling + 3
		w.stopped[c.user] = true
	}
	if err := c.hold.Settle(ledger.Usage{Cost: cost}); err != nil {
		t.Fatal(err)
	}
	w.end(c, cost, cost)
	if cost > c.ceiling {
		w.standing(c.user) // a suspension that a crash forgets is another story
	}
}

func (w *world) free(t *rapid.T) {
	if c := w.pick(t, isOpen); c != nil {
		c.hold.Free()
		w.end(c, 0, 0)
	}
}

func (w *world) close(t *rapid.T) {
	c := w.pick(t, isOpen)
	if c == nil {
		return
	}
	c.hold.Close()
	if c.sent {
		w.end(c, c.ceiling, c.ceiling)
	} else {
		w.end(c, 0, 0) // I7
	}
}

// again ends what has ended, also in a process that is dead.
func (w *world) again(t *rapid.T) {
	c := w.pick(t, func(c *call) bool { return c.over })
	if c == nil {
		return
	}
	_ = c.hold.Settle(ledger.Usage{Cost: rapid.SampledFrom([]money.USD{0, 1, 1000}).Draw(t, "cost")})
	c.hold.Free()
	c.hold.Close()
	if err := c.hold.Use(); err == nil && !c.gone {
		t.Fatal("I4: used after its end")
	}
}

// crash kills the process. Ends that were not yet on disk may be lost, the latest
// first; nothing else may be.
func (w *world) crash(t *rapid.T) {
	if err := w.store.Crash(w.ledger); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.calls {
		c.gone = true
		c.over = true // what was open stays charged
	}
	w.open()
	pending := w.pending
	for lost := 0; ; lost++ {
		if w.matches() {
			break
		}
		if lost == len(pending) {
			t.Fatalf("after a crash the sums are those of no moment before it")
		}
		c := pending[len(pending)-1-lost]
		c.charge = c.ceiling
	}
	w.pending = nil
}

func (w *world) matches() bool {
	for _, u := range users {
		s := w.standing(u)
		if used, _ := w.sums(s, u); used != four(s) {
			return false
		}
	}
	return true
}

// fault breaks the disk under a reserve, and under the ends that are on their way.
func (w *world) fault(t *rapid.T) {
	store, ok := w.store.(Breakable)
	if !ok {
		t.Skip("no disk")
	}
	store.Break(rapid.Bool().Draw(t, "written"))
	for range rapid.IntRange(0, 2).Draw(t, "ends") {
		rapid.SampledFrom([]func(*rapid.T){w.free, w.close, w.use}).Draw(t, "end")(t)
	}
	w.ids++
	_, err := w.ledger.Reserve(context.Background(), ledger.Request{
		ID: fmt.Sprint(w.ids), User: ledger.User{Key: "zoe"}, Model: "model-of-zoe", Ceiling: 30, Prices: "1", Caps: uncapped(),
	})
	if refusal, ok := errors.AsType[*apierr.Error](err); !ok || refusal.Code != "unavailable" {
		t.Fatalf("I4: a reserve on a broken disk: %v", err)
	}
	for range rapid.IntRange(0, 2).Draw(t, "later ends") {
		rapid.SampledFrom([]func(*rapid.T){w.free, w.close, w.use}).Draw(t, "end")(t)
	}
	store.Repair()
	w.standing("zoe") // what was refused is taken back; a crash before that would keep it
}

// restart is an orderly one: what was never used is released, I7.
func (w *world) restart(t *rapid.T) {
	if err := w.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.calls {
		if !c.over && !c.sent {
			c.charge = 0
		}
		c.gone, c.over = true, true
	}
	w.pending = nil
	w.open()
}

func (w *world) disable(t *rapid.T) {
	user := rapid.SampledFrom(users).Draw(t, "user")
	if err := w.ledger.Disable(context.Background(), ledger.DisableRequest{User: ledger.User{Key: user}, By: "cli"}); err != nil {
		t.Fatal(err)
	}
	w.stopped[user], w.pending = true, nil
}

func (w *world) enable(t *rapid.T) {
	user := rapid.SampledFrom(users).Draw(t, "user")
	for _, r := range []ledger.EnableRequest{{User: user, By: "cli"}, {Model: "model-of-" + user, By: "cli"}} {
		was, err := w.ledger.Enable(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if r.Model == "" && was != w.stopped[user] {
			t.Fatalf("%s was stopped: %v, want %v", user, was, w.stopped[user])
		}
	}
	w.stopped[user], w.pending = false, nil
}

// seed raises what is spent of the present windows, unless they have more.
func (w *world) seed(t *rapid.T) {
	s := w.standing(users[0])
	month := money.USD(rapid.SampledFrom([]int64{0, 20, 90, 300}).Draw(t, "month"))
	day := min(month, money.USD(rapid.SampledFrom([]int64{0, 20, 90}).Draw(t, "day")))
	used, open := w.sums(s, users[0])
	err := w.ledger.Seed(context.Background(), ledger.SeedRequest{At: s.Day.Window.Start(), Month: month, Day: day, By: "cli"})
	if more := used[1]-open[1] > month; more != errors.Is(err, ledger.ErrCountedMore) || !more && err != nil {
		t.Fatalf("seed %v into %v: %v", month, used[1]-open[1], err)
	}
	if err == nil {
		w.seeded[s.Day.Window] += max(0, day-(used[0]-open[0]))
		w.seeded[s.Month.Window] += month - (used[1] - open[1])
	}
}

func (w *world) time(t *rapid.T) {
	w.clock.Pass(rapid.SampledFrom([]time.Duration{time.Second, time.Hour, 11 * time.Hour, 26 * time.Hour, 20 * 24 * time.Hour}).Draw(t, "pass"))
}

func (w *world) jump(t *rapid.T) {
	w.clock.Set(rapid.SampledFrom([]time.Duration{-40 * 24 * time.Hour, -24 * time.Hour, -time.Minute, time.Minute, 25 * time.Hour, 33 * 24 * time.Hour}).Draw(t, "jump"))
}

func (w *world) date(t *rapid.T) {
	wall, _ := w.clock.Read()
	w.ledger.Observe(wall.Add(rapid.SampledFrom([]time.Duration{0, 0, 100 * time.Second, -30 * time.Hour, 30 * time.Hour}).Draw(t, "off")))
}
