package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/sim"
)

// called is a tool call as a client puts it together.
type called struct{ Kind, ID, Name, Args string }

const (
	chatTools = `,"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","maximum":3}},"required":["city"]}}},` +
		`{"type":"custom","custom":{"name":"note"}}]`
	responseTools = `,"tools":[{"type":"function","name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","maximum":3}},"required":["city"]}},` +
		`{"type":"custom","name":"note"}]`
)

type chatCall struct {
	Index    int
	ID, Type string
	Function struct{ Name, Arguments string }
	Custom   struct{ Name, Input string }
}

// chatCalls asks and returns the calls, the pieces they came in, and the finish.
func (w *world) chatCalls(t *testing.T, prompt, members string, stream bool) (calls []called, pieces int, finish string) {
	t.Helper()
	body := strings.TrimSuffix(completion(prompt, stream), "}") + members + "}"
	a := w.do(t, w.request(t.Context(), t, body))
	if a.status != http.StatusOK {
		t.Fatalf("%s: got %d %s", body, a.status, a.body)
	}
	data := []string{a.body}
	if stream {
		data = events(a.body)
	}
	for _, d := range data {
		var c struct {
			Choices []struct {
				Delta, Message struct {
					Content *string
					Calls   []chatCall `json:"tool_calls"`
				}
				FinishReason *string `json:"finish_reason"`
			}
		}
		if d == "[DONE]" {
			continue
		}
		if err := json.Unmarshal([]byte(d), &c); err != nil {
			t.Fatalf("%q: %v", d, err)
		}
		for _, choice := range c.Choices {
			for n, call := range append(choice.Delta.Calls, choice.Message.Calls...) {
				pieces++
				if call.ID != "" {
					calls = append(calls, called{call.Type, call.ID, call.Function.Name + call.Custom.Name, ""})
				}
				if stream {
					n = call.Index
				}
				calls[n].Args += call.Function.Arguments + call.Custom.Input
			}
			if choice.FinishReason != nil {
				finish = *choice.FinishReason
			}
		}
	}
	return calls, pieces, finish
}

func (w *world) responseCalls(t *testing.T, prompt, members string, stream bool) []called {
	t.Helper()
	r, deltas := heard(t, w.post(t, "/v1/responses", response(prompt, members, stream)), stream)
	var calls []called
	all := ""
	for _, i := range r.Output {
		kind := map[string]string{"function_call": "function", "custom_tool_call": "custom"}[i.Type]
		calls = append(calls, called{kind, i.CallID, i.Name, i.Arguments + i.Input})
		all += i.Arguments + i.Input
	}
	if stream && calls[0].Kind != "" && strings.Join(deltas, "") != all {
		t.Errorf("got the pieces %q for %+v", deltas, calls)
	}
	return calls
}

