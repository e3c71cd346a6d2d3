package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/alert"
	"keyshield/internal/audit"
	"keyshield/internal/ledger"
	"keyshield/internal/metrics"
	"keyshield/internal/server"
	"keyshield/internal/upstream"
	"keyshield/internal/watch"
)

// bell is rung by every part that has something to say beside its answers. It logs
// it, tells whoever wants alerts, and has done what is to be done about it. Nothing
// that rings waits: what takes time goes on in work.
type bell struct {
	log    *slog.Logger
	alerts *alert.Alerts
	mask   func([]byte) []byte // hides secrets: an operator's reason may hold one

	// The parts that act. They are there before any request is answered; what rings
	// earlier waits for them.
	ready    chan struct{}
	writes   chan struct{} // closed when there is an audit log
	audit    *audit.Log
	auditDir string
	lost     orphans
	ledger   *ledger.Ledger
	metrics  *metrics.Metrics
	server   *server.Server

	spikes hourly

	work   sync.WaitGroup
	quit   context.Context
	cancel context.CancelFunc
}

func newBell(ctx context.Context, alerts *alert.Alerts, g program) *bell {
	b := &bell{log: g.log, alerts: alerts, mask: g.hide.logged.Mask, ready: make(chan struct{}), writes: make(chan struct{})}
	b.quit, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return b
}

// end gives up what has not begun, and waits for what has.
func (b *bell) end() {
	b.cancel()
	b.work.Wait()
}

// later does what takes time, once all parts are there.
func (b *bell) later(do func()) {
	if b.quit.Err() != nil {
		return
	}
	b.work.Go(func() {
		select {
		case <-b.ready:
			do()
		case <-b.quit.Done():
		}
	})
}

// note is the audit log's line for what was done, by whomever.
func (b *bell) note(action, target, why, by string) {
	b.audit.Operator(action, string(b.mask([]byte(target))), string(b.mask([]byte(why))), by)
}

// money is the ledger's.
func (b *bell) money(e ledger.Event) {
	logMoney(b.log, e)
	who := alert.User{Key: e.User.Key, Issuer: e.User.Issuer, ID: e.User.ID}
	switch e.Kind {
	case ledger.SoftLimit:
		if e.Percent == 100 {
			b.alerts.Send(alert.CapReached(who, e.Window.String(), e.Amount, e.Limit))
		} else {
			b.alerts.Send(alert.SoftLimit(who, e.Window.String(), e.Percent, e.Amount, e.Limit))
		}
	case ledger.Overshoot:
		b.alerts.Send(alert.Overshoot(who, e.Model, e.Amount, e.Limit))
	case ledger.UserSuspended:
		b.alerts.Send(alert.UserDisabled(who, ledger.ByOvershoot, "a call cost more than its ceiling", time.Time{}))
	case ledger.ModelStopped:
		b.alerts.Send(alert.ModelStopped(e.Model))
	case ledger.UserDisabled:
		b.alerts.Send(alert.UserDisabled(who, e.By, e.Why, e.Until))
	case ledger.UserEnabled:
		b.alerts.Send(alert.UserEnabled(who, e.By, e.Why))
	case ledger.ServiceDisabled:
		b.alerts.Send(alert.ServiceDisabled(e.By, e.Why, e.Until))
	case ledger.ServiceEnabled:
		b.alerts.Send(alert.ServiceEnabled(e.By, e.Why))
	case ledger.Unwritable:
		b.alerts.Send(alert.LedgerUnwritable())
	case ledger.Writable:
		b.alerts.Send(alert.LedgerWritable())
	}
	switch e.Kind {
	case ledger.UserSuspended, ledger.UserDisabled, ledger.ServiceDisabled, ledger.ModelStopped:
		b.later(func() { b.server.EndStopped() })
	}
	if action, target, why := unasked(e); action != "" {
		b.later(func() { b.note(action, target, why, e.By) })
	}
}

