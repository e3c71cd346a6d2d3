package audit

import "time"

// beginning is what the log says of its first lines, when they are not there.
type beginning struct {
	now time.Time // retention does not come from the future

	before string    // the hash of the line before the first
	gone   time.Time // when the day of that line was over; zero: the first line does not say

	started bool          // a start was read, and since the last
	keep    time.Duration // files are to be kept for so long; 0: for ever

	begins int64         // the log begins there by a retention that is believed,
	kept   time.Duration // which kept files for so long
	early  *place        // a retention that is not
	why    string
}

// opens takes in what the first line says of the one before it.
func (b *beginning) opens(first *sealed) {
	b.before = string(first.prev)
	if start, err := dayStart(first.after + extension); err == nil {
		b.gone = start.AddDate(0, 0, 1)
	}
}

// retained takes in a line that says how long files are kept, or that some were
// removed. It is believed if what was removed was as old as that when it was written:
// anybody can write such a line, but not change what the first one that is left says
// of the day before it, unless they write all of the log anew. Where retention has
// removed the last start, too, the line itself says what was to be kept.
func (v *verifier) retained(here place, r *Record) {
	if r.Kind == Start {
		v.started, v.keep = true, keepIn(r.Why)
	}
	begin, ok := r.begin()
	if !ok || begin < v.lowest || v.lowest <= 1 {
		return
	}
	keep := v.keep
	if !v.started {
		keep = keepIn(r.Why)
	}
	switch {
	case v.gone.IsZero():
		v.why = "the first line that is left does not say what it follows"
	case keep <= 0:
		v.why = "the last start does not say that anything is removed"
	case r.Time.After(v.now.Add(clockSlack)):
		v.why = "it was written in the future, " + r.Time.Format(time.RFC3339)
	case v.gone.After(r.Time.Add(-keep)):
		v.why = "the log " + keepText(keep) + ", and " + dayOf(v.gone.Add(-time.Second)) + " was not that old"
	default:
		v.begins, v.kept = max(v.begins, begin), keep
		return
	}
	at := here // so that not each line costs memory
	v.early = &at
}

// judgeBeginning tells files that retention removed from lines that somebody did.
func (v *verifier) judgeBeginning() {
	missing := func(at place, format string, args ...any) {
		v.report.Fault = nil // this one comes first
		v.fault(Missing, at, "%s missing at the beginning, and "+format, append([]any{numbers(1, v.lowest-1)}, args...)...)
	}
	switch {
	case v.lowest <= 1:
	case v.lowest <= v.begins:
		v.report.Retention, v.report.Gone, v.report.Kept = true, v.gone, v.kept
	case v.headless:
	case v.early != nil:
		missing(*v.early, "this line, which says that retention removed them, is not to be believed: %s", v.why)
	default:
		missing(place{v.report.First.File, 1, 1}, "no retention said so")
	}
}
