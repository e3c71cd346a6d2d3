package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// canary is the key of every server under test, made anew for each run. No byte
// of any answer or log may hold it: all connections and logs of the tests go
// through a watcher, and TestMain fails the run if one saw it.
var (
	canary    = "test-canary-" + rand.Text() + rand.Text()
	jwtSecret = rand.Text() + rand.Text()
	leaks     leakWatch
)

const origin = "https://app.example.com"

// TestMain is also the program itself, where a script of testdata/script runs it.
func TestMain(m *testing.M) {
	diskPatience = 10 * time.Second
	testscript.Main(watched{m}, map[string]func(){"keyshield": main})
}

// watched are the tests, failed if a secret was seen.
type watched struct{ *testing.M }

func (m watched) Run() int {
	code := m.M.Run()
	if where := leaks.seen(); where != "" {
		fmt.Fprintf(os.Stderr, "FAIL: the canary key or the JWT secret was seen in %s\n", where)
		return 1
	}
	return code
}

// leakWatch collects where a secret was seen.
type leakWatch struct {
	mu     sync.Mutex
	places []string
}

func (w *leakWatch) saw(where string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.places = append(w.places, where)
}

func (w *leakWatch) seen() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.places, ", ")
}

// scanner looks for the secrets in one stream of bytes, across reads.
type scanner struct {
	where string
	tail  []byte
}

func (s *scanner) look(p []byte) {
	seen := append(s.tail, p...)
	for _, value := range []string{canary, jwtSecret} {
		if bytes.Contains(seen, []byte(value)) {
			leaks.saw(s.where)
		}
	}
	keep := min(len(seen), len(canary)+len(jwtSecret))
	s.tail = append([]byte(nil), seen[len(seen)-keep:]...)
}

// wiretap is a client's connection whose incoming bytes are looked at.
type wiretap struct {
	net.Conn
	scanner
}

func (c *wiretap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.look(p[:n])
	return n, err
}

// logbook is a server's output: looked at, kept, and waited on.
type logbook struct {
	mu sync.Mutex
	scanner
	text bytes.Buffer
	more chan struct{}
}

func newLogbook(where string) *logbook {
	return &logbook{scanner: scanner{where: where}, more: make(chan struct{})}
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look(p)
	l.text.Write(p)
	close(l.more)
	l.more = make(chan struct{})
	return len(p), nil
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait returns once found says yes to the text so far.
func (l *logbook) wait(t *testing.T, what string, found func(string) bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		text, more := l.text.String(), l.more
		l.mu.Unlock()
		if found(text) {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("%s did not come; the log has\n%s", what, text)
		}
	}
}

// record is one line of the log.
type record map[string]any

func (l *logbook) records() []record {
	var all []record
	for line := range strings.Lines(l.String()) {
		var r record
		if json.Unmarshal([]byte(line), &r) == nil {
			all = append(all, r)
		}
	}
	return all
}

// request waits for the log line of a request.
func (l *logbook) request(t *testing.T, id string) record {
	t.Helper()
	find := func(string) record {
		for _, r := range l.records() {
			if r["msg"] == "request" && r["request_id"] == id {
				return r
			}
		}
		return nil
	}
	l.wait(t, "the log line of "+id, func(text string) bool { return strings.Contains(text, id) && find(text) != nil })
	return find("")
}
