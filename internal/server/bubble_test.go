package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/ledger"
	"keyshield/internal/limit"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
)

// bubble is a server with a client, both within one synctest bubble: what takes
// minutes takes none. The provider cannot be in it; what is asked here never
// gets that far.
type bubble struct {
	t      *testing.T
	server *Server
	log    *bytes.Buffer
	key    secret.String
	web    *http.Client
}

const site = "https://app.example.com"

// inBubble runs test with a server of these limits.
func inBubble(t *testing.T, ip, user limit.Rate, test func(*bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, log: new(bytes.Buffer), key: secret.New(rand.Text() + rand.Text())}
		log := slog.New(slog.NewTextHandler(b.log, nil))
		verifier, err := auth.New(t.Context(), auth.Config{Secret: b.key}, log)
		if err != nil {
			t.Fatal(err)
		}
		books, err := ledger.Open(t.Context(), ledger.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		b.server = New(Config{
			Origins: Origins{Exact: []string{site}}, RateIP: ip, MaxBody: 64 << 10, MaxInFlight: 100, StripHTML: true, Endpoints: []string{policy.TextEndpoint},
			Text:   policy.TextSettings{Model: "gpt-6-luna", ReasoningEffort: "none"},
			Prices: policy.Reviewed(), Multiplier: policy.Same, Day: policy.NoCap, Month: policy.NoCap,
			Plans: policy.NewPlans(policy.Plan{
				Requests: policy.Rate(user), Streams: 5, Endpoints: []string{"text"}, TextModel: "gpt-6-luna",
				PromptChars: 300, OutputTokens: 150, UserDay: policy.NoCap, UserMonth: policy.NoCap,
			}),
		}, Parts{Verifier: verifier, Ledger: books, Detector: secret.NewDetector(b.key), Log: log})

		wire := newPipes()
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.server.Serve(ctx, wire, time.Second) }()
		transport := &http.Transport{DialContext: wire.dial}
		b.web = &http.Client{Transport: transport}
		test(b)

		stop()
		transport.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		verifier.Close()
		if err := books.Close(); err != nil {
			t.Errorf("the ledger ended with %v", err)
		}
	})
}

// post asks as the user ana; "" is nobody.
func (b *bubble) post(user string, body io.Reader, length int64, headers ...string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://shield.example/api/generate-text", body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", "application/json")
	if user != "" {
		token, err := auth.Mint(b.key, auth.Claims{Subject: user, TTL: 12 * time.Hour}, time.Now())
		if err != nil {
			b.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := b.web.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(text)
}

// wants checks a refusal.
func (b *bubble) wants(resp *http.Response, body string, status int, code string) {
	b.t.Helper()
	if resp.StatusCode != status || !strings.Contains(body, `"code":"`+code+`"`) {
		b.t.Errorf("got %d %s, want %d %s", resp.StatusCode, body, status, code)
	}
}

// pipes is a network without one: a listener whose connections are net.Pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- pipeEnd{server}:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3000} }

// pipeEnd has the address of a client.
type pipeEnd struct{ net.Conn }

func (pipeEnd) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000} }

// TestABodyThatTakesTooLongIsToldSo, and its connection closed.
func TestABodyThatTakesTooLongIsToldSo(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int64{"announced": 100, "chunked": -1} {
		inBubble(t, limit.Rate{}, limit.Rate{}, func(b *bubble) {
			t := b.t
			body, feed := io.Pipe()
			go feed.Write([]byte(`{"userPrompt": "`)) // and never more
			began := time.Now()
			resp, text := b.post("ana", body, length)
			b.wants(resp, text, http.StatusRequestTimeout, "request_timeout")
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("%s: it took %v, want 10 s", name, took)
			}
			if !strings.Contains(text, "Please send it within 10 seconds.") {
				t.Errorf("%s: the limit is not told: %s", name, text)
			}
			if !resp.Close {
				t.Errorf("%s: the connection stays open with half a body on it", name)
			}
			body.Close()
		})
	}
}