func TestToolsAreCalledWhenToldTo(t *testing.T) {
	w := start(t, sim.Options{})
	const fitting = `{"city":"simulated: Rome?","days":3}`
	for _, c := range []struct {
		words, choice string // the tool choice, as each endpoint writes it
		choiceFlat    string
		want          []called
	}{
		{"tool=weather", "", "", []called{{Kind: "function", Name: "weather", Args: fitting}}},
		{"tool=weather args={\"city\":\"Rome\"}", "", "", []called{{Kind: "function", Name: "weather", Args: `{"city":"Rome"}`}}},
		{`tool=weather args="{broken"`, "", "", []called{{Kind: "function", Name: "weather", Args: `{broken`}}},
		{"tool=weather calls=2", `"auto"`, `"auto"`, []called{{Kind: "function", Name: "weather", Args: fitting}, {Kind: "function", Name: "weather", Args: fitting}}},
		{"tool=note", "", "", []called{{Kind: "custom", Name: "note", Args: "Simulated input for: Rome?"}}},
		{"", `"required"`, `"required"`, []called{{Kind: "function", Name: "weather", Args: fitting}}},
		{"", `{"type":"function","function":{"name":"weather"}}`, `{"type":"function","name":"weather"}`, []called{{Kind: "function", Name: "weather", Args: fitting}}},
		{"args=hi", `{"type":"custom","custom":{"name":"note"}}`, `{"type":"custom","name":"note"}`, []called{{Kind: "custom", Name: "note", Args: "hi"}}},
		{"", `{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"custom","name":"note"}]}}`,
			`{"type":"allowed_tools","mode":"required","tools":[{"type":"custom","name":"note"}]}`, []called{{Kind: "custom", Name: "note", Args: "Simulated input for: Rome?"}}},
		{"", `"auto"`, `"auto"`, nil},
		{"", `"none"`, `"none"`, nil},
	} {
		t.Run(c.words+c.choice, func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				chat, flat := chatTools, responseTools
				if c.choice != "" {
					chat, flat = chat+`,"tool_choice":`+c.choice, flat+`,"tool_choice":`+c.choiceFlat
				}
				prompt := "[[sim " + c.words + "]]Rome?"
				got, pieces, finish := w.chatCalls(t, prompt, chat, stream)
				same(t, "chat completions", got, c.want)
				if wanted := map[bool]string{true: "tool_calls", false: "stop"}[len(c.want) > 0]; finish != wanted {
					t.Errorf("got finish %q, want %q", finish, wanted)
				}
				if len(c.want) > 0 && stream && len(c.want[0].Args) > 6 && pieces < 3 {
					t.Errorf("got %d pieces, want the name and then the arguments in several", pieces)
				}
				if got := w.responseCalls(t, prompt, flat, stream); len(c.want) > 0 {
					same(t, "responses", got, c.want)
				} else if len(got) != 1 || got[0].Kind != "" { // a message
					t.Errorf("responses: got %+v, want a text", got)
				}
			})
		})
	}
}

// same compares calls but for their ids, which must differ.
func same(t *testing.T, where string, got, want []called) {
	t.Helper()
	ids := map[string]bool{"": true}
	var bare []called
	for _, c := range got {
		if ids[c.ID] {
			t.Errorf("%s: got the id %q twice or none", where, c.ID)
		}
		ids[c.ID] = true
		c.ID = ""
		bare = append(bare, c)
	}
	if diff := cmp.Diff(want, bare); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", where, diff)
	}
}

func TestToolAnswersAreQuoted(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		more := ""
		if stream {
			more = `,"stream":true`
		}
		chat := `{"model":"gpt-4o","tool_choice":"required","messages":[{"role":"user","content":"[[sim tool=weather calls=2]] Rome?"},` +
			`{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"weather","arguments":"{}"}},{"id":"b","type":"custom","custom":{"name":"note","input":"x"}}]},` +
			`{"role":"tool","tool_call_id":"b","content":"noted"},{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"sunny"}]}]` + chatTools + more + `}`
		if got := read(t, w.do(t, w.request(t.Context(), t, chat)), stream); !strings.Contains(got.text(), `The tool answered: "noted" and "sunny".`) || got.finish != "stop" {
			t.Errorf("got %q, finish %s; want both answers quoted", got.text(), got.finish)
		}
		flat := `{"model":"gpt-4o","input":[{"role":"user","content":"[[sim tool=weather]] Rome?"},` +
			`{"type":"function_call","call_id":"a","name":"weather","arguments":"{}"},{"type":"custom_tool_call","call_id":"b","name":"note","input":"x"},` +
			`{"type":"custom_tool_call_output","call_id":"b","output":"noted"},{"type":"function_call_output","call_id":"a","output":[{"type":"input_text","text":"sunny"}]}]` + responseTools + more + `}`
		if got, _ := heard(t, w.post(t, "/v1/responses", flat), stream); !strings.Contains(got.text(), `The tool answered: "noted" and "sunny".`) {
			t.Errorf("got %+v, want both answers quoted", got)
		}
	})
}

