package ledger

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// Find lists who has that id, with any issuer, or that pseudonym: those who spent
// in the last 400 days, and those who are stopped.
func (l *Ledger) Find(ctx context.Context, name string) ([]User, error) {
	found := map[string]User{}
	next := []byte{}
	err := l.read(ctx, func(tx *bbolt.Tx) error { return findStopped(tx, name, found) })
	for next != nil && err == nil {
		err = l.read(ctx, func(tx *bbolt.Tx) (err error) {
			next, err = findKnown(tx, next, name, found)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(found), func(a, b User) int {
		return strings.Compare(a.Issuer+"\x00"+a.Key, b.Issuer+"\x00"+b.Key)
	}), nil
}

// findStopped looks through the stops, which may be of users who never spent.
func findStopped(tx *bbolt.Tx, name string, found map[string]User) error {
	return tx.Bucket(bucketMark).ForEach(func(mark, row []byte) error {
		if mark[0] != 'u' {
			return nil
		}
		s, err := decodeStop(string(mark), row)
		if err == nil && (s.user.Key == name || name != "" && s.user.ID == name) {
			found[s.user.Key] = s.user
		}
		return err
	})
}

// findKnown looks through a piece of the users, and says where the next one begins.
func findKnown(tx *bbolt.Tx, from []byte, name string, found map[string]User) (next []byte, err error) {
	cursor, left := tx.Bucket(bucketUser).Cursor(), piece
	for key, row := cursor.Seek(from); key != nil; key, row = cursor.Next() {
		if left--; left < 0 {
			return bytes.Clone(key), nil
		}
		is := string(key) == name
		if !is && (name == "" || !bytes.HasSuffix(row, []byte(name))) {
			continue // a row ends with the id
		}
		u, err := decodeUser(row)
		if err != nil {
			return nil, err
		}
		if is || u.id == name {
			found[string(key)] = User{string(key), u.issuer, u.id}
		}
	}
	return nil, nil
}
