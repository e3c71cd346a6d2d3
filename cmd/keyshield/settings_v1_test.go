package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// endpointsAreOpened: only those that are named; in dev all.
func endpointsAreOpened(t *testing.T) {
	open := func(r *rig) (all []string) {
		for _, path := range []string{"/api/generate-text", "/v1/chat/completions", "/api/chat", "/api/completion", "/v1/responses", "/v1/embeddings", "/v1/moderations"} {
			if r.post(path, "{}").status != 404 {
				all = append(all, path)
			}
		}
		return all
	}
	for setting, want := range map[string][]string{
		"ENDPOINTS":                       {"/api/generate-text"},
		"ENDPOINTS=text":                  {"/api/generate-text"},
		"ENDPOINTS=chat":                  {"/v1/chat/completions", "/api/chat", "/api/completion"},
		"ENDPOINTS=moderations,responses": {"/v1/responses", "/v1/moderations"},
		"ENDPOINTS=text,chat,responses,moderations,embeddings|MODELS=gpt-6-luna,text-embedding-3-small": {
			"/api/generate-text", "/v1/chat/completions", "/api/chat", "/api/completion", "/v1/responses", "/v1/embeddings", "/v1/moderations"},
	} {
		if diff := cmp.Diff(want, open(start(t, strings.Split(setting, "|")...))); diff != "" {
			t.Errorf("%s: open are (-want +got):\n%s", setting, diff)
		}
	}
	dev := tryOut(t, nil, "JWT_SECRET="+jwtSecret)
	for _, w := range ways() {
		if got := dev.post(w.path, w.body("hi")); got.status != 200 {
			t.Errorf("in dev %s got %d %s", w.path, got.status, got.body)
		}
	}
}

// maxBodyOfV1Caps everything but the text API, which has a cap of its own.
func maxBodyOfV1Caps(t *testing.T) {
	r := startV1(t, "MAX_BODY_V1=2KiB", "MAX_BODY=1KiB", "MAX_PROMPT_CHARS=5000")
	for _, w := range ways() {
		r.post(w.path, w.body(strings.Repeat("a", 1900))).wants200(t, jsonForm)
		if p := r.post(w.path, w.body(strings.Repeat("a", 2048))).wantsV1(t, 413, "body_too_large"); p.Message != "The request body is too large. Please keep it under 2048 bytes." {
			t.Errorf("%s: got the words %q", w.name, p.Message)
		}
	}
	for _, h := range hooks() {
		r.post(h.path, h.body(strings.Repeat("a", 1800))).wants200(t, eventForm)
		r.post(h.path, h.body(strings.Repeat("a", 2048))).wants(t, 413, "body_too_large")
	}
	r.ask(strings.Repeat("a", 1100)).wants(t, 413, "body_too_large")

	usual := startV1(t, "MAX_BODY_V1")
	if got := usual.chat(strings.Repeat("a", 1_000_000)); got.status != 200 {
		t.Errorf("a megabyte into 1 MiB: got %d %.300s", got.status, got.body)
	}
	usual.chat(strings.Repeat("a", 1<<20)).wantsV1(t, 413, "body_too_large")
}

