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

// turnsOf is what useChat sends for a conversation: user and assistant by turns,
// unless a text begins with its role.
func turnsOf(texts ...string) string {
	type part struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	type message struct {
		ID    string `json:"id"`
		Role  string `json:"role"`
		Parts []part `json:"parts"`
	}
	var all []message
	for i, text := range texts {
		role := []string{"user", "assistant"}[i%2]
		if said, ok := strings.CutPrefix(text, "system: "); ok {
			role, text = "system", said
		}
		all = append(all, message{fmt.Sprint("m", i), role, []part{{"text", text}}})
	}
	body, err := json.Marshal(map[string]any{"id": "chat-1", "messages": all, "trigger": "submit-message", "messageId": nil})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func hookSays(text string) string { return turnsOf(text) }

// hook is one of the two endpoints for the hooks of the Vercel AI SDK.
type hook struct {
	path string
	body func(text string) string
}

func hooks() []hook {
	return []hook{
		{"/api/chat", hookSays},
		{"/api/completion", func(text string) string {
			quoted, _ := json.Marshal(text) // of a string: it cannot fail
			return fmt.Sprintf(`{"prompt":%s}`, quoted)
		}},
	}
}

const uiMark = "X-Vercel-Ai-Ui-Message-Stream"

// TestHooksGetTheFramesThatTheyKnow holds the very bytes: the client checks each
// frame against a schema.
func TestHooksGetTheFramesThatTheyKnow(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, h := range hooks() {
		for _, c := range []struct{ query, words, finish string }{
			{"", "", "stop"}, {"?protocol=data", "", "stop"}, {"", " finish=length", "length"}, {"", " usage=missing", "stop"}, {"", " fault=no_done", "stop"},
		} {
			got := r.post(h.path+c.query, h.body(`[[sim text="One \"two\"\nthree"`+c.words+`]]`), "Accept: */*")
			got.wants200(t, eventForm)
			want := ": open\n\n" +
				`data: {"type":"start","messageId":"` + got.header.Get("X-Request-Id") + `"}` + "\n\n" +
				`data: {"type":"start-step"}` + "\n\n" +
				`data: {"type":"text-start","id":"0"}` + "\n\n" +
				`data: {"type":"text-delta","id":"0","delta":"One"}` + "\n\n" +
				`data: {"type":"text-delta","id":"0","delta":" \"two\"\nthree"}` + "\n\n" +
				`data: {"type":"text-end","id":"0"}` + "\n\n" +
				`data: {"type":"finish-step"}` + "\n\n" +
				`data: {"type":"finish","finishReason":"` + c.finish + `"}` + "\n\n" +
				"data: [DONE]\n\n"
			if diff := cmp.Diff(want, got.body); diff != "" {
				t.Errorf("%s%s%s (-want +got):\n%s", h.path, c.query, c.words, diff)
			}
			for name, want := range map[string]string{uiMark: "v1", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"} {
				if value := got.header.Get(name); value != want {
					t.Errorf("%s: %s is %q, want %q", h.path, name, value, want)
				}
			}
			got.header.Del(uiMark)
			onlyOurs(t, h.path, got)
		}
	}
}

// TestHooksGetPlainTextIfTheyAskForIt: the text and nothing else; what breaks is cut.
func TestHooksGetPlainTextIfTheyAskForIt(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, h := range hooks() {
		got := r.post(h.path+"?protocol=text", h.body(says("One, \"two\"\n— ünï😀")))
		got.wants200(t, plainForm)
		if got.body != "One, \"two\"\n— ünï😀" || got.header.Get(uiMark) != "" {
			t.Errorf("%s: got %q, marked %q", h.path, got.body, got.header.Get(uiMark))
		}
		cut := r.post(h.path+"?protocol=text", h.body(`[[sim text="one two three" fault=cut]]`))
		if cut.err == nil || cut.body != "one two" {
			t.Errorf("%s: a broken answer came to %q and ended with %v, want it cut", h.path, cut.body, cut.err)
		}
		for _, query := range []string{"?protocol=sse", "?protocol=TEXT", "?protocol=text%20"} {
			p := r.post(h.path+query, h.body("hi")).wants(t, 400, "invalid_field")
			if !strings.Contains(p.Error, "?protocol=text") {
				t.Errorf("%s%s: %q does not say what there is", h.path, query, p.Error)
			}
		}
	}
}

// TestHooksAreToldInTheStreamWhatBrokeIt, in the frame that makes useChat show it,
// and once.
func TestHooksAreToldInTheStreamWhatBrokeIt(t *testing.T) {
	t.Parallel()
	r := startV1(t, "STREAM_IDLE_TIMEOUT=1s", "STREAM_MAX=2s")
	const stopped = "The AI provider stopped answering."
	for words, want := range map[string]string{
		"fault=cut": stopped, "fault=cut at=-1": stopped, "fault=eof": stopped, "fault=malformed": stopped, "fault=error_chunk leak=error": stopped, "fault=error_event": stopped,
		"fault=hang_mid": stopped, "fault=never_ending pace=20ms": stopped, "fault=endless_comments amount=4MiB": stopped,
		"leak=whole":            issue,
		"fault=reasoning_only":  "The output limit was reached before any text was written. Please ask for something shorter.",
		"finish=content_filter": "The answer was withheld by the AI provider's content filter. Please rephrase your prompt.",
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			for _, h := range hooks() {
				got := r.in(t).post(h.path, h.body(`[[sim text="one two three" `+words+`]]`))
				got.wants200(t, eventForm)
				nothingOfTheirs(t, h.path, got.body)
				all := got.frames(t)
				if n := strings.Count(got.body, `"type":"error"`); n != 1 || len(all) < 2 || all[len(all)-1].data != "[DONE]" {
					t.Fatalf("%s: %d errors, want one before [DONE]:\n%s", h.path, n, got.body)
				}
				last := object(t, all[len(all)-2].data)
				if diff := cmp.Diff(jsonObject{"type": "error", "errorText": want}, last); diff != "" {
					t.Errorf("%s: the last frame (-want +got):\n%s", h.path, diff)
				}
				if strings.Contains(got.body, `"type":"finish"`) {
					t.Errorf("%s: a broken answer finishes:\n%s", h.path, got.body)
				}
			}
		})
	}
}

