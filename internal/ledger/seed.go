package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyshield/internal/money"
)

// SeedRequest is what the provider's own books say that everybody spent. They come
// late and know nothing of users: a lower bound.
type SeedRequest struct {
	At    time.Time // when they were read: Month is of this month in UTC, Day of this day
	Month money.USD
	Day   money.USD // a part of Month; 0 if it is not known
	By    string
}

// ErrCountedMore is what Seed wraps when the ledger knows of more than the
// provider's books.
var ErrCountedMore = errors.New("the ledger has counted more than the provider's books")

func (r SeedRequest) check() error {
	switch {
	case r.Month < 0 || r.Month > money.Max:
		return invalid("month", "The month's costs lie between $0 and %v.", money.Max)
	case r.Day < 0 || r.Day > r.Month:
		return invalid("day", "The day's costs are a part of the month's: between $0 and %v.", r.Month)
	}
	return checkReason(r.By, "")
}

// Seed raises what is spent of everything's month to r.Month, and of its day to
// r.Day where that is more: for a ledger that was lost, or began after others had
// used the key. What is added counts for the caps, is no call of any user, and is
// not given back. Calls under way count on top. Asked twice, it does nothing more.
func (l *Ledger) Seed(ctx context.Context, r SeedRequest) error {
	if err := r.check(); err != nil {
		return err
	}
	return l.look(ctx, func(b *batch) error { return b.seed(r) })
}

func (b *batch) seed(r SeedRequest) error {
	if on := dayOf(r.At); on != b.day {
		return invalid("at", "These books are of %s, and the ledger is at %s: read them again.", on.day(), b.day.day())
	}
	day, err := b.account(accountKey{b.day.day(), ""})
	if err != nil {
		return err
	}
	month, err := b.account(accountKey{b.day.month(), ""})
	if err != nil {
		return err
	}
	if month.spent() > r.Month {
		return fmt.Errorf("%w: %v of %v in %v", ErrCountedMore, month.spent(), r.Month, month.key.window)
	}
	for _, to := range []struct {
		account *account
		amount  money.USD
	}{{day, r.Day}, {month, r.Month}} {
		if more := to.amount - to.account.spent(); more > 0 {
			to.account.seed(more)
			b.touch(to.account)
			b.events = append(b.events, Event{Kind: Seeded, Window: to.account.key.window, Amount: more, By: r.By, At: b.at})
		}
	}
	return nil
}

// seed charges what others spent.
func (a *account) seed(amount money.USD) {
	a.used += amount
	a.seeded += amount
}
