package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Query says which records. Empty members leave everything in.
type Query struct {
	From, To time.Time // From is included, To is not

	Kind                                     Kind
	User, Outcome, Code, Endpoint, Model, ID string // exactly

	Limit  int   // the most records; 0: all
	Before int64 // only records with smaller numbers: the next page of the newest
	Oldest bool  // the oldest come first
}

// Unreadable is what Search returns when lines could not be read that have all that
// the query names. Everything else was found.
type Unreadable struct {
	Lines int    // how many
	File  string // of the first that was met
}

func (u *Unreadable) Error() string {
	return fmt.Sprintf("%d lines cannot be read, one of them in %s: verify the audit log", u.Lines, u.File)
}

// ErrEnough is what visit returns to end a Search that has gone well so far: what it
// passed over on the way is told nevertheless.
var ErrEnough = errors.New("enough")

// Search gives visit the records that q asks for, the newest first, until visit
// returns an error, which Search returns unless it is ErrEnough. It reads the files as
// they are: beside a running server (a line is there 20 ms after it was queued, if
// nobody waited) and without one.
func Search(ctx context.Context, dir string, q Query, visit func(Record) error) error {
	files, err := dayFiles(dir)
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	if !q.Oldest {
		slices.Reverse(files)
	}
	s := searcher{q: q, marks: q.marks(), visit: visit}
	for _, name := range files {
		if !q.From.IsZero() && tooOld(name, q.From.Add(-clockSlack)) {
			continue
		}
		err := s.file(ctx, filepath.Join(dir, name))
		if errors.Is(err, ErrEnough) {
			break
		}
		if err != nil {
			return err
		}
	}
	if s.unread.Lines > 0 {
		return &s.unread
	}
	return nil
}

// clockSlack is how far a clock may have been set back while a day's file was open:
// a record is written after its time, so a file that ended before From has nothing
// of interest. The other end has no such rule: a call that a crash cut off is
// written when the next server starts.
const clockSlack = time.Hour

type searcher struct {
	q      Query
	marks  [][]byte
	visit  func(Record) error
	found  int
	unread Unreadable
}

// marks are what a line must have to be worth reading.
func (q *Query) marks() (marks [][]byte) {
	for _, m := range []struct{ name, value string }{
		{`"id":`, q.ID}, {`"user":`, q.User}, {`"endpoint":`, q.Endpoint}, {`"model":`, q.Model},
		{`"outcome":`, q.Outcome}, {`"code":`, q.Code}, {`"kind":`, string(q.Kind)},
	} {
		if m.value != "" {
			marks = append(marks, appendText(nil, m.name, m.value, maxText))
		}
	}
	return marks
}

func (s *searcher) file(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // too old since we looked
	}
	if err != nil {
		return err
	}
	defer f.Close()
	all, err := s.lines(f)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if n%1000 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line, err := all.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errTorn): // it is being written; if not, Verify says so
		case errors.Is(err, errTooLong):
			s.unreadable(path)
		case err != nil:
			return fmt.Errorf("read %s: %w", path, err)
		default:
			if err := s.line(path, line); err != nil {
				return err
			}
		}
	}
}

func (s *searcher) lines(f *os.File) (lines, error) {
	id, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if s.q.Oldest {
		return newForward(f, id.Size()), nil
	}
	return newBackward(f, id.Size()), nil
}

func (s *searcher) line(path string, line []byte) error {
	for _, mark := range s.marks {
		if !bytes.Contains(line, mark) {
			return nil
		}
	}
	r, err := decode(line)
	if err != nil {
		s.unreadable(path)
		return nil
	}
	if !s.q.wants(&r) {
		return nil
	}
	s.found++
	if err := s.visit(r); err != nil {
		return err
	}
	if s.found == s.q.Limit {
		return ErrEnough
	}
	return nil
}

func (s *searcher) unreadable(path string) {
	if s.unread.Lines++; s.unread.Lines == 1 {
		s.unread.File = filepath.Base(path)
	}
}

func (q *Query) wants(r *Record) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(q.ID, r.ID) && is(q.User, r.User) && is(q.Endpoint, r.Endpoint) && is(q.Model, r.Model) &&
		is(q.Outcome, r.Outcome) && is(q.Code, r.Code) && is(string(q.Kind), string(r.Kind)) &&
		(q.Before == 0 || r.Seq < q.Before) &&
		(q.From.IsZero() || !r.Time.Before(q.From)) && (q.To.IsZero() || r.Time.Before(q.To))
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
		return nil
	}
	return err
}
