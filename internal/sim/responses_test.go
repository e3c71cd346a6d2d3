package sim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/sim"
)

// post sends a body to any endpoint.
func (w *world) post(t *testing.T, path, body string) answer {
	t.Helper()
	r := w.request(t.Context(), t, body)
	r.URL.Path = path
	return w.do(t, r)
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// response asks for one; members come after the input, each with a comma before it.
func response(prompt, members string, stream bool) string {
	if stream {
		members += `,"stream":true`
	}
	return `{"model":"gpt-6-luna","reasoning":{"effort":"none"},"input":` + quoted(prompt) + members + `}`
}

// event is one of a stream of responses.
type event struct {
	Type     string
	Sequence int    `json:"sequence_number"`
	Index    int    `json:"output_index"`
	ItemID   string `json:"item_id"`
	Delta    *string
	Text     *string
	Refusal  string
	Code     string
	Message  string
	Error    *struct{ Code, Message string }
	Args     string `json:"arguments"`
	Input    string
	Item     outputItem
	Response *responseObject
}

type outputItem struct {
	ID, Type, Status, Role string
	CallID                 string `json:"call_id"`
	Name, Arguments, Input string
	Encrypted              string `json:"encrypted_content"`
	Content                []struct {
		Type          string
		Text, Refusal *string
	}
}

type responseObject struct {
	ID, Object, Status, Model string
	Error                     *struct{ Code, Message string }
	Incomplete                *struct{ Reason string } `json:"incomplete_details"`
	Output                    []outputItem
	Usage                     *responseUsage
}

type responseUsage struct {
	In    int `json:"input_tokens"`
	Out   int `json:"output_tokens"`
	Total int `json:"total_tokens"`
	InD   struct {
		Cached  int `json:"cached_tokens"`
		Written int `json:"cache_write_tokens"`
	} `json:"input_tokens_details"`
	OutD struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
}

func (r *responseObject) text() string {
	text := ""
	for _, i := range r.Output {
		for _, c := range i.Content {
			if c.Text != nil {
				text += *c.Text
			}
		}
	}
	return text
}

// eventsOf reads a stream, and insists on what every event has.
func eventsOf(t *testing.T, body string) []event {
	t.Helper()
	var all []event
	for frame := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		name, data, ok := strings.Cut(frame, "\ndata: ")
		var e event
		if err := json.Unmarshal([]byte(data), &e); err != nil || !ok || name != "event: "+e.Type || e.Sequence != len(all) {
			t.Fatalf("event %d is %q: want an event line with its type, its number and JSON (%v)", len(all), frame, err)
		}
		all = append(all, e)
	}
	return all
}

// heard is the response of an answer, streamed or not, and the deltas.
func heard(t *testing.T, a answer, stream bool) (*responseObject, []string) {
	t.Helper()
	if a.err != nil || a.status != 200 {
		t.Fatalf("got %d %s, %v; want a whole answer", a.status, a.body, a.err)
	}
	if !stream {
		var r responseObject
		if err := json.Unmarshal([]byte(a.body), &r); err != nil {
			t.Fatalf("%q: %v", a.body, err)
		}
		return &r, nil
	}
	var deltas []string
	all := eventsOf(t, a.body)
	for _, e := range all {
		if e.Delta != nil {
			deltas = append(deltas, *e.Delta)
		}
	}
	return all[len(all)-1].Response, deltas
}

func TestResponsesAreGolden(t *testing.T) {
	w := start(t, sim.Options{})
	const members = `,"instructions":"Be \"brief\".","store":false,"max_output_tokens":500,"metadata":{"b":"2","a":"1"},"safety_identifier":"u1",` +
		`"service_tier":"default","text":{"format":{"type":"text"}}`
	const tools = `,"tools":[{"type":"function","name":"weather","parameters":{"type":"object",` + "\n" + `"properties":{"city":{"type":"string"}}}}]`
	for name, body := range map[string]string{
		"response":             response("What is a key? [[sim chunks=2]]", members, false),
		"response_stream":      response("What is a key? [[sim chunks=2]]", members, true),
		"response_reasoning":   strings.Replace(response("[[sim text=yes]]", `,"include":["reasoning.encrypted_content"]`, true), `"none"`, `"low"`, 1),
		"response_call_stream": response("[[sim tool=weather chunks=2]] Rome?", tools, true),
	} {
		t.Run(name, func(t *testing.T) { golden(t, w, name, "/v1/responses", body) })
	}
}

