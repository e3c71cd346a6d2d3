package ledger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// someone may come onto a page of People.
type someone struct {
	key, id string
	value   int64 // what they are sorted by
}

// gathering reads the accounts of a month, which lie in the order of their users,
// and keeps no more of them than the page may need.
type gathering struct {
	query  PeopleQuery
	lower  string // what is searched for, as it is compared with ids
	today  day
	prefix []byte // of the month's rows
	total  int

	best  []someone
	bound *someone // whoever comes after is not on the page

	// The last of today's accounts. A user's accounts lie side by side, but not always
	// if pseudonyms are of different lengths.
	last      someone
	keyLength int
	mixed     bool
}

func newGathering(today day, q PeopleQuery) *gathering {
	return &gathering{query: q, lower: strings.ToLower(q.Search), today: today, prefix: be32(uint32(today.month().first))}
}

// piece is how many rows are read in one transaction: a long one would keep a file
// that must grow beyond its mapping from growing.
const piece = 20_000

// read gathers a piece, and says where the next one begins. Everybody who has an
// account of today has one of the month.
func (g *gathering) read(tx *bbolt.Tx, from []byte) (next []byte, err error) {
	names := nameReader{cursor: tx.Bucket(bucketUser).Cursor()}
	charge := tx.Bucket(bucketCharge)
	cursor, left := charge.Cursor(), piece
	for key, row := cursor.Seek(from); bytes.HasPrefix(key, g.prefix); key, row = cursor.Next() {
		if left--; left < 0 {
			return bytes.Clone(key), nil
		}
		end := len(key) - 5
		if end <= len(g.prefix) {
			continue // everybody's account
		}
		user, first := key[len(g.prefix):end], day(binary.BigEndian.Uint32(key[end+1:]))
		g.mixed = g.mixed || g.keyLength != 0 && g.keyLength != len(user)
		g.keyLength = len(user)
		if key[end] == 'm' {
			err = g.meet(user, row, charge, &names)
		} else if first == g.today && g.query.daily() {
			g.last.key = string(user)
			g.last.value, err = g.query.valueOf(row)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// meet considers the user of a month's account.
func (g *gathering) meet(user, row []byte, charge *bbolt.Bucket, names *nameReader) (err error) {
	s := someone{key: string(user)}
	if g.query.named() {
		if s.id, err = names.of(s.key); err != nil {
			return err
		}
	}
	if g.query.Search != "" && !strings.HasPrefix(s.key, g.query.Search) && !strings.Contains(strings.ToLower(s.id), g.lower) {
		return nil
	}
	g.total++
	switch {
	case g.query.Sort == SortID:
	case !g.query.daily():
		s.value, err = g.query.valueOf(row)
	case g.last.key == s.key:
		s.value = g.last.value
	case g.mixed:
		if row := charge.Get(accountKey{g.today.day(), s.key}.append(nil)); row != nil {
			s.value, err = g.query.valueOf(row)
		}
	}
	g.keep(s)
	return err
}

// spare is how many more than the page needs are kept before the rest is let go.
const spare = 1000

func (g *gathering) keep(s someone) {
	if g.bound != nil && g.query.order(s, *g.bound) > 0 {
		return
	}
	g.best = append(g.best, s)
	if most := g.query.Offset + g.query.Limit; len(g.best) >= 2*most+spare {
		slices.SortFunc(g.best, g.query.order)
		g.best = g.best[:most]
		if most > 0 {
			g.bound = &someone{}
			*g.bound = g.best[most-1]
		}
	}
}

// page is what was asked for.
func (g *gathering) page() []someone {
	slices.SortFunc(g.best, g.query.order)
	page := g.best[min(g.query.Offset, len(g.best)):]
	return page[:min(g.query.Limit, len(page))]
}

// order puts equals in the order of their pseudonyms: pages must not overlap.
func (q *PeopleQuery) order(a, b someone) int {
	if q.Desc {
		a, b = b, a
	}
	if a.value != b.value {
		return cmp.Compare(a.value, b.value)
	}
	if a.id != b.id && q.Sort == SortID {
		return strings.Compare(a.id, b.id)
	}
	return strings.Compare(a.key, b.key)
}

// named says that the choice or the order needs everybody's id.
func (q *PeopleQuery) named() bool { return q.Search != "" || q.Sort == SortID }

// daily says that the order is by today's account.
func (q *PeopleQuery) daily() bool { return q.Sort == SortUsedDay || q.Sort == SortRequestsDay }

// valueOf reads of an account's row what people are sorted by.
func (q *PeopleQuery) valueOf(row []byte) (int64, error) {
	r := newReader(row, seededVersion)
	value := r.int() // used
	if q.Sort == SortRequestsDay || q.Sort == SortRequestsMonth {
		r.int() // open
		r.int() // told
		value = r.int()
	}
	if r.bad {
		return 0, errDamaged
	}
	return value, nil
}

// nameReader reads the ids of users who are asked for in their order.
type nameReader struct {
	cursor   *bbolt.Cursor
	key, row []byte
}

// aFewSteps along a bucket are cheaper than finding a place in it.
const aFewSteps = 8

// of is "" for those whose name is not known.
func (n *nameReader) of(user string) (string, error) {
	for steps := 0; n.key != nil && string(n.key) < user && steps < aFewSteps; steps++ {
		n.key, n.row = n.cursor.Next()
	}
	if string(n.key) != user {
		n.key, n.row = n.cursor.Seek([]byte(user))
	}
	if string(n.key) != user {
		return "", nil
	}
	u, err := decodeUser(n.row)
	return u.id, err
}
