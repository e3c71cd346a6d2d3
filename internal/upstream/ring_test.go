package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"keyshield/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is an OpenAI that knows keys.
type gate struct {
	url     string
	mu      sync.Mutex
	valid   map[string]bool
	asked   map[string]int // POSTs by key
	refused int
	body    string // of a 401
	lists   bool   // models, under any key
	listed  int
	events  []KeyEvent
	masked  map[string]bool
	learned map[string]bool
	slow    chan struct{} // a POST under a key that is not valid waits for it
}

// behind makes a client of a gate where the keys valid are valid.
func behind(t *testing.T, valid []string, keys ...string) (*gate, *Client) {
	t.Helper()
	g := &gate{valid: map[string]bool{}, asked: map[string]int{}, learned: map[string]bool{}, masked: map[string]bool{}, body: envelope}
	for _, k := range valid {
		g.valid[k] = true
	}
	srv := httptest.NewServer(g)
	g.url = srv.URL + "/v1"
	c, err := New(Config{
		BaseURL: g.url, Keys: keyset(keys...), Organization: "org-1", Project: "proj_1",
		Timeout: 10 * time.Second, StreamIdle: time.Second, StreamMax: 10 * time.Second,
		Tell: g.tell, Learn: g.heard(g.learned), Mask: g.heard(g.masked),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); srv.Close() })
	return g, c
}

func keyset(names ...string) (keys []Key) {
	for _, n := range names {
		keys = append(keys, Key{Secret: secret.New("test-key-0123456789-" + n), Source: "test"})
	}
	return keys
}

func fingerprint(name string) string { return Fingerprint(secret.New("test-key-0123456789-" + name)) }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer test-key-0123456789-")
	g.mu.Lock()
	ok, body, wait := g.valid[name] || g.lists && r.Method == http.MethodGet, g.body, g.slow
	if r.Method == http.MethodPost {
		g.asked[name]++
	} else {
		g.listed++
	}
	heard := g.masked
	if r.Method == http.MethodPost {
		heard = g.learned
	}
	if !heard["test-key-0123456789-"+name] || r.Header.Get("OpenAI-Organization") != "org-1" || r.Header.Get("OpenAI-Project") != "proj_1" {
		body = "a key was sent of which nobody had heard, or without the organisation: " + name
		ok = false
	}
	if !ok {
		g.refused++
	}
	g.mu.Unlock()
	if !ok {
		if wait != nil && r.Method == http.MethodPost {
			<-wait
		}
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, body)
		return
	}
	io.WriteString(w, `{"data":[]}`)
}

func (g *gate) tell(e KeyEvent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, e)
}

func (g *gate) heard(of map[string]bool) func(...secret.String) {
	return func(secrets ...secret.String) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, s := range secrets {
			of[s.Reveal()] = true
		}
	}
}

// told returns what was told, as kind and fingerprint, and forgets it.
func (g *gate) told() (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.events {
		if e.At.IsZero() || e.Why == "" || strings.Contains(e.Why, "test-key") {
			all = append(all, fmt.Sprintf("an event without time or reason, or with a key: %+v", e))
		}
		all = append(all, strings.TrimSpace(string(e.Kind)+" "+e.Fingerprint))
	}
	g.events = nil
	return all
}

func (g *gate) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// waitTold waits for n events: they are told a moment after they are so.
func (g *gate) waitTold(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("less is told than %d times", n), func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.events) >= n
	})
}

func (g *gate) wantsTold(t *testing.T, want ...string) {
	t.Helper()
	g.waitTold(t, len(want))
	if diff := cmp.Diff(want, g.told()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// eventually waits for what another goroutine will do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for tick := time.NewTicker(time.Millisecond); !is(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(what)
		}
	}
}

