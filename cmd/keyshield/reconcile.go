package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/config"
	"keyshield/internal/money"
	"keyshield/internal/reconcile"
	"keyshield/internal/secret"
)

// comparing is what `keyshield reconcile` was asked for.
type comparing struct {
	server    string
	days      int
	tolerance reconcile.Tolerance
	seed      bool
	json      bool
	books     reconcile.Books
	first     time.Time // of the days that are compared
	unproven  money.USD // of what was charged here in them
}

const (
	usualDays   = 7
	longestDays = 180
	aDay        = 24 * time.Hour
)

const reconcileUsage = `usage: OPENAI_ADMIN_KEY_FILE=/path/to/it keyshield reconcile [flags]
It compares what OpenAI has billed with what went through here, and tells the server, which tells its alerts.
In its environment, and not in .env, it needs OPENAI_ADMIN_KEY, an admin key of the organisation, or OPENAI_ADMIN_KEY_FILE, a file with it.

It ends with
  0  if they agree
  1  if it could not compare
  2  if it was asked for what there is not
  3  if the key is used elsewhere

`

// compareBooks compares OpenAI's own books with ours, or raises an empty ledger to
// them. It is run apart from the server, because it needs a key that can do far more
// than the one that the server guards.
func compareBooks(ctx context.Context, p process) int {
	c := comparing{tolerance: reconcile.Usual}
	if exit, ok := flags(p, "reconcile", func(f *flag.FlagSet) {
		serverFlag(f, &c.server)
		f.BoolVar(&c.seed, "seed", false, "raise what is counted of this month and today to what OpenAI has billed: for a ledger that was lost, or is new")
		f.IntVar(&c.days, "days", usualDays, fmt.Sprintf("how many days are compared, today (UTC) being the last; up to %d", longestDays))
		f.StringVar(&c.books.Project, "project", "", "OpenAI's id of the project that this server has to itself (default OPENAI_PROJECT)")
		f.TextVar(&c.tolerance.Amount, "tolerance", c.tolerance.Amount, fmt.Sprintf("how many dollars OpenAI may have more, or %d%% of what went through here where that is more", c.tolerance.Percent))
		jsonFlag(f, &c.json)
		f.Usage = func() {
			fmt.Fprint(f.Output(), reconcileUsage)
			f.PrintDefaults()
		}
	}); !ok {
		return exit
	}
	if c.days < 1 || c.days > longestDays {
		fmt.Fprintf(p.stderr, "keyshield reconcile: --days must be from 1 to %d\n", longestDays)
		return exitUsage
	}
	if err := c.settings(p); err != nil {
		return unable(p, "reconcile", err)
	}
	d, done, err := reach(ctx, p, c.server)
	if err != nil {
		return unable(p, "reconcile", err)
	}
	defer done()
	do := c.compare
	if c.seed {
		do = c.raise
	}
	exit, err := do(ctx, d, p.stdout)
	if err != nil {
		return unable(p, "reconcile", err)
	}
	return exit
}

// settings finds out whose books to ask for, where, and with which key.
func (c *comparing) settings(p process) (err error) {
	loaded := config.Load(config.Serve, p.environ, p.dir)
	for _, problem := range loaded.Problems {
		if slices.Contains([]string{".env", "OPENAI_BASE_URL", "OPENAI_PROJECT"}, problem.Name) {
			return fmt.Errorf("%s: %s", problem.Name, problem.Text)
		}
	}
	c.books.BaseURL = loaded.Config.OpenAI.BaseURL
	if c.books.Project == "" {
		c.books.Project = loaded.Config.OpenAI.Project
	}
	if c.books.Project == "" {
		return errors.New("say which of OpenAI's projects with --project proj_…, or set OPENAI_PROJECT. It must be one that this server has to itself: whatever else is spent in it would look as if the key were stolen (platform.openai.com → Settings → Project → General shows its id)")
	}
	c.books.AdminKey, err = adminKey(p)
	return err
}

const (
	adminKeyName = "OPENAI_ADMIN_KEY"
	maxAdminKey  = 4 << 10
)

