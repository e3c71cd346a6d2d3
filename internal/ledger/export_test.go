package ledger

import (
	"bytes"
	"errors"
	"os"
	"time"

	"go.etcd.io/bbolt"
)

// WithCommit replaces the commit of each batch.
func (o Options) WithCommit(commit func(*bbolt.Tx) error) Options {
	o.commit = commit
	return o
}

// Relaxed are options for a test that is not about the disk. Commits do not wait
// for it (these processes may die, their machine may not), and nobody is refused
// because the machine is busy with other tests.
func (o Options) Relaxed() Options {
	if o.commit == nil {
		o.commit = func(tx *bbolt.Tx) error {
			tx.DB().NoSync, tx.DB().NoGrowSync = true, true
			return tx.Commit()
		}
	}
	o.Patience, o.retry = time.Minute, time.Millisecond
	return o
}

// Crash ends the ledger as kill -9 would: the file stays as the last commit left
// it, and what is queued is lost.
func (l *Ledger) Crash() error {
	var left bytes.Buffer
	err := l.Backup(&left)
	return errors.Join(err, l.Close(), os.WriteFile(l.store.path, left.Bytes(), 0o600))
}

const (
	UseWithin = useWithin
	Patience  = patience
	KeepDays  = keepDays
	Retry     = retry
)

// RowCount is how much the ledger keeps beyond its history.
type RowCount struct{ Charges, Users int }

// Rows counts them.
func (l *Ledger) Rows() (n RowCount, err error) {
	err = l.store.view(func(tx *bbolt.Tx) error {
		n = RowCount{tx.Bucket(bucketCharge).Stats().KeyN, tx.Bucket(bucketUser).Stats().KeyN}
		return nil
	})
	return n, err
}

// WriteRow puts a row into the file of a ledger that nobody has open.
func WriteRow(path, bucket string, key, row []byte) error {
	db, err := openBolt(path, os.O_RDWR)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put(key, row) })
	return errors.Join(err, db.Close())
}

// MarkCount is how many stops, in force or not, the file has.
func (l *Ledger) MarkCount() (n int, err error) {
	err = l.store.view(func(tx *bbolt.Tx) error {
		n = tx.Bucket(bucketMark).Stats().KeyN
		return nil
	})
	return n, err
}
