package audit

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// keeper does what is due by the clock: sync each second, count refusals each
// minute, anchor each hour, remove old files each day, and try a broken disk again.
type keeper struct {
	log      *Log
	day      string    // whose old files were removed
	anchored time.Time // the last anchor
}

const anchorEvery = time.Hour

func newKeeper(l *Log) *keeper {
	l.refusals.minute = l.opts.Now().Truncate(time.Minute)
	return &keeper{log: l}
}

func (k *keeper) run() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			k.tick(k.log.opts.Now())
		case <-k.log.stop:
			return
		}
	}
}

func (k *keeper) tick(now time.Time) {
	l := k.log
	l.watchForStall()
	for _, r := range l.refusals.turn(now) {
		l.push(&r, false)
	}
	if l.writingFor() > longWrite {
		return // do not wait for it: this is who notices
	}
	if l.health.why() != nil {
		l.mu.Lock()
		l.flush()
		l.mu.Unlock()
	}
	k.sync()
	if dayOf(now) != k.day {
		k.retain(now)
	}
	if now.Sub(k.anchored) >= anchorEvery {
		k.anchor(now)
	}
}

// sync makes durable what was written. It holds nobody up meanwhile.
func (k *keeper) sync() {
	l := k.log
	l.mu.Lock()
	open, path, end := l.book.file, l.book.path, l.book.chain
	l.mu.Unlock()
	if open == nil || l.book.head.names(end) || l.health.failing.Load() {
		return
	}
	err := open.Sync()
	switch {
	case errors.Is(err, os.ErrClosed): // the day is over: the file was synced before that
		return
	case err != nil:
		err = fmt.Errorf("sync %s: %w", path, err)
	default:
		err = l.book.head.write(end)
	}
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.fail(err)
	}
}

func (k *keeper) anchor(now time.Time) {
	k.anchored = now
	safe := k.log.book.head.last()
	k.log.opts.Anchor(safe.seq, safe.String())
}

const (
	retention   = "retention" // the action of the line that says where the log begins
	beginTarget = "seq:"
)

// retain removes files that are too old. A line says first where the log begins
// from then on: else a file that somebody took away would look the same.
func (k *keeper) retain(now time.Time) {
	k.day = dayOf(now)
	l := k.log
	if l.opts.Keep <= 0 {
		return
	}
	files, err := dayFiles(l.opts.Dir)
	if err != nil {
		l.opts.Log.Warn("remove old files of the audit log", "error", err)
		return
	}
	old := 0
	for old < len(files) && tooOld(files[old], now.Add(-l.opts.Keep)) {
		old++
	}
	if old == 0 {
		return
	}
	if err := l.begins(files[:old], files[old:]); err != nil {
		l.opts.Log.Warn("old files of the audit log stay until tomorrow", "error", err)
		return
	}
	for _, name := range files[:old] {
		if err := os.Remove(filepath.Join(l.opts.Dir, name)); err != nil {
			l.opts.Log.Warn("remove an old file of the audit log", "error", err)
			return // the rest would leave a hole
		}
	}
}

// tooOld says that all of a file was written before t.
func tooOld(name string, t time.Time) bool {
	start, err := dayStart(name)
	return err == nil && !start.AddDate(0, 0, 1).After(t)
}

// begins writes the line that says where the log begins without its old files.
func (l *Log) begins(old, rest []string) error {
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
	why := fmt.Sprintf("files older than %d days are removed: %s to %s", int(l.opts.Keep.Hours()/24), old[0], old[len(old)-1])
	l.push(&Record{
		Kind: Operator, Outcome: Done, Action: retention, By: Folder, Why: why,
		Target: beginTarget + strconv.FormatInt(begin, 10),
	}, false)
	l.flush()
	if err := l.health.why(); err != nil {
		return err
	}
	return l.book.secure()
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
