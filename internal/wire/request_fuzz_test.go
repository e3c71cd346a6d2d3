package wire_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"keyshield/internal/wire"
)

// FuzzChatRequest: what is judged is what is sent. Reading what was written gives the
// same request, an independent reader sees the same messages in both, and the bytes
// of schemas are counted right.
func FuzzChatRequest(f *testing.F) {
	for _, tt := range chatRefusals {
		if len(tt.body) < 2000 {
			f.Add([]byte(tt.body))
		}
	}
	for _, members := range []string{
		`"temperature":1.5,"top_p":0.5,"frequency_penalty":1,"presence_penalty":1,"seed":7,"stop":["a"],"logit_bias":{"1":5},"verbosity":"high"`,
		`"logprobs":true,"top_logprobs":5,"metadata":{"a":"b"},"user":"u","safety_identifier":"s","modalities":["text"],"n":1,"store":true`,
		`"max_completion_tokens":900,"max_tokens":900,"service_tier":"flex","reasoning_effort":"high","response_format":{"type":"json_object"}`,
		`"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto","parallel_tool_calls":true,"functions":[{"name":"f"}],"function_call":"auto"`,
	} {
		f.Add([]byte(chat(members)))
	}
	f.Add([]byte(chat(`"stream":true,"stream_options":{"include_obfuscation":true},"tools":[{"type":"custom","custom":{"name":"c","description":"é","format":{"type":"grammar","grammar":{"syntax":"regex","definition":"日"}}}}],"tool_choice":{"type":"custom","custom":{"name":"c"}}`)))
	f.Add([]byte(saying(`{"role":"system","content":[{"type":"text","text":"\u0000\ud83d\ude00"}]},` + calling("x") + answering("x") + `,{"role":"assistant","content":"a","refusal":"b","function_call":{"name":"f","arguments":"\""}}`)))
	f.Fuzz(func(t *testing.T, body []byte) { checkChat(t, body) })
}

// tester is a test, or a drawing of a property test.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// checkChat holds what is promised of a body, and says whether it is accepted.
func checkChat(t tester, body []byte) (accepted bool) {
	t.Helper()
	req, err := wire.ReadChatRequest(body)
	if err != nil {
		checkRefusal(t, body, err)
		return false
	}
	by := wire.Sent{OutputLimit: cmp.Or(req.OutputLimit, 500), ServiceTier: cmp.Or(req.ServiceTier, "default"), Effort: req.Effort}
	out, schema := req.Append(nil, by)
	again, err := wire.ReadChatRequest(out)
	if err != nil {
		t.Fatalf("%q became %q, which is refused: %v", body, out, err)
	}
	want := *req
	want.OutputLimit, want.ServiceTier, want.IncludeUsage = by.OutputLimit, by.ServiceTier, req.Stream
	if diff := gocmp.Diff(&want, again, unexported); diff != "" {
		t.Errorf("%q became %q, which is another request:\n%s", body, out, diff)
	}
	if twice, same := again.Append(nil, by); !bytes.Equal(twice, out) || same != schema {
		t.Errorf("%q, read and written again, is %q", out, twice)
	}
	by.SystemPrompt = "First.\n"
	first, _ := req.Append(nil, by)
	if with := strings.Replace(string(out), `"messages":[`, `"messages":[{"role":"system","content":"First.\n"},`, 1); with != string(first) {
		t.Errorf("with a system prompt %q becomes %q", out, first)
	}
	checkSchema(t, out, schema)
	checkSaid(t, body, out)
	return true
}

// checkRefusal: whoever is refused learns what is wrong, and nothing else happens.
func checkRefusal(t tester, body []byte, err error) {
	t.Helper()
	e := refusedWith(t, string(body), err)
	if e.Message == "" || len(e.Message) > 2000 || strings.ContainsFunc(e.Message+e.Param, unicode.IsControl) || !utf8.ValidString(e.Message) {
		t.Errorf("%q: %q about %q", body, e.Message, e.Param)
	}
}

// checkSchema counts what a JSON reader sees.
func checkSchema(t tester, out []byte, schema int) {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(out, &members); err != nil {
		t.Fatalf("%q is not JSON: %v", out, err)
	}
	n := 0
	for _, name := range []string{"tools", "functions", "response_format"} {
		n += len(members[name])
		if bytes.ContainsFunc(members[name], func(c rune) bool { return c >= utf8.RuneSelf }) {
			t.Errorf("%s is not ASCII: %q", name, members[name])
		}
	}
	if n != schema {
		t.Errorf("%q has %d bytes of schema, not %d", out, n, schema)
	}
}

