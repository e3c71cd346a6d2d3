package main

import (
	"context"
	"fmt"
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

// openLedger opens the ledger in DATA_DIR, and waits for a server that is ending.
func openLedger(ctx context.Context, cfg config.Config, log *slog.Logger) (*ledger.Ledger, error) {
	if cfg.Ephemeral {
		log.Warn("DATA_DIR does not outlive this start: budgets hold from start to start only (LEDGER_EPHEMERAL=accept)")
	}
	return ledger.Open(ctx, ledger.Options{
		Dir:      cfg.Money.DataDir,
		LockWait: cfg.Server.ShutdownGrace + lockSpare,
		Soft:     cfg.Money.BudgetSoft,
		Event:    func(e ledger.Event) { tellOfMoney(log, e) },
		Log:      log,
	})
}

// tellOfMoney logs what an operator wants to know of the ledger. Error means that
// someone must act.
func tellOfMoney(log *slog.Logger, e ledger.Event) {
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
	case ledger.Unwritable:
		level, message = slog.LevelError, "the ledger cannot be written: nothing is asked until it can"
	case ledger.Writable:
		message = "the ledger can be written again"
	}
	attrs := []slog.Attr{slog.String("event", string(e.Kind)), slog.String("amount", e.Amount.String()), slog.String("limit", e.Limit.String())}
	if e.Window != (ledger.Window{}) {
		attrs = append(attrs, slog.String("window", e.Window.String()))
	}
	if e.User.ID != "" {
		attrs = append(attrs, slog.String("user", e.User.ID))
	}
	if e.Model != "" {
		attrs = append(attrs, slog.String("model", e.Model))
	}
	log.LogAttrs(context.Background(), level, message, attrs...)
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
