package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyshield/internal/apierr"
	"keyshield/internal/ledger"
)

// testSwitches turns switches in any order, lets time go by and processes die. At
// any moment Stopped, Stops and Reserve must say the same as a list does.
func testSwitches(t *testing.T, fresh func() Store) {
	rapid.Check(t, func(t *rapid.T) {
		store := fresh()
		defer store.Remove()
		p := &panel{T: t, store: store, clock: NewClock(noon), stops: map[string]ledger.Stop{}}
		p.open()
		defer func() { _ = p.ledger.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"disable": p.disable, "enable": p.enable, "time": p.time, "crash": p.crash, "restart": p.restart, "fault": p.fault,
			"": p.check,
		})
	})
}

// panel is the list: by user, everything under no name.
type panel struct {
	*rapid.T
	store  Store
	clock  *Clock
	ledger Ledger
	stops  map[string]ledger.Stop
	ids    int
}

func (p *panel) open() {
	l, err := p.store.Open(Hooks{Clock: p.clock.Read})
	if err != nil {
		p.Fatal(err)
	}
	p.ledger = l
}

func (p *panel) now() time.Time {
	now, _ := p.clock.Read()
	return now
}

// inForce is the stop of that name, if its time is not up.
func (p *panel) inForce(name string) (ledger.Stop, bool) {
	s, ok := p.stops[name]
	return s, ok && (s.Until.IsZero() || p.now().Before(s.Until))
}

func (p *panel) draw(t *rapid.T) (ledger.DisableRequest, ledger.Stop) {
	p.ids++
	r := ledger.DisableRequest{
		By:  rapid.SampledFrom([]string{"cli", ledger.ByWatch}).Draw(t, "by"),
		For: rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, time.Hour, 48 * time.Hour}).Draw(t, "for"),
		Why: fmt.Sprint("reason ", p.ids),
	}
	s := ledger.Stop{Since: p.now(), By: r.By, Why: r.Why}
	if r.For > 0 {
		s.Until = p.now().Add(r.For)
	}
	if name := rapid.SampledFrom([]string{"", "ana", "ben"}).Draw(t, "user"); name == "" {
		r.Everything, s.Everything = true, true
	} else {
		r.User = person(name)
		s.User, s.Issuer, s.ID = name, r.User.Issuer, r.User.ID
	}
	return r, s
}

// replaces says whether the list takes s.
func (p *panel) replaces(s ledger.Stop) bool {
	old, ok := p.inForce(s.User)
	longer := s.Until.IsZero() && !old.Until.IsZero() || !old.Until.IsZero() && s.Until.After(old.Until)
	return !ok || s.By != ledger.ByWatch || longer
}

func (p *panel) disable(t *rapid.T) {
	r, s := p.draw(t)
	if err := p.ledger.Disable(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if p.replaces(s) {
		p.stops[s.User] = s
	}
}

func (p *panel) enable(t *rapid.T) {
	name := rapid.SampledFrom([]string{"", "ana", "ben"}).Draw(t, "user")
	was, err := p.ledger.Enable(context.Background(), ledger.EnableRequest{User: name, Everything: name == "", By: "cli"})
	if _, want := p.inForce(name); err != nil || was != want {
		t.Fatalf("%q was stopped: %v, %v, want %v", name, was, err, want)
	}
	delete(p.stops, name)
}

func (p *panel) time(t *rapid.T) {
	p.clock.Pass(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour, 30 * time.Hour}).Draw(t, "pass"))
}

func (p *panel) crash(t *rapid.T) {
	if err := p.store.Crash(p.ledger); err != nil {
		t.Fatal(err)
	}
	p.open()
}

func (p *panel) restart(t *rapid.T) {
	if err := p.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	p.open()
}

// fault breaks the disk under a switch. Nobody was told that it turned: it may have
// or not, but the same for everybody, and for good.
func (p *panel) fault(t *rapid.T) {
	store, ok := p.store.(Breakable)
	if !ok {
		t.Skip("no disk")
	}
	r, s := p.draw(t)
	if !p.replaces(s) {
		return // nothing to write
	}
	store.Break(rapid.Bool().Draw(t, "written"))
	if err := p.ledger.Disable(context.Background(), r); err == nil {
		t.Fatal("a switch that could not be written was turned")
	}
	store.Repair()
	if slices.ContainsFunc(p.list(t), func(found ledger.Stop) bool { return sameStop(found, s) }) {
		p.stops[s.User] = s
	}
}

func (p *panel) list(t *rapid.T) []ledger.Stop {
	all, err := p.ledger.Stops(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (p *panel) check(t *rapid.T) {
	var want []ledger.Stop
	for _, name := range slices.Sorted(maps.Keys(p.stops)) {
		if s, ok := p.inForce(name); ok {
			want = append(want, s)
		}
	}
	got := p.list(t)
	slices.SortFunc(got, func(a, b ledger.Stop) int { return strings.Compare(a.User, b.User) })
	if !slices.EqualFunc(got, want, sameStop) {
		t.Fatalf("stopped: %+v, want %+v", got, want)
	}
	for _, name := range []string{"ana", "ben", "eve"} {
		if first, want := statusOf(p.ledger.Stopped(name)), p.status(name); first != want {
			t.Fatalf("%s is stopped with %d, want %d", name, first, want)
		}
	}
	name := rapid.SampledFrom([]string{"ana", "ben", "eve"}).Draw(t, "who reserves")
	p.ids++
	h, err := p.ledger.Reserve(context.Background(), ledger.Request{
		ID: fmt.Sprint(p.ids), User: person(name), Model: "gpt-6-luna", Ceiling: 1, Prices: "1", Caps: uncapped(),
	})
	if err == nil {
		h.Free()
	}
	if want := p.status(name); statusOf(err) != want || (err == nil) != (want == 0) {
		t.Fatalf("%s reserves: %v, want %d", name, err, want)
	}
}

// status is what the list says to somebody: 0 is yes.
func (p *panel) status(name string) int {
	if _, ok := p.inForce(name); ok {
		return http.StatusForbidden
	}
	if _, ok := p.inForce(""); ok {
		return http.StatusServiceUnavailable
	}
	return 0
}

// sameStop compares what can be known: the time is kept in whole seconds, and its
// end in milliseconds.
func sameStop(a, b ledger.Stop) bool {
	near := a.Since.Sub(b.Since).Abs() < time.Second && a.Until.Sub(b.Until).Abs() < time.Millisecond
	a.Since, a.Until = b.Since, b.Until
	return near && a == b
}

func statusOf(err error) int {
	if refusal, ok := errors.AsType[*apierr.Error](err); ok {
		return refusal.Status
	}
	return 0
}
