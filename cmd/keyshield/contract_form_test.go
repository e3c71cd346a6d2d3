package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// endpoint is one of the two names of the text API.
type endpoint struct{ path, prompt, answer string }

func endpoints() []endpoint {
	return []endpoint{{"/api/generate-text", "userPrompt", "result"}, {"/api/ai/chat", "message", "text"}}
}

// body asks with "stream" as it is written, or without it.
func (e endpoint) body(prompt, stream string) string {
	quoted, err := json.Marshal(prompt)
	if err != nil {
		panic(err)
	}
	if stream == "" {
		return fmt.Sprintf(`{%q: %s}`, e.prompt, quoted)
	}
	return fmt.Sprintf(`{%q: %s, "stream": %s}`, e.prompt, quoted, stream)
}

// says makes the simulator say exactly this.
func says(text string) string { return fmt.Sprintf("[[sim text=%q]]", text) }

const (
	jsonForm  = "application/json; charset=utf-8"
	eventForm = "text/event-stream; charset=utf-8"
	plainForm = "text/plain; charset=utf-8"
)

// wants200 checks for success in this form.
func (r reply) wants200(t testing.TB, form string) {
	t.Helper()
	if r.err != nil || r.status != http.StatusOK || r.header.Get("Content-Type") != form {
		t.Fatalf("got %d %s (%v): %s\nwant 200 %s", r.status, r.header.Get("Content-Type"), r.err, r.body, form)
	}
}

func TestStreamAndAcceptDecideTheForm(t *testing.T) {
	t.Parallel()
	r := start(t)
	const axios = "application/json, text/plain, */*"
	for _, c := range []struct{ stream, accept, want string }{
		{"", "", jsonForm},
		{"", "*/*", jsonForm},
		{"", axios, jsonForm},
		{"", "application/json", jsonForm},
		{"", "text/html, application/xhtml+xml, */*;q=0.8", jsonForm},
		{"", "text/plain, */*", jsonForm},
		{"", "text/event-stream", eventForm},
		{"", "Text/Event-Stream; q=0.9", eventForm},
		{"", "application/json, text/event-stream", eventForm},
		{"", "text/plain, text/event-stream", eventForm},
		{"", "text/plain", plainForm},
		{"", "text/plain; charset=utf-8", plainForm},
		{"", "TEXT/PLAIN;q=1", plainForm},
		{"true", "", eventForm},
		{"true", "*/*", eventForm},
		{"true", axios, eventForm},
		{"true", "application/json", eventForm},
		{"true", "text/event-stream", eventForm},
		{"true", "text/plain", plainForm},
		{"true", "text/plain, text/event-stream", eventForm},
		{"false", "", jsonForm},
		{"false", axios, jsonForm},
		{"false", "text/event-stream", jsonForm},
		{"false", "text/plain", jsonForm},
	} {
		for _, e := range endpoints() {
			got := r.post(e.path, e.body(says("ready when you are"), c.stream), "Accept:"+c.accept)
			if form := got.header.Get("Content-Type"); got.status != http.StatusOK || form != c.want {
				t.Errorf("%s, stream %q, Accept %q: got %d %s, want %s\n%s", e.path, c.stream, c.accept, got.status, form, c.want, got.body)
			}
			if got.err != nil || !strings.Contains(strings.ReplaceAll(got.body, `"}`+"\n\n"+`data: {"delta":"`, ""), "ready when you are") {
				t.Errorf("%s, stream %q, Accept %q: the text did not come (%v):\n%s", e.path, c.stream, c.accept, got.err, got.body)
			}
		}
	}
}

// TestTheAcceptHeaderMayComeInPieces: RFC 9110 §5.3 lets a list come in several
// fields.
func TestTheAcceptHeaderMayComeInPieces(t *testing.T) {
	t.Parallel()
	r := start(t)
	req := r.request("/api/ai/chat", `{"message": "hi"}`)
	req.Header["Accept"] = []string{"text/plain", "application/json"}
	r.do(req).wants200(t, jsonForm)
	req = r.request("/api/ai/chat", `{"message": "hi"}`)
	req.Header["Accept"] = []string{"application/json", "text/event-stream"}
	r.do(req).wants200(t, eventForm)
}

func TestAJSONAnswerHoldsTheTextAndNothingElse(t *testing.T) {
	t.Parallel()
	r := start(t)
	const said = "One, \"two\" three < four > two &lt;b&gt;\n\t— ünï😀 \\ /"
	for _, e := range endpoints() {
		for _, words := range []string{"", " escape", " usage=missing", " model=another"} {
			got := r.post(e.path, e.body(fmt.Sprintf("[[sim text=%q%s]]", said, words), ""))
			got.wants200(t, jsonForm)
			var answer map[string]any
			if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
				t.Fatalf("%v: %s", err, got.body)
			}
			if diff := cmp.Diff(map[string]any{e.answer: said}, answer); diff != "" {
				t.Errorf("%s%s: want only the text, and the very text (-want +got):\n%s", e.path, words, diff)
			}
		}
	}
}

// TestAStreamIsFramedAsPromised holds the very bytes: front ends parse them.
func TestAStreamIsFramedAsPromised(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, e := range endpoints() {
		for _, c := range []struct{ words, finish string }{{"", "stop"}, {" finish=length", "length"}, {" usage=missing", "stop"}, {" usage=null", "stop"}, {" fault=no_done", "stop"}} {
			got := r.post(e.path, e.body(`[[sim text="One \"two\"\nthree"`+c.words+`]]`, "true"), "Accept-Encoding: gzip, br")
			got.wants200(t, eventForm)
			want := ": open\n\n" +
				`data: {"delta":"One"}` + "\n\n" +
				`data: {"delta":" \"two\"\nthree"}` + "\n\n" +
				"event: done\n" +
				`data: {"finish_reason":"` + c.finish + `","request_id":"` + got.header.Get("X-Request-Id") + `"}` + "\n\n"
			if diff := cmp.Diff(want, got.body); diff != "" {
				t.Errorf("%s%s (-want +got):\n%s", e.path, c.words, diff)
			}
		}
	}
}

