package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// door is a way to ask, with the prompt where a directive belongs.
type door struct {
	name, path string
	body       func(prompt string) string
	speaks     bool
}

func doors() []door {
	return []door{
		{"chat", "/v1/chat/completions", func(p string) string { return completion(p, false) }, true},
		{"chat stream", "/v1/chat/completions", func(p string) string { return completion(p, true) }, true},
		{"response", "/v1/responses", func(p string) string { return response(p, "", false) }, true},
		{"response stream", "/v1/responses", func(p string) string { return response(p, "", true) }, true},
		{"response items", "/v1/responses", func(p string) string {
			return `{"model":"gpt-4o","input":[{"role":"user","content":[{"type":"input_text","text":` + quoted(p) + `}]},{"role":"developer","content":"brief"}]}`
		}, true},
		{"embedding", "/v1/embeddings", func(p string) string { return embedding(`"encoding_format":"base64","input":` + quoted(p)) }, false},
		{"embeddings", "/v1/embeddings", func(p string) string { return embedding(`"input":[` + quoted(p) + `,"x"]`) }, false},
		{"moderation", "/v1/moderations", func(p string) string { return `{"input":` + quoted(p) + `}` }, false},
	}
}

func eachDoor(t *testing.T, test func(t *testing.T, w *world, d door, ask func(words string) answer)) {
	t.Helper()
	for _, d := range doors() {
		t.Run(d.name, func(t *testing.T) {
			w := start(t, sim.Options{})
			test(t, w, d, func(words string) answer { return w.post(t, d.path, d.body("[[sim "+words+"]] hello there")) })
		})
	}
}

func TestEveryEndpointDeniesAsAsked(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world, d door, ask func(string) answer) {
		for words, want := range map[string]int{"status=400": 400, "status=401": 401, "status=404": 404, "status=429 retry_after=7": 429, "quota": 429, "status=500": 500, "status=503 leak=error": 503} {
			got := ask(words)
			e := envelope(t, got.body)
			if got.status != want || words == "quota" && e["code"] != "insufficient_quota" || strings.Contains(words, "retry") != (got.header.Get("Retry-After") == "7") {
				t.Errorf("%s: got %d %v", words, got.status, e)
			}
			if strings.Contains(got.body, key) != strings.Contains(words, "leak") {
				t.Errorf("%s: got %s, want the key in it only if asked", words, got.body)
			}
		}
		if got := ask("html"); got.status != 200 || !strings.Contains(got.body, "<html>") {
			t.Errorf("got %d %s, want a page", got.status, got.body)
		}
		if got := ask("redirect=http://127.0.0.1:1/"); got.status != 307 {
			t.Errorf("got %d, want a redirect", got.status)
		}
		if r := w.Report(); r.BillNano != 0 || r.Failed != 9 {
			t.Errorf("got %+v, want nine failed calls that cost nothing", r)
		}
	})
}

func TestEveryEndpointBreaksAsAsked(t *testing.T) {
	eachDoor(t, func(t *testing.T, _ *world, d door, ask func(string) answer) {
		stream := strings.HasSuffix(d.name, "stream")
		for _, c := range []struct {
			words  string
			broken bool
			right  func(body string) bool
		}{
			{"fault=cut", true, func(b string) bool { return len(b) > 0 }},
			{"fault=eof", false, func(b string) bool { return stream || !json.Valid([]byte(b)) }},
			{"fault=malformed", false, func(b string) bool { return stream || !json.Valid([]byte(b)) }},
			{"fault=error_chunk", false, func(b string) bool { return strings.Contains(b, "server_error") }},
			{"fault=error_event", false, func(b string) bool { return strings.Contains(b, "server_error") }},
			{"fault=endless_line amount=1MiB", true, func(b string) bool { return len(b) > 1<<20 && strings.HasSuffix(b, "aaa") }},
			{"fault=endless_comments amount=64KiB", true, func(b string) bool { return len(b) > 60<<10 }},
			{"fault=giant amount=1MiB", false, func(b string) bool { return len(b) > 1<<20 && (stream || json.Valid([]byte(b))) }},
			{"fault=reset", true, func(b string) bool { return b == "" }},
		} {
			got := ask(c.words)
			if (got.err != nil) != c.broken || !c.right(got.body) {
				t.Errorf("%s: got %d, %v, %.400q; broken connection wanted: %v", c.words, got.status, got.err, got.body, c.broken)
			}
		}
		for _, fault := range []sim.Fault{sim.NoDone, sim.ReasoningOnly, sim.NullContent, sim.InvalidUTF8, sim.Failed} {
			want := 200
			if !d.speaks || fault == sim.NoDone && !stream || fault == sim.Failed && d.path != "/v1/responses" {
				want = 400
			}
			if got := ask("fault=" + string(fault)); got.status != want {
				t.Errorf("%s: got %d %s, want %d: a fault happens or is refused", fault, got.status, got.body, want)
			}
		}
	})
}