// rested waits until no key is to be tried now.
func rested(t *testing.T, c *Client) {
	t.Helper()
	eventually(t, "the keys are tried without end", func() bool {
		c.ring.mu.Lock()
		defer c.ring.mu.Unlock()
		for _, k := range c.ring.keys {
			if k.due() && time.Until(k.next) <= 0 {
				return false
			}
		}
		return true
	})
}

func ask(t *testing.T, c *Client) error {
	t.Helper()
	got, err := c.Ask(t.Context(), Question{Body: []byte(`{}`)})
	if err != nil {
		return err
	}
	defer got.Close()
	_, err = got.ReadAll(nil)
	return err
}

// states is "active a, quarantined b".
func states(c *Client, names ...string) string {
	var all []string
	for _, s := range c.Keys() {
		name := s.Fingerprint
		for _, n := range names {
			if s.Fingerprint == fingerprint(n) {
				name = n
			}
		}
		all = append(all, s.State+" "+name)
	}
	return strings.Join(all, ", ")
}

// TestAWaveOfRefusalsFailsNoRequest: 200 calls are under way when the key is revoked.
// Each goes on under the next one, and the key is put aside once.
func TestAWaveOfRefusalsFailsNoRequest(t *testing.T) {
	for _, body := range []string{envelope, "<html>401</html>"} {
		g, c := behind(t, []string{"b"}, "a", "b")
		g.body, g.slow = body, make(chan struct{})
		var failed atomic.Int32
		var calls sync.WaitGroup
		for range 200 {
			calls.Go(func() {
				if err := ask(t, c); err != nil {
					failed.Add(1)
					t.Log(err)
				}
			})
		}
		eventually(t, "not all of the calls arrived", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.asked["a"] == 200 })
		close(g.slow)
		calls.Wait()
		rested(t, c)
		if failed.Load() > 0 || g.asked["a"] != 200 || g.asked["b"] != 200 {
			t.Errorf("%d calls failed; sent %v", failed.Load(), g.asked)
		}
		g.wantsTold(t, "rejected "+fingerprint("a"))
		if got := states(c, "a", "b"); got != "quarantined a, active b" {
			t.Errorf("the keys are %s", got)
		}
		if err := ask(t, c); err != nil || g.asked["a"] != 200 {
			t.Errorf("afterwards: %v; %v", err, g.asked)
		}
		c.Close()
	}
}

// TestOneMoreSendAndNeverTwo: every key is revoked.
func TestOneMoreSendAndNeverTwo(t *testing.T) {
	g, c := behind(t, []string{"a", "b", "c"}, "a", "b", "c")
	rested(t, c)
	g.set(func() { clear(g.valid) })
	err := ask(t, c)
	if !errors.Is(err, ErrKeyRefused) || !Unbilled(err) {
		t.Errorf("%v; want the key's refusal, unbilled", err)
	}
	if g.asked["a"] != 1 || g.asked["b"] != 1 || g.asked["c"] != 0 {
		t.Errorf("sent %v; one send more is all there is", g.asked)
	}
	rested(t, c)
	g.waitTold(t, 2)
	if told := g.told(); len(told) != 2 { // in whichever order
		t.Errorf("told %v, want a and b rejected", told)
	}
	ask(t, c)
	eventually(t, "the last key is still in force", func() bool { return c.ring.active.Load() == nil })
	sent := g.sends()
	for range 3 {
		if err := ask(t, c); !errors.Is(err, ErrKeyRefused) || !Unbilled(err) {
			t.Errorf("without a key: %v; want the key's refusal, unbilled", err)
		}
	}
	if g.sends() != sent {
		t.Error("sent under a key that OpenAI refuses")
	}
	g.wantsTold(t, "rejected "+fingerprint("c"), "none_left "+fingerprint("c"))
	if got := states(c, "a", "b", "c"); got != "quarantined a, quarantined b, quarantined c" {
		t.Errorf("the keys are %s", got)
	}
	if _, err := c.Clock(t.Context()); err != nil {
		t.Errorf("the time is not told without a key: %v", err)
	}
}

