package main

import (
	"runtime"
	"testing"
	"time"
)

// TestAFloodFromOpenAICostsNoMemory: of a line, a body or comments of 256 MiB no more
// is kept than what an answer may have. It runs alone, for it measures the process.
func TestAFloodFromOpenAICostsNoMemory(t *testing.T) {
	r := target(t, "UPSTREAM_TIMEOUT=20s")
	for _, words := range []string{"fault=endless_line", "fault=endless_line at=-1", "fault=endless_comments", "fault=giant"} {
		for form, want := range map[string]string{"json": "502 upstream_error", "events": "200 then upstream_interrupted", "text": "200 then cut"} {
			const most = 16 << 20
			outcome, began := "", time.Now()
			live := liveDuring(func() { outcome, _, _ = r.outcomeOf(form, "[[sim "+words+"]]") })
			if took := time.Since(began); outcome != want || live > most || took > slack {
				t.Errorf("%s as %s: %s after %v with %d MiB more alive; want %s at once with less than %d", words, form, outcome, took, live>>20, want, most>>20)
			}
		}
	}
	r.calm()
}

// liveDuring is how much more memory is alive while do runs, at the most.
func liveDuring(do func()) int64 { return liveEach(5*time.Millisecond, do) }

// liveEach looks so often; each look is a collection.
func liveEach(pause time.Duration, do func()) (most int64) {
	alive := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := alive()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return max(most, alive()-before)
		case <-tick.C:
			most = max(most, alive()-before)
		}
	}
}

// TestManyFloodsAtOnceCostLittleEach: fifty streams, each with a line that never ends.
func TestManyFloodsAtOnceCostLittleEach(t *testing.T) {
	r := hasty(t)
	var tries []func()
	for range 50 {
		tries = append(tries, func() { r.outcomeOf("events", "[[sim fault=endless_line]]") })
	}
	const most = 50 * 4 << 20 // a line of 1 MiB, read and grown, and the simulator's own blocks
	if live := liveDuring(func() { atOnce(tries...) }); live > most {
		t.Errorf("%d MiB more are alive; want less than %d", live>>20, most>>20)
	}
	r.calm()
}