func TestAStreamHasTheHeadersThatKeepItFlowing(t *testing.T) {
	t.Parallel()
	r := start(t)
	for accept, form := range map[string]string{"text/event-stream": eventForm, "text/plain": plainForm} {
		got := r.ask("hi", "Accept:"+accept, "Accept-Encoding: gzip")
		got.wants200(t, form)
		for name, want := range map[string]string{
			"Cache-Control":     "no-cache, no-transform",
			"X-Accel-Buffering": "no",
			"Content-Encoding":  "",
			"Content-Length":    "",
		} {
			if value := got.header.Get(name); value != want {
				t.Errorf("%s: %s is %q, want %q", accept, name, value, want)
			}
		}
	}
}

// TestAStreamHasNothingThatABrowserWouldResumeBy: with an id: or retry: a browser
// comes back by itself and pays twice; "[DONE]" is not JSON and is OpenAI's.
func TestAStreamHasNothingThatABrowserWouldResumeBy(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, words := range []string{"", "fault=cut", "fault=error_event", "fault=no_done"} {
		got := r.ask("[[sim "+words+"]] Tell me a story", "Accept: text/event-stream")
		for line := range strings.Lines(got.body) {
			field, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
			switch field {
			case "", "data", "event":
			default:
				t.Errorf("%s: the stream has the line %q", words, line)
			}
		}
		if strings.Contains(got.body, "[DONE]") {
			t.Errorf("%s: the stream has a [DONE]", words)
		}
	}
}

func TestPlainTextIsTheTextAlone(t *testing.T) {
	t.Parallel()
	r := start(t)
	const said = "One, \"two\" three < four > two &lt;b&gt;\n\t— ünï😀"
	for _, e := range endpoints() {
		for _, words := range []string{"", " escape", " fault=no_done"} {
			got := r.post(e.path, e.body(fmt.Sprintf("[[sim text=%q%s]]", said, words), ""), "Accept: text/plain")
			got.wants200(t, plainForm)
			if diff := cmp.Diff(said, got.body); diff != "" {
				t.Errorf("%s%s (-want +got):\n%s", e.path, words, diff)
			}
		}
	}
}

// TestWordsLeaveAsTheyCome: the provider falls silent in the middle, and what it
// has said is here nevertheless.
func TestWordsLeaveAsTheyCome(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, c := range []struct{ accept, at, want string }{
		{"text/event-stream", "-1", ": open\n\n"},
		{"text/event-stream", "1", ": open\n\ndata: {\"delta\":\"one\"}\n\n"},
		{"text/event-stream", "2", ": open\n\ndata: {\"delta\":\"one\"}\n\ndata: {\"delta\":\" two\"}\n\n"},
		{"text/plain", "2", "one two"},
	} {
		resp, err := r.web.Do(r.request("/api/generate-text", promptBody(`[[sim fault=hang_mid at=`+c.at+` text="one two three"]]`), "Accept:"+c.accept))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got := make([]byte, len(c.want))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != c.want {
			t.Errorf("%s at %s: got %q (%v), want %q", c.accept, c.at, got, err, c.want)
		}
	}
}

// TestNothingOfTheProvidersAnswerPasses but the text.
func TestNothingOfTheProvidersAnswerPasses(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, accept := range []string{"application/json", "text/event-stream", "text/plain"} {
		got := r.ask(says("just this")+"[[simple]]", "Accept:"+accept)
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", accept, got.status, got.body)
		}
		onlyOurs(t, accept, got)
		for _, word := range []string{"chatcmpl", "gpt-", "model", "usage", "tokens", "fp_", "logprobs", "role", "assistant", "choices", "created", "tier", "simulated"} {
			if strings.Contains(got.body, word) {
				t.Errorf("%s: the answer has %q:\n%s", accept, word, got.body)
			}
		}
	}
}

// onlyOurs checks that every header of an answer is one that we write: an
// allow-list, for nobody knows what a provider will send tomorrow.
func onlyOurs(t testing.TB, what string, got reply) {
	t.Helper()
	ours := " Access-Control-Allow-Origin Access-Control-Expose-Headers Allow Cache-Control Connection Content-Length Content-Security-Policy " +
		"Content-Type Cross-Origin-Resource-Policy Date Permissions-Policy Ratelimit-Limit Ratelimit-Policy Ratelimit-Remaining Ratelimit-Reset " +
		"Referrer-Policy Retry-After Strict-Transport-Security Vary Www-Authenticate X-Accel-Buffering X-Content-Type-Options X-Frame-Options " +
		"X-Request-Id X-Should-Retry "
	for name, values := range got.header {
		if !strings.Contains(ours, " "+name+" ") {
			t.Errorf("%s: the answer has the header %s: %s", what, name, values)
		}
		if len(values) != 1 && name != "Vary" {
			t.Errorf("%s: the answer has %s %d times", what, name, len(values))
		}
	}
	if id := got.header.Get("X-Request-Id"); len(id) != 26 {
		t.Errorf("%s: the request id %q is not one of ours", what, id)
	}
}