func TestToolArgumentsKeepTheLimit(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		prompt := "[[sim tool=note calls=2 args=" + strings.Repeat("x", 40) + "]]"
		calls, _, finish := w.chatCalls(t, prompt, chatTools+`,"max_completion_tokens":12`, stream)
		if len(calls) != 2 || len(calls[0].Args) != 40 || len(calls[1].Args) != 8 || finish != "length" {
			t.Errorf("got %+v, finish %s; want 48 bytes in all and length", calls, finish)
		}
		if r := w.Report(); r.TokensOut%12 != 0 {
			t.Errorf("got %d tokens billed, want 12 a call", r.TokensOut)
		}
		if calls, _, _ := w.chatCalls(t, prompt, chatTools+`,"max_completion_tokens":12,"n":2`, stream); stream && len(calls) != 4 {
			t.Errorf("got %+v, want the calls in both choices", calls)
		}
	})
}

func TestToolNonsenseIsNamed(t *testing.T) {
	w := start(t, sim.Options{})
	for _, c := range []struct{ prompt, members, param, want string }{
		{"[[sim tool=weather]]", "", "messages", "defines no such tool"},
		{"[[sim tool=other]]", chatTools, "messages", "defines no such tool"},
		{"[[sim args={}]]", chatTools, "messages", "args and calls need"},
		{"[[sim tool=weather text=x]]", chatTools, "messages", "tool does not go with text"},
		{"[[sim tool=weather]]", chatTools + `,"tool_choice":"none"`, "messages", "tool_choice is none"},
		{"", `,"tool_choice":"auto"`, "tool_choice", "only allowed when 'tools'"},
		{"", `,"parallel_tool_calls":true`, "parallel_tool_calls", "only allowed when 'tools'"},
		{"", chatTools + `,"tool_choice":"perhaps"`, "tool_choice", "'perhaps'"},
		{"", chatTools + `,"tool_choice":{"type":"function","function":{"name":"other"}}`, "tool_choice", "'other' not found"},
		{"", chatTools + `,"tool_choice":{"type":"function","function":{"name":"weather","x":1}}`, "tool_choice.function.x", "Unknown"},
		{"", `,"tools":[{"type":"web_search"}]`, "tools[0].type", "'web_search'"},
		{"", `,"tools":[{"type":"function"}]`, "tools[0].function", "Missing"},
		{"", `,"tools":[{"type":"function","function":{}}]`, "tools[0].function.name", "Missing"},
		{"", `,"tools":[{"type":"function","function":{"name":"a b"}}]`, "tools[0].function.name", "pattern"},
		{"", `,"tools":[{"type":"function","function":{"name":"a","price":1}}]`, "tools[0].function.price", "Unknown"},
		{"", `,"tools":[{"function":{"name":"a"}}]`, "tools[0].type", "Missing"},
		{"", `,"tools":["a"]`, "tools[0]", "expected an object"},
		{"", `,"tools":{}`, "tools", "expected an array"},
		{"[[sim tool=a]]", `,"tools":[{"type":"function","function":{"name":"a","parameters":{"type":"object","properties":{"x":{"$ref":"#"}}}}}]`, "tools", "only simple schemas"},
	} {
		got := w.do(t, w.request(t.Context(), t, strings.TrimSuffix(completion(c.prompt, false), "}")+c.members+"}"))
		if e := envelope(t, got.body); got.status != 400 || e["param"] != c.param || !strings.Contains(e["message"].(string), c.want) {
			t.Errorf("%s %s: got %d %v, want param %s and %q", c.prompt, c.members, got.status, e, c.param, c.want)
		}
	}
	const call = `{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`
	for messages, want := range map[string]string{
		`{"role":"tool","tool_call_id":"a","content":"x"}`: "must be a response to a preceeding message",
		call: "did not have response messages: a",
		call + `,{"role":"user","content":"x"},{"role":"tool","tool_call_id":"a","content":"x"}`:                                 "did not have response messages: a",
		call + `,{"role":"tool","tool_call_id":"a","content":"x"},{"role":"tool","tool_call_id":"a","content":"x"}`:              "must be a response",
		`{"role":"assistant","tool_calls":[{"id":"a","type":"function"}]}`:                                                       "messages[0].tool_calls[0].function.name",
		`{"role":"user","content":"x","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`:     "messages[0].tool_calls",
		`{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}","extra":true}}]}`: "messages[0].tool_calls[0].function.extra",
		`{"role":"assistant","tool_calls":[{"id":"a","type":"web","function":{"name":"f","arguments":"{}"}}]}`:                   "'web'",
		`{"role":"assistant","tool_calls":[{"type":"custom","custom":{"name":"f","input":""}}]}`:                                 "messages[0].tool_calls[0].id",
	} {
		got := w.do(t, w.request(t.Context(), t, `{"model":"gpt-4o","messages":[`+messages+`]}`))
		if got.status != 400 || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d %s, want %q", messages, got.status, got.body, want)
		}
	}
}

