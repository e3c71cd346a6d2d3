package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	issue = "Our server encountered an issue."
	busy  = "Our system is busy right now. Please try again soon."
)

// impatient is a server that waits for the provider no longer than a test may.
func impatient(t *testing.T, extra ...string) *rig {
	return start(t, append([]string{"UPSTREAM_TIMEOUT=1s", "STREAM_IDLE_TIMEOUT=1s", "STREAM_MAX=2s"}, extra...)...)
}

// refusal is what a client is told for what the provider did.
type refusal struct {
	words  string // for the simulator
	status int
	code   string
	text   string
}

// beforeAnything lists what goes wrong before there is a word to pass on: the
// same in every form.
func beforeAnything() []refusal {
	return []refusal{
		{"status=400", 502, "upstream_error", issue},
		{"status=401", 502, "upstream_error", issue},
		{"status=403", 502, "upstream_error", issue},
		{"status=404", 502, "upstream_error", issue},
		{"status=422", 502, "upstream_error", issue},
		{"status=500", 502, "upstream_error", issue},
		{"status=502", 502, "upstream_error", issue},
		{"status=503 retry_after=30", 502, "upstream_error", issue},
		{"status=504", 504, "upstream_timeout", issue},
		{"status=408", 504, "upstream_timeout", issue},
		{"status=500 leak=error", 502, "upstream_error", issue},
		{"html", 502, "upstream_error", issue},
		{"html status=503", 502, "upstream_error", issue},
		{"html status=429", 429, "rate_limited", "Too many requests. Please try again after 5 seconds."},
		{"redirect=http://127.0.0.1:1/", 502, "upstream_error", issue},
		{"quota", 503, "unavailable", busy},
		{"status=429", 429, "rate_limited", "Too many requests. Please try again after 5 seconds."},
		{"status=429 retry_after=20", 429, "rate_limited", "Too many requests. Please try again after 20 seconds."},
		{"fault=reset", 502, "upstream_error", issue},
		{"fault=hang_before", 504, "upstream_timeout", issue},
		{"content_type=text/html", 502, "upstream_error", issue},
	}
}

func TestTheProvidersRefusalsBecomeOurs(t *testing.T) {
	t.Parallel()
	r := impatient(t)
	for _, c := range beforeAnything() {
		for _, accept := range []string{"application/json", "text/event-stream", "text/plain"} {
			if accept == "application/json" && c.words == "content_type=text/html" {
				continue // what can be read as an answer is one
			}
			t.Run(c.words+" "+accept, func(t *testing.T) {
				t.Parallel()
				got := r.ask("[[sim "+c.words+"]] hi", "Accept:"+accept)
				p := got.wants(t, c.status, c.code)
				wantsRefusal(t, c.words, got, p)
				nothingOfTheirs(t, c.words, got.body)
				if p.Error != c.text {
					t.Errorf("got the words %q, want %q", p.Error, c.text)
				}
				if (c.status == 429 || c.status == 503) != (got.header.Get("Retry-After") != "") {
					t.Errorf("Retry-After is %q; it belongs to 429 and 503", got.header.Get("Retry-After"))
				}
			})
		}
	}
}

// nothingOfTheirs checks that no word of the provider's stands in an answer.
func nothingOfTheirs(t testing.TB, name, body string) {
	t.Helper()
	for _, word := range []string{"OpenAI", "openai", "simulat", "org-", "req_", "Incorrect", "quota", "billing", "cloudflare", "html", "retry your", "Rate limit", "Limit 3", "overloaded, please", "gpt-", "invalid_request_error", "server_error"} {
		if strings.Contains(body, word) {
			t.Errorf("%s: the provider's %q is in the answer: %s", name, word, body)
		}
	}
}

func TestBrokenWholeAnswersAreNeverHalfGiven(t *testing.T) {
	t.Parallel()
	r := impatient(t)
	const limit, filtered = "The output limit was reached before any text was written. Please ask for something shorter.", "The answer was withheld by the AI provider's content filter. Please rephrase your prompt."
	for _, c := range []refusal{
		{"fault=cut", 502, "upstream_error", issue},
		{"fault=eof", 502, "upstream_error", issue},
		{"fault=malformed", 502, "upstream_error", issue},
		{"fault=error_chunk", 502, "upstream_error", issue},
		{"fault=error_event", 502, "upstream_error", issue},
		{"fault=giant amount=8MiB", 502, "upstream_error", issue},
		{"fault=endless_line amount=8MiB", 502, "upstream_error", issue},
		{"fault=endless_comments amount=8MiB", 502, "upstream_error", issue},
		{"fault=hang_mid", 504, "upstream_timeout", issue},
		{"fault=never_ending", 504, "upstream_timeout", issue},
		{"fault=reasoning_only", 502, "output_limit_reached", limit},
		{"finish=content_filter", 422, "content_filtered", filtered},
		{"refusal", 422, "content_filtered", filtered},
		{"leak=whole", 500, "internal", issue},
		{"leak=bytes", 500, "internal", issue},
	} {
		t.Run(c.words, func(t *testing.T) {
			t.Parallel()
			got := r.ask("[[sim " + c.words + "]] hi")
			p := got.wants(t, c.status, c.code)
			wantsRefusal(t, c.words, got, p)
			nothingOfTheirs(t, c.words, got.body)
			if p.Error != c.text {
				t.Errorf("got the words %q, want %q", p.Error, c.text)
			}
		})
	}
}

