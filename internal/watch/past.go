package watch

import (
	"math"
	"slices"
)

// The signals by number, in the order in which they are judged.
const (
	requests = iota
	dollars
	refusals
	addresses
	signals
)

var signalNames = [signals]Signal{Requests, Dollars, Refusals, Addresses}

// values are what is counted of each signal; dollars in nano-dollars.
type values [signals]int64

// levels are values in a byte each, six to a doubling: 6 % is as exact as a habit
// needs to be remembered.
type levels [signals]uint8

const (
	perDoubling = 6

	// dollarUnit is level 1 of dollars: a byte reaches from a millionth of one to
	// some millions.
	dollarUnit = 1000
)

func levelOf(signal int, value int64) uint8 {
	if value <= 0 {
		return 0
	}
	of := float64(value)
	if signal == dollars {
		of = max(1, of/dollarUnit)
	}
	return uint8(min(math.Round(perDoubling*math.Log2(of))+1, math.MaxUint8))
}

func (l levels) value(signal int) float64 {
	if l[signal] == 0 {
		return 0
	}
	of := math.Exp2(float64(l[signal]-1) / perDoubling)
	if signal == dollars {
		of *= dollarUnit
	}
	return of
}

func (l *levels) raise(to levels) {
	for s := range l {
		l[s] = max(l[s], to[s])
	}
}

const (
	remembered  = 14 // days
	knownAfter  = 3  // days
	minute      = 60
	hour        = 60 * minute
	day         = 24 * hour
	retell      = hour // at the least between two alerts of one kind
	plateau     = day  // for which only twice as much is told again
	retry       = minute
	pardonedFor = remembered * day
)

// stamp is a time in Unix seconds; 0 is never. One may lie ahead, after the clock
// was set back.
type stamp uint32

func (s stamp) since(now int64) int64 { return now - int64(s) }

func (s stamp) within(now, period int64) bool {
	since := s.since(now)
	return s > 0 && since >= 0 && since < period
}

// past is what is remembered of a user, or of everything, in some hundred bytes.
type past struct {
	lastSeen stamp
	day      int32 // of today, since 1970
	days     uint8 // how many are in peaks
	next     uint8 // where the next one goes
	peaks    [remembered]levels
	today    levels // of its hours that are over

	told   levels // what the last alert said
	toldAt [signals]stamp

	disabledAt stamp
	forgivenAt stamp
	pardoned   levels // reached while forgiven
}

func (p *past) known() bool { return p.days >= knownAfter }

// usual is what to compare with: the busy tenth of the known users for a newcomer
// who has done less.
func (p *past) usual(busy levels, now int64) levels {
	var usual levels
	if p.known() {
		for s := range usual {
			usual[s] = p.median(s)
		}
	} else {
		usual = busy
		usual.raise(p.today)
		for _, l := range p.peaks[:p.days] {
			usual.raise(l)
		}
	}
	if p.forgivenAt.within(now, pardonedFor) {
		usual.raise(p.pardoned)
	}
	return usual
}

func (p *past) median(signal int) uint8 {
	var of [remembered]uint8
	for i, l := range p.peaks[:p.days] {
		of[i] = l[signal]
	}
	slices.Sort(of[:p.days])
	return of[p.days/2]
}

// learn takes the peaks of an hour that is over.
func (p *past) learn(peak levels, in int64) {
	p.today.raise(peak)
	if p.forgiven(in * hour) {
		p.pardoned.raise(peak)
	}
}

// forgiven reports whether the operator's word still holds: to the end of the
// hour after the one in which it was given, so that whole hours are learned.
func (p *past) forgiven(now int64) bool {
	since := now/hour - int64(p.forgivenAt)/hour
	return p.forgivenAt > 0 && (since == 0 || since == 1)
}

func (p *past) forgive(now int64) {
	p.forgivenAt, p.pardoned, p.disabledAt = stamp(now), levels{}, 0
}

// turn goes on to the day of now, and counts the one that is over in the crowd.
func (p *past) turn(now int64, crowd *crowd) {
	today := int32(now / day)
	if p.day == today || p.day == today+1 { // a straggler at midnight
		return
	}
	if today > p.day && p.today[requests] > 0 {
		if p.days == remembered {
			crowd.add(p.peaks[p.next], -1)
		}
		crowd.add(p.today, 1)
		p.peaks[p.next] = p.today
		p.next = (p.next + 1) % remembered
		p.days = min(p.days+1, remembered)
	}
	p.day, p.today = today, levels{}
}

// begin starts the hour of now: the one that is over is learned, and what to
// compare with is worked out anew. Of an hour that lies ahead nothing is learned:
// the clock was set back, and we begin again.
func (p *past) begin(in *window, now int64, rules *rules, crowd *crowd) {
	if now < in.newest-tooLongPast {
		in.clear()
	} else if in.hour >= 0 {
		p.learn(in.peaks(), in.hour)
	}
	p.turn(now, crowd)
	in.hour, in.peak = now/hour, values{}
	in.limits = rules.thresholds(p.usual(crowd.busy(), now))
}

// tell reports whether a value is worth an alert, and takes it as told.
func (p *past) tell(signal int, value, now int64) bool {
	since := p.toldAt[signal].since(now)
	if since < 0 {
		p.toldAt[signal] = stamp(now) // the clock was set back
		return false
	}
	if p.toldAt[signal] > 0 && (since < retell || since < plateau && int(levelOf(signal, value)) < int(p.told[signal])+perDoubling) {
		return false
	}
	p.take(signal, value, now)
	return true
}

// take remembers what was told.
func (p *past) take(signal int, value, now int64) {
	p.told[signal], p.toldAt[signal] = levelOf(signal, value), stamp(now)
}
