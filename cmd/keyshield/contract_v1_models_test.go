package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listed models, as an SDK reads them.
func (r *rig) models(t *testing.T, headers ...string) (ids []string) {
	t.Helper()
	got := r.read("/v1/models", headers...)
	got.wants200(t, jsonForm)
	list := object(t, got.body)
	if list["object"] != "list" {
		t.Errorf("this is no list: %s", got.body)
	}
	ids = []string{}
	for _, m := range list["data"].([]any) {
		id, _ := at(t, m, "id").(string)
		if diff := cmp.Diff(jsonObject{"id": id, "object": "model", "created": 0.0, "owned_by": "openai"}, m); diff != "" {
			t.Errorf("a model (-want +got):\n%s", diff)
		}
		ids = append(ids, id)
	}
	return ids
}

// TestTheListOfModelsIsTheCallers: those that this caller may ask for, and each of
// them alone too; OpenAI is not asked.
func TestTheListOfModelsIsTheCallers(t *testing.T) {
	t.Parallel()
	r := startV1(t, "MODELS=gpt-6-luna,gpt-4o-mini,text-embedding-3-small", plansAre(t, `{
		"one": {"models": ["gpt-6-sol"], "endpoints": ["chat"]},
		"vectors": {"endpoints": ["embeddings"]},
		"words": {"endpoints": ["text"]},
		"judge": {"endpoints": ["moderations"]},
		"none": {"endpoints": []}}`))
	free := []string{"omni-moderation-2024-09-26", "omni-moderation-latest"}
	for plan, want := range map[string][]string{
		"": append([]string{"gpt-6-luna", "gpt-4o-mini", "text-embedding-3-small"}, free...), "one": {"gpt-6-sol"}, "vectors": {"text-embedding-3-small"},
		"words": {}, "judge": free, "none": {},
	} {
		who := onPlan(t, "ana", plan)
		ids := r.models(t, who)
		if diff := cmp.Diff(want, ids); diff != "" {
			t.Errorf("plan %q: the models (-want +got):\n%s", plan, diff)
		}
		for _, id := range []string{"gpt-6-luna", "gpt-4o-mini", "gpt-6-sol", "text-embedding-3-small", "omni-moderation-latest", "gpt-4o", "x"} {
			got := r.read("/v1/models/"+id, who)
			if !slices.Contains(want, id) {
				if p := got.wantsV1(t, 404, "model_not_found"); p.param() != "model" {
					t.Errorf("the field at fault is %q", p.param())
				}
				wantsHeaders(t, id, got, "", false)
				continue
			}
			got.wants200(t, jsonForm)
			if o := object(t, got.body); o["id"] != id || o["object"] != "model" {
				t.Errorf("plan %q, %s: got %s", plan, id, got.body)
			}
			onlyOurs(t, id, got)
		}
	}
	if calls := r.sim.Requests(); len(calls) > 0 {
		t.Errorf("OpenAI was asked: %s", calls[0].Path)
	}
}

// TestAModelIsFoundHoweverItsNameIsEscaped: some clients escape each part of a path
// whole. What only looks like the path then is none.
func TestAModelIsFoundHoweverItsNameIsEscaped(t *testing.T) {
	t.Parallel()
	const tuned = "ft:gpt-4o-mini:acme::abc"
	r := startV1(t, "MODELS=gpt-6-luna,text-embedding-3-small,"+tuned, acmePrices(t, tuned))
	for path, want := range map[string]string{
		tuned: tuned, "ft%3Agpt-4o-mini%3Aacme%3A%3Aabc": tuned, "gpt%2D6-luna": "gpt-6-luna", "%67pt-6-luna": "gpt-6-luna",
		"gpt%252D6-luna": "", "gpt-6-luna%2F": "", "gpt-6-luna%2F..": "", "..%2Fmodels%2Fgpt-6-luna": "", "gpt-6-luna%00": "",
	} {
		got := r.read("/v1/models/" + path)
		if want == "" {
			got.wantsV1(t, 404, "model_not_found")
		} else if id := at(t, object(t, got.body), "id"); got.status != 200 || id != want {
			t.Errorf("%s: got %d %s, want %s", path, got.status, got.body, want)
		}
	}
	if got := r.read("/v1%2Fmodels"); got.status != 404 {
		t.Errorf("an escaped slash opens a path: %d %s", got.status, got.body)
	}
}

