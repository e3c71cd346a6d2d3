package ledger

import (
	"bytes"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

const (
	keepDays = 400
	// chunk bounds the rows that upkeep changes in one transaction, and with it
	// how long a reserve can wait behind it.
	chunk = 500
)

// chores are what is still to be done. None of them moves money.
type chores struct {
	swept  bool // no holds of earlier processes are left, or they are another's to sweep
	pruned day  // the day on which old rows were last removed
	users  []byte
}

// upkeep does a little at a time, so that start-up has nothing to do.
func (l *Ledger) upkeep() {
	now, _ := l.calendar.now()
	lapsed := l.switches.Load().lapsed(now)
	if !lapsed && l.chores.swept && l.chores.pruned >= dayOf(now) {
		return
	}
	more := false
	var done *batch
	err := l.commit(func(tx *bbolt.Tx) (changed bool, err error) {
		done = newBatch(l, tx)
		if lapsed {
			err = done.lapse()
		} else if !l.chores.swept {
			more, err = done.sweep(l.opts.Orphan)
		} else {
			err = l.chores.prune(done)
		}
		if err != nil {
			return false, err
		}
		return l.seal(done)
	})
	if err != nil {
		if errors.Is(err, errDamaged) {
			l.opts.Log.Error("a row cannot be read; holds of earlier processes stay as they are, charged", "error", err)
			l.chores.swept = true
		}
		l.fail(nil, err)
		return
	}
	l.announce(done)
	l.chores.swept = l.chores.swept || !lapsed && !more
}

// sweep moves holds of dead processes from open to charged at the ceiling, which
// they are, and into the history. It reports whether there may be more.
func (b *batch) sweep(tell func(Orphan)) (more bool, err error) {
	cursor := b.holds.Cursor()
	var done [][]byte
	for key, row := cursor.First(); key != nil; key, row = cursor.Next() {
		at, err := decodeHoldKey(key)
		if err != nil {
			return false, err
		}
		if at.epoch >= b.epoch {
			break
		}
		if more = len(done) == chunk; more {
			break
		}
		h, err := decodeHold(row)
		if err != nil {
			return false, err
		}
		if err := b.giveUp(h); err != nil {
			return false, err
		}
		tell(Orphan{
			ID: h.request.ID, User: nameOf(b.tx, h.request.User.Key), Model: h.request.Model,
			Ceiling: h.request.Ceiling, At: time.UnixMilli(h.at).UTC(),
		})
		done = append(done, bytes.Clone(key))
	}
	b.ended = len(done) > 0
	b.changed = b.changed || b.ended
	return more, deleteAll(b.holds, done)
}

func (b *batch) giveUp(h *Hold) error {
	t := outcome(h.request.Ceiling, keep, Usage{})
	for _, key := range accountsOf(h.day, h.request.User.Key) {
		a, err := b.account(key)
		if err != nil {
			return err
		}
		if a.open-a.live < h.request.Ceiling {
			return errDamaged
		}
		a.end(h.request.Ceiling, t)
		b.touch(a)
	}
	return b.count(h, t)
}

// prune removes what is older than keepDays.
func (c *chores) prune(b *batch) error {
	if b.day < keepDays {
		c.pruned = b.day
		return nil
	}
	oldest := b.day - keepDays
	usage, moreUsage := oldRows(b.usage, be32(uint32(oldest)*24))
	charges, moreCharges := oldRows(b.charge, be32(uint32(oldest)-31)) // months that ended before
	users, err := c.oldUsers(b, oldest)
	if err != nil {
		return err
	}
	for _, old := range []struct {
		bucket *bbolt.Bucket
		keys   [][]byte
	}{{b.usage, usage}, {b.charge, charges}, {b.tx.Bucket(bucketUser), users}} {
		b.changed = b.changed || len(old.keys) > 0
		if err := deleteAll(old.bucket, old.keys); err != nil {
			return err
		}
	}
	if !moreUsage && !moreCharges && c.users == nil {
		c.pruned = b.day
	}
	return nil
}

// oldRows are the first keys of a bucket that is ordered by time.
func oldRows(bucket *bbolt.Bucket, before []byte) (keys [][]byte, more bool) {
	cursor := bucket.Cursor()
	for key, _ := cursor.First(); key != nil && bytes.Compare(key, before) < 0; key, _ = cursor.Next() {
		if len(keys) == chunk {
			return keys, true
		}
		keys = append(keys, bytes.Clone(key))
	}
	return keys, false
}

// oldUsers looks through some users, and goes on from there the next time. Who was
// not seen for so long has no rows any more that would need a name.
func (c *chores) oldUsers(b *batch, oldest day) (keys [][]byte, err error) {
	cursor := b.tx.Bucket(bucketUser).Cursor()
	key, row := cursor.Seek(c.users)
	for range chunk {
		if key == nil {
			c.users = nil
			return keys, nil
		}
		u, err := decodeUser(row)
		if err != nil || u.seen < oldest {
			keys = append(keys, bytes.Clone(key))
		}
		key, row = cursor.Next()
	}
	c.users = bytes.Clone(key)
	return keys, nil
}

func deleteAll(bucket *bbolt.Bucket, keys [][]byte) error {
	for _, key := range keys {
		if err := bucket.Delete(key); err != nil {
			return err
		}
	}
	return nil
}
