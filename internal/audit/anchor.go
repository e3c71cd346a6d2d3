package audit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Anchor is a line of the log as it was told outside of it.
type Anchor struct {
	Seq  int64     `json:"seq"`
	Head string    `json:"hash"`
	At   time.Time `json:"-"` // when it was told; zero: not known
}

// String leaves out when it was told: that is no part of the line.
func (a Anchor) String() string { return strconv.FormatInt(a.Seq, 10) + ":" + a.Head }

// Dated is a with the day, UTC, on which it was told: what the program's log has, and
// ParseAnchor reads.
func (a Anchor) Dated() string { return a.String() + "@" + a.At.UTC().Format(time.DateOnly) }

// ParseAnchor reads "seq:hash@day", as the program's log has it, also with an RFC 3339
// time for the day. Without either it cannot tell a line that retention took from one
// that somebody else did.
func ParseAnchor(s string) (Anchor, error) {
	text, told, timed := strings.Cut(strings.TrimSpace(s), "@")
	number, hash, _ := strings.Cut(text, ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	l, ok := parseLink(seq, strings.ToLower(hash))
	if err != nil || !ok || seq < 0 {
		return Anchor{}, fmt.Errorf("%q is not an anchor: copy what a line with the event audit_anchor has as its anchor in the server's log, like 1234:9f86d081…@2026-11-22 (a number, a colon, 64 hex digits, @ and the day)", bounded(s, maxText))
	}
	a := Anchor{Seq: seq, Head: l.String()}
	if !timed {
		return a, nil
	}
	if a.At, err = time.Parse(time.DateOnly, told); err != nil {
		a.At, err = time.Parse(time.RFC3339, strings.ToUpper(told))
	}
	if err != nil {
		return Anchor{}, fmt.Errorf("%q is not when an anchor was told: write %s@2026-11-22, or @2026-11-22T04:54:10Z", bounded(told, maxText), a)
	}
	return a, nil
}

func (v *verifier) judgeAnchors() {
	for i := range v.report.Anchors {
		a := &v.report.Anchors[i]
		a.Gone = a.Seq == 0 || !a.Found && v.report.Retention && v.mayBeGone(a.Anchor)
		if a.Found || a.Gone {
			continue
		}
		at := place{v.at.file, v.at.line + 1, a.Seq}
		if a.Seq <= v.last.seq {
			at = place{v.report.First.File, 1, a.Seq}
		}
		v.fault(Rewritten, at, "the anchor %s is not in the chain: the log was written anew, or cut off, at or before that number", a)
	}
}

// mayBeGone says that retention can have removed an anchor's line. The first line that
// is left names the hash of the last that was removed. The others had a line after
// them on the days that are gone, and an anchor that was told later than these would
// name that one; a day more is for a disk that could not be synced.
func (v *verifier) mayBeGone(a Anchor) bool {
	if a.Seq == v.lowest-1 {
		return a.Head == v.before
	}
	return a.Seq < v.lowest && !a.At.After(v.gone.AddDate(0, 0, 1))
}
