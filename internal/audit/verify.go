package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Verify reads the whole log and says whether each line is the one that was written.
// It works beside a running server. The error is about reading; what is wrong with
// the log is in the Report.
func Verify(ctx context.Context, dir string, anchors ...Anchor) (Report, error) {
	v := verifier{beginning: beginning{now: time.Now()}}
	for _, a := range anchors {
		v.report.Anchors = append(v.report.Anchors, Anchored{Anchor: a})
	}
	// head first: the lines grow meanwhile, and it must not be ahead of what we read.
	head, headErr := readHead(dir)
	files, err := dayFiles(dir)
	if err != nil {
		return v.report, fmt.Errorf("verify the audit log: %w", err)
	}
	v.head = head
	for i, name := range files {
		if err := v.file(ctx, dir, name, i == len(files)-1); err != nil {
			return v.report, fmt.Errorf("verify the audit log: %w", err)
		}
	}
	v.judgeBeginning()
	if headErr != nil && (v.report.Records > 0 || !errors.Is(headErr, os.ErrNotExist)) {
		v.fault(Damaged, place{headName, 0, 0}, "the file is missing or damaged, so nobody can say whether lines were cut off the end")
	} else {
		v.judgeEnd()
	}
	v.judgeAnchors()
	return v.report, nil
}

// place is where a line stands.
type place struct {
	file string
	line int64
	seq  int64
}

type verifier struct {
	report Report
	head   link

	last   link // of the lines so far, the one with the highest number
	at     place
	lowest int64 // number of all lines
	beginning
	missing  [2]int64
	headless bool   // what stands before the first line cannot be read
	resumes  bool   // the line before could not be read: the next one is taken as it is
	named    *place // the line with head's number
	same     bool   // and it is the one that head names
}

func (v *verifier) file(ctx context.Context, dir, name string, newest bool) error {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) && v.report.Records == 0 {
		return nil // retention took it since we looked
	}
	if err != nil {
		return err
	}
	defer f.Close()
	id, err := f.Stat()
	if err != nil {
		return err
	}
	v.report.Files++
	all := newForward(f, id.Size())
	for n := int64(1); ; n++ {
		if n%1000 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line, err := all.next()
		here := place{name, n, v.last.seq + 1}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errTorn) && newest:
			v.report.Torn = true
		case errors.Is(err, errTorn), errors.Is(err, errTooLong):
			v.garbled(here, err)
		case err != nil:
			return err
		default:
			v.line(here, line)
		}
	}
}

func (v *verifier) garbled(here place, err error) {
	v.report.Records++
	v.resumes = true
	v.fault(Damaged, here, "the line %v", err)
}

// line judges a line by itself, then by its place.
func (v *verifier) line(here place, line []byte) {
	r, l, err := read(line)
	if errors.Is(err, errChanged) {
		v.report.Records++
		v.resumes = true
		v.fault(Changed, here, "the line was changed: it %v", err)
		return
	}
	if err != nil {
		v.garbled(here, err)
		return
	}
	here.seq = l.seq
	v.report.Records++
	v.meet(here, l)
	s, _ := unseal(line)
	v.order(here, l, string(s.prev))

	end := End{Seq: l.seq, Hash: l.String(), Time: r.Time, File: here.file}
	if v.report.First.Seq == 0 {
		v.report.First, v.lowest = end, l.seq
		v.headless = v.report.Fault != nil
		v.opens(&s)
	}
	v.lowest = min(v.lowest, l.seq)
	v.retained(here, &r)
	v.resumes = false
	if l.seq > v.last.seq {
		v.last, v.at = l, here
		v.report.Last = end
	}
}

// meet compares a line with what head and the anchors say of it.
func (v *verifier) meet(here place, l link) {
	if l.seq == v.head.seq {
		v.named, v.same = &here, v.same || l == v.head
	}
	for i := range v.report.Anchors {
		if a := &v.report.Anchors[i]; a.Seq == l.seq {
			a.Found = a.Found || a.Head == l.String()
		}
	}
}

// order judges a line by the one before it.
func (v *verifier) order(here place, l link, prev string) {
	switch want := v.last.seq + 1; {
	case v.report.First.Seq == 0:
		if l.seq == 1 && prev != (link{}).String() {
			v.fault(Changed, here, "it is the first line and names another before it")
		}
	case l.seq < want && v.missing[0] <= l.seq && l.seq <= v.missing[1]:
		if f := v.report.Fault; f != nil && f.Wrong == Missing {
			f.Wrong, f.Text = Reordered, fmt.Sprintf("lines were moved: number %d stands behind number %d", l.seq, v.missing[1]+1)
		}
	case l.seq < v.lowest:
		v.fault(Reordered, here, "lines were moved: number %d stands behind number %d", l.seq, v.last.seq)
	case l.seq < want:
		v.fault(Repeated, here, "the line stands here a second time")
	case v.resumes: // what was wrong is said
	case l.seq > want:
		if v.report.Fault == nil {
			v.missing = [2]int64{want, l.seq - 1}
		}
		here.seq = want
		v.fault(Missing, here, "%s missing between line %d of %s and this one", numbers(want, l.seq-1), v.at.line, v.at.file)
	case prev != v.last.String():
		v.fault(Changed, v.at, "the line was changed and sealed again: number %d, which follows, names another hash", l.seq)
	}
}

func numbers(from, to int64) string {
	if from == to {
		return fmt.Sprintf("number %d is", from)
	}
	return fmt.Sprintf("numbers %d to %d are", from, to)
}

// fault notes the first thing that is wrong, and counts all.
func (v *verifier) fault(w Wrong, at place, format string, args ...any) {
	v.report.Faults++
	if v.report.Fault == nil {
		v.report.Fault = &Fault{Wrong: w, File: at.file, Line: at.line, Seq: at.seq, Text: fmt.Sprintf(format, args...)}
	}
}

func (v *verifier) judgeEnd() {
	switch end := (place{v.at.file, v.at.line + 1, v.last.seq + 1}); {
	case v.head.seq > v.last.seq:
		v.fault(CutOff, end, "%s cut off the end: head names %d", numbers(v.last.seq+1, v.head.seq), v.head.seq)
	case v.named != nil && !v.same:
		v.fault(Changed, *v.named, "the line was changed and sealed again: head names another hash")
	}
}
