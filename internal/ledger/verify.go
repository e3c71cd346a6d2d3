package ledger

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Verify reads every page and every row of the ledger at path, which no server may
// have in use: of a backup, say.
func Verify(path string) error {
	return guard(func() error {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
		if err != nil {
			return err
		}
		return errors.Join(db.View(verify), db.Close())
	})
}

func verify(tx *bbolt.Tx) error {
	var first error
	for err := range tx.Check() { // to its end: it is a goroutine that sends
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return first
	}
	if err := checkSchema(tx); err != nil {
		return err
	}
	for _, bucket := range []struct {
		name []byte
		read func(key, row []byte) error
	}{
		{bucketCharge, func(_, row []byte) error { _, err := decodeAccount(row); return err }},
		{bucketHold, func(_, row []byte) error { _, err := decodeHold(row); return err }},
		{bucketUser, func(_, row []byte) error { _, err := decodeUser(row); return err }},
		{bucketUsage, func(_, row []byte) error { _, err := decodeTally(row); return err }},
		{bucketMark, func(key, row []byte) error { _, err := decodeStop(string(key), row); return err }},
	} {
		if err := tx.Bucket(bucket.name).ForEach(bucket.read); err != nil {
			return fmt.Errorf("%s: %w", bucket.name, err)
		}
	}
	return nil
}
