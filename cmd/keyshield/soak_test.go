package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// footprint is what a process holds.
type footprint struct {
	goroutines, files int
	heap              int64
}

// size is what the kept log itself takes.
func (l *logbook) size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.text.Cap())
}

// rest is the footprint once everything idle has been closed.
func (r *rig) rest(t *testing.T) footprint {
	t.Helper()
	r.calm()
	r.web.CloseIdleConnections()
	r.back.CloseClientConnections()
	var f footprint
	eventually(t, 5*time.Second, func() bool { // until it is the same twice
		before := f
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc/self/fd to count descriptors in")
		}
		f = footprint{runtime.NumGoroutine(), len(files), int64(m.HeapAlloc) - r.log.size()}
		return f.goroutines == before.goroutines && f.files == before.files
	})
	return f
}

// TestSoakMixedRequestsLeaveNothingBehind: ten thousand good and bad requests, streams,
// hang-ups and faults, and no goroutine, descriptor or memory more than before.
func TestSoakMixedRequestsLeaveNothingBehind(t *testing.T) {
	soak(t)
	r := target(t, "LOG_LEVEL=info", "UPSTREAM_TIMEOUT=2s", "STREAM_IDLE_TIMEOUT=1s", "STREAM_MAX=2s", "MAX_STREAMS_PER_USER=off")
	mixed(t, r, 1000) // pools and tables fill up
	before := r.rest(t)
	const n = 10_000
	began := time.Now()
	mixed(t, r, n)
	after := r.rest(t)
	t.Logf("%d requests in %v; before %+v, after %+v; %d calls", n, time.Since(began), before, after, r.asked())
	if after.goroutines > before.goroutines+3 || after.files > before.files+3 || after.heap > before.heap+4<<20 {
		t.Errorf("something grew: before %+v, after %+v\n%s", before, after, stacks())
	}
	if report := r.sim.Report(); report.Open != 0 || report.OpenStreams != 0 {
		t.Errorf("%d calls are open at OpenAI, %d of them streams", report.Open, report.OpenStreams)
	}
	if got := r.ask("hello"); got.status != 200 {
		t.Errorf("afterwards a good client gets %d", got.status)
	}
}

func stacks() []byte {
	buf := make([]byte, 1<<20)
	return buf[:runtime.Stack(buf, true)]
}

// mixed sends n requests of all kinds, some at a time.
func mixed(t *testing.T, r *rig, n int64) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 24 {
		workers.Go(func() {
			for next.Add(1) <= n {
				oneOfMany(t, r, rand.IntN(100))
			}
		})
	}
	workers.Wait()
}

var mixedFaults = []string{"status=500", "status=429", "html", "fault=cut", "fault=eof", "fault=malformed", "fault=reset", "fault=error_chunk", "leak=whole", "fault=endless_line amount=2MiB",
	"fault=endless_comments amount=2MiB", "fault=giant amount=2MiB", "fault=reasoning_only", "fault=null_content", "redirect=http://127.0.0.1:1/", "quota", "chunks=50", "size=500"}

// oneOfMany sends a request of one of a hundred kinds.
func oneOfMany(t *testing.T, r *rig, kind int) {
	forms := []string{"application/json", "text/event-stream", "text/plain"}
	accept := "Accept: " + forms[rand.IntN(3)]
	switch {
	case kind < 30:
		if got := r.ask("hello", accept); got.status != 200 || got.err != nil {
			t.Errorf("a good prompt got %d, %v", got.status, got.err)
		}
	case kind < 50:
		r.ask("[[sim "+mixedFaults[rand.IntN(len(mixedFaults))]+"]] hello", accept)
	case kind < 60:
		refusals := []func() reply{
			func() reply { return r.ask("hello", "Authorization: Bearer x") },
			func() reply { return r.ask("hello", "Origin: https://evil.example") },
			func() reply { return r.ask(strings.Repeat("x", 301)) },
			func() reply { return r.post("/api/generate-text", strings.Repeat("x", 70<<10)) },
			func() reply { return r.post("/api/ai/chat", "{") },
			func() reply { return r.get("/nowhere") },
		}
		if got := refusals[rand.IntN(len(refusals))](); got.status < 400 || got.status >= 500 {
			t.Errorf("a bad request got %d", got.status)
		}
	case kind < 65:
		r.get("/livez")
	case kind < 80:
		hangUp(r, accept, "fault=hang_before")
	case kind < 90:
		hangUp(r, accept, "fault=never_ending")
	case kind < 94:
		hangUp(r, accept, "fault=hang_mid")
	case kind < 97: // half a body
		c := r.connect()
		fmt.Fprintf(c, "%sContent-Length: 1000\r\n\r\n{", r.head("/api/generate-text"))
		reset(c)
	case kind < 99: // no HTTP
		c := r.connect()
		io.WriteString(c, "\x16\x03\x01\x02\x00\x01\r\n\r\n")
		io.Copy(io.Discard, c)
		c.Close()
	default:
		r.ask("[[sim fault=hang_mid]] hello", accept)
	}
}

