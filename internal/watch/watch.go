// Package watch notices that something is wrong: somebody, or everybody, does far
// more than they usually do.
//
// Four signals are counted for every user and for everything together: requests
// in the last minute, proven dollars in the last hour, refusals in the last
// minute, and distinct addresses in the last hour (IPv6 by its /64). A request is what
// OpenAI was asked, or what came too often to be asked. Other refusals count as refusals
// alone, and what is free, such as looking again and again at what is left of a budget,
// as neither: however many there are they disable nobody, and do not teach how many
// requests are usual, else a thief could make a flood look ordinary in advance, at no
// cost.
//
// What is usual? Each day on which a user made a request leaves its peaks behind: its
// busiest minute, its dearest hour and so on. Usual is the median of the last 14
// such days: a lunch-time peak is in it already, growth of a fifth a day stays
// below the alarm, and an attacker needs a week of such days to move it. A mean, or a
// decayed average of single minutes, was rejected: one bad hour moves it, and it
// calls every lunch unusual. Somebody who was there on fewer than three days is a
// newcomer: their usual is the most that they did before this hour, or what the
// busiest tenth of the known users do if that is more.
//
//	                      alert: 4 × usual, at least   disable: 10 × usual, at least
//	requests in a minute     30  (everything:  120)    100
//	dollars in an hour       ½ % of the month's cap,   5 times that
//	                         5¢ to $5 (everything:
//	                         5 times that)
//	refusals in a minute     20  (everything:  100)    100 for coming too often, over 5 s
//	addresses in an hour     10  (everything:  100)     25
//
// An alert comes at most once an hour for a user and a signal, and for a day only
// if it is twice what was told last: a new plateau is told once.
//
// Only a user is disabled for being unusual, and a newcomer only who goes on and on
// although the limits refuse it, 100 times in a minute and for 5 s: what the limits let through
// is what the operator allows, and of somebody without a past nothing more is known.
// Refusals for other reasons never disable anybody: whoever tries out what is let
// through costs nothing, and a broken form of the app's own looks just so.
// Not more than ten known users, or a twentieth of the active ones, are disabled in an
// hour, and as many newcomers: when many go wild together it is the app, and taking
// them out one by one would be the stop of everything that nobody ordered.
//
// Refusals that are not the user's doing (a full server, a dead ledger, a budget
// that may be everyone's) are no signal about that user. What somebody disabled
// goes on to send counts for nothing: See ignores the refusals, and whoever calls it
// keeps to himself what a switch does not close to them. What got them disabled is not
// learned.
//
// The purse (purse.go) says when everything is stopped: for proven money alone, and
// only after the few who made most of it, if there are such, were disabled.
package watch

import (
	"cmp"
	"errors"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"keyshield/internal/money"
)

// Seen is one request at its end. Key is the caller's pseudonym; without one it
// counts for everything only.
type Seen struct {
	Key, Issuer, ID string
	IP              netip.Addr // invalid: not known, no signal
	At              time.Time  // with its monotonic reading; zero: now
	Refused         bool       // by us: an answer of the provider's is not a refusal
	Free            bool       // OpenAI was asked nothing
	Code            string
	Proven          money.USD // what it has cost, by proof
	Unproven        money.USD // charged at the ceiling: never a signal, anyone can make it by hanging up
}

// Kind says what to do about an Alarm.
type Kind string

// The kinds of alarms.
const (
	Spike      Kind = "spike"       // tell
	Disable    Kind = "disable"     // tell, and disable this user
	DisableAll Kind = "disable_all" // tell, and stop everything
)

// Signal is what was unusual.
type Signal string

// The signals.
const (
	Requests  Signal = "requests"
	Dollars   Signal = "dollars"
	Refusals  Signal = "refusals"
	Addresses Signal = "addresses"
)

// Alarm is what the watch concludes. Without a Key it is about everything.
type Alarm struct {
	Kind            Kind
	Key, Issuer, ID string
	Signal          Signal
	Now, Usual      float64       // Usual is 0 where there is no past
	Text            string        // plain words for the operator, with the way back
	For             time.Duration // of a disable
	At              time.Time
}

// Options of a Watch. Act is required.
type Options struct {
	Path       string        // of the state's file; "": nothing survives a restart
	Month      money.USD     // everyone's cap of the month; negative: none
	DisableFor time.Duration // 0: alerts only
	Act        func(Alarm)   // returns at once; may call back
	Now        func() time.Time
	Log        *slog.Logger
}

const (
	maxUsers = 100_000 // told apart; beyond, the least recently seen are forgotten
	maxKey   = 128     // bytes; a pseudonym has 43
)

// Watch counts what it sees. New makes one.
type Watch struct {
	options Options
	base    time.Time // what the monotonic clock is measured from
	seed    maphash.Seed
	rules   rules // for a user
	table   *table
	crowd   crowd
	all     everything
	brakes  brakes

	changed atomic.Bool // since the state was written
	failing bool        // at writing it
	closing sync.Once
	stop    chan struct{}
	done    sync.WaitGroup
	err     error // of the last write
}

// New makes a Watch that knows what the file at Path says.
func New(o Options) (*Watch, error) {
	if o.Act == nil {
		return nil, errors.New("watch: nobody to act on its alarms")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	w := &Watch{
		options: o, base: o.Now(), seed: maphash.MakeSeed(),
		rules: userRules(o.Month), table: newTable(maxUsers), stop: make(chan struct{}),
	}
	w.all.init(o.Month, o.DisableFor)
	if err := w.load(); err != nil {
		return nil, err
	}
	w.done.Go(w.upkeep)
	return w, nil
}

// See counts a request. Alarms are acted upon before it returns.
func (w *Watch) See(s Seen) {
	if s.Code == codeDisabled {
		return
	}
	if !w.changed.Load() {
		w.changed.Store(true)
	}
	of := w.sight(&s)
	if of.theirs && of.key != "" {
		if a, alarmed := w.seeUser(&s, &of); alarmed {
			w.options.Act(a)
		}
	}
	for _, a := range w.all.see(&of) {
		if a.Kind != Disable || w.single(&a, of.now) {
			w.options.Act(a)
		}
	}
}

// Forgive is told when the operator has enabled a user again, or everything (""); of
// somebody not known there is nothing to forgive. Their windows begin empty, nothing
// but the purse disables them before the next full hour is over, and what they do
// until then is taken for usual for two weeks: a large job that the operator wants to
// run must not be stopped every hour.
func (w *Watch) Forgive(key string) {
	now := w.instant(time.Time{})
	w.changed.Store(true)
	if key == "" {
		w.all.forgive(now)
		return
	}
	w.table.forgive(key, now)
	w.all.forgiveUser(key)
}

// Close writes the state and ends the upkeep. Nothing may be seen after it.
func (w *Watch) Close() error {
	w.closing.Do(func() {
		close(w.stop)
		w.done.Wait()
		_, w.err = w.save()
	})
	return w.err
}
