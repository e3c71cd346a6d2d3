package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// target is a server to attack. Whatever it is sent, its log must tell neither
// of a panic nor of a misused connection; it logs at its most talkative.
func target(t testing.TB, extra ...string) *rig {
	t.Helper()
	var r *rig
	t.Cleanup(func() { // runs after the server has stopped
		if r == nil {
			return
		}
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, "panic") || strings.Contains(line, "superfluous") || strings.Contains(line, "goroutine ") {
				t.Errorf("the log tells of a fault of ours: %.2000s", line)
			}
		}
	})
	r = start(t, append([]string{"LOG_LEVEL=debug"}, extra...)...)
	return r
}

// in is the same rig, whose failures count for t: for subtests.
func (r *rig) in(t testing.TB) *rig {
	other := *r
	other.t = t
	return &other
}

// asked is how many calls have reached the simulator.
func (r *rig) asked() int64 { return r.sim.Report().Calls }

// untouched fails if a call reaches the simulator while do runs.
func (r *rig) untouched(do func()) {
	r.t.Helper()
	before := r.asked()
	do()
	if n := r.asked() - before; n != 0 {
		r.t.Errorf("%d calls reached OpenAI; want none", n)
	}
}

// lastPrompt is the user's message of the last request that the simulator got.
func (r *rig) lastPrompt() string {
	r.t.Helper()
	all := r.sim.Requests()
	if len(all) == 0 {
		r.t.Fatal("nothing reached OpenAI")
	}
	return userMessage(r.t, all[len(all)-1])
}

// calm waits until no call is open.
func (r *rig) calm() sim.Report {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	report := r.sim.Await(ctx, func(report sim.Report) bool { return report.Open == 0 })
	if report.Open != 0 {
		r.t.Errorf("%d calls to OpenAI are still open", report.Open)
	}
	return report
}

// head is the beginning of a raw POST of a good token and JSON, up to where
// more header lines may follow. Lines end in \r\n.
func (r *rig) head(path string, lines ...string) string {
	all := append([]string{"POST " + path + " HTTP/1.1", "Host: " + r.addr, "Content-Type: application/json",
		"Authorization: Bearer " + r.token("ana")}, lines...)
	return strings.Join(all, "\r\n") + "\r\n"
}

// hello is a whole raw request that is good.
func (r *rig) hello(lines ...string) string {
	const body = `{"userPrompt":"hello"}`
	return r.head("/api/generate-text", append(lines, fmt.Sprintf("Content-Length: %d", len(body)))...) + "\r\n" + body
}

// connect is dial for who closes the connection himself: nothing remembers it.
func (r *rig) connect() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	return &wiretap{Conn: c, scanner: scanner{where: "a raw answer in " + r.t.Name()}}
}

// talk sends raw bytes over a connection of their own and returns every answer
// until the server hangs up. Bytes that are no answer are an error. ended is
// false when the server kept the connection open for patience.
func (r *rig) talk(raw string, patience time.Duration) (answers []reply, ended bool) {
	r.t.Helper()
	c := r.connect()
	defer c.Close()
	go io.WriteString(c, raw) // the server may stop reading early, and answer before
	c.SetReadDeadline(time.Now().Add(patience))
	return readAnswers(r.t, c)
}

func readAnswers(t testing.TB, c io.Reader) (answers []reply, ended bool) {
	t.Helper()
	in := bufio.NewReader(c)
	for {
		if _, err := in.Peek(1); err != nil {
			return answers, !errors.Is(err, os.ErrDeadlineExceeded)
		}
		resp, err := http.ReadResponse(in, nil)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return answers, false
		}
		if err != nil {
			t.Errorf("what the server sent is no HTTP answer: %v", err)
			return answers, true
		}
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode >= 200 {
			answers = append(answers, reply{resp.StatusCode, resp.Header, string(body), err})
		}
	}
}

// statuses of answers, for failure texts.
func statuses(answers []reply) (all []int) {
	for _, a := range answers {
		all = append(all, a.status)
	}
	return all
}

// eventually polls until done says yes. It is for facts that nothing announces:
// goroutines, file descriptors, memory.
func eventually(t testing.TB, patience time.Duration, done func() bool) bool {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline:
			return done()
		}
	}
}

// reset closes a connection with RST instead of FIN.
func reset(c net.Conn) {
	if tap, ok := c.(*wiretap); ok {
		c = tap.Conn
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// halfClose ends our side of a connection alone.
func halfClose(c net.Conn) { c.(*wiretap).Conn.(*net.TCPConn).CloseWrite() }

// soak skips a test that takes minutes, unless it was asked for.
func soak(t *testing.T) {
	t.Helper()
	if os.Getenv("KEYSHIELD_SOAK") == "" {
		t.Skip("takes minutes; KEYSHIELD_SOAK=1 or make soak runs it")
	}
}

// userMessage is the prompt in a request that OpenAI got.
func userMessage(t testing.TB, q sim.Request) string {
	t.Helper()
	var body struct {
		Messages []struct{ Role, Content string }
	}
	if err := json.Unmarshal([]byte(q.Body), &body); err != nil || len(body.Messages) == 0 {
		t.Fatalf("what OpenAI got is no chat completion: %v\n%s", err, q.Body)
	}
	last := body.Messages[len(body.Messages)-1]
	if last.Role != "user" {
		t.Errorf("the last message is the %s's, not the user's", last.Role)
	}
	return last.Content
}

// atOnce runs all of do together: they wait more than they work, and -parallel
// counts cores.
func atOnce(do ...func()) {
	var all sync.WaitGroup
	for _, one := range do {
		all.Go(one)
	}
	all.Wait()
}
