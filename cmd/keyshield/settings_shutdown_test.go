package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// stopping tells the server to end and returns once it has begun to. What it
// exits with comes later.
func (r *rig) stopping(t *testing.T) (exit chan int) {
	t.Helper()
	exit = make(chan int, 1)
	go func() { exit <- r.stop() }()
	r.log.wait(t, "the announcement of the end", func(text string) bool { return strings.Contains(text, "stopping: running requests may end") })
	return exit
}

func shutdownGraceIsGiven(t *testing.T) {
	t.Run("a stream ends by itself", streamEndsWithinTheGrace)
	t.Run("after it a stream gets an error event", streamIsToldAfterTheGrace)
	t.Run("after it a whole answer is refused", answerIsRefusedAfterTheGrace)
}

func streamEndsWithinTheGrace(t *testing.T) {
	r := start(t) // 25 s
	resp, err := r.web.Do(r.request("/api/generate-text", promptBody(`[[sim pace=100ms text="one two three four five"]]`), "Accept: text/event-stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	exit := r.stopping(t)

	refuses := eventually(t, 10*time.Second, func() bool { // it says so a moment before
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if !refuses {
		t.Error("a stopping server takes new connections")
	}

	all, _, err := events(resp.Body)
	if err != nil || textOf(t, all) != "one two three four five" || all[len(all)-1].name != "done" {
		t.Errorf("the running stream came to %v (%v), want all its words and done", all, err)
	}
	if code := <-exit; code != exitOK {
		t.Errorf("exit code %d, want 0:\n%s", code, r.log)
	}
}

func streamIsToldAfterTheGrace(t *testing.T) {
	r := start(t, "SHUTDOWN_GRACE=0s")
	stream := openStream(t, r)
	plain, err := r.web.Do(r.request("/api/generate-text", promptBody("[[sim fault=hang_mid]]"), "Accept: text/plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	exit := r.stopping(t)
	all, _, err := events(stream.Body)
	if err != nil {
		t.Errorf("the stream ended with %v", err)
	}
	wantLastEvent(t, all, event{"error", ""}, problem{busy, "unavailable", stream.Header.Get("X-Request-Id")})
	if text, err := io.ReadAll(plain.Body); err == nil {
		t.Errorf("plain text %q ended cleanly, want the connection cut", text)
	}
	if code := <-exit; code != exitOK {
		t.Errorf("exit code %d, want 0:\n%s", code, r.log)
	}
}

func answerIsRefusedAfterTheGrace(t *testing.T) {
	r := start(t, "SHUTDOWN_GRACE=0s")
	got := make(chan reply, 1)
	req := r.request("/api/generate-text", promptBody("[[sim fault=hang_before]]"))
	go func() {
		resp, err := r.web.Do(req)
		if err != nil {
			got <- reply{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		got <- reply{resp.StatusCode, resp.Header, string(body), err}
	}()
	soon(t, "the call to the provider", func() bool { return r.sim.Report().Open > 0 })
	exit := r.stopping(t)
	answer := <-got
	if answer.err != nil {
		t.Fatal(answer.err)
	}
	answer.wants(t, 503, "unavailable")
	if answer.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if code := <-exit; code != exitOK {
		t.Errorf("exit code %d, want 0:\n%s", code, r.log)
	}
	if left := r.sim.Report().Open; left != 0 {
		t.Errorf("%d calls to the provider are left open", left)
	}
}
