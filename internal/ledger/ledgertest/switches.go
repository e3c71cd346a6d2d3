package ledgertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/apierr"
	"keyshield/internal/ledger"
)

// disable must succeed. The user is made up of the key alone.
func (b *bench) disable(r ledger.DisableRequest) {
	b.Helper()
	if err := b.ledger.Disable(context.Background(), r); err != nil {
		b.Fatalf("disable %+v: %v", r, err)
	}
}

func (b *bench) enable(r ledger.EnableRequest) (was bool) {
	b.Helper()
	was, err := b.ledger.Enable(context.Background(), r)
	if err != nil {
		b.Fatalf("enable %+v: %v", r, err)
	}
	return was
}

func person(u string) ledger.User { return ledger.User{Key: u, Issuer: "https://id.example", ID: u} }

// stopped must be what a request of u meets first.
func (b *bench) stopped(u string, status int) *apierr.Error {
	b.Helper()
	err := b.ledger.Stopped(u)
	if err == nil && status == 0 {
		return nil
	}
	refusal, ok := errors.AsType[*apierr.Error](err)
	if !ok || refusal.Status != status || refusal.Code != "disabled" {
		b.Fatalf("%s meets %v, want disabled with %d", u, err, status)
	}
	return refusal
}

func (b *bench) stops() []ledger.Stop {
	b.Helper()
	all, err := b.ledger.Stops(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	return all
}

// tells must be the next event.
func (b *bench) tells(want ledger.Event) {
	b.Helper()
	select {
	case got := <-b.told:
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b ledger.Window) bool { return a == b })); diff != "" {
			b.Errorf("told (-want +got):\n%s", diff)
		}
	case <-time.After(20 * time.Second):
		b.Fatalf("nobody was told of %+v", want)
	}
}

func testDisabled(t *testing.T, b *bench) {
	b.stopped("ana", 0)
	b.disable(ledger.DisableRequest{User: person("ana"), By: "cli", Why: "token leaked"})
	b.tells(ledger.Event{Kind: ledger.UserDisabled, User: person("ana"), By: "cli", Why: "token leaked", At: noon})
	for range 2 { // and after a crash
		b.stopped("ana", 403)
		b.stopped("ben", 0)
		if r := b.refused("disabled", "ana", 1, uncapped()); r.Status != 403 {
			t.Errorf("refused with %+v", r)
		}
		b.send("ben", 1, uncapped()).Free()
		want := []ledger.Stop{{User: "ana", Issuer: "https://id.example", ID: "ana", Since: noon, By: "cli", Why: "token leaked"}}
		if diff := cmp.Diff(want, b.stops()); diff != "" {
			t.Errorf("stops (-want +got):\n%s", diff)
		}
		b.crash()
	}
	b.clock.Pass(1000 * 24 * time.Hour)
	b.stopped("ana", 403)
	if b.enable(ledger.EnableRequest{User: "ben", By: "cli"}) {
		t.Error("ben was not stopped")
	}
	if !b.enable(ledger.EnableRequest{User: "ana", By: "admin", Why: "sorry"}) {
		t.Error("ana was stopped")
	}
	b.tells(ledger.Event{Kind: ledger.UserEnabled, User: person("ana"), By: "admin", Why: "sorry", At: noon.Add(1000 * 24 * time.Hour)})
	for range 2 {
		b.stopped("ana", 0)
		b.send("ana", 1, uncapped()).Free()
		if got := b.stops(); len(got) != 0 {
			t.Errorf("still stopped: %+v", got)
		}
		b.crash()
	}
}

func testExpiry(t *testing.T, b *bench) {
	b.disable(ledger.DisableRequest{User: person("ana"), For: time.Hour, By: ledger.ByWatch, Why: "too much"})
	b.tells(ledger.Event{Kind: ledger.UserDisabled, User: person("ana"), By: ledger.ByWatch, Why: "too much", Until: noon.Add(time.Hour), At: noon})
	b.clock.Pass(time.Hour - time.Millisecond)
	b.stopped("ana", 403)
	b.crash()
	b.stopped("ana", 403)
	b.refused("disabled", "ana", 1, uncapped())
	if s := b.stops(); len(s) != 1 || !s[0].Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("stops: %+v, want the end with it", s)
	}
	b.clock.Pass(time.Millisecond)
	b.stopped("ana", 0) // at once, though nobody has cleaned up
	if s := b.stops(); len(s) != 0 {
		t.Errorf("stops: %+v after the end", s)
	}
	b.send("ana", 1, uncapped()).Free()
	b.tells(ledger.Event{Kind: ledger.UserEnabled, User: person("ana"), By: ledger.ByExpiry, Why: "too much", At: noon.Add(time.Hour)})
	b.clock.Set(-30 * time.Minute)
	b.ledger.Observe(noon.Add(30 * time.Minute))
	b.stopped("ana", 0) // what has ended does not come back with a clock
}

