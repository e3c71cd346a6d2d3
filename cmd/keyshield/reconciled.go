package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/money"
	"keyshield/internal/reconcile"
)

// compare finds out whether OpenAI has billed what did not go through here, and
// tells the server, which tells the alerts.
func (c *comparing) compare(ctx context.Context, d desk, w io.Writer) (int, error) {
	now := time.Now().UTC()
	first := now.Truncate(aDay).AddDate(0, 0, 1-c.days)
	seeded, err := lastMonthsSeed(ctx, d, first, monthOf(now))
	if err != nil {
		return exitFailed, err
	}
	if !seeded.IsZero() {
		first = seeded.Truncate(aDay).AddDate(0, 0, 1)
	}
	begin := first // what was seeded this month is laid over its days from the first on
	if month := monthOf(now); month.Before(begin) {
		begin = month
	}
	// Theirs first: a call that comes in between then counts for us, and not against.
	theirs, err := c.books.Costs(ctx, begin)
	if err != nil {
		return exitFailed, err
	}
	eve := first.Add(-aDay)
	if begin.Before(eve) {
		eve = begin
	}
	ours, err := c.ours(ctx, d, eve, theirs)
	if err != nil {
		return exitFailed, err
	}
	r := c.compared(first, theirs, ours)
	r.At, r.Project = now.Truncate(time.Second), c.books.Project
	report := c.report(r)
	told, err := d.Reconcile(ctx, report)
	informed := runs(d)
	if err != nil {
		return exitFailed, fmt.Errorf("compared, but the server does not take the result: %w", err)
	}
	if c.json {
		err = printJSON(w, comparison{told, r.Project, informed})
	} else {
		err = c.show(w, r, informed, seeded)
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
	Project string `json:"project"`
	Told    bool   `json:"told"` // the server knows, and its alerts
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
	report := admin.ReconcileReport{From: r.Days[0].Day, To: r.Days[len(r.Days)-1].Day, Ours: admin.NanoUSD(r.Ours)}
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
func (c *comparing) show(w io.Writer, r reconcile.Result, informed bool, seeded time.Time) error {
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
		return
	}
	stretch := "On " + r.From.Format(time.DateOnly)
	if !r.To.Equal(r.From) {
		stretch = "From " + r.From.Format(time.DateOnly) + " to " + r.To.Format(time.DateOnly)
	}
	fmt.Fprintf(w, `THE KEY IS USED ELSEWHERE. %s OpenAI has billed %s more than went through here.
One of these is the cause:
  - Somebody else has the key. Change it now: keyshield rotate --incident
  - Another program of yours spends in project %s. Give this server a project of its own.
  - The ledger was lost, or began after these days. Then: keyshield reconcile --seed
  - A price here is too low. Compare keyshield usage with OpenAI's own prices, and set PRICES_FILE.
`, stretch, r.Elsewhere, r.Project)
}
