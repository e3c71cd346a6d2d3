package wire_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/apierr"
	"keyshield/internal/wire"
)

// unexported shows cmp what is not exported: what is sent upstream comes from that.
var unexported = cmp.Exporter(func(reflect.Type) bool { return true })

// sentChat is what the proxy adds in these tests.
var sentChat = wire.Sent{OutputLimit: 500, ServiceTier: "default"}

func readChat(t *testing.T, body string) *wire.ChatRequest {
	t.Helper()
	req, err := wire.ReadChatRequest([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return req
}

// refusedWith returns the refusal, or fails: whatever else came back would reach a
// client as a 500.
func refusedWith(t tester, body string, err error) *apierr.Error {
	t.Helper()
	e, ok := errors.AsType[*apierr.Error](err)
	if !ok || e.Status != 400 {
		t.Fatalf("%.300s: %v, want a refusal with 400", body, err)
	}
	return e
}

// chat is a body with these members besides the least that one needs.
func chat(members string) string {
	if members != "" {
		members = "," + members
	}
	return `{"model":"m","messages":[{"role":"user","content":"Hi"}]` + members + `}`
}

// saying is a body with these messages.
func saying(messages string) string { return `{"model":"m","messages":[` + messages + `]}` }

func TestWhatPolicyJudges(t *testing.T) {
	for members, want := range map[string]wire.ChatRequest{
		``:                                  {},
		`"stream":true`:                     {Stream: true},
		`"stream":false`:                    {},
		`"max_tokens":7`:                    {Asked: wire.Asked{OutputLimit: 7}},
		`"max_completion_tokens":8`:         {Asked: wire.Asked{OutputLimit: 8}},
		`"service_tier":"priority"`:         {Asked: wire.Asked{ServiceTier: "priority"}},
		`"service_tier":"auto"`:             {Asked: wire.Asked{ServiceTier: "auto"}},
		`"reasoning_effort":"xhigh"`:        {Asked: wire.Asked{Effort: "xhigh"}},
		`"logprobs":true`:                   {Asked: wire.Asked{LogProbs: true}},
		`"logprobs":false`:                  {},
		`"top_logprobs":1`:                  {Asked: wire.Asked{LogProbs: true, TopLogProbs: 1}},
		`"logprobs":false,"top_logprobs":0`: {},
		`"stream":true,"stream_options":{"include_usage":true}`:          {Stream: true, IncludeUsage: true},
		`"stream_options":{"include_usage":false},"stream":true`:         {Stream: true},
		`"max_tokens":9223372036854775807,"max_completion_tokens":null`:  {Asked: wire.Asked{OutputLimit: 9223372036854775807}},
		`"max_tokens":6,"max_completion_tokens":6,"service_tier":"flex"`: {Asked: wire.Asked{OutputLimit: 6, ServiceTier: "flex"}},
	} {
		got := readChat(t, chat(members))
		want.Model = "m"
		if diff := cmp.Diff(judged(want), judged(*got)); diff != "" {
			t.Errorf("%s:\n%s", members, diff)
		}
	}
	for messages, want := range map[string]bool{
		`{"role":"user","content":"system"}`:                               false,
		`{"role":"system","content":""}`:                                   true,
		`{"role":"user","content":"a"},{"content":"b","role":"developer"}`: true,
		`{"role":"user","content":"a"},{"role":"assistant","content":"b"}`: false,
	} {
		if got := readChat(t, saying(messages)).System; got != want {
			t.Errorf("%s: System is %v, want %v", messages, got, want)
		}
	}
}

// judged is the exported part of a request.
func judged(r wire.ChatRequest) map[string]any {
	m := map[string]any{}
	v := reflect.ValueOf(r)
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			m[f.Name] = v.Field(i).Interface()
		}
	}
	return m
}

