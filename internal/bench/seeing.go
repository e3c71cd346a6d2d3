package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"keyshield/internal/audit"
	"keyshield/internal/metrics"
	"keyshield/internal/money"
	"keyshield/internal/watch"
)

// seeingAlone is what becomes of a request when it is over: its line in the audit
// log, its counts in the metrics, its look at the watch.
func seeingAlone(rounds, requests int) scenario {
	return scenario{
		Name:   "seeing",
		Title:  "audit, metrics and watch of a request, " + grouped(requests) + " requests a round",
		Rounds: rounds,
		targets: []target{{
			Name:  "audit+metrics+watch",
			Notes: "all CPU time of a process that does nothing else, with the audit log's own goroutines, hashes and writes; one by one, each line is written by itself",
			alone: askSeeing,
		}},
		seeing: seeingPlan{Requests: requests},
		figures: []figure{
			{Key: "cpu", Label: "64 clients, CPU per request", Unit: "us", Goal: "≤ 10 µs"},
			{Key: "cpu_one", Label: "one by one, CPU per request", Unit: "us", Goal: "≤ 10 µs"},
			{Key: "errors", Label: "errors"},
		},
	}
}

// askSeeing is one round, in a process on the proxy's core.
func askSeeing(ctx context.Context, r *rig, s scenario) (*result, error) {
	p := s.seeing
	var err error
	if p.Dir, err = os.MkdirTemp(r.dir, "seeing-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(p.Dir)
	return r.askAlone(ctx, roleSeeing, p)
}

// seeingPlan is what the process does that only sees.
type seeingPlan struct {
	Dir      string
	Requests int
}

// seers are those who are told of a request.
type seers struct {
	audit   *audit.Log
	metrics *metrics.Metrics
	watch   *watch.Watch
	ids     atomic.Int64
}

func (p *seeingPlan) measure(ctx context.Context) (_ *result, err error) {
	s := &seers{metrics: metrics.New(metrics.Options{
		Routes: []string{"/api/generate-text"}, Models: []string{"gpt-6-luna"}, Log: slog.New(slog.DiscardHandler),
	})}
	if s.audit, err = audit.Open(audit.Options{Dir: filepath.Join(p.Dir, audit.Folder)}); err != nil {
		return nil, err
	}
	if s.watch, err = watch.New(watch.Options{Path: filepath.Join(p.Dir, "watch.json"), Month: -1, Act: func(watch.Alarm) {}}); err != nil {
		return nil, errors.Join(err, s.audit.Close())
	}
	got := &result{Figures: map[string]float64{}}
	if _, err = s.run(ctx, 64, p.Requests/10, false); err == nil { // the users, and the first pages
		err = s.shifts(ctx, p.Requests, got.Figures)
	}
	written, lost := s.audit.Counts()
	if want := s.ids.Load(); err == nil && (lost > 0 || written < want) {
		err = fmt.Errorf("of %d records %d are written and %d are lost", want, written, lost)
	}
	return got, errors.Join(err, s.watch.Close(), s.audit.Close())
}

func (s *seers) shifts(ctx context.Context, requests int, f map[string]float64) error {
	many, err := s.run(ctx, 64, requests, false)
	if err != nil {
		return err
	}
	one, err := s.run(ctx, 1, requests/4, true)
	if err != nil {
		return err
	}
	if many > 0 { // not every machine tells
		f["cpu"] = micros(many) / float64(requests)
		f["cpu_one"] = micros(one) / float64(requests/4)
	}
	return nil
}

// run lets clients end requests, and returns the CPU time that it took until all of
// them were written. Drain is what the ledger does before it ends calls.
func (s *seers) run(ctx context.Context, clients, requests int, drain bool) (time.Duration, error) {
	before, err := usageOf(os.Getpid())
	if err != nil {
		return 0, err
	}
	var left atomic.Int64
	left.Store(int64(requests))
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for n := left.Add(-1); n >= 0 && ctx.Err() == nil; n = left.Add(-1) {
				s.end()
				if drain || n%64 == 0 {
					s.audit.Drain()
				}
			}
		})
	}
	all.Wait()
	s.audit.Drain()
	after, err := usageOf(os.Getpid())
	return after.cpu() - before.cpu(), err
}

// end tells of one request what the server tells.
func (s *seers) end() {
	id, now := s.ids.Add(1), time.Now()
	user := fmt.Sprintf("%043x", id%maxUsers)
	s.audit.Request(&audit.Record{
		Time: now, Kind: audit.Request, ID: fmt.Sprintf("%026x", id), User: user[:12], UserKey: user, Plan: "default",
		IP: "203.0.113.7", Endpoint: "/api/generate-text", Model: "gpt-6-luna", Status: 200, Outcome: audit.OK,
		Input: 40, Output: 60, Cost: cost, Took: 812 * time.Millisecond,
	}, false)
	s.metrics.Request(metrics.Seen{
		Route: "/api/generate-text", Status: 200, Outcome: metrics.OK, Model: "gpt-6-luna",
		Tokens: metrics.Tokens{Input: 40, Output: 60}, Cost: cost, Took: 812 * time.Millisecond, Upstream: 811 * time.Millisecond,
	})
	s.watch.See(watch.Seen{Key: user, ID: user[:12], IP: netip.AddrFrom4([4]byte{203, 0, 113, 7}), At: now, Proven: cost / 1000 * money.Nano})
}
