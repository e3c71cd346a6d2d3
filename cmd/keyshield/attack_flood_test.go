package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// TestAGoodClientIsServedDuringAFlood of idle connections, new and used, of bad tokens,
// and of foreign websites.
func TestAGoodClientIsServedDuringAFlood(t *testing.T) {
	t.Parallel()
	r := target(t, "MAX_IN_FLIGHT=2000")
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	for i := range 2000 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		idle = append(idle, c)
		switch i % 4 {
		case 0:
			io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		case 1:
			io.WriteString(c, "POST /api/generate-text HTTP/1.1\r\nHost: x\r\nContent-Le")
		}
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { servedMeanwhile(t, r, stop) })
	bad := strings.Replace(r.hello(), "Bearer ", "Bearer x", 1)
	foreign := r.hello("Origin: https://evil.example")
	r.untilDone(func() {
		var tries []func()
		for i := range 8 {
			tries = append(tries, func() {
				for j := range 10 {
					flood := strings.Repeat(bad, 20)
					if (i+j)%2 == 0 {
						flood = strings.Repeat(foreign, 20)
					}
					answers, _ := r.talk(flood+strings.Replace(bad, "Host:", "Connection: close\r\nHost:", 1), 20*time.Second)
					if len(answers) != 21 {
						t.Errorf("a flood got %d answers, want 21", len(answers))
					}
				}
			})
		}
		atOnce(tries...)
	}, stop)
	all.Wait()
}

// TestIdleConnectionsLockNobodyOut: connections that have had their answer and do
// nothing make room for one that asks.
func TestIdleConnectionsLockNobodyOut(t *testing.T) {
	t.Parallel()
	r := target(t, "MAX_IN_FLIGHT=10")
	for range 20 { // as many as are accepted at all
		c := r.dial()
		io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if answers, _ := r.talk(r.hello("Connection: close"), 10*time.Second); len(answers) != 1 || answers[0].status != 200 {
		t.Errorf("beside 20 idle connections a good client got %v within 10 s", statuses(answers))
	}
}

// TestConnectionsThatBecomeIdleMakeRoomToo: the one that asks came while all others
// were still at work.
func TestConnectionsThatBecomeIdleMakeRoomToo(t *testing.T) {
	t.Parallel()
	r := target(t, "MAX_IN_FLIGHT=10")
	var busy []net.Conn
	for range 20 {
		c := r.dial()
		fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1")
		busy = append(busy, c)
	}
	answered := make(chan []reply)
	go func() {
		answers, _ := r.talk(r.hello("Connection: close"), 8*time.Second)
		answered <- answers
	}()
	select {
	case <-time.After(time.Second): // it waits in accept by now
	case <-answered:
		t.Fatal("more connections are accepted than may be; this test proves nothing")
	}
	for _, c := range busy {
		fmt.Fprint(c, "2")
	}
	if answers := <-answered; len(answers) != 1 || answers[0].status != 200 {
		t.Errorf("a good client got %v within 7 s of all others falling idle", statuses(answers))
	}
}

// TestLimitsAdmitExactlySoMany of two hundred that come together, and hold what they
// are given until all others have been refused.
func TestLimitsAdmitExactlySoMany(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		setting, accept, prompt string
		admitted                int
		status                  int
		code                    string
	}{
		{"RATE_LIMIT_IP=37/1h", "*/*", "hello", 37, 429, "rate_limited"},
		{"RATE_LIMIT_USER=41/1h", "*/*", "hello", 41, 429, "rate_limited"},
		{"RATE_LIMIT_USER=41/1h", "text/event-stream", "hello", 41, 429, "rate_limited"},
		{"MAX_STREAMS_PER_USER=7", "text/event-stream", "[[sim fault=hang_before]]", 7, 429, "too_many_streams"},
		{"MAX_STREAMS_PER_USER=7", "text/plain", "[[sim fault=hang_mid]]", 7, 429, "too_many_streams"},
		{"MAX_IN_FLIGHT=23", "*/*", "[[sim fault=hang_before]]", 23, 503, "overloaded"},
	} {
		extra := []string{c.setting}
		if !strings.HasPrefix(c.setting, "MAX_STREAMS") {
			extra = append(extra, "MAX_STREAMS_PER_USER=off")
		}
		r := target(t, extra...)
		r.web.Transport.(*http.Transport).DisableKeepAlives = true
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		var mu sync.Mutex
		refused := 0
		var tries []func()
		for range 200 {
			tries = append(tries, func() {
				resp, err := r.web.Do(r.request("/api/generate-text", promptBody(c.prompt), "Accept: "+c.accept).WithContext(ctx))
				if err != nil {
					return // it was held, and given up
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				if resp.StatusCode == 200 {
					return
				}
				reply{status: resp.StatusCode, body: string(body)}.wants(t, c.status, c.code)
				mu.Lock()
				refused++
				last := refused == 200-c.admitted
				mu.Unlock()
				if last {
					r.sim.Await(ctx, func(report sim.Report) bool { return report.Calls >= int64(c.admitted) })
					stop()
				}
			})
		}
		atOnce(tries...)
		stop()
		if n := r.calm().Calls; n != int64(c.admitted) || refused != 200-c.admitted {
			t.Errorf("%s: %d calls and %d refusals; want %d admitted and all others refused", c.setting, n, refused, c.admitted)
		}
	}
}

// TestSlotsOfThoseWhoLeaveAreFree at once.
func TestSlotsOfThoseWhoLeaveAreFree(t *testing.T) {
	t.Parallel()
	r := target(t, "MAX_STREAMS_PER_USER=2", "MAX_IN_FLIGHT=2")
	for i := range 20 {
		for j := range 2 {
			r.leave(t, leaver{"events", "fault=hang_mid", true}, fmt.Sprintf("left-%d-%d", i, j), func(c net.Conn) { c.Close() })
		}
		if !eventually(t, 2*time.Second, func() bool { outcome, _, _ := r.outcomeOf("events", "hello"); return outcome == "200" }) {
			t.Fatal("the slots of two that left are still taken")
		}
	}
}
