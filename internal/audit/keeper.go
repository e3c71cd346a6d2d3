package audit

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// keeper does what is due by the clock: sync each second, count refusals each
// minute, anchor each hour, remove old files each day, and try a broken disk again.
type keeper struct {
	log      *Log
	anchored time.Time // the last anchor
	clock    trust

	day    string    // whose old files were removed
	window time.Time // of uptime, in which left more files may be removed
	left   int
}

const anchorEvery = time.Hour

func newKeeper(l *Log) *keeper {
	now, up := l.opts.Now(), time.Now()
	l.refusals.minute = now.Truncate(time.Minute)
	return &keeper{log: l, clock: newTrust(now, up, l.seen), window: up, left: mostAtStart}
}

func (k *keeper) run() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			k.tick(k.log.opts.Now(), time.Now())
		case <-k.log.stop:
			return
		}
	}
}

// tick does what is due now, by the wall clock; up is the same moment on the clock
// that nobody sets.
func (k *keeper) tick(now, up time.Time) {
	l := k.log
	sure := k.clock.read(now, up) // each second: a leap must not be missed
	l.watchForStall()
	for _, r := range slices.Concat(l.refusals.turn(now), l.turned.turn(now)) {
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
	if k.again(up) || dayOf(now) != k.day {
		k.retain(now, sure)
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
	k.log.tellAnchor()
}