func TestResponsesTellTheirStory(t *testing.T) {
	w := start(t, sim.Options{})
	text := []string{"response.output_item.added", "response.content_part.added", "response.output_text.delta", "response.output_text.done",
		"response.content_part.done", "response.output_item.done"}
	call := []string{"response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done", "response.output_item.done"}
	for _, c := range []struct {
		words, effort string
		want          []string // between response.in_progress and the end
		end           string
	}{
		{"", "none", text, "response.completed"},
		{"", "low", append([]string{"response.output_item.added", "response.output_item.done"}, text...), "response.completed"},
		{"finish=length", "none", text, "response.incomplete"},
		{"finish=content_filter", "none", text, "response.incomplete"},
		{"refusal", "none", []string{text[0], text[1], "response.refusal.delta", "response.refusal.done", text[4], text[5]}, "response.completed"},
		{"tool=f", "none", call, "response.completed"},
		{"tool=f calls=2", "none", append(call[:4:4], call...), "response.completed"},
		{"tool=c", "none", []string{call[0], "response.custom_tool_call_input.delta", "response.custom_tool_call_input.done", call[3]}, "response.completed"},
		{"fault=reasoning_only", "low", []string{"response.output_item.added", "response.output_item.done"}, "response.incomplete"},
		{"fault=null_content", "none", []string{text[0], text[1], text[3], text[4], text[5]}, "response.completed"},
		{"fault=failed at=-1", "none", nil, "response.failed"},
	} {
		t.Run(c.words+" "+c.effort, func(t *testing.T) {
			body := response("[[sim "+c.words+"]] hello", `,"tools":[{"type":"function","name":"f"},{"type":"custom","name":"c"}]`, true)
			all := eventsOf(t, w.post(t, "/v1/responses", strings.Replace(body, `"none"`, `"`+c.effort+`"`, 1)).body)
			var got []string
			for _, e := range all {
				if len(got) == 0 || got[len(got)-1] != e.Type {
					got = append(got, e.Type)
				}
			}
			want := append(append([]string{"response.created", "response.in_progress"}, c.want...), c.end)
			if strings.HasSuffix(c.words, "at=-1") { // struck before anything
				want = []string{c.end}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestResponsesAddUp(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		ask := func(words, members string) (*responseObject, []string) {
			t.Helper()
			return heard(t, w.post(t, "/v1/responses", response("[[sim "+words+"]] hello", members, stream)), stream)
		}
		got, deltas := ask("", "")
		if text := got.text(); !strings.Contains(text, "hello") || stream && strings.Join(deltas, "") != text || got.Usage.Out != (len(text)+3)/4 || got.Status != "completed" {
			t.Errorf("got %q, %q, %+v; want one text, counted", got.text(), deltas, got)
		}
		got, _ = ask("size=1000", `,"max_output_tokens":16`)
		if len(got.text()) != 64 || got.Status != "incomplete" || got.Incomplete.Reason != "max_output_tokens" || got.Usage.Out != 16 {
			t.Errorf("got %+v, want 64 bytes, incomplete, 16 tokens", got)
		}
		if got, _ = ask("finish=content_filter", ""); got.Incomplete.Reason != "content_filter" || strings.Contains(got.text(), "stand here") {
			t.Errorf("got %+v, want half a text, content_filter", got)
		}
		if got, _ = ask("refusal", ""); got.text() != "" || got.Output[0].Content[0].Type != "refusal" || !strings.Contains(*got.Output[0].Content[0].Refusal, "refuse") {
			t.Errorf("got %+v, want only a refusal", got)
		}
		if got, _ = ask("fault=null_content", ""); got.Output[0].Content[0].Text != nil {
			t.Errorf("got %+v, want a text that is null", got)
		}
		if got, _ = ask("fault=reasoning_only", ""); len(got.Output) != 1 || got.Output[0].Type != "reasoning" || got.Usage.OutD.Reasoning != got.Usage.Out || got.Status != "incomplete" {
			t.Errorf("got %+v, want only reasoning", got)
		}
		if got, _ = ask("model=gpt-6-astra", ""); got.Model != "gpt-6-astra" {
			t.Errorf("got model %q, want the other", got.Model)
		}
	})
}

func TestResponsesUsageCanLie(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		for words, wrong := range map[string]func(*responseUsage) bool{
			"usage=missing":             func(u *responseUsage) bool { return u == nil },
			"usage=null":                func(u *responseUsage) bool { return u == nil },
			"usage=zero":                func(u *responseUsage) bool { return *u == responseUsage{} },
			"usage=negative":            func(u *responseUsage) bool { return u.In < 0 && u.Out < 0 && u.Total < 0 },
			"usage=huge":                func(u *responseUsage) bool { return u.In == 1<<63-1 && u.Out == 1<<63-1 },
			"usage=cached":              func(u *responseUsage) bool { return u.InD.Cached > u.In },
			"usage=written":             func(u *responseUsage) bool { return u.InD.Written > u.In },
			"extra_tokens=16 text=four": func(u *responseUsage) bool { return u.Out == 17 },
		} {
			before := w.Report()
			if got, _ := heard(t, w.post(t, "/v1/responses", response("[[sim "+words+"]]", "", stream)), stream); !wrong(got.Usage) {
				t.Errorf("%s: got %+v", words, got.Usage)
			}
			if after := w.Report(); after.BillNano <= before.BillNano {
				t.Errorf("%s: the bill did not grow: it stays true", words)
			}
		}
	})
}

// What a failed response says of its usage is what it is billed.
func TestFailedResponsesSayWhatTheyCost(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		for _, words := range []string{"fault=failed", "fault=failed at=4", "fault=failed at=-1", "fault=failed harsh", "fault=failed leak=error"} {
			w.control(t, "POST", "reset", "", http.StatusOK)
			a := w.post(t, "/v1/responses", response("[[sim "+words+"]] hello", "", stream))
			got, _ := heard(t, a, stream)
			r := w.Report()
			if got.Status != "failed" || got.Error == nil || got.Error.Code != "server_error" || r.Failed != 1 {
				t.Errorf("%s: got %+v, %+v; want a failed response", words, got, r)
			}
			if int64(got.Usage.In) != r.TokensIn || int64(got.Usage.Out) != r.TokensOut || r.TokensIn == 0 {
				t.Errorf("%s: got usage %+v, billed %d + %d; want the same", words, got.Usage, r.TokensIn, r.TokensOut)
			}
			if strings.Contains(words, "leak") != strings.Contains(a.body, key) {
				t.Errorf("%s: got %s", words, a.body)
			}
		}
	})
}

