package wire_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/wire"
)

// fullResponses is a request with every member that goes on.
const fullResponses = `{
	"model": "gpt-6-luna", "instructions": "Be brief. ☂", "stream": true, "stream_options": {"include_obfuscation": false},
	"input": [
		{"role": "developer", "content": "Answer in Czech."},
		{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Počasí?"}, {"text": "In Brno.", "type": "input_text"}]},
		{"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "phase": "commentary",
		 "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}, {"type": "refusal", "refusal": "No."}]},
		{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "secret"}], "encrypted_content": "AAAA"},
		{"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1", "name": "weather", "arguments": "{\"town\":\"Brno\"}"},
		{"call_id": "call_2", "type": "custom_tool_call", "id": "ctc_1", "name": "shell", "input": "date"},
		{"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "rain"}]},
		{"type": "custom_tool_call_output", "call_id": "call_2", "output": "Sunday"}
	],
	"max_output_tokens": 400, "temperature": 0.7, "top_p": 1, "top_logprobs": 5, "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
	"tools": [
		{"type": "function", "name": "weather", "description": "Regen? ☂", "strict": true, "parameters": {"type": "object", "properties": {"town": {"type": "string", "description": "Město"}}}},
		{"type": "custom", "name": "shell", "description": "runs it", "format": {"type": "grammar", "syntax": "regex", "definition": "[a-z]+ž"}},
		{"name": "free", "format": {"type": "text"}, "type": "custom"}
	],
	"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}, {"type": "custom", "name": "shell"}]},
	"parallel_tool_calls": false,
	"text": {"verbosity": "low", "format": {"type": "json_schema", "name": "answer", "description": "Odpověď", "strict": true, "schema": {"type": "object", "title": "Věta"}}},
	"reasoning": {"effort": "low", "summary": null}, "truncation": "auto", "service_tier": "flex",
	"store": true, "background": false, "metadata": {"page": "1"}, "user": "ana", "safety_identifier": "ana@example.org", "max_tool_calls": 3
}`

// responsesSent is what keyshield decides in these tests.
var responsesSent = wire.Sent{OutputLimit: 300, ServiceTier: "default", Effort: "none", SafetyIdentifier: "u-1"}

func readResponses(t testing.TB, body string) *wire.ResponsesRequest {
	t.Helper()
	r, err := wire.ReadResponsesRequest([]byte(body))
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return r
}

// objectOf splits an object as any reader would.
func objectOf(t testing.TB, doc []byte) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
	return m
}

func TestResponsesRequestIsRead(t *testing.T) {
	r := readResponses(t, fullResponses)
	got := []any{r.Model, r.Stream, r.OutputLimit, r.ServiceTier, r.Effort, r.LogProbs, r.System}
	want := []any{"gpt-6-luna", true, int64(400), "flex", "low", true, true}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	bare := readResponses(t, `{"model":"m","input":"hi"}`)
	got = []any{bare.Model, bare.Stream, bare.OutputLimit, bare.ServiceTier, bare.Effort, bare.LogProbs, bare.System}
	if d := cmp.Diff([]any{"m", false, int64(0), "", "", false, false}, got); d != "" {
		t.Error(d)
	}
}

