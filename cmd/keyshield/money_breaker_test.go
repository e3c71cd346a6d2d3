package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// TestOnlyAnAnswerClosesTheBreaker: a request that our own budget refuses says
// nothing about OpenAI.
func TestOnlyAnAnswerClosesTheBreaker(t *testing.T) {
	t.Parallel()
	q := question{"[[sim status=500 bill]] hello", wholeAnswer}
	ceiling := ceilingOf(t, q)
	p := openPurse(t, "BREAKER=3/10s", dollars("BUDGET_USER_DAY", 2*ceiling-1))
	tokens := p.tokens(20)
	for i := range 3 {
		p.sendOnce(t.Context(), tokens[i], q, 0)
	}
	if v := p.sendOnce(t.Context(), tokens[3], q, 0); v.said != "503 unavailable" {
		t.Fatalf("after three failures: %+v", v)
	}
	<-time.After(2100 * time.Millisecond)
	if v := p.sendOnce(t.Context(), tokens[0], q, 0); v.said != "429 budget_exhausted" {
		t.Fatalf("who has nothing left: %+v", v)
	}
	before := p.asked()
	for i := range 10 {
		p.sendOnce(t.Context(), tokens[4+i], q, 0)
	}
	n := p.asked() - before
	if n > 1 {
		t.Errorf("%d more calls to an OpenAI that only fails; want 1, which finds out", n)
	}
}

// TestWhoHangsUpDoesNotCloseTheBreaker: leaving proves nothing of OpenAI.
func TestWhoHangsUpDoesNotCloseTheBreaker(t *testing.T) {
	t.Parallel()
	q := question{"[[sim status=500 bill]] hello", wholeAnswer}
	p := openPurse(t, "BREAKER=3/10s")
	tokens := p.tokens(20)
	for i := range 3 {
		p.sendOnce(t.Context(), tokens[i], q, 0)
	}
	<-time.After(2100 * time.Millisecond)
	before := p.asked()
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		defer leave()
		p.sim.Await(t.Context(), func(r sim.Report) bool { return r.Open == 1 })
	}()
	p.sendOnce(ctx, tokens[0], question{"[[sim fault=hang_before]]", wholeAnswer}, 0)
	p.calm()
	p.rested()
	for i := range 10 {
		p.sendOnce(t.Context(), tokens[4+i], q, 0)
	}
	if n := p.asked() - before; n > 2 {
		t.Errorf("%d more calls to an OpenAI that only fails; want 2: who left, and one that finds out", n)
	}
}

// TestAStreamThatHasBegunClosesTheBreaker: its first word says that OpenAI is back,
// and nobody waits for its last.
func TestAStreamThatHasBegunClosesTheBreaker(t *testing.T) {
	t.Parallel()
	r := start(t, "BREAKER=3/10s")
	for range 3 {
		r.ask("[[sim status=500 bill]] hello")
	}
	r.ask("hello").wants(t, 503, "unavailable")
	<-time.After(2100 * time.Millisecond)
	stream, err := r.web.Do(r.request("/api/generate-text", promptBody("[[sim chunks=40 pace=100ms]] hello"), "Accept: text/event-stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	for heard, some := "", make([]byte, 256); !strings.Contains(heard, "delta"); {
		n, err := stream.Body.Read(some)
		if heard += string(some[:n]); err != nil {
			t.Fatalf("no word came: %v, %q", err, heard)
		}
	}
	if got := r.ask("hello"); got.status != 200 {
		t.Errorf("beside a stream that has begun: %d %s, want 200", got.status, got.body)
	}
}

// TestSlowFailuresOpenTheBreakerToo: the calls of an outage last longer than the time
// in which failures are counted.
func TestSlowFailuresOpenTheBreakerToo(t *testing.T) {
	t.Parallel()
	r := start(t, "BREAKER=3/1s")
	ask := func() { r.ask("[[sim status=500 bill latency=1500ms]] hello") }
	atOnce(ask, ask, ask)
	before := r.asked()
	r.ask("hello").wants(t, 503, "unavailable")
	if n := r.asked() - before; n != 0 {
		t.Errorf("%d calls to an OpenAI that only fails, want none", n)
	}
}
