package ledger

import (
	"errors"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"keyshield/internal/money"
)

// A call that costs more than its ceiling means that our bound is wrong for what
// this user sends. The user is suspended. The model stops only when three users
// managed it, or when it costs too much: else one crafted schema would switch a
// model off for all.
const (
	stopAfterUsers  = 3
	stopAtHundredth = 100 // of the cap

	whyOvershoot = "a call cost more than its ceiling"
)

// stop is one that may be in force: of a user, of everything, or of a model that
// overshot and may be stopped for it.
type stop struct {
	mark  string // 'u' + pseudonym, 'm' + model, 'e'
	over  bool   // in force
	since int64  // Unix seconds
	until int64  // Unix milliseconds; 0: until enabled
	sum   money.USD
	users []string // who overshot, at most stopAfterUsers

	by, why string
	user    User // whom it is about
}

const everythingMark = "e"

func userMark(key string) string    { return "u" + key }
func modelMark(model string) string { return "m" + model }

// inForce is over, and the time is not up. Upkeep removes it a moment later.
func (s *stop) inForce(now time.Time) bool {
	return s != nil && s.over && (s.until == 0 || now.UnixMilli() < s.until)
}

// begin puts it in force.
func (s *stop) begin(now time.Time, until int64, by, why string) {
	s.over, s.since, s.until, s.by, s.why = true, now.Unix(), until, by, why
}

func (s *stop) stop() Stop {
	found := Stop{Since: time.Unix(s.since, 0).UTC(), Until: timeOf(s.until), By: s.by, Why: s.why, Over: s.sum}
	switch s.mark[0] {
	case 'u':
		found.User, found.Issuer, found.ID = s.mark[1:], s.user.Issuer, s.user.ID
	case 'm':
		found.Model = s.mark[1:]
	default:
		found.Everything = true
	}
	return found
}

// timeOf is the time of Unix milliseconds, of which 0 is none.
func timeOf(milli int64) time.Time {
	if milli == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milli).UTC()
}

// refuses whom a switch or an overshoot has stopped.
func (b *batch) refuses(r *Request) error {
	if len(b.stops) == 0 {
		return nil
	}
	if b.stops[userMark(r.User.Key)].inForce(b.at) {
		return userDisabled()
	}
	if s := b.stops[everythingMark]; s.inForce(b.at) {
		if s.until == 0 {
			return paused(lookAgain)
		}
		return paused(timeOf(s.until).Sub(b.at))
	}
	if b.stops[modelMark(r.Model)].inForce(b.at) {
		return paused(lookAgain)
	}
	return nil
}

// disable keeps to what [Ledger.Disable] says. Money is not touched.
func (b *batch) disable(r DisableRequest) (anew bool, err error) {
	mark := everythingMark
	if !r.Everything {
		mark = userMark(r.User.Key)
	}
	until := int64(0)
	if r.For > 0 {
		until = b.at.Add(r.For + time.Millisecond - 1).UnixMilli()
	}
	s := b.stop(mark)
	longer := s.inForce(b.at) && r.By == ByWatch
	if longer && (s.until == 0 || until != 0 && until <= s.until) {
		return false, nil
	}
	s.begin(b.at, until, r.By, r.Why)
	if r.User.Issuer != "" || r.User.ID != "" {
		s.user = r.User
	} else if s.user == (User{}) {
		s.user = nameOf(b.tx, r.User.Key)
	}
	if b.switched = true; !longer { // that it goes on is no news: who is stopped was told
		b.turned(s, true, r.By, r.Why)
	}
	return !longer, b.putStop(s)
}

// enable reports whether the stop was in force.
func (b *batch) enable(mark, by, why string) (was bool, err error) {
	s := b.stops[mark]
	if s == nil {
		return false, nil
	}
	was = s.inForce(b.at)
	if s.over && !was {
		by, why = ByExpiry, s.why
	}
	return was, b.lift(s, by, why)
}

// lift forgets a stop, and all that led to it.
func (b *batch) lift(s *stop, by, why string) error {
	if s.over {
		b.turned(s, false, by, why)
	}
	b.changed = true
	delete(b.stops, s.mark)
	return b.tx.Bucket(bucketMark).Delete([]byte(s.mark))
}

// turned tells that a switch was. Models have no switch: overshoots tell of them.
func (b *batch) turned(s *stop, off bool, by, why string) {
	b.switched = true
	event := Event{By: by, Why: why, At: b.at}
	switch {
	case s.mark == everythingMark && off:
		event.Kind, event.Until = ServiceDisabled, timeOf(s.until)
	case s.mark == everythingMark:
		event.Kind = ServiceEnabled
	case s.mark[0] == 'u' && off:
		event.Kind, event.User, event.Until = UserDisabled, s.user, timeOf(s.until)
	case s.mark[0] == 'u':
		event.Kind, event.User = UserEnabled, s.user
	default:
		return
	}
	b.events = append(b.events, event)
}