func TestEveryEndpointLeaksAsAsked(t *testing.T) {
	eachDoor(t, func(t *testing.T, _ *world, d door, ask func(string) answer) {
		stream := strings.HasSuffix(d.name, "stream")
		for _, words := range []string{"leak=whole", "leak=bytes", "leak=fields", "leak=last", fmt.Sprintf("leak=split split=%d", len(key)/3)} {
			got := ask(words)
			if !d.speaks && words != "leak=whole" && words != "leak=fields" || words == "leak=last" && !stream {
				if got.status != 400 {
					t.Errorf("%s: got %d, want 400: there is no text to leak in", words, got.status)
				}
				continue
			}
			seen := got.body
			if stream && d.path == "/v1/chat/completions" { // put the pieces together
				seen += read(t, got, true).text()
			}
			if !strings.Contains(seen, key) {
				t.Errorf("%s: got %s, want the key in it", words, got.body)
			}
			if before, _, _ := strings.Cut(got.body, key); words == "leak=last" && !strings.Contains(before, "here.") {
				t.Errorf("%s: got %s, want the key only after the text", words, got.body)
			}
		}
		if got := ask("leak=header"); got.header.Get("X-Debug-Authorization") != "Bearer "+key || strings.Contains(got.body, key) {
			t.Errorf("got %v, want the key in a header alone", got.header)
		}
	})
}

func TestEveryEndpointSaysWhoseAccountItIs(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world, d door, ask func(string) answer) {
		for _, words := range []string{"", "status=500"} {
			header := ask(words).header
			for _, name := range []string{"Openai-Organization", "Openai-Project", "Openai-Version", "Openai-Processing-Ms", "X-Request-Id", "Set-Cookie",
				"X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens", "Cf-Ray", "Alt-Svc"} {
				if header.Get(name) == "" {
					t.Errorf("%q: got no header %s", words, name)
				}
			}
		}
		kept := w.Requests()
		if got := kept[0]; len(kept) != 2 || got.Path != d.path || got.Body != d.body("[[sim ]] hello there") || got.Header.Get("Authorization") != "Bearer "+key || got.Method != "POST" {
			t.Errorf("got %+v, want both requests as they came", kept)
		}
	})
}

func TestEveryEndpointNoticesDepartures(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world, d door, _ func(string) answer) {
		for _, fault := range []sim.Fault{sim.HangBefore, sim.HangMid, sim.NeverEnding} {
			w.control(t, "POST", "reset", "", http.StatusOK)
			ctx, leave := context.WithCancel(t.Context())
			r := w.request(ctx, t, d.body("[[sim fault="+string(fault)+"]] hello there"))
			r.URL.Path = d.path
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if resp, err := w.client.Do(r); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}()
			w.until(t, func(r sim.Report) bool { return r.Faults[string(fault)] > 0 })
			leave()
			<-ended
			if got := w.until(t, func(r sim.Report) bool { return r.Open == 0 }); got.Cancelled != 1 || got.OpenStreams != 0 {
				t.Errorf("%s: got %+v, want one cancellation", fault, got)
			}
		}
	})
}

