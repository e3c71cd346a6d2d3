package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/audit"
)

func TestEveryFlippedByteIsFoundAndNamed(t *testing.T) {
	dir := written(t, 3)
	path := theFile(t, dir)
	good := content(t, path)
	sound(t, dir)
	for i := range good {
		line := int64(1 + bytes.Count(good[:i], []byte{'\n'}))
		for _, mask := range []byte{0x01, 0x20, 0x80} {
			bad := bytes.Clone(good)
			bad[i] ^= mask
			put(t, path, bad)
			f := verify(t, dir).Fault
			if f == nil {
				t.Fatalf("byte %d (%q) of line %d flipped with %#x: not found", i, good[i], line, mask)
			}
			if f.File != filepath.Base(path) || f.Line != line || f.Seq != line {
				t.Fatalf("byte %d (%q) of line %d flipped with %#x: named as %v", i, good[i], line, mask, f)
			}
		}
	}
}

func TestEveryFlippedByteOfHeadIsFound(t *testing.T) {
	dir := written(t, 12)
	path := filepath.Join(dir, "head")
	good := content(t, path)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		put(t, path, bad)
		if verify(t, dir).OK() {
			t.Errorf("byte %d (%q) of head flipped: not found", i, good[i])
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if f := verify(t, dir).Fault; f == nil || f.Wrong != audit.Damaged || f.File != "head" {
		t.Errorf("head was removed: %v", f)
	}
}

func TestTakenMovedAndRepeatedLinesAreNamed(t *testing.T) {
	dir := written(t, 6)
	path := theFile(t, dir)
	good := linesOf(content(t, path))
	good[len(good)-1] = append(good[len(good)-1], '\n')
	write := func(all [][]byte) { put(t, path, bytes.Join(all, nil)) }
	check := func(what string, want audit.Wrong, line, seq int64) {
		t.Helper()
		f := verify(t, dir).Fault
		if f == nil || f.Wrong != want || f.Line != line || f.Seq != seq {
			t.Errorf("%s: got %v, want it %s at line %d, number %d", what, f, want, line, seq)
		}
	}
	last := len(good) - 1
	for i := range good {
		at := int64(i + 1)
		write(slices.Delete(slices.Clone(good), i, i+1))
		if i == last {
			check("removed the last", audit.CutOff, at, at)
		} else {
			check(fmt.Sprint("removed ", at), audit.Missing, at, at)
		}
		write(slices.Insert(slices.Clone(good), i+1, good[i]))
		check(fmt.Sprint("repeated ", at), audit.Repeated, at+1, at)

		for j := i + 1; j < len(good); j++ {
			swapped := slices.Clone(good)
			swapped[i], swapped[j] = good[j], good[i]
			write(swapped)
			if f := verify(t, dir).Fault; f == nil || f.Wrong != audit.Reordered {
				t.Errorf("swapped %d and %d: %v", i+1, j+1, f)
			} else if i > 0 && f.Line != at {
				t.Errorf("swapped %d and %d: named at line %d", i+1, j+1, f.Line)
			}
		}
		write(slices.Clone(good)[:i])
		if i > 0 {
			check(fmt.Sprint("cut from ", at), audit.CutOff, at, at)
		} else if f := verify(t, dir).Fault; f == nil || f.Wrong != audit.CutOff {
			t.Errorf("emptied: %v", f)
		}
	}
	write(good)
	sound(t, dir)
}

// A liar who knows SHA-256 seals the line that they changed.
func TestALineSealedAgainDoesNotFit(t *testing.T) {
	dir := written(t, 6)
	path := theFile(t, dir)
	good := linesOf(content(t, path))
	for i := range good {
		lies := slices.Clone(good)
		lies[i] = reseal(t, bytes.Replace(good[i], []byte(`"time":"20`), []byte(`"time":"19`), 1))
		put(t, path, append(bytes.Join(lies, nil), '\n'))
		f := verify(t, dir).Fault
		if f == nil || f.Wrong != audit.Changed || f.Line != int64(i+1) {
			t.Errorf("line %d sealed again: %v", i+1, f)
		}
	}
}

func reseal(t *testing.T, line []byte) []byte {
	t.Helper()
	covered, _, _ := bytes.Cut(line, []byte(`,"hash":"`))
	return fmt.Appendf(nil, `%s,"hash":"%s"}%s`, covered, sum(covered), line[len(bytes.TrimRight(line, "\n")):])
}

// Whoever writes the whole log anew satisfies everything but an anchor.
func TestAnchorsConvictAWholeForgery(t *testing.T) {
	dir := written(t, 6)
	honest := sound(t, dir)
	end := audit.Anchor{Seq: honest.Last.Seq, Head: honest.Last.Hash}
	beyond := audit.Anchor{Seq: end.Seq + 5, Head: end.Head}
	if got := sound(t, dir, end).Anchors; len(got) != 1 || !got[0].Found {
		t.Errorf("the true anchor: %+v", got)
	}
	if f := verify(t, dir, beyond).Fault; f == nil || f.Wrong != audit.Rewritten {
		t.Errorf("an anchor beyond the end: %v", f)
	}
	forged := written(t, 6)
	sound(t, forged)
	report := verify(t, forged, end)
	if f := report.Fault; f == nil || f.Wrong != audit.Rewritten || !strings.Contains(f.Text, end.String()) {
		t.Errorf("a forged log against an anchor of the true one: %v", f)
	}
	if !strings.Contains(report.String(), "NOT in the chain") {
		t.Errorf("it is said as %q", report.String())
	}
}

func TestAnchorsAreReadAsTheyArePrinted(t *testing.T) {
	want := audit.Anchor{Seq: 1234, Head: strings.Repeat("ab", 32)}
	got, err := audit.ParseAnchor(" " + strings.ToUpper(want.String()) + "\n")
	if err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "12", ":", "12:", "12:zz", "-1:" + want.Head, want.String() + "00", "1.5:" + want.Head} {
		if a, err := audit.ParseAnchor(bad); err == nil {
			t.Errorf("%q was read as %v", bad, a)
		}
	}
}