// lapse removes stops whose time is up, some at a time.
func (b *batch) lapse() error {
	removed := 0
	for _, s := range b.stops {
		if !s.over || s.inForce(b.at) {
			continue
		}
		if removed++; removed > chunk {
			return nil
		}
		if err := b.lift(s, ByExpiry, s.why); err != nil {
			return err
		}
	}
	return nil
}

// overshoot draws the conclusions from a cost above the ceiling. The cost itself
// is in the accounts already, all of it.
func (b *batch) overshoot(h *Hold, cost money.USD) error {
	r, over := &h.request, cost-h.request.Ceiling
	event := Event{Window: h.day.day(), User: r.User, Model: r.Model, Amount: over, Limit: r.Ceiling, At: b.now}
	tell := func(kind EventKind) {
		event.Kind = kind
		b.events = append(b.events, event)
	}
	tell(Overshoot)

	user := b.stop(userMark(r.User.Key))
	user.sum += over
	user.user = r.User
	if !user.inForce(b.at) || user.until != 0 {
		user.begin(b.at, 0, ByOvershoot, whyOvershoot)
		b.switched = true
		tell(UserSuspended)
	}
	model := b.stop(modelMark(r.Model))
	model.sum += over
	if !slices.Contains(model.users, r.User.Key) && len(model.users) < stopAfterUsers {
		model.users = append(model.users, r.User.Key)
	}
	if !model.over && (len(model.users) == stopAfterUsers || model.sum >= tooMuch(r.Caps)) {
		model.begin(b.at, 0, ByOvershoot, whyOvershoot)
		tell(ModelStopped)
	}
	return errors.Join(b.putStop(user), b.putStop(model))
}

// tooMuch is a hundredth of what everything may cost in a month, or in a day if
// the month has no cap.
func tooMuch(caps Caps) money.USD {
	for _, c := range []Cap{caps.Month, caps.Day} {
		if limit, ok := c.Limit(); ok {
			return limit / stopAtHundredth
		}
	}
	return money.Max
}

func (b *books) stop(mark string) *stop {
	s := b.stops[mark]
	if s == nil {
		s = &stop{mark: mark}
		b.stops[mark] = s
	}
	return s
}

func (b *batch) putStop(s *stop) error {
	b.changed = true
	return b.tx.Bucket(bucketMark).Put([]byte(s.mark), b.row(s.append))
}

func (s *stop) append(to []byte) []byte {
	in := int64(0)
	if s.over {
		in = 1
	}
	to = appendInts(append(to, stopVersion), in, s.since, s.until, int64(s.sum), int64(len(s.users)))
	to = appendTexts(to, s.users...)
	return appendTexts(to, s.by, s.why, s.user.Issuer, s.user.ID)
}

// decodeStop also reads rows of the first version, when only overshoots stopped.
func decodeStop(mark string, row []byte) (*stop, error) {
	r := newReader(row, stopVersion)
	s := &stop{mark: mark, over: r.int() == 1, since: r.int()}
	if r.version > rowVersion {
		s.until = r.int()
	}
	s.sum = r.usd()
	for range min(r.int(), stopAfterUsers) {
		s.users = append(s.users, r.text())
	}
	if r.version > rowVersion {
		s.by, s.why, s.user.Issuer, s.user.ID = r.text(), r.text(), r.text(), r.text()
	} else if s.over {
		s.by, s.why = ByOvershoot, whyOvershoot
	}
	if mark[0] == 'u' {
		s.user.Key = mark[1:]
	}
	return s, r.err()
}

func (b *books) loadStops(tx *bbolt.Tx) error {
	b.stops = map[string]*stop{}
	return tx.Bucket(bucketMark).ForEach(func(mark, row []byte) error {
		if len(mark) == 0 {
			return errDamaged
		}
		s, err := decodeStop(string(mark), row)
		if err != nil {
			return err
		}
		if s.mark[0] == 'u' && s.user.Issuer == "" && s.user.ID == "" {
			s.user = nameOf(tx, s.user.Key)
		}
		b.stops[s.mark] = s
		return nil
	})
}

// nameOf is who a pseudonym is, as far as the ledger knows.
func nameOf(tx *bbolt.Tx, key string) User {
	u := User{Key: key}
	if known, err := decodeUser(tx.Bucket(bucketUser).Get([]byte(key))); err == nil {
		u.Issuer, u.ID = known.issuer, known.id
	}
	return u
}