// Both APIs that speak bill the same text alike.
func TestResponsesAreBilledLikeChats(t *testing.T) {
	for _, words := range []string{"size=40", "extra_tokens=16 size=40", "fault=cut at=3", "fault=error_chunk at=1", "fault=malformed", "fault=no_done",
		"status=500 bill size=40", "fault=giant amount=64KiB", "fault=endless_line at=4 amount=64KiB", "fault=reset"} {
		w := start(t, sim.Options{})
		prompt := "[[sim " + words + " chunks=5]] hello"
		var bills [2]sim.Report
		for i, body := range []string{completion(prompt, true), response(prompt, "", true)} {
			w.control(t, "POST", "reset", "", http.StatusOK)
			w.post(t, []string{"/v1/chat/completions", "/v1/responses"}[i], body)
			bills[i] = w.Report()
		}
		if a, b := bills[0], bills[1]; a.BillNano != b.BillNano || a.TokensOut != b.TokensOut || a.BillNano == 0 {
			t.Errorf("%s: got %d and %d nano-dollars, %d and %d tokens", words, a.BillNano, b.BillNano, a.TokensOut, b.TokensOut)
		}
	}
	w := start(t, sim.Options{})
	const tools = `,"instructions":"abcd","tools":[{"type":"custom","name":"a"}]`
	w.post(t, "/v1/responses", response("[[sim harsh text=ab]]", tools, false))
	// a token per byte, the tools twice, 4 a frame (two here) and 3
	if r, want := w.Report(), int64(21+4+2*len(`[{"type":"custom","name":"a"}]`)+2*4+3); r.TokensIn != want || r.TokensOut != 2 {
		t.Errorf("harsh: got %d + %d tokens, want %d + 2", r.TokensIn, r.TokensOut, want)
	}
}

func TestStructuredAnswersFit(t *testing.T) {
	w := start(t, sim.Options{})
	const (
		schema = `{"type":"object","properties":{"name":{"type":"string"},"tags":{"type":"array","items":{"enum":["x","y"]}}},"required":["name","tags"],"additionalProperties":false}`
		want   = `{"name":"simulated: who?","tags":["x"]}`
	)
	bothWays(t, func(t *testing.T, stream bool) {
		for _, c := range []struct{ prompt, chat, flat, want string }{
			{"who?", `{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":` + schema + `}}`, `{"type":"json_schema","name":"n","strict":true,"schema":` + schema + `}`, want},
			{"[[sim text=other]]", `{"type":"json_schema","json_schema":{"name":"n","schema":` + schema + `}}`, `{"type":"json_schema","name":"n","schema":` + schema + `}`, "other"},
			{"as JSON please", `{"type":"json_object"}`, `{"type":"json_object"}`, `{"answer":"Hello!`},
			{"who?", `{"type":"text"}`, `{"type":"text"}`, "Hello!"},
		} {
			body := strings.TrimSuffix(completion(c.prompt, stream), "}") + `,"response_format":` + c.chat + `}`
			got := read(t, w.do(t, w.request(t.Context(), t, body)), stream)
			if !strings.HasPrefix(got.text(), c.want) || stream && len(c.want) > 12 && len(got.pieces) < 3 {
				t.Errorf("chat: got %q, want %q in several pieces", got.pieces, c.want)
			}
			r, deltas := heard(t, w.post(t, "/v1/responses", response(c.prompt, `,"text":{"format":`+c.flat+`}`, stream)), stream)
			if !strings.HasPrefix(r.text(), c.want) || stream && strings.Join(deltas, "") != r.text() {
				t.Errorf("responses: got %q, want %q", r.text(), c.want)
			}
		}
	})
	for format, want := range map[string]string{
		`{"type":"json_object"}`:                                                                 "must contain the word 'json'",
		`{"type":"json_schema"}`:                                                                 "response_format.json_schema",
		`{"type":"json_schema","json_schema":{"schema":{}}}`:                                     "response_format.json_schema.name",
		`{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{}}}`:            "additionalProperties",
		`{"type":"json_schema","json_schema":{"name":"n","schema":{"oneOf":[{"type":"null"}]}}}`: "only simple schemas",
		`{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"null"},"title":"x"}}`: "response_format.json_schema.title",
		`{"type":"grammar"}`: "'grammar'",
		`"text"`:             "expected an object",
	} {
		got := w.do(t, w.request(t.Context(), t, strings.TrimSuffix(completion("hi", false), "}")+`,"response_format":`+format+`}`))
		if got.status != 400 || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d %s, want %q", format, got.status, got.body, want)
		}
	}
}