// TestWhatGoesUpstream: the forced members are there whatever was asked, and those
// that are accepted arrive as they were meant.
func TestWhatGoesUpstream(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{chat(``), `{"model":"m","messages":[{"role":"user","content":"Hi"}],` + chatTail},
		{chat(`"store":true,"user":"u","safety_identifier":"theirs","metadata":{"a":"b"},"n":1,"modalities":["text"],"max_tokens":9,"service_tier":"priority","reasoning_effort":"high","stream":false`),
			`{"model":"m","messages":[{"role":"user","content":"Hi"}],` + chatTail},
		{chat(`"temperature":0.70,"top_p":1e-1,"presence_penalty":-2,"frequency_penalty":2.0,"seed":-9223372036854775808,"logit_bias":{"50256":-100,"0":1.5},"logprobs":true,"top_logprobs":20,"verbosity":"low"`),
			`{"model":"m","messages":[{"role":"user","content":"Hi"}],` + chatMiddle +
				`"temperature":0.7,"top_p":0.1,"presence_penalty":-2,"frequency_penalty":2,"seed":-9223372036854775808,"logit_bias":{"50256":-100,"0":1.5},"logprobs":true,"top_logprobs":20,"verbosity":"low","store":false}`},
		{chat(`"stop":"\n"`), `{"model":"m","messages":[{"role":"user","content":"Hi"}],` + chatMiddle + `"stop":["\n"],"store":false}`},
		{chat(`"stop":["a","é"],"logit_bias":{}`), `{"model":"m","messages":[{"role":"user","content":"Hi"}],` + chatMiddle + `"stop":["a","é"],"store":false}`},
		{chat(`"stream":true`), `{"model":"m","messages":[{"role":"user","content":"Hi"}],` + chatMiddle + `"store":false,"stream":true,"stream_options":{"include_usage":true}}`},
		{chat(`"stream":true,"stream_options":{"include_usage":false,"include_obfuscation":false}`),
			`{"model":"m","messages":[{"role":"user","content":"Hi"}],` + chatMiddle + `"store":false,"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}`},
		{saying(`{"content":[{"text":"a","type":"text"},{"type":"text","text":""}],"role":"system","name":"Bo-b_1"},{"role":"developer","content":"\u00e9\/\u0001"}`),
			`{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":""}],"name":"Bo-b_1"},{"role":"developer","content":"é/\u0001"}],` + chatTail},
	} {
		got, schema := readChat(t, tt.body).Append(nil, sentChat)
		if diff := cmp.Diff(tt.want, string(got)); diff != "" || schema != 0 {
			t.Errorf("%s: %d bytes of schema\n%s", tt.body, schema, diff)
		}
	}
}

const (
	chatMiddle = `"max_completion_tokens":500,"service_tier":"default",`
	chatTail   = chatMiddle + `"store":false}`
)

