package admin

import (
	"context"
	"fmt"
	"maps"
	"math/bits"
	"time"

	"keyshield/internal/ledger"
	"keyshield/internal/upstream"
)

// Overview is everything at a glance.
func (d *Desk) Overview(ctx context.Context) (Overview, error) {
	live, err := d.live()
	if err != nil {
		return Overview{}, err
	}
	all, err := d.Ledger.Standing(ctx, ledger.User{})
	if err != nil {
		return Overview{}, err
	}
	stopped, err := d.stopped(ctx)
	if err != nil {
		return Overview{}, err
	}
	s := live.State()
	o := Overview{
		Version: d.Version, At: now(), Since: s.Since.UTC(),
		Day: accountOf(all.Day, d.Caps.Day), Month: accountOf(all.Month, d.Caps.Month),
		Traffic: trafficOf(s), Breaker: s.Breaker, Keys: keysIn(live), Alerts: []Alert{}, Stopped: stopped,
		Ledger: healthOf(d.Ledger.Healthy()), Audit: healthOf(live.AuditState()),
	}
	if o.Breaker == "" {
		o.Breaker = "off"
	}
	o.Pace = paceOf(o.Month, o.At)
	for _, a := range live.Alerts.State() {
		o.Alerts = append(o.Alerts, alertOf(a))
	}
	o.Degraded = o.degraded(d.Ledger.InDoubt(), s.Refuses)
	return o, nil
}

func trafficOf(s State) Traffic {
	t := Traffic{
		Requests: map[string]int64{}, Refusals: map[string]int64{}, InFlight: s.InFlight, Streams: s.Streams,
		Added: AddedLatency{s.Added.Count, milliseconds(s.Added.P50), milliseconds(s.Added.P95), milliseconds(s.Added.P99)},
	}
	maps.Copy(t.Requests, s.Requests)
	maps.Copy(t.Refusals, s.Refusals)
	return t
}

func healthOf(err error) Health {
	if err != nil {
		return Health{Why: err.Error()}
	}
	return Health{OK: true}
}

// shortestPace is the least time that a pace is reckoned from: in a month's first
// minutes one call would make a fortune of it.
const shortestPace = time.Hour

// paceOf says where the month leads to.
func paceOf(month Account, at time.Time) Pace {
	whole := month.End.Sub(month.Start)
	gone := min(max(at.Sub(month.Start), shortestPace), whole)
	p := Pace{
		PerDay: NanoUSD(scale(int64(month.Used), 24*time.Hour, gone)),
		Month:  NanoUSD(scale(int64(month.Used), whole, gone)),
	}
	if month.Cap == nil || month.Used <= 0 {
		return p
	}
	if left := scale(int64(gone), time.Duration(*month.Cap), time.Duration(month.Used)); left < int64(whole) {
		p.UsedUp = new(month.Start.Add(max(time.Duration(left), 0)).Truncate(time.Minute))
	}
	return p
}

// scale is n × num / den without an overflow on the way; the largest number there is
// stands for all above it. Nothing is negative, and den is not 0.
func scale[N ~int64](n int64, num, den N) int64 {
	hi, lo := bits.Mul64(uint64(max(n, 0)), uint64(max(num, 0)))
	if hi >= uint64(den) {
		return 1<<63 - 1
	}
	q, _ := bits.Div64(hi, lo, uint64(den))
	return int64(min(q, 1<<63-1))
}

// degraded says in sentences what is wrong, and what to do next.
func (o *Overview) degraded(doubt bool, refuses string) []string {
	all := []string{}
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if !o.Ledger.OK {
		say("The ledger cannot be written, and nothing is asked until it can: %s. Look at the disk of DATA_DIR.", o.Ledger.Why)
	}
	if !o.Audit.OK {
		say("The audit log cannot be written: %s. Look at the disk of DATA_DIR.", o.Audit.Why)
	}
	if doubt {
		say("The clocks of this machine contradict each other: no new day or month begins until they agree.")
	}
	for _, s := range o.Stopped {
		switch {
		case s.Everything:
			say("Everything is stopped%s. To go on: keyshield enable --everything.", because(s))
		case s.Model != "":
			say("The model %s is stopped: its calls cost more than their ceilings. Compare the prices, then: keyshield enable --model %s.", s.Model, s.Model)
		}
	}
	o.keyTrouble(say)
	switch refuses {
	case "quota":
		say("OpenAI's own limit or credit is used up (insufficient_quota), and it takes nothing more: look at the credit and the project's limits at platform.openai.com. If you do not know what it went to: keyshield reconcile.")
	case "key":
		say("OpenAI refuses calls (401, 403), although it knows the key: look at the key's permissions and the project's models at platform.openai.com. Which calls: keyshield audit --since 1h.")
	}
	if o.Breaker != "closed" && o.Breaker != "off" {
		say("OpenAI fails, and is left alone for a moment (the breaker is %s). It goes on by itself.", o.Breaker)
	}
	for _, a := range o.Alerts {
		if !a.OK {
			say("Alerts do not reach %s: %s.", a.Receiver, a.Why)
		}
	}
	o.moneyTrouble(say)
	return all
}

func because(s Stop) string {
	text := ""
	if s.By != "" {
		text = " by " + s.By
	}
	if s.Until != nil {
		text += " until " + s.Until.Format("2006-01-02 15:04 UTC")
	}
	if s.Why != "" {
		text += " (" + s.Why + ")"
	}
	return text
}

func (o *Overview) keyTrouble(say func(string, ...any)) {
	if !usable(o.Keys) {
		say("No key for OpenAI works, and every request is refused. Make a new one and put it where the others are: keyshield rotate --incident.")
		return
	}
	for _, k := range o.Keys {
		if k.State == upstream.Quarantined {
			say("OpenAI refuses the key %s of %s: %s. If you did not revoke it, treat it as leaked: keyshield rotate --incident.", k.Fingerprint, k.Source, k.Why)
		}
	}
}

func (o *Overview) moneyTrouble(say func(string, ...any)) {
	for _, a := range []Account{o.Day, o.Month} {
		if a.Left != nil && *a.Left <= 0 {
			say("The budget of %s (%s) is used up until %s.", a.Window, *a.Cap, a.End.Format("2006-01-02 15:04 UTC"))
		}
	}
	if o.Pace.UsedUp != nil && o.Pace.UsedUp.After(o.At) {
		say("At this pace the month's budget (%s) is used up on %s.", *o.Month.Cap, o.Pace.UsedUp.Format("2 January"))
	}
}