// adminKey is read from the environment of this command alone, or from the file that
// it names, and never from .env: serve reads that one too.
func adminKey(p process) (secret.String, error) {
	value, path := "", ""
	for _, line := range p.environ {
		switch name, said, _ := strings.Cut(line, "="); name {
		case adminKeyName:
			value = said
		case adminKeyName + "_FILE":
			path = said
		}
	}
	switch {
	case value != "" && path != "":
		return secret.String{}, fmt.Errorf("%s and %s_FILE are both set: only one of them may be", adminKeyName, adminKeyName)
	case value == "" && path == "":
		return secret.String{}, fmt.Errorf(`%[1]s is missing: OpenAI shows its books only to an admin key of the organisation (https://platform.openai.com/settings/organization/admin-keys).
Give it to this command alone, best from a file that only you can read:
  %[1]s_FILE=/path/to/it keyshield reconcile …
It does not belong into .env: it can do far more than the key that is guarded here, and serve refuses to start when it has it`, adminKeyName)
	case path != "":
		if !filepath.IsAbs(path) {
			path = filepath.Join(p.dir, path)
		}
		f, err := os.Open(path)
		if err != nil { // without the path: somebody may have put the key itself there
			return secret.String{}, fmt.Errorf("the file that %s_FILE names cannot be opened: does it exist, and may you read it?", adminKeyName)
		}
		defer f.Close()
		content, err := io.ReadAll(io.LimitReader(f, maxAdminKey+1))
		if err != nil || len(content) > maxAdminKey {
			return secret.String{}, fmt.Errorf("the file that %s_FILE names holds no key", adminKeyName)
		}
		value = string(bytes.TrimSpace(content))
	}
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return secret.String{}, fmt.Errorf("%s is no key: it must be one word on one line, without quotes", adminKeyName)
	}
	return secret.New(value), nil
}

func monthOf(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) }

// raise seeds the ledger with what OpenAI has billed in this month.
func (c *comparing) raise(ctx context.Context, d desk, w io.Writer) (int, error) {
	now := time.Now().UTC()
	billed, err := c.books.Costs(ctx, monthOf(now))
	if err != nil {
		return exitFailed, err
	}
	var month, today money.USD
	for _, day := range billed {
		switch {
		case day.Start.Before(monthOf(now)): // never asked for
		case !day.Start.Before(now.Truncate(aDay)):
			today += day.Amount
			month += day.Amount
		default:
			month += day.Amount
		}
	}
	if month <= 0 {
		return c.unraised(w, "nothing_billed", fmt.Sprintf("OpenAI has billed project %s nothing this month so far: there is nothing to raise. Its books are late by hours.", c.books.Project))
	}
	answer, err := d.Seed(ctx, admin.SeedRequest{
		At: now, Month: admin.NanoUSD(month), Day: admin.NanoUSD(min(max(today, 0), month)), // a credit is less than nothing
		Why: "OpenAI's books of project " + c.books.Project,
	})
	if told, ok := errors.AsType[*admin.Refusal](err); ok && told.Code == "counted_more" {
		return c.unraised(w, told.Code, fmt.Sprintf("OpenAI has billed project %s %s this month, and more than that is counted here already: there is nothing to raise.", c.books.Project, month))
	}
	if err != nil {
		return exitFailed, err
	}
	if c.json {
		return exitOK, printJSON(w, answer)
	}
	fmt.Fprintf(w, "OpenAI has billed project %s %s this month, %s of it today. So much is counted here now, at least:\n", c.books.Project, month, max(today, 0))
	for _, a := range []admin.Account{answer.Day, answer.Month} {
		fmt.Fprintf(w, "  %-10s  %s used", a.Window, a.Used)
		if a.Cap != nil {
			fmt.Fprintf(w, " of %s, %s left", *a.Cap, *a.Left)
		}
		fmt.Fprintln(w)
	}
	_, err = fmt.Fprintln(w, "It is a lower bound: OpenAI's books are late by hours, and know nothing of what was spent just now. Of whose calls it was, nobody knows.")
	return exitOK, err
}

// unraised says why the ledger is as it was.
func (c *comparing) unraised(w io.Writer, reason, text string) (int, error) {
	if c.json {
		return exitOK, printJSON(w, map[string]string{"unchanged": reason, "text": text})
	}
	_, err := fmt.Fprintln(w, text)
	return exitOK, err
}