// unasked is what the ledger did by itself, for the audit log; what somebody asked for
// is noted where it was asked.
func unasked(e ledger.Event) (action, target, why string) {
	const over = "a call cost more than its ceiling"
	switch {
	case e.Kind == ledger.UserSuspended:
		return "disable", targetOf(e.User), over
	case e.Kind == ledger.ModelStopped:
		return "disable", "model:" + e.Model, over
	case e.By == ledger.ByExpiry:
		return "enable", targetOf(e.User), e.Why
	}
	return "", "", ""
}

func targetOf(u ledger.User) string {
	if u == (ledger.User{}) {
		return "everything"
	}
	return admin.Person{ID: u.ID, Issuer: u.Issuer, Key: u.Key}.Target()
}

// disableWait is how long a disable may wait for the ledger.
const disableWait = 5 * time.Second

// alarm is the watch's.
func (b *bell) alarm(a watch.Alarm) {
	b.log.Warn("unusual: "+a.Text, "event", string(a.Kind), "signal", string(a.Signal), "user", a.ID)
	who := alert.User{Key: a.Key, Issuer: a.Issuer, ID: a.ID}
	b.later(func() { b.metrics.Alarm(string(a.Signal)) })
	if a.Kind == watch.Spike {
		b.alerts.Send(alert.Spike(who, string(a.Signal), a.Text))
		b.later(func() { b.noteSpike(a, a.Text) })
		return
	}
	stop := ledger.DisableRequest{For: a.For, By: ledger.ByWatch, Why: a.Text}
	if a.Kind == watch.DisableAll {
		stop.Everything = true
	} else {
		stop.User = ledger.User{Key: a.Key, Issuer: a.Issuer, ID: a.ID}
	}
	b.later(func() {
		soon, cancel := context.WithTimeout(context.WithoutCancel(b.quit), disableWait)
		defer cancel()
		anew, err := b.ledger.DisableAnew(soon, stop) // it tells the alerts, when it is done
		if err != nil {
			b.log.Error("whether the watch has disabled what is unusual is not known", "user", a.ID, "error", err.Error())
			undone := a.Text + "\nWhether it was disabled is not known (keyshield usage tells): " + err.Error()
			b.alerts.Send(alert.Spike(who, string(a.Signal), undone))
			b.noteSpike(a, undone)
			return
		}
		if anew {
			b.note("disable", targetOf(stop.User), a.Text, ledger.ByWatch)
		}
	})
}

// spikesNoted is how many users an hour have a line for what is unusual of them. The
// watch tells each of them once an hour, but there may be a hundred thousand: a crowd
// that goes wild must not bury what an operator has done.
const spikesNoted = 100

// noteSpike is the audit log's line for what the watch has only told of: alerts send
// people there. Of everybody together it tells a few times an hour at most, always noted.
func (b *bell) noteSpike(a watch.Alarm, why string) {
	target := targetOf(ledger.User{Key: a.Key, Issuer: a.Issuer, ID: a.ID})
	if a.Key != "" {
		switch n := b.spikes.next(time.Now()); {
		case n > spikesNoted+1:
			return
		case n > spikesNoted:
			target, why = "", fmt.Sprintf("there are more than %d within an hour; those that follow stand in the server's log, as event spike", spikesNoted)
		}
	}
	b.note("spike", target, why, ledger.ByWatch)
}

// hourly counts anew in each hour that begins with something to count.
type hourly struct {
	mu    sync.Mutex
	since time.Time
	n     int
}

func (h *hourly) next(now time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.since) >= time.Hour {
		h.since, h.n = now, 0
	}
	h.n++
	return h.n
}

// key is the keyring's.
func (b *bell) key(e upstream.KeyEvent) {
	level := slog.LevelWarn
	switch e.Kind {
	case upstream.Rejected, upstream.NoneLeft:
		level = slog.LevelError
	}
	b.log.Log(b.quit, level, "keys for OpenAI: "+e.Why, "event", string(e.Kind), "key", e.Fingerprint, "source", e.Source)
	switch e.Kind {
	case upstream.Rotated:
		b.alerts.Send(alert.KeyRotated(e.Fingerprint, e.Source, e.Why))
	case upstream.Rejected:
		b.alerts.Send(alert.KeyRejected(e.Fingerprint, e.Source, e.Why))
	case upstream.NoneLeft:
		b.alerts.Send(alert.NoKeyLeft(e.Why))
	case upstream.Recovered:
		b.alerts.Send(alert.KeyRecovered(e.Fingerprint, e.Source))
	case upstream.SourceFailed:
		b.alerts.Send(alert.SourceFailed(e.Source, e.Why))
	case upstream.SourceBack:
		b.alerts.Send(alert.SourceBack(e.Source))
	}
	action, target := "key_"+string(e.Kind), "key:"+e.Fingerprint
	if e.Fingerprint == "" {
		action, target = string(e.Kind), e.Source
	}
	b.later(func() { b.note(action, target, e.Why, "keyring") })
}

