package audit

import (
	"errors"
	"time"
)

// linger is how long records wait for others when nobody waits for them.
const linger = 20 * time.Millisecond

// push queues r and wakes the writer. The channel is nil when there is nothing to
// wait for.
func (l *Log) push(r *Record, wait bool) <-chan struct{} {
	if r.Kind == "" || r.Time.IsZero() {
		filled := *r
		if filled.Kind == "" {
			filled.Kind = Request
		}
		if filled.Time.IsZero() {
			filled.Time = l.opts.Now()
		}
		r = &filled
	}
	written, waiting, err := l.queue.push(r, wait)
	switch {
	case err != nil:
		l.complain(err)
		return nil
	case l.health.failing.Load():
		return nil
	case wait || waiting >= many:
		nudge(l.urgent)
	case waiting == 1:
		nudge(l.soon)
	}
	return written
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// writer writes what is queued: at once when somebody waits, else soon.
func (l *Log) writer() {
	for {
		select {
		case <-l.urgent:
		case <-l.soon:
			timer := time.NewTimer(linger)
			select {
			case <-timer.C:
			case <-l.urgent:
			case <-l.stop:
			}
			timer.Stop()
		case <-l.stop:
			return // Close writes the rest
		}
		l.Drain()
	}
}

// flush writes all that is queued, and what there is to say about a time in which
// that was not possible.
func (l *Log) flush() {
	err := l.put()
	if err == nil && l.health.why() == nil {
		return
	}
	if err != nil {
		l.complain(err)
	}
	// Once more at once: a file that was removed is made anew without a loss.
	if err := l.mend(); err != nil {
		l.fail(err)
	}
}

func (l *Log) complain(err error) {
	if l.health.why() == nil {
		l.opts.Log.Error("the audit log cannot be written", "error", err)
	}
	l.health.broke(err)
}

// fail leaves further tries to the keeper.
func (l *Log) fail(err error) {
	l.health.failing.Store(true)
	l.complain(err)
	l.held.done() // nobody waits for a disk that is broken
}

// put writes all that is queued. What a broken disk leaves is held for the next try.
func (l *Log) put() error {
	l.since.Store(time.Now().UnixNano())
	defer l.since.Store(0)
	for {
		if len(l.held.records) == 0 {
			if l.held = l.queue.take(); len(l.held.records) == 0 {
				return nil
			}
		}
		err := l.book.ready(l.opts.Now())
		if err != nil {
			return err
		}
		n, err := l.book.append(l.held.records)
		l.queue.left.Add(int64(-n))
		l.queue.written.Add(int64(n))
		if err != nil {
			l.held.records = l.held.records[n:]
			return err
		}
		l.held.done()
		l.queue.recycle(l.held.records)
		l.held = batch{}
	}
}

// mend tries whether everything works again, syncing included, and says in a line
// of its own what was lost.
func (l *Log) mend() error {
	if err := l.book.ready(l.opts.Now()); err != nil {
		return err
	}
	if err := l.put(); err != nil {
		return err
	}
	if err := l.book.secure(); err != nil {
		return err
	}
	why := l.health.why()
	if why == nil {
		return nil
	}
	lost := l.queue.lost.Load()
	r := Record{Kind: Lost, Time: l.opts.Now(), Count: lost, Why: errors.Join(why, l.book.note()).Error()}
	if _, err := l.book.append([]Record{r}); err != nil {
		return err
	}
	l.queue.lost.Add(-lost)
	l.opts.Log.Warn("the audit log is written again", "lost", lost, "after", why)
	l.health.mended()
	return nil
}

const (
	longWrite  = 100 * time.Millisecond // is not waited for where that can be put off
	stallAfter = 5 * time.Second        // is trouble
)

// writingFor is how long the write that is under way has taken.
func (l *Log) writingFor() time.Duration {
	began := l.since.Load()
	if began == 0 {
		return 0
	}
	return time.Since(time.Unix(0, began))
}

// watchForStall notices a write that does not come back, without waiting for it.
func (l *Log) watchForStall() {
	if l.writingFor() > stallAfter {
		l.health.broke(errStall)
	}
}
