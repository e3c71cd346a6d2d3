package audit

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Retention removes whole files that are older than Keep. What holds:
//
//   - A file is old only by the wall clock and by the time that it is at least (see
//     trust), so a clock that leaps, or is wrong from boot on, removes nothing. A server
//     that runs for less than a day at a time keeps a file up to two days longer.
//   - The newest file and the open one always stay.
//   - One file goes at a start, after that two in each 24 hours of uptime: whatever goes
//     wrong, there is time to notice the warning.
//
// Once a clock that was ahead is right again, lines go on in the file of the day it
// showed, for files must not lose their order. No other is begun until that day has
// come. With the server stopped, that file may be renamed to the day of its last line.
const (
	mostAtStart = 1
	mostPerDay  = 2

	retention   = "retention" // the action of the line that says where the log begins
	beginTarget = "seq:"
)

// again opens the next 24 hours of uptime, if it is time.
func (k *keeper) again(up time.Time) bool {
	if up.Sub(k.window) < 24*time.Hour {
		return false
	}
	k.window, k.left = up, mostPerDay
	return true
}

// retain removes files that are too old. A line says first where the log begins
// from then on: else a file that somebody took away would look the same.
func (k *keeper) retain(now, sure time.Time) {
	k.day = dayOf(now)
	l := k.log
	if l.opts.Keep <= 0 || l.opts.Visit {
		return
	}
	files, err := dayFiles(l.opts.Dir)
	if err != nil {
		l.opts.Log.Warn("remove old files of the audit log", "error", err)
		return
	}
	may := l.closed(files)
	old := countOld(may, sure.Add(-l.opts.Keep))
	n := min(old, k.left)
	if stay := countOld(may, now.Add(-l.opts.Keep)) - n; stay > 0 {
		l.opts.Log.Warn("more files of the audit log look too old than are removed at once: is the clock right?",
			"now", now, "removed", n, "stay", stay)
	}
	if n == 0 {
		return
	}
	k.left -= n
	if err := l.begins(files[:n], files[n:], now); err != nil {
		l.opts.Log.Warn("old files of the audit log stay until tomorrow", "error", err)
		return
	}
	for _, name := range files[:n] {
		if err := os.Remove(filepath.Join(l.opts.Dir, name)); err != nil {
			l.opts.Log.Warn("remove an old file of the audit log", "error", err)
			return // the rest would leave a hole
		}
	}
}

// closed are the files before the newest and before the open one.
func (l *Log) closed(files []string) []string {
	l.mu.Lock()
	open := l.book.day + extension
	l.mu.Unlock()
	at, _ := slices.BinarySearch(files, open)
	return files[:max(0, min(at, len(files)-1))]
}

// countOld is how many files at the beginning were written before t.
func countOld(files []string, t time.Time) int {
	n := 0
	for n < len(files) && tooOld(files[n], t) {
		n++
	}
	return n
}

// tooOld says that all of a file was written before t.
func tooOld(name string, t time.Time) bool {
	start, err := dayStart(name)
	return err == nil && !start.AddDate(0, 0, 1).After(t)
}

// begins writes the line that says where the log begins without its old files.
func (l *Log) begins(old, rest []string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	begin := l.book.chain.seq + 1 // the line that is written now
	for _, name := range rest {
		first, err := firstSeq(filepath.Join(l.opts.Dir, name))
		if err != nil {
			return err
		}
		if first > 0 {
			begin = first
			break
		}
	}
	day := func(name string) string { return strings.TrimSuffix(name, extension) }
	l.push(&Record{
		Kind: Operator, Time: now, Outcome: Done, Action: retention, By: Folder,
		Target: beginTarget + strconv.FormatInt(begin, 10),
		Why:    fmt.Sprintf("%s; removed %s to %s", keepText(l.opts.Keep), day(old[0]), day(old[len(old)-1])),
	}, false)
	l.flush()
	if err := l.health.why(); err != nil {
		return err
	}
	return l.book.secure()
}

const (
	keepPrefix = "keeps "
	keepDays   = " day" // or days
)

// keepText says in a line how long files are kept, for Verify and for people.
func keepText(keep time.Duration) string {
	days := keep / (24 * time.Hour)
	switch {
	case keep%(24*time.Hour) != 0:
		return keepPrefix + keep.String()
	case days == 1:
		return keepPrefix + "1" + keepDays
	}
	return keepPrefix + strconv.FormatInt(int64(days), 10) + keepDays + "s"
}

// keepIn is what keepText said in a line's Why; 0 if nothing.
func keepIn(why string) time.Duration {
	for part := range strings.SplitSeq(why, "; ") {
		keep, ok := strings.CutPrefix(part, keepPrefix)
		if !ok {
			continue
		}
		if number, ok := strings.CutSuffix(strings.TrimSuffix(keep, "s"), keepDays); ok {
			days, err := strconv.ParseInt(number, 10, 64)
			if err != nil || days < 0 || days > math.MaxInt64/int64(24*time.Hour) {
				return 0
			}
			return time.Duration(days) * 24 * time.Hour
		}
		d, err := time.ParseDuration(keep)
		if err != nil {
			return 0
		}
		return d
	}
	return 0
}

// begin is where the log begins, if r says that.
func (r *Record) begin() (int64, bool) {
	number, ok := strings.CutPrefix(r.Target, beginTarget)
	if !ok || r.Action != retention || r.Kind != Operator || r.By != Folder {
		return 0, false
	}
	seq, err := strconv.ParseInt(number, 10, 64)
	return seq, err == nil
}

// firstSeq is the number of a file's first line that can be read; 0 if none can.
func firstSeq(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	all := newForward(f, math.MaxInt64)
	for {
		line, err := all.next()
		switch {
		case err == nil:
			if r, err := decode(line); err == nil {
				return r.Seq, nil
			}
		case !errors.Is(err, errTooLong):
			return 0, ignoreEnd(err)
		}
	}
}
