package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyshield/internal/audit"
	"keyshield/internal/ledger"
)

const (
	usualPage = 50
	// detailDays is how far the hours of one user go back, and detailRecords how many
	// of his last records are shown with them.
	detailDays    = 7
	detailRecords = 50
)

// orders are those that a list of users can have.
func orders() []string {
	return []string{
		string(ledger.SortUsedDay), string(ledger.SortUsedMonth), string(ledger.SortRequestsDay), string(ledger.SortRequestsMonth), string(ledger.SortID),
	}
}

func (q UsersQuery) values() url.Values {
	return url.Values{
		"search": {q.Search}, "sort": {q.Sort}, "desc": {strconv.FormatBool(q.Desc)},
		"offset": {strconv.Itoa(q.Offset)}, "limit": {strconv.Itoa(q.Limit)},
	}
}

func parseUsersQuery(v url.Values) (UsersQuery, error) {
	r := reading(v, "search", "sort", "desc", "offset", "limit")
	q := UsersQuery{Search: r.text("search"), Sort: r.text("sort"), Desc: r.bool("desc"), Offset: r.int("offset"), Limit: r.int("limit")}
	if r.text("desc") == "" {
		q.Desc = q.Sort != string(ledger.SortID) // of amounts the most is asked for, of names the first
	}
	return q, cmp.Or(r.err, q.Check())
}

// Check says what is wrong with a query.
func (q UsersQuery) Check() error {
	switch {
	case q.Sort != "" && !slices.Contains(orders(), q.Sort):
		return badRequest("users are not sorted by %q: say %s", q.Sort, strings.Join(orders(), ", "))
	case q.Offset < 0 || q.Limit < 0 || q.Limit > ledger.MaxPeople:
		return badRequest("a page has from 1 to %d users, and begins at 0 or later", ledger.MaxPeople)
	}
	return nil
}

// Users lists those who asked something in the current day or month.
func (d *Desk) Users(ctx context.Context, q UsersQuery) (UserList, error) {
	if err := q.Check(); err != nil {
		return UserList{}, err
	}
	page, total, err := d.Ledger.People(ctx, ledger.PeopleQuery{
		Search: q.Search, Sort: ledger.Sort(q.Sort), Desc: q.Desc, Offset: q.Offset, Limit: cmp.Or(q.Limit, usualPage),
	})
	if err != nil {
		return UserList{}, err
	}
	list := UserList{Total: total, Offset: q.Offset, Users: make([]UserStanding, 0, len(page))}
	for _, p := range page {
		u := UserStanding{Person: personOf(p.User), Day: accountOf(p.Day, ledger.NoCap()), Month: accountOf(p.Month, ledger.NoCap())}
		if p.Stopped != nil {
			u.Stop = new(stopOf(*p.Stopped))
		}
		list.Users = append(list.Users, u)
	}
	return list, nil
}

// User is what is known of one, by pseudonym or id.
func (d *Desk) User(ctx context.Context, name string) (UserDetail, error) {
	found, err := d.find(ctx, name, "")
	switch {
	case err != nil:
		return UserDetail{}, err
	case len(found) == 0:
		return UserDetail{}, refusal(http.StatusNotFound, "no_such_user", "nobody called %q has asked anything here: look at the users there are", name)
	case len(found) > 1:
		return UserDetail{}, several(name, found)
	}
	u := UserDetail{To: nextHour(now()), Records: []audit.Record{}}
	u.From = u.To.AddDate(0, 0, -detailDays)
	if u.UserStanding, err = d.standing(ctx, found[0]); err != nil {
		return UserDetail{}, err
	}
	stopped, err := d.stopped(ctx)
	if err != nil {
		return UserDetail{}, err
	}
	for _, s := range stopped {
		if s.Key == u.Key {
			u.Stop = &s
		}
	}
	if err := d.past(ctx, &u); err != nil {
		return UserDetail{}, err
	}
	page, err := d.Audit(ctx, AuditQuery{User: u.Key, Limit: detailRecords})
	if told, ok := errors.AsType[*Refusal](err); ok && told.Code == "no_audit_log" {
		return u, nil
	}
	u.Records = page.Records
	return u, err
}

// several asks back which of them is meant.
func several(name string, found []Person) *Refusal {
	var all []string
	for _, p := range found {
		issuer := "tokens without an issuer"
		if p.Issuer != "" {
			issuer = strconv.Quote(p.Issuer)
		}
		all = append(all, p.Key+" (of "+issuer+")")
	}
	told := refusal(http.StatusConflict, "several_users", "%q is the name of several: ask for one by pseudonym: %s", name, strings.Join(all, ", "))
	told.Several = found
	return told
}

// past fills the lists of the last days.
func (d *Desk) past(ctx context.Context, u *UserDetail) error {
	hours, models := newGrouping(ByHour), newGrouping(ByModel)
	err := d.Ledger.History(ctx, u.From, u.To, func(e ledger.Entry) error {
		if e.User.Key == u.Key {
			hours.count(e)
			models.count(e)
		}
		return nil
	})
	u.ByHour, u.ByModel = hours.list(0), models.list(0)
	return err
}

// NoIssuer is what an operator says for tokens without an iss.
const NoIssuer = "none"

// issuedBy says whether p is a user of the issuer that an operator named, if any.
func (p Person) issuedBy(issuer string) bool {
	return issuer == "" || p.Issuer == issuer || issuer == NoIssuer && p.Issuer == ""
}

// find lists the users of a name: their id or pseudonym, and whose they are if
// issuer is said. Whose pseudonym it is goes before whoever chose it for an id.
func (d *Desk) find(ctx context.Context, name, issuer string) ([]Person, error) {
	users, err := d.Ledger.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	var all []Person
	for _, u := range users {
		p := personOf(u)
		if !p.issuedBy(issuer) {
			continue
		}
		if p.Key == name {
			return []Person{p}, nil
		}
		all = append(all, p)
	}
	return all, nil
}

// timeOrNone is nil for no time.
func timeOrNone(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}
