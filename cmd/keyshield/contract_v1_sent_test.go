package main

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// jsonObject is a JSON object as it is read, in short.
type jsonObject = map[string]any

// plus is a with b on top.
func plus(a, b jsonObject) jsonObject {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func userSays(text string) []any { return []any{jsonObject{"role": "user", "content": text}} }

// sentFor is what goes to OpenAI for a request, without the pseudonym.
func (r *rig) sentFor(t *testing.T, path, body string, headers ...string) jsonObject {
	t.Helper()
	r.in(t).post(path, body, headers...).wantsAnswer(t)
	return without(lastCall(t, r), "safety_identifier")
}

// wantsAnswer checks for success, whole or streamed.
func (r reply) wantsAnswer(t *testing.T) reply {
	t.Helper()
	if form := r.header.Get("Content-Type"); r.err != nil || r.status != 200 || form != jsonForm && form != eventForm {
		t.Fatalf("got %d %s (%v): %.1000s\nwant an answer", r.status, form, r.err, r.body)
	}
	return r
}

// TestChatIsSentWithWhatTheServerDecides holds whole bodies: whatever else stood in
// one could cost something or tell something.
func TestChatIsSentWithWhatTheServerDecides(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	base := func(more jsonObject) jsonObject {
		return plus(jsonObject{"model": luna, "messages": userSays("hi"), "max_completion_tokens": 2048.0, "service_tier": "default", "reasoning_effort": "none", "store": false}, more)
	}
	stream := jsonObject{"stream": true, "stream_options": jsonObject{"include_usage": true}}
	for name, c := range map[string]struct {
		more string
		want jsonObject
	}{
		"nothing more":                {"", base(nil)},
		"a stream":                    {`"stream":true`, base(stream)},
		"a stream without usage":      {`"stream":true,"stream_options":{"include_usage":false}`, base(stream)},
		"a stream with usage":         {`"stream":true,"stream_options":{"include_usage":true}`, base(stream)},
		"less than the plan's output": {`"max_completion_tokens":10`, base(jsonObject{"max_completion_tokens": 10.0})},
		"more than the plan's output": {`"max_completion_tokens":999999`, base(nil)},
		"the old name of the limit":   {`"max_tokens":10`, base(jsonObject{"max_completion_tokens": 10.0})},
		"far more by the old name":    {`"max_tokens":9223372036854775807`, base(nil)},
		"another effort":              {`"reasoning_effort":"low"`, base(jsonObject{"reasoning_effort": "low"})},
		"the tier of the project":     {`"service_tier":"auto"`, base(nil)},
		"what nobody is told": {
			`"user":"ana@example.com","metadata":{"a":"b"},"safety_identifier":"me","store":true,"n":1,"modalities":["text"]`, base(nil),
		},
		"what is harmless": {
			`"temperature":0.5,"top_p":0.9,"presence_penalty":1,"frequency_penalty":-1,"stop":["x"],"seed":7,"logit_bias":{"50256":-100},"verbosity":"low"`,
			base(jsonObject{"temperature": 0.5, "top_p": 0.9, "presence_penalty": 1.0, "frequency_penalty": -1.0, "stop": []any{"x"}, "seed": 7.0, "logit_bias": jsonObject{"50256": -100.0}, "verbosity": "low"}),
		},
		"a model that cannot reason":   {`"model":"gpt-4o-mini"`, without(base(jsonObject{"model": "gpt-4o-mini"}), "reasoning_effort")},
		"a model that must reason":     {`"model":"gpt-6-astra"`, without(base(jsonObject{"model": "gpt-6-astra"}), "reasoning_effort")},
		"a model without effort none":  {`"model":"gpt-5"`, without(base(jsonObject{"model": "gpt-5"}), "reasoning_effort")},
		"a model of old":               {`"model":"gpt-3.5-turbo"`, plus(without(base(jsonObject{"model": "gpt-3.5-turbo"}), "reasoning_effort", "max_completion_tokens"), jsonObject{"max_tokens": 2048.0})},
		"a model of old, by new words": {`"model":"gpt-3.5-turbo","max_completion_tokens":9`, plus(without(base(jsonObject{"model": "gpt-3.5-turbo"}), "reasoning_effort", "max_completion_tokens"), jsonObject{"max_tokens": 9.0})},
		"null members":                 {`"temperature":null,"stream":null,"tools":null,"audio":null,"max_tokens":null`, base(nil)},
	} {
		body := wayTo("chat").body("hi", c.more)
		if c.more == "" {
			body = wayTo("chat").body("hi")
		}
		if strings.HasPrefix(c.more, `"model"`) {
			body = "{" + c.more + `,"messages":[{"role":"user","content":"hi"}]}`
		}
		if diff := cmp.Diff(c.want, r.sentFor(t, "/v1/chat/completions", body)); diff != "" {
			t.Errorf("%s: what went to OpenAI (-want +got):\n%s", name, diff)
		}
	}
}

// TestResponsesAreSentWithWhatTheServerDecides likewise.
func TestResponsesAreSentWithWhatTheServerDecides(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	base := func(more jsonObject) jsonObject {
		return plus(jsonObject{"model": luna, "input": "hi", "max_output_tokens": 2048.0, "service_tier": "default", "reasoning": jsonObject{"effort": "none"}, "store": false}, more)
	}
	for name, c := range map[string]struct {
		body string
		want jsonObject
	}{
		"nothing more":                {`"input":"hi"`, base(nil)},
		"a stream":                    {`"input":"hi","stream":true`, base(jsonObject{"stream": true})},
		"kept at OpenAI":              {`"input":"hi","store":true`, base(nil)},
		"less than the plan's output": {`"input":"hi","max_output_tokens":16`, base(jsonObject{"max_output_tokens": 16.0})},
		"more than the plan's output": {`"input":"hi","max_output_tokens":100000`, base(nil)},
		"the tier of the project":     {`"input":"hi","service_tier":"auto"`, base(nil)},
		"another effort":              {`"input":"hi","reasoning":{"effort":"high"}`, base(jsonObject{"reasoning": jsonObject{"effort": "high"}})},
		"instructions":                {`"input":"hi","instructions":"Be brief."`, base(jsonObject{"instructions": "Be brief."})},
		"what nobody is told":         {`"input":"hi","user":"ana@example.com","metadata":{"a":"b"},"safety_identifier":"me","background":false,"max_tool_calls":3`, base(nil)},
		"reasoning that nobody reads": {`"input":"hi","include":["reasoning.encrypted_content"]`, base(nil)},
		"a summary of the reasoning":  {`"input":"hi","reasoning":{"effort":"low","summary":"detailed","generate_summary":null}`, base(jsonObject{"reasoning": jsonObject{"effort": "low"}})},
		"a conversation, with what the API itself wrote into it": {
			`"input":[{"role":"user","content":"hi"},
				{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAA"},
				{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[],"logprobs":[]}]},
				{"type":"function_call","id":"fc_1","status":"completed","call_id":"call_1","name":"f","arguments":"{}"},
				{"type":"function_call_output","id":"fco_1","call_id":"call_1","output":"3"},
				{"type":"custom_tool_call","id":"ctc_1","call_id":"call_2","name":"g","input":"x"},
				{"type":"custom_tool_call_output","call_id":"call_2","output":"4"},
				{"role":"user","content":[{"type":"input_text","text":"and now?"}]}]`,
			base(jsonObject{"input": []any{
				jsonObject{"type": "message", "role": "user", "content": "hi"},
				jsonObject{"type": "message", "role": "assistant", "content": []any{jsonObject{"type": "output_text", "text": "Hello"}}},
				jsonObject{"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
				jsonObject{"type": "function_call_output", "call_id": "call_1", "output": "3"},
				jsonObject{"type": "custom_tool_call", "call_id": "call_2", "name": "g", "input": "x"},
				jsonObject{"type": "custom_tool_call_output", "call_id": "call_2", "output": "4"},
				jsonObject{"type": "message", "role": "user", "content": []any{jsonObject{"type": "input_text", "text": "and now?"}}},
			}}),
		},
	} {
		got := r.sentFor(t, "/v1/responses", `{"model":"`+luna+`",`+c.body+`}`)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: what went to OpenAI (-want +got):\n%s", name, diff)
		}
	}
	for model, want := range map[string]any{"gpt-4o-mini": nil, "gpt-6-astra": nil, "gpt-5": nil, "gpt-6-sol": jsonObject{"effort": "none"}} {
		if got := r.sentFor(t, "/v1/responses", `{"model":"`+model+`","input":"hi"}`)["reasoning"]; !cmp.Equal(got, want) {
			t.Errorf("%s: reasoning is %v, want %v", model, got, want)
		}
	}
}

// TestEmbeddingsAndModerationsAreSentAsTheyWereAsked, and nothing is added that they
// do not take.
func TestEmbeddingsAndModerationsAreSentAsTheyWereAsked(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, c := range []struct {
		path, body string
		want       jsonObject
	}{
		{"/v1/embeddings", `{"model":"text-embedding-3-small","input":"hi","user":"ana"}`, jsonObject{"model": "text-embedding-3-small", "input": "hi", "encoding_format": "float"}},
		{"/v1/embeddings", `{"model":"text-embedding-3-small","input":["a","b"],"encoding_format":"base64","dimensions":8}`, jsonObject{"model": "text-embedding-3-small", "input": []any{"a", "b"}, "encoding_format": "base64", "dimensions": 8.0}},
		{"/v1/moderations", `{"input":"hi"}`, jsonObject{"model": "omni-moderation-latest", "input": "hi"}},
		{"/v1/moderations", `{"model":"omni-moderation-2024-09-26","input":["a","b"]}`, jsonObject{"model": "omni-moderation-2024-09-26", "input": []any{"a", "b"}}},
		{"/v1/moderations", `{"input":[{"type":"text","text":"a"}]}`, jsonObject{"model": "omni-moderation-latest", "input": []any{jsonObject{"type": "text", "text": "a"}}}},
	} {
		if diff := cmp.Diff(c.want, r.sentFor(t, c.path, c.body)); diff != "" {
			t.Errorf("%s: what went to OpenAI (-want +got):\n%s", c.body, diff)
		}
	}
}

// TestOneUserIsOnePseudonymEverywhere: on every endpoint the same, another for
// another, and never the id.
func TestOneUserIsOnePseudonymEverywhere(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	names := map[string]any{}
	for _, user := range []string{"ana@example.com", "bob@example.com"} {
		who := "Authorization: Bearer " + r.token(user)
		r.ask("hi", who).wants200(t, jsonForm)
		names[user] = lastCall(t, r)["safety_identifier"]
		for _, w := range ways()[:2] {
			for _, body := range []string{w.body("hi"), w.body("hi", streaming), w.body("hi", `"user":"`+user+`"`, `"safety_identifier":"`+user+`"`)} {
				r.post(w.path, body, who).wantsAnswer(t)
				if got := lastCall(t, r)["safety_identifier"]; got != names[user] || got == "" || got == nil {
					t.Errorf("%s on %s is %q, and %q on the text API", user, w.name, got, names[user])
				}
			}
		}
		r.post("/api/chat", hookSays("hi"), who).wantsAnswer(t)
		if got := lastCall(t, r)["safety_identifier"]; got != names[user] {
			t.Errorf("%s in useChat is %q, and %q on the text API", user, got, names[user])
		}
	}
	if names["ana@example.com"] == names["bob@example.com"] {
		t.Error("two users are one pseudonym")
	}
	for _, call := range r.sim.Requests() {
		if strings.Contains(call.Body, "@example.com") {
			t.Errorf("a user's id goes to OpenAI: %s", call.Body)
		}
	}
}

// TestToolsGoThereAndBack: definitions and schemas pass, calls come back, and their
// answers are taken.
func TestToolsGoThereAndBack(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	const parameters = `{"type":"object","properties":{"city":{"type":"string","description":"Wo — 日本"}},"required":["city"],"additionalProperties":false}`
	got := r.chat("[[sim tool=weather]] Is it raining?", `"tools":[{"type":"function","function":{"name":"weather","description":"Tells it","parameters":`+parameters+`,"strict":true}}]`,
		`"tool_choice":"auto"`, `"parallel_tool_calls":false`).wantsAnswer(t)
	if diff := cmp.Diff(object(t, parameters), at(t, lastCall(t, r), "tools", 0, "function", "parameters")); diff != "" {
		t.Errorf("the schema that went to OpenAI (-want +got):\n%s", diff)
	}
	answer := object(t, got.body)
	call, id := at(t, answer, "choices", 0, "message", "tool_calls", 0, "function", "name"), at(t, answer, "choices", 0, "message", "tool_calls", 0, "id")
	if call != "weather" || id == nil || at(t, answer, "choices", 0, "finish_reason") != "tool_calls" {
		t.Fatalf("no call came back: %s", got.body)
	}
	second := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Is it raining?"},{"role":"assistant","content":null,"tool_calls":[{"id":%[2]q,"type":"function","function":{"name":"weather","arguments":"{}"}}]},{"role":"tool","tool_call_id":%[2]q,"content":"rain"}]}`, luna, id)
	if text := at(t, object(t, r.post("/v1/chat/completions", second).wantsAnswer(t).body), "choices", 0, "message", "content"); !strings.Contains(fmt.Sprint(text), "rain") {
		t.Errorf("the tool's answer did not arrive: %v", text)
	}

	got = r.post("/v1/responses", wayTo("responses").body("[[sim tool=weather]] Is it raining?", `"tools":[{"type":"function","name":"weather","parameters":`+parameters+`,"strict":true}]`)).wantsAnswer(t)
	if item := at(t, object(t, got.body), "output", 0); at(t, item, "type") != "function_call" || at(t, item, "name") != "weather" {
		t.Errorf("no call came back: %v", item)
	}
	got = r.chat("Which city?", `"response_format":{"type":"json_schema","json_schema":{"name":"place","schema":`+parameters+`,"strict":true}}`).wantsAnswer(t)
	text, _ := at(t, object(t, got.body), "choices", 0, "message", "content").(string)
	if city := object(t, text)["city"]; city == nil {
		t.Errorf("the answer %q does not fit the schema", text)
	}
}

// TestNoHeaderOfTheClientsGoesUpstreamFromV1: what is sent is an allow-list, and the
// same for every endpoint.
func TestNoHeaderOfTheClientsGoesUpstreamFromV1(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	theirs := []string{
		"Cookie: session=1", "X-Forwarded-For: 1.2.3.4", "User-Agent: OpenAI/JS 7.57.0", "OpenAI-Organization: org-mine", "OpenAI-Project: proj_mine",
		"OpenAI-Beta: assistants=v2", "Idempotency-Key: stainless-node-retry-1", "X-Stainless-Lang: js", "X-Stainless-Retry-Count: 1", "Origin: " + origin,
		"Traceparent: 00-1-1-01", "X-Api-Key: mine", "Accept: text/event-stream", "Helicone-Auth: Bearer x",
	}
	for _, w := range ways() {
		r.post(w.path, w.body("hi"), theirs...).wantsAnswer(t)
		r.onlyFiveHeaders(t, w.name)
		if w.streams {
			r.post(w.path, w.body("hi", streaming), theirs...).wantsAnswer(t)
			r.onlyFiveHeaders(t, w.name+", streamed")
		}
	}
	r.post("/api/chat", hookSays("hi"), theirs...).wantsAnswer(t)
	r.onlyFiveHeaders(t, "useChat")
}

func (r *rig) onlyFiveHeaders(t *testing.T, where string) {
	t.Helper()
	calls := r.sim.Requests()
	h := calls[len(calls)-1].Header
	if diff := cmp.Diff([]string{"Accept", "Authorization", "Content-Length", "Content-Type", "User-Agent"}, headerNames(h)); diff != "" {
		t.Errorf("%s: the headers that went to OpenAI (-want +got):\n%s", where, diff)
	}
	if h.Get("User-Agent") != "keyshield" || h.Get("Accept") != "application/json, text/event-stream" || h.Get("Authorization") != "Bearer "+canary {
		t.Errorf("%s: the values of the headers are not ours", where)
	}
}
