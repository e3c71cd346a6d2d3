package ledger

import (
	"context"

	"go.etcd.io/bbolt"
)

// Person is a user and what the current windows say of them.
type Person struct {
	User       User
	Day, Month Balance
	Stopped    *Stop // nil: not stopped
}

// Sort is an order of People.
type Sort string

// The orders of People. The zero Sort is SortUsedMonth.
const (
	SortUsedDay       Sort = "used_day"
	SortUsedMonth     Sort = "used_month"
	SortRequestsDay   Sort = "requests_day"
	SortRequestsMonth Sort = "requests_month"
	SortID            Sort = "id"
)

// PeopleQuery asks for a page of those who have an account in the current month.
type PeopleQuery struct {
	Search string // a part of an id in any case, or how a pseudonym begins; "" is everybody
	Sort   Sort
	Desc   bool
	Offset int
	Limit  int // of this page: 0 to MaxPeople
}

// MaxPeople is the longest page.
const MaxPeople = 1000

const maxOffset = 1_000_000_000

func (q PeopleQuery) check() error {
	switch {
	case q.Offset < 0 || q.Offset > maxOffset:
		return invalid("offset", "A page begins at 0 to %d.", maxOffset)
	case q.Limit < 0 || q.Limit > MaxPeople:
		return invalid("limit", "A page has at most %d rows.", MaxPeople)
	}
	switch q.Sort {
	case SortUsedDay, SortUsedMonth, SortRequestsDay, SortRequestsMonth, SortID, "":
		return nil
	}
	return invalid("sort", "People are sorted by used_day, used_month, requests_day, requests_month or id.")
}

// People is a page, and the number of people on all pages. It reads what is
// committed, a piece at a time, and keeps nobody from writing. What a dead process
// held counts as open here until it is swept, moments after a start.
func (l *Ledger) People(ctx context.Context, q PeopleQuery) (page []Person, total int, err error) {
	if err := q.check(); err != nil {
		return nil, 0, err
	}
	var today day
	var stops []Stop
	err = l.look(ctx, func(b *batch) error {
		today, stops = b.day, b.stopsInForce()
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	g := newGathering(today, q)
	for next := g.prefix; next != nil; {
		err := l.read(ctx, func(tx *bbolt.Tx) (err error) {
			next, err = g.read(tx, next)
			return err
		})
		if err != nil {
			return nil, 0, err
		}
	}
	page, err = l.persons(g.page(), today, stops)
	return page, g.total, err
}

// read runs f in a short transaction of its own.
func (l *Ledger) read(ctx context.Context, f func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.store.view(f)
}

// persons reads all there is to know of those on the page.
func (l *Ledger) persons(some []someone, today day, stops []Stop) ([]Person, error) {
	stopped := map[string]*Stop{}
	for i := range stops {
		if stops[i].User != "" {
			stopped[stops[i].User] = &stops[i]
		}
	}
	page := make([]Person, 0, len(some))
	err := l.store.view(func(tx *bbolt.Tx) error {
		for _, s := range some {
			p := Person{User: nameOf(tx, s.key), Stopped: stopped[s.key]}
			for window, b := range map[Window]*Balance{today.day(): &p.Day, today.month(): &p.Month} {
				b.Window = window
				row := tx.Bucket(bucketCharge).Get(accountKey{window, s.key}.append(nil))
				if row == nil {
					continue
				}
				a, err := decodeAccount(row)
				if err != nil {
					return err
				}
				a.live = a.open
				*b = a.balance(window)
			}
			page = append(page, p)
		}
		return nil
	})
	return page, err
}
