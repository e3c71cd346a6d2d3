package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// patience is how soon OpenAI must hear that a client has left.
const patience = 100 * time.Millisecond

// leaver is a client that leaves, in one of the ways there are.
type leaver struct {
	form  string // json, events or text
	fault string // where OpenAI is by then
	token bool   // it leaves after the first word
}

func leavers() []leaver {
	return []leaver{
		{"json", "fault=hang_before", false},
		{"json", "fault=hang_mid", false},
		{"json", "fault=never_ending", false},
		{"json", "latency=30s", false},
		{"events", "fault=hang_before", false},
		{"events", "fault=hang_mid", true},
		{"events", "fault=never_ending pace=2ms", true},
		{"events", "fault=hang_mid at=-1", false},
		{"events", "chunks=20 pace=1s", true},
		{"text", "fault=hang_before", false},
		{"text", "fault=hang_mid", true},
		{"text", "fault=never_ending pace=2ms", true},
	}
}

// TestWhoHangsUpIsNotPaidFor: twenty of twenty clients that leave have their call to
// OpenAI cancelled within 100 ms, in every form, before the first word and after it,
// by an orderly end, a reset, or the end of their own side. It runs alone, for it
// measures time; twenty that were slow because the machine was have two more tries.
func TestWhoHangsUpIsNotPaidFor(t *testing.T) {
	r := target(t, "MAX_STREAMS_PER_USER=off")
	left := 0
	for _, l := range leavers() {
		slowest := time.Duration(0)
		for range 3 {
			slowest = 0
			for range 20 {
				left++
				end := []func(net.Conn){func(c net.Conn) { c.Close() }, reset, halfClose}[left%3]
				slowest = max(slowest, r.leave(t, l, fmt.Sprintf("left-%d", left), end))
			}
			if slowest <= patience {
				break
			}
		}
		if slowest > patience {
			t.Errorf("as %s, with %s: of twenty that left, one call was cancelled after %v; want %v", l.form, l.fault, slowest, patience)
		}
	}
	if report := r.calm(); report.Cancelled != int64(left) || report.Completed != 0 {
		t.Errorf("%d of %d calls were cancelled, %d completed", report.Cancelled, left, report.Completed)
	}
	if !eventually(t, 5*time.Second, func() bool { return r.logged(499, "client_gone", "INFO") >= left }) {
		t.Errorf("%d of %d hang-ups are logged as 499; as 500 %d", r.logged(499, "client_gone", "INFO"), left, r.logged(500, "internal", "ERROR"))
	}
}

// logged counts the lines of requests that ended so.
func (r *rig) logged(status int, code, level string) (n int) {
	for _, line := range r.log.records() {
		if line["msg"] == "request" && line["status"] == float64(status) && line["code"] == code && line["level"] == level {
			n++
		}
	}
	return n
}

// leave is one client that leaves; it returns how long OpenAI was not told.
func (r *rig) leave(t *testing.T, l leaver, tag string, end func(net.Conn)) time.Duration {
	t.Helper()
	body := promptBody("[[sim tag=" + tag + " " + l.fault + "]] hello")
	accept := map[string]string{"json": "application/json", "events": "text/event-stream", "text": "text/plain"}[l.form]
	c := r.connect()
	defer c.Close()
	open := r.sim.Report().Open
	fmt.Fprintf(c, "%s\r\n%s", r.head("/api/generate-text", "Accept: "+accept, fmt.Sprintf("Content-Length: %d", len(body))), body)
	r.await(t, "the call", func(report sim.Report) bool { return report.Open > open })
	if l.token {
		for heard, some := "", make([]byte, 512); !strings.Contains(heard, "Hello"); {
			n, err := c.Read(some)
			if heard += string(some[:n]); err != nil {
				t.Fatalf("no word came: %v, %q", err, heard)
			}
		}
	}
	at := time.Now()
	end(c)
	var heard time.Time
	r.await(t, "the cancellation of "+tag, func(report sim.Report) bool {
		for _, cancelled := range report.Cancellations {
			if cancelled.Tag == tag {
				heard = cancelled.At
			}
		}
		return !heard.IsZero()
	})
	return heard.Sub(at)
}

// await waits until the simulator's report is enough.
func (r *rig) await(t *testing.T, what string, enough func(sim.Report) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if report := r.sim.Await(ctx, enough); !enough(report) {
		t.Fatalf("%s did not come: %+v", what, report)
	}
}

// TestAWaitForARetryEndsWithTheClient: nothing is asked for one who has left.
func TestAWaitForARetryEndsWithTheClient(t *testing.T) {
	t.Parallel()
	r := target(t)
	body := promptBody("[[sim status=503 retry_after=2 fail_times=1]]")
	c := r.dial()
	fmt.Fprintf(c, "%s\r\n%s", r.head("/api/generate-text", fmt.Sprintf("Content-Length: %d", len(body))), body)
	r.await(t, "the first call", func(report sim.Report) bool { return report.Failed == 1 })
	c.Close()
	r.log.wait(t, "the log line", func(text string) bool { return strings.Contains(text, `"status":499`) })
	if n := r.asked(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// TestALineEndTooMuchHidesNoHangUp: old clients end a body with a line feed more, and
// net/http, which watches a connection by reading it, sees no further.
func TestALineEndTooMuchHidesNoHangUp(t *testing.T) {
	t.Parallel()
	r := target(t)
	body := promptBody("[[sim fault=hang_before tag=more]]")
	c := r.connect()
	fmt.Fprintf(c, "%s\r\n%s\r\n", r.head("/api/generate-text", fmt.Sprintf("Content-Length: %d", len(body))), body)
	r.await(t, "the call", func(report sim.Report) bool { return report.Open == 1 })
	c.Close()
	r.await(t, "the cancellation", func(report sim.Report) bool { return report.Cancelled == 1 })
}
