package watch

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"keyshield/internal/money"
)

// everything is all requests together. Being unusual never stops them: that is
// what the day somebody writes about the app looks like.
type everything struct {
	past
	mu         sync.Mutex
	rules      rules
	disableFor time.Duration
	window     window
	from       bitmap
	purse      purse
}

func (e *everything) init(month money.USD, disableFor time.Duration) {
	e.rules, e.disableFor = everyonesRules(month), disableFor
	e.window, e.purse = *newWindow(), purse{limit: month}
}

func (e *everything) see(of *sight) []Alarm {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.window.over(of.now) {
		e.begin(&e.window, of.now, &e.rules, nil)
		e.from.clear()
		e.window.now[addresses] = 0
	}
	all := *of
	all.located = false // the bitmap holds more of them
	if of.located {
		e.window.now[addresses] = e.from.add(of.from)
	}
	e.window.add(&all)
	if of.proven > 0 {
		if alarms := e.spend(of); alarms != nil {
			return alarms
		}
	}
	signal, found := e.spike(&e.window, of.now)
	if !found {
		return nil
	}
	a := alarm(Spike, signal, &e.window, of.now)
	a.Text = a.sentence(e.known())
	return []Alarm{a}
}

// spend stops everything if the purse says so, or the few for whom it does; where
// nothing is to be disabled, it is said, once an hour.
func (e *everything) spend(of *sight) []Alarm {
	drain, found := e.purse.take(of)
	again := int64(retry)
	if e.disableFor <= 0 {
		again = retell
	}
	if !found || e.forgiven(of.now) || e.disabledAt.within(of.now, again) {
		return nil
	}
	goesOn := e.purse.apartAt.within(of.now, min(hour, int64(e.disableFor/time.Second)))
	if e.disableFor > 0 && !goesOn {
		if few := e.purse.recent.few(drain); few != nil {
			return e.single(few, drain, of.now)
		}
	}
	a := alarm(Spike, dollars, &e.window, of.now)
	a.Now = float64(drain.proven) / float64(money.Dollar)
	a.Text = drain.String()
	if goesOn {
		a.Text += "; it goes on after " + count(float64(len(e.purse.apart)), "user was", "users were") + " disabled for it"
	}
	if e.disableFor > 0 {
		a.Kind, a.For = DisableAll, e.disableFor
		a.Text += "; everything is stopped for " + spell(a.For) + "; undo: keyshield enable --everything"
	}
	e.disabledAt = stamp(of.now)
	e.take(dollars, e.window.now[dollars], of.now)
	e.window.clear()
	e.purse.recent = spending{}
	return []Alarm{a}
}

// single has the few disabled, and measures the pace without them from here on.
func (e *everything) single(few []spender, d drain, now int64) (alarms []Alarm) {
	for _, one := range few {
		a := Alarm{
			Kind: Disable, Key: one.key, Issuer: one.issuer, ID: one.id, Signal: Dollars, For: e.disableFor,
			Now: float64(one.spent) / float64(money.Dollar), At: time.Unix(now, 0).UTC(),
		}
		a.Text = fmt.Sprintf("%s spent %s of the %s that were spent in the last %d minutes; %s",
			printable(a.name()), cents(money.USD(one.spent)), cents(d.proven), d.minutes, d.pace()) + a.disabled()
		alarms = append(alarms, a)
	}
	e.purse.apart, e.purse.apartAt = few, stamp(now)
	e.purse.recent = spending{}
	return alarms
}

// forgiveUser lets the purse count them again, and name them rather than stop
// everything if they go on as before.
func (e *everything) forgiveUser(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if slices.ContainsFunc(e.purse.apart, func(one spender) bool { return one.key == key }) {
		e.purse.apart, e.purse.apartAt = nil, 0
	}
}

func (e *everything) forgive(now int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.past.forgive(now)
	e.window.clear()
	e.purse.recent = spending{}
}

// rest learns of an hour that ended in silence.
func (e *everything) rest(now int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.window.hour >= 0 && e.window.over(now) {
		e.begin(&e.window, now, &e.rules, nil)
		e.from.clear()
		e.window.now[addresses] = 0
	}
}

const (
	bitmapBits  = 1 << 16
	bitmapWords = bitmapBits / 64
)

// bitmap counts distinct hashes since it was cleared, within some per cent up to
// half a million (linear counting: the empty bits tell how many there were).
type bitmap struct {
	words  [bitmapWords]uint64
	filled int
	count  int64
}

func (b *bitmap) add(hash uint64) int64 {
	bit := hash % bitmapBits
	word, mask := &b.words[bit/64], uint64(1)<<(bit%64)
	if *word&mask == 0 && b.filled < bitmapBits-1 {
		*word |= mask
		b.filled++
		b.count = int64(math.Round(bitmapBits * math.Log(bitmapBits/float64(bitmapBits-b.filled))))
	}
	return b.count
}

func (b *bitmap) clear() { *b = bitmap{} }
