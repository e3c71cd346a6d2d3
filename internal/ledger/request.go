package ledger

import (
	"fmt"

	"keyshield/internal/money"
)

// User is who pays. Key is the pseudonym under which the accounts are kept;
// issuer and id are stored once, for the operator.
type User struct{ Key, Issuer, ID string }

// Cap is the most that may be charged to an account in one window. The zero Cap
// allows nothing.
type Cap struct {
	limit money.USD
	none  bool
}

// UpTo is a cap of limit.
func UpTo(limit money.USD) Cap { return Cap{limit: limit} }

// NoCap counts without refusing.
func NoCap() Cap { return Cap{none: true} }

// Limit is the amount of the cap, or false if there is none.
func (c Cap) Limit() (money.USD, bool) { return c.limit, !c.none }

// allows says whether used more than nothing stays within the cap.
func (c Cap) allows(used money.USD) bool { return c.none || used <= c.limit }

// Caps are the caps of one request's accounts.
type Caps struct{ Day, Month, UserDay, UserMonth Cap }

// ordered is in the order of accountsOf.
func (c Caps) ordered() [4]Cap { return [4]Cap{c.Day, c.Month, c.UserDay, c.UserMonth} }

// Request is what a call may cost, and to whom.
type Request struct {
	ID      string // ours, never used twice
	User    User
	Model   string
	Ceiling money.USD // the most that the call can cost
	Prices  string    // the version of the table that Ceiling comes from
	Caps    Caps
}

// maxText bounds what is kept of a request. Longer is a bug of ours: every text
// was bounded when it came in.
const maxText = 256

func (r Request) check() error {
	for _, field := range [...]struct{ name, text string }{
		{"id", r.ID}, {"user", r.User.Key}, {"model", r.Model}, {"price version", r.Prices},
	} {
		if field.text == "" || len(field.text) > maxText {
			return fmt.Errorf("reserve: a %s of %d bytes", field.name, len(field.text))
		}
	}
	if len(r.User.Issuer) > 8*maxText || len(r.User.ID) > 8*maxText {
		return fmt.Errorf("reserve: a user id of %d and %d bytes", len(r.User.Issuer), len(r.User.ID))
	}
	if r.Ceiling < 0 || r.Ceiling > money.Max {
		return fmt.Errorf("reserve: a ceiling of %v", r.Ceiling)
	}
	return nil
}

// Usage is the proof of what a call cost. Cached and Written are parts of Input,
// Reasoning is a part of Output.
type Usage struct {
	Input, Cached, Written int64
	Output, Reasoning      int64
	Cost                   money.USD
}

// Proves is false for what cannot be, and for a cost that no call has: adding it
// up could overflow.
func (u Usage) Proves() bool {
	return min(u.Input, u.Cached, u.Written, u.Output, u.Reasoning, int64(u.Cost)) >= 0 && u.Cost <= money.Max
}

// Tally is what ended calls amount to. Unproven calls are charged at their
// ceiling; their tokens are not known.
type Tally struct {
	Requests               int64
	Input, Cached, Written int64
	Output, Reasoning      int64
	Cost                   money.USD // proven
	Unproven               int64
	AtCeiling              money.USD // charged for the unproven
}

// add counts one call, or many. Counts stop at the largest number there is.
func (t *Tally) add(more Tally) {
	for _, pair := range [...]struct {
		sum  *int64
		more int64
	}{
		{&t.Requests, more.Requests}, {&t.Input, more.Input}, {&t.Cached, more.Cached}, {&t.Written, more.Written},
		{&t.Output, more.Output}, {&t.Reasoning, more.Reasoning}, {&t.Unproven, more.Unproven},
		{(*int64)(&t.Cost), int64(more.Cost)}, {(*int64)(&t.AtCeiling), int64(more.AtCeiling)},
	} {
		if *pair.sum += pair.more; *pair.sum < 0 {
			*pair.sum = 1<<63 - 1
		}
	}
}

// Balance is one account in one window. Used = Cost + AtCeiling + Open + Seeded.
type Balance struct {
	Window Window
	Used   money.USD
	Open   money.USD // held by calls under way; part of it will come back
	Seeded money.USD // from the provider's own books: spent, by calls not counted here
	Tally
}

// Left is what a cap leaves, or false if there is no cap.
func (b Balance) Left(c Cap) (money.USD, bool) {
	if c.none {
		return 0, false
	}
	return max(0, c.limit-b.Used), true
}

// Standing is the state of a user's four accounts.
type Standing struct{ Day, Month, UserDay, UserMonth Balance }

// balances is in the order of accountsOf.
func (s *Standing) balances() [4]*Balance {
	return [4]*Balance{&s.Day, &s.Month, &s.UserDay, &s.UserMonth}
}
