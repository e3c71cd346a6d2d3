package watch

import (
	"fmt"
	"math"
	"slices"
	"time"

	"keyshield/internal/money"
)

// When is everything stopped?
//
// The ledger keeps the cap whatever happens; what it cannot keep is the rest of
// the month. So everything is stopped when what is left of the month's cap would
// be gone within ten minutes at the pace of the last two, five or ten minutes: when
// a fifth of what is left was proven within two minutes, a half within five, or all
// that is still left within ten. An app that spends its cap evenly does 0.0023 % of
// it in a minute; eight times that at the busiest hour of a launch is still some
// five hundred times too slow.
//
// Three things besides, all of them so that nobody can stop a whole app for little:
//
//   - a tenth of the whole cap was proven in that time. Near the month's end a fifth
//     of little is left to any busy minute; where less than a tenth is left there is
//     nothing to save, and the cap itself ends it;
//   - in at least twenty calls: with a cap of a dollar, two dear calls are a tenth;
//   - the pace is that of two whole minutes at the least: what one minute's batch
//     costs says nothing about ten of them.
//
// Nor is it stopped for what a few do. If one user, or up to three, each with a tenth
// of it or more, made at least half of that spending, they are disabled instead, be
// they newcomers or forgiven: all the others would be stopped for them otherwise. Only
// if the pace goes on without them is everything stopped: whoever brings on others
// within the hour must not get the rest of the month in slices.
//
// Only proven money counts, on both sides. Whoever hangs up on purpose is charged
// at the ceiling, so unproven charges are a number that anyone can drive up without
// the provider billing it. What is left is the cap less what was proven here: a
// watch that has lost its state takes more to be left than is, and stops later.
const (
	within     = 10 // minutes
	leastPart  = 10 // of the cap: one in ten
	leastCalls = 20
)

var paces = [...]int64{2, 5, within} // minutes

// purse is the month's money.
type purse struct {
	limit      money.USD // negative: none
	from, till int64     // the month, in seconds
	proven     int64
	recent     spending

	apart   []spender // disabled for it, the last time
	apartAt stamp
}

// spending is what was proven in each of the last minutes.
type spending struct {
	at    int64 // the newest minute
	spent [within]int64
	calls [within]int64
	by    [within]spenders
}

// drain is a pace that leaves nothing.
type drain struct {
	proven, left, limit money.USD
	minutes             int64
}

func (p *purse) take(of *sight) (drain, bool) {
	if of.now < p.from || of.now >= p.till {
		p.resume(of.now, 0)
	}
	p.proven = plus(p.proven, of.proven)
	if p.ending(of) {
		return drain{}, false
	}
	p.recent.add(of)
	left := int64(p.limit) - p.proven
	if p.limit <= 0 || left <= 0 {
		return drain{}, false
	}
	for _, minutes := range paces {
		spent, calls := p.recent.last(minutes)
		if calls >= leastCalls && spent >= int64(p.limit)/leastPart && spent/minutes >= left/within {
			return drain{money.USD(spent), money.USD(left), p.limit, minutes}, true
		}
	}
	return drain{}, false
}

// ending reports whether it is a call of somebody who was just disabled, which was
// under way then: it says nothing about the pace without them.
func (p *purse) ending(of *sight) bool {
	return p.apartAt.within(of.now, retry) &&
		slices.ContainsFunc(p.apart, func(one spender) bool { return one.hash == of.by })
}

// resume goes on in the month of at.
func (p *purse) resume(at, proven int64) {
	t := time.Unix(min(at, math.MaxUint32), 0).UTC()
	first := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	p.from, p.till, p.proven = first.Unix(), first.AddDate(0, 1, 0).Unix(), proven
}

func (s *spending) add(of *sight) {
	at := of.now / minute
	if ahead := at - s.at; ahead >= within || ahead <= -tooLongPast/minute {
		*s = spending{at: at}
	} else if ahead > 0 {
		for s.at < at {
			s.at++
			i := s.at % within
			s.spent[i], s.calls[i], s.by[i] = 0, 0, nil
		}
	} else if ahead <= -within {
		return
	}
	i := at % within
	s.spent[i], s.calls[i] = plus(s.spent[i], of.proven), s.calls[i]+1
	if of.key != "" {
		s.by[i].add(of)
	}
}

func (s *spending) last(minutes int64) (spent, calls int64) {
	for m := max(0, s.at-minutes+1); m <= s.at; m++ {
		spent, calls = plus(spent, s.spent[m%within]), calls+s.calls[m%within]
	}
	return spent, calls
}

func (d drain) String() string {
	return fmt.Sprintf("%s were spent in the last %d minutes; %s", cents(d.proven), d.minutes, d.pace())
}

func (d drain) pace() string {
	return fmt.Sprintf("at this pace the %s left of the month's %s are gone in less than %d", cents(d.left), d.limit, within)
}
