package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What one user does must not be another's trouble.

const (
	fineResponse   = `{"id":"r","status":"completed","model":"gpt-6-luna","output":[],"usage":{"input_tokens":10,"output_tokens":1,"total_tokens":11}}`
	failedResponse = "event: response.created\n" + `data: {"type":"response.created","sequence_number":0,"response":{"status":"in_progress"}}` + "\n\n" +
		"event: response.failed\n" + `data: {"type":"response.failed","sequence_number":1,"response":{"status":"failed","model":"gpt-6-luna","error":{"code":"invalid_prompt","message":"flagged"},"usage":null}}` + "\n\n"
)

// asMallory is another user than the rig's own.
func (r *rig) asMallory() string { return "Authorization: Bearer " + r.token("mallory") }

// TestNobodyOpensTheBreakerForOthers: by prompts that no model answers, by letting it
// think for longer than we wait, or by asking for more than there is time for.
func TestNobodyOpensTheBreakerForOthers(t *testing.T) {
	t.Parallel()
	r := beforeCanned(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		switch text := string(body); {
		case strings.Contains(text, "forbidden"):
			canned("text/event-stream", failedResponse)(w, req)
		case strings.Contains(text, "ponder"):
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-req.Context().Done()
		case strings.Contains(text, "write a book"):
			<-req.Context().Done()
		default:
			canned("application/json", fineResponse)(w, req)
		}
	}, "BREAKER=1/10s", "STREAM_IDLE_TIMEOUT=1s", "UPSTREAM_TIMEOUT=2s")
	for what, try := range map[string]func() reply{
		"a forbidden prompt": func() reply {
			return r.post("/v1/responses", wayTo("responses").body("forbidden", streaming), r.asMallory())
		},
		"a long thought": func() reply {
			return r.post("/v1/chat/completions", wayTo("chat").body("ponder", streaming, `"reasoning_effort":"xhigh"`), r.asMallory())
		},
		"a long answer": func() reply {
			got := r.post("/v1/chat/completions", wayTo("chat").body("write a book"), r.asMallory())
			got.wantsV1(t, 504, "upstream_timeout")
			wantsHeaders(t, "a long answer", got, "", true)
			return got
		},
	} {
		if got := try(); !strings.Contains(got.body, `"error":{`) {
			t.Errorf("%s: %d %.300s, want an error", what, got.status, got.body)
		}
		if got := r.post("/v1/responses", wayTo("responses").body("hello")); got.status != 200 {
			t.Errorf("after %s, somebody else's, the next user gets %d %s", what, got.status, got.body)
		}
	}
}

// TestATrialThatTakesLongKeepsNobodyWaiting: the breaker lets another call find out.
func TestATrialThatTakesLongKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	hangs := make(chan struct{}, 1)
	r := beforeCanned(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		switch {
		case strings.Contains(string(body), "ponder"):
			hangs <- struct{}{}
			<-req.Context().Done()
		case down.Load():
			w.WriteHeader(500)
		default:
			canned("application/json", fineResponse)(w, req)
		}
	}, "BREAKER=1/10s", "UPSTREAM_TIMEOUT=30s", "SHUTDOWN_GRACE=1s")
	down.Store(true)
	r.post("/v1/responses", wayTo("responses").body("hello"))
	down.Store(false)
	r.post("/v1/responses", wayTo("responses").body("hello")).wantsV1(t, 503, "unavailable")
	<-time.After(2100 * time.Millisecond)

	trial := make(chan reply, 1)
	go func() { trial <- r.post("/v1/responses", wayTo("responses").body("ponder"), r.asMallory()) }()
	<-hangs
	r.post("/v1/responses", wayTo("responses").body("hello")).wantsV1(t, 503, "unavailable")
	<-time.After(2100 * time.Millisecond)
	for range 2 {
		if got := r.post("/v1/responses", wayTo("responses").body("hello")); got.status != 200 {
			t.Errorf("beside a trial that goes on: %d %s", got.status, got.body)
		}
	}
	r.stop()
	<-trial
}

// TestAModerationSaysNothingAboutTheBreaker: it leaves no charge behind, and closes
// nothing.
func TestAModerationSaysNothingAboutTheBreaker(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	r := beforeCanned(t, func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "responses") {
			asked.Add(1)
		}
		w.WriteHeader(500)
	}, "BREAKER=3/10s")
	for range 3 {
		r.post("/v1/responses", wayTo("responses").body("hello")).wantsV1(t, 502, "upstream_error")
	}
	for range 2 {
		<-time.After(2100 * time.Millisecond)
		r.post("/v1/moderations", wayTo("moderations").body("hello")).wantsV1(t, 502, "upstream_error")
		for range 3 {
			r.post("/v1/responses", wayTo("responses").body("hello"))
		}
	}
	if n := asked.Load(); n > 5 {
		t.Errorf("an OpenAI that only fails was asked %d times; want 3, and one for each time to find out", n)
	}
}

// TestATierIsPaidForWhereverItIsNamed: the chunk that carries the usage may leave out
// what the first one said; or nobody names it, and it was asked for.
func TestATierIsPaidForWhereverItIsNamed(t *testing.T) {
	t.Parallel()
	stream := func(first, last string) string {
		return fmt.Sprintf(`data: {"id":"c","model":"gpt-6-sol",%s"choices":[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]}`+"\n\n"+
			`data: {"id":"c","model":"gpt-6-sol","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n"+
			`data: {"id":"c","model":"gpt-6-sol",%s"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":1000,"total_tokens":1100,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0}}}`+"\n\n"+
			"data: [DONE]\n\n", first, last)
	}
	costs := map[string]string{}
	for name, said := range map[string][2]string{"in both": {`"service_tier":"priority",`, `"service_tier":"priority",`}, "at first": {`"service_tier":"priority",`, ""}, "never": {"", ""}} {
		r := beforeCanned(t, canned("text/event-stream", stream(said[0], said[1])), plansAre(t, `{"default":{"service_tiers":["priority"],"models":["gpt-6-sol"]}}`))
		got := r.post("/v1/chat/completions", wayTo("chat").body("x", streaming, `"model":"gpt-6-sol"`, `"service_tier":"priority"`))
		if got.status != 200 || !strings.Contains(got.body, "[DONE]") {
			t.Fatalf("%s: %d %s", name, got.status, got.body)
		}
		costs[name] = r.settled("ana").Day.Spent
	}
	if costs["in both"] == "0" || costs["at first"] != costs["in both"] || costs["never"] != costs["in both"] {
		t.Errorf("the same answer costs %v", costs)
	}
}