func TestModelsOfEveryEndpointAreListed(t *testing.T) {
	w := start(t, sim.Options{})
	list, err := client(w).ListModels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range list.Models {
		known[m.ID] = true
	}
	for _, id := range []string{"gpt-6-luna", "text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002", "omni-moderation-latest"} {
		if !known[id] {
			t.Errorf("%s is not listed", id)
		}
	}
	if got := w.do(t, w.request(t.Context(), t, `{"model":"text-embedding-3-small","messages":[{"role":"user","content":"hi"}]}`)); got.status != 404 || !strings.Contains(got.body, "not a chat model") {
		t.Errorf("got %d %s, want that it is not a chat model", got.status, got.body)
	}
}

// Whatever the body, each endpoint answers: a success with JSON, or a refusal
// that is OpenAI's envelope, and it bills nothing it refused.
func FuzzRequests(f *testing.F) {
	for _, d := range doors() {
		if !strings.HasSuffix(d.name, "stream") {
			f.Add(d.path, d.body("hello"))
		}
	}
	f.Add("/v1/responses", `{"model":"gpt-4o","input":[{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"x"}]`+responseTools+`}`)
	f.Add("/v1/chat/completions", `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"tool_choice":"required"`+chatTools+`}`)
	f.Add("/v1/embeddings", embedding(`"input":[[1],[2,3]],"dimensions":3`))
	f.Add("/v1/moderations", `{"input":[{"type":"text","text":"a"}]}`)
	f.Fuzz(func(t *testing.T, path, body string) {
		if !strings.HasPrefix(path, "/v1/") || strings.ContainsAny(path, " ?#%\r\n\x00") || len(body) > 1<<14 {
			return // the HTTP server's business, or slow
		}
		if path == "/v1/embeddings" && len(body) > 256 {
			return // slow: 3,072 numbers for each input
		}
		s := sim.New(sim.Options{Record: -1, NoDirectives: true})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://sim/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path = path
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		got, report := w.Body.String(), s.Report()
		switch {
		case w.Code != http.StatusOK:
			envelope(t, got)
			if report.BillNano != 0 || report.Refused != report.Calls {
				t.Fatalf("%s %q: got %d and %+v, want nothing billed", path, body, w.Code, report)
			}
		case strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream"):
			if !strings.HasSuffix(got, "\n\n") || report.Completed != 1 {
				t.Fatalf("%s %q: got %q, want a whole stream", path, body, got)
			}
		case !json.Valid([]byte(got)) || report.Completed != 1:
			t.Fatalf("%s %q: got %q, want JSON", path, body, got)
		}
	})
}

func TestPaceIsKeptOnResponses(t *testing.T) {
	bubble(t, sim.Options{}, func(t *testing.T, w *world) {
		began := time.Now()
		a := w.post(t, "/v1/responses", response("[[sim latency=3s chunks=4 pace=500ms]] hello", "", true))
		if _, deltas := heard(t, a, true); len(deltas) != 4 || time.Since(began) != 4500*time.Millisecond {
			t.Errorf("got %d pieces after %v, want four after 3s and three paces", len(deltas), time.Since(began))
		}
	})
}
