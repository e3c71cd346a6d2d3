package ledger

import (
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"keyshield/internal/money"
)

// batch is one transaction over what was queued. Every decision sees the ones
// before it, and all become durable together or none does.
type batch struct {
	*books
	soft   []int
	tx     *bbolt.Tx
	charge *bbolt.Bucket
	holds  *bbolt.Bucket
	usage  *bbolt.Bucket

	now           time.Time // within the day that is charged
	at            time.Time // without a bound: a switch does not wait for a new day
	dirtyAccounts []*account
	dirtyTallies  []*tallyRow
	changed       bool // there is something to commit
	ended         bool // holds
	switched      bool // switches that Stopped shows
	events        []Event
	rows          []byte // what is put must stay until the commit
}

// maxUsed keeps sums far from where they would overflow.
const maxUsed money.USD = 1 << 62

func newBatch(l *Ledger, tx *bbolt.Tx) *batch {
	b := &batch{
		books: &l.books, soft: l.opts.Soft, tx: tx,
		charge: tx.Bucket(bucketCharge), holds: tx.Bucket(bucketHold), usage: tx.Bucket(bucketUsage),
	}
	now, sure := l.calendar.now()
	if today := dayOf(now); sure && today > b.day {
		b.day, b.changed = today, true // durable before anybody sees it
	}
	b.now, b.at = b.day.day().within(now), now
	return b
}

// do carries out o. An error here is the file's; a refusal is in o.err.
func (b *batch) do(o *op) error {
	if o.ask != nil && o.ask.over.Load() {
		return nil // nobody waits any more
	}
	switch o.verb {
	case reserve:
		refusal, err := b.reserve(o.hold)
		o.err = refusal
		return err
	case look:
		o.err = o.look(b)
		return nil
	default:
		return b.finish(o.hold, o.verb, o.usage)
	}
}

func (b *batch) reserve(h *Hold) (refusal, err error) {
	r := &h.request
	if b.live[r.ID] != nil {
		return errSameID, nil
	}
	if refusal := b.refuses(r); refusal != nil {
		return refusal, nil
	}
	accounts := accountsOf(b.day, r.User.Key)
	var charged [4]*account
	for i, key := range accounts {
		a, err := b.account(key)
		if err != nil {
			return unavailable(err), nil // this user's trouble, not everyone's
		}
		charged[i] = a
	}
	if refusal := b.judge(r, charged); refusal != nil {
		return refusal, nil
	}
	h.key, h.accounts = holdKey{b.epoch, b.next}, accounts
	h.day, h.at = b.day, b.now.UnixMilli()
	b.next++
	b.live[r.ID] = h
	h.left, h.capped = 0, false
	for i, limit := range r.Caps.ordered() {
		charged[i].hold(r.Ceiling)
		b.touch(charged[i])
		if limit, ok := limit.Limit(); ok && (!h.capped || limit-charged[i].used < h.left) {
			h.left, h.capped = limit-charged[i].used, true
		}
	}
	if err := b.meet(r.User); err != nil {
		return nil, err
	}
	return nil, b.holds.Put(h.key.append(nil), b.row(h.append))
}

// judge refuses if one of the accounts has no room. It is busy only if every
// account in the way would have room without the calls under way: what a dead
// process held does not come back.
func (b *batch) judge(r *Request, accounts [4]*account) error {
	var full *account
	waiting := false
	for i, limit := range r.Caps.ordered() {
		a := accounts[i]
		if limit.allows(a.used+r.Ceiling) && a.used <= maxUsed {
			continue
		}
		if limit.allows(a.spent()+r.Ceiling) && a.used <= maxUsed {
			waiting = true
			continue
		}
		b.tell(a, limit, r.User, 100)
		if full == nil || a.key.window.End().After(full.key.window.End()) {
			full = a
		}
	}
	switch {
	case full != nil:
		return exhausted(full.key.window, b.now)
	case waiting:
		return busy()
	}
	return nil
}