// checkSaid holds both bodies against each other as encoding/json reads them.
func checkSaid(t tester, body, out []byte) {
	t.Helper()
	if bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > 5000 {
		return // too deep for encoding/json, perhaps
	}
	given, sent := loosely(t, body), loosely(t, out)
	for _, same := range []string{"model", "temperature", "seed", "verbosity", "parallel_tool_calls", "function_call", "logprobs", "tool_choice", "stop"} {
		a, b := given[same], sent[same]
		if s, one := a.(string); one && same == "stop" {
			a = []any{s}
		}
		if !gocmp.Equal(pruned(a), pruned(b)) {
			t.Errorf("%q became %q: %s differs", body, out, same)
		}
	}
	was, is := given["messages"].([]any), sent["messages"].([]any)
	if len(was) != len(is) {
		t.Fatalf("%q became %q: %d messages, not %d", body, out, len(is), len(was))
	}
	for i := range was {
		a, b := was[i].(map[string]any), is[i].(map[string]any)
		for _, same := range []string{"role", "content", "tool_call_id", "function_call"} {
			if !gocmp.Equal(pruned(a[same]), pruned(b[same])) {
				t.Errorf("%q became %q: %s of message %d differs", body, out, same, i)
			}
		}
	}
	for _, same := range []string{"tools", "functions", "response_format"} {
		if !gocmp.Equal(pruned(given[same]), pruned(sent[same])) {
			t.Errorf("%q became %q: %s differ", body, out, same)
		}
	}
}

// loosely reads with numbers as they are written: a schema may hold some that fit no
// float64.
func loosely(t tester, doc []byte) (v map[string]any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("encoding/json does not read %q: %v", doc, err)
	}
	return v
}

// pruned leaves out what we drop (members that are null, empty texts of definitions,
// what openai-node's parse adds) and how a number is written.
func pruned(v any) any {
	switch v := v.(type) {
	case json.Number:
		if x, err := v.Float64(); err == nil {
			return x
		}
	case map[string]any:
		for name, value := range v {
			if value == nil || name == "description" && value == "" || name == "parsed_arguments" {
				delete(v, name)
				continue
			}
			v[name] = pruned(value)
		}
	case []any:
		for i := range v {
			v[i] = pruned(v[i])
		}
	}
	return v
}

// FuzzEmbeddingsRequest: the same for embeddings.
func FuzzEmbeddingsRequest(f *testing.F) {
	for _, tt := range embeddingsRefused {
		if len(tt.body) < 2000 {
			f.Add([]byte(tt.body))
		}
	}
	f.Add([]byte(`{"model":"m","input":["a","é\u0000"],"encoding_format":"base64","dimensions":256,"user":"u"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := wire.ReadEmbeddingsRequest(body)
		if err != nil {
			checkRefusal(t, body, err)
			return
		}
		out := req.Append(nil)
		again, err := wire.ReadEmbeddingsRequest(out)
		if diff := gocmp.Diff(req, again, unexported); err != nil || diff != "" {
			t.Fatalf("%q became %q: %v\n%s", body, out, err, diff)
		}
		if twice := again.Append(nil); !bytes.Equal(twice, out) {
			t.Errorf("%q, read and written again, is %q", out, twice)
		}
		given, sent := loosely(t, body), loosely(t, out)
		for _, same := range []string{"model", "input", "dimensions"} {
			if !gocmp.Equal(given[same], sent[same]) {
				t.Errorf("%q became %q: %s differs", body, out, same)
			}
		}
		if list, ok := sent["input"].([]any); ok != (req.Inputs != 1 || len(list) == 1) || ok && len(list) != req.Inputs {
			t.Errorf("%q has %d inputs, not %d", out, len(list), req.Inputs)
		}
	})
}

// FuzzModerationsRequest: the same for moderations.
func FuzzModerationsRequest(f *testing.F) {
	for _, tt := range moderationsRefused {
		if len(tt.body) < 2000 {
			f.Add([]byte(tt.body))
		}
	}
	f.Add([]byte(`{"input":[{"type":"text","text":"a"},{"text":"é","type":"text"}]}`))
	f.Add([]byte(`{"model":"m","input":["a",""]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := wire.ReadModerationsRequest(body)
		if err != nil {
			checkRefusal(t, body, err)
			return
		}
		model := cmp.Or(req.Model, "default")
		out := req.Append(nil, model)
		again, err := wire.ReadModerationsRequest(out)
		want := *req
		want.Model = model
		if diff := gocmp.Diff(&want, again, unexported); err != nil || diff != "" {
			t.Fatalf("%q became %q: %v\n%s", body, out, err, diff)
		}
		if twice := again.Append(nil, model); !bytes.Equal(twice, out) {
			t.Errorf("%q, read and written again, is %q", out, twice)
		}
		if given, sent := loosely(t, body), loosely(t, out); !gocmp.Equal(pruned(given["input"]), pruned(sent["input"])) {
			t.Errorf("%q became %q", body, out)
		}
	})
}
