package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"keyshield/internal/sim"
)

func TestStatusesHaveOpenAIsEnvelopes(t *testing.T) {
	w := start(t, sim.Options{})
	for _, c := range []struct {
		words  string
		status int
		kind   string
		code   any
		text   string
	}{
		{"status=400", 400, "invalid_request_error", nil, "Invalid value"},
		{"status=401", 401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: test-key" + strings.Repeat("*", len(key)-12) + "klmn."},
		{"status=403", 403, "request_forbidden", "unsupported_country_region_territory", "not supported"},
		{"status=404", 404, "invalid_request_error", "model_not_found", "`gpt-6-luna` does not exist"},
		{"status=422", 422, "invalid_request_error", nil, "Unprocessable Entity"},
		{"status=429", 429, "requests", "rate_limit_exceeded", "Rate limit reached for gpt-6-luna"},
		{"status=429 quota", 429, "insufficient_quota", "insufficient_quota", "exceeded your current quota"},
		{"quota", 429, "insufficient_quota", "insufficient_quota", "exceeded your current quota"},
		{"status=500", 500, "server_error", nil, "req_"},
		{"status=502", 502, "server_error", nil, "Bad Gateway"},
		{"status=503", 503, "server_error", nil, "overloaded"},
		{"status=504", 504, "server_error", nil, "Gateway Timeout"},
	} {
		t.Run(c.words, func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				got := w.ask(t, "[[sim "+c.words+" retry_after=20 retry_after_ms=1500]]", stream)
				e := envelope(t, got.body)
				if got.status != c.status || e["type"] != c.kind || e["code"] != c.code || !strings.Contains(e["message"].(string), c.text) {
					t.Errorf("got %d %v, want %d %s %v %q", got.status, e, c.status, c.kind, c.code, c.text)
				}
				if got.header.Get("Retry-After") != "20" || got.header.Get("Retry-After-Ms") != "1500" {
					t.Errorf("got %v, want both headers", got.header)
				}
				if got := w.ask(t, "[[sim "+c.words+"]]", stream); got.header.Get("Retry-After") != "" {
					t.Errorf("got Retry-After %q unasked", got.header.Get("Retry-After"))
				}
			})
		})
	}
}

func TestPagesAndRedirects(t *testing.T) {
	w := start(t, sim.Options{})
	for words, status := range map[string]int{"html": 200, "status=503 html": 503, "status=500 html": 500} {
		got := w.ask(t, "[[sim "+words+"]]", true)
		if got.status != status || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") || !strings.Contains(got.body, "<html>") {
			t.Errorf("%s: got %d %v %s", words, got.status, got.header, got.body)
		}
	}
	for words, status := range map[string]int{"": 307, "status=302": 302, "status=307": 307, "status=308": 308} {
		got := w.ask(t, "[[sim redirect=http://127.0.0.1:1/elsewhere "+words+"]]", false)
		if got.status != status || got.header.Get("Location") != "http://127.0.0.1:1/elsewhere" {
			t.Errorf("%s: got %d to %q", words, got.status, got.header.Get("Location"))
		}
	}
}

func TestStreamsBreakAsAsked(t *testing.T) {
	w := start(t, sim.Options{})
	for _, c := range []struct {
		words  string
		broken bool                   // the connection, not only the content
		right  func(body string) bool // of what arrived
	}{
		{"fault=cut at=3", true, func(b string) bool { return len(events(b)) == 4 && !strings.Contains(b, `"stop"`) }},
		{"fault=cut at=-1", true, func(b string) bool { return b == "" }},
		{"fault=cut at=9999", true, func(b string) bool { return strings.Contains(b, "here.") && !strings.Contains(b, `"stop"`) }},
		{"fault=eof", false, func(b string) bool { return len(events(b)) == 3 && !strings.Contains(b, `"stop"`) }},
		{"fault=no_done", false, func(b string) bool {
			return strings.Contains(b, `"stop"`) && strings.Contains(b, "prompt_tokens") && !strings.Contains(b, "[DONE]")
		}},
		{"fault=malformed", false, func(b string) bool {
			return strings.Contains(b, "\"delta\":{\"content\":\"\n\n") && strings.Contains(b, "[DONE]")
		}},
		{"fault=error_chunk", false, func(b string) bool {
			return strings.HasPrefix(events(b)[3], `{"error":{"message":`) && len(events(b)) == 4
		}},
		{"fault=error_event", false, func(b string) bool { return strings.Contains(b, "\n\nevent: error\ndata: {\"error\":{\"message\":") }},
		{"fault=endless_line amount=1MiB", true, func(b string) bool {
			return len(b) > 1<<20 && !strings.Contains(b[strings.LastIndexByte(b, '\n')+1:][:1<<20], "\n") && strings.HasSuffix(b, "aaa")
		}},
		{"fault=endless_comments amount=1MiB", true, func(b string) bool { return strings.Count(b, "\n: still thinking\n") > 10_000 }},
		{"fault=giant amount=1MiB", false, func(b string) bool { return len(b) > 1<<20 && strings.Contains(b, "[DONE]") }},
	} {
		t.Run(c.words, func(t *testing.T) {
			got := w.ask(t, "[[sim "+c.words+"]] hello", true)
			if got.status != 200 || (got.err != nil) != c.broken {
				t.Errorf("got %d, %v; broken connection wanted: %v", got.status, got.err, c.broken)
			}
			if !c.right(got.body) {
				t.Errorf("got %.3000q", got.body)
			}
		})
	}
}

