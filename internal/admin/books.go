package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"keyshield/internal/disk"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// Backup writes a consistent copy of the ledger.
func (d *Desk) Backup(_ context.Context, w io.Writer) error {
	if !d.shared.backup.TryLock() {
		return refusal(http.StatusConflict, "backup_runs", "another backup is under way: wait for it")
	}
	defer d.shared.backup.Unlock()
	err := d.Ledger.Backup(w)
	if err == nil {
		d.note("backup", "ledger", "")
	}
	return err
}

// Check says what is wrong with a request.
func (r SeedRequest) Check() error {
	switch {
	case r.At.IsZero():
		return badRequest("say when OpenAI's books were asked (at): by the time this arrives another day may have begun")
	case r.Month <= 0:
		return badRequest("say what OpenAI counted this month, in nano-dollars: 1000000000 is $1")
	case r.Day < 0 || r.Day > r.Month:
		return badRequest("a day is part of its month: it cannot have cost more, or less than nothing")
	case r.Month > NanoUSD(money.Max):
		return badRequest("%v is more than anybody may spend here (%v)", r.Month, money.Max)
	}
	return checkWhy(r.Why)
}

// Seed raises what everybody spent in the current month, and today, to what OpenAI's
// books say at least.
func (d *Desk) Seed(ctx context.Context, what SeedRequest) (SeedAnswer, error) {
	if err := what.Check(); err != nil {
		return SeedAnswer{}, err
	}
	ctx, done := finish(ctx)
	defer done()
	err := d.Ledger.Seed(ctx, ledger.SeedRequest{At: what.At, Month: money.USD(what.Month), Day: money.USD(what.Day), By: d.by})
	if errors.Is(err, ledger.ErrCountedMore) {
		return SeedAnswer{}, refusal(http.StatusConflict, "counted_more", "%v: there is nothing to raise", err)
	}
	if err != nil {
		return SeedAnswer{}, err
	}
	d.changed("seed", "month:"+what.Month.String()+" day:"+what.Day.String(), what.Why)
	all, err := d.Ledger.Standing(ctx, ledger.User{})
	return SeedAnswer{Day: accountOf(all.Day, d.Caps.Day), Month: accountOf(all.Month, d.Caps.Month)}, err
}

// projectID is OpenAI's, as OPENAI_PROJECT is: it is shown in commands to copy.
var projectID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// longestComparison is how many days a report may have.
const longestComparison = 400

// Check says what is wrong with a report.
func (r ReconcileReport) Check() error {
	switch {
	case r.From.IsZero() || !r.To.After(r.From):
		return badRequest("say from when to when: from must be before to")
	case r.Project != "" && !projectID.MatchString(r.Project):
		return badRequest("the project is not an id such as proj_abc123: letters, digits, - and _ only")
	case r.Ours < 0 || r.Theirs < 0 || r.Tolerance < 0:
		return badRequest("an amount is less than nothing")
	case len(r.Days) > longestComparison:
		return badRequest("a report has at most %d days", longestComparison)
	}
	for _, day := range r.Days {
		if _, err := time.Parse(time.DateOnly, day.Day); err != nil || day.Ours < 0 || day.Theirs < 0 {
			return badRequest("%.40q is no day such as 2026-11-21, or its amounts are less than nothing", day.Day)
		}
	}
	return nil
}

// Reconcile takes what `keyshield reconcile` found in OpenAI's books. If they have
// more than went through here, the key is used elsewhere, and the alerts are told, if
// a server runs. An agreement that does not take back what was found before is noted,
// and no more: "nobody else uses the key" would be the last word on it.
func (d *Desk) Reconcile(_ context.Context, r ReconcileReport) (ReconcileSummary, error) {
	if err := r.Check(); err != nil {
		return ReconcileSummary{}, err
	}
	s := ReconcileSummary{ReconcileReport: r, At: now(), By: d.by, Verdict: Agrees}
	if more := r.Theirs - r.Ours; more > r.Tolerance {
		s.Verdict, s.Elsewhere = KeyUsedElsewhere, more
	}
	kept, err := d.keep(s)
	if err != nil {
		return ReconcileSummary{}, err
	}
	target := r.From.UTC().Format(time.DateOnly) + " to " + r.To.UTC().Format(time.DateOnly)
	if r.Project != "" {
		target = "project:" + r.Project + " " + target
	}
	why := s.Verdict + ": OpenAI counted " + r.Theirs.String() + ", we " + r.Ours.String()
	if !kept {
		why += "; what was found before stands, in another project or on days that this does not cover"
	}
	d.note("reconcile", target, why)
	if kept && d.Live != nil && d.Live.Reconciled != nil {
		d.Live.Reconciled(s)
	}
	return s, nil
}

// outOfReach is after how long OpenAI's books of a day are not compared any more: it
// gives no more days at once.
const outOfReach = 180 * 24 * time.Hour

// takesBack says whether s is the last word after what was found before. A key that is
// used elsewhere is taken back only by an agreement about the same project, as far as
// it is known, on all of the bad days that can still be compared: not by one about a
// project that was mistyped, nor by the mere passing of days.
func (s ReconcileSummary) takesBack(found *ReconcileSummary) bool {
	if found == nil || found.Verdict != KeyUsedElsewhere || s.Verdict == KeyUsedElsewhere {
		return true
	}
	day := func(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }
	covers := !day(s.From).After(day(found.From)) && !day(s.To).Before(day(found.To))
	return (found.Project == "" || found.Project == s.Project) && (covers || s.At.Sub(found.To) > outOfReach)
}

// comparisonFile has the last summary: what was found should not be gone with a
// restart.
const comparisonFile = "reconcile.json"

// keep says whether s is the last one now. What was found is kept even where the file
// is damaged, which no agreement may paper over.
func (d *Desk) keep(s ReconcileSummary) (bool, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return false, err
	}
	d.shared.comparison.Lock()
	defer d.shared.comparison.Unlock()
	if s.Verdict != KeyUsedElsewhere {
		before, err := d.kept()
		if err != nil || !s.takesBack(before.Last) {
			return false, err
		}
	}
	return true, disk.Replace(filepath.Join(d.Dir, comparisonFile), text)
}

// LastReconcile is the last comparison with OpenAI's books, or one before it in which
// the key was used elsewhere, while nothing takes that back.
func (d *Desk) LastReconcile(context.Context) (LastReconcile, error) {
	d.shared.comparison.Lock()
	defer d.shared.comparison.Unlock()
	return d.kept()
}

// kept reads the file; d.shared.comparison is held.
func (d *Desk) kept() (LastReconcile, error) {
	text, err := os.ReadFile(filepath.Join(d.Dir, comparisonFile))
	if errors.Is(err, fs.ErrNotExist) {
		return LastReconcile{}, nil
	}
	if err != nil {
		return LastReconcile{}, err
	}
	var last ReconcileSummary
	if err := json.Unmarshal(text, &last); err != nil {
		return LastReconcile{}, refusal(http.StatusInternalServerError, "damaged", "%s is damaged (%v): remove it, and compare again", comparisonFile, err)
	}
	return LastReconcile{&last}, nil
}
