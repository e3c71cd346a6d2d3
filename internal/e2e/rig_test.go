package e2e

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/secret"
	"keyshield/internal/sim"
)

const (
	model       = "gpt-6-luna"
	unreasoning = "gpt-4.1-mini"
	embedding   = "text-embedding-3-small"
	moderation  = "omni-moderation-latest"
)

// plans are by what the tests need of them.
const plans = `{
	"default": {},
	"closed": {"endpoints": ["text"]},
	"once": {"requests": "1/1h"},
	"brisk": {"requests": "1/3s"},
	"poor": {"budget_day": "$0.0012"}
}`

// rig is the program, running, before a provider.
type rig struct {
	url      string
	provider string
	sim      *sim.Sim // nil when the provider is another
	key      string   // the provider's
	secret   secret.String

	mu   sync.Mutex
	seen map[string][]line // of its log, by user, without those that only were told to come back
	log  strings.Builder
}

// line is what the tests read of a line in the log.
type line struct {
	Message string `json:"msg"`
	Address string `json:"address"`
	User    string `json:"user"`
	Path    string `json:"path"`
	Status  int    `json:"status"`
	Code    string `json:"code"`
}

// start runs the program before a simulator. Each extra is NAME=value.
func start(t *testing.T, extra ...string) *rig {
	t.Helper()
	key := "test-key-" + rand.Text()
	s := sim.New(sim.Options{Key: key, Record: 10_000})
	back := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); back.Close() })
	r := startBefore(t, back.URL, key, extra...)
	r.sim = s
	return r
}

// startBefore runs the program before whatever answers at provider.
func startBefore(t *testing.T, provider, key string, extra ...string) *rig {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plans.json"), []byte(plans), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &rig{provider: provider, key: key, secret: secret.New(rand.Text() + rand.Text()), seen: map[string][]line{}}
	cmd := exec.Command(built.keyshield, "serve")
	cmd.Dir = dir
	cmd.Env = append([]string{
		"PORT=0", "HOST=127.0.0.1", "DATA_DIR=" + memory(t),
		"OPENAI_API_KEY=" + key, "OPENAI_BASE_URL=" + provider + "/v1", "JWT_SECRET=" + r.secret.Reveal(),
		"ENDPOINTS=text,chat,responses,embeddings,moderations",
		"MODELS=" + strings.Join([]string{model, unreasoning, embedding, moderation}, ","), "PLANS_FILE=plans.json",
		"ALLOWED_ORIGINS=none", "RATE_LIMIT_IP=off", "RATE_LIMIT_USER=off", "BREAKER=off",
		"BUDGET_MONTH=100000", "BUDGET_DAY=100000", "BUDGET_USER_DAY=100000",
	}, extra...)
	r.run(t, cmd)
	return r
}

// run starts the program and waits until it listens. The end of the test ends it.
func (r *rig) run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening, ended := make(chan string, 1), make(chan struct{})
	go func() { defer close(ended); r.follow(stderr, listening) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("the program ended badly: %v", err)
		}
		if t.Failed() {
			t.Logf("the program's log:\n%s", r.logged())
		}
	})
	select {
	case address := <-listening:
		r.url = "http://" + address
	case <-ended:
		t.Fatalf("the program ended at once:\n%s", r.logged())
	case <-time.After(30 * time.Second):
		t.Fatalf("the program does not listen:\n%s", r.logged())
	}
}

// memory is a folder on a disk that syncs at once: beside several browsers a real
// one is slower than a reservation waits, and then the program says that it is
// busy, as it should.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "keyshield-e2e-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// follow reads the log.
func (r *rig) follow(stderr io.Reader, listening chan<- string) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l line
		_ = json.Unmarshal(lines.Bytes(), &l) // what is no JSON is kept as text only
		if l.Message == "listening" {
			listening <- l.Address
		}
		r.mu.Lock()
		r.log.Write(append(lines.Bytes(), '\n'))
		if l.Path != "" && l.Status != http.StatusServiceUnavailable {
			r.seen[l.User] = append(r.seen[l.User], l)
		}
		r.mu.Unlock()
	}
}

func (r *rig) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// arrived waits until at least so many requests of a user are in the log, each
// at its end, and returns them all.
func (r *rig) arrived(t *testing.T, user string, least int) []line {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		r.mu.Lock()
		lines := append([]line(nil), r.seen[user]...)
		r.mu.Unlock()
		if len(lines) >= least {
			return lines
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d requests of %s arrived, want %d at least", len(lines), user, least)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// token is a user's; its plan may be "".
func (r *rig) token(t *testing.T, user, plan string) string {
	t.Helper()
	token, err := auth.Mint(r.secret, auth.Claims{Subject: user, Plan: plan, TTL: time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// reported waits until the simulator counts what query says, such as
// "cancelled=3", and returns its report.
func (r *rig) reported(t *testing.T, query string) (report sim.Report) {
	t.Helper()
	resp, err := http.Get(r.provider + "/_sim/report?wait=10s&" + query)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
		t.Fatalf("the simulator's report: %v", err)
	}
	return report
}

// cancels checks that do ends one call at the provider before its time.
func (r *rig) cancels(t *testing.T, do func()) {
	t.Helper()
	want := r.reported(t, "calls=0").Cancelled + 1
	do()
	if got := r.reported(t, fmt.Sprintf("cancelled=%d", want)); got.Cancelled != want {
		t.Errorf("%d calls were cancelled at the provider, want %d: it goes on writing for nobody, and bills it", got.Cancelled, want)
	}
}

// lastAsked is the body of the last request at the provider.
func (r *rig) lastAsked(t *testing.T) string {
	t.Helper()
	all := r.sim.Requests()
	if len(all) == 0 {
		t.Fatal("nothing reached the provider")
	}
	last := all[len(all)-1]
	return cmp.Or(last.Body, string(last.Bytes))
}
