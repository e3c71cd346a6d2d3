package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"keyshield/internal/sim"
)

// hasty is a target that waits for OpenAI no longer than it must: two seconds for
// the first byte, four for a whole answer, two of silence, four for a stream.
func hasty(t *testing.T, extra ...string) *rig {
	return target(t, append([]string{"UPSTREAM_TIMEOUT=4s", "STREAM_IDLE_TIMEOUT=2s", "STREAM_MAX=4s", "MAX_STREAMS_PER_USER=off", "MAX_PROMPT_CHARS=5000"}, extra...)...)
}

// slack is what a loaded machine may add to a timeout.
const slack = 4 * time.Second

// outcomeOf asks in one of the three forms and says how that went: the status and
// code of a refusal, "200" for a whole answer, "200 then code" for a stream that
// ended with an error, "200 then cut" for one that was cut off. What of the model's
// text came through is text.
func (r *rig) outcomeOf(form, prompt string) (outcome, text string, got reply) {
	r.t.Helper()
	accept := map[string]string{"json": "application/json", "events": "text/event-stream", "text": "text/plain"}[form]
	got = r.ask(prompt, "Accept: "+accept)
	if got.status != 200 {
		return fmt.Sprintf("%d %s", got.status, got.problem(r.t).Code), "", got
	}
	switch form {
	case "text":
		if got.err != nil {
			return "200 then cut", got.body, got
		}
		return "200", got.body, got
	case "events":
		all, _, err := events(strings.NewReader(got.body))
		if err != nil || len(all) == 0 || got.err != nil {
			r.t.Fatalf("the stream ended without a word (%v, %v): %.300q", err, got.err, got.body)
		}
		last := all[len(all)-1]
		for _, e := range all[:len(all)-1] {
			if e.name != "" {
				r.t.Errorf("more than one end: %v", all)
			}
		}
		text = textOf(r.t, all[:len(all)-1])
		if last.name == "done" {
			return "200", text, got
		}
		return "200 then " + reply{status: 200, body: last.data}.problem(r.t).Code, text, got
	}
	if !strings.HasPrefix(got.body, `{"result":"`) {
		r.t.Errorf("a 200 in another shape: %.300q", got.body)
	}
	return "200", strings.TrimSuffix(strings.TrimPrefix(got.body, `{"result":"`), `"}`), got
}

// fault is a way in which OpenAI breaks, and what becomes of it.
type fault struct {
	words         string // the simulator's directive
	json, streams string // the outcomes; a plain text is cut where events end with an error
	within        time.Duration
}

func faults() []fault {
	const (
		interrupted = "200 then upstream_interrupted"
		broken      = "502 upstream_error"
		late        = "504 upstream_timeout"
	)
	all := []fault{ // floods: see TestAFloodFromOpenAICostsNoMemory
		{"fault=hang_before", late, late, 2 * time.Second},
		{"fault=hang_mid", late, interrupted, 4 * time.Second},
		{"fault=hang_mid at=-1", late, interrupted, 4 * time.Second},
		{"fault=cut", broken, interrupted, 0},
		{"fault=cut at=-1", broken, interrupted, 0},
		{"fault=cut at=1000", broken, interrupted, 0},
		{"fault=eof", broken, interrupted, 0},
		{"fault=eof at=-1", broken, interrupted, 0},
		{"fault=no_done", broken, "200", 0}, // the simulator refuses it where there is no [DONE]
		{"fault=malformed", broken, interrupted, 0},
		{"fault=malformed at=-1", broken, interrupted, 0},
		{"fault=error_chunk", broken, interrupted, 0},
		{"fault=error_chunk at=-1", broken, interrupted, 0},
		{"fault=error_event", broken, interrupted, 0},
		{"fault=endless_line pace=300ms", late, interrupted, 4 * time.Second},
		{"fault=endless_comments pace=300ms", late, interrupted, 4 * time.Second},
		{"fault=never_ending", late, interrupted, 4 * time.Second},
		{"fault=never_ending pace=1ms", late, interrupted, 4 * time.Second},
		{"fault=giant amount=262144", "200", "200", 0},
		{"fault=reasoning_only", "502 output_limit_reached", "200 then output_limit_reached", 0},
		{"fault=invalid_utf8", "200", "200", 0},
		{"fault=reset", broken, broken, 0},
		{"fault=failed", broken, broken, 0}, // the simulator refuses it: a completion has no such end
		{"finish=content_filter", "422 content_filtered", "200 then content_filtered", 0},
		{"refusal", "422 content_filtered", "200 then content_filtered", 0},
		{"latency=5s", late, late, 2 * time.Second},
		{"usage=missing", "200", "200", 0}, {"usage=null", "200", "200", 0}, {"usage=zero", "200", "200", 0},
		{"usage=negative", "200", "200", 0}, {"usage=huge", "200", "200", 0}, {"usage=cached", "200", "200", 0},
		{"choices=3", "200", "200", 0}, {"escape", "200", "200", 0}, {"model=another", "200", "200", 0},
		{"quota", "503 unavailable", "503 unavailable", 0},
		{"quota retry_after=1", "503 unavailable", "503 unavailable", 0},
		{"html", broken, broken, 0}, {"html status=503", broken, broken, 0}, {"html status=429", "429 rate_limited", "429 rate_limited", 0},
		{"status=429", "429 rate_limited", "429 rate_limited", 0}, {"status=429 retry_after=20", "429 rate_limited", "429 rate_limited", 0},
		{"status=504", late, late, 0}, {"status=408", late, late, 0},
		{"leak=error status=401", broken, broken, 0}, {"leak=error status=500", broken, broken, 0}, {"leak=error html status=502", broken, broken, 0},
		{"leak=error fault=error_chunk", broken, interrupted, 0}, {"leak=error fault=error_event", broken, interrupted, 0},
		{"leak=error quota", "503 unavailable", "503 unavailable", 0}, {"leak=header", "200", "200", 0}, {"leak=fields", "200", "200", 0},
	}
	for _, status := range []int{400, 401, 402, 403, 404, 405, 409, 413, 418, 422, 451, 499, 500, 501, 502, 505, 507, 520, 522, 524, 529, 599} {
		all = append(all, fault{fmt.Sprintf("status=%d", status), broken, broken, 0})
	}
	return all
}