// days makes a log of three days with two requests each.
func days(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	c := newClock(time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC))
	l := open(t, audit.Options{Dir: dir, Now: c.Now})
	for day := range 3 {
		c.set(time.Date(2026, 11, 20+day, 23, 30, 0, 0, time.UTC))
		for i := range 2 {
			l.Request(&audit.Record{ID: fmt.Sprintf("%d-%d", day, i)}, false)
		}
		l.Drain()
	}
	shut(t, l)
	return dir
}

func TestTheChainGoesOverDays(t *testing.T) {
	dir := days(t)
	var names []string
	for _, path := range files(t, dir) {
		names = append(names, filepath.Base(path))
	}
	if diff := cmp.Diff([]string{"2026-11-20.jsonl", "2026-11-21.jsonl", "2026-11-22.jsonl"}, names); diff != "" {
		t.Fatal(diff)
	}
	if r := sound(t, dir); r.Records != 8 || r.Files != 3 || r.First.Seq != 1 || r.Last.Seq != 8 {
		t.Errorf("%+v", r)
	}
}

func TestRemovedAndMovedFilesAreNamed(t *testing.T) {
	for i, want := range []struct {
		wrong audit.Wrong
		seq   int64
	}{{audit.Missing, 1}, {audit.Missing, 4}, {audit.CutOff, 6}} {
		dir := days(t)
		if err := os.Remove(files(t, dir)[i]); err != nil {
			t.Fatal(err)
		}
		report := verify(t, dir)
		if f := report.Fault; f == nil || f.Wrong != want.wrong || f.Seq != want.seq {
			t.Errorf("file %d removed: %v", i, f)
		}
		if report.Retention {
			t.Errorf("file %d removed: taken for retention", i)
		}
	}
	dir := days(t)
	names := files(t, dir)
	for _, move := range [][2]string{{names[0], names[0] + "x"}, {names[1], names[0]}, {names[0] + "x", names[1]}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
	if f := verify(t, dir).Fault; f == nil || f.Wrong != audit.Reordered {
		t.Errorf("two files changed places: %v", f)
	}
}

func TestTheLogCanBeCheckedWithoutThisProgram(t *testing.T) {
	for _, tool := range []string{"bash", "sed", "sha256sum", "cut"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	path := theFile(t, written(t, 3))
	script := `line=$(sed -n 2p "$1"); printf %s "${line%,\"hash\":*}" | sha256sum | cut -d' ' -f1`
	out, err := exec.Command("bash", "-c", script, "bash", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	own := strings.TrimSpace(string(out))
	lines := linesOf(content(t, path))
	if !bytes.Contains(lines[1], []byte(`,"hash":"`+own+`"}`)) || !bytes.Contains(lines[2], []byte(`"prev":"`+own+`"`)) {
		t.Errorf("sha256sum says %s of\n%s%s", own, lines[1], lines[2])
	}
}

func TestVerifyOfNothing(t *testing.T) {
	if _, err := audit.Verify(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if r := sound(t, t.TempDir()); r.Records != 0 {
		t.Errorf("an empty one: %+v", r)
	}
}