// TestABrokenStreamEndsWithOneErrorEvent, never with a silent end of file, which
// openai-node and LangChain take for success. Plain text has no frame for an
// error, so its connection is cut.
func TestABrokenStreamEndsWithOneErrorEvent(t *testing.T) {
	t.Parallel()
	r := impatient(t)
	const stopped = "The AI provider stopped answering."
	for _, c := range []struct{ words, text, code, message string }{
		{"fault=cut", "one two", "upstream_interrupted", stopped},
		{"fault=cut at=-1", "", "upstream_interrupted", stopped},
		{"fault=eof", "one two", "upstream_interrupted", stopped},
		{"fault=eof at=-1", "", "upstream_interrupted", stopped},
		{"fault=malformed", "one two", "upstream_interrupted", stopped},
		{"fault=error_chunk", "one two", "upstream_interrupted", stopped},
		{"fault=error_chunk leak=error", "one two", "upstream_interrupted", stopped},
		{"fault=error_event", "one two", "upstream_interrupted", stopped},
		{"fault=error_event at=-1", "", "upstream_interrupted", stopped},
		{"fault=endless_line amount=4MiB", "one two", "upstream_interrupted", stopped},
		{"fault=endless_comments amount=4MiB", "one two", "upstream_interrupted", stopped},
		{"fault=giant amount=4MiB", "one two", "upstream_interrupted", stopped},
		{"fault=hang_mid", "one two", "upstream_interrupted", stopped},
		{"fault=hang_mid at=-1", "", "upstream_interrupted", stopped},
		{"leak=whole", "one", "internal", issue},
		{"fault=reasoning_only", "", "output_limit_reached", "The output limit was reached before any text was written. Please ask for something shorter."},
		{"refusal", "", "content_filtered", "The answer was withheld by the AI provider's content filter. Please rephrase your prompt."},
		{"finish=content_filter", "one two", "content_filtered", "The answer was withheld by the AI provider's content filter. Please rephrase your prompt."},
	} {
		t.Run(c.words, func(t *testing.T) {
			t.Parallel()
			prompt := `[[sim text="one two three" ` + c.words + `]]`
			got := r.ask(prompt, "Accept: text/event-stream")
			got.wants200(t, eventForm)
			nothingOfTheirs(t, c.words, got.body)
			all, comments, _ := events(strings.NewReader(got.body))
			if diff := cmp.Diff([]string{": open"}, comments); diff != "" {
				t.Errorf("comments (-want +got):\n%s", diff)
			}
			if text := textOf(t, all); text != c.text {
				t.Errorf("got the text %q, want %q", text, c.text)
			}
			wantLastEvent(t, all, event{"error", ""}, problem{c.message, c.code, got.header.Get("X-Request-Id")})

			plain := r.ask(prompt, "Accept: text/plain")
			if plain.err == nil {
				t.Errorf("plain text: %d %q ended cleanly, want the connection cut", plain.status, plain.body)
			}
			if plain.body != c.text {
				t.Errorf("plain text: got %q before the cut, want %q", plain.body, c.text)
			}
		})
	}
}

// wantLastEvent checks that exactly one event has a name: the last, with this
// error in it.
func wantLastEvent(t testing.TB, all []event, last event, want problem) {
	t.Helper()
	for i, e := range all {
		if (e.name != "") != (i == len(all)-1) {
			t.Errorf("event %d of %d is named %q: exactly the last must be", i+1, len(all), e.name)
		}
	}
	if len(all) == 0 || all[len(all)-1].name != last.name {
		t.Fatalf("the stream ends with %v, want %s", all, last.name)
	}
	var got problem
	if err := json.Unmarshal([]byte(all[len(all)-1].data), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the last event (-want +got):\n%s", diff)
	}
}

