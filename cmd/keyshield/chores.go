package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"keyshield/internal/alert"
	"keyshield/internal/policy"
)

const (
	choresEvery = 6 * time.Hour
	oldKey      = 90 * 24 * time.Hour
	retiresSoon = 30 * 24 * time.Hour
)

// runChores does what is done by the clock: keys are read again, and what grows old
// is told. The returned function ends it.
func runChores(ctx context.Context, g program, p parts) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	if p.poll != nil {
		work.Go(func() { p.poll.Run(ctx) })
	}
	work.Go(func() { reloadOnHangup(ctx, p) })
	work.Go(func() {
		tick := time.NewTicker(choresEvery)
		defer tick.Stop()
		for {
			tellAge(g, p, time.Now())
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() { cancel(); work.Wait() }
}

// reloadOnHangup reads the keys again at a SIGHUP, as servers do, and has those that
// OpenAI refused tried again.
func reloadOnHangup(ctx context.Context, p parts) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if p.poll == nil {
				p.log.Info("SIGHUP: the keys stand in the environment, which does not change while a program runs; those that OpenAI refused are tried again")
			} else {
				p.log.Info("SIGHUP: the keys are read again, and those that OpenAI refused are tried again")
				p.poll.Reload()
			}
			p.client.Retry(ctx)
		}
	}
}

// tellAge tells of keys that are old, and of models that OpenAI will not have for
// long. Each is told once in a while only: the alerts see to that.
func tellAge(g program, p parts, now time.Time) {
	for _, k := range p.client.Keys() {
		if !k.Since.IsZero() && now.Sub(k.Since) > oldKey {
			p.alerts.Send(alert.KeyOld(k.Fingerprint, k.Source, k.Since, now))
		}
	}
	for _, id := range g.cfg.Plans.AskedModels() {
		if m, known := policy.Lookup(id); known && !m.Retires.IsZero() && m.Retires.Sub(now) < retiresSoon {
			p.alerts.Send(alert.ModelRetiring(id, m.Retires, now, ""))
		}
	}
}
