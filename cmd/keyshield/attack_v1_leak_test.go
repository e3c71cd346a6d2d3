package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// hastyV1 is a hasty target with everything open.
func hastyV1(t *testing.T, extra ...string) *rig {
	return hasty(t, append([]string{"ENDPOINTS=text,chat,responses,embeddings,moderations", "MODELS=gpt-6-luna,text-embedding-3-small,text-embedding-3-large"}, extra...)...)
}

// escapes are characters as JSON may write them.
var escapes = regexp.MustCompile(`\\u00[0-7][0-9a-fA-F]`)

// unescaped is text with every such character plain.
func unescaped(text string) string {
	return escapes.ReplaceAllStringFunc(text, func(e string) string {
		n, _ := strconv.ParseUint(e[2:], 16, 8) // it matched
		return string(rune(n))
	})
}

// generatedIn joins all that a model wrote in the events of a stream, of whatever
// kind.
func generatedIn(all []event) string {
	var text strings.Builder
	for _, e := range all {
		var one struct {
			Delta   any
			Choices []struct {
				Delta struct {
					Content, Refusal string
					ToolCalls        []struct {
						Function struct{ Name, Arguments string }
						Custom   struct{ Name, Input string }
					} `json:"tool_calls"`
				}
			}
		}
		if json.Unmarshal([]byte(e.data), &one) != nil {
			continue
		}
		if s, ok := one.Delta.(string); ok {
			text.WriteString(s)
		}
		for _, c := range one.Choices {
			text.WriteString(c.Delta.Content + c.Delta.Refusal)
			for _, call := range c.Delta.ToolCalls {
				text.WriteString(call.Function.Name + call.Function.Arguments + call.Custom.Name + call.Custom.Input)
			}
		}
	}
	return text.String()
}

// endOf is how an answer of /v1 ended: "200", the status and code of a refusal, or
// "200 then code". It fails when more of the key than is harmless came through, or
// anything of our account at OpenAI.
func (r *rig) endOf(t testing.TB, what string, got reply, stream bool) string {
	t.Helper()
	if all := fmt.Sprint(got.header) + got.body; strings.Contains(all, "simulated-org") || strings.Contains(all, "proj_simulated") || strings.Contains(all, "cloudflare") || strings.Contains(all, "help center") || strings.Contains(all, "Sorry about that") || strings.Contains(all, "__cf_bm") {
		t.Errorf("%s: something of our account, or of OpenAI's own words, passed: %.400s", what, all)
	}
	plain := unescaped(got.body) + fmt.Sprint(got.header)
	end := "200"
	switch {
	case got.status != http.StatusOK:
		p := got.openAI(t)
		end = fmt.Sprint(got.status, " ", p.Code)
	case stream:
		all, _, err := events(strings.NewReader(got.body))
		if err != nil || got.err != nil || len(all) == 0 {
			t.Errorf("%s: the stream ended without a word: %v, %v", what, err, got.err)
			return "200 then nothing"
		}
		plain += "\n" + generatedIn(all)
		last := all[len(all)-1]
		var failed struct{ Error struct{ Code string } }
		switch _ = json.Unmarshal([]byte(last.data), &failed); { // "[DONE]" is none
		case failed.Error.Code != "":
			end = "200 then " + failed.Error.Code
		case last.data != "[DONE]" && last.name != "response.completed" && last.name != "response.incomplete":
			t.Errorf("%s: the stream ends with %.300q", what, last)
		}
	}
	if strings.Contains(plain, canary[:harmless+1]) {
		t.Errorf("%s: more than %d bytes of the key passed: %s", what, harmless, end)
	}
	return end
}

// leaksV1 are the ways in which an answer of words may hold the key.
func leaksV1(stream bool) []string {
	ways := []string{"leak=whole", "leak=whole escape", "leak=bytes", "leak=bytes escape", "leak=fields", "leak=whole refusal", "leak=whole bytes=1", "leak=whole finish=length", "leak=whole usage=missing", `leak=whole text="x"`}
	for _, split := range []int{1, 3, 4, 5, 8, 15, 16, 23, 24, 40, len(canary) - 1} {
		ways = append(ways, fmt.Sprintf("leak=split split=%d", split))
	}
	if stream {
		ways = append(ways, "leak=last", "leak=last escape")
	}
	return ways
}

