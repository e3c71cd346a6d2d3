package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// nanoUSD is an amount in nano-dollars, and in JSON a whole number of them: the
// ledger's own unit, so that nothing is lost on the way. 1_000_000_000 is a dollar.
type nanoUSD int64

func (n nanoUSD) String() string { return money.USD(n).String() }

// usageReport is what `keyshield usage --json` prints. Its members keep their
// names and meanings; there may be more of them one day. Amounts are nanoUSD,
// times are UTC.
type usageReport struct {
	Version string        `json:"version"` // of the program that counted
	Running bool          `json:"running"` // a server runs; else this was read from the file
	At      time.Time     `json:"at"`
	Doubt   bool          `json:"clock_in_doubt"` // the machine's clocks contradict each other: no new day begins
	Day     usageAccount  `json:"day"`
	Month   usageAccount  `json:"month"`
	From    time.Time     `json:"from"` // what the lists below cover, in whole hours
	To      time.Time     `json:"to"`
	ByUser  []usageRow    `json:"by_user,omitzero"`
	ByModel []usageRow    `json:"by_model,omitzero"`
	ByHour  []usageRow    `json:"by_hour,omitzero"`
	Users   []usageUser   `json:"users,omitzero"` // who was asked for
	Stopped []stoppedItem `json:"stopped"`
}

// usageAccount is one sum in one window. Used = Proven + AtCeiling + Open.
type usageAccount struct {
	Window string    `json:"window"` // "2026-11-21" or "2026-11"
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Used   nanoUSD   `json:"used_nanousd"`
	Open   nanoUSD   `json:"open_nanousd"` // held by calls under way; part of it comes back
	Cap    *nanoUSD  `json:"cap_nanousd"`  // null: none
	Left   *nanoUSD  `json:"left_nanousd"`
	usageTally
}

// usageTally counts calls that have ended.
type usageTally struct {
	Requests  int64   `json:"requests"`
	Input     int64   `json:"input_tokens"`
	Cached    int64   `json:"cached_tokens"`      // of the input
	Written   int64   `json:"cache_write_tokens"` // of the input
	Output    int64   `json:"output_tokens"`
	Reasoning int64   `json:"reasoning_tokens"` // of the output
	Proven    nanoUSD `json:"proven_nanousd"`
	Unproven  int64   `json:"unproven"` // calls without proof of their cost; their tokens are not known
	AtCeiling nanoUSD `json:"charged_at_ceiling_nanousd"`
}

func tallyOf(t ledger.Tally) usageTally {
	return usageTally{
		Requests: t.Requests, Input: t.Input, Cached: t.Cached, Written: t.Written, Output: t.Output, Reasoning: t.Reasoning,
		Proven: nanoUSD(t.Cost), Unproven: t.Unproven, AtCeiling: nanoUSD(t.AtCeiling),
	}
}

// charged is what the calls came to.
func (t usageTally) charged() nanoUSD { return sum(t.Proven, t.AtCeiling) }

func (t *usageTally) add(more usageTally) {
	t.Requests = sum(t.Requests, more.Requests)
	t.Input = sum(t.Input, more.Input)
	t.Cached = sum(t.Cached, more.Cached)
	t.Written = sum(t.Written, more.Written)
	t.Output = sum(t.Output, more.Output)
	t.Reasoning = sum(t.Reasoning, more.Reasoning)
	t.Proven = sum(t.Proven, more.Proven)
	t.Unproven = sum(t.Unproven, more.Unproven)
	t.AtCeiling = sum(t.AtCeiling, more.AtCeiling)
}

