package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// TestAByteSentAheadHidesNoHangUp: net/http watches a connection by reading one byte of
// it, and sees no further when one comes. Whoever sends ahead is taken for gone; a
// line end is nothing.
func TestAByteSentAheadHidesNoHangUp(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"application/json", "text/event-stream", "text/plain"} {
		for _, ahead := range []string{"G", "\r\n", "\r\nGET / HTTP/1.1\r\n\r\n"} {
			t.Run(fmt.Sprintf("%s %q", form, ahead), func(t *testing.T) {
				t.Parallel()
				r := target(t)
				body := promptBody("[[sim fault=hang_before]]")
				c := r.connect()
				defer c.Close()
				fmt.Fprintf(c, "%s\r\n%s", r.head("/api/generate-text", "Accept: "+form, fmt.Sprintf("Content-Length: %d", len(body))), body)
				r.await(t, "the call", func(report sim.Report) bool { return report.Open == 1 })
				io.WriteString(c, ahead)
				c.Close()
				r.await(t, "the cancellation", func(report sim.Report) bool { return report.Cancelled == 1 })
				r.log.wait(t, "the log line", func(text string) bool { return strings.Contains(text, `"status":499`) })
			})
		}
	}
}

// TestWhoDoesNotReadDoesNotSpoilAStop: the write to him is stuck, and the exit code
// is 0 all the same.
func TestWhoDoesNotReadDoesNotSpoilAStop(t *testing.T) {
	t.Parallel()
	r := start(t, "SHUTDOWN_GRACE=0s", "MAX_OUTPUT_TOKENS=100000")
	body := promptBody("[[sim fault=never_ending pace=1ns]]")
	c := r.connect()
	defer c.Close()
	c.(*wiretap).Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(c, "%s\r\n%s", r.head("/api/generate-text", "Accept: text/event-stream", fmt.Sprintf("Content-Length: %d", len(body))), body)
	r.await(t, "the stream", func(report sim.Report) bool { return report.OpenStreams == 1 })
	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d, want 0:\n%s", code, r.log)
	}
	if !strings.Contains(r.log.String(), `"path":"/api/generate-text"`) {
		t.Errorf("the stream that was cut off has no log line:\n%s", r.log)
	}
}

// TestNoByteOfABrokenBodyIsLogged: a name is what a client has typed, too.
func TestNoByteOfABrokenBodyIsLogged(t *testing.T) {
	t.Parallel()
	r := target(t)
	for _, body := range []string{`{"my private diary": tru}`, `{"userPrompt":"my private diary`, `{"my private diary":1}`, `{"my private diary":1,"my private diary":2}`, `["my private diary"]`} {
		r.post("/api/generate-text", body).status400(t)
	}
	if log := r.log.String(); strings.Contains(log, "diary") {
		t.Errorf("the log repeats what a client sent:\n%s", log)
	}
}

func (r reply) status400(t *testing.T) {
	t.Helper()
	if r.status != http.StatusBadRequest {
		t.Errorf("got %d %s, want 400", r.status, r.body)
	}
}

// TestASlowReaderIsNoSilentProvider: what a client takes to read does not count as
// OpenAI's silence.
func TestASlowReaderIsNoSilentProvider(t *testing.T) {
	t.Parallel()
	r := start(t, "STREAM_IDLE_TIMEOUT=1s", "MAX_OUTPUT_TOKENS=100000")
	body := promptBody("[[sim fault=never_ending pace=1ns]]")
	c := r.connect()
	defer c.Close()
	c.(*wiretap).Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(c, "%s\r\n%s", r.head("/api/generate-text", "Accept: text/event-stream", fmt.Sprintf("Content-Length: %d", len(body))), body)
	r.await(t, "the stream", func(report sim.Report) bool { return report.OpenStreams == 1 })
	<-time.After(3 * time.Second) // the buffers are full by now, and OpenAI waits for us
	if n := r.sim.Report().OpenStreams; n != 1 {
		t.Errorf("the stream ended while its client read slowly:\n%s", r.log)
	}
}
