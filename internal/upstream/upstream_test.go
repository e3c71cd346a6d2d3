package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/secret"
)

const testKey = "test-key-0123456789-abcdef"

// provider answers with h; the client asks it.
func provider(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return client(t, srv.URL+"/v1")
}

func client(t *testing.T, base string) *Client {
	t.Helper()
	c, err := New(Config{
		BaseURL: base, Keys: []Key{{Secret: secret.New(testKey), Source: "test"}}, Organization: "org-1", Project: "proj_1",
		Timeout: time.Minute, StreamIdle: time.Minute, StreamMax: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// wants asks once and checks how that failed.
func wants(t *testing.T, c *Client, status int, code string) *apierr.Error {
	t.Helper()
	got, err := c.Ask(t.Context(), Question{Body: []byte(`{}`)})
	if err == nil {
		_, err = got.ReadAll(nil)
		got.Close()
	}
	e, ok := errors.AsType[*apierr.Error](err)
	if !ok || e.Status != status || e.Code != code {
		t.Fatalf("got %v, want %d %s", err, status, code)
	}
	return e
}

const envelope = `{"error":{"message":"Incorrect API key provided: test-key****cdef","type":"x","param":null,"code":"y"}}`

func TestWhatGoesToOpenAI(t *testing.T) {
	c := provider(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for name, want := range map[string]string{
			"Authorization":       "Bearer " + testKey,
			"Content-Type":        "application/json",
			"Openai-Organization": "org-1",
			"Openai-Project":      "proj_1",
			"Accept-Encoding":     "",
			"Idempotency-Key":     "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		if r.URL.Path != "/v1/chat/completions" || string(body) != `{"a":1}` || r.ContentLength != 7 {
			t.Errorf("asked %s %q (%d)", r.URL.Path, body, r.ContentLength)
		}
		w.Header().Set("X-Request-Id", "req_123")
		io.WriteString(w, "the answer")
	})
	got, err := c.Ask(t.Context(), Question{Body: []byte(`{"a":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	body, err := got.ReadAll(nil)
	if err != nil || string(body) != "the answer" || got.RequestID() != "req_123" || got.Streams() {
		t.Errorf("answered %q, %v, id %q", body, err, got.RequestID())
	}
}

func TestRefusalsBecomeOurs(t *testing.T) {
	for _, tt := range []struct {
		name       string
		status     int
		body       string
		header     string
		wantStatus int
		wantCode   string
		wantWait   time.Duration
		cause      error
	}{
		{"our key", 401, envelope, "", 502, "upstream_error", 0, ErrKeyRefused},
		{"our project", 403, envelope, "", 502, "upstream_error", 0, ErrKeyRefused},
		{"our request", 400, envelope, "", 502, "upstream_error", 0, nil},
		{"our model", 404, envelope, "", 502, "upstream_error", 0, nil},
		{"our quota", 429, `{"error":{"message":"m","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`, "", 503, "unavailable", time.Minute, ErrQuota},
		{"rate limit", 429, envelope, "7", 429, "rate_limited", 7 * time.Second, nil},
		{"rate limit that says nothing", 429, envelope, "", 429, "rate_limited", defaultWait, nil},
		{"rate limit of an hour", 429, envelope, "3600", 429, "rate_limited", time.Minute, nil},
		{"rate limit of centuries", 429, envelope, "99999999999", 429, "rate_limited", time.Minute, nil},
		{"rate limit of more than a number can be", 429, envelope, "99999999999999999999", 429, "rate_limited", time.Minute, nil},
		{"rate limit of less than nothing", 429, envelope, "-99999999999", 429, "rate_limited", defaultWait, nil},
		{"rate limit of nonsense", 429, envelope, "soon", 429, "rate_limited", defaultWait, nil},
		{"broken", 500, envelope, "", 502, "upstream_error", 0, nil},
		{"a page in between", 502, "<html>" + testKey, "", 502, "upstream_error", 0, nil},
		{"timed out", 504, envelope, "", 504, "upstream_timeout", 0, nil},
		{"a status nobody uses", 299, "", "", 502, "upstream_error", 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := provider(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.header != "" {
					w.Header().Set("Retry-After", tt.header)
				}
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			e := wants(t, c, tt.wantStatus, tt.wantCode)
			if e.RetryAfter != tt.wantWait {
				t.Errorf("RetryAfter = %v, want %v", e.RetryAfter, tt.wantWait)
			}
			if tt.cause != nil && !errors.Is(e, tt.cause) {
				t.Errorf("%v is not %v: the log would not say that someone must act", e, tt.cause)
			}
			if strings.Contains(e.Error(), "test-key") || strings.Contains(e.Error(), "Incorrect") {
				t.Errorf("the provider's text reached the log: %v", e)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var stolen atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Store(true) }))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		wants(t, provider(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", thief.URL)
			w.WriteHeader(status)
		}), 502, "upstream_error")
	}
	if stolen.Load() {
		t.Error("the key followed a Location header")
	}
}

func TestRepeatedOnlyWhereOpenAISaysSo(t *testing.T) {
	spoken := `{"error":{"message":"m","type":"t","param":null,"code":"c"}}`
	for _, tt := range []struct {
		name   string
		status int
		body   string
		wait   string
		want   int32 // sends
	}{
		{"503 in its words", 503, spoken, "", 2},
		{"503 of a page", 503, "<html>", "", 1},
		{"503 for later", 503, spoken, "3", 1},
		{"503 for long", 503, spoken, "99999999999", 1},
		{"429 with a short wait", 429, spoken, "1", 2},
		{"429 that says nothing", 429, spoken, "", 1},
		{"429 for later", 429, spoken, "30", 1},
		{"500 in its words, perhaps billed", 500, spoken, "", 1},
		{"502", 502, spoken, "", 1},
		{"400", 400, spoken, "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var sends atomic.Int32
			c := provider(t, func(w http.ResponseWriter, _ *http.Request) {
				sends.Add(1)
				if tt.wait != "" {
					w.Header().Set("Retry-After", tt.wait)
				}
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			c.cfg.Timeout = 4 * time.Second
			_, err := c.Ask(t.Context(), Question{Body: []byte(`{}`)})
			if err == nil || sends.Load() != tt.want {
				t.Errorf("sent %d times, want %d; %v", sends.Load(), tt.want, err)
			}
		})
	}
}

func TestNeverSentTwiceWhenTheConnectionBreaks(t *testing.T) {
	var sends atomic.Int32
	first := true
	c := provider(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if first { // so that the next send goes over a used connection
			first = false
			return
		}
		sends.Add(1)
		conn, _, _ := http.NewResponseController(w).Hijack()
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	})
	got, err := c.Ask(t.Context(), Question{Body: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	got.ReadAll(nil)
	got.Close()
	wants(t, c, 502, "upstream_error")
	if sends.Load() != 1 {
		t.Errorf("sent %d times: the second could be billed as well", sends.Load())
	}
}

func TestDialIsTriedTwice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	began := time.Now()
	wants(t, client(t, "http://"+addr+"/v1"), 502, "upstream_error")
	if took := time.Since(began); took < redialDelay {
		t.Errorf("gave up after %v, before the one retry that cannot be billed", took)
	}
}

func TestTimeLimits(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	hasty := func(h http.HandlerFunc) *Client {
		c := provider(t, h)
		c.cfg.Timeout, c.cfg.StreamIdle, c.cfg.StreamMax = 2*time.Second, 1500*time.Millisecond, 3*time.Second
		return c
	}
	e := wants(t, hasty(hang), 504, "upstream_timeout")
	if !errors.Is(e, errFirstByte) {
		t.Errorf("%v, want %v", e, errFirstByte)
	}

	trickle := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-tick.C:
				io.WriteString(w, "x")
				http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
	for _, tt := range []struct {
		name    string
		stream  bool
		handler http.HandlerFunc
		want    error
	}{
		{"whole answer", false, trickle, errTotal},
		{"stream", true, trickle, errStreamMax},
		{"silent stream", true, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, errStreamIdle},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := hasty(tt.handler).Ask(t.Context(), Question{Body: []byte(`{}`), Stream: tt.stream})
			if err != nil {
				t.Fatal(err)
			}
			defer got.Close()
			if _, err := io.Copy(io.Discard, got); !errors.Is(err, tt.want) {
				t.Errorf("ended with %v, want %v", err, tt.want)
			}
		})
	}
}

func TestTheCallersDepartureIsItsOwnCause(t *testing.T) {
	why := errors.New("the server is stopping")
	arrived := make(chan struct{})
	c := provider(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-arrived; cancel(why) }()
	if _, err := c.Ask(ctx, Question{Body: []byte(`{}`), Stream: true}); !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
}

func TestGiantAnswersAreCut(t *testing.T) {
	c := provider(t, func(w http.ResponseWriter, _ *http.Request) {
		lump := make([]byte, 1<<20)
		for range 64 {
			if _, err := w.Write(lump); err != nil {
				return
			}
		}
	})
	wants(t, c, 502, "upstream_error")
}

func TestTryNeverRepeatsOpenAI(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"good", 200, `{"data":[{"id":"m1"}]}`, ""},
		{"other models", 200, `{"data":[{"id":"m2"}]}`, "does not list"},
		{"bad key", 401, envelope, "refuses the key (401)"},
		{"no right", 403, envelope, "refuses the key (403)"},
		{"limit", 429, envelope, "429"},
		{"page", 500, "<html>" + testKey, "500"},
		{"redirect", 302, "", "no usable answer"},
		{"nonsense", 200, "x", "no usable answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/models" || r.Header.Get("Authorization") != "Bearer "+testKey || r.Header.Get("OpenAI-Project") != "proj_1" {
					t.Errorf("asked %s with %v", r.URL.Path, r.Header)
				}
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}))
			defer srv.Close()
			err := TryKey(t.Context(), Config{BaseURL: srv.URL + "/v1", Project: "proj_1"}, secret.New(testKey), "m1")
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Try = %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "test-key") {
				t.Errorf("the provider's text was repeated: %v", err)
			}
		})
	}
}
