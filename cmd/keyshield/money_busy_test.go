package main

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// TestBusyIsNotExhausted: while open streams hold the whole budget, others are told
// to come back in a moment; once they have ended, they get through.
func TestBusyIsNotExhausted(t *testing.T) {
	const streams = 22
	q := question{"[[sim chunks=60 pace=50ms]] hello", streamed}
	ceiling := ceilingOf(t, question{"[[sim chunks=60 pace=00ms]] hello", streamed})
	p := openPurse(t, dollars("BUDGET_DAY", streams*ceiling))
	tokens := p.tokens(streams + 1)
	var open sync.WaitGroup
	for i := range streams {
		open.Go(func() {
			if v := p.send(t.Context(), tokens[i], q, 0); v.said != "200" {
				t.Errorf("stream %d ended with %q", i, v.said)
			}
		})
	}
	p.await(t, "the streams", func(r sim.Report) bool { return r.OpenStreams == streams })
	other := question{"[[sim usage=missing]] hello", wholeAnswer}
	p.untouched(func() {
		v := p.send(t.Context(), tokens[streams], other, 0)
		if wait, err := strconv.Atoi(v.after); v.said != "429 budget_busy" || err != nil || wait < 1 || wait > 5 {
			t.Errorf("while the streams run: %+v; want 429 budget_busy with a short Retry-After", v)
		}
	})
	open.Wait()
	if !eventually(t, 5*time.Second, func() bool { return p.send(context.Background(), tokens[streams], other, 0).said == "200" }) {
		t.Fatal("the streams have ended, and nobody gets through")
	}
	// Nothing proves what these cost: they use the budget up.
	var last verdict
	for range 2 * streams {
		if last = p.send(t.Context(), tokens[0], other, 0); last.said != "200" {
			break
		}
	}
	now := time.Now().UTC()
	midnight := now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now).Seconds()
	if wait, err := strconv.ParseFloat(last.after, 64); last.said != "429 budget_exhausted" || err != nil || wait < midnight-60 || wait > midnight+60 {
		t.Errorf("once it is used up: %+v; want 429 budget_exhausted until midnight, in %.0f s", last, midnight)
	}
}

// TestADiskThatForgetsIsRefused on a platform, unless it was accepted in full.
func TestADiskThatForgetsIsRefused(t *testing.T) {
	env := with(settings("http://127.0.0.1:1"), "RENDER=1", "TRUSTED_PROXY=render", "DATA_DIR=/tmp/keyshield-forgets/data")
	p := process{args: []string{"serve"}, dir: t.TempDir()}
	for name, value := range env {
		p.environ = append(p.environ, name+"="+value)
	}
	said := newLogbook("what serve says")
	p.stderr, p.stdout = said, said
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if code := run(ctx, p); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	for _, word := range []string{"DATA_DIR", "Render", "disk", "LEDGER_EPHEMERAL=accept"} {
		if !strings.Contains(said.String(), word) {
			t.Errorf("the refusal does not say %q:\n%s", word, said)
		}
	}

	r := start(t, "RENDER=1", "TRUSTED_PROXY=none", "LEDGER_EPHEMERAL=accept", "DATA_DIR="+t.TempDir())
	if log := r.log.String(); !strings.Contains(log, "LEDGER_EPHEMERAL=accept") || !strings.Contains(log, "begins anew") {
		t.Errorf("the log does not repeat what was accepted:\n%s", log)
	}
	if got := r.ask("hello"); got.status != 200 {
		t.Errorf("got %d", got.status)
	}
}
