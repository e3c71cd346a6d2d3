package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/money"
	"keyshield/internal/reconcile"
)

// compare finds out whether OpenAI has billed what did not go through here, and
// tells the server, which tells the alerts.
func (c *comparing) compare(ctx context.Context, d desk, w io.Writer) (int, error) {
	r, seeded, err := c.bothBooks(ctx, d, time.Now().UTC())
	if err != nil {
		return exitFailed, err
	}
	told, err := d.Reconcile(ctx, c.report(r))
	informed := runs(d)
	if err != nil {
		return exitFailed, fmt.Errorf("compared, but the server does not take the result: %w", err)
	}
	stands, err := standing(ctx, d, told)
	if err != nil {
		return exitFailed, err
	}
	if c.json {
		err = printJSON(w, comparison{told, informed, stands})
	} else {
		err = c.show(w, r, informed, seeded, stands)
	}
	if err != nil {
		return exitFailed, err
	}
	if r.Elsewhere > 0 {
		return exitElsewhere, nil
	}
	return exitOK, nil
}

// exitElsewhere is for who runs this by the clock: it is no failure to compare.
const exitElsewhere = 3

// bothBooks reads OpenAI's books and ours, and holds them against each other. seeded is
// up to when they cannot be compared; zero: they can.
func (c *comparing) bothBooks(ctx context.Context, d desk, now time.Time) (r reconcile.Result, seeded time.Time, err error) {
	first := now.Truncate(aDay).AddDate(0, 0, 1-c.days)
	seeded, err = lastMonthsSeed(ctx, d, first, monthOf(now))
	if err != nil {
		return r, seeded, err
	}
	if !seeded.IsZero() {
		first = seeded.Truncate(aDay).AddDate(0, 0, 1)
	}
	c.first = first
	begin := first // what was seeded this month is laid over its days from the first on
	if month := monthOf(now); month.Before(begin) {
		begin = month
	}
	// Theirs first: a call that comes in between then counts for us, and not against.
	theirs, err := c.books.Costs(ctx, begin)
	if err != nil {
		return r, seeded, err
	}
	eve := first.Add(-aDay)
	if begin.Before(eve) {
		eve = begin
	}
	ours, err := c.ours(ctx, d, eve, theirs)
	if err != nil {
		return r, seeded, err
	}
	r = c.compared(first, theirs, ours)
	r.At, r.Project = now.Truncate(time.Second), c.books.Project
	// OpenAI has empty books of a project that is mistyped, too, and ours are always
	// more than those.
	if nothingBilled(theirs) && r.Ours > c.tolerance.Amount {
		err = fmt.Errorf("OpenAI has billed nothing in project %q since %s, though %s went through here: is it the project of the key (--project, OPENAI_PROJECT)? If it is, OpenAI's books are late by hours: compare again tomorrow. Nothing was compared", r.Project, first.Format(time.DateOnly), r.Ours)
	}
	return r, seeded, err
}

func nothingBilled(theirs []reconcile.Day) bool {
	return !slices.ContainsFunc(theirs, func(d reconcile.Day) bool { return d.Amount != 0 })
}

// standing is what was found before and is not taken back by what the server was told
// now; nil: nothing.
func standing(ctx context.Context, d desk, told admin.ReconcileSummary) (*admin.ReconcileSummary, error) {
	if told.Verdict != admin.Agrees {
		return nil, nil
	}
	before, err := d.LastReconcile(ctx)
	if err != nil {
		return nil, fmt.Errorf("they agree, but whether something found before still stands cannot be read: %w", err)
	}
	if before.Last == nil || before.Last.Verdict != admin.KeyUsedElsewhere {
		return nil, nil
	}
	return before.Last, nil
}

// compared holds the days from first on against each other. Of ours the last hour
// before them counts, too: calls that were under way at that midnight are billed on
// the first day.
func (c *comparing) compared(first time.Time, theirs []reconcile.Day, ours []reconcile.Charged) reconcile.Result {
	eve := reconcile.Charged{Start: first.Add(-aDay)}
	for _, one := range ours {
		if one.Start.Equal(eve.Start) {
			eve.Amount, eve.LastHour = one.LastHour, one.LastHour
		}
	}
	days := append([]reconcile.Charged{eve}, since(first, ours, startOfCharged)...)
	r := reconcile.Compare(since(first, theirs, startOfDay), days, c.tolerance)
	r.Days, r.Ours = r.Days[1:], r.Ours-eve.Amount
	return r
}

// comparison is what `keyshield reconcile --json` prints.
type comparison struct {
	admin.ReconcileSummary
	Told     bool                    `json:"told"`               // the server knows, and its alerts
	Standing *admin.ReconcileSummary `json:"standing,omitempty"` // found before, and not taken back by this
}

