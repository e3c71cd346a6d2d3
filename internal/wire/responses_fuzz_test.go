package wire_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"keyshield/internal/apierr"
	"keyshield/internal/wire"
)

// What is judged is what is sent: whatever passes is written so that it reads the
// same again, holds what the judgement was about, and refers to nothing stored.
func FuzzResponsesRequest(f *testing.F) {
	f.Add([]byte(fullResponses), "")
	f.Add([]byte(fullResponses), "Only \"recipes\". \xff")
	for _, seed := range []string{
		`{"model":"m","input":"hi"}`,
		`{"model":"m","input":"hi\u0000\ud83d\ude00","instructions":"é","text":{"format":{"type":"json_object"}},"temperature":-0.0,"top_p":1e-7}`,
		`{"input":[{"content":[{"text":"a","type":"input_text"}],"role":"system"},{"id":"x"}],"model":"m"}`,
		`{"model":"m","input":[{"type":"item_reference","id":"x"}]}`,
		`{"model":"m","input":[{"role":"user","content":"x"}],"tools":[{"type":"function","name":"f","parameters":{"é":"\u00e9\ud83d\ude00","n":[1e400,-0,"\/"]}}],"tool_choice":{"type":"function","name":"f"}}`,
		`{"model":"m","input":[{"type":"reasoning","id":"r","summary":[]},{"type":"custom_tool_call","call_id":"c","name":"f","input":"","id":"i"}],"include":["message.output_text.logprobs"]}`,
		`{"model":"m","input":"hi","stream":true,"stream_options":{"include_obfuscation":true},"metadata":{"a":"b"}}`,
	} {
		f.Add([]byte(seed), "")
		f.Add([]byte(seed), "You help.")
	}
	f.Fuzz(func(t *testing.T, body []byte, systemPrompt string) {
		r, err := wire.ReadResponsesRequest(body)
		if err != nil {
			if e := apierr.From(err); r != nil || e.Status != 400 {
				t.Fatalf("%v, and %v", err, r)
			}
			return
		}
		by := wire.Sent{OutputLimit: max(16, r.OutputLimit), ServiceTier: "default", Effort: r.Effort, SafetyIdentifier: "u-1"}
		out, schema := r.Append(nil, by)
		checkResponsesBody(t, r, out, schema)

		again, err := wire.ReadResponsesRequest(out)
		if err != nil {
			t.Fatalf("what is sent would be refused: %v: %s", err, out)
		}
		twice, _ := again.Append(nil, by)
		if !bytes.Equal(out, twice) {
			t.Fatalf("written differently again:\n%s\n%s", out, twice)
		}
		again.OutputLimit, again.ServiceTier = r.OutputLimit, r.ServiceTier
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("read differently again:\n%+v\n%+v", r, again)
		}

		by.SystemPrompt = systemPrompt
		led, same := r.Append(nil, by)
		checkResponsesBody(t, r, led, same)
		if systemPrompt != "" {
			checkPromptLeads(t, led, string([]rune(systemPrompt))) // U+FFFD for each invalid byte
		}
	})
}

