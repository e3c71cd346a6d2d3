package admin

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"keyshield/internal/ledger"
)

// UsageReport is GET usage, and what `keyshield usage --json` prints.
type UsageReport struct {
	Version string         `json:"version"` // of the program that counted
	Running bool           `json:"running"` // a server runs; else this was read from the file
	At      time.Time      `json:"at"`
	Doubt   bool           `json:"clock_in_doubt"` // the machine's clocks contradict each other: no new day begins
	Day     Account        `json:"day"`
	Month   Account        `json:"month"`
	From    time.Time      `json:"from"` // what the lists below cover, in whole hours
	To      time.Time      `json:"to"`
	ByUser  []Row          `json:"by_user,omitzero"`
	ByModel []Row          `json:"by_model,omitzero"`
	ByHour  []Row          `json:"by_hour,omitzero"`
	Users   []UserStanding `json:"users,omitzero"` // who was asked for
	Stopped []Stop         `json:"stopped"`
}

// The lists there are.
const (
	ByUser  = "user"
	ByModel = "model"
	ByHour  = "hour"
)

// UsageQuery says what to report.
type UsageQuery struct {
	Day   bool          // today; else this month,
	Since time.Duration // or so far back
	By    []string
	User  string // only this one; by id or pseudonym
	Top   int    // rows of each list but the hours'; 0 is all
}

// maxSince is more than the ledger keeps.
const maxSince = 401 * 24 * time.Hour

func (q UsageQuery) values() url.Values {
	v := url.Values{"day": {strconv.FormatBool(q.Day)}, "since": {q.Since.String()}, "top": {strconv.Itoa(q.Top)}}
	if len(q.By) > 0 {
		v["by"] = q.By
	}
	if q.User != "" {
		v.Set("user", q.User)
	}
	return v
}

func parseUsageQuery(v url.Values) (q UsageQuery, err error) {
	r := reading(v, "day", "since", "by", "user", "top")
	q.Day = r.bool("day")
	q.Since = r.duration("since")
	q.Top = r.int("top")
	q.By, q.User = v["by"], r.text("user")
	return q, cmp.Or(r.err, q.Check())
}

// Check says what is wrong with a query.
func (q UsageQuery) Check() error {
	for _, by := range q.By {
		if by != ByUser && by != ByModel && by != ByHour {
			return badRequest("there is no list by %q: say user, model or hour", by)
		}
	}
	switch {
	case q.Since < 0 || q.Since > maxSince:
		return badRequest("%s is not a time to look back: at most %s is kept", q.Since, maxSince)
	case q.Since > 0 && q.Day:
		return badRequest("a day and a time to look back exclude each other")
	case q.Top < 0:
		return badRequest("a list has no fewer than 0 rows")
	}
	return nil
}

// Usage counts what q asks for.
func (d *Desk) Usage(ctx context.Context, q UsageQuery) (UsageReport, error) {
	if err := q.Check(); err != nil {
		return UsageReport{}, err
	}
	all, err := d.Ledger.Standing(ctx, ledger.User{}) // also waits for what has ended, so that the history has it
	if err != nil {
		return UsageReport{}, err
	}
	r := UsageReport{
		Version: d.Version, Running: d.Live != nil, At: now(), Doubt: d.Ledger.InDoubt(),
		Day: accountOf(all.Day, d.Caps.Day), Month: accountOf(all.Month, d.Caps.Month),
	}
	switch {
	case q.Since > 0:
		r.From, r.To = r.At.Add(-q.Since).Truncate(time.Hour), nextHour(r.At)
	case q.Day:
		r.From, r.To = r.Day.Start, r.Day.End
	default:
		r.From, r.To = r.Month.Start, r.Month.End
	}
	users, err := d.lists(ctx, q, &r)
	if err != nil {
		return UsageReport{}, err
	}
	if q.User != "" {
		r.Users = []UserStanding{} // nobody, and not "not asked for"
	}
	for _, u := range users {
		standing, err := d.standing(ctx, u)
		if err != nil {
			return UsageReport{}, err
		}
		r.Users = append(r.Users, standing)
	}
	r.Stopped, err = d.stopped(ctx)
	return r, err
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

func nextHour(t time.Time) time.Time { return t.Truncate(time.Hour).Add(time.Hour) }

func accountOf(b ledger.Balance, c ledger.Cap) Account {
	a := Account{
		Window: b.Window.String(), Start: b.Window.Start(), End: b.Window.End(),
		Used: NanoUSD(b.Used), Open: NanoUSD(b.Open), Seeded: NanoUSD(b.Seeded), Tally: tallyOf(b.Tally),
	}
	if limit, ok := c.Limit(); ok {
		left, _ := b.Left(c)
		a.Cap, a.Left = new(NanoUSD(limit)), new(NanoUSD(left))
	}
	return a
}

// standing is where one user stands.
func (d *Desk) standing(ctx context.Context, u Person) (UserStanding, error) {
	s, err := d.Ledger.Standing(ctx, ledger.User{Key: u.Key})
	return UserStanding{Person: u, Day: accountOf(s.UserDay, ledger.NoCap()), Month: accountOf(s.UserMonth, ledger.NoCap())}, err
}

// lists fills the lists of r, and says who it is about if q names somebody. One
// name can be several people's, of different issuers.
func (d *Desk) lists(ctx context.Context, q UsageQuery, r *UsageReport) (users []Person, err error) {
	found := map[string]Person{}
	groups := map[string]*grouping{}
	for _, by := range q.By {
		groups[by] = newGrouping(by)
	}
	err = d.Ledger.History(ctx, r.From, r.To, func(e ledger.Entry) error {
		person := personOf(e.User)
		if q.User != "" {
			if !person.Is(q.User) {
				return nil
			}
			found[person.Key] = person
		}
		for _, g := range groups {
			g.count(e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for by, g := range groups {
		switch by {
		case ByUser:
			r.ByUser = g.list(q.Top)
		case ByModel:
			r.ByModel = g.list(q.Top)
		case ByHour:
			r.ByHour = g.list(0)
		}
	}
	for _, person := range found {
		users = append(users, person)
	}
	slices.SortFunc(users, func(a, b Person) int { return cmp.Compare(a.Key, b.Key) })
	return users, nil
}