func TestWhatIsDecidedHereIsSent(t *testing.T) {
	by := wire.Sent{OutputLimit: 42, MaxTokens: true, ServiceTier: "flex", Effort: "none", SafetyIdentifier: "u-1", SystemPrompt: "Be \"brief\" \u2028."}
	got, _ := readChat(t, chat(`"max_completion_tokens":9999,"reasoning_effort":"max","safety_identifier":"theirs"`)).Append([]byte("before"), by)
	want := `before{"model":"m","messages":[{"role":"system","content":"Be \"brief\" ` + "\u2028" + `."},{"role":"user","content":"Hi"}],"max_tokens":42,"service_tier":"flex","reasoning_effort":"none","store":false,"safety_identifier":"u-1"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

// TestSchemasAreSentInASCII: of them the bytes bound the tokens, so they are counted
// apart, and in the longest form.
func TestSchemasAreSentInASCII(t *testing.T) {
	const (
		tools = `[{"type":"function","function":{"name":"f","description":"d\u00e9","parameters":{"type":"object","\u65e5":[1.0,"\ud83d\ude00\u00e9"]},"strict":true}},` +
			`{"type":"custom","custom":{"name":"c","description":"\u00fc","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: \"\u00e9\""}}}},` +
			`{"type":"custom","custom":{"name":"t","format":{"type":"text"}}},{"type":"function","function":{"name":"g"}}]`
		functions = `[{"name":"old","description":"\u00e0","parameters":{}}]`
		format    = `{"type":"json_schema","json_schema":{"name":"out","description":"\u00df","schema":{"a":"\u00e9"},"strict":false}}`
	)
	body := chat(`"response_format":{"json_schema":{"strict":false,"schema": { "a" : "é" },"description":"ß","name":"out"},"type":"json_schema"},
		"functions":[{"parameters":{},"name":"old","description":"à"}],"function_call":{"name":"old"},"parallel_tool_calls":false,
		"tool_choice":{"type":"allowed_tools","allowed_tools":{"tools":[{"type":"function","function":{"name":"f"}},{"custom":{"name":"c"},"type":"custom"}],"mode":"required"}},
		"tools":[{"function":{"strict":true,"parameters":{ "type":"object", "日":[1.0,"😀\u00e9"]},"description":"dé","name":"f"},"type":"function"},
		{"type":"custom","custom":{"name":"c","description":"ü","format":{"grammar":{"definition":"start: \"é\"","syntax":"lark"},"type":"grammar"}}},
		{"type":"custom","custom":{"name":"t","format":{"type":"text"}}},{"type":"function","function":{"name":"g","description":null,"parameters":null,"strict":null}}]`)
	want := `{"model":"m","messages":[{"role":"user","content":"Hi"}],` + chatMiddle + `"tools":` + tools +
		`,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"c"}}]}}` +
		`,"parallel_tool_calls":false,"functions":` + functions + `,"function_call":{"name":"old"},"response_format":` + format + `,"store":false}`
	got, schema := readChat(t, body).Append(nil, sentChat)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if want := len(tools) + len(functions) + len(format); schema != want {
		t.Errorf("%d bytes of schema, want %d", schema, want)
	}
}

// Who says something has a name of theirs; only a function's is plain.
func TestSpeakersHaveTheNamesOfPeople(t *testing.T) {
	for _, name := range []string{"José", "john.doe", "O'Brien", "ana@example.com", "山田太郎", "a-b_c", strings.Repeat("n", 64)} {
		for _, role := range []string{"system", "developer", "user", "assistant"} {
			said := `{"role":"` + role + `","name":"` + name + `","content":"Hi"}`
			if sent, _ := readChat(t, saying(said)).Append(nil, sentChat); !strings.Contains(string(sent), `"name":"`+name+`"`) {
				t.Errorf("%s was not sent as the name of the %s: %s", name, role, sent)
			}
		}
	}
}

func TestChoicesOfTools(t *testing.T) {
	const tools = `"tools":[{"type":"function","function":{"name":"f"}}],`
	for _, choice := range []string{
		`"none"`, `"auto"`, `"required"`, `{"type":"function","function":{"name":"f"}}`, `{"type":"custom","custom":{"name":"c"}}`,
	} {
		got, _ := readChat(t, chat(tools+`"tool_choice":`+choice)).Append(nil, sentChat)
		if !strings.Contains(string(got), `"tool_choice":`+choice+`,`) {
			t.Errorf("%s became %s", choice, got)
		}
	}
	for _, format := range []string{`{"type":"text"}`, `{"type":"json_object"}`, `{"type":"json_schema","json_schema":{"name":"a"}}`} {
		got, schema := readChat(t, chat(`"response_format":`+format)).Append(nil, sentChat)
		if !strings.Contains(string(got), `"response_format":`+format+`,`) || schema != len(format) {
			t.Errorf("%s became %s with %d bytes of schema", format, got, schema)
		}
	}
	got, _ := readChat(t, chat(`"functions":[{"name":"f"}],"function_call":"none"`)).Append(nil, sentChat)
	if !strings.Contains(string(got), `"function_call":"none"`) {
		t.Errorf("function_call is lost: %s", got)
	}
}

// TestConversations: what people send back is an answer's message, whole.
func TestConversations(t *testing.T) {
	const called = `{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}`
	for _, tt := range []struct{ name, given, want string }{
		{"an answer", `{"role":"assistant","content":"Hello","refusal":null,"annotations":[]}`, `{"role":"assistant","content":"Hello"}`},
		{"a refusal", `{"role":"assistant","content":null,"refusal":"No.","annotations":[],"audio":null,"function_call":null,"tool_calls":null}`,
			`{"role":"assistant","content":null,"refusal":"No."}`},
		{"parts", `{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"refusal","refusal":"b"}]}`,
			`{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"refusal","refusal":"b"}]}`},
		{"no calls", `{"role":"assistant","content":"a","tool_calls":[]}`, `{"role":"assistant","content":"a"}`},
		{"citations", `{"role":"assistant","content":"a","annotations":[{"type":"url_citation","url_citation":{"url":"https://example.com"}}]}`, `{"role":"assistant","content":"a"}`},
		{"openai-node's parse", `{"role":"assistant","content":"{}","parsed":{"x":[1]},"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}","parsed_arguments":{}}}]}`,
			`{"role":"assistant","content":"{}","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}`},
		{"pieces of a stream", `{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}`,
			`{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}`},
		{"a round trip", called + `,{"role":"tool","tool_call_id":"call_1","name":"f","content":"7"}`, called + `,{"role":"tool","content":"7","tool_call_id":"call_1"}`},
		{"two calls, answered in the other order",
			`{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"custom","custom":{"name":"c","input":"x"}}]},` +
				`{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"2"}]},{"role":"tool","tool_call_id":"a","content":""}`,
			`{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"custom","custom":{"name":"c","input":"x"}}]},` +
				`{"role":"tool","content":[{"type":"text","text":"2"}],"tool_call_id":"b"},{"role":"tool","content":"","tool_call_id":"a"}`},
		{"the older form", `{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":null}`,
			`{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","content":null,"name":"f"}`},
	} {
		got, schema := readChat(t, saying(tt.given)).Append(nil, sentChat)
		if diff := cmp.Diff(`{"model":"m","messages":[`+tt.want+`],`+chatTail, string(got)); diff != "" || schema != 0 {
			t.Errorf("%s: %d bytes of schema\n%s", tt.name, schema, diff)
		}
	}
}

