package metrics

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"keyshield/internal/money"
)

// Sources are asked once per scrape. A nil one has no series.
type Sources struct {
	Books func(context.Context) (Books, error) // asks the ledger, which may have to wait
	State func() State                         // everything that can be read at once
}

// Books is what the ledger says of everyone together.
type Books struct {
	Day, Month Account
	Holds      int // reservations under way
	Stopped    Stopped
}

// Account is one window. Open, what is held for calls under way, is a part of
// Used.
type Account struct {
	Cap        money.USD // negative: none, and then there is no series for it nor for what is left
	Used, Open money.USD
}

// State is everything else that is simply so.
type State struct {
	InFlight, Streams int
	Limiters          []Limiter
	Breaker           Breaker
	Keys              []Key

	Ledger, Audit           error // nil: it works
	AuditRecords, AuditLost int64 // since the start

	Receivers []Receiver
}

// Limiter is one table of keys; they have few names, all of them ours.
type Limiter struct {
	Name string
	Keys int
}

// Breaker is the state of the circuit breaker before OpenAI.
type Breaker int

// The states of a breaker, in gobreaker's order.
const (
	Closed Breaker = iota
	HalfOpen
	Open
)

// Key is one of OpenAI's keys, known by its fingerprint only.
type Key struct {
	Fingerprint, Source string
	State               string    // active, standby or quarantined
	Since               time.Time // zero: not known
}

// active is the state of a key under which calls leave.
const active = "active"

// Receiver is where alerts are sent, and what became of them since the start.
type Receiver struct {
	Name                       string
	Delivered, Failed, Dropped int64
}

// Stopped counts the switches that are thrown.
type Stopped struct {
	Users, Models int
	Everything    bool
}

// patience is how long a scrape waits for its sources. Prometheus waits ten
// seconds by default; a store that takes one is worth hearing of, not waiting for.
const patience = 700 * time.Millisecond

// source is one of Sources. Only one call of it is under way at any time: a stuck
// store must not collect a goroutine per scrape.
type source[T any] struct {
	read func(context.Context) (T, error)
	log  *slog.Logger
	turn chan struct{} // holds something while a call is under way
}

func newSource[T any](read func(context.Context) (T, error), log *slog.Logger) *source[T] {
	return &source[T]{read: read, log: log, turn: make(chan struct{}, 1)}
}

// ask reports false when there is no answer before ctx ends. Then the call is left
// behind: nobody can make it come back, and the next scrape waits for its turn.
func (s *source[T]) ask(ctx context.Context) (answer T, ok bool) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return answer, false
	}
	answers := make(chan T, 1)
	go func() {
		defer func() { <-s.turn }()
		defer close(answers)
		defer s.survive()
		if a, err := s.read(ctx); err == nil { // the health of the store says why not
			answers <- a
		}
	}()
	select {
	case answer, ok = <-answers:
	case <-ctx.Done():
	}
	return answer, ok
}

// survive keeps a bug in what is only looked at from ending the server.
func (s *source[T]) survive() {
	if p := recover(); p != nil {
		s.log.Error("metrics: panic", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	}
}