func testExpiryJumps(t *testing.T, b *bench) {
	b.clock.Pass(11*time.Hour + 30*time.Minute) // to half past eleven at night
	b.disable(ledger.DisableRequest{User: person("ana"), For: time.Hour, By: "cli"})
	b.clock.Set(5 * time.Hour)
	b.stopped("ana", 403)
	b.refused("disabled", "ana", 1, uncapped())
	b.clock.Pass(time.Hour - time.Second)
	b.stopped("ana", 403)
	b.clock.Pass(time.Second) // by what went by; no new day has begun while the clocks disagree
	b.stopped("ana", 0)
	b.send("ana", 1, uncapped()).Free()
	if day := b.standing("ana").Day.Window; day.String() != "2026-11-21" {
		t.Errorf("the day is %v", day)
	}
}

func testPaused(t *testing.T, b *bench) {
	open := b.send("ana", 10, uncapped())
	unused := b.reserve("ana", 10, uncapped())
	b.disable(ledger.DisableRequest{Everything: true, For: time.Hour, By: "cli", Why: "incident"})
	b.tells(ledger.Event{Kind: ledger.ServiceDisabled, By: "cli", Why: "incident", Until: noon.Add(time.Hour), At: noon})
	b.clock.Pass(15 * time.Minute)
	for _, u := range []string{"ana", "nobody has seen"} {
		for _, r := range []*apierr.Error{b.stopped(u, 503), b.refused("disabled", u, 1, uncapped())} {
			if r.Status != 503 || !r.Final || r.RetryAfter != 45*time.Minute {
				t.Errorf("%s: %+v, want the true wait", u, r)
			}
		}
	}
	b.disable(ledger.DisableRequest{User: person("eve"), By: "cli"})
	b.stopped("eve", 403) // what is about them comes first
	b.settle(open, 3)
	if err := unused.Use(); err != nil {
		t.Errorf("a reservation from before: %v", err)
	}
	unused.Close()
	b.used("ana", 13, 13, 13, 13)
	b.crash()
	b.stopped("ana", 503)
	if !b.enable(ledger.EnableRequest{Everything: true, By: "cli"}) {
		t.Error("everything was stopped")
	}
	b.stopped("ana", 0)
	b.stopped("eve", 403) // a word about everything is none about them
	b.disable(ledger.DisableRequest{Everything: true, By: "cli"})
	b.clock.Pass(1000 * time.Hour)
	if r := b.stopped("ana", 503); !r.Final || r.RetryAfter <= 0 {
		t.Errorf("without an end: %+v, want some wait", r)
	}
}

