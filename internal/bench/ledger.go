package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// ledgerAlone is the ledger without anything around it: every client reserves,
// which waits for the disk, and settles, which does not.
func ledgerAlone(rounds, pairs int) scenario {
	return scenario{
		Name:   "ledger",
		Title:  "reserve and settle on a real file, " + grouped(pairs) + " of each a round and number of clients",
		Rounds: rounds,
		targets: []target{{
			Name:  "ledger",
			Notes: "the disk of the temporary folder (TMPDIR names another); clients and ledger share one core and one process, whose CPU time is all counted",
			alone: askLedger,
		}},
		ledger: ledgerPlan{Pairs: pairs},
		figures: []figure{
			{Key: "cpu", Label: "64 clients, CPU of both", Unit: "us", Goal: "≤ 25 µs"},
			{Key: "pairs_per_s", Label: "64 clients, durable a second", Unit: "/s", Goal: "≥ 10,000"},
			{Key: "p99_few", Label: "64 clients, a reservation, p99", Unit: "us"},
			{Key: "cpu_many", Label: "256 clients, CPU of both", Unit: "us"},
			{Key: "pairs_per_s_many", Label: "256 clients, durable a second", Unit: "/s"},
			{Key: "p50", Label: "256 clients, a reservation, p50", Unit: "us"},
			{Key: "p99", Label: "256 clients, a reservation, p99", Unit: "us", Goal: "< 25 ms"},
			{Key: "errors", Label: "errors"},
		},
	}
}

// askLedger is one round, in a process on the proxy's core.
func askLedger(ctx context.Context, r *rig, s scenario) (*result, error) {
	p := s.ledger
	var err error
	if p.Dir, err = os.MkdirTemp(r.dir, "ledger-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(p.Dir)
	return r.askAlone(ctx, roleLedger, p)
}

// askAlone has one process on the proxy's core measure something by itself.
func (r *rig) askAlone(ctx context.Context, role string, plan any) (*result, error) {
	child, err := r.startRole(ctx, role, proxyCore, plan)
	if err != nil {
		return nil, err
	}
	defer child.stop()
	var got result
	if err := child.answer.Decode(&got); err != nil {
		return nil, fmt.Errorf("the process of %s ended without a result: %w", role, err)
	}
	if err := child.stop(); err != nil {
		got.fail(err)
	}
	got.Figures["errors"] = float64(got.Errors)
	return &got, nil
}

// ledgerPlan is what the ledger's process does.
type ledgerPlan struct {
	Dir   string
	Pairs int // for each number of clients
}

func (p *ledgerPlan) measure(ctx context.Context) (_ *result, err error) {
	l, err := ledger.Open(ctx, ledger.Options{Dir: p.Dir})
	if err != nil {
		return nil, err
	}
	defer func() {
		if closing := l.Close(); err == nil {
			err = closing
		}
	}()
	c := &cashiers{ledger: l, got: &result{Figures: map[string]float64{}}}
	if _, err := c.run(ctx, 64, p.Pairs/10); err != nil { // the first pages, and the users
		return nil, err
	}
	f := c.got.Figures
	few, err := c.run(ctx, 64, p.Pairs)
	if err != nil {
		return nil, err
	}
	few.write(f, "cpu", "pairs_per_s")
	_, f["p99_few"] = percentiles(few.waits)
	if few.cpu > 0 {
		f["cpu_total"] = few.cpu.Seconds()
	}
	many, err := c.run(ctx, 256, p.Pairs)
	if err != nil {
		return nil, err
	}
	many.write(f, "cpu_many", "pairs_per_s_many")
	f["p50"], f["p99"] = percentiles(many.waits)
	return c.got, c.check(ctx, p.Pairs/10+2*p.Pairs)
}

// cashiers reserve and settle.
type cashiers struct {
	ledger *ledger.Ledger
	got    *result
	ids    atomic.Int64
}

// shift is what so many of them took for their work.
type shift struct {
	pairs     int
	cpu, took time.Duration
	waits     []time.Duration // of each reservation
}

func (s shift) write(f map[string]float64, cpu, rate string) {
	if s.cpu > 0 { // not every machine tells
		f[cpu] = micros(s.cpu) / float64(s.pairs)
	}
	f[rate] = float64(s.pairs) / s.took.Seconds()
}

const (
	ceiling = 600_000 * money.USD(1) // nano-dollars: that of a short question
	cost    = 100_000 * money.USD(1)
)

// run lets clients reserve and settle until there are so many pairs, all of them
// on disk.
func (c *cashiers) run(ctx context.Context, clients, pairs int) (s shift, err error) {
	before, err := usageOf(os.Getpid())
	if err != nil {
		return s, err
	}
	var left atomic.Int64
	left.Store(int64(pairs))
	waits := make([][]time.Duration, clients)
	began := time.Now()
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for ctx.Err() == nil && left.Add(-1) >= 0 {
				wait, err := c.pair(ctx)
				if err != nil {
					c.got.fail(err)
					continue
				}
				waits[i] = append(waits[i], wait)
			}
		})
	}
	all.Wait()
	if err := c.ledger.Flush(ctx); err != nil {
		return s, err
	}
	s.pairs, s.took = pairs, time.Since(began)
	after, err := usageOf(os.Getpid())
	s.cpu = after.cpu() - before.cpu()
	for _, part := range waits {
		s.waits = append(s.waits, part...)
	}
	return s, err
}

// pair is one call's money. It returns how long the reservation took.
func (c *cashiers) pair(ctx context.Context) (time.Duration, error) {
	id := c.ids.Add(1)
	user := fmt.Sprintf("%064x", id%maxUsers)
	most := ledger.UpTo(money.Max)
	began := time.Now()
	hold, err := c.ledger.Reserve(ctx, ledger.Request{
		ID:      fmt.Sprintf("%032x", id),
		User:    ledger.User{Key: user, ID: user[32:]},
		Model:   "gpt-6-luna",
		Ceiling: ceiling,
		Prices:  "bench",
		Caps:    ledger.Caps{Day: most, Month: most, UserDay: most, UserMonth: most},
	})
	wait := time.Since(began)
	if err != nil {
		return wait, err
	}
	if err := hold.Use(); err != nil {
		return wait, err
	}
	return wait, hold.Settle(ledger.Usage{Input: 100, Output: 50, Cost: cost})
}

// check holds the books against what was done: figures of a ledger that counts
// wrongly are worth nothing. A reservation that was refused, as all are that the
// disk keeps waiting for too long, must have left no trace.
func (c *cashiers) check(ctx context.Context, pairs int) error {
	standing, err := c.ledger.Standing(ctx, ledger.User{Key: fmt.Sprintf("%064x", 0)})
	if err != nil {
		return err
	}
	want := money.USD(pairs-c.got.Errors) * cost
	if got := standing.Month.Used; got != want {
		return fmt.Errorf("the ledger says that %v were spent, and it was %v", got, want)
	}
	return nil
}
