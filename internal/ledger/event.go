package ledger

import (
	"time"

	"keyshield/internal/money"
)

// Event is something an operator wants to know.
type Event struct {
	Kind    EventKind
	Window  Window
	User    User // zero when it is about everything
	Model   string
	Percent int       // of SoftLimit
	Amount  money.USD // spent, what went over the ceiling, or what Seed added
	Limit   money.USD // the cap, or the ceiling
	By, Why string    // of a switch: who turned it, and what for
	Until   time.Time // of a switch: when it turns back by itself; zero: never
	At      time.Time
}

// EventKind says what happened.
type EventKind string

// What Event tells.
const (
	SoftLimit       EventKind = "soft_limit"     // a percentage of a cap is spent; 100: requests are being refused
	Overshoot       EventKind = "overshoot"      // a call cost more than its ceiling
	UserSuspended   EventKind = "user_suspended" // after an overshoot
	ModelStopped    EventKind = "model_stopped"  // after several
	UserDisabled    EventKind = "user_disabled"  // by an operator or the watch
	UserEnabled     EventKind = "user_enabled"   // again; by ByExpiry when the time was up
	ServiceDisabled EventKind = "service_disabled"
	ServiceEnabled  EventKind = "service_enabled"
	Seeded          EventKind = "seeded" // Amount was added to everyone's account of Window
	Unwritable      EventKind = "ledger_unwritable"
	Writable        EventKind = "ledger_writable" // again
)

// Orphan is a call that a dead process left open: nobody knows what became of it,
// and it is charged at its ceiling.
type Orphan struct {
	ID      string // of the request
	User    User
	Model   string
	Ceiling money.USD
	At      time.Time // of the reservation
}
