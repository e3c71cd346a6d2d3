package watch

import (
	"time"

	"keyshield/internal/money"
)

const (
	alertTimes   = 4 // usual
	disableTimes = 10

	// A flood is so many requests in a minute that were refused for coming too often,
	// over so many seconds; after so many without it is over. A form that is sent
	// wrongly again and again is none, nor is a page that asks a hundred times at once.
	flooded     = 100
	persistence = 5
	calm        = 30
)

// rules are the floors below which nothing is unusual.
type rules struct{ alert, disable values }

func userRules(month money.USD) rules {
	cents := dollarFloor(month, 200)
	return rules{
		alert:   values{requests: 30, dollars: cents, refusals: 20, addresses: 10},
		disable: values{requests: 100, dollars: 5 * cents, refusals: flooded, addresses: 25},
	}
}

func everyonesRules(month money.USD) rules {
	return rules{alert: values{
		requests: 120, dollars: 5 * dollarFloor(month, 200), refusals: 100, addresses: 100,
	}}
}

// dollarFloor is a part of the month's cap, but from a floor of its own: an hour
// in which a user spends cents wakes nobody.
func dollarFloor(month money.USD, part money.USD) int64 {
	return int64(min(max(month/part, money.Dollar/20), 5*money.Dollar))
}

// thresholds are what values are compared with; kept until the hour ends.
type thresholds struct {
	usual          levels
	alert, disable values
}

func (r *rules) thresholds(usual levels) thresholds {
	t := thresholds{usual: usual, alert: r.alert, disable: r.disable}
	for s := range usual {
		of := usual.value(s)
		t.alert[s] = max(t.alert[s], int64(alertTimes*of))
		t.disable[s] = max(t.disable[s], int64(disableTimes*of))
	}
	return t
}

// seeUser counts a request of a user, and judges.
func (w *Watch) seeUser(s *Seen, of *sight) (Alarm, bool) {
	shard := w.table.shard(s.Key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	u := w.visit(shard, s.Key, of.now)
	u.window.add(of)

	braked := -1 // the signal for which they would be disabled
	for signal, v := range u.window.now {
		if v < u.window.limits.disable[signal] || !w.mayDisable(u, signal, of.now) {
			continue
		}
		if !u.disabledAt.within(of.now, hour) && !w.brakes.of(u).release(of.now, w.table.active.Load()) {
			braked = signal
			break
		}
		return w.disable(s, u, signal, of.now), true
	}
	signal, found := u.spike(u.window, of.now)
	if braked >= 0 && !found {
		signal, found = braked, w.brakes.of(u).tell(of.now)
	}
	if !found {
		return Alarm{}, false
	}
	a := alarm(Spike, signal, u.window, of.now)
	a.Key, a.Issuer, a.ID = s.Key, s.Issuer, s.ID
	a.Text = a.sentence(u.known())
	if braked >= 0 {
		a.Text += "; not disabled: so many were within the hour that it looks like the app itself"
	}
	return a, true
}

// disable forgets what they did: it is not to disable them a second time, nor to
// be learned.
func (w *Watch) disable(s *Seen, u *user, signal int, now int64) Alarm {
	a := alarm(Disable, signal, u.window, now)
	a.Key, a.Issuer, a.ID, a.For = s.Key, s.Issuer, s.ID, w.options.DisableFor
	a.Text = a.sentence(u.known()) + a.disabled()
	u.disable(signal, now)
	return a
}

func (u *user) disable(signal int, now int64) {
	u.disabledAt = stamp(now)
	if u.window != nil {
		u.take(signal, u.window.now[signal], now)
		u.window.clear()
	}
}

// single notes that the purse disables a user, unless they were disabled just now.
// The brake is not asked, for everything would be stopped instead, but counts them.
func (w *Watch) single(a *Alarm, now int64) bool {
	shard := w.table.shard(a.Key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	u := shard.users[a.Key]
	if u == nil {
		return true // forgotten meanwhile, among so many
	}
	if u.disabledAt.within(now, retry) {
		return false
	}
	if u.window != nil {
		a.Usual = u.window.limits.usual.value(dollars) / float64(money.Dollar)
	}
	w.brakes.of(u).release(now, w.table.active.Load())
	u.disable(dollars, now)
	return true
}

// spike is a signal that is worth an alert, if there is one.
func (p *past) spike(in *window, now int64) (signal int, found bool) {
	for s, v := range in.now {
		if v >= in.limits.alert[s] && p.tell(s, v, now) {
			return s, true
		}
	}
	return 0, false
}

// mayDisable is everything but the number itself.
func (w *Watch) mayDisable(u *user, signal int, now int64) bool {
	if w.options.DisableFor <= 0 || u.forgiven(now) || u.disabledAt.within(now, retry) {
		return false
	}
	switch signal {
	case refusals:
		return u.window.flood.lasts()
	case requests:
		return u.known() || u.window.flood.lasts()
	}
	return u.known()
}

func alarm(kind Kind, signal int, in *window, now int64) Alarm {
	unit := 1.0
	if signal == dollars {
		unit = float64(money.Dollar)
	}
	return Alarm{
		Kind: kind, Signal: signalNames[signal],
		Now: float64(in.now[signal]) / unit, Usual: in.limits.usual.value(signal) / unit,
		At: time.Unix(now, 0).UTC(),
	}
}
