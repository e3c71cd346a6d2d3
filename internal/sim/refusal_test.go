package sim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"keyshield/internal/sim"
)

// envelope decodes OpenAI's error, and insists on its four members.
func envelope(t *testing.T, body string) map[string]any {
	t.Helper()
	var e struct {
		Error map[string]any `json:"error"`
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%q is no envelope: %v", body, err)
	}
	for _, name := range []string{"message", "type", "param", "code"} {
		if _, ok := e.Error[name]; !ok {
			t.Errorf("%s: no member %s", body, name)
		}
	}
	return e.Error
}

func TestRefusesWhatOpenAIRefuses(t *testing.T) {
	w := start(t, sim.Options{})
	const messages = `"messages":[{"role":"user","content":"hi"}]`
	for _, c := range []struct {
		name, body  string
		param, code any
		message     string
	}{
		{"not JSON", `{"model":`, nil, nil, "could not parse"},
		{"an array", `[]`, nil, nil, "could not parse"},
		{"nothing", ``, nil, nil, "could not parse"},
		{"trailing data", `{"model":"gpt-4o",` + messages + `} x`, nil, nil, "could not parse"},
		{"not UTF-8", `{"model":"` + "\xff" + `",` + messages + `}`, nil, nil, "could not parse"},
		{"a member twice", `{"model":"gpt-4o","model":"gpt-4o",` + messages + `}`, nil, nil, "could not parse"},
		{"no model", `{` + messages + `}`, nil, nil, "you must provide a model parameter"},
		{"no messages", `{"model":"gpt-4o"}`, "messages", "missing_required_parameter", "Missing required parameter"},
		{"empty messages", `{"model":"gpt-4o","messages":[]}`, "messages", "empty_array", "empty array"},
		{"unknown member", `{"model":"gpt-4o","frobnicate":1,` + messages + `}`, "frobnicate", "unknown_parameter", "Unknown parameter: 'frobnicate'."},
		{"case variant", `{"Model":"gpt-4o",` + messages + `}`, "Model", "unknown_parameter", "Unknown parameter: 'Model'."},
		{"unknown member of a message", `{"model":"gpt-4o","messages":[{"role":"user","content":"hi","x":1}]}`, "messages[0].x", "unknown_parameter", "messages[0].x"},
		{"unknown member of a part", `{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"text","txt":"hi"}]}]}`, "messages[0].content[0].txt", "unknown_parameter", "Unknown"},
		{"wrong type", `{"model":"gpt-4o","temperature":"hot",` + messages + `}`, "temperature", "invalid_type", "expected a decimal, but got a string instead"},
		{"content of a wrong type", `{"model":"gpt-4o","messages":[{"role":"user","content":3}]}`, "messages[0].content", "invalid_type", "string or array"},
		{"content null", `{"model":"gpt-4o","messages":[{"role":"user","content":null}]}`, "messages.[0].content", nil, "got null"},
		{"unknown role", `{"model":"gpt-4o","messages":[{"role":"king","content":"hi"}]}`, "messages[0].role", "invalid_value", "'king'"},
		{"max_tokens for a model that reasons", `{"model":"gpt-6-luna","max_tokens":9,` + messages + `}`, "max_tokens", "unsupported_parameter", "Use 'max_completion_tokens' instead"},
		{"temperature while reasoning", `{"model":"gpt-6-luna","temperature":0.2,` + messages + `}`, "temperature", "unsupported_value", "does not support 0.2"},
		{"top_p while reasoning", `{"model":"o3","top_p":0.2,` + messages + `}`, "top_p", "unsupported_parameter", "'top_p' is not supported"},
		{"effort none where it is not known", `{"model":"o4-mini","reasoning_effort":"none",` + messages + `}`, "reasoning_effort", "unsupported_value", "does not support 'none'"},
		{"effort for a model that does not reason", `{"model":"gpt-4o","reasoning_effort":"low",` + messages + `}`, nil, nil, "Unrecognized request argument supplied: reasoning_effort"},
		{"effort unheard of", `{"model":"gpt-6-luna","reasoning_effort":"lots",` + messages + `}`, "reasoning_effort", "invalid_value", "'lots'"},
		{"both limits", `{"model":"gpt-4o","max_tokens":9,"max_completion_tokens":9,` + messages + `}`, "max_tokens", "invalid_parameter_combination", "at the same time"},
		{"limit of zero", `{"model":"gpt-4o","max_tokens":0,` + messages + `}`, "max_tokens", "integer_below_min_value", ">= 1"},
		{"hot", `{"model":"gpt-4o","temperature":2.5,` + messages + `}`, "temperature", "decimal_above_max_value", "<= 2"},
		{"usage without a stream", `{"model":"gpt-4o","stream_options":{"include_usage":true},` + messages + `}`, "stream_options", nil, "only allowed when 'stream'"},
		{"tier unheard of", `{"model":"gpt-4o","service_tier":"first",` + messages + `}`, "service_tier", "invalid_value", "'first'"},
		{"long identifier", `{"model":"gpt-4o","safety_identifier":"` + strings.Repeat("a", 65) + `",` + messages + `}`, "safety_identifier", "string_above_max_length", "64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.do(t, w.request(t.Context(), t, c.body))
			if got.status != http.StatusBadRequest {
				t.Fatalf("got %d %s, want 400", got.status, got.body)
			}
			e := envelope(t, got.body)
			if e["param"] != c.param || e["code"] != c.code || e["type"] != "invalid_request_error" || !strings.Contains(e["message"].(string), c.message) {
				t.Errorf("got %v, want param %v, code %v and %q", e, c.param, c.code, c.message)
			}
		})
	}
	if r := w.Report(); r.BillNano != 0 || r.Refused != r.Calls {
		t.Errorf("got %+v, want every call refused and none billed", r)
	}
}

