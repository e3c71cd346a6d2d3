package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// openV1 are the settings with everything open, and a model of every kind.
func openV1() []string {
	return []string{
		"ENDPOINTS=text,chat,responses,embeddings,moderations",
		"MODELS=gpt-6-luna,gpt-6-sol,gpt-6-astra,gpt-5,gpt-4o-mini,gpt-3.5-turbo,text-embedding-3-small",
	}
}

// startV1 runs serve with them; a test's own settings come on top.
func startV1(t testing.TB, extra ...string) *rig {
	t.Helper()
	return start(t, append(openV1(), extra...)...)
}

// way is one of OpenAI's endpoints, with a request that is good.
type way struct {
	name    string // as in ENDPOINTS
	path    string
	model   string
	input   string // the member that holds what the user says
	streams bool
}

func ways() []way {
	return []way{
		{"chat", "/v1/chat/completions", luna, "messages", true},
		{"responses", "/v1/responses", luna, "input", true},
		{"embeddings", "/v1/embeddings", "text-embedding-3-small", "input", false},
		{"moderations", "/v1/moderations", "omni-moderation-latest", "input", false},
	}
}

func wayTo(name string) way {
	for _, w := range ways() {
		if w.name == name {
			return w
		}
	}
	panic("there is no endpoint " + name)
}

// body is a request with this text. Each more is a member as it is written; one of
// "model" replaces the usual model.
func (w way) body(text string, more ...string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	said := fmt.Sprintf(`%q:%s`, w.input, quoted)
	if w.name == "chat" {
		said = fmt.Sprintf(`"messages":[{"role":"user","content":%s}]`, quoted)
	}
	members := []string{fmt.Sprintf(`"model":%q`, w.model), said}
	for _, m := range more {
		if strings.HasPrefix(m, `"model"`) {
			members[0] = m
		} else {
			members = append(members, m)
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

const streaming = `"stream":true`

// chat posts a text to /v1/chat/completions.
func (r *rig) chat(text string, more ...string) reply {
	r.t.Helper()
	w := wayTo("chat")
	return r.post(w.path, w.body(text, more...))
}

// read is a GET by the user "ana"; headers are as with request.
func (r *rig) read(path string, headers ...string) reply {
	r.t.Helper()
	req := r.request(path, "", append([]string{"Content-Type:"}, headers...)...)
	req.Method, req.Body, req.GetBody, req.ContentLength = http.MethodGet, nil, nil, 0
	return r.do(req)
}

// wantsV1 checks the status and the code of a refusal in OpenAI's shape.
func (r reply) wantsV1(t testing.TB, status int, code string) openAIProblem {
	t.Helper()
	p := r.openAI(t)
	if r.status != status || p.Code != code || p.Message == "" {
		t.Errorf("got %d %s (%q), want %d %s", r.status, p.Code, p.Message, status, code)
	}
	return p
}

// param is the field at fault; "" is none.
func (p openAIProblem) param() string {
	if p.Param == nil {
		return ""
	}
	return *p.Param
}

// object reads a JSON object.
func object(t testing.TB, text string) (o map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("this is no JSON object: %v\n%s", err, text)
	}
	return o
}

// at walks into v by names and places: at(v, "choices", 0, "message").
func at(t testing.TB, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			o, ok := v.(map[string]any)
			if !ok || o[step] == nil {
				return nil
			}
			v = o[step]
		case int:
			a, ok := v.([]any)
			if !ok || step >= len(a) {
				return nil
			}
			v = a[step]
		default:
			t.Fatalf("a step is a name or a place, not %T", step)
		}
	}
	return v
}

// frames are a stream's events, which must end cleanly and be JSON but for the
// marker of the end.
func (r reply) frames(t testing.TB) (all []event) {
	t.Helper()
	all, _, err := events(strings.NewReader(r.body))
	if r.err != nil || err != nil {
		t.Errorf("the stream did not end cleanly: %v, %v", r.err, err)
	}
	for _, e := range all {
		if e.data != "[DONE]" && !json.Valid([]byte(e.data)) {
			t.Errorf("the event %q is no JSON", e.data)
		}
	}
	return all
}

// spoken joins the text of a stream of either kind.
func spoken(t testing.TB, all []event) string {
	t.Helper()
	var text strings.Builder
	for _, e := range all {
		if e.data == "[DONE]" {
			continue
		}
		o := object(t, e.data)
		if o["type"] == "response.output_text.delta" {
			text.WriteString(o["delta"].(string))
		}
		if s, ok := at(t, o, "choices", 0, "delta", "content").(string); ok {
			text.WriteString(s)
		}
	}
	return text.String()
}
