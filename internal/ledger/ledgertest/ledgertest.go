// Package ledgertest says whether an engine keeps the rules of package ledger:
// the same for one that writes a file and for one behind a network.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// Ledger is what engines have in common.
type Ledger interface {
	Reserve(context.Context, ledger.Request) (*ledger.Hold, error)
	Flush(context.Context) error
	Standing(context.Context, ledger.User) (ledger.Standing, error)
	Observe(date time.Time)
	InDoubt() bool
	Close() error
}

// Store is where a ledger outlives its process.
type Store interface {
	Open(ledger.Clock) (Ledger, error)
	Crash(Ledger) error // ends it without a word: what was not acknowledged may be lost
	Remove()
}

// Breakable is a Store whose disk can fail. Broken, what it is asked to write gets
// there or not; but nobody is told that it did.
type Breakable interface {
	Break(written bool)
	Repair() // returns when the ledger writes again
}

// Run holds an engine against all of the rules. fresh makes an empty Store.
func Run(t *testing.T, fresh func() Store) {
	for name, test := range map[string]func(*testing.T, *bench){
		"ACapForNAdmitsN":                  testExactlyN,
		"ConcurrentReservesNeverPassACap":  testConcurrent,
		"EveryAccountIsChargedOrNone":      testAllOrNone,
		"BusyIsNotExhausted":               testBusy,
		"ExhaustedNamesTheWindow":          testExhausted,
		"SettledOnceIntoItsOwnDay":         testOwnDay,
		"UnusedIsFreeUsedIsNot":            testClose,
		"ACrashKeepsTheCharge":             testCrash,
		"ALoweredCapBindsNewRequestsOnly":  testLowered,
		"AnOvershootIsRecordedInFull":      testOvershoot,
		"AClockThatJumpsSpendsNothingNew":  testJumps,
		"AWindowIsSpentOnceWhateverClocks": testBackAndForth,
		"NoProofNoRefund":                  testNoProof,
	} {
		t.Run(name, func(t *testing.T) {
			store := fresh()
			defer store.Remove()
			b := &bench{T: t, store: store, clock: NewClock(noon)}
			b.open()
			test(t, b)
			if err := b.ledger.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("Invariants", func(t *testing.T) { testInvariants(t, fresh) })
}

// noon is a Saturday in the middle of a month.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// bench is one ledger under test.
type bench struct {
	*testing.T
	store  Store
	clock  *Clock
	ledger Ledger
	ids    int
}

func (b *bench) open() {
	b.Helper()
	l, err := b.store.Open(b.clock.Read)
	if err != nil {
		b.Fatal(err)
	}
	b.ledger = l
}

func (b *bench) crash() {
	b.Helper()
	if err := b.store.Crash(b.ledger); err != nil {
		b.Fatal(err)
	}
	b.open()
}

func (b *bench) request(u string, ceiling money.USD, caps ledger.Caps) ledger.Request {
	b.ids++
	return ledger.Request{
		ID: fmt.Sprint("request-", b.ids), User: ledger.User{Key: u, Issuer: "https://id.example", ID: u},
		Model: "gpt-6-luna", Ceiling: ceiling, Prices: "2026-11-21", Caps: caps,
	}
}

// reserve must succeed.
func (b *bench) reserve(u string, ceiling money.USD, caps ledger.Caps) *ledger.Hold {
	b.Helper()
	h, err := b.ledger.Reserve(context.Background(), b.request(u, ceiling, caps))
	if err != nil {
		b.Fatalf("reserve %v for %s: %v", ceiling, u, err)
	}
	return h
}

// send reserves and uses.
func (b *bench) send(u string, ceiling money.USD, caps ledger.Caps) *ledger.Hold {
	b.Helper()
	h := b.reserve(u, ceiling, caps)
	if err := h.Use(); err != nil {
		b.Fatal(err)
	}
	return h
}

// refused must be refused with that code.
func (b *bench) refused(want, u string, ceiling money.USD, caps ledger.Caps) *apierr.Error {
	b.Helper()
	h, err := b.ledger.Reserve(context.Background(), b.request(u, ceiling, caps))
	if err == nil {
		h.Close()
		b.Fatalf("a charge of %v for %s was accepted, want %s", ceiling, u, want)
	}
	refusal, ok := errors.AsType[*apierr.Error](err)
	if !ok || refusal.Code != want {
		b.Fatalf("a charge of %v for %s: %v, want %s", ceiling, u, err, want)
	}
	return refusal
}

func (b *bench) settle(h *ledger.Hold, cost money.USD) {
	b.Helper()
	if err := h.Settle(ledger.Usage{Input: 10, Output: 5, Cost: cost}); err != nil {
		b.Fatal(err)
	}
}

// standing is where u stands once everything before is written.
func (b *bench) standing(u string) ledger.Standing {
	b.Helper()
	s, err := b.ledger.Standing(context.Background(), ledger.User{Key: u})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// used must be the sums of u's four accounts.
func (b *bench) used(u string, day, month, userDay, userMonth money.USD) {
	b.Helper()
	s := b.standing(u)
	got := [4]money.USD{s.Day.Used, s.Month.Used, s.UserDay.Used, s.UserMonth.Used}
	if want := [4]money.USD{day, month, userDay, userMonth}; got != want {
		b.Errorf("used, of everything and of %s, day and month: %v, want %v", u, got, want)
	}
}

// daily are caps of which only the day's is set.
func daily(limit money.USD) ledger.Caps {
	c := uncapped()
	c.Day = ledger.UpTo(limit)
	return c
}

func uncapped() ledger.Caps {
	return ledger.Caps{Day: ledger.NoCap(), Month: ledger.NoCap(), UserDay: ledger.NoCap(), UserMonth: ledger.NoCap()}
}
