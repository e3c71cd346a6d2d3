package ledger

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/money"
)

// Stop is a user, a model or everything that may not spend.
type Stop struct {
	User       string // pseudonym, or
	Model      string // or
	Everything bool
	Issuer, ID string // of the user, where known
	Since      time.Time
	Until      time.Time // zero: until enabled
	By, Why    string
	Over       money.USD // by how much ceilings were passed
}

// Who turns a switch, if it is no operator. Any other name is an operator's.
const (
	ByOvershoot = "overshoot"
	ByWatch     = "watch"
	ByExpiry    = "expiry" // the time of a disable was up
)

// DisableRequest says whom to stop: a user, who need never have been seen, or
// everything.
type DisableRequest struct {
	User       User // Key is needed; Issuer and ID are for the operator
	Everything bool
	For        time.Duration // 0: until enabled
	By, Why    string
}

// EnableRequest says what to let in again: one of the first three.
type EnableRequest struct {
	User       string // pseudonym
	Model      string
	Everything bool
	By, Why    string
}

// maxWhy bounds the reason that is kept with a stop.
const maxWhy = 1024

func (r DisableRequest) check() error {
	if err := checkReason(r.By, r.Why); err != nil {
		return err
	}
	switch {
	case r.Everything == (r.User != User{}):
		return invalid("user", "Name a user to disable, or everything.")
	case !r.Everything && (r.User.Key == "" || len(r.User.Key) > maxText):
		return invalid("user", "The pseudonym of a user has 1 to %d bytes.", maxText)
	case len(r.User.Issuer) > 8*maxText || len(r.User.ID) > 8*maxText:
		return invalid("user", "The id and the issuer of a user have at most %d bytes.", 8*maxText)
	case r.For < 0 || r.For > maxFor:
		return invalid("for", "A disable lasts between 0 (until enabled) and ten years.")
	}
	return nil
}

func checkReason(by, why string) error {
	switch {
	case by == "" || len(by) > maxText:
		return invalid("by", "Say in 1 to %d bytes who does this.", maxText)
	case len(why) > maxWhy:
		return invalid("why", "Give the reason in at most %d bytes.", maxWhy)
	}
	return nil
}

// maxFor keeps times far from where they would overflow.
const maxFor = 10 * 366 * 24 * time.Hour

func invalid(param, format string, args ...any) error {
	return apierr.New(http.StatusBadRequest, "invalid_field", format, args...).About(param)
}

// Disable stops a user or everything. Once it returned no reserve that begins
// later succeeds, here and after a restart; holds that are open may still be used
// and ended. An operator's word replaces what was said before; the watch can only
// make a stop longer, which is no event.
func (l *Ledger) Disable(ctx context.Context, r DisableRequest) error {
	_, err := l.DisableAnew(ctx, r)
	return err
}

// DisableAnew is Disable, and reports whether there is something to tell: not if the
// watch made a stop that was in force longer, or left it as it was. After an error the
// stop may be in force all the same, if the disk took long.
func (l *Ledger) DisableAnew(ctx context.Context, r DisableRequest) (bool, error) {
	if err := r.check(); err != nil {
		return false, err
	}
	anew := false
	err := l.look(ctx, func(b *batch) (err error) {
		anew, err = b.disable(r)
		return err
	})
	if err != nil {
		return false, err // see Standing
	}
	return anew, nil
}

// Enable reports whether it was stopped. A model's overshoots are forgotten.
func (l *Ledger) Enable(ctx context.Context, r EnableRequest) (bool, error) {
	if err := checkReason(r.By, r.Why); err != nil {
		return false, err
	}
	mark := everythingMark
	switch {
	case r.User != "" && r.Model == "" && !r.Everything:
		mark = userMark(r.User)
	case r.Model != "" && r.User == "" && !r.Everything:
		mark = modelMark(r.Model)
	case r.User != "" || r.Model != "" || !r.Everything:
		return false, invalid("user", "Name a user, a model or everything to enable: one of them.")
	}
	was := false
	err := l.look(ctx, func(b *batch) (err error) {
		was, err = b.enable(mark, r.By, r.Why)
		return err
	})
	if err != nil {
		return false, err // see Standing
	}
	return was, nil
}

// Stops lists who and what is stopped, the longest first.
func (l *Ledger) Stops(ctx context.Context) ([]Stop, error) {
	var all []Stop
	err := l.look(ctx, func(b *batch) error {
		all = b.stopsInForce()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (b *batch) stopsInForce() (all []Stop) {
	for _, mark := range slices.Sorted(maps.Keys(b.stops)) {
		if s := b.stops[mark]; s.inForce(b.at) {
			all = append(all, s.stop())
		}
	}
	slices.SortStableFunc(all, func(a, b Stop) int { return cmp.Compare(a.Since.Unix(), b.Since.Unix()) })
	return all
}

// AnyIssuer is the key under which everybody of an id is stopped, whoever made their
// tokens: for an operator who knows no more. Look for it with Stopped, too. An id may
// have MaxAnyIssuer bytes for that.
func AnyIssuer(id string) string { return anyIssuer + id }

const (
	anyIssuer = "id:" // no pseudonym has a colon

	// MaxAnyIssuer is what of a key's bytes is left for an id.
	MaxAnyIssuer = 200
)

// StoppedUser is Stopped for a user and everybody of the same id.
func (l *Ledger) StoppedUser(key, id string) error {
	if l.switches.Load() == nil {
		return nil
	}
	if err := l.Stopped(key); err != nil {
		return err
	}
	return l.Stopped(AnyIssuer(id))
}

// Stopped refuses a user who is disabled, or anybody while everything is. It is for
// the way of every request: it waits for nothing, and a switch that was turned
// shows as soon as Disable or Enable returns.
func (l *Ledger) Stopped(userKey string) error {
	s := l.switches.Load()
	if s == nil {
		return nil
	}
	if until, is := s.users[userKey]; is {
		if _, yes := l.lasts(until); yes {
			return userDisabled()
		}
	}
	if s.paused {
		if left, yes := l.lasts(s.pausedUntil); yes {
			return paused(left)
		}
	}
	return nil
}

// lasts says how long a stop that ends at until still lasts, and whether it does. A
// stop without an end is worth another look after a while.
func (l *Ledger) lasts(until int64) (left time.Duration, yes bool) {
	if until == 0 {
		return lookAgain, true
	}
	now, _ := l.calendar.now()
	left = time.UnixMilli(until).Sub(now)
	return left, left > 0
}

// switches are the stops of users and of everything, for [Ledger.Stopped]: made
// anew with every change, and never changed. Times are Unix milliseconds, 0 is
// never.
type switches struct {
	users       map[string]int64 // pseudonym → until
	paused      bool             // everything
	pausedUntil int64
	first       int64 // when the first of them ends
}

// lapsed reports whether a stop's time is up.
func (s *switches) lapsed(now time.Time) bool {
	return s != nil && s.first != 0 && now.UnixMilli() >= s.first
}

// switches is nil when nothing is stopped.
func (b *books) switches() *switches {
	var s *switches
	for mark, stop := range b.stops {
		if !stop.over || mark[0] == 'm' {
			continue
		}
		if s == nil {
			s = &switches{users: map[string]int64{}}
		}
		if mark == everythingMark {
			s.paused, s.pausedUntil = true, stop.until
		} else {
			s.users[mark[1:]] = stop.until
		}
		if stop.until != 0 && (s.first == 0 || stop.until < s.first) {
			s.first = stop.until
		}
	}
	return s
}
