package ledger

import (
	"encoding/binary"
	"errors"

	"go.etcd.io/bbolt"

	"keyshield/internal/money"
	"keyshield/internal/secret"
)

// account is one sum of one window. used = what ended calls cost or were charged +
// open + seeded. live is the part of open that this process may still end; the rest was
// left by one that died and is spent.
type account struct {
	used, open money.USD
	told       int64 // the highest soft limit that was announced, in percent
	tally      Tally
	seeded     money.USD // spent, by calls that were not counted here

	live  money.USD
	key   accountKey
	dirty bool
}

func (a *account) balance(w Window) Balance {
	b := Balance{Window: w, Used: a.used, Open: a.live, Seeded: a.seeded, Tally: a.tally}
	b.AtCeiling += a.open - a.live
	return b
}

// spent is what will not come back.
func (a *account) spent() money.USD { return a.used - a.live }

// hold charges a ceiling.
func (a *account) hold(ceiling money.USD) {
	a.used += ceiling
	a.open += ceiling
	a.live += ceiling
}

// end replaces a held ceiling by what the call came to.
func (a *account) end(ceiling money.USD, t Tally) {
	a.used += t.Cost + t.AtCeiling - ceiling
	a.open -= ceiling
	a.tally.add(t)
}

// tallyRow is a row of the history that is being written.
type tallyRow struct {
	Tally
	key   tallyKey
	dirty bool
}

// maxCached bounds each of the maps below: they only save reading a row again.
const maxCached = 100_000

// books are what the writer keeps in memory. Everything but live holds can be
// thrown away and read again, and is, whenever a commit fails.
type books struct {
	hmac  secret.String
	epoch uint32 // counts the processes that opened this ledger
	next  uint64 // the number of the next hold
	day   day    // of the current windows; only ever grows

	accounts map[accountKey]*account
	tallies  map[tallyKey]*tallyRow
	users    map[string]day   // seen, by pseudonym
	stops    map[string]*stop // by mark
	live     map[string]*Hold // holds of this process that are in the file, by request id
}

// load begins a new epoch.
func (b *books) load(tx *bbolt.Tx) error {
	if err := checkSchema(tx); err != nil {
		return err
	}
	meta := tx.Bucket(bucketMeta)
	b.hmac = secret.New(string(meta.Get(metaHMAC)))
	b.epoch = number(meta.Get(metaEpoch)) + 1
	b.live = map[string]*Hold{}
	if b.epoch == 0 {
		return errDamaged
	}
	if err := meta.Put(metaEpoch, be32(b.epoch)); err != nil {
		return err
	}
	return b.reload(tx)
}

// reload reads again what a failed commit left in doubt. After it as before it, the
// live holds are those that are in the file.
func (b *books) reload(tx *bbolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if string(meta.Get(metaHMAC)) != b.hmac.Reveal() || number(meta.Get(metaEpoch)) != b.epoch {
		return errNotOurs
	}
	b.day = day(number(meta.Get(metaDay)))
	b.accounts = map[accountKey]*account{}
	b.tallies = map[tallyKey]*tallyRow{}
	b.users = map[string]day{}
	if err := b.loadStops(tx); err != nil {
		return err
	}
	holds := tx.Bucket(bucketHold)
	for id, h := range b.live {
		if holds.Get(h.key.append(nil)) == nil {
			delete(b.live, id)
			continue
		}
		for _, key := range h.accounts {
			a, err := b.account(tx.Bucket(bucketCharge), key)
			if err != nil {
				return err
			}
			if a.live += h.request.Ceiling; a.live > a.open {
				return errDamaged
			}
		}
	}
	return nil
}

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func number(row []byte) uint32 {
	if len(row) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(row)
}

// account is the account of that key, read when it is first needed.
func (b *books) account(charge *bbolt.Bucket, key accountKey) (*account, error) {
	if a := b.accounts[key]; a != nil {
		return a, nil
	}
	a := &account{}
	if row := charge.Get(key.append(nil)); row != nil {
		read, err := decodeAccount(row)
		if err != nil {
			return nil, err
		}
		a = &read
	}
	a.key = key
	b.accounts[key] = a
	return a, nil
}

func (b *books) tally(usage *bbolt.Bucket, key tallyKey) (*tallyRow, error) {
	if t := b.tallies[key]; t != nil {
		return t, nil
	}
	t := &tallyRow{key: key}
	if row := usage.Get(key.append(nil)); row != nil {
		read, err := decodeTally(row)
		if err != nil {
			return nil, err
		}
		t.Tally = read
	}
	b.tallies[key] = t
	return t, nil
}

// trim forgets what can be read again, when there is much of it. Between batches
// nothing is dirty.
func (b *books) trim() {
	if len(b.accounts) > maxCached {
		for key, a := range b.accounts {
			if a.live == 0 {
				delete(b.accounts, key)
			}
		}
	}
	if len(b.tallies) > maxCached {
		clear(b.tallies)
	}
	if len(b.users) > maxCached {
		clear(b.users)
	}
}

var errSameID = errors.New("reserve: a request with this id is under way")