func TestFaultsStrikeInToolArguments(t *testing.T) {
	w := start(t, sim.Options{})
	body := func(endpoint, words string, stream bool) string {
		prompt := "[[sim tool=weather " + words + "]] Rome?"
		if endpoint == "/v1/responses" {
			return response(prompt, responseTools, stream)
		}
		return strings.TrimSuffix(completion(prompt, stream), "}") + chatTools + "}"
	}
	for endpoint, start := range map[string]string{
		"/v1/chat/completions": `"function":{"arguments":"`,
		"/v1/responses":        `"output_index":0,"delta":"`,
	} {
		malformed := w.post(t, endpoint, body(endpoint, "fault=malformed", true)).body
		giant := w.post(t, endpoint, body(endpoint, "fault=giant amount=64KiB", true)).body
		endless := w.post(t, endpoint, body(endpoint, "fault=endless_line amount=64KiB", true)).body
		if !strings.Contains(malformed, start+"\n\n") || !strings.Contains(giant, start+"aaaa") || !strings.HasSuffix(endless, "aaaa") || !strings.Contains(endless, start+"aaaa") {
			t.Errorf("%s: got %.80q, %.80q and %.80q; want the arguments broken, padded and without an end", endpoint, malformed[max(strings.Index(malformed, start), 0):], giant[max(strings.Index(giant, start), 0):], endless[max(strings.Index(endless, start), 0):])
		}
		whole := w.post(t, endpoint, body(endpoint, "fault=giant amount=64KiB", false)).body
		if !json.Valid([]byte(whole)) || !strings.Contains(whole, `"arguments": "aaaa`) {
			t.Errorf("%s: got %.300q, want valid JSON with padded arguments", endpoint, whole)
		}
		if cut := w.post(t, endpoint, body(endpoint, "fault=cut at=2", true)); cut.err == nil || strings.Contains(cut.body, "Rome") {
			t.Errorf("%s: got %q, %v; want the arguments cut off", endpoint, cut.body, cut.err)
		}
		never, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		r := w.request(never, t, body(endpoint, "fault=never_ending pace=1ms", true))
		r.URL.Path = endpoint
		if got := w.do(t, r); got.err == nil || strings.Count(got.body, start) < 10 {
			t.Errorf("%s: got %q, %v; want piece after piece", endpoint, got.body, got.err)
		}
		cancel()
	}
}

func TestTheKeyIsEchoedInToolArguments(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		for _, words := range []string{"leak=whole", "leak=bytes", fmt.Sprintf("leak=split split=%d", len(key)/2)} {
			calls, _, _ := w.chatCalls(t, "[[sim tool=weather "+words+"]]", chatTools, stream)
			if len(calls) != 1 || !strings.Contains(calls[0].Args, key) {
				t.Errorf("chat completions, %s: got %+v, want the key in the arguments", words, calls)
			}
			if calls = w.responseCalls(t, "[[sim tool=note "+words+"]]", responseTools, stream); len(calls) != 1 || !strings.Contains(calls[0].Args, key) {
				t.Errorf("responses, %s: got %+v, want the key in the input", words, calls)
			}
		}
		if calls, _, _ := w.chatCalls(t, "[[sim tool=weather leak=fields]]", chatTools, stream); calls[0].Name != key || calls[0].ID != "call_"+key {
			t.Errorf("got %+v, want the key in id and name", calls)
		}
	})
}