// TestTheListOfModelsIsForWhoSignedIn, and counts as a question that spends nothing.
func TestTheListOfModelsIsForWhoSignedIn(t *testing.T) {
	t.Parallel()
	r := startV1(t, "RATE_LIMIT_IP=2/1h", "RATE_LIMIT_USER=1/1h")
	for _, path := range []string{"/v1/models", "/v1/models/gpt-6-luna"} {
		for header, code := range map[string]string{"Authorization:": "token_missing", "Authorization: Bearer x": "invalid_api_key"} {
			got := r.read(path, header)
			got.wantsV1(t, 401, code)
			wantsHeaders(t, path, got, "", false)
		}
		r.read(path, "Origin: https://evil.example").wantsV1(t, 403, "origin_not_allowed")
		if got := r.read(path, "Origin: "+origin); got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != origin || rates(got)[0] != "20" {
			t.Errorf("%s: got %d %v, allowed is %q", path, got.status, rates(got), got.header.Get("Access-Control-Allow-Origin"))
		}
		head := r.request(path, "", "Content-Type:")
		head.Method, head.Body, head.GetBody, head.ContentLength = http.MethodHead, nil, nil, 0
		if got := r.do(head); got.status != 200 || got.body != "" {
			t.Errorf("HEAD %s: got %d %q", path, got.status, got.body)
		}
	}
}

// TestEndpointsAreClosedUntilTheyAreNamed, and then only those that are.
func TestEndpointsAreClosedUntilTheyAreNamed(t *testing.T) {
	t.Parallel()
	paths := map[string][]string{"chat": {"/v1/chat/completions", "/api/chat", "/api/completion"}, "responses": {"/v1/responses"}, "embeddings": {"/v1/embeddings"}, "moderations": {"/v1/moderations"}, "text": {"/api/generate-text", "/api/ai/chat"}}
	for _, set := range []string{"ENDPOINTS", "ENDPOINTS=text", "ENDPOINTS=chat", "ENDPOINTS=responses,text", "ENDPOINTS=embeddings|MODELS=text-embedding-3-small", "ENDPOINTS=moderations", "ENDPOINTS=text,chat,responses,embeddings,moderations|MODELS=gpt-6-luna,text-embedding-3-small"} {
		r := start(t, strings.Split(set, "|")...)
		_, value, named := strings.Cut(strings.Split(set, "|")[0], "=")
		if !named {
			value = "text"
		}
		open := strings.Split(value, ",")
		for name, all := range paths {
			for _, path := range all {
				got, want := r.post(path, "{}"), 404
				if slices.Contains(open, name) {
					want = 400
				}
				if got.status != want {
					t.Errorf("%s: %s got %d %s, want %d", set, path, got.status, got.body, want)
				}
				if want != 404 {
					continue
				}
				message := ""
				if strings.HasPrefix(path, "/v1/") {
					message = got.wantsV1(t, 404, "not_found").Message
				} else {
					message = got.wants(t, 404, "not_found").Error
				}
				if !strings.Contains(message, "ENDPOINTS") {
					t.Errorf("%s: /openapi.yaml has %s, and its 404 does not say why this server has not: %q", set, path, message)
				}
			}
		}
		if got, want := r.read("/v1/models"), 200; value == "text" && got.status != 404 || value != "text" && got.status != want {
			t.Errorf("%s: the models got %d", set, got.status)
		}
		for _, path := range []string{"/v1/files", "/v1/chat/completions/x", "/nothing", "/"} {
			if got := r.post(path, "{}"); got.status != 404 || strings.Contains(got.body, "ENDPOINTS") {
				t.Errorf("%s: no setting opens %s, and it got %d %s", set, path, got.status, got.body)
			}
		}
	}
}

// TestAPlanOpensEndpoints within those that are open: 403, since they are there.
func TestAPlanOpensEndpoints(t *testing.T) {
	t.Parallel()
	r := startV1(t, plansAre(t, `{"none": {"endpoints": []}, "text": {"endpoints": ["text"]}, "chat": {"endpoints": ["chat"]}, "others": {"endpoints": ["responses", "embeddings", "moderations"]}}`))
	for plan, open := range map[string]string{"none": "", "text": "text", "chat": "chat", "others": "responses embeddings moderations"} {
		who := onPlan(t, "ana", plan)
		for _, w := range ways() {
			got := r.post(w.path, w.body("hi"), who)
			if strings.Contains(open, w.name) {
				got.wantsAnswer(t)
				continue
			}
			if p := got.wantsV1(t, 403, "endpoint_not_allowed"); p.Type != "invalid_request_error" {
				t.Errorf("%s on %s: the type is %q", plan, w.name, p.Type)
			}
			wantsHeaders(t, fmt.Sprint(plan, " on ", w.name), got, "", false)
		}
		for _, h := range hooks() {
			if got := r.post(h.path, h.body("hi"), who); open == "chat" {
				got.wantsAnswer(t)
			} else {
				got.wants(t, 403, "endpoint_not_allowed")
			}
		}
		if got := r.ask("hi", who); open == "text" {
			got.wants200(t, jsonForm)
		} else {
			got.wants(t, 403, "endpoint_not_allowed")
		}
	}
}