func startOfDay(d reconcile.Day) time.Time         { return d.Start }
func startOfCharged(c reconcile.Charged) time.Time { return c.Start }

// since leaves out what is earlier.
func since[T any](first time.Time, all []T, start func(T) time.Time) (later []T) {
	for _, one := range all {
		if !start(one).Before(first) {
			later = append(later, one)
		}
	}
	return later
}

// lastMonthsSeed is when the ledger was last seeded before this month, zero if it was
// not. How much that was, and for which days, is known for this month alone: what lies
// before it cannot be compared.
func lastMonthsSeed(ctx context.Context, d desk, first, month time.Time) (time.Time, error) {
	if !first.Before(month) {
		return time.Time{}, nil
	}
	var last time.Time
	err := eachRecord(ctx, d, admin.AuditQuery{Kind: string(audit.Operator), From: first, To: month, Oldest: true}, func(r audit.Record) {
		if r.Action == "seed" {
			last = r.Time.UTC()
		}
	})
	if told, ok := errors.AsType[*admin.Refusal](err); ok && told.Code == "no_audit_log" {
		return time.Time{}, nil
	}
	return last, err
}

// ours is what was charged here on each day from begin on.
func (c *comparing) ours(ctx context.Context, d desk, begin time.Time, theirs []reconcile.Day) ([]reconcile.Charged, error) {
	// An hour more: the server's clock is not quite ours.
	back := time.Since(begin).Truncate(time.Hour) + 2*time.Hour
	books, err := d.Usage(ctx, admin.UsageQuery{Since: back, By: []string{admin.ByHour}})
	if err != nil {
		return nil, err
	}
	c.unproven = 0
	var days []reconcile.Charged
	at := map[time.Time]int{}
	day := func(start time.Time) *reconcile.Charged {
		i, known := at[start]
		if !known {
			i = len(days)
			days, at[start] = append(days, reconcile.Charged{Start: start}), i
		}
		return &days[i]
	}
	for start := begin; !start.After(books.Day.Start); start = start.Add(aDay) {
		day(start)
	}
	for _, row := range books.ByHour {
		if row.Hour.Before(begin) {
			continue
		}
		if !row.Hour.Before(c.first) {
			c.unproven += money.USD(row.AtCeiling)
		}
		one := day(row.Hour.UTC().Truncate(aDay))
		one.Amount += money.USD(row.Charged())
		if row.Hour.UTC().Hour() == 23 {
			one.LastHour += money.USD(row.Charged())
		}
	}
	// Calls under way have no hour yet. Those of earlier days are yesterday's: none
	// takes longer than minutes.
	today, open := day(books.Day.Start.UTC()), money.USD(books.Day.Open)
	today.Amount = max(today.Amount+open, money.USD(books.Day.Used-books.Day.Seeded)) + money.USD(books.Day.Seeded)
	today.LastHour += open
	if earlier := money.USD(books.Month.Open) - open; earlier > 0 {
		yesterday := day(books.Day.Start.UTC().Add(-aDay))
		yesterday.Amount += earlier
		yesterday.LastHour += earlier
	}
	cover(days, theirs, books)
	return days, nil
}

// cover lays what was seeded this month over its days before today: it was OpenAI's
// own count of them, so that it is no news. It covers what OpenAI has more, from the
// first day on, until it is used up.
func cover(days []reconcile.Charged, theirs []reconcile.Day, books admin.UsageReport) {
	left := money.USD(books.Month.Seeded - books.Day.Seeded)
	billed := map[time.Time]money.USD{}
	for _, d := range theirs {
		billed[d.Start] += d.Amount
	}
	for i := range days {
		one := &days[i]
		if one.Start.Before(books.Month.Start) || !one.Start.Before(books.Day.Start) {
			continue
		}
		if more := min(left, billed[one.Start]-one.Amount); more > 0 {
			one.Amount += more
			left -= more
		}
	}
}