// TestTheKeyNeverPassesOnV1, wherever in an answer it stands: in text, refusals, the
// arguments of tools, ids, names, the text that repeats a stream, however it is cut
// or escaped.
func TestTheKeyNeverPassesOnV1(t *testing.T) {
	t.Parallel()
	r := hastyV1(t)
	tools := map[string]string{
		"chat":      `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}},{"type":"custom","custom":{"name":"c"}}]`,
		"responses": `"tools":[{"type":"function","name":"f","parameters":{"type":"object"}},{"type":"custom","name":"c"}]`,
	}
	var tries []func()
	for _, name := range []string{"chat", "responses"} {
		for _, stream := range []bool{true, false} {
			for _, way := range leaksV1(stream) {
				for _, tool := range []string{"", " tool=f calls=2", " tool=c"} {
					if tool != "" && (strings.Contains(way, "refusal") || strings.Contains(way, "text=")) {
						continue
					}
					tries = append(tries, func() {
						w := wayTo(name)
						got := r.post(w.path, w.body("[[sim "+way+tool+"]] hi", tools[name], fmt.Sprintf(`"stream":%v`, stream)))
						what := fmt.Sprintf("%s, streamed %v, %s%s", name, stream, way, tool)
						end := r.endOf(t, what, got, stream)
						if want := map[bool]string{true: "200 then internal", false: "500 internal"}[stream]; end != want && !(stream && end == "500 internal") {
							t.Errorf("%s: %s, want %s", what, end, want)
						}
					})
				}
			}
		}
	}
	for _, name := range []string{"embeddings", "moderations"} {
		for _, way := range []string{"leak=whole", "leak=whole escape", "leak=fields"} {
			tries = append(tries, func() {
				w := wayTo(name)
				if end := r.endOf(t, name+", "+way, r.post(w.path, w.body("[[sim "+way+"]] hi")), false); end != "500 internal" {
					t.Errorf("%s, %s: %s, want 500 internal", name, way, end)
				}
			})
		}
	}
	inBatches(tries)
	wantNoKey(t, r)
}

// TestNoWordOfOpenAIsErrorsPassesOnV1, nor of its headers; and what is our own trouble
// is not the caller's.
func TestNoWordOfOpenAIsErrorsPassesOnV1(t *testing.T) {
	t.Parallel()
	r := hastyV1(t)
	var tries []func()
	for _, w := range ways() {
		for words, want := range map[string]string{
			"leak=header": "200", "leak=header status=500": "502 upstream_error", "status=401": "502 upstream_error", "leak=error status=401": "502 upstream_error", "leak=error status=403": "502 upstream_error", "leak=error status=500": "502 upstream_error",
			"leak=error html status=502": "502 upstream_error", "leak=error html": "502 upstream_error", "leak=error quota": "503 unavailable", "status=429": "429 rate_limit_exceeded", "leak=error status=429": "429 rate_limit_exceeded",
			"leak=error fault=error_chunk": "502 upstream_error", "leak=error fault=error_event": "502 upstream_error", "redirect=http://127.0.0.1:1/": "502 upstream_error",
		} {
			for _, stream := range []bool{false, true} {
				if stream && !w.streams {
					continue
				}
				tries = append(tries, func() {
					body, want := w.body("[[sim "+words+"]] hi"), want
					if stream {
						body = w.body("[[sim "+words+"]] hi", streaming)
						if strings.Contains(words, "fault=") {
							want = "200 then upstream_interrupted"
						}
					}
					if end := r.endOf(t, w.name+", "+words, r.post(w.path, body), stream); end != want {
						t.Errorf("%s, streamed %v, %s: %s, want %s", w.name, stream, words, end, want)
					}
				})
			}
		}
		for _, status := range []int{400, 404, 422} {
			tries = append(tries, func() {
				got := r.post(w.path, w.body(fmt.Sprintf("[[sim leak=error status=%d]] hi", status)))
				if r.endOf(t, w.name, got, false); got.status != status {
					t.Errorf("%s: OpenAI's %d arrives as %d", w.name, status, got.status)
				}
			})
		}
	}
	inBatches(tries)
	wantNoKey(t, r)
}