// hangUp asks, reads a little or not, and leaves.
func hangUp(r *rig, accept, fault string) {
	body := promptBody("[[sim " + fault + "]] hello")
	c := r.connect()
	defer c.Close()
	fmt.Fprintf(c, "%s\r\n%s", r.head("/api/generate-text", accept, fmt.Sprintf("Content-Length: %d", len(body))), body)
	c.SetReadDeadline(time.Now().Add(time.Duration(rand.IntN(30)) * time.Millisecond))
	c.Read(make([]byte, 256))
	switch rand.IntN(3) {
	case 0:
		reset(c)
	case 1:
		halfClose(c)
		io.Copy(io.Discard, c)
	}
}

// TestSoakSlowReadersAreDropped: who stops reading a stream that does not end is dropped
// within the write deadline of 30 s, holds little memory until then, and nobody waits
// for him.
func TestSoakSlowReadersAreDropped(t *testing.T) {
	soak(t)
	r := target(t, "LOG_LEVEL=info", "MAX_OUTPUT_TOKENS=100000", "MAX_STREAMS_PER_USER=off")
	const readers = 20
	stop := make(chan struct{})
	var served sync.WaitGroup
	served.Go(func() { servedMeanwhile(t, r, stop) })
	const most = readers * 2 << 20 // the simulator's own texts among it
	logged := r.log.size()
	live := liveDuring(func() {
		began := time.Now()
		for i := range readers {
			c := r.connect()
			defer c.Close()
			c.(*wiretap).Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			body := promptBody("[[sim fault=never_ending size=200000 bytes=20000 pace=1ms]]")
			accept := []string{"Accept: text/event-stream", "Accept: text/plain"}[i%2]
			fmt.Fprintf(c, "%s\r\n%s", r.head("/api/generate-text", accept, fmt.Sprintf("Content-Length: %d", len(body))), body)
		}
		ended := eventually(t, 45*time.Second, func() bool { report := r.sim.Report(); return report.Cancelled >= readers })
		t.Logf("all were dropped: %v, after %v", ended, time.Since(began))
		if !ended {
			t.Errorf("%d of %d slow readers were dropped", r.sim.Report().Cancelled, readers)
		}
	})
	close(stop)
	served.Wait()
	if live -= r.log.size() - logged; live > most {
		t.Errorf("%d slow readers hold %d MiB; want less than %d", readers, live>>20, most>>20)
	}
}

// TestSoakAStreamThatOpensAsOpenAIFailsHasOneEnd: the header leaves after ten seconds, which
// may be the very moment at which the time for the first byte is over. Then either
// there is a status or an error event, never neither.
func TestSoakAStreamThatOpensAsOpenAIFailsHasOneEnd(t *testing.T) {
	soak(t)
	t.Parallel()
	r := target(t, "UPSTREAM_TIMEOUT=20s", "MAX_STREAMS_PER_USER=off")
	var tries []func()
	for range 500 {
		tries = append(tries, func() {
			if outcome, _, _ := r.outcomeOf("events", "[[sim fault=hang_before]]"); outcome != "504 upstream_timeout" && outcome != "200 then upstream_timeout" {
				t.Error(outcome)
			}
		})
	}
	atOnce(tries...)
	r.calm()
}

// TestSoakPlainTextSurvivesASilence longer than the time for one write: it is the reader
// who must be quick, not the model.
func TestSoakPlainTextSurvivesASilence(t *testing.T) {
	soak(t)
	t.Parallel()
	r := target(t, "MAX_OUTPUT_TOKENS=10000")
	const size = 20000
	for _, form := range []string{"text", "events"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			outcome, text, got := r.in(t).outcomeOf(form, fmt.Sprintf("[[sim size=%d bytes=%d pace=33s]]", size, size/2))
			if outcome != "200" || len(text) != size {
				t.Errorf("%s: %d of %d bytes, %v", outcome, len(text), size, got.err)
			}
		})
	}
}

// TestSoakSilentConnectionsAreDropped: two thousand that connect and say nothing, or have
// had an answer and say nothing more, are gone in the end.
func TestSoakSilentConnectionsAreDropped(t *testing.T) {
	soak(t)
	r := target(t)
	before := r.rest(t)
	var silent []net.Conn
	for i := range 2000 {
		c := r.connect()
		silent = append(silent, c)
		if i%2 == 0 {
			io.WriteString(c, "POST /api")
		}
	}
	for i, c := range silent {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, ended := readAnswers(t, c); !ended {
			t.Fatalf("connection %d is still open", i)
		}
		c.Close()
	}
	if after := r.rest(t); after.goroutines > before.goroutines+3 || after.files > before.files+3 {
		t.Errorf("something is left: before %+v, after %+v", before, after)
	}
	r.await(t, "rest", func(report sim.Report) bool { return report.Open == 0 })
}
