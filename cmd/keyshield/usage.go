package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keyshield/internal/admin"
)

// defaultTop is how many rows of a list a person wants to see.
const defaultTop = 20

// spending shows what was spent: `keyshield usage`.
func spending(ctx context.Context, p process) int {
	var q admin.UsageQuery
	var asJSON, month bool
	server := ""
	if exit, ok := flags(p, "usage", func(f *flag.FlagSet) {
		serverFlag(f, &server)
		f.BoolVar(&asJSON, "json", false, "print JSON; amounts are whole nano-dollars (1000000000 is $1)")
		f.BoolVar(&q.Day, "day", false, "list what was spent today (UTC)")
		f.BoolVar(&month, "month", false, "list what was spent this month (UTC); so it is if nothing is said")
		f.Func("since", "list what was spent in the last 24h or 7d, say, in whole hours", back(&q.Since))
		f.Func("by", "what the lists are by: user, model, hour, or several of them (default user,model)", func(s string) error {
			q.By = append(q.By, strings.Split(s, ",")...)
			return q.Check()
		})
		f.StringVar(&q.User, "user", "", "only this user's, by id or by the key that --json shows")
		f.IntVar(&q.Top, "top", defaultTop, "how many users or models are listed, the dearest first; 0 is all")
	}); !ok {
		return exit
	}
	if q.By == nil {
		q.By = []string{admin.ByUser, admin.ByModel}
	}
	slices.Sort(q.By)
	q.By = slices.Compact(q.By)
	err := q.Check()
	if month && (q.Day || q.Since != 0) {
		err = errors.New("--month, --day and --since exclude each other")
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield usage: %v\n", err)
		return exitUsage
	}
	d, done, err := reach(ctx, p, server)
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield usage: %v\n", err)
		return exitFailed
	}
	defer done()
	report, err := d.Usage(ctx, q)
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield usage: %v\n", err)
		return exitFailed
	}
	if asJSON {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = showUsage(p.stdout, report, q, server)
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield usage: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// back reads how far to look back.
func back(to *time.Duration) func(string) error {
	return func(s string) (err error) {
		if *to, err = admin.Span(s); err != nil {
			return errors.New("write it as 7d, 24h or 90m")
		}
		return nil
	}
}

// showUsage writes the report for a person.
func showUsage(to io.Writer, r admin.UsageReport, q admin.UsageQuery, server string) error {
	var w strings.Builder
	source := "from the running server"
	if !r.Running {
		source = "from the file; no server runs"
	}
	fmt.Fprintf(&w, "%s, %s\n\n", r.At.Format("2006-01-02 15:04 UTC"), source)
	if r.Doubt {
		fmt.Fprint(&w, "The clocks of this machine contradict each other: no new day or month begins until they agree.\n\n")
	}
	showAccounts(&w, "Everything", true, r.Day, r.Month)
	for _, u := range r.Users {
		fmt.Fprintln(&w)
		showAccounts(&w, printable(u.ID), false, u.Day, u.Month)
	}
	if q.User != "" && len(r.Users) == 0 {
		fmt.Fprintf(&w, "\nNo call of %s has ended since %s.\n", printable(q.User), r.From.Format("2006-01-02 15:04 UTC"))
	}
	showList(&w, r, "User", r.ByUser)
	showList(&w, r, "Model", r.ByModel)
	showList(&w, r, "Hour", r.ByHour)
	if len(r.Stopped) > 0 {
		fmt.Fprintln(&w)
		tellStopped(&w, r.Stopped, server)
	}
	_, err := io.WriteString(to, w.String())
	return err
}

func showAccounts(w io.Writer, title string, capped bool, day, month admin.Account) {
	rows := [][]string{{title, "today " + day.Window, "month " + month.Window}}
	add := func(name string, of func(admin.Account) string) {
		rows = append(rows, []string{name, of(day), of(month)})
	}
	add("used", func(a admin.Account) string { return a.Used.String() })
	add("  proven", func(a admin.Account) string { return a.Proven.String() })
	add("  charged at the ceiling, unproven", func(a admin.Account) string { return a.AtCeiling.String() })
	if day.Seeded+month.Seeded > 0 {
		add("  billed by OpenAI before", func(a admin.Account) string { return a.Seeded.String() })
	}
	add("  held by calls under way", func(a admin.Account) string { return a.Open.String() })
	if capped {
		add("cap", func(a admin.Account) string { return amount(a.Cap) })
		add("left", func(a admin.Account) string { return amount(a.Left) })
	}
	add("requests", func(a admin.Account) string { return count64(a.Requests) })
	add("  unproven", func(a admin.Account) string { return count64(a.Unproven) })
	add("tokens in", func(a admin.Account) string { return count64(a.Input) })
	add("  cached", func(a admin.Account) string { return count64(a.Cached) })
	add("  written to the cache", func(a admin.Account) string { return count64(a.Written) })
	add("tokens out", func(a admin.Account) string { return count64(a.Output) })
	add("  reasoning", func(a admin.Account) string { return count64(a.Reasoning) })
	writeTable(w, rows)
}

// amount is an amount that may have no bound.
func amount(a *admin.NanoUSD) string {
	if a == nil {
		return "none"
	}
	return a.String()
}

func count64(n int64) string { return strconv.FormatInt(n, 10) }

func showList(w io.Writer, r admin.UsageReport, title string, list []admin.Row) {
	if len(list) == 0 {
		return
	}
	const day = "2006-01-02 15:04"
	fmt.Fprintf(w, "\nFrom %s to %s UTC\n", r.From.Format(day), r.To.Format(day))
	rows := [][]string{{title, "used", "proven", "at ceiling", "requests", "unproven", "in", "cached", "written", "out", "reasoning"}}
	for _, row := range list {
		rows = append(rows, []string{
			nameOf(row), row.Charged().String(), row.Proven.String(), row.AtCeiling.String(), count64(row.Requests), count64(row.Unproven),
			count64(row.Input), count64(row.Cached), count64(row.Written), count64(row.Output), count64(row.Reasoning),
		})
	}
	writeTable(w, rows)
}

// nameOf is what a row is about.
func nameOf(r admin.Row) string {
	switch {
	case r.Others > 0:
		return "(others)"
	case r.Hour != nil:
		return r.Hour.Format("2006-01-02 15:04")
	case r.Model != "":
		return printable(r.Model)
	case r.ID == "":
		return r.Key // forgotten: not seen for longer than is kept
	}
	return printable(r.ID)
}

// writeTable aligns names to the left and numbers to the right.
func writeTable(w io.Writer, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		fmt.Fprintf(w, "%-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			fmt.Fprintf(w, "  %*s", widths[i+1], cell)
		}
		fmt.Fprintln(w)
	}
}

// longestName is what a table shows of a user's id.
const longestName = 60

// printable is a name from a token, on one line: whoever chose it may have put in
// what turns a terminal's text around.
func printable(name string) string {
	shown := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, name))
	if len(shown) > longestName {
		shown = append(shown[:longestName-1], '…')
	}
	return string(shown)
}