// TestTheWaitThatIsToldIsTheTrueOne: a second less is refused, and after it one
// request passes.
func TestTheWaitThatIsToldIsTheTrueOne(t *testing.T) {
	t.Parallel()
	rate := limit.Rate{Count: 3, Period: 15 * time.Minute}
	for name, c := range map[string]struct {
		ip, user limit.Rate
		who      string
		passes   int
	}{
		"by address": {rate, limit.Rate{}, "", http.StatusUnauthorized},
		"by user":    {limit.Rate{}, rate, "ana", http.StatusBadRequest},
	} {
		inBubble(t, c.ip, c.user, func(b *bubble) {
			t := b.t
			ask := func() (*http.Response, string) { return b.post(c.who, strings.NewReader("{}"), 2) }
			time.Sleep(7 * time.Minute) // windows lie on the wall clock; this begins in the middle of one
			for range 3 {
				if resp, text := ask(); resp.StatusCode != c.passes {
					t.Fatalf("%s: got %d %s, want %d", name, resp.StatusCode, text, c.passes)
				}
				time.Sleep(time.Minute)
			}
			for range 3 {
				resp, text := ask()
				b.wants(resp, text, http.StatusTooManyRequests, "rate_limited")
				wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
				if err != nil || wait <= 0 || wait > 900 {
					t.Fatalf("%s: Retry-After is %q", name, resp.Header.Get("Retry-After"))
				}
				if want := " after " + strconv.Itoa((wait+59)/60) + " minutes."; !strings.Contains(text, want) {
					t.Errorf("%s: %d seconds are told as %s", name, wait, text)
				}
				time.Sleep(time.Duration(wait-1) * time.Second)
				resp, text = ask()
				b.wants(resp, text, http.StatusTooManyRequests, "rate_limited")
				if left := resp.Header.Get("Retry-After"); left != "1" || !strings.Contains(text, " after 1 second.") {
					t.Errorf("%s: a second before the end Retry-After is %s: %s", name, left, text)
				}
				time.Sleep(time.Second)
				if resp, text = ask(); resp.StatusCode != c.passes {
					t.Errorf("%s: refused again after the wait that was promised: %d %s", name, resp.StatusCode, text)
				}
			}
		})
	}
}

// TestARefusedOriginIsToldHourly: once would scroll away, each time would be a
// flood.
func TestARefusedOriginIsToldHourly(t *testing.T) {
	t.Parallel()
	inBubble(t, limit.Rate{}, limit.Rate{}, func(b *bubble) {
		t := b.t
		for hour := 1; hour <= 3; hour++ {
			for range 12 {
				resp, text := b.post("ana", strings.NewReader("{}"), 2, "Origin: https://new.example.com")
				b.wants(resp, text, http.StatusForbidden, "origin_not_allowed")
				time.Sleep(5 * time.Minute)
			}
			synctest.Wait()
			if told := strings.Count(b.log.String(), "https://new.example.com"); told != hour {
				t.Errorf("told %d times in %d hours", told, hour)
			}
		}
	})
}

// TestAStoppingServerIsNotReady, and says when to come back.
func TestAStoppingServerIsNotReady(t *testing.T) {
	t.Parallel()
	inBubble(t, limit.Rate{}, limit.Rate{}, func(b *bubble) {
		t := b.t
		ask := func(path string) int {
			resp, err := b.web.Get("http://shield.example" + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if (resp.StatusCode == http.StatusServiceUnavailable) != (resp.Header.Get("Retry-After") != "") {
				t.Errorf("%s: %d with Retry-After %q", path, resp.StatusCode, resp.Header.Get("Retry-After"))
			}
			return resp.StatusCode
		}
		if ready := ask("/readyz"); ready != http.StatusOK {
			t.Errorf("readyz is %d", ready)
		}
		b.server.stopping.Store(true)
		if ready, alive := ask("/readyz"), ask("/livez"); ready != http.StatusServiceUnavailable || alive != http.StatusOK {
			t.Errorf("stopping: readyz is %d and livez %d, want 503 and 200", ready, alive)
		}
	})
}