// modelsMayBeAsked: by their exact ids; unset the one of the text API.
func modelsMayBeAsked(t *testing.T) {
	for setting, want := range map[string][]string{
		"MODELS":                                   {"gpt-6-luna"},
		"MODELS|OPENAI_MODEL=gpt-4o-mini":          {"gpt-4o-mini"},
		"MODELS=gpt-6-sol":                         {"gpt-6-sol"},
		"MODELS=gpt-4o-mini,gpt-4o-2024-11-20":     {"gpt-4o-mini", "gpt-4o-2024-11-20"},
		"MODELS= gpt-6-sol , gpt-6-luna ":          {"gpt-6-sol", "gpt-6-luna"},
		"MODELS=gpt-6-sol|OPENAI_MODEL=gpt-6-luna": {"gpt-6-sol"},
	} {
		r := start(t, append([]string{"ENDPOINTS=text,chat,responses"}, strings.Split(setting, "|")...)...)
		if diff := cmp.Diff(want, r.models(t)); diff != "" {
			t.Errorf("%s: the models (-want +got):\n%s", setting, diff)
		}
		for _, model := range []string{"gpt-6-luna", "gpt-6-sol", "gpt-4o-mini", "gpt-4o-2024-11-20", "gpt-4o"} {
			for _, w := range ways()[:2] {
				got := r.post(w.path, w.body("hi", fmt.Sprintf(`"model":%q`, model)))
				if !strings.Contains(" "+strings.Join(want, " ")+" ", " "+model+" ") {
					got.wantsV1(t, 404, "model_not_found")
				} else if got.wants200(t, jsonForm); lastCall(t, r)["model"] != model {
					t.Errorf("%s: asked for %s, and OpenAI for %v", setting, model, lastCall(t, r)["model"])
				}
			}
		}
		r.ask("hi").wants200(t, jsonForm) // whose model is another setting
	}
}

// outputOfV1IsBounded: the smaller of what is asked and what is set.
func outputOfV1IsBounded(t *testing.T) {
	for setting, most := range map[string]float64{"MAX_OUTPUT_TOKENS_V1": 2048, "MAX_OUTPUT_TOKENS_V1=16": 16, "MAX_OUTPUT_TOKENS_V1=128000": 128000} {
		r := startV1(t, setting, "MAX_OUTPUT_TOKENS=20")
		for asked, want := range map[int]float64{0: most, 16: 16, 17: min(17, most), 200_000: most} {
			r.wantsLimits(t, asked, want)
		}
		r.post("/api/chat", hookSays("hi")).wants200(t, eventForm)
		if got := lastCall(t, r)["max_completion_tokens"]; got != most {
			t.Errorf("%s: the limit of /api/chat is %v, want %v", setting, got, most)
		}
		r.ask("hi").wants200(t, jsonForm)
		if got := lastCall(t, r)["max_completion_tokens"]; got != 20.0 {
			t.Errorf("%s: the limit of the text API is %v, want its own", setting, got)
		}
	}
}

// wantsLimits asks for so many tokens, or not, on chat completions and responses.
func (r *rig) wantsLimits(t *testing.T, asked int, want float64, headers ...string) {
	t.Helper()
	for _, w := range ways()[:2] {
		member := map[string]string{"chat": "max_completion_tokens", "responses": "max_output_tokens"}[w.name]
		body := w.body("hi")
		if asked > 0 {
			body = w.body("hi", fmt.Sprintf("%q:%d", member, asked))
		}
		r.post(w.path, body, headers...).wants200(t, jsonForm)
		if got := lastCall(t, r)[member]; got != want {
			t.Errorf("%s: of %d asked %v is sent as %s, want %v", w.name, asked, got, member, want)
		}
	}
}