// checkResponsesBody looks at a body with readers of their own.
func checkResponsesBody(t *testing.T, r *wire.ResponsesRequest, body []byte, schema int) {
	t.Helper()
	if !jsontext.Value(body).IsValid() {
		t.Fatalf("not strictly JSON: %s", body)
	}
	m := objectOf(t, body)
	text := map[string]json.RawMessage{}
	if raw, ok := m["text"]; ok {
		text = objectOf(t, raw)
	}
	counted := slices.Concat(m["tools"], text["format"])
	if len(counted) != schema || bytes.ContainsFunc(counted, func(c rune) bool { return c > '~'+1 }) {
		t.Fatalf("%d bytes of schemas, told %d: %s", len(counted), schema, counted)
	}
	if deep := depthOf(t, m["tools"], text["format"]); deep > 48+2 { // an array and a tool around a schema
		t.Fatalf("schemas %d deep: %s", deep, counted)
	}
	var said struct {
		Model    string
		Stream   bool
		Store    *bool
		Tier     string   `json:"service_tier"`
		Limit    int64    `json:"max_output_tokens"`
		LogProbs int64    `json:"top_logprobs"`
		Include  []string `json:"include"`
		Orders   string   `json:"instructions"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		t.Fatal(err)
	}
	if said.Model != r.Model || said.Stream != r.Stream || said.Store == nil || *said.Store || said.Tier != "default" || said.Limit < 16 {
		t.Fatalf("sent %+v for %+v", said, r)
	}
	if asked := said.LogProbs > 0 || len(said.Include) > 0; asked != r.LogProbs || said.Orders != "" && !r.System {
		t.Fatalf("sent %+v for %+v", said, r)
	}
	for name := range m {
		if !slices.Contains(sentResponsesFields, name) {
			t.Fatalf("sends %q: %s", name, body)
		}
	}
	if m["input"][0] == '[' {
		checkResponsesItems(t, m["input"])
	}
}

var sentResponsesFields = []string{
	"model", "max_output_tokens", "service_tier", "store", "safety_identifier", "reasoning", "stream", "stream_options", "temperature", "top_p", "top_logprobs", "include", "truncation",
	"tools", "tool_choice", "parallel_tool_calls", "text", "instructions", "input",
}

// checkResponsesItems looks at each item: nothing in it refers to another one but by
// its call, and each call and output stands once.
func checkResponsesItems(t *testing.T, input []byte) {
	t.Helper()
	var items []map[string]json.RawMessage
	if err := json.Unmarshal(input, &items); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, item := range items {
		kind := string(item["type"])
		call := string(item["call_id"])
		content := item["content"]
		switch kind {
		case `"message"`:
		case `"function_call_output"`, `"custom_tool_call_output"`:
			content = item["output"]
			if before := strings.TrimSuffix(kind, `_output"`) + `"`; !seen[before+call] || seen[kind+call] {
				t.Fatalf("%s answers no call, or again: %s", call, input)
			}
		case `"function_call"`, `"custom_tool_call"`:
			if seen[`"function_call"`+call] || seen[`"custom_tool_call"`+call] {
				t.Fatalf("%s is two calls: %s", call, input)
			}
		default:
			t.Fatalf("sends an item of type %s", kind)
		}
		seen[kind+call] = true
		for name := range item {
			if !slices.Contains([]string{"type", "role", "phase", "content", "call_id", "name", "arguments", "input", "output"}, name) {
				t.Fatalf("sends %q in an item: %s", name, input)
			}
		}
		if len(content) == 0 || content[0] != '[' {
			continue
		}
		var parts []map[string]string // no text is anything but a string
		if err := json.Unmarshal(content, &parts); err != nil {
			t.Fatalf("%v: %s", err, content)
		}
		for _, p := range parts {
			_, text := p["text"]
			_, refusal := p["refusal"]
			if len(p) != 2 || !text && !refusal {
				t.Fatalf("sends a part %v", p)
			}
		}
	}
}

// checkPromptLeads holds that nothing stands before the operator's prompt, and that
// it is not where the answer would repeat it.
func checkPromptLeads(t *testing.T, body []byte, prompt string) {
	t.Helper()
	m := objectOf(t, body)
	var items []struct{ Type, Role string }
	var first []struct{ Content any }
	if err := json.Unmarshal(m["input"], &items); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(m["input"], &first); err != nil {
		t.Fatal(err)
	}
	if _, repeated := m["instructions"]; repeated || items[0].Role != "system" || first[0].Content != prompt {
		t.Fatalf("%q does not lead, or is repeated: %s", prompt, body)
	}
}

// depthOf is how deep the deepest of these documents is.
func depthOf(t *testing.T, docs ...json.RawMessage) (deepest int) {
	t.Helper()
	for _, doc := range docs {
		depth := 0
		d := json.NewDecoder(bytes.NewReader(doc))
		d.UseNumber()
		for {
			token, err := d.Token()
			if err != nil {
				break
			}
			switch token {
			case json.Delim('{'), json.Delim('['):
				depth++
				deepest = max(deepest, depth)
			case json.Delim('}'), json.Delim(']'):
				depth--
			}
		}
	}
	return deepest
}

const typicalResponses = `{"model":"gpt-6-luna","input":[{"role":"developer","content":"You are a helpful assistant in a shop for garden tools. Answer briefly."},` +
	`{"role":"user","content":[{"type":"input_text","text":"Which spade would you recommend for heavy clay soil, and what does it cost at the moment?"}]},` +
	`{"type":"message","role":"assistant","id":"msg_1","content":[{"type":"output_text","text":"A pointed digging spade with a long handle.","annotations":[]}]},` +
	`{"role":"user","content":[{"type":"input_text","text":"And for sand?"}]}],"stream":true,"temperature":0.7,"max_output_tokens":500,"store":false,` +
	`"tools":[{"type":"function","name":"price","description":"Looks up a price.","strict":true,"parameters":{"type":"object","properties":{"item":{"type":"string"}},"required":["item"],"additionalProperties":false}}]}`

func BenchmarkResponsesRequest(b *testing.B) {
	body := []byte(typicalResponses)
	var out []byte
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := wire.ReadResponsesRequest(body)
		if err != nil {
			b.Fatal(err)
		}
		out, _ = r.Append(out[:0], responsesSent)
	}
}