// TestEveryFaultOfOpenAIHasItsAnswer: in each form, in time, and once.
func TestEveryFaultOfOpenAIHasItsAnswer(t *testing.T) {
	t.Parallel()
	r := hasty(t)
	tried := map[sim.Fault]bool{sim.NullContent: true} // see TestAnAnswerWithoutAnyTextIsNoFailure
	for _, f := range faults() {
		for _, name := range sim.Faults() {
			if strings.HasPrefix(f.words, "fault="+string(name)) {
				tried[name] = true
			}
		}
	}
	if len(tried) != len(sim.Faults()) {
		t.Errorf("%d faults are tried; the simulator has %d", len(tried), len(sim.Faults()))
	}
	var tries []func()
	for i, f := range faults() {
		for _, form := range []string{"json", "events", "text"} {
			tries = append(tries, func() { tryFault(t, r, i, f, form) })
		}
	}
	atOnce(tries...)
	if strings.Contains(r.log.String(), "private words") {
		t.Error("the log has a prompt")
	}
	if n := r.calm().Calls; n != int64(len(tries)) {
		t.Errorf("%d calls for %d prompts: none of these may be repeated", n, len(tries))
	}
}

func tryFault(t *testing.T, r *rig, i int, f fault, form string) {
	want := f.json
	if form != "json" {
		want = f.streams
	}
	if before, _, broken := strings.Cut(want, " then "); broken && form == "text" {
		want = before + " then cut"
	}
	began := time.Now()
	outcome, _, got := r.outcomeOf(form, fmt.Sprintf("[[sim tag=%s-%d %s]] private words", form, i, f.words))
	took := time.Since(began)
	if outcome != want {
		t.Errorf("%s as %s: got %s (%.200q), want %s", f.words, form, outcome, got.body, want)
	}
	if took > f.within+slack || took < f.within/2 {
		t.Errorf("%s as %s took %v, want %v", f.words, form, took, f.within)
	}
	if !utf8.ValidString(got.body) || strings.Contains(got.body, "simulated-org") || strings.Contains(got.body, "help center") || strings.Contains(got.body, "cloudflare") {
		t.Errorf("%s as %s: something of OpenAI's own words passed: %.300q", f.words, form, got.body)
	}
}

// TestOnlyTheFirstChoiceIsPassedOn: we ask for one, so more are another's mistake, and
// no reason to say everything three times.
func TestOnlyTheFirstChoiceIsPassedOn(t *testing.T) {
	t.Parallel()
	r := hasty(t)
	for _, form := range []string{"json", "events", "text"} {
		if outcome, text, _ := r.outcomeOf(form, `[[sim choices=3 text="one two three"]]`); outcome != "200" || text != "one two three" {
			t.Errorf("%s: %s, %q", form, outcome, text)
		}
	}
}