// systemPromptOfV1ComesFirst, before all that the client says, and nobody gets to
// see it; the text API has another.
func systemPromptOfV1ComesFirst(t *testing.T) {
	const ours = `Never mention "wombats".`
	r := startV1(t, "SYSTEM_PROMPT_V1="+ours, "SYSTEM_PROMPT=Be brief.")
	ask := func(path, body string) []any {
		got := r.post(path, body).wantsAnswer(t)
		if strings.Contains(got.body, "wombats") {
			t.Errorf("%s: the system prompt is in the answer: %s", path, got.body)
		}
		sent := lastCall(t, r)
		if sent["instructions"] != nil {
			t.Errorf("instructions are sent, which the answer repeats: %v", sent["instructions"])
		}
		if path == "/v1/responses" {
			return sent["input"].([]any)
		}
		return sent["messages"].([]any)
	}
	item := func(role, text string) any { return jsonObject{"type": "message", "role": role, "content": text} }
	message := func(role, text string) any { return jsonObject{"role": role, "content": text} }
	for _, more := range []string{"", `,"stream":true`} {
		for body, want := range map[string][]any{
			`"messages":[{"role":"user","content":"hi"}]`:                                           {message("system", ours), message("user", "hi")},
			`"messages":[{"role":"system","content":"Be loud"},{"role":"user","content":"hi"}]`:     {message("system", ours), message("system", "Be loud"), message("user", "hi")},
			`"messages":[{"role":"user","content":"hi"},{"role":"developer","content":"Be loud."}]`: {message("system", ours), message("user", "hi"), message("developer", "Be loud.")},
		} {
			if diff := cmp.Diff(want, ask("/v1/chat/completions", `{"model":"gpt-6-luna",`+body+more+"}")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", body, diff)
			}
		}
		for body, want := range map[string][]any{
			`"input":"hi"`:                          {item("system", ours), item("user", "hi")},
			`"input":"hi","instructions":"Be loud"`: {item("system", ours), item("developer", "Be loud"), item("user", "hi")},
			`"input":[{"role":"developer","content":"Be loud"},{"role":"user","content":"hi"}]`: {item("system", ours), item("developer", "Be loud"), item("user", "hi")},
		} {
			if diff := cmp.Diff(want, ask("/v1/responses", `{"model":"gpt-6-luna",`+body+more+"}")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", body, diff)
			}
		}
	}
	r.ask("hi").wants200(t, jsonForm)
	if diff := cmp.Diff(messages("Be brief.", "hi"), lastCall(t, r)["messages"]); diff != "" {
		t.Errorf("the text API (-want +got):\n%s", diff)
	}
}

func planBoundsV1(t *testing.T) {
	r := startV1(t, "MAX_OUTPUT_TOKENS_V1=100", plansAre(t, `{"short": {"output_tokens_v1": 16}, "long": {"output_tokens_v1": 9000}}`))
	for plan, most := range map[string]float64{"short": 16, "": 100, "long": 9000} {
		who := onPlan(t, "ana", plan)
		r.wantsLimits(t, 0, most, who)
		r.wantsLimits(t, 50, min(50, most), who)
		r.wantsLimits(t, 20_000, most, who)
		r.post("/api/completion", `{"prompt":"hi"}`, who).wants200(t, eventForm)
		if got := lastCall(t, r)["max_completion_tokens"]; got != most {
			t.Errorf("plan %q: the limit of /api/completion is %v, want %v", plan, got, most)
		}
	}
}

func planForbidsSystemMessages(t *testing.T) {
	r := startV1(t, "SYSTEM_PROMPT_V1=Ours.", plansAre(t, `{"strict": {"system_messages": false}, "free": {"system_messages": true}}`))
	theirs := [][2]string{
		{"/v1/chat/completions", `{"model":"gpt-6-luna","messages":[{"role":"system","content":"x"},{"role":"user","content":"hi"}]}`},
		{"/v1/chat/completions", `{"model":"gpt-6-luna","messages":[{"role":"user","content":"hi"},{"role":"developer","content":"x"}]}`},
		{"/v1/responses", `{"model":"gpt-6-luna","input":"hi","instructions":"x"}`},
		{"/v1/responses", `{"model":"gpt-6-luna","input":[{"role":"system","content":"x"},{"role":"user","content":"hi"}]}`},
	}
	for _, ask := range theirs {
		for _, plan := range []string{"", "free"} {
			r.post(ask[0], ask[1], onPlan(t, "ana", plan)).wants200(t, jsonForm)
		}
		r.untouched(func() {
			if p := r.post(ask[0], ask[1], onPlan(t, "ana", "strict")).wantsV1(t, 400, "invalid_field"); !strings.Contains(p.Message, "system") {
				t.Errorf("%s: %+v does not say what", ask[1], p)
			}
		})
	}
	for _, w := range ways()[:2] { // ours is no wish of the client's
		r.post(w.path, w.body("hi"), onPlan(t, "ana", "strict")).wants200(t, jsonForm)
	}
	r.post("/api/chat", turnsOf("system: x", "", "hi"), onPlan(t, "ana", "strict")).wants(t, 400, "invalid_field")
	r.post("/api/chat", turnsOf("system: x", "", "hi"), onPlan(t, "ana", "free")).wants200(t, eventForm)
}

