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
	"slices"
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
	if err := d.forgive(); err != nil {
		d.Log.Warn("what an earlier comparison found still stands", "error", err.Error())
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

// reach is how many days OpenAI's books can be compared at once: they give no more.
const reach = 180

// takesBack says whether an agreement is the last word after what was found before:
// if it is about the same project, as far as that is known, and about all of the bad
// days that can still be compared; not if the project was mistyped, nor by the mere
// passing of days.
func (s ReconcileSummary) takesBack(found ReconcileSummary) bool {
	day := func(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }
	oldest := day(s.At).AddDate(0, 0, 1-reach)
	first, last := day(found.From), day(found.To)
	if first.Before(oldest) {
		first = oldest
	}
	covers := !day(s.From).After(first) && !day(s.To).Before(last)
	return (found.Project == "" || found.Project == s.Project) && (covers || last.Before(oldest))
}

// comparisons are kept in a file: what was found should not be gone with a restart.
type comparisons struct {
	Last  *ReconcileSummary  `json:"last"`
	Found []ReconcileSummary `json:"found,omitempty"` // that stand, the latest last, one of each project
}

const (
	comparisonFile = "reconcile.json"
	maxFound       = 16
)

// found keeps s, which is of all the days on which s or one before it found something.
func (c *comparisons) found(s ReconcileSummary) {
	for i, before := range c.Found {
		if before.Project == s.Project {
			if before.From.Before(s.From) {
				s.From = before.From
			}
			if before.To.After(s.To) {
				s.To = before.To
			}
			s.Elsewhere = max(s.Elsewhere, before.Elsewhere)
			c.Found = slices.Delete(c.Found, i, i+1)
			break
		}
	}
	c.Found = append(c.Found, s)
	c.Found = c.Found[max(0, len(c.Found)-maxFound):]
}

// keep says whether s is the last word now. What was found is kept even where the file
// is damaged, which no agreement may paper over.
func (d *Desk) keep(s ReconcileSummary) (bool, error) {
	d.shared.comparison.Lock()
	defer d.shared.comparison.Unlock()
	all, err := d.comparisons()
	if s.Verdict == KeyUsedElsewhere {
		all.found(s)
		return true, d.write(comparisons{&s, all.Found})
	}
	if err != nil {
		return false, err
	}
	all.Found = slices.DeleteFunc(all.Found, s.takesBack)
	if all.Last = &s; len(all.Found) > 0 {
		return false, d.write(all)
	}
	return true, d.write(all)
}

// forgive takes back all that was found: what OpenAI billed counts here now.
func (d *Desk) forgive() error {
	d.shared.comparison.Lock()
	defer d.shared.comparison.Unlock()
	all, err := d.comparisons()
	if err != nil || len(all.Found) == 0 {
		return err
	}
	return d.write(comparisons{})
}

func (d *Desk) write(all comparisons) error {
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return disk.Replace(filepath.Join(d.Dir, comparisonFile), text)
}

// LastReconcile is the last comparison with OpenAI's books, or one before it in which
// the key was used elsewhere, while nothing takes that back.
func (d *Desk) LastReconcile(context.Context) (LastReconcile, error) {
	d.shared.comparison.Lock()
	defer d.shared.comparison.Unlock()
	all, err := d.comparisons()
	if n := len(all.Found); n > 0 {
		return LastReconcile{&all.Found[n-1]}, err
	}
	return LastReconcile{all.Last}, err
}

// comparisons reads the file; d.shared.comparison is held.
func (d *Desk) comparisons() (all comparisons, err error) {
	text, err := os.ReadFile(filepath.Join(d.Dir, comparisonFile))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return comparisons{}, refusal(http.StatusInternalServerError, "damaged", "%s is damaged (%v): remove it, and compare again", comparisonFile, err)
	}
	return all, nil
}
