package main

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// dawdler is a connection that takes its time.
type dawdler struct {
	name   string
	send   string        // at once
	drip   string        // then a byte of this each half second, again and again
	within time.Duration // the server hangs up by then
	status int           // having said this; 0: nothing, or it does not matter
}

// TestDrillWhoTakesTooLongIsDropped: the header has five seconds and the body ten, whoever
// sends it and whether or not it will be read; a good client is served meanwhile.
// All wait together.
func TestDrillWhoTakesTooLongIsDropped(t *testing.T) {
	t.Parallel()
	r := target(t)
	const header, body = 5 * time.Second, 10 * time.Second
	announced := "Content-Length: 1000\r\n\r\n"
	good := r.head("/api/generate-text")
	bad := strings.Replace(good, "Bearer ", "Bearer x", 1)
	dawdlers := []dawdler{
		{"says nothing", "", "", header, 0},
		{"half a request line", "POST /api", "", header, 0},
		{"half a header", good, "", header, 0},
		{"a header, byte by byte", "POST / HTTP/1.1\r\n", "X: y\r\n", header, 0},
		{"a second request, byte by byte", "GET /livez HTTP/1.1\r\nHost: x\r\n\r\nPOST ", "/aaaaa", header, 0},
		{"no body", good + announced, "", body, 408},
		{"half a body", good + announced + `{"userPrompt":"`, "", body, 408},
		{"a body, byte by byte", good + announced + `{"userPrompt":"`, "a", body, 408},
		{"no chunk", good + "Transfer-Encoding: chunked\r\n\r\n", "", body, 408},
		{"half a chunk", good + "Transfer-Encoding: chunked\r\n\r\n100\r\n{", "", body, 408},
		{"chunks, byte by byte", good + "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", body, 408},
		{"a chunk extension without end", good + "Transfer-Encoding: chunked\r\n\r\n1;", "x", body, 408},
		{"no trailer", good + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n", "", body, 400}, // net/http does not say why it has none
		{"expects 100, sends nothing", good + "Expect: 100-continue\r\n" + announced, "", body, 408},
		{"a bad token, no body", bad + announced, "", body, 403},
		{"a bad token, byte by byte", bad + announced, "a", body, 403},
		{"a bad token, chunks", bad + "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", body, 403},
		{"a foreign website", r.head("/api/generate-text", "Origin: null") + announced, "a", body, 403},
		{"another type", strings.Replace(good, "application/json", "text/plain", 1) + announced, "a", body, 415},
		{"nowhere", r.head("/nowhere") + announced, "a", body, 404},
		{"livez with a body", "GET /livez HTTP/1.1\r\nHost: x\r\n" + announced, "a", body, 200},
		{"a preflight with a body", "OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: " + origin + "\r\nAccess-Control-Request-Method: POST\r\n" + announced, "a", body, 200},
		{"the server's own OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: x\r\n" + announced, "a", body, 404}, // net/http would answer it, and wait for ever
		{"an unknown method", "BREW / HTTP/1.1\r\nHost: x\r\n" + announced, "a", body, 405},
	}
	stop := make(chan struct{})
	var served sync.WaitGroup
	served.Go(func() { servedMeanwhile(t, r, stop) })
	var tries []func()
	for _, d := range dawdlers {
		for range 3 {
			tries = append(tries, func() { dawdle(t, r, d) })
		}
	}
	r.untilDone(func() { atOnce(tries...) }, stop)
	served.Wait()
}

// untilDone runs do, then closes stop.
func (r *rig) untilDone(do func(), stop chan struct{}) {
	defer close(stop)
	do()
}

// dawdle is one slow client.
func dawdle(t *testing.T, r *rig, d dawdler) {
	c := r.dial()
	defer c.Close()
	began := time.Now()
	c.SetDeadline(began.Add(d.within + slack))
	gone := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() { drip(c, d, gone) })
	answers, ended := readAnswers(t, c)
	took := time.Since(began)
	close(gone)
	sender.Wait()
	if !ended {
		t.Errorf("%s: not dropped after %v, want %v", d.name, took, d.within)
		return
	}
	if took < d.within/4 {
		t.Errorf("%s: dropped after %v already", d.name, took)
	}
	if d.status != 0 && (len(answers) != 1 || answers[0].status != d.status) {
		t.Errorf("%s: %v, want %d", d.name, statuses(answers), d.status)
	}
}

func drip(c net.Conn, d dawdler, gone <-chan struct{}) {
	io.WriteString(c, d.send)
	if d.drip == "" {
		return
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		if _, err := io.WriteString(c, d.drip[i%len(d.drip):i%len(d.drip)+1]); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-gone:
			return
		}
	}
}

// servedMeanwhile asks good prompts, over connections new and old, until stop.
func servedMeanwhile(t *testing.T, r *rig, stop <-chan struct{}) {
	const atMost = 5 * time.Second // generous: on a busy machine the test itself is slow
	slowest, n := time.Duration(0), 0
	disk := 0 // a reservation that the disk keeps waiting for too long is a 503: not the readers' doing
	for ; ; n++ {
		select {
		case <-stop:
			t.Logf("%d good prompts were answered meanwhile, the slowest after %v", n, slowest)
			if n == 0 {
				t.Error("not one good prompt was answered meanwhile")
			}
			return
		default:
		}
		began := time.Now()
		if n%2 == 0 {
			if answers, _ := r.talk(r.hello("Connection: close"), atMost); len(answers) == 1 && answers[0].status == 503 && disk < 5 {
				disk++
			} else if len(answers) != 1 || answers[0].status != 200 {
				t.Errorf("a good client got %v meanwhile", statuses(answers))
			}
		} else if got := r.ask("hello"); got.status == 503 && disk < 5 {
			disk++
		} else if got.status != 200 {
			t.Errorf("a good client got %d meanwhile", got.status)
		}
		took := time.Since(began)
		if slowest = max(slowest, took); took > atMost {
			t.Errorf("a good client waited %v meanwhile", took)
		}
	}
}