// sum stops at the largest number there is. Neither part is negative.
func sum[N ~int64](a, b N) N {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// usageRow is a line of a list: what it is about, and the calls.
type usageRow struct {
	usagePerson
	Model  string     `json:"model,omitempty"`
	Hour   *time.Time `json:"hour,omitempty"`
	Others int        `json:"others,omitempty"` // this row sums up as many that are not listed
	usageTally
}

// usagePerson is a user, by the name that the token gave.
type usagePerson struct {
	ID     string `json:"user,omitempty"`
	Issuer string `json:"issuer,omitempty"`
	Key    string `json:"user_key,omitempty"` // the pseudonym that OpenAI sees
}

func personOf(u ledger.User) usagePerson { return usagePerson{ID: u.ID, Issuer: u.Issuer, Key: u.Key} }

func (p usagePerson) is(name string) bool { return name == p.ID || name == p.Key }

// usageUser is where one user stands.
type usageUser struct {
	usagePerson
	Day   usageAccount `json:"day"`
	Month usageAccount `json:"month"`
}

// The lists there are.
const (
	byUser  = "user"
	byModel = "model"
	byHour  = "hour"
)

// usageQuery says what to report.
type usageQuery struct {
	Day   bool          // today; else this month,
	Since time.Duration // or so far back
	By    []string
	User  string // only this one; by id or pseudonym
	Top   int    // rows of each list but the hours'; 0 is all
}

// maxSince is more than the ledger keeps.
const maxSince = 401 * 24 * time.Hour

func (q usageQuery) values() url.Values {
	return url.Values{
		"day": {strconv.FormatBool(q.Day)}, "since": {q.Since.String()}, "by": q.By,
		"user": {q.User}, "top": {strconv.Itoa(q.Top)},
	}
}

func parseUsageQuery(v url.Values) (q usageQuery, err error) {
	var errs [3]error
	q.Day, errs[0] = strconv.ParseBool(cmp.Or(v.Get("day"), "false"))
	q.Since, errs[1] = time.ParseDuration(cmp.Or(v.Get("since"), "0s"))
	q.Top, errs[2] = strconv.Atoi(cmp.Or(v.Get("top"), "0"))
	q.By, q.User = v["by"], v.Get("user")
	return q, errors.Join(errors.Join(errs[:]...), q.check())
}

func (q usageQuery) check() error {
	for _, by := range q.By {
		if by != byUser && by != byModel && by != byHour {
			return fmt.Errorf("there is no list by %q: say user, model or hour", by)
		}
	}
	switch {
	case q.Since < 0 || q.Since > maxSince:
		return fmt.Errorf("%s is not a time to look back: at most %s is kept", q.Since, maxSince)
	case q.Since > 0 && q.Day:
		return errors.New("a day and a time to look back exclude each other")
	case q.Top < 0:
		return errors.New("a list has no fewer than 0 rows")
	}
	return nil
}

// usage counts what q asks for.
func (o operator) usage(ctx context.Context, q usageQuery) (usageReport, error) {
	all, err := o.ledger.Standing(ctx, ledger.User{}) // also waits for what has ended, so that the history has it
	if err != nil {
		return usageReport{}, err
	}
	r := usageReport{
		Version: versionText(), At: time.Now().UTC().Truncate(time.Second), Doubt: o.ledger.InDoubt(),
		Day: accountOf(all.Day, o.caps.Day), Month: accountOf(all.Month, o.caps.Month),
	}
	switch {
	case q.Since > 0:
		r.From, r.To = r.At.Add(-q.Since).Truncate(time.Hour), r.At.Truncate(time.Hour).Add(time.Hour)
	case q.Day:
		r.From, r.To = r.Day.Start, r.Day.End
	default:
		r.From, r.To = r.Month.Start, r.Month.End
	}
	users, err := o.lists(ctx, q, &r)
	if err != nil {
		return usageReport{}, err
	}
	if q.User != "" {
		r.Users = []usageUser{} // nobody, and not "not asked for"
	}
	for _, u := range users {
		s, err := o.ledger.Standing(ctx, ledger.User{Key: u.Key})
		if err != nil {
			return usageReport{}, err
		}
		// The caps of a user are those of the plan that each token names.
		r.Users = append(r.Users, usageUser{u, accountOf(s.UserDay, ledger.NoCap()), accountOf(s.UserMonth, ledger.NoCap())})
	}
	r.Stopped, err = o.stopped(ctx)
	return r, err
}

func accountOf(b ledger.Balance, c ledger.Cap) usageAccount {
	a := usageAccount{
		Window: b.Window.String(), Start: b.Window.Start(), End: b.Window.End(),
		Used: nanoUSD(b.Used), Open: nanoUSD(b.Open), usageTally: tallyOf(b.Tally),
	}
	if limit, ok := c.Limit(); ok {
		left, _ := b.Left(c)
		a.Cap, a.Left = new(nanoUSD(limit)), new(nanoUSD(left))
	}
	return a
}

// lists fills the lists of r, and says who it is about if q names somebody. One
// name can be several people's, of different issuers.
func (o operator) lists(ctx context.Context, q usageQuery, r *usageReport) (users []usagePerson, err error) {
	found := map[string]usagePerson{}
	groups := map[string]*grouping{}
	for _, by := range q.By {
		groups[by] = &grouping{by: by, rows: map[string]*usageRow{}}
	}
	err = o.ledger.History(ctx, r.From, r.To, func(e ledger.Entry) error {
		person := personOf(e.User)
		if q.User != "" {
			if !person.is(q.User) {
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
		case byUser:
			r.ByUser = g.list(q.Top)
		case byModel:
			r.ByModel = g.list(q.Top)
		case byHour:
			r.ByHour = g.list(0)
		}
	}
	for _, person := range found {
		users = append(users, person)
	}
	slices.SortFunc(users, func(a, b usagePerson) int { return cmp.Compare(a.Key, b.Key) })
	return users, nil
}

// maxGroups bounds the memory of one report. Those who come later are counted
// together.
const maxGroups = 100_000

// grouping makes a list.
type grouping struct {
	by     string
	rows   map[string]*usageRow
	others usageRow
}

func (g *grouping) count(e ledger.Entry) {
	name := e.Model
	switch g.by {
	case byUser:
		name = e.User.Key
	case byHour:
		name = e.Hour.Format(time.RFC3339)
	}
	row := g.rows[name]
	if row == nil {
		if len(g.rows) == maxGroups {
			row = &g.others // whom it sums up is not counted: it may be one of them again
			row.Others = max(row.Others, 1)
		} else {
			row = g.fresh(e)
			g.rows[name] = row
		}
	}
	row.add(tallyOf(e.Tally))
}

func (g *grouping) fresh(e ledger.Entry) *usageRow {
	switch g.by {
	case byUser:
		return &usageRow{usagePerson: personOf(e.User)}
	case byHour:
		return &usageRow{Hour: &e.Hour}
	}
	return &usageRow{Model: e.Model}
}

// list is hours in their order, else the dearest first, and the rest in one row.
func (g *grouping) list(top int) []usageRow {
	all := make([]usageRow, 0, len(g.rows))
	for _, row := range g.rows {
		all = append(all, *row)
	}
	slices.SortFunc(all, func(a, b usageRow) int {
		if g.by == byHour {
			return a.Hour.Compare(*b.Hour)
		}
		return cmp.Or(cmp.Compare(b.charged(), a.charged()), cmp.Compare(b.Requests, a.Requests),
			strings.Compare(a.Model, b.Model), strings.Compare(a.ID, b.ID), strings.Compare(a.Key, b.Key))
	})
	others := g.others
	if top > 0 && len(all) > top {
		for _, row := range all[top:] {
			others.add(row.usageTally)
			others.Others++
		}
		all = all[:top]
	}
	if others.Others > 0 {
		all = append(all, others)
	}
	return all
}