func TestResponsesRefuseWhatOpenAIRefuses(t *testing.T) {
	w := start(t, sim.Options{})
	for _, c := range []struct {
		body        string
		status      int
		param, code any
		message     string
	}{
		{`{"input":"hi"}`, 400, "model", "missing_required_parameter", "'model'"},
		{`{"model":"gpt-4o"}`, 400, nil, "missing_required_parameter", `One of "input"`},
		{`{"model":"gpt-4o","input":3}`, 400, "input", "invalid_type", "string or array"},
		{`{"model":"gpt-4o","input":[]}`, 400, "input", "empty_array", "empty"},
		{`{"model":"gpt-4o","input":"hi","messages":[]}`, 400, "messages", "unknown_parameter", "messages"},
		{`{"model":"gpt-4o","input":[{"role":"user","content":"hi","x":1}]}`, 400, "input[0].x", "unknown_parameter", "input[0].x"},
		{`{"model":"gpt-4o","input":[{"role":"user","content":[{"type":"input_text","txt":"hi"}]}]}`, 400, "input[0].content[0].txt", "unknown_parameter", "txt"},
		{`{"model":"gpt-4o","input":[{"role":"king","content":"hi"}]}`, 400, "input[0].role", "invalid_value", "king"},
		{`{"model":"gpt-4o","input":[{"type":"compaction"}]}`, 400, "input[0].type", "invalid_value", "compaction"},
		{`{"model":"gpt-4o","input":[{"id":"msg_1"}]}`, 404, "input", nil, "Item with id 'msg_1' not found"},
		{`{"model":"gpt-4o","input":[{"type":"item_reference","id":"rs_1"}]}`, 404, "input", nil, "Item with id 'rs_1' not found"},
		{`{"model":"gpt-4o","input":[{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}]}`, 400, "input", nil, "No tool output found for function call a"},
		{`{"model":"gpt-4o","input":[{"type":"function_call_output","call_id":"a","output":"x"}]}`, 400, "input", nil, "No tool call found for function call output with call_id a"},
		{`{"model":"gpt-4o","input":[{"type":"custom_tool_call","call_id":"a","name":"f","input":""},{"type":"function_call_output","call_id":"a","output":"x"}]}`, 400, "input", nil, "No tool call found"},
		{`{"model":"gpt-4o","input":"hi","previous_response_id":"resp_1"}`, 400, "previous_response_id", "previous_response_not_found", "resp_1"},
		{`{"model":"gpt-4o","input":"hi","conversation":{"id":"conv_1"}}`, 404, nil, nil, "conv_1"},
		{`{"model":"gpt-4o","input":"hi","prompt":{"id":"pmpt_1"}}`, 404, nil, nil, "pmpt_1"},
		{`{"model":"gpt-4o","input":"hi","background":true,"store":false}`, 400, "background", nil, "store"},
		{`{"model":"gpt-4o","input":"hi","max_output_tokens":5}`, 400, "max_output_tokens", "integer_below_min_value", ">= 16"},
		{`{"model":"gpt-4o","input":"hi","reasoning":{"effort":"low"}}`, 400, "reasoning.effort", "unsupported_parameter", "reasoning.effort"},
		{`{"model":"gpt-6-luna","input":"hi","temperature":0.5}`, 400, "temperature", "unsupported_parameter", "temperature"},
		{`{"model":"gpt-4o","input":"hi","include":["everything"]}`, 400, "include[0]", "invalid_value", "everything"},
		{`{"model":"text-embedding-3-small","input":"hi"}`, 400, "model", "unsupported_model", "Responses API"},
	} {
		got := w.post(t, "/v1/responses", c.body)
		e := envelope(t, got.body)
		if got.status != c.status || e["param"] != c.param || e["code"] != c.code || !strings.Contains(e["message"].(string), c.message) {
			t.Errorf("%s: got %d %v, want %d, param %v, code %v and %q", c.body, got.status, e, c.status, c.param, c.code, c.message)
		}
	}
	if r := w.Report(); r.BillNano != 0 || r.Refused != r.Calls {
		t.Errorf("got %+v, want every call refused and none billed", r)
	}
	for _, body := range []string{
		`{"model":"gpt-4o","input":"hi","tools":[{"type":"web_search","search_context_size":"low"}],"background":false,"conversation":null,"prompt_cache_key":"k"}`,
		`{"model":"o3","input":[{"type":"message","role":"assistant","id":"msg_1","status":"completed","content":[{"type":"output_text","text":"a","annotations":[]}]},` +
			`{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"},{"role":"user","content":[{"type":"input_text","text":"hi"}]}]}`,
	} {
		if got := w.post(t, "/v1/responses", body); got.status != http.StatusOK {
			t.Errorf("%s: got %d %s", body, got.status, got.body)
		}
	}
}

func TestResponsesErrorEventsHaveBothShapes(t *testing.T) {
	w := start(t, sim.Options{})
	last := func(words string) event {
		all := eventsOf(t, w.post(t, "/v1/responses", response("[[sim "+words+"]] hello", "", true)).body)
		return all[len(all)-1]
	}
	if e := last("fault=error_chunk"); e.Type != "error" || e.Code != "server_error" || e.Message == "" || e.Error != nil {
		t.Errorf("got %+v, want the error as documented", e)
	}
	if e := last("fault=error_event leak=error"); e.Type != "error" || e.Error == nil || !strings.Contains(e.Error.Message, key) {
		t.Errorf("got %+v, want the error inside, and the key in it", e)
	}
	if e := last("fault=no_done"); e.Type != "response.output_item.done" {
		t.Errorf("got %+v, want no end", e)
	}
	if got := w.post(t, "/v1/responses", response(fmt.Sprintf("[[sim split=%d leak=split]]", len(key)), "", true)); got.status != 400 || !strings.Contains(got.body, `"param": "input"`) {
		t.Errorf("got %d %s, want the input named", got.status, got.body)
	}
}