// TestACallIsRepeatedOnceAndOnlyWhereOpenAIDidNotTakeIt: by its own envelope, and for a
// wait that is short.
func TestACallIsRepeatedOnceAndOnlyWhereOpenAIDidNotTakeIt(t *testing.T) {
	t.Parallel()
	r := target(t, "UPSTREAM_TIMEOUT=20s")
	for words, want := range map[string]struct {
		outcome string
		calls   int64
	}{
		"status=503":                                 {"502 upstream_error", 2},
		"status=503 fail_times=1":                    {"200", 2},
		"status=503 retry_after=1 fail_times=1":      {"200", 2},
		"status=503 retry_after=30 fail_times=1":     {"502 upstream_error", 1},
		"status=503 html fail_times=1":               {"502 upstream_error", 1},
		"status=429 retry_after_ms=100 fail_times=1": {"200", 2},
		"status=429 retry_after=1":                   {"429 rate_limited", 2},
		"status=429 fail_times=1":                    {"429 rate_limited", 1},
		"status=429 retry_after=9 fail_times=1":      {"429 rate_limited", 1},
		"status=429 retry_after=1 html fail_times=1": {"429 rate_limited", 1},
		"quota retry_after=1 fail_times=1":           {"503 unavailable", 1},
		"status=500 fail_times=1":                    {"502 upstream_error", 1},
		"status=502 fail_times=1":                    {"502 upstream_error", 1},
		"status=504 fail_times=1":                    {"504 upstream_timeout", 1},
		"fault=reset fail_times=1":                   {"502 upstream_error", 1},
		"fault=cut fail_times=1":                     {"502 upstream_error", 1},
	} {
		before := r.asked()
		outcome, _, _ := r.outcomeOf("json", "[[sim "+words+"]]")
		if calls := r.asked() - before; outcome != want.outcome || calls != want.calls {
			t.Errorf("%s: %s after %d calls, want %s after %d", words, outcome, calls, want.outcome, want.calls)
		}
	}
}

// TestWhatOpenAIAsksToWaitIsPassedOn, within what SDKs honour.
func TestWhatOpenAIAsksToWaitIsPassedOn(t *testing.T) {
	t.Parallel()
	r := hasty(t)
	for words, want := range map[string]string{
		"retry_after=20": "20", "retry_after=3600": "60", "retry_after=61": "60", "retry_after_ms=2500": "3", "retry_after=-5": "5", "retry_after=soon": "5",
		"retry_after=99999999999999999999": "60", "retry_after=1e3": "5", "retry_after=3 html": "3", `retry_after="Wed, 21 Oct 2015 07:28:00 GMT"`: "5",
	} {
		got := r.ask("[[sim status=429 " + words + "]]")
		got.wants(t, 429, "rate_limited")
		if wait := got.header.Get("Retry-After"); wait != want {
			t.Errorf("%s: Retry-After %q, want %s", words, wait, want)
		}
	}
	got := r.ask("[[sim quota retry_after=1]]")
	if got.header.Get("X-Should-Retry") != "false" {
		t.Errorf("an empty account: X-Should-Retry %q, want false", got.header.Get("X-Should-Retry"))
	}
}

// TestOurOwnTroubleWithOpenAIIsAnError in the log: someone must act.
func TestOurOwnTroubleWithOpenAIIsAnError(t *testing.T) {
	t.Parallel()
	r := hasty(t)
	for _, words := range []string{"status=401", "status=403", "quota"} {
		got := r.ask("[[sim " + words + "]]")
		if line := r.log.request(t, got.header.Get("X-Request-Id")); line["level"] != "ERROR" {
			t.Errorf("%s is logged as %v", words, line["level"])
		}
	}
}

// TestTheKeyFollowsNoRedirect, wherever it leads.
func TestTheKeyFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var visits atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		if strings.Contains(fmt.Sprint(r.Header), canary) {
			leaks.saw("a request to where a redirect led")
		}
	}))
	defer thief.Close()
	r := hasty(t)
	own := strings.Replace(r.back.URL, "127.0.0.1", "localhost", 1)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{thief.URL, thief.URL + "/v1/chat/completions", own + "/v1/chat/completions", "/v1/models", "//" + strings.TrimPrefix(thief.URL, "http://"), "ftp://x/", "%zz", ":", "javascript:alert(1)"} {
			for _, form := range []string{"json", "events"} {
				if outcome, _, _ := r.outcomeOf(form, fmt.Sprintf("[[sim redirect=%s status=%d]]", to, status)); outcome != "502 upstream_error" {
					t.Errorf("%d to %s: %s, want 502 upstream_error", status, to, outcome)
				}
			}
		}
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
	if n := r.asked(); n != 5*9*2 {
		t.Errorf("%d calls, want %d: a redirect back to OpenAI is not followed either", n, 5*9*2)
	}
}

// TestAnAnswerOfAnotherTypeIsNoStream: what is no event stream is not read as one.
func TestAnAnswerOfAnotherTypeIsNoStream(t *testing.T) {
	t.Parallel()
	r := hasty(t)
	for _, kind := range []string{"text/html", "application/json", "text/event-stream-x", "text/plain", "application/octet-stream"} {
		if outcome, _, _ := r.outcomeOf("events", "[[sim content_type="+kind+"]]"); outcome != "502 upstream_error" {
			t.Errorf("%s: %s, want 502 upstream_error", kind, outcome)
		}
	}
}

// TestAnAnswerWithoutAnyTextIsNoFailure of ours, whatever it is taken for.
func TestAnAnswerWithoutAnyTextIsNoFailure(t *testing.T) {
	t.Parallel()
	r := hasty(t)
	for _, form := range []string{"json", "events", "text"} {
		outcome, text, _ := r.outcomeOf(form, "[[sim fault=null_content]]")
		if strings.Contains(outcome, "internal") || text != "" {
			t.Errorf("%s: %s, %q", form, outcome, text)
		}
	}
}
