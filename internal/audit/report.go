package audit

import (
	"fmt"
	"strings"
	"time"
)

// Wrong is what is the matter with a line.
type Wrong string

const (
	Changed   Wrong = "changed"
	Missing   Wrong = "missing"
	Reordered Wrong = "reordered"
	Repeated  Wrong = "repeated"
	CutOff    Wrong = "cut_off"
	Damaged   Wrong = "damaged"   // cannot be read
	Rewritten Wrong = "rewritten" // an anchor is not in the chain
)

// Fault names a line and what is wrong with it.
type Fault struct {
	Wrong Wrong  `json:"wrong"`
	File  string `json:"file"`
	Line  int64  `json:"line"` // counted from 1; 0: the whole file
	Seq   int64  `json:"seq"`  // that stands there, or should
	Text  string `json:"text"`
}

func (f *Fault) Error() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s", f.File, f.Text)
	}
	return fmt.Sprintf("%s, line %d, number %d: %s", f.File, f.Line, f.Seq, f.Text)
}

// End is the first or the last line.
type End struct {
	Seq  int64     `json:"seq"`
	Hash string    `json:"hash"`
	Time time.Time `json:"time"`
	File string    `json:"file"`
}

// Anchored says whether an anchor is in the chain.
type Anchored struct {
	Anchor
	Found bool `json:"found"`
	Gone  bool `json:"gone"` // it is older than what was kept, so nobody can say
}

// Report is what Verify found.
type Report struct {
	Records   int64         `json:"records"` // lines that were read
	Files     int           `json:"files"`
	First     End           `json:"first"`
	Last      End           `json:"last"`
	Retention bool          `json:"retention"` // older files were removed, and a line says so
	Gone      time.Time     `json:"-"`         // which were written before that
	Kept      time.Duration `json:"-"`         // and were to be kept for so long
	Torn      bool          `json:"torn"`      // the last line has no end: it is being written, or its writer died
	Fault     *Fault        `json:"fault,omitempty"`
	Faults    int           `json:"faults"` // the first and what came after it, often because of it
	Anchors   []Anchored    `json:"anchors,omitempty"`
}

// OK says that every line is the one that was written.
func (r Report) OK() bool { return r.Fault == nil }

// String says it in plain words, a sentence a line.
func (r Report) String() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	switch {
	case !r.OK():
		say("The audit log is NOT as it was written: %v.", r.Fault)
		if r.Faults > 1 {
			say("%d more faults follow; they may come from the first.", r.Faults-1)
		}
	case r.Records == 0:
		say("There is no record yet.")
	default:
		say("The audit log is as it was written: %d records in %d files, up to number %d.", r.Records, r.Files, r.Last.Seq)
	}
	if r.Retention {
		say("It begins at number %d of %s; older files were removed by retention.", r.First.Seq, strings.TrimSuffix(r.First.File, extension))
		say("They were from before %s: the log %s.", dayOf(r.Gone), keepText(r.Kept))
	}
	if r.Torn {
		say("The last line has no end: it is being written, or its writer died; the next start cuts it off and says so.")
	}
	for _, a := range r.Anchors {
		switch {
		case a.Found:
			say("The anchor %s is in the chain.", a.Anchor)
		case a.Gone:
			say("The anchor %s is older than the oldest file that is kept.", a.Anchor)
			if r.Retention && a.At.IsZero() {
				say("If it was told on %s or later, lines were taken away: give it as seq:hash@day to have that checked.", dayOf(r.Gone.AddDate(0, 0, 1)))
			}
		default:
			say("The anchor %s is NOT in the chain.", a.Anchor)
		}
	}
	if r.OK() && r.Records > 0 && len(r.Anchors) == 0 {
		say("Compare it with an anchor from the server's log to be sure that it was not written anew.")
	}
	return b.String()
}
