package audit

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	leap       = 10 * time.Minute // more than a clock that is being set right moves in a step
	trustAfter = 24 * time.Hour
)

// trust is what time it is at least, for the one decision that cannot be taken back:
// what is removed. A wall clock may be wrong for seconds (a step) or from boot on (a
// board without a battery). So time begins where earlier lines saw it, goes on with
// the clock that nobody sets, and is the wall clock's once that has gone with it for
// a day.
type trust struct {
	wall, up time.Time // of one moment, on both clocks
	sure     time.Time // of that moment, at least
	steady   time.Time // by up: since when both go together
}

func newTrust(now, up, seen time.Time) trust {
	return trust{wall: now.Round(0), up: up, sure: seen, steady: up}
}

// read is what time it is at least, and never later than the wall clock.
func (t *trust) read(now, up time.Time) time.Time {
	now = now.Round(0) // else Sub would not see the wall clock at all
	passed := up.Sub(t.up)
	if drift := now.Sub(t.wall) - passed; drift.Abs() > leap {
		t.wall, t.up, t.sure, t.steady = now, up, t.sure.Add(passed), up
	} else if up.Sub(t.steady) >= trustAfter {
		t.wall, t.up, t.sure = now, up, now
	}
	if sure := t.sure.Add(up.Sub(t.up)); sure.Before(now) {
		return sure
	}
	return now
}

// lastSeen is what time it was at least when earlier processes wrote: the older of
// the last lines of the two newest files. One file may be from starts with a wrong
// clock, again and again; the file before it is not. Without two there is nothing to
// remove, and it is the zero time.
func lastSeen(dir string) (time.Time, error) {
	files, err := dayFiles(dir)
	if err != nil {
		return time.Time{}, err
	}
	var newest time.Time
	for _, name := range slices.Backward(files) {
		at, err := lastTime(filepath.Join(dir, name))
		switch {
		case err != nil:
			return time.Time{}, err
		case at.IsZero(): // no line that can be read
		case newest.IsZero():
			newest = at
		case at.Before(newest):
			return at, nil
		default:
			return newest, nil
		}
	}
	return time.Time{}, nil
}

// lastTime is the time of a file's last sound line, or zero.
func lastTime(path string) (time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	id, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	back := newBackward(f, id.Size())
	for range maxLookBack {
		line, err := back.next()
		switch {
		case errors.Is(err, io.EOF):
			return time.Time{}, nil
		case errors.Is(err, errTorn), errors.Is(err, errTooLong):
			continue
		case err != nil:
			return time.Time{}, err
		}
		if r, _, err := read(line); err == nil {
			return r.Time, nil
		}
	}
	return time.Time{}, nil
}