// What goes upstream is written from what was read, member by member.
func TestResponsesRequestIsWritten(t *testing.T) {
	body, schema := readResponses(t, fullResponses).Append([]byte("before"), responsesSent)
	tools := `[{"type":"function","name":"weather","description":"Regen? \u2602","parameters":{"type":"object","properties":{"town":{"type":"string","description":"M\u011bsto"}}},"strict":true},` +
		`{"type":"custom","name":"shell","description":"runs it","format":{"type":"grammar","syntax":"regex","definition":"[a-z]+\u017e"}},{"type":"custom","name":"free","format":{"type":"text"}}]`
	format := `{"type":"json_schema","name":"answer","description":"Odpov\u011b\u010f","schema":{"type":"object","title":"V\u011bta"},"strict":true}`
	want := `before{"model":"gpt-6-luna","max_output_tokens":300,"service_tier":"default","store":false,"safety_identifier":"u-1","reasoning":{"effort":"none"},` +
		`"stream":true,"stream_options":{"include_obfuscation":false},"temperature":0.7,"top_p":1,"top_logprobs":5,"include":["message.output_text.logprobs"],"truncation":"auto",` +
		`"tools":` + tools + `,"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"weather"},{"type":"custom","name":"shell"}]},"parallel_tool_calls":false,` +
		`"text":{"format":` + format + `,"verbosity":"low"},"instructions":"Be brief. ☂","input":[` +
		`{"type":"message","role":"developer","content":"Answer in Czech."},` +
		`{"type":"message","role":"user","content":[{"type":"input_text","text":"Počasí?"},{"type":"input_text","text":"In Brno."}]},` +
		`{"type":"message","role":"assistant","phase":"commentary","content":[{"type":"output_text","text":"I look."},{"type":"refusal","refusal":"No."}]},` +
		`{"type":"function_call","call_id":"call_1","name":"weather","arguments":"{\"town\":\"Brno\"}"},` +
		`{"type":"custom_tool_call","call_id":"call_2","name":"shell","input":"date"},` +
		`{"type":"function_call_output","call_id":"call_1","output":[{"type":"input_text","text":"rain"}]},` +
		`{"type":"custom_tool_call_output","call_id":"call_2","output":"Sunday"}]}`
	if d := cmp.Diff(want, string(body)); d != "" {
		t.Error(d)
	}
	if schema != len(tools)+len(format) {
		t.Errorf("schema bytes %d, want %d", schema, len(tools)+len(format))
	}

	body, schema = readResponses(t, `{"input":"hi","model":"m"}`).Append(nil, wire.Sent{OutputLimit: 16, ServiceTier: "default"})
	if want := `{"model":"m","max_output_tokens":16,"service_tier":"default","store":false,"input":"hi"}`; string(body) != want || schema != 0 {
		t.Errorf("got %s and %d, want %s", body, schema, want)
	}
}

// The answer repeats instructions, and a client must never read the operator's.
func TestSystemPromptComesFirstAndIsNotRepeated(t *testing.T) {
	by := responsesSent
	by.SystemPrompt = "Only \"recipes\"."
	first := `{"type":"message","role":"system","content":"Only \"recipes\"."}`
	for body, want := range map[string]string{
		`{"model":"m","input":"hi"}`:                                                             `[` + first + `,{"type":"message","role":"user","content":"hi"}]`,
		`{"model":"m","input":"hi","instructions":"Be rude."}`:                                   `[` + first + `,{"type":"message","role":"developer","content":"Be rude."},{"type":"message","role":"user","content":"hi"}]`,
		`{"model":"m","input":[{"role":"system","content":"No."}],"instructions":"Be rude."}`:    `[` + first + `,{"type":"message","role":"developer","content":"Be rude."},{"type":"message","role":"system","content":"No."}]`,
		`{"model":"m","input":[{"role":"user","content":[]},{"role":"user","content":"again"}]}`: `[` + first + `,{"type":"message","role":"user","content":[]},{"type":"message","role":"user","content":"again"}]`,
	} {
		out, _ := readResponses(t, body).Append(nil, by)
		m := objectOf(t, out)
		if string(m["input"]) != want {
			t.Errorf("input %s, want %s", m["input"], want)
		}
		if said, ok := m["instructions"]; ok {
			t.Errorf("instructions %s would be repeated to the client", said)
		}
	}
}

func TestSystemSaysWhoGivesOrders(t *testing.T) {
	for body, want := range map[string]bool{
		`{"model":"m","input":"hi","instructions":"x"}`:                                                                   true,
		`{"model":"m","input":"hi","instructions":""}`:                                                                    false,
		`{"model":"m","input":[{"role":"user","content":"x"},{"content":"x","role":"system"}]}`:                           true,
		`{"model":"m","input":[{"role":"developer","content":"x"}]}`:                                                      true,
		`{"model":"m","input":[{"role":"user","content":"x"},{"role":"assistant","content":"system"}]}`:                   false,
		`{"model":"m","input":[{"type":"reasoning","role":"system","summary":[]},{"role":"user","content":"developer"}]}`: false,
	} {
		if got := readResponses(t, body).System; got != want {
			t.Errorf("%t, want %t: %s", got, want, body)
		}
	}
}