// finish ends a live hold; one that is not in the file, or was ended before, is
// left alone.
func (b *batch) finish(h *Hold, v verb, u Usage) error {
	r := &h.request
	if b.live[r.ID] != h {
		return nil
	}
	delete(b.live, r.ID)
	b.ended = true
	if err := b.holds.Delete(h.key.append(nil)); err != nil {
		return err
	}
	t := outcome(r.Ceiling, v, u)
	for i, limit := range r.Caps.ordered() {
		a, err := b.account(h.accounts[i])
		if err != nil {
			return err
		}
		a.live -= r.Ceiling
		a.end(r.Ceiling, t)
		b.touch(a)
		b.announce(a, limit, r.User)
	}
	if v == settle && u.Cost > r.Ceiling {
		if err := b.overshoot(h, u.Cost); err != nil {
			return err
		}
	}
	return b.count(h, t)
}

// outcome is what an ended call adds to the tallies. One that was freed adds
// nothing: it was not billed.
func outcome(ceiling money.USD, v verb, u Usage) Tally {
	switch v {
	case settle:
		return Tally{
			Requests: 1, Input: u.Input, Cached: u.Cached, Written: u.Written,
			Output: u.Output, Reasoning: u.Reasoning, Cost: u.Cost,
		}
	case keep:
		return Tally{Requests: 1, Unproven: 1, AtCeiling: ceiling}
	}
	return Tally{}
}

// count adds t to the history, in the hour of the reservation.
func (b *batch) count(h *Hold, t Tally) error {
	if t == (Tally{}) {
		return nil
	}
	row, err := b.books.tally(b.usage, tallyKey{h.hour(), h.request.User.Key, h.request.Model})
	if err != nil {
		return err
	}
	row.add(t)
	if !row.dirty {
		row.dirty = true
		b.dirtyTallies = append(b.dirtyTallies, row)
	}
	return nil
}

// announce tells the soft limits that what is spent has reached.
func (b *batch) announce(a *account, limit Cap, user User) {
	amount, ok := limit.Limit()
	if !ok || amount == 0 {
		return
	}
	for _, percent := range b.soft {
		if mark, ok := amount.MulUp(int64(percent), 100); ok && a.spent() >= mark {
			b.tell(a, limit, user, percent)
		}
	}
}

// tell announces a soft limit once per window, if it is one.
func (b *batch) tell(a *account, limit Cap, user User, percent int) {
	if a.told >= int64(percent) || !slices.Contains(b.soft, percent) {
		return
	}
	a.told = int64(percent)
	b.touch(a)
	if a.key.user == "" {
		user = User{}
	}
	b.events = append(b.events, Event{
		Kind: SoftLimit, Window: a.key.window, User: user, Percent: percent, Amount: a.spent(), Limit: limit.limit, At: b.now,
	})
}

// meet writes who a pseudonym is, once a day.
func (b *batch) meet(u User) error {
	if seen, ok := b.users[u.Key]; ok && seen >= b.day {
		return nil
	}
	b.users[u.Key] = b.day
	users, key := b.tx.Bucket(bucketUser), []byte(u.Key)
	if row := users.Get(key); row != nil {
		if known, err := decodeUser(row); err == nil && known.seen >= b.day {
			return nil
		}
	}
	return users.Put(key, b.row(userRow{b.day, u.Issuer, u.ID}.append))
}

func (b *batch) account(key accountKey) (*account, error) { return b.books.account(b.charge, key) }

func (b *batch) touch(a *account) {
	b.changed = true
	if !a.dirty {
		a.dirty = true
		b.dirtyAccounts = append(b.dirtyAccounts, a)
	}
}

// row encodes a value that lives as long as the transaction.
func (b *batch) row(encode func([]byte) []byte) []byte {
	from := len(b.rows)
	b.rows = encode(b.rows)
	return b.rows[from:len(b.rows):len(b.rows)]
}

// write puts what is dirty into the transaction.
func (b *batch) write() error {
	if !b.changed {
		return nil
	}
	if kept := number(b.tx.Bucket(bucketMeta).Get(metaDay)); kept != uint32(b.day) {
		if err := b.tx.Bucket(bucketMeta).Put(metaDay, be32(uint32(b.day))); err != nil {
			return err
		}
	}
	for _, a := range b.dirtyAccounts {
		a.dirty = false
		if err := b.charge.Put(a.key.append(nil), b.row(a.append)); err != nil {
			return err
		}
	}
	for _, t := range b.dirtyTallies {
		t.dirty = false
		if err := b.usage.Put(t.key.append(nil), b.row(func(to []byte) []byte { return t.append(append(to, rowVersion)) })); err != nil {
			return err
		}
	}
	return nil
}