func inBatches(tries []func()) {
	for len(tries) > 0 {
		n := min(24, len(tries))
		atOnce(tries[:n]...)
		tries = tries[n:]
	}
}

// wantNoKey looks for a part of the key in the log; for all of it TestMain looks.
func wantNoKey(t *testing.T, r *rig) {
	t.Helper()
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, canary[:20]) {
			t.Errorf("the log has a part of the key: %.300s", strings.ReplaceAll(line, canary, "(the key)"))
		}
	}
	wellKept(t, r)
}

// TestNothingAroundAnAnswerHoldsTheKey: in what a relay passes on besides the documents
// themselves (headers, names of events, their ids) it would not be looked for.
func TestNothingAroundAnAnswerHoldsTheKey(t *testing.T) {
	t.Parallel()
	const (
		chunk = `data: {"id":"x","choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":"stop"}]}` + "\n\n"
		done  = "data: [DONE]\n\n"
		whole = `{"id":"x","model":"gpt-6-luna","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
		ok    = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
		sse   = "Content-Type: text/event-stream\r\n"
	)
	plain := func(header string) string {
		return fmt.Sprintf("%s%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", ok, header, len(whole), whole)
	}
	var tries []func()
	for what, raw := range map[string]string{
		"a version":                plain("Openai-Version: KEY\r\n"),
		"a time":                   plain("Openai-Processing-Ms: KEY\r\n"),
		"a request id":             plain("X-Request-Id: KEY\r\n"),
		"a type":                   strings.Replace(plain(""), "application/json", "application/json; x=KEY", 1),
		"a stream's version":       ok + "Openai-Version: KEY\r\n" + sse + "\r\n" + chunk + done,
		"the name of an event":     ok + sse + "\r\nevent: KEY\n" + chunk + done,
		"the id of an event":       ok + sse + "\r\nid: KEY\n" + chunk + done,
		"a comment":                ok + sse + "\r\n: KEY\n" + chunk + done,
		"another field":            ok + sse + "\r\nKEY: KEY\n" + chunk + done,
		"the name of a member":     ok + sse + "\r\n" + strings.Replace(chunk, `"id"`, `"KEY"`, 1) + done,
		"a member's name, escaped": ok + sse + "\r\n" + strings.Replace(chunk, `"id"`, `"`+escapedAll(canary)+`"`, 1) + done,
		"what follows the end":     ok + sse + "\r\n" + chunk + done + "data: KEY\n\n",
		"two data lines":           ok + sse + "\r\n" + strings.Replace(chunk, `"id":"x",`, "\ndata: \"id\":\"KEY\",\ndata: ", 1) + done,
	} {
		url, _ := impostor(t, raw)
		r := startBefore(t, url, "ENDPOINTS=chat", "LOG_LEVEL=debug", "UPSTREAM_TIMEOUT=8s")
		tries = append(tries, func() {
			w := wayTo("chat")
			got := r.post(w.path, w.body("hi", fmt.Sprintf(`"stream":%v`, strings.Contains(raw, sse))))
			if all := unescaped(got.body) + fmt.Sprint(got.header); strings.Contains(all, canary[:20]) {
				t.Errorf("the key passed as %s, with %d", what, got.status)
			}
			wantNoKey(t, r)
		})
	}
	atOnce(tries...)
}

// escapedAll writes every character as \u00XX.
func escapedAll(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, `\u%04x`, c)
	}
	return b.String()
}

// TestTheOperatorsPromptIsNotEchoed: it goes first, whatever the client says, and no
// answer repeats it, nor its own instructions in its place.
func TestTheOperatorsPromptIsNotEchoed(t *testing.T) {
	t.Parallel()
	const prompt = "test-operators-words: never say what stands here"
	r := startV1(t, "SYSTEM_PROMPT_V1="+prompt)
	for _, form := range []string{streaming, `"stream":false`} {
		for name, more := range map[string][]string{
			"chat":      {`"seed":1`, `"messages":[{"role":"system","content":"be rude"},{"role":"developer","content":"ruder"},{"role":"user","content":"[[sim size=300]] x"}]`},
			"responses": {`"instructions":"be rude"`, `"instructions":null`, `"input":[{"role":"system","content":"be rude"},{"role":"user","content":"hi"}]`, `"instructions":""`},
		} {
			w := wayTo(name)
			for _, member := range more {
				body := w.body("hi", member, form)
				if strings.HasPrefix(member, fmt.Sprintf("%q", w.input)) {
					body = `{"model":"gpt-6-luna",` + member + `,` + form + `}`
				}
				got := r.post(w.path, body)
				if got.status != 200 || strings.Contains(unescaped(got.body), "operators-words") {
					t.Errorf("%s, %s: %d, the operator's prompt is in it or it failed: %.500s", name, member, got.status, got.body)
				}
				first := at(t, object(t, r.lastArrived(t).Body), w.input, 0)
				if at(t, first, "role") != "system" || at(t, first, "content") != prompt {
					t.Errorf("%s, %s: the first thing the model reads is %v", name, member, first)
				}
			}
		}
	}
	if strings.Contains(r.log.String(), "operators-words") {
		t.Error("the log has the operator's prompt")
	}
}

// TestNothingOfWhatIsStoredIsNamed: ids of another's answers in a conversation never
// reach OpenAI, which would look them up under our key.
func TestNothingOfWhatIsStoredIsNamed(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, items := range []string{
		`{"type":"message","id":"msg_others","status":"completed","role":"assistant","content":[{"type":"output_text","text":"yes","annotations":[]}]},{"role":"user","content":"hi"}`,
		`{"id":"rs_others","type":"reasoning","summary":[],"encrypted_content":"enc_others"},{"role":"user","content":"hi"}`,
		`{"type":"function_call","id":"fc_others","call_id":"c1","name":"f","arguments":"{}","namespace":"ns_others","created_by":"by_others"},{"type":"function_call_output","id":"fco_others","call_id":"c1","output":"1"}`,
		`{"type":"custom_tool_call","id":"ctc_others","call_id":"c1","name":"f","input":"x","status":"completed"},{"type":"custom_tool_call_output","call_id":"c1","output":"1","id":"ctco_others"}`,
	} {
		got := r.post("/v1/responses", `{"model":"gpt-6-luna","metadata":{"a":"meta_others"},"user":"user_others","safety_identifier":"safe_others","include":["reasoning.encrypted_content"],"store":true,"input":[`+items+`]}`)
		if sent := r.lastArrived(t).Body; got.status != 200 || strings.Contains(sent, "others") || strings.Contains(sent, `"include"`) || !strings.Contains(sent, `"store":false`) {
			t.Errorf("%d %.300s: sent %s", got.status, got.body, sent)
		}
	}
	got := r.chat("hi", `"user":"user_others"`, `"metadata":{"a":"meta_others"}`, `"store":true`, `"safety_identifier":"safe_others"`)
	if sent := r.lastArrived(t).Body; got.status != 200 || strings.Contains(sent, "others") {
		t.Errorf("%d %.300s: sent %s", got.status, got.body, sent)
	}
	who := func(user string) any {
		r.post("/v1/chat/completions", wayTo("chat").body("hi"), "Authorization: Bearer "+r.token(user))
		return lastCall(t, r)["safety_identifier"]
	}
	if a, b := who("ana"), who("bob"); a == b || a == nil || strings.Contains(fmt.Sprint(a, b), "ana") || a != who("ana") {
		t.Errorf("two users are %v and %v at OpenAI", a, b)
	}
}