// TestHooksAreRefusedWithAStatusBeforeTheStream, in the text API's shape: useChat
// shows the body.
func TestHooksAreRefusedWithAStatusBeforeTheStream(t *testing.T) {
	t.Parallel()
	r := startV1(t, "UPSTREAM_TIMEOUT=1s")
	for _, h := range hooks() {
		for words, want := range map[string]refusal{
			"status=400": {status: 502, code: "upstream_error"}, "status=401": {status: 502, code: "upstream_error"}, "status=500": {status: 502, code: "upstream_error"},
			"quota": {status: 503, code: "unavailable"}, "status=429 retry_after=20": {status: 429, code: "rate_limited"}, "fault=hang_before": {status: 504, code: "upstream_timeout"},
		} {
			got := r.post(h.path, h.body("[[sim "+words+"]]"))
			wantsRefusal(t, words, got, got.wants(t, want.status, want.code))
			nothingOfTheirs(t, h.path+" "+words, got.body)
		}
		r.untouched(func() {
			got := r.post(h.path, h.body("hi"), "Authorization:")
			wantsRefusal(t, h.path, got, got.wants(t, 401, "token_missing"))
			r.post(h.path, h.body("hi"), "Authorization: Bearer x").wants(t, 403, "token_invalid")
			r.post(h.path, h.body("hi"), "Origin: https://evil.example").wants(t, 403, "origin_not_allowed")
			r.post(h.path, "{", "").wants(t, 400, "invalid_json")
			r.post(h.path, h.body("hi"), "Content-Type: text/plain").wants(t, 415, "unsupported_media_type")
			r.post(h.path, h.body(strings.Repeat("a", 301))).wants(t, 400, "prompt_too_long")
			r.post(h.path, h.body("<b></b>")).wants(t, 400, "prompt_empty")
			r.post(h.path, `{"model":"gpt-6-sol",`+h.body("hi")[1:]).wants(t, 400, "unknown_field")
			if got := r.read(h.path); got.status != 405 || got.header.Get("Allow") != "POST" {
				t.Errorf("GET %s: got %d, Allow %q", h.path, got.status, got.header.Get("Allow"))
			}
		})
	}
}

// TestTurnsReachTheProviderInTheirOrder, under the settings of the server.
func TestTurnsReachTheProviderInTheirOrder(t *testing.T) {
	t.Parallel()
	r := startV1(t, "SYSTEM_PROMPT=Be brief.", "MAX_OUTPUT_TOKENS_V1=99", "TEMPERATURE=0.5")
	say := func(role, text string) any { return jsonObject{"role": role, "content": text} }
	want := func(turns ...any) jsonObject {
		return jsonObject{
			"model": luna, "max_completion_tokens": 99.0, "reasoning_effort": "none", "service_tier": "default", "store": false, "temperature": 0.5,
			"stream": true, "stream_options": jsonObject{"include_usage": true}, "messages": append([]any{say("system", "Be brief.")}, turns...),
		}
	}
	for name, c := range map[string]struct {
		path, body string
		want       jsonObject
	}{
		"a completion":      {"/api/completion", `{"prompt":" Tell <b>me</b> "}`, want(say("user", "Tell me"))},
		"a first turn":      {"/api/chat", turnsOf("hi"), want(say("user", "hi"))},
		"three turns":       {"/api/chat", turnsOf("one", "  <b>two</b>  ", "th<i>ree</i> "), want(say("user", "one"), say("assistant", "  <b>two</b>  "), say("user", "three"))},
		"a page's own":      {"/api/chat", turnsOf("system: Talk like a pirate.", "", "hi"), want(say("system", "Talk like a pirate."), say("user", "hi"))},
		"an answer cut off": {"/api/chat", turnsOf("one", "", "two"), want(say("user", "one"), say("user", "two"))},
		"what was refused":  {"/api/chat", turnsOf(strings.Repeat("a", 301), "", "two"), want(say("user", "two"))},
		"steps and reasoning": {"/api/chat", `{"messages":[{"role":"user","parts":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
			{"id":"2","role":"assistant","parts":[{"type":"step-start"},{"type":"reasoning","text":"hm"},{"type":"text","text":"c","state":"done"},{"type":"text","text":"d"}]},
			{"id":"3","role":"user","parts":[{"type":"text","text":"e"}]}]}`, want(say("user", "a\nb"), say("assistant", "cd"), say("user", "e"))},
	} {
		got := r.post(c.path, c.body)
		got.wants200(t, eventForm)
		if diff := cmp.Diff(c.want, without(lastCall(t, r), "safety_identifier")); diff != "" {
			t.Errorf("%s: what went to OpenAI (-want +got):\n%s", name, diff)
		}
	}
}