func TestAcceptsWhatOpenAIAccepts(t *testing.T) {
	w := start(t, sim.Options{})
	const messages = `"messages":[{"role":"user","content":[{"type":"text","text":"hi "},{"type":"text","text":"there"}]}]`
	for _, body := range []string{
		`{"model":"gpt-6-luna","reasoning_effort":"none","temperature":0.2,"top_p":0.5,` + messages + `}`,
		`{"model":"gpt-6-luna-2026-09-01","temperature":1,` + messages + `}`,
		`{"model":"gpt-4o","max_tokens":20,"temperature":0,"store":false,"service_tier":"default","user":"u","metadata":{"a":"b"},` + messages + `}`,
		`{"model":"something-new","n":1,"stop":["x"],"seed":1,"tools":[],` + messages + `}`,
		`{"model":"gpt-4o","max_tokens":null,"temperature":null,"stream":null,"stop":null,` + messages + `}`,
		`{"model":"gpt-4o","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"y","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"x","tool_call_id":"y"}]}`,
	} {
		if got := w.do(t, w.request(t.Context(), t, body)); got.status != http.StatusOK {
			t.Errorf("%s: got %d %s", body, got.status, got.body)
		}
	}
}

func TestKeyIsNeededAndItsEndsAreRepeated(t *testing.T) {
	w := start(t, sim.Options{Key: key})
	for _, c := range []struct {
		name, authorization, want string
	}{
		{"none", "", "You didn't provide an API key"},
		{"another scheme", "Basic " + key, "You didn't provide an API key"},
		{"wrong", "Bearer wrong-key-0123456789", "Incorrect API key provided: wrong-ke********6789."},
		{"short", "Bearer short", "Incorrect API key provided: short."},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, method := range []string{"GET /v1/models", "GET /v1/models/gpt-4o", "POST /v1/chat/completions", "POST /v1/responses", "POST /v1/embeddings", "POST /v1/moderations"} {
				method, path, _ := strings.Cut(method, " ")
				r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(completion("hi", false)))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", c.authorization)
				got := w.do(t, r)
				if got.status != 401 || !strings.Contains(envelope(t, got.body)["message"].(string), c.want) {
					t.Errorf("%s: got %d %s, want 401 with %q", path, got.status, got.body, c.want)
				}
			}
		})
	}
	if got := w.ask(t, "hi", false); got.status != http.StatusOK {
		t.Errorf("got %d %s with the right key", got.status, got.body)
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	w := start(t, sim.Options{NoControl: true})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v1/chat/completions", 405},
		{"POST", "/v1/models", 405},
		{"GET", "/v1/responses", 405},
		{"GET", "/v1/embeddings", 405},
		{"GET", "/v1/moderations", 405},
		{"GET", "/v1/responses/resp_1", 404},
		{"POST", "/v1/responses/resp_1/cancel", 404},
		{"POST", "/chat/completions", 404},
		{"GET", "/_sim/report", 404}, // switched off
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, w.url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		got := w.do(t, r)
		if got.status != c.status {
			t.Errorf("%s %s: got %d, want %d", c.method, c.path, got.status, c.status)
		}
		envelope(t, got.body)
	}
}
