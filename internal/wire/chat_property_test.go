package wire_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestAnyChatIsSentAsItIsJudged draws requests of every kind that is accepted, where
// a fuzzer seldom gets: what FuzzChatRequest promises holds for them.
func TestAnyChatIsSentAsItIsJudged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawing{T: t}
		body, err := json.Marshal(d.request())
		if err != nil {
			t.Fatal(err)
		}
		if !checkChat(t, body) {
			t.Errorf("%s is refused", body)
		}
	})
}

// drawing draws a request. All values are as encoding/json takes them.
type drawing struct {
	*rapid.T
	calls int
}

type object = map[string]any

func (d *drawing) one(of ...any) any      { return rapid.SampledFrom(of).Draw(d.T, "one") }
func (d *drawing) often() bool            { return rapid.IntRange(0, 2).Draw(d.T, "often") > 0 }
func (d *drawing) text() string           { return rapid.String().Draw(d.T, "text") }
func (d *drawing) float(a, b float64) any { return rapid.Float64Range(a, b).Draw(d.T, "float") }
func (d *drawing) name() string           { return rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`).Draw(d.T, "name") }
func (d *drawing) speaker() string {
	return rapid.StringMatching(`[a-zé日.@"-]{1,16}`).Draw(d.T, "speaker")
}
func (d *drawing) some(most int) []struct{} {
	return make([]struct{}, rapid.IntRange(1, most).Draw(d.T, "some"))
}
func (d *drawing) named(kind string) object {
	return object{"type": kind, kind: object{"name": d.name()}}
}

// maybe draws optional members: each is there, or null, or not there.
func (d *drawing) maybe(into object, members map[string]func() any) object {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch rapid.IntRange(0, 3).Draw(d.T, name) {
		case 0:
			into[name] = nil
		case 1, 2:
			into[name] = members[name]()
		}
	}
	return into
}

func (d *drawing) request() object {
	r := object{"model": d.name(), "messages": d.messages()}
	if d.often() {
		r["tools"] = d.tools()
		d.maybe(r, map[string]func() any{
			"tool_choice":         d.choice,
			"parallel_tool_calls": func() any { return d.one(true, false) },
		})
	}
	if d.often() {
		r["stream"] = true
		d.maybe(r, map[string]func() any{"stream_options": func() any {
			return d.maybe(object{}, map[string]func() any{"include_usage": d.bool, "include_obfuscation": d.bool})
		}})
	}
	if !d.often() {
		r["functions"] = []any{d.definition("parameters", "name", "description")}
		r["function_call"] = d.one("none", "auto", object{"name": d.name()})
	}
	return d.maybe(r, map[string]func() any{
		"temperature":           func() any { return d.float(0, 2) },
		"top_p":                 func() any { return d.float(0, 1) },
		"presence_penalty":      func() any { return d.float(-2, 2) },
		"frequency_penalty":     func() any { return d.float(-2, 2) },
		"seed":                  func() any { return rapid.Int64().Draw(d.T, "seed") },
		"stop":                  func() any { return d.one("a", []string{"é"}, []string{"a", "\n", " ", "\x00"}) },
		"logit_bias":            func() any { return d.one(object{}, object{"0": 1, "50256": -99.5}) },
		"logprobs":              d.bool,
		"top_logprobs":          func() any { return d.one(0, 20) },
		"verbosity":             func() any { return d.one("low", "medium", "high") },
		"reasoning_effort":      func() any { return d.one("none", "minimal", "max") },
		"service_tier":          func() any { return d.one("auto", "default", "flex", "priority", "fast") },
		"max_completion_tokens": func() any { return d.one(1, int64(1)<<62) },
		"response_format":       d.format,
		"store":                 d.bool,
		"metadata":              func() any { return object{d.name(): "é"} },
		"user":                  func() any { return "u" },
		"n":                     func() any { return 1 },
		"modalities":            func() any { return []string{"text"} },
		"audio":                 func() any { return nil },
	})
}

func (d *drawing) bool() any { return d.one(true, false) }

func (d *drawing) messages() (list []any) {
	for range d.some(4) {
		switch role := d.one("system", "developer", "user", "assistant", "function", "calls").(string); role {
		case "assistant":
			list = append(list, d.maybe(object{"role": role, "content": d.content("text", "refusal")}, map[string]func() any{
				"refusal":       func() any { return d.text() },
				"annotations":   func() any { return []any{} },
				"function_call": func() any { return object{"name": d.name(), "arguments": d.text()} },
				"name":          func() any { return d.speaker() },
			}))
		case "function":
			list = append(list, object{"role": role, "name": d.name(), "content": d.one(nil, d.text())})
		case "calls":
			list = append(list, d.called()...)
		default:
			list = append(list, d.maybe(object{"role": role, "content": d.content("text")}, map[string]func() any{"name": func() any { return d.speaker() }}))
		}
	}
	return list
}

func (d *drawing) content(kinds ...any) any {
	if d.often() {
		return d.text()
	}
	var parts []any
	for range d.some(3) {
		kind := d.one(kinds...).(string)
		parts = append(parts, object{"type": kind, kind: d.text()})
	}
	return parts
}

// called draws calls and the answers to some of them.
func (d *drawing) called() []any {
	var calls, answers []any
	for range d.some(3) {
		d.calls++
		id := fmt.Sprintf("call_é%d", d.calls)
		if d.often() {
			calls = append(calls, object{"id": id, "type": "function", "function": object{"name": d.name(), "arguments": d.text()}})
		} else {
			calls = append(calls, object{"id": id, "type": "custom", "custom": object{"name": d.name(), "input": d.text()}})
		}
		if d.often() {
			answers = append(answers, object{"role": "tool", "tool_call_id": id, "content": d.content("text")})
		}
	}
	return append([]any{object{"role": "assistant", "content": nil, "tool_calls": calls}}, answers...)
}

func (d *drawing) tools() (list []any) {
	for range d.some(3) {
		if d.often() {
			list = append(list, object{"type": "function", "function": d.definition("parameters", "name", "description", "strict")})
			continue
		}
		list = append(list, object{"type": "custom", "custom": d.maybe(object{"name": d.name()}, map[string]func() any{
			"description": func() any { return d.text() },
			"format": func() any {
				return d.one(object{"type": "text"}, object{"type": "grammar", "grammar": object{"syntax": "lark", "definition": "x" + d.text()}})
			},
		})})
	}
	return list
}

// definition draws a name and a schema with these members.
func (d *drawing) definition(schema string, members ...string) object {
	all := map[string]func() any{
		"description": func() any { return d.text() },
		"strict":      d.bool,
		schema: func() any {
			return object{"type": "object", d.text(): []any{d.text(), 1e300, nil, object{"b": d.float(-9, 9)}}}
		},
	}
	chosen := map[string]func() any{schema: all[schema]}
	for _, name := range members {
		if name != "name" {
			chosen[name] = all[name]
		}
	}
	return d.maybe(object{"name": d.name()}, chosen)
}

func (d *drawing) choice() any {
	return d.one("none", "auto", "required", d.named("function"), d.named("custom"),
		object{"type": "allowed_tools", "allowed_tools": object{"mode": "auto", "tools": []any{d.named("custom"), d.named("function")}}})
}

func (d *drawing) format() any {
	return d.one(object{"type": "text"}, object{"type": "json_object"},
		object{"type": "json_schema", "json_schema": d.definition("schema", "name", "description", "strict")})
}
