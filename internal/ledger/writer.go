package ledger

import (
	"errors"
	"path/filepath"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
)

const (
	housekeeping = time.Second
	retry        = 500 * time.Millisecond // to write again, after a failure
)

// load opens the file and begins an epoch in it.
func (l *Ledger) load() error {
	return guard(func() error {
		if err := l.store.open(filepath.Join(l.opts.Dir, FileName)); err != nil {
			return err
		}
		err := l.commit(func(tx *bbolt.Tx) (bool, error) { return true, l.books.load(tx) })
		l.switches.Store(l.books.switches())
		return err
	})
}

// write is the one goroutine that changes the ledger. Those who come while a
// batch is being written make up the next one.
func (l *Ledger) write() {
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	for {
		select {
		case <-l.queue.wake:
			if l.down.Load() == nil {
				l.turn()
			} else {
				l.refuse()
			}
		case <-tick.C:
			if l.down.Load() == nil {
				l.upkeep()
			}
		case <-l.repair.C:
			l.revive()
		case <-l.closed:
			l.last()
			return
		}
	}
}

// turn makes one batch of all that is queued.
func (l *Ledger) turn() {
	runtime.Gosched() // let those who were just answered ask again: fewer, larger batches
	ops := l.queue.take()
	if len(ops) == 0 {
		return
	}
	l.books.trim()
	var done *batch
	err := l.commit(func(tx *bbolt.Tx) (bool, error) {
		done = newBatch(l, tx)
		for i := range ops {
			if err := done.do(&ops[i]); err != nil {
				return false, err
			}
		}
		return l.seal(done)
	})
	if err != nil {
		l.fail(ops, err)
		return
	}
	l.announce(done)
	for i := range ops {
		l.reply(&ops[i])
	}
	clear(ops)
}

// seal puts the batch into its transaction, and lets the records of calls that end
// in it go first.
func (l *Ledger) seal(b *batch) (changed bool, err error) {
	if err := b.write(); err != nil {
		return false, err
	}
	if b.ended {
		if err := l.opts.BeforeEnd(); err != nil {
			return false, err
		}
	}
	return b.changed, nil
}

// announce shows what was committed, before anybody has an answer.
func (l *Ledger) announce(b *batch) {
	if b.switched {
		l.switches.Store(l.books.switches())
	}
	for _, e := range b.events {
		l.opts.Event(e)
	}
}

// reply answers after the commit. A reservation that nobody waits for any more is
// released in the next batch.
func (l *Ledger) reply(o *op) {
	if o.ask == nil || o.ask.reply(o.err) || o.verb != reserve || o.err != nil {
		return
	}
	if h := o.hold; l.books.live[h.request.ID] == h {
		l.queue.push(op{verb: free, hold: h}, false)
	}
}

// commit runs f in a transaction, which is durable and still at its path when
// commit returns nil. If f changed nothing, nothing is written.
func (l *Ledger) commit(f func(*bbolt.Tx) (changed bool, err error)) error {
	return guard(func() error {
		tx, err := l.store.begin()
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // does nothing after a commit
		changed, err := f(tx)
		if err != nil || !changed {
			return err
		}
		if err := l.opts.commit(tx); err != nil {
			return err
		}
		return l.store.here()
	})
}

// fail refuses a batch whose outcome is not known. From here on memory and file
// may differ, so nothing is decided until the file was read again.
func (l *Ledger) fail(ops []op, why error) {
	if l.down.Swap(&why) == nil {
		l.opts.Log.Error("the ledger cannot be written; nothing is sent until it can", "error", why)
		l.opts.Event(Event{Kind: Unwritable, At: time.Now()})
	}
	l.repair.Reset(l.opts.retry)
	ends := ops[:0]
	for _, o := range ops {
		if o.ask != nil {
			o.ask.reply(unavailable(why))
		}
		if o.hold == nil || o.verb == reserve && o.hold.key == (holdKey{}) {
			continue // it was not charged
		}
		l.books.live[o.hold.request.ID] = o.hold // revive finds out whether it is in the file
		if o.verb == reserve {
			o = op{verb: free, hold: o.hold} // in case it got there after all
		}
		ends = append(ends, o)
	}
	l.queue.putBack(ends)
}

// refuse answers those who came while nothing can be written. Ends stay queued.
func (l *Ledger) refuse() {
	why := *l.down.Load()
	ops := l.queue.take()
	ends := ops[:0]
	for _, o := range ops {
		if o.ask != nil {
			o.ask.reply(unavailable(why))
		} else {
			ends = append(ends, o)
		}
	}
	l.queue.putBack(ends)
}

// revive reads the file again and proves that it can be written, with the ends
// that are due.
func (l *Ledger) revive() {
	l.refuse()
	err := guard(l.store.reopen)
	if err == nil {
		err = l.commit(func(tx *bbolt.Tx) (bool, error) {
			if err := checkSchema(tx); err != nil {
				return false, err
			}
			if err := l.books.reload(tx); err != nil {
				return false, err
			}
			meta := tx.Bucket(bucketMeta)
			return true, meta.Put(metaEpoch, be32(l.books.epoch))
		})
	}
	if err != nil {
		l.down.Store(&err)
		l.repair.Reset(l.opts.retry)
		return
	}
	l.switches.Store(l.books.switches())
	l.down.Store(nil)
	l.opts.Log.Warn("the ledger can be written again")
	l.opts.Event(Event{Kind: Writable, At: time.Now()})
	l.turn()
}

// last frees the holds that were never used, as only this process can, and writes
// what is queued.
func (l *Ledger) last() {
	if l.down.Load() != nil {
		l.revive()
	}
	var unusedOnes []op
	for _, h := range l.books.live {
		if h.state.CompareAndSwap(unused, ended) {
			unusedOnes = append(unusedOnes, op{verb: free, hold: h})
		}
	}
	l.queue.putBack(unusedOnes)
	if l.down.Load() == nil {
		l.turn()
	}
	for _, o := range l.queue.take() {
		if o.ask != nil {
			o.ask.reply(unavailable(errors.Join(errClosed, l.Healthy())))
		}
	}
}