// TestANeverEndingStreamEnds at STREAM_MAX.
func TestANeverEndingStreamEnds(t *testing.T) {
	t.Parallel()
	r := impatient(t, "STREAM_MAX=1s")
	got := r.ask("[[sim fault=never_ending pace=10ms]]", "Accept: text/event-stream")
	all, _, err := events(strings.NewReader(got.body))
	if err != nil || textOf(t, all) == "" {
		t.Fatalf("%v: %s", err, got.body)
	}
	wantLastEvent(t, all, event{"error", ""}, problem{"The AI provider stopped answering.", "upstream_interrupted", got.header.Get("X-Request-Id")})
}

// TestTheProvidersWaitIsPassedOn within what SDKs honour: above 60 s they fall
// back to hammering.
func TestTheProvidersWaitIsPassedOn(t *testing.T) {
	t.Parallel()
	r := start(t)
	for words, want := range map[string]string{
		"retry_after=20":            "20",
		"retry_after=60":            "60",
		"retry_after=61":            "60",
		"retry_after=86400":         "60",
		"retry_after_ms=3200":       "4",
		"retry_after=-1":            "5",
		"retry_after=soon":          "5",
		"retry_after=0":             "5",
		`retry_after="3, 4"`:        "5",
		"retry_after=9999999999999": "60",
	} {
		got := r.ask("[[sim status=429 " + words + "]]")
		got.wants(t, 429, "rate_limited")
		if wait := got.header.Get("Retry-After"); wait != want {
			t.Errorf("%s: Retry-After is %s, want %s", words, wait, want)
		}
		if again := got.header.Get("X-Should-Retry"); again != "" {
			t.Errorf("%s: x-should-retry is %q: waiting seconds does help here", words, again)
		}
	}
}

// TestOurOwnTroubleIsNotTheCallers: a refused key and an empty account are not
// shown to the caller as theirs, and the operator is told that someone must act.
func TestOurOwnTroubleIsNotTheCallers(t *testing.T) {
	t.Parallel()
	r := start(t)
	for words, level := range map[string]string{"status=401": "ERROR", "status=403": "ERROR", "quota": "ERROR", "status=500": "WARN", "status=429 retry_after=9": "INFO"} {
		got := r.ask("[[sim " + words + "]]")
		line := r.log.request(t, got.header.Get("X-Request-Id"))
		if line["level"] != level {
			t.Errorf("%s is logged as %v, want %s: %v", words, line["level"], level, line)
		}
		for name, value := range line {
			if text, ok := value.(string); ok && (strings.Contains(text, "Incorrect API key") || strings.Contains(text, "org-simulated") || strings.Contains(text, "exceeded your current")) {
				t.Errorf("%s: the provider's text is in the log's %s: %s", words, name, text)
			}
		}
	}
	got := r.ask("[[sim quota]]")
	if again, wait := got.header.Get("X-Should-Retry"), got.header.Get("Retry-After"); again != "false" || wait != "60" {
		t.Errorf("an empty account: x-should-retry %q, Retry-After %q; want false and 60: seconds do not help", again, wait)
	}
}

// TestOnlyWhatWasSurelyNotTakenIsSentAgain, and once at most.
func TestOnlyWhatWasSurelyNotTakenIsSentAgain(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, c := range []struct {
		words string
		sent  int64
	}{
		{"status=429 retry_after=1", 2}, {"status=503", 2}, {"status=503 retry_after=30", 1}, {"status=429 retry_after=20", 1}, {"status=500", 1}, {"quota", 1},
		{"html status=503", 1}, {"fault=reset", 1}, {"fault=cut", 1},
	} {
		t.Run(c.words, func(t *testing.T) {
			t.Parallel()
			mine := start(t)
			mine.ask("[[sim " + c.words + "]]")
			if calls := int64(len(mine.sim.Requests())); calls != c.sent {
				t.Errorf("sent %d times, want %d", calls, c.sent)
			}
		})
	}
	if got := r.ask(`[[sim status=503 fail_times=1 text="here again"]]`); got.status != 200 || !strings.Contains(got.body, "here again") {
		t.Errorf("a provider that was busy once: %d %s, want its answer", got.status, got.body)
	}
}

// TestAnAbsentProviderIsAFaultOfOurs.
func TestAnAbsentProviderIsAFaultOfOurs(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	r := startBefore(t, gone.URL)
	for _, accept := range []string{"application/json", "text/event-stream", "text/plain"} {
		r.ask("hi", "Accept:"+accept).wants(t, 502, "upstream_error")
	}
}

// TestRedirectsAreNotFollowed: the key would go along.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var visits atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	t.Cleanup(trap.Close)
	r := start(t)
	for _, status := range []string{"301", "302", "303", "307", "308"} {
		r.ask("[[sim status="+status+" redirect="+trap.URL+"]]").wants(t, 502, "upstream_error")
	}
	if n := visits.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
}