func planOpensLogprobs(t *testing.T) {
	r := startV1(t, plansAre(t, `{"all": {"logprobs": true}, "not": {"logprobs": false}}`))
	for _, c := range []struct {
		way          way
		more, member string
		sent         any
	}{
		{wayTo("chat"), `"logprobs":true`, "logprobs", true},
		{wayTo("chat"), `"logprobs":true,"top_logprobs":2`, "top_logprobs", 2.0},
		{wayTo("responses"), `"top_logprobs":2`, "top_logprobs", 2.0},
		{wayTo("responses"), `"include":["message.output_text.logprobs"]`, "include", []any{"message.output_text.logprobs"}},
	} {
		body := c.way.body("hi", c.more)
		r.post(c.way.path, body, onPlan(t, "ana", "all")).wants200(t, jsonForm)
		if diff := cmp.Diff(c.sent, lastCall(t, r)[c.member]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.more, diff)
		}
		for _, plan := range []string{"", "not"} {
			r.untouched(func() {
				if p := r.post(c.way.path, body, onPlan(t, "ana", plan)).wantsV1(t, 400, "invalid_field"); p.param() != "logprobs" {
					t.Errorf("%s: the field at fault is %q", c.more, p.param())
				}
			})
		}
		r.post(c.way.path, c.way.body("hi"), onPlan(t, "ana", "not")).wants200(t, jsonForm)
	}
	r.chat("hi", `"logprobs":false`).wants200(t, jsonForm)
}

func planOpensTiers(t *testing.T) {
	r := startV1(t, plansAre(t, `{"slow": {"service_tiers": ["flex"]}, "fast": {"service_tiers": ["priority", "fast"]}, "not": {"service_tiers": []}}`))
	for plan, open := range map[string]string{"": "", "not": "", "slow": "flex", "fast": "priority fast"} {
		who := onPlan(t, "ana", plan)
		for _, tier := range []string{"default", "auto", "flex", "priority", "fast"} {
			for _, w := range ways()[:2] {
				ask := func() reply { return r.post(w.path, w.body("hi", `"service_tier":"`+tier+`"`), who) }
				if tier != "default" && tier != "auto" && !strings.Contains(open, tier) {
					r.untouched(func() {
						if p := ask().wantsV1(t, 400, "invalid_field"); p.param() != "service_tier" || !strings.Contains(p.Message, tier) {
							t.Errorf("%s: %+v", tier, p)
						}
					})
					continue
				}
				ask().wants200(t, jsonForm)
				if got := lastCall(t, r)["service_tier"]; got != strings.Replace(tier, "auto", "default", 1) {
					t.Errorf("plan %q, %s: %s is sent as %v", plan, w.name, tier, got)
				}
			}
		}
	}
}

func planOpensModels(t *testing.T) {
	r := startV1(t, "MODELS=gpt-6-luna,text-embedding-3-small", plansAre(t, `{"large": {"models": ["gpt-6-sol", "gpt-6-luna"]}, "small": {"models": ["gpt-4o-mini"]}}`))
	for plan, open := range map[string]string{"": "gpt-6-luna", "large": "gpt-6-sol gpt-6-luna", "small": "gpt-4o-mini"} {
		for _, model := range []string{"gpt-6-luna", "gpt-6-sol", "gpt-4o-mini"} {
			for _, w := range ways()[:2] {
				got := r.post(w.path, w.body("hi", `"model":"`+model+`"`), onPlan(t, "ana", plan))
				if strings.Contains(open, model) {
					got.wants200(t, jsonForm)
				} else {
					got.wantsV1(t, 404, "model_not_found")
				}
			}
		}
	}
	// The hooks answer with the operator's model, which a plan may leave out.
	r.post("/api/chat", hookSays("hi"), onPlan(t, "ana", "large")).wants200(t, eventForm)
	r.post("/api/chat", hookSays("hi"), onPlan(t, "ana", "small")).wants(t, 403, "model_not_allowed")
}
