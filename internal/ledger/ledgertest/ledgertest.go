// Package ledgertest says whether an engine keeps the rules of package ledger:
// the same for one that writes a file and for one behind a network.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
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
	Disable(context.Context, ledger.DisableRequest) error
	Enable(context.Context, ledger.EnableRequest) (bool, error)
	Stopped(userKey string) error
	Stops(context.Context) ([]ledger.Stop, error)
	People(context.Context, ledger.PeopleQuery) ([]ledger.Person, int, error)
	Find(ctx context.Context, name string) ([]ledger.User, error)
	Seed(context.Context, ledger.SeedRequest) error
	Observe(date time.Time)
	InDoubt() bool
	Close() error
}

// Hooks are what an engine is opened with.
type Hooks struct {
	Clock     ledger.Clock
	Event     func(ledger.Event)
	Orphan    func(ledger.Orphan)
	BeforeEnd func() error
}

// Store is where a ledger outlives its process.
type Store interface {
	Open(Hooks) (Ledger, error)
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

		"ADisabledUserIsRefusedUntilEnabled":   testDisabled,
		"ADisableEndsByItself":                 testExpiry,
		"AClockThatJumpsEndsNoDisable":         testExpiryJumps,
		"PausedIsEverybodyAndGivesUpNothing":   testPaused,
		"TheWatchCannotShortenAnOperatorsWord": testLastWord,
		"NobodyReservesOnceDisableReturned":    testDisableRace,
		"ASwitchThatMakesNoSenseIsRefused":     testBadSwitches,
		"OrphansAreToldWithTheirUser":          testOrphans,
		"RecordsGoBeforeEnds":                  testBeforeEnd,

		"PeopleAreThoseOfTheMonth":     testPeople,
		"APersonIsFoundByIDAndKey":     testFind,
		"SeededIsSpentAndShownApart":   testSeed,
		"NoSeedBelowWhatWeCounted":     testSeedLess,
		"SeededOnceHoweverOftenAsked":  testSeedAgain,
		"ASeedOfAnotherDayIsRefused":   testSeedOtherDay,
		"CallsUnderWayComeOnTopOfSeed": testSeedOpen,
	} {
		t.Run(name, func(t *testing.T) {
			store := fresh()
			defer store.Remove()
			b := &bench{T: t, store: store, clock: NewClock(noon), told: make(chan ledger.Event, 1000), orphans: make(chan ledger.Orphan, 1000)}
			b.open()
			test(t, b)
			if err := b.ledger.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("Invariants", func(t *testing.T) { testInvariants(t, fresh) })
	t.Run("Switches", func(t *testing.T) { testSwitches(t, fresh) })
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

	told    chan ledger.Event
	orphans chan ledger.Orphan
	ends    atomic.Int32 // how often BeforeEnd was called
}

func (b *bench) open() {
	b.Helper()
	l, err := b.store.Open(Hooks{
		Clock: b.clock.Read, Event: func(e ledger.Event) { b.told <- e },
		Orphan: func(o ledger.Orphan) { b.orphans <- o }, BeforeEnd: func() error { b.ends.Add(1); return nil },
	})
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
