package main

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/sim"
)

// recorder answers every call with a short completion, and keeps the requests.
type recorder struct {
	url  string
	mu   sync.Mutex
	seen []*http.Request
}

func newRecorder(t testing.TB) *recorder {
	t.Helper()
	rec := new(recorder)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.seen = append(rec.seen, r)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]}`)
	}))
	t.Cleanup(web.Close)
	rec.url = web.URL
	return rec
}

func (rec *recorder) last(t testing.TB) *http.Request {
	t.Helper()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(rec.seen) == 0 {
		t.Fatal("nothing was asked")
	}
	return rec.seen[len(rec.seen)-1]
}

func (rec *recorder) count() int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return len(rec.seen)
}

// keyIsSent: the provider knows another key than the tests' own.
func keyIsSent(t *testing.T) {
	key := "test-other-" + rand.Text()
	s := sim.New(sim.Options{Key: key})
	back := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); back.Close() })
	startBefore(t, back.URL, "OPENAI_API_KEY="+key).ask("hi").wants200(t, jsonForm)
	startBefore(t, back.URL).ask("hi").wants(t, 502, "upstream_error")
}

func baseURLIsAsked(t *testing.T) {
	for _, base := range []string{"/v1", "/proxy/openai/v1/", ""} {
		rec := newRecorder(t)
		r := startBefore(t, rec.url, "OPENAI_BASE_URL="+rec.url+base)
		r.ask("hi").wants200(t, jsonForm)
		if want := strings.TrimSuffix(base, "/") + "/chat/completions"; rec.last(t).URL.Path != want {
			t.Errorf("below %q: asked at %s, want %s", base, rec.last(t).URL.Path, want)
		}
	}
}

func organizationIsSent(t *testing.T) { headerIsSent(t, "OPENAI_ORGANIZATION", "OpenAI-Organization") }
func projectIsSent(t *testing.T)      { headerIsSent(t, "OPENAI_PROJECT", "OpenAI-Project") }

func headerIsSent(t *testing.T, setting, header string) {
	for _, value := range []string{"", "our-own_1"} {
		rec := newRecorder(t)
		startBefore(t, rec.url, setting+"="+value).ask("hi", header+": theirs").wants200(t, jsonForm)
		if got := rec.last(t).Header.Get(header); got != value {
			t.Errorf("%s=%q: %s is %q", setting, value, header, got)
		}
	}
}

// within fails when do takes another time than it should; the span is wide, for
// a machine may be slow, and far from the default of a minute.
func within(t testing.TB, least, most time.Duration, do func()) {
	t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took < least || took > most {
		t.Errorf("it took %v, want %v to %v", took, least, most)
	}
}

// upstreamTimeoutEndsAnAnswer: half of it for the first byte, all of it for the
// whole.
func upstreamTimeoutEndsAnAnswer(t *testing.T) {
	r := start(t, "UPSTREAM_TIMEOUT=1s")
	within(t, 500*time.Millisecond, 5*time.Second, func() { r.ask("[[sim fault=hang_before]]").wants(t, 504, "upstream_timeout") })
	within(t, time.Second, 5*time.Second, func() { r.ask("[[sim fault=hang_mid]]").wants(t, 504, "upstream_timeout") })
}

func idleTimeoutEndsASilence(t *testing.T) {
	r := start(t, "STREAM_IDLE_TIMEOUT=1s", "UPSTREAM_TIMEOUT=2s")
	within(t, time.Second, 5*time.Second, func() {
		all, _, _ := events(strings.NewReader(r.ask(`[[sim text="one two three" fault=hang_mid]]`, "Accept: text/event-stream").body))
		if len(all) != 3 || !strings.Contains(all[2].data, "upstream_interrupted") {
			t.Errorf("a silent stream came to %v, want two words and upstream_interrupted", all)
		}
	})
	// A stream that goes on lasts longer than both.
	within(t, 2*time.Second, 8*time.Second, func() {
		got := r.ask("[[sim pace=220ms chunks=11]]", "Accept: text/event-stream")
		if !strings.Contains(got.body, "event: done") {
			t.Errorf("a stream that goes on was ended:\n%s", got.body)
		}
	})
}

func streamMaxEndsAStream(t *testing.T) {
	r := start(t, "STREAM_MAX=1s")
	within(t, time.Second, 5*time.Second, func() {
		got := r.ask("[[sim fault=never_ending pace=20ms]]", "Accept: text/event-stream")
		if !strings.Contains(got.body, "upstream_interrupted") {
			t.Errorf("an endless stream came to\n%s", got.body)
		}
	})
}

// sent is what one setting makes of a member of the request; nil is "not there".
func sent(t *testing.T, member string, wants map[string]any) {
	t.Helper()
	for setting, want := range wants {
		r := start(t, strings.Split(setting, "|")...)
		r.ask("hi").wants200(t, jsonForm)
		if diff := cmp.Diff(want, lastCall(t, r)[member]); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", setting, member, diff)
		}
	}
}

func modelIsSent(t *testing.T) {
	sent(t, "model", map[string]any{"OPENAI_MODEL": "gpt-6-luna", "OPENAI_MODEL=gpt-4o-2024-11-20": "gpt-4o-2024-11-20", "OPENAI_MODEL=": "gpt-6-luna"})
}

func systemPromptIsSent(t *testing.T) {
	sent(t, "messages", map[string]any{
		"SYSTEM_PROMPT":                messages("You are a helpful assistant.", "hi"),
		"SYSTEM_PROMPT=Say \"moin\" 😀": messages("Say \"moin\" 😀", "hi"),
	})
}

func outputLimitIsSent(t *testing.T) {
	sent(t, "max_completion_tokens", map[string]any{"MAX_OUTPUT_TOKENS": 150.0, "MAX_OUTPUT_TOKENS=9": 9.0, "OPENAI_MODEL=gpt-3.5-turbo": nil})
	sent(t, "max_tokens", map[string]any{"MAX_OUTPUT_TOKENS=9": nil, "OPENAI_MODEL=gpt-3.5-turbo|MAX_OUTPUT_TOKENS=9": 9.0})
}

func temperatureIsSent(t *testing.T) {
	sent(t, "temperature", map[string]any{"TEMPERATURE": nil, "TEMPERATURE=": nil, "TEMPERATURE=0": 0.0, "TEMPERATURE=0.7": 0.7, "TEMPERATURE=2": 2.0})
}

func effortIsSent(t *testing.T) {
	sent(t, "reasoning_effort", map[string]any{
		"REASONING_EFFORT": "none",
		"REASONING_EFFORT=low|MAX_OUTPUT_TOKENS=1024":   "low",
		"REASONING_EFFORT=none|OPENAI_MODEL=gpt-4.1":    nil,
		"REASONING_EFFORT=xhigh|MAX_OUTPUT_TOKENS=9000": "xhigh",
	})
}

func promptLimitHolds(t *testing.T) {
	r := start(t, "MAX_PROMPT_CHARS=5")
	r.ask("12345").wants200(t, jsonForm)
	if p := r.ask("123456").wants(t, 400, "prompt_too_long"); p.Error != "Prompt is too long. Please keep it under 5 characters." {
		t.Errorf("got the words %q", p.Error)
	}
}

func htmlIsStripped(t *testing.T) {
	for setting, want := range map[string]string{"STRIP_HTML": "bold", "STRIP_HTML=true": "bold", "STRIP_HTML=false": "<b>bold</b>"} {
		r := start(t, setting)
		r.ask("<b>bold</b>").wants200(t, jsonForm)
		if got := lastPrompt(t, r); got != want {
			t.Errorf("%s: %q arrives, want %q", setting, got, want)
		}
	}
}
