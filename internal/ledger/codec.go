package ledger

import (
	"encoding/binary"
	"errors"

	"keyshield/internal/money"
)

// errDamaged is a row that we cannot have written. Whoever needs it is refused.
var errDamaged = errors.New("a row of the ledger is damaged: restore the file from a backup")

// A version begins every row. What an earlier one wrote is read.
const (
	rowVersion    = 1
	stopVersion   = 2 // since a stop has an end, a name and a reason
	holdVersion   = 2 // since a hold knows its moment, not only its hour
	seededVersion = 2 // an account that was seeded
)

// reader reads what binary.AppendUvarint wrote. Its first mistake stays.
type reader struct {
	version byte
	rest    []byte
	bad     bool
}

func newReader(row []byte, newest byte) reader {
	if len(row) == 0 || row[0] < rowVersion || row[0] > newest {
		return reader{bad: true}
	}
	return reader{version: row[0], rest: row[1:]}
}

func (r *reader) int() int64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || int64(n) < 0 {
		r.rest, r.bad = nil, true
		return 0
	}
	r.rest = r.rest[size:]
	return int64(n)
}

func (r *reader) usd() money.USD { return money.USD(r.int()) }

func (r *reader) text() string { return string(r.bytes()) }

// bytes are good as long as the row is.
func (r *reader) bytes() []byte {
	n := r.int()
	if n > int64(len(r.rest)) {
		r.rest, r.bad = nil, true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// err is nil if the row was read to its end and nothing was wrong.
func (r *reader) err() error {
	if r.bad || len(r.rest) > 0 {
		return errDamaged
	}
	return nil
}

func appendInts(to []byte, numbers ...int64) []byte {
	for _, n := range numbers {
		to = binary.AppendUvarint(to, uint64(n))
	}
	return to
}

func appendTexts(to []byte, texts ...string) []byte {
	for _, s := range texts {
		to = append(binary.AppendUvarint(to, uint64(len(s))), s...)
	}
	return to
}

func (t *Tally) append(to []byte) []byte {
	return appendInts(to, t.Requests, t.Input, t.Cached, t.Written, t.Output, t.Reasoning,
		int64(t.Cost), t.Unproven, int64(t.AtCeiling))
}

func (r *reader) tally() Tally {
	return Tally{
		Requests: r.int(), Input: r.int(), Cached: r.int(), Written: r.int(), Output: r.int(), Reasoning: r.int(),
		Cost: r.usd(), Unproven: r.int(), AtCeiling: r.usd(),
	}
}

func (a *account) append(to []byte) []byte {
	version := byte(rowVersion)
	if a.seeded != 0 {
		version = seededVersion
	}
	to = a.tally.append(appendInts(append(to, version), int64(a.used), int64(a.open), int64(a.told)))
	if a.seeded != 0 {
		to = appendInts(to, int64(a.seeded))
	}
	return to
}

// decodeAccount also checks the sum that must hold in every account.
func decodeAccount(row []byte) (account, error) {
	r := newReader(row, seededVersion)
	a := account{used: r.usd(), open: r.usd(), told: r.int(), tally: r.tally()}
	if r.version == seededVersion {
		a.seeded = r.usd()
	}
	if err := r.err(); err != nil {
		return account{}, err
	}
	sum, fits := a.tally.Cost.Add(a.tally.AtCeiling)
	for _, more := range [...]money.USD{a.open, a.seeded} {
		next, ok := sum.Add(more)
		sum, fits = next, fits && ok
	}
	if !fits || sum != a.used || a.told > 100 {
		return account{}, errDamaged
	}
	return a, nil
}

// holdKey orders holds by the process that made them, then by age.
type holdKey struct {
	epoch  uint32
	number uint64
}

func (k holdKey) append(to []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(to, k.epoch), k.number)
}

func decodeHoldKey(key []byte) (holdKey, error) {
	if len(key) != 12 {
		return holdKey{}, errDamaged
	}
	return holdKey{binary.BigEndian.Uint32(key), binary.BigEndian.Uint64(key[4:])}, nil
}

func (h *Hold) append(to []byte) []byte {
	r := h.request
	to = appendInts(append(to, holdVersion), int64(h.day), h.at, int64(r.Ceiling))
	return appendTexts(to, r.ID, r.User.Key, r.Model, r.Prices)
}

func decodeHold(row []byte) (*Hold, error) {
	r := newReader(row, holdVersion)
	h := &Hold{day: day(r.int()), at: r.int()}
	if r.version == rowVersion {
		h.at = int64(uint32(h.at)) * milliPerHour
	}
	h.request.Ceiling = r.usd()
	h.request.ID, h.request.User.Key, h.request.Model, h.request.Prices = r.text(), r.text(), r.text(), r.text()
	return h, r.err()
}

// userRow is what the ledger knows of a user beyond the pseudonym.
type userRow struct {
	seen       day
	issuer, id string
}

func (u userRow) append(to []byte) []byte {
	return appendTexts(appendInts(append(to, rowVersion), int64(u.seen)), u.issuer, u.id)
}

func decodeUser(row []byte) (userRow, error) {
	r := newReader(row, rowVersion)
	u := userRow{seen: day(r.int()), issuer: r.text(), id: r.text()}
	return u, r.err()
}

// hour counts UTC hours since 1970.
type hour uint32

const milliPerHour = 60 * 60 * 1000

// tallyKey names a row of the history.
type tallyKey struct {
	hour  hour
	user  string
	model string
}

func (k tallyKey) append(to []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(k.hour))
	return append(appendTexts(to, k.user), k.model...)
}

func decodeTallyKey(key []byte) (tallyKey, error) {
	if len(key) < 5 {
		return tallyKey{}, errDamaged
	}
	r := reader{rest: key[4:]}
	k := tallyKey{hour: hour(binary.BigEndian.Uint32(key)), user: r.text()}
	k.model = string(r.rest)
	if r.bad {
		return tallyKey{}, errDamaged
	}
	return k, nil
}

func decodeTally(row []byte) (Tally, error) {
	r := newReader(row, rowVersion)
	t := r.tally()
	return t, r.err()
}