// providerRefuses is the server's: OpenAI knows the key, and takes nothing all the same.
func (b *bell) providerRefuses(why server.ProviderRefusal, err error) {
	b.log.Error("OpenAI refuses calls", "event", "provider_refuses", "why", string(why), "error", err.Error())
	if why == server.QuotaSpent {
		b.alerts.Send(alert.ProviderQuota(err.Error()))
	} else {
		b.alerts.Send(alert.ProviderRefuses(err.Error()))
	}
}

// auditBroken is the audit log's: nil when it works again.
func (b *bell) auditBroken(err error) {
	if err == nil {
		b.log.Warn("the audit log is written again", "event", "audit_works")
		b.later(func() {
			_, lost := b.audit.Counts()
			b.alerts.Send(alert.AuditWorks(lost))
		})
		return
	}
	b.log.Error("the audit log cannot be written", "event", "audit_broken", "error", err.Error())
	b.alerts.Send(alert.AuditBroken(err.Error()))
}

// orphan is a call that an earlier process left open.
func (b *bell) orphan(o ledger.Orphan) { b.lost = append(b.lost, o) }

// drain has the audit log written as far as it goes, before the ledger ends a call.
func (b *bell) drain() error {
	select {
	case <-b.writes:
	case <-b.quit.Done():
		select {
		case <-b.writes:
		default:
			return errNoAudit // nothing was asked; what was left open is told again
		}
	}
	b.lost.write(b.audit, b.auditDir)
	b.audit.Drain()
	return nil
}

var errNoAudit = errors.New("the audit log could not be opened")

// logMoney logs what an operator wants to know of the ledger. Error means that
// someone must act.
func logMoney(log *slog.Logger, e ledger.Event) {
	level, message := slog.LevelWarn, ""
	switch e.Kind {
	case ledger.SoftLimit:
		message = fmt.Sprintf("%d%% of a budget is spent", e.Percent)
	case ledger.Overshoot:
		level, message = slog.LevelError, "a call cost more than its ceiling: the price table or its bounds are wrong"
	case ledger.UserSuspended:
		level, message = slog.LevelError, "a user is suspended after an overshoot; keyshield enable --user lets him in again"
	case ledger.ModelStopped:
		level, message = slog.LevelError, "a model is stopped after overshoots; keyshield enable --model starts it again"
	case ledger.UserDisabled:
		message = "a user is disabled; keyshield enable --user lets him in again"
	case ledger.UserEnabled:
		message = "a user is enabled again"
	case ledger.ServiceDisabled:
		message = "everything is stopped; keyshield enable --everything starts it again"
	case ledger.ServiceEnabled:
		message = "everything runs again"
	case ledger.Seeded:
		message = "what OpenAI has billed before was added to the ledger"
	case ledger.Unwritable:
		level, message = slog.LevelError, "the ledger cannot be written: nothing is asked until it can"
	case ledger.Writable:
		message = "the ledger can be written again"
	}
	attrs := []slog.Attr{slog.String("event", string(e.Kind))}
	for _, a := range [...]slog.Attr{slog.String("user", e.User.ID), slog.String("model", e.Model), slog.String("by", e.By), slog.String("why", e.Why)} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if e.Amount != 0 || e.Limit != 0 {
		attrs = append(attrs, slog.String("amount", e.Amount.String()), slog.String("limit", e.Limit.String()))
	}
	if e.Window != (ledger.Window{}) {
		attrs = append(attrs, slog.String("window", e.Window.String()))
	}
	log.LogAttrs(context.Background(), level, message, attrs...)
}