func TestNothingOfAChatBodyIsKept(t *testing.T) {
	body := []byte(chat(`"stop":["end"],"tools":[{"type":"function","function":{"name":"f","parameters":{"a":"b"}}}],"logit_bias":{"1":2}`))
	req := readChat(t, string(body))
	again, err := wire.ReadChatRequest(body)
	if err != nil {
		t.Fatal(err)
	}
	for i := range body {
		body[i] = 'x'
	}
	if diff := cmp.Diff(req, again, unexported); diff != "" {
		t.Errorf("changed when its body was used again:\n%s", diff)
	}
}

// BenchmarkChatRequest is what a typical request costs in the proxy: three messages,
// read and written.
func BenchmarkChatRequest(b *testing.B) {
	body := []byte(`{"model":"gpt-6-luna","messages":[{"role":"system","content":"You are a helpful assistant that answers briefly."},` +
		`{"role":"user","content":"What is the capital of France, and since when? Please say where you know it from."},` +
		`{"role":"assistant","content":"Paris, more or less since 987, when Hugh Capet made it his residence.","refusal":null,"annotations":[]}],` +
		`"temperature":0.7,"max_completion_tokens":300,"stream":true,"stream_options":{"include_usage":true}}`)
	by := wire.Sent{OutputLimit: 300, ServiceTier: "default", Effort: "none", SafetyIdentifier: "0123456789abcdef0123456789abcdef"}
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		req, err := wire.ReadChatRequest(body)
		if err != nil {
			b.Fatal(err)
		}
		dst, _ = req.Append(dst[:0], by)
	}
}