// TestConversationsAreBounded: characters of each of the user's messages as on the
// text API, and everything together.
func TestConversationsAreBounded(t *testing.T) {
	t.Parallel()
	r := startV1(t, "MAX_PROMPT_CHARS=10", plansAre(t, `{"long": {"prompt_chars": 20}, "strict": {"system_messages": false}}`))
	r.post("/api/chat", turnsOf("0123456789", strings.Repeat("a", 2000), "0123456789")).wants200(t, eventForm)
	r.post("/api/chat", turnsOf(strings.Repeat("é", 20)), onPlan(t, "ana", "long")).wants200(t, eventForm)
	r.post("/api/chat", turnsOf("system: Be brief.", "", "hi")).wants200(t, eventForm)
	many := make([]string, 201)
	for i := range many {
		many[i] = "x"
	}
	r.untouched(func() {
		p := r.post("/api/chat", turnsOf("one", "two", "0123456789a")).wants(t, 400, "prompt_too_long")
		if p.Error != "Prompt is too long. Please keep it under 10 characters." {
			t.Errorf("got the words %q", p.Error)
		}
		r.post("/api/chat", turnsOf(strings.Repeat("é", 21)), onPlan(t, "ana", "long")).wants(t, 400, "prompt_too_long")
		r.post("/api/chat", turnsOf("one", strings.Repeat("a", 32_001), "two")).wants(t, 400, "invalid_field")
		r.post("/api/chat", turnsOf("a", strings.Repeat("a", 32_000), "b", strings.Repeat("a", 32_000), "c", strings.Repeat("a", 32_000), "d", strings.Repeat("a", 32_000), "e")).wants(t, 400, "prompt_too_long")
		r.post("/api/chat", turnsOf(many...)).wants(t, 400, "invalid_field")
		r.post("/api/chat", turnsOf("one", "two")).wants(t, 400, "invalid_prompt") // the assistant last
		r.post("/api/chat", `{"messages":[]}`).wants(t, 400, "invalid_prompt")
		r.post("/api/chat", `{"id":"1"}`).wants(t, 400, "invalid_prompt")
		r.post("/api/chat", turnsOf("system: Be brief.", "", "hi"), onPlan(t, "ana", "strict")).wants(t, 400, "invalid_field")
		for _, part := range []string{`{"type":"file","mediaType":"image/png","url":"https://example.com/a.png"}`, `{"type":"tool-weather","toolCallId":"1"}`, `{"type":"data-x","data":1}`} {
			p := r.post("/api/chat", `{"messages":[{"role":"user","parts":[{"type":"text","text":"hi"},`+part+`]}]}`).wants(t, 400, "invalid_field")
			if !strings.Contains(p.Error, "messages[0].parts[1]") {
				t.Errorf("%q does not name the place", p.Error)
			}
		}
	})
}

// TestHooksAreFlushedWordByWord: what was said is here while the provider is silent.
func TestHooksAreFlushedWordByWord(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for query, want := range map[string]string{"": `"delta":" two"}` + "\n\n", "?protocol=text": "one two"} {
		resp, err := r.web.Do(r.request("/api/chat"+query, hookSays(`[[sim fault=hang_mid text="one two three"]]`)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%q: %d", query, resp.StatusCode)
		}
		if got := readUntil(resp.Body, want); !strings.HasSuffix(got, want) {
			t.Errorf("%q: got %q, want it up to %q", query, got, want)
		}
	}
}

// readUntil reads byte by byte until the text ends with want, or there is no more.
func readUntil(body io.Reader, want string) string {
	var got strings.Builder
	one := make([]byte, 1)
	for !strings.HasSuffix(got.String(), want) {
		if _, err := io.ReadFull(body, one); err != nil {
			break
		}
		got.Write(one)
	}
	return got.String()
}
