package ledger

import (
	"bytes"
	"context"
	"time"

	"go.etcd.io/bbolt"
)

// Entry is what one user spent on one model in one hour. Calls count in the hour
// of their reservation, and once they have ended.
type Entry struct {
	Hour  time.Time
	User  User
	Model string
	Tally
}

// History visits the entries from the hour of from up to before to, oldest first.
// Long ones are read piece by piece: a slow visitor keeps nobody from writing.
func (l *Ledger) History(ctx context.Context, from, to time.Time, visit func(Entry) error) error {
	next := be32(hourAt(from))
	end := be32(hourAt(to.Add(time.Hour - 1)))
	for next != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		var page []Entry
		err := l.store.view(func(tx *bbolt.Tx) (err error) {
			page, next, err = historyPage(tx, next, end)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := visit(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func hourAt(t time.Time) uint32 { return uint32(max(0, t.Unix()) / 3600) }

// historyPage reads some entries, and says where the next ones begin.
func historyPage(tx *bbolt.Tx, from, end []byte) (page []Entry, next []byte, err error) {
	cursor := tx.Bucket(bucketUsage).Cursor()
	for key, row := cursor.Seek(from); key != nil && bytes.Compare(key, end) < 0; key, row = cursor.Next() {
		if len(page) == chunk {
			return page, bytes.Clone(key), nil
		}
		k, err := decodeTallyKey(key)
		if err != nil {
			return nil, nil, err
		}
		t, err := decodeTally(row)
		if err != nil {
			return nil, nil, err
		}
		e := Entry{Hour: time.Unix(int64(k.hour)*3600, 0).UTC(), User: User{Key: k.user}, Model: k.model, Tally: t}
		if row := tx.Bucket(bucketUser).Get([]byte(k.user)); row != nil {
			u, err := decodeUser(row)
			if err != nil {
				return nil, nil, err
			}
			e.User.Issuer, e.User.ID = u.issuer, u.id
		}
		page = append(page, e)
	}
	return page, nil, nil
}