func TestLogProbsAreSeenHoweverAsked(t *testing.T) {
	for more, want := range map[string]bool{
		`"top_logprobs":1`: true, `"top_logprobs":0`: false, `"include":["message.output_text.logprobs"]`: true,
		`"include":["message.output_text.logprobs"],"top_logprobs":0`: true,
		`"include":["reasoning.encrypted_content"]`:                   false, `"include":[]`: false, `"top_logprobs":null`: false,
	} {
		r := readResponses(t, `{"model":"m","input":"hi",`+more+`}`)
		body, _ := r.Append(nil, responsesSent)
		if asks := strings.Contains(string(body), "logprobs"); r.LogProbs != want || asks != want {
			t.Errorf("%s: seen %t, sent %t, want %t", more, r.LogProbs, asks, want)
		}
	}
}

// SDKs write null for what they leave out, also where another value is refused.
func TestNullIsAbsentInResponses(t *testing.T) {
	plain := readResponses(t, `{"model":"m","input":[{"role":"user","content":"hi"},{"type":"function_call","call_id":"c","name":"f","arguments":""},{"type":"function_call_output","call_id":"c","output":""}],"tools":[{"type":"function","name":"f"}],"text":{},"reasoning":{}}`)
	for _, name := range []string{"top_logprobs", "tool_choice", "user", "prompt_cache_options", "output_schema", "access_programs", "image"} {
		got := readResponses(t, `{"`+name+`":null,"model":"m","input":[{"type":null,"role":"user","content":"hi","id":null,"status":null},
			{"type":"function_call","call_id":"c","name":"f","arguments":"","id":null,"status":null,"namespace":null,"async":null,"created_by":null},
			{"type":"function_call_output","call_id":"c","output":"","created_by":null}],
			"tools":[{"type":"function","name":"f","defer_loading":null,"async":null}],
			"text":{"format":null},"reasoning":{"mode":null}}`)
		if !reflect.DeepEqual(got, plain) {
			t.Errorf("%s: null is not the same as absent", name)
		}
	}
}

