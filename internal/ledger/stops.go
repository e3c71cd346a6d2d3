package ledger

import (
	"context"
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
)

// stop is a user who is suspended, or a model that overshot and may be stopped.
type stop struct {
	mark  string // 'u' + pseudonym, 'm' + model
	over  bool   // in force
	since int64  // Unix seconds
	sum   money.USD
	users []string // who overshot, at most stopAfterUsers
}

// Stop is a user or a model that overshoots have stopped.
type Stop struct {
	User  string // pseudonym, or
	Model string
	Since time.Time
	Over  money.USD // by how much the ceilings were passed
}

func userMark(key string) string    { return "u" + key }
func modelMark(model string) string { return "m" + model }

// refuses whom an overshoot has stopped.
func (b *books) refuses(r *Request) error {
	if len(b.stops) == 0 {
		return nil
	}
	if s := b.stops[userMark(r.User.Key)]; s != nil && s.over {
		return userSuspended()
	}
	if s := b.stops[modelMark(r.Model)]; s != nil && s.over {
		return modelStopped()
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
	if !user.over {
		user.over, user.since = true, b.now.Unix()
		tell(UserSuspended)
	}
	model := b.stop(modelMark(r.Model))
	model.sum += over
	if !slices.Contains(model.users, r.User.Key) && len(model.users) < stopAfterUsers {
		model.users = append(model.users, r.User.Key)
	}
	if !model.over && (len(model.users) == stopAfterUsers || model.sum >= tooMuch(r.Caps)) {
		model.over, model.since = true, b.now.Unix()
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
	to = appendInts(append(to, rowVersion), in, s.since, int64(s.sum), int64(len(s.users)))
	return appendTexts(to, s.users...)
}

func decodeStop(mark string, row []byte) (*stop, error) {
	r := newReader(row)
	s := &stop{mark: mark, over: r.int() == 1, since: r.int(), sum: r.usd()}
	for range min(r.int(), stopAfterUsers) {
		s.users = append(s.users, r.text())
	}
	return s, r.err()
}

func (b *books) loadStops(tx *bbolt.Tx) error {
	b.stops = map[string]*stop{}
	return tx.Bucket(bucketMark).ForEach(func(mark, row []byte) error {
		s, err := decodeStop(string(mark), row)
		b.stops[s.mark] = s
		return err
	})
}

// Stops lists who and what is stopped.
func (l *Ledger) Stops(ctx context.Context) ([]Stop, error) {
	var all []Stop
	err := l.look(ctx, func(b *batch) error {
		for mark, s := range b.stops {
			if !s.over {
				continue
			}
			found := Stop{Since: time.Unix(s.since, 0).UTC(), Over: s.sum}
			if mark[0] == 'u' {
				found.User = mark[1:]
			} else {
				found.Model = mark[1:]
			}
			all = append(all, found)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Stop) int { return a.Since.Compare(b.Since) })
	return all, err
}

// EnableUser lifts the suspension of a pseudonym. It reports whether there was one.
func (l *Ledger) EnableUser(ctx context.Context, key string) (bool, error) {
	return l.enable(ctx, userMark(key))
}

// EnableModel lets a model be used again, and forgets what it was stopped for.
func (l *Ledger) EnableModel(ctx context.Context, model string) (bool, error) {
	return l.enable(ctx, modelMark(model))
}

func (l *Ledger) enable(ctx context.Context, mark string) (was bool, err error) {
	err = l.look(ctx, func(b *batch) error {
		s := b.stops[mark]
		if s == nil {
			return nil
		}
		was, b.changed = s.over, true
		delete(b.stops, mark)
		return b.tx.Bucket(bucketMark).Delete([]byte(mark))
	})
	return was, err
}