func (g *gate) sends() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, asked := range g.asked {
		n += asked
	}
	return n
}

// TestOneRefusedCallDoesNotStopTheLastKey: OpenAI answers 401 too where a restricted
// key lacks the right for one endpoint, and clients choose endpoints.
func TestOneRefusedCallDoesNotStopTheLastKey(t *testing.T) {
	g, c := behind(t, nil, "a")
	g.lists = true
	for range 3 {
		if err := ask(t, c); !errors.Is(err, ErrKeyRefused) {
			t.Errorf("%v, want the key's refusal", err)
		}
	}
	eventually(t, "nobody looked whether the key works", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		c.ring.mu.Lock()
		defer c.ring.mu.Unlock()
		return g.listed == 1 && !c.ring.running
	})
	g.set(func() { g.valid["a"] = true })
	if err := ask(t, c); err != nil {
		t.Errorf("the key was not used any more: %v", err)
	}
	g.wantsTold(t)
}

// TestWhatIsNoMatterOfTheKeyChangesNone: the next key would meet the same.
func TestWhatIsNoMatterOfTheKeyChangesNone(t *testing.T) {
	for _, status := range []int{400, 403, 404, 429, 500} {
		var sends atomic.Int32
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				io.WriteString(w, `{"data":[]}`)
				return
			}
			sends.Add(1)
			w.WriteHeader(status)
			io.WriteString(w, envelope)
		}))
		c, err := New(Config{BaseURL: srv.URL, Keys: keyset("a", "b"), Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if err := ask(t, c); err == nil || sends.Load() != 1 {
			t.Errorf("%d: sent %d times, %v", status, sends.Load(), err)
		}
		if got := states(c, "a", "b"); got != "active a, standby b" {
			t.Errorf("after %d the keys are %s", status, got)
		}
		c.Close()
		srv.Close()
	}
}

func TestKeysAreShownByFingerprintOnly(t *testing.T) {
	_, c := behind(t, []string{"a", "b"}, "a", "b")
	rested(t, c)
	since := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	c.ring.keys[0].Since = since
	began := time.Now()
	if err := ask(t, c); err != nil {
		t.Fatal(err)
	}
	got := c.Keys()
	if used := got[0].LastUsed; used.Before(began.Add(-time.Second)) || used.After(time.Now()) {
		t.Errorf("last used %v", used)
	}
	got[0].LastUsed = time.Time{}
	want := []KeyState{
		{Fingerprint: fingerprint("a"), Source: "test", Since: since, State: Active},
		{Fingerprint: fingerprint("b"), Source: "test", State: Standby},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if f := got[0].Fingerprint; f != "sha256:002ff8ac" {
		t.Errorf("fingerprint %q is not the beginning of the key's SHA-256", f)
	}
}

func TestNoClientWithoutASoundKey(t *testing.T) {
	for name, keys := range map[string][]Key{
		"none":     nil,
		"short":    {{Secret: secret.New("0123456789abcdefghi")}},
		"long":     {{Secret: secret.New(strings.Repeat("k1", 257))}},
		"line":     {{Secret: secret.New("test-key-0123456789-1\r\nX: y")}},
		"letter":   {{Secret: secret.New("test-kéy-1")}},
		"admin":    {{Secret: secret.New("sk-admin-1")}},
		"twice":    keyset("a", "b", "a"),
		"too many": keyset(strings.Split("abcdefghijklmnopq", "")...),
	} {
		_, err := New(Config{BaseURL: "http://127.0.0.1:1", Keys: keys})
		if err == nil || strings.Contains(err.Error(), "test-k") {
			t.Errorf("%s: %v; want a refusal without the key", name, err)
		}
	}
	if c, err := New(Config{BaseURL: "http://127.0.0.1:1", Keys: keyset(strings.Split("abcdefghijklmnop", "")...)}); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}
