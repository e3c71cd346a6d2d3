package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"keyshield/internal/config"
	"keyshield/internal/ledger"
	"keyshield/internal/upstream"
)

const (
	// lockSpare is waited for the ledger beyond the grace of the server that has
	// it: a deploy starts the new one before the old one has ended.
	lockSpare = 10 * time.Second

	doubtEvery = 30 * time.Second
)

// diskPatience is how long a prompt waits for the ledger's disk; 0 is as long as the
// ledger sees fit. Most tests are not about the disk of a busy machine.
var diskPatience time.Duration

// openLedger opens the ledger in DATA_DIR, and waits for a server that is ending.
func openLedger(ctx context.Context, cfg config.Config, b *bell, log *slog.Logger) (*ledger.Ledger, error) {
	if cfg.Ephemeral {
		log.Warn("DATA_DIR does not outlive this start: budgets hold from start to start only (LEDGER_EPHEMERAL=accept)")
	}
	return ledger.Open(ctx, ledger.Options{
		Dir:       cfg.Money.DataDir,
		LockWait:  cfg.Server.ShutdownGrace + lockSpare,
		Patience:  diskPatience,
		Soft:      cfg.Money.BudgetSoft,
		Event:     b.money,
		Orphan:    b.orphan,
		BeforeEnd: b.drain,
		Log:       log,
	})
}

// watchClock asks OpenAI for the time while our own clocks contradict each other:
// no new window opens until a third one speaks, and with the budget used up no
// call would bring one. The returned function ends it.
func watchClock(ctx context.Context, books *ledger.Ledger, client *upstream.Client, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(doubtEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if !books.InDoubt() {
				continue
			}
			at, err := client.Clock(ctx)
			if err != nil {
				log.Warn("this machine's clocks disagree, and OpenAI does not tell the time", "error", err.Error())
				continue
			}
			books.Observe(at)
		}
	})
	return func() { cancel(); work.Wait() }
}