func TestWholeAnswersBreakAsAsked(t *testing.T) {
	w := start(t, sim.Options{})
	for _, c := range []struct {
		words  string
		broken bool
		right  func(body string) bool
	}{
		{"fault=cut", true, func(b string) bool { return strings.HasPrefix(b, "{\n") && !strings.HasSuffix(b, "}\n") }},
		{"fault=eof", false, func(b string) bool { return strings.HasPrefix(b, "{\n") && !strings.HasSuffix(b, "}\n") }},
		{"fault=malformed", false, func(b string) bool { return !json.Valid([]byte(b)) && json.Valid([]byte(strings.TrimSuffix(b, ",}"))) }},
		{"fault=error_chunk", false, func(b string) bool { return strings.Contains(b, `"server_error"`) }},
		{"fault=endless_line amount=1MiB", true, func(b string) bool { return len(b) > 1<<20 && strings.HasSuffix(b, "aaa") }},
		{"fault=endless_comments amount=64KiB", true, func(b string) bool { return strings.TrimSpace(b) == "" && len(b) == 64<<10 }},
		{"fault=giant amount=1MiB", false, func(b string) bool { return len(b) > 1<<20 && strings.HasSuffix(b, "}\n") }},
		{"fault=giant amount=1MiB refusal", false, func(b string) bool { return len(b) > 1<<20 && strings.HasSuffix(b, "}\n") }},
	} {
		t.Run(c.words, func(t *testing.T) {
			got := w.ask(t, "[[sim "+c.words+"]] hello", false)
			if got.status != 200 || (got.err != nil) != c.broken {
				t.Errorf("got %d, %v; broken connection wanted: %v", got.status, got.err, c.broken)
			}
			if !c.right(got.body) {
				t.Errorf("got %.3000q", got.body)
			}
		})
	}
	if got := w.ask(t, "[[sim fault=no_done]]", false); got.status != 400 || !strings.Contains(got.body, "needs stream") {
		t.Errorf("got %d %s for a fault of streams only, want 400", got.status, got.body)
	}
}

func TestResetIsAReset(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		if got := w.ask(t, "[[sim fault=reset]]", stream); !errors.Is(got.err, syscall.ECONNRESET) {
			t.Errorf("got %d, %v; want a reset", got.status, got.err)
		}
	})
}

func TestHangsEndWhenTheClientLeaves(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		for _, fault := range []sim.Fault{sim.HangBefore, sim.HangMid, sim.NeverEnding} {
			before := w.Report().Cancelled
			ctx, leave := context.WithCancel(t.Context())
			r := w.request(ctx, t, completion(fmt.Sprintf("[[sim fault=%s tag=%s]] hello", fault, fault), stream))
			ended := make(chan error, 1)
			go func() {
				resp, err := w.client.Do(r)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				ended <- err
			}()
			w.until(t, func(r sim.Report) bool { return r.Faults[string(fault)] > 0 && r.Open == 1 })
			leave()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: the client got %v, want to have waited until it left", fault, err)
			}
			got := w.until(t, func(r sim.Report) bool { return r.Open == 0 })
			if got.Cancelled != before+1 || got.Cancellations[len(got.Cancellations)-1].Tag != string(fault) {
				t.Errorf("%s: got %+v, want one cancellation more", fault, got)
			}
			w.control(t, "POST", "reset", "", http.StatusOK)
		}
	})
}

// until waits for the books to say so.
func (w *world) until(t *testing.T, enough func(sim.Report) bool) sim.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	r := w.Await(ctx, enough)
	if !enough(r) {
		t.Fatalf("waited in vain; the books say %+v", r)
	}
	return r
}

func TestCloseEndsHangingHandlers(t *testing.T) {
	for _, words := range []string{"fault=hang_before", "fault=hang_mid", "latency=1h", "pace=1h", "fault=never_ending", "fault=endless_line", "fault=endless_comments pace=1h"} {
		t.Run(words, func(t *testing.T) {
			w := start(t, sim.Options{})
			ended := make(chan error, 1)
			closed := make(chan struct{})
			r := w.request(t.Context(), t, completion("[[sim "+words+"]] hello", true))
			go func() {
				resp, err := w.client.Do(r)
				if err == nil {
					<-closed // nobody reads, so that endless_line hangs in a write
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				ended <- err
			}()
			w.until(t, func(r sim.Report) bool { return r.OpenStreams == 1 })
			w.Close()
			w.until(t, func(r sim.Report) bool { return r.Open == 0 })
			close(closed)
			if err := <-ended; err == nil {
				t.Error("the answer ended like a whole one")
			}
			if got := w.Report(); got.Failed != 1 || got.Cancelled != 0 {
				t.Errorf("got %+v, want a failed call: nobody left", got)
			}
		})
	}
}

func TestFailTimesThenNormal(t *testing.T) {
	w := start(t, sim.Options{})
	statuses := func(prompt string) (got []int) {
		for range 4 {
			got = append(got, w.ask(t, prompt, false).status)
		}
		return got
	}
	want := fmt.Sprint([]int{503, 503, 200, 200})
	if got := fmt.Sprint(statuses("[[sim status=503 fail_times=2]] a")); got != want {
		t.Errorf("by directive: got %s, want %s", got, want)
	}
	if got := fmt.Sprint(statuses("[[sim status=503 fail_times=2 tag=other]] a")); got != want {
		t.Errorf("by another directive: got %s, want %s: each counts for itself", got, want)
	}
	w.control(t, "POST", "behaviour", `{"status":503,"fail_times":2}`, http.StatusOK)
	if got := fmt.Sprint(statuses("plain")); got != want {
		t.Errorf("by default: got %s, want %s", got, want)
	}
}