func testLastWord(t *testing.T, b *bench) {
	short := ledger.DisableRequest{For: time.Hour, By: ledger.ByWatch, Why: "short"}
	long := ledger.DisableRequest{For: 2 * time.Hour, By: ledger.ByWatch, Why: "long"}
	ever := ledger.DisableRequest{By: ledger.ByWatch, Why: "ever"}
	word := ledger.DisableRequest{For: time.Minute, By: "cli", Why: "word"}
	for name, c := range map[string]struct {
		said []ledger.DisableRequest
		want string
	}{
		"the watch makes it longer":        {[]ledger.DisableRequest{short, long}, "long"},
		"for ever is longer":               {[]ledger.DisableRequest{long, ever}, "ever"},
		"and not shorter":                  {[]ledger.DisableRequest{long, short}, "long"},
		"nothing is longer than for ever":  {[]ledger.DisableRequest{ever, long}, "ever"},
		"an operator makes it shorter":     {[]ledger.DisableRequest{ever, word}, "word"},
		"the watch makes a word longer":    {[]ledger.DisableRequest{word, short}, "short"},
		"an operator's latest word counts": {[]ledger.DisableRequest{{By: "cli", Why: "first"}, word}, "word"},
	} {
		for _, everything := range []bool{false, true} {
			for _, r := range c.said {
				if r.Everything = everything; !everything {
					r.User = person("ana")
				}
				b.disable(r)
			}
			if s := b.stops(); len(s) != 1 || s[0].Why != c.want || s[0].Everything != everything {
				t.Errorf("%s: %+v, want %q", name, s, c.want)
			}
			b.enable(ledger.EnableRequest{User: "ana", By: "cli"})
			b.enable(ledger.EnableRequest{Everything: true, By: "cli"})
		}
	}
	b.disable(ledger.DisableRequest{User: person("ana"), For: time.Hour, By: "cli", Why: "word"})
	b.disable(ledger.DisableRequest{User: person("ana"), For: time.Hour, By: ledger.ByWatch, Why: "no longer"})
	if s := b.stops(); s[0].Why != "word" {
		t.Errorf("as long: %+v", s)
	}
	b.clock.Pass(time.Hour) // the first is over: nothing to compare with
	b.disable(ledger.DisableRequest{User: person("ana"), For: time.Minute, By: ledger.ByWatch, Why: "anew"})
	if s := b.stops(); len(s) != 1 || s[0].Why != "anew" {
		t.Errorf("after the end of the first: %+v", s)
	}
}

// testDisableRace: 64 reserve as fast as they can. Who begins after Disable
// returned must be refused.
func testDisableRace(t *testing.T, b *bench) {
	for range 5 {
		var disabled, stop atomic.Bool
		var admitted, late atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			base := b.request("ana", 1, uncapped())
			wg.Go(func() {
				for n := 0; !stop.Load(); n++ {
					r := base
					r.ID += strings.Repeat("+", n%200)
					after := disabled.Load()
					if after && b.ledger.Stopped("ana") == nil {
						t.Error("not stopped after Disable returned")
						return
					}
					h, err := b.ledger.Reserve(context.Background(), r)
					if err == nil {
						admitted.Add(1)
						h.Free()
						if after {
							t.Error("reserved after Disable returned")
							return
						}
					} else if after && late.Add(1) > 256 {
						return
					}
				}
			})
		}
		for admitted.Load() < 200 && !t.Failed() {
			b.standing("ben") // waits for the ledger's turn
		}
		b.disable(ledger.DisableRequest{User: person("ana"), By: "cli"})
		disabled.Store(true)
		wg.Wait()
		stop.Store(true)
		b.enable(ledger.EnableRequest{User: "ana", By: "cli"})
	}
	b.used("ana", 0, 0, 0, 0)
}

func testBadSwitches(t *testing.T, b *bench) {
	long := strings.Repeat("x", 3000)
	for name, r := range map[string]ledger.DisableRequest{
		"nobody":        {By: "cli"},
		"both":          {User: person("ana"), Everything: true, By: "cli"},
		"no pseudonym":  {User: ledger.User{ID: "ana"}, By: "cli"},
		"nobody's word": {User: person("ana")},
		"the past":      {User: person("ana"), By: "cli", For: -1},
		"centuries":     {User: person("ana"), By: "cli", For: 1 << 62},
		"a long reason": {User: person("ana"), By: "cli", Why: long},
		"a long name":   {User: person("ana"), By: long},
		"a long id":     {User: ledger.User{Key: "ana", ID: long}, By: "cli"},
		"a long key":    {User: ledger.User{Key: long}, By: "cli"},
	} {
		if e, ok := errors.AsType[*apierr.Error](b.ledger.Disable(context.Background(), r)); !ok || e.Status != 400 || e.Param == "" {
			t.Errorf("%s: %v, want a refusal that names the field", name, e)
		}
	}
	for name, r := range map[string]ledger.EnableRequest{
		"nothing": {By: "cli"}, "two": {User: "ana", Model: "m", By: "cli"}, "all": {User: "ana", Everything: true, By: "cli"}, "nobody's word": {User: "ana"},
	} {
		if _, err := b.ledger.Enable(context.Background(), r); err == nil {
			t.Errorf("enable %s was accepted", name)
		}
	}
	if s := b.stops(); len(s) != 0 {
		t.Errorf("stopped: %+v", s)
	}
}
