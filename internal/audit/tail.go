package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tail is where an earlier process left the log.
type tail struct {
	chain link
	day   string // of the newest file
	last  string // of the file with the line of chain
	fresh bool   // there is no log yet
	notes []string
}

// findEnd finds the line that the next one follows. Where head and the lines do not
// agree, the chain goes on from the later of both: the gap stays for Verify to find.
func findEnd(dir string) (tail, error) {
	var end tail
	files, err := dayFiles(dir)
	if err != nil {
		return end, err
	}
	named, headErr := readHead(dir)
	if headErr != nil && !errors.Is(headErr, os.ErrNotExist) && !errors.Is(headErr, errHead) {
		return end, headErr
	}
	if len(files) > 0 {
		end.day = strings.TrimSuffix(files[len(files)-1], extension)
	}
	known := false // whether the line that head names was seen
	for _, name := range slices.Backward(files) {
		seen, err := end.search(filepath.Join(dir, name), named)
		if err != nil {
			return end, err
		}
		known = known || seen
		if end.chain.seq > 0 {
			end.last = strings.TrimSuffix(name, extension)
			break
		}
	}
	end.fresh = len(files) == 0 && errors.Is(headErr, os.ErrNotExist)
	switch {
	case headErr != nil && !end.fresh:
		end.note("the file head is missing or damaged: lines that were cut off the end would not be missed")
	case named.seq > end.chain.seq:
		end.note("lines were cut off: the last one is %d, head names %d", end.chain.seq, named.seq)
		end.chain = named
	case named.seq > 0 && !known:
		end.note("line %d is not the one that head names", named.seq)
		if named.seq == end.chain.seq {
			end.chain = named
		}
	}
	return end, nil
}

func (t *tail) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// maxLookBack bounds what a start reads for comparing with head, which is a second
// behind the lines at most.
const maxLookBack = 200_000

// search looks for the last sound line of a file, and back from it for the line
// that head names; what lies too far back counts as seen.
func (t *tail) search(path string, named link) (seen bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, cut, err := cutTorn(path, f)
	if err != nil {
		return false, err
	}
	if cut > 0 {
		t.notes = append(t.notes, tornNote(path, cut))
	}
	unsound := 0
	back := newBackward(f, size)
	for range maxLookBack {
		line, err := back.next()
		switch {
		case errors.Is(err, io.EOF):
			if unsound > 0 {
				t.note("%s ends with %d lines that are damaged", filepath.Base(path), unsound)
			}
			return named.seq < t.chain.seq && t.chain.seq > 0, nil // head names a line of an older file
		case err != nil && !errors.Is(err, errTooLong) && !errors.Is(err, errTorn):
			return false, err
		}
		_, l, unread := read(line)
		if err != nil || unread != nil {
			unsound++
			continue
		}
		if t.chain.seq == 0 {
			t.chain = l
			if unsound > 0 {
				t.note("%s ends with %d lines that are damaged", filepath.Base(path), unsound)
				unsound = 0
			}
		}
		if l.seq <= named.seq || named.seq == 0 {
			return l == named, nil
		}
	}
	return true, nil
}

func tornNote(path string, bytes int64) string {
	return fmt.Sprintf("the last line of %s was half-written (%d bytes) and was cut off", filepath.Base(path), bytes)
}

// cutTorn ends a file behind its last whole line. More than a line of ours can be is
// left where it is, as a line that Verify will name.
func cutTorn(path string, f interface {
	io.Writer
	Truncate(int64) error
}) (size, cut int64, err error) {
	r, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	id, err := r.Stat()
	if err != nil {
		return 0, 0, err
	}
	size = id.Size()
	end := make([]byte, min(size, maxLine))
	if _, err := r.ReadAt(end, size-int64(len(end))); err != nil {
		return 0, 0, err
	}
	cut = int64(len(end) - 1 - bytes.LastIndexByte(end, '\n'))
	switch {
	case cut == 0:
		return size, 0, nil
	case cut == maxLine:
		_, err := f.Write([]byte{'\n'})
		return size + 1, 0, err
	}
	return size - cut, cut, f.Truncate(size - cut)
}