// report is what the server is told: the stretch of days in which OpenAI has most
// beyond ours, or, if that is within the tolerance, all of them.
func (c *comparing) report(r reconcile.Result) admin.ReconcileReport {
	report := admin.ReconcileReport{Project: r.Project, From: r.Days[0].Day, To: r.Days[len(r.Days)-1].Day, Ours: admin.NanoUSD(r.Ours)}
	theirs := r.Theirs
	if r.Elsewhere > 0 {
		theirs = 0
		report.From, report.To = r.From, r.To
		for _, d := range r.Days {
			if !d.Day.Before(r.From) && !d.Day.After(r.To) {
				theirs += d.Theirs
			}
		}
		report.Ours = admin.NanoUSD(theirs - r.Elsewhere) // with the hour before
	}
	report.To = report.To.Add(aDay - time.Second)
	report.Theirs = admin.NanoUSD(max(theirs, 0)) // credits can make it less than nothing
	report.Tolerance = admin.NanoUSD(max(c.tolerance.Amount, money.USD(report.Ours)/100*money.USD(c.tolerance.Percent)))
	for _, d := range r.Days {
		report.Days = append(report.Days, admin.ReconcileDay{
			Day: d.Day.Format(time.DateOnly), Ours: admin.NanoUSD(d.Ours), Theirs: admin.NanoUSD(max(d.Theirs, 0)),
		})
	}
	return report
}

// show says it to a person.
func (c *comparing) show(w io.Writer, r reconcile.Result, informed bool, seeded time.Time, stands *admin.ReconcileSummary) error {
	fmt.Fprintf(w, "Project %s: what OpenAI has billed, and what went through here (UTC)\n\n", r.Project)
	rows := [][]string{{"Day", "OpenAI", "here", "OpenAI has more"}}
	line := func(name string, theirs, ours money.USD) {
		more := ""
		if theirs > ours {
			more = (theirs - ours).String()
		}
		rows = append(rows, []string{name, theirs.String(), ours.String(), more})
	}
	for _, d := range r.Days {
		line(d.Day.Format(time.DateOnly), d.Theirs, d.Ours)
	}
	line("together", r.Theirs, r.Ours)
	writeTable(w, rows)
	fmt.Fprintln(w)
	if !seeded.IsZero() {
		fmt.Fprintf(w, "Days up to %s are left out: the ledger was seeded then, and how much of it was for which day is not known any more.\n", seeded.Format(time.DateOnly))
	}
	c.verdict(w, r)
	if stands != nil {
		c.takeBack(w, r, stands)
	}
	switch {
	case !informed:
		fmt.Fprintln(w, "No server runs here, so no alert was sent.")
	case r.Elsewhere > 0:
		fmt.Fprintln(w, "The server knows, and tells its alerts.")
	}
	return nil
}

func (c *comparing) verdict(w io.Writer, r reconcile.Result) {
	if r.Elsewhere == 0 {
		fmt.Fprintf(w, "They agree: OpenAI has billed nothing that did not go through here, within %s or %d%%. Its books are late by hours, so compare again tomorrow.\n", c.tolerance.Amount, c.tolerance.Percent)
		if r.Theirs == 0 && r.Ours > 0 {
			fmt.Fprintf(w, "But it has billed nothing at all in project %s: is that the project of the key?\n", r.Project)
		}
		if c.unproven > max(c.tolerance.Amount, r.Ours/100*money.USD(c.tolerance.Percent)) {
			fmt.Fprintf(w, "Of what went through here %s was charged at ceilings, without proof: use elsewhere of up to so much would not show.\n", c.unproven)
		}
		return
	}
	fmt.Fprintf(w, `THE KEY IS USED ELSEWHERE. %s OpenAI has billed %s more than went through here.
One of these is the cause:
  - Somebody else has the key. Change it now: keyshield rotate --incident
  - Another program of yours spends in project %s. Give this server a project of its own.
  - The ledger was lost, or began after these days. Then: keyshield reconcile --seed
  - A price here is too low. Compare keyshield usage with OpenAI's own prices, and set PRICES_FILE.
`, stretch("On", "From", r.From, r.To), r.Elsewhere, r.Project)
}

// stretch is one day, or several.
func stretch(on, from string, first, last time.Time) string {
	one, other := first.Format(time.DateOnly), last.Format(time.DateOnly)
	if one == other {
		return on + " " + one
	}
	return from + " " + one + " to " + other
}

// takeBack says that an agreement is not the last word, and which one would be.
func (c *comparing) takeBack(w io.Writer, r reconcile.Result, found *admin.ReconcileSummary) {
	project := cmp.Or(found.Project, r.Project)
	days := min(int(r.At.Sub(found.From.Truncate(aDay))/aDay)+1, longestDays)
	fmt.Fprintf(w, `THIS TAKES NOTHING BACK of what was found at %s: %s in project %s OpenAI had %s more than went through here.
If that has been dealt with, this says so, once no more than that is missing:
  keyshield reconcile --project %[3]s --days %[5]d --tolerance %[6]s%[7]s
`, found.At.Format("2006-01-02 15:04"), stretch("on", "from", found.From, found.To), shellWord(project), found.Elsewhere, days, strings.TrimPrefix(found.Elsewhere.String(), "$"), afar(c.server))
}