// What an answer holds can be sent back as it came.
func TestOutputItemsCanBeSentBack(t *testing.T) {
	for _, echo := range []struct{ name, items, want string }{
		{"a message", `{"id":"msg_68af","type":"message","status":"completed","role":"assistant","phase":null,"content":[{"type":"output_text","text":"Hi.","annotations":[{"type":"url_citation","url":"https://example.org","title":"t","start_index":0,"end_index":1}],
			"logprobs":[{"token":"Hi","logprob":-0.1,"bytes":[72,105],"top_logprobs":[]}]}]}`,
			`{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi."}]}`},
		{"the final answer", `{"id":"msg_1","type":"message","status":"incomplete","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"","annotations":[]}]}`,
			`{"type":"message","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":""}]}`},
		{"a refusal", `{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"refusal","refusal":"I can't."}]}`,
			`{"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"I can't."}]}`},
		{"nothing said", `{"id":"msg_1","type":"message","status":"incomplete","role":"assistant","content":[]}`, `{"type":"message","role":"assistant","content":[]}`},
		{"reasoning and a call", `{"id":"rs_1","type":"reasoning","summary":[],"status":null,"content":[{"type":"reasoning_text","text":"x"}],"encrypted_content":"gAAAA","new":{"a":[1]}},
			{"id":"fc_1","type":"function_call","status":"completed","arguments":"{}","call_id":"call_1","name":"f","caller":{"type":"direct"},"namespace":"","async":false,"created_by":"x"},
			{"id":"fco_1","type":"function_call_output","status":"completed","call_id":"call_1","name":"f","namespace":"n","caller":{"type":"direct"},"created_by":"x","output":"1"}`,
			`{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"1"}`},
		{"a custom tool's call", `{"id":"ctc_1","type":"custom_tool_call","status":"completed","call_id":"call_1","input":"a\nb","name":"sh","caller":null},
			{"id":"x","type":"custom_tool_call_output","status":"completed","created_by":"x","caller":null,"call_id":"call_1","output":[{"type":"input_text","text":"1"}]}`,
			`{"type":"custom_tool_call","call_id":"call_1","name":"sh","input":"a\nb"},{"type":"custom_tool_call_output","call_id":"call_1","output":[{"type":"input_text","text":"1"}]}`},
		{"what the SDK's parser adds", `{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"{}","annotations":[],"parsed":{"a":1}}]},
			{"id":"fc_1","type":"function_call","status":"completed","arguments":"{}","call_id":"call_1","name":"f","parsed_arguments":null}`,
			`{"type":"message","role":"assistant","content":[{"type":"output_text","text":"{}"}]},{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"}`},
		{"a user's message as the API lists it", `{"id":"msg_1","type":"message","status":"completed","role":"user","phase":"commentary","content":[{"type":"input_text","text":"hi","prompt_cache_breakpoint":null}]}`,
			`{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}`},
	} {
		t.Run(echo.name, func(t *testing.T) {
			body, _ := readResponses(t, `{"model":"m","input":[`+echo.items+`]}`).Append(nil, responsesSent)
			if got := string(objectOf(t, body)["input"]); got != "["+echo.want+"]" {
				t.Errorf("got  %s\nwant [%s]", got, echo.want)
			}
		})
	}
}

// TestASummaryOfTheReasoningIsNotAskedFor, though @ai-sdk/openai asks for one with
// every effort: its cost has no known bound.
func TestASummaryOfTheReasoningIsNotAskedFor(t *testing.T) {
	for _, more := range []string{`"summary":"detailed"`, `"summary":"auto","generate_summary":"concise"`, `"summary":null,"generate_summary":null`} {
		r := readResponses(t, `{"model":"m","input":"hi","reasoning":{"effort":"low",`+more+`}}`)
		body, _ := r.Append(nil, wire.Sent{OutputLimit: 16, ServiceTier: "default", Effort: r.Effort})
		if got := string(objectOf(t, body)["reasoning"]); got != `{"effort":"low"}` {
			t.Errorf("%s: reasoning is sent as %s", more, got)
		}
	}
}

// A choice of tools means the same on both sides.
func TestToolChoicesAreWritten(t *testing.T) {
	for _, choice := range []string{
		`"none"`, `"auto"`, `"required"`, `{"type":"function","name":"f"}`, `{"type":"custom","name":"f"}`, `{"type":"allowed_tools","mode":"required","tools":[{"type":"custom","name":"f"}]}`,
	} {
		body, _ := readResponses(t, `{"model":"m","input":"hi","tool_choice":`+choice+`}`).Append(nil, responsesSent)
		if got := string(objectOf(t, body)["tool_choice"]); got != choice {
			t.Errorf("got %s, want %s", got, choice)
		}
	}
}

// TestTruncatingNeverDropsTheOperatorsPrompt: it would begin with what comes first.
func TestTruncatingNeverDropsTheOperatorsPrompt(t *testing.T) {
	r, err := wire.ReadResponsesRequest([]byte(`{"model":"gpt-6-luna","input":"hi","truncation":"auto"}`))
	if err != nil {
		t.Fatal(err)
	}
	for prompt, want := range map[string]bool{"": true, "Be kind.": false} {
		body, _ := r.Append(nil, wire.Sent{OutputLimit: 16, ServiceTier: "default", SystemPrompt: prompt})
		if got := strings.Contains(string(body), "truncation"); got != want {
			t.Errorf("with the prompt %q, truncation is sent: %t, want %t", prompt, got, want)
		}
	}
}
