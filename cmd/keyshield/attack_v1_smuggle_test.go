package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// wants200Raw sends raw bytes, whose answer must be a 200; again where the ledger was
// slow, as do does.
func (r *rig) wants200Raw(t testing.TB, what, raw string) {
	t.Helper()
	var answers []reply
	for range 10 {
		if answers, _ = r.talk(raw, 10*time.Second); len(answers) != 1 || answers[0].status != 503 {
			break
		}
	}
	if len(answers) != 1 || answers[0].status != 200 {
		t.Errorf("%s: %v, want one 200", what, statuses(answers))
	}
}

// TestNoHeaderOfTheClientReachesOpenAI on /v1 either: what arrives is the same whatever
// is sent along, by name and by value.
func TestNoHeaderOfTheClientReachesOpenAI(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	asked := func(w way, body string, lines ...string) map[string][]string {
		raw := r.head(w.path, append(lines, "Connection: close", fmt.Sprintf("Content-Length: %d", len(body)))...) + "\r\n" + body
		r.wants200Raw(t, w.name, raw)
		return r.lastArrived(t).Header
	}
	hostile := []string{
		"OpenAI-Organization: org-evil", "OpenAI-Project: proj-evil", "OpenAI-Beta: assistants=v2, evil", "Idempotency-Key: evil-1", "Cookie: __cf_bm=evil", "X-Api-Key: evil", "Api-Key: evil", "X-Forwarded-For: 6.6.6.6, evil", "Forwarded: for=evil", "Via: 1.1 evil",
		"Proxy-Authorization: Basic evil", "X-Stainless-Lang: evil", "X-Stainless-Retry-Count: 99", "User-Agent: evil/1", "Accept: text/evil", "Accept-Encoding: evil", "Accept-Language: evil", "Referer: https://evil.example", "Traceparent: 00-evil", "X-Request-Id: evil",
		"X-Client-Request-Id: evil", "X-HTTP-Method-Override: DELETE", "X-Original-URL: /evil", "X-Rewrite-URL: /evil", "TE: trailers, evil", "Keep-Alive: evil", "Upgrade: evil", "X-OpenAI-Internal-Evil: 1", "Content-Language: evil", "Content-MD5: evil", "Range: bytes=0-1", "If-None-Match: evil", "Expect: 100-continue", "Max-Forwards: 0", "Prefer: wait=evil",
	}
	for _, w := range ways() {
		plain := asked(w, w.body("hi"))
		all := asked(w, w.body("hi"), hostile...)
		if got, want := slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(plain)); !slices.Equal(got, want) {
			t.Errorf("%s: headers %v reached OpenAI; without any of the client's own %v", w.name, got, want)
		}
		for name, values := range all {
			if strings.Contains(strings.ToLower(fmt.Sprint(values)), "evil") || name != "Content-Length" && !slices.Equal(values, plain[name]) {
				t.Errorf("%s: %s reached OpenAI as %q", w.name, name, values)
			}
		}
		if got := all["Authorization"]; len(got) != 1 || got[0] != "Bearer "+canary {
			t.Errorf("%s: the key is not what OpenAI got", w.name)
		}
		// A header named in Connection is one of ours to leave out, if the client could.
		for _, hop := range []string{"authorization", "content-type", "authorization, content-type, host", "x-evil", "keep-alive, Authorization"} {
			body := w.body("hi")
			r.wants200Raw(t, w.name+" "+hop, strings.Replace(r.head(w.path, "X-Evil: 1", fmt.Sprintf("Content-Length: %d", len(body))), "Host:", "Connection: close, "+hop+"\r\nHost:", 1)+"\r\n"+body)
			if h := r.lastArrived(t).Header; !slices.Equal(slices.Sorted(maps.Keys(h)), slices.Sorted(maps.Keys(plain))) || len(h["Authorization"]) != 1 {
				t.Errorf("%s, Connection: %s: %v reached OpenAI", w.name, hop, slices.Sorted(maps.Keys(h)))
			}
		}
		// Trailers come when everything has been judged.
		body := w.body("hi")
		raw := r.head(w.path, "Transfer-Encoding: chunked", "Trailer: Authorization, OpenAI-Organization") + fmt.Sprintf("\r\n%x\r\n%s\r\n0\r\nAuthorization: Bearer evil\r\nOpenAI-Organization: org-evil\r\n\r\n", len(body), body)
		if answers, _ := r.talk(raw, 10*time.Second); len(answers) != 1 {
			t.Errorf("%s with trailers: %v", w.name, statuses(answers))
		}
		if h := fmt.Sprint(r.lastArrived(t).Header); strings.Contains(h, "evil") {
			t.Errorf("%s: a trailer reached OpenAI: %s", w.name, strings.ReplaceAll(h, canary, "(the key)"))
		}
	}
	wellKept(t, r)
}

// TestNoPartOfTheAddressIsForwarded: neither a query nor a fragment, nor credentials.
func TestNoPartOfTheAddressIsForwarded(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, w := range ways() {
		for _, query := range []string{"?", "?stream=true", "?api-version=2024-01-01&evil=1", "?model=gpt-6-astra", "?/../v1/files", "?%0d%0aX-Evil:%201", "?a=1#b", "?;", "?" + strings.Repeat("a=b&", 1000)} {
			body := w.body("hi")
			r.wants200Raw(t, fmt.Sprintf("%s%.60s", w.path, query), r.head(w.path+query, "Connection: close", fmt.Sprintf("Content-Length: %d", len(body)))+"\r\n"+body)
			if q := r.lastArrived(t); q.Path != w.path || q.Method != "POST" || q.Header.Get("X-Evil") != "" {
				t.Errorf("%s%.60s arrived as %s %s", w.path, query, q.Method, q.Path)
			}
		}
	}
}

// TestNoAddressOpensAClosedEndpoint: another spelling of one of OpenAI's addresses, or
// one of those that read and delete what is stored, is nothing here, in OpenAI's
// shape.
func TestNoAddressOpensAClosedEndpoint(t *testing.T) {
	t.Parallel()
	r := startV1(t, "ENDPOINTS=chat", "MODELS=gpt-6-luna")
	w := wayTo("chat")
	body := w.body("hi")
	paths := []string{
		"/v1//chat/completions", "//v1/chat/completions", "/v1/chat//completions", "/v1/chat/completions/", "/v1/chat/completions/.", "/v1/chat/completions/..", "/v1/./chat/completions", "/v1/../v1/chat/completions", "/v1/models/../chat/completions", "/V1/chat/completions", "/v1/Chat/completions", "/v1/chat/Completions",
		"/v1%2fchat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completion%73", "/%76%31/chat/completions", "/v1/chat/%2e%2e/chat/completions", "/v1/chat/completions%00", "/v1/chat/completions%20", "/v1/chat/completions;x=1", "/v1/chat\\completions", "/v1/chat/completions%3fx=1", "/v1/chat/completions%0d%0a", "/v1/models/%2e%2e/chat/completions", "/v1/models/..%2fchat%2fcompletions", "/v1/models/gpt-6-luna/../../responses",
		"/v1/responses", "/v1/responses/", "/v1/responses/resp_1", "/v1/responses/resp_1/cancel", "/v1/responses/resp_1/input_items", "/v1/responses/compact", "/v1/responses/input_tokens", "/v1/embeddings", "/v1/moderations", "/v1/chat/completions/chatcmpl-1", "/v1/chat/completions/chatcmpl-1/messages", "/v1/completions", "/v1/conversations", "/v1/conversations/conv_1/items",
		"/v1/files", "/v1/files/file-1/content", "/v1/uploads", "/v1/batches", "/v1/assistants", "/v1/threads", "/v1/threads/runs", "/v1/vector_stores", "/v1/fine_tuning/jobs", "/v1/images/generations", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/realtime", "/v1/realtime/sessions", "/v1/videos", "/v1/evals", "/v1/containers", "/v1/organization/costs", "/v1/organization/admin_api_keys", "/v1/usage", "/v1/dashboard/billing/usage", "/v1/engines", "/v1/skills", "/v1/chatkit/sessions",
		"/v1", "/v1/", "/v1/chat", "/v1/chat/", "/v1/_sim/report", "/v1/../_sim/report", "/chat/completions", "/openai/v1/chat/completions", "/openai/deployments/gpt-6-luna/chat/completions", "/v2/chat/completions", "/v1/v1/chat/completions", "/api/v1/chat/completions", "/api/chat/", "/api/chat/1/stream", "/api//chat", "/api/completion/",
	}
	var tries []func()
	for _, path := range paths {
		tries = append(tries, func() {
			for _, method := range []string{"POST", "GET", "DELETE"} {
				raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", method, path, r.token("ana"), len(body), body)
				answers, _ := r.talk(raw, 10*time.Second)
				if len(answers) != 1 || answers[0].status != 404 && answers[0].status != 400 && answers[0].status != 405 {
					t.Errorf("%s %q: %v, want 404", method, path, statuses(answers))
				} else if strings.HasPrefix(path, "/v1/") && answers[0].status != 400 {
					answers[0].openAI(t)
				}
			}
		})
	}
	r.untouched(func() { inBatches(tries) })
	if n := len(r.sim.Requests()); n != 0 {
		t.Errorf("%d requests reached OpenAI, the last to %s", n, r.lastArrived(t).Path)
	}
	wellKept(t, r)
}

// TestOtherMethodsAreRefusedInOpenAIsShape, and nobody gets anything but by POST.
func TestOtherMethodsAreRefusedInOpenAIsShape(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	r.untouched(func() {
		for _, w := range ways() {
			for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "TRACE", "BREW", "QUERY"} {
				req := r.request(w.path, w.body("hi"))
				req.Method = method
				got := r.do(req)
				if p := got.wantsV1(t, 405, "method_not_allowed"); got.header.Get("Allow") != "POST" || p.Type != "invalid_request_error" {
					t.Errorf("%s %s: Allow %q, type %q", method, w.path, got.header.Get("Allow"), p.Type)
				}
			}
			for _, lines := range [][]string{{"Content-Type: text/plain"}, {"Content-Type: multipart/form-data; boundary=x"}, {"Content-Encoding: gzip"}} {
				r.post(w.path, w.body("hi"), lines...).wantsV1(t, 415, "unsupported_media_type")
			}
			r.post(w.path, w.body("hi"), "Authorization: Bearer "+r.token("ana")+"x").wantsV1(t, 401, "invalid_api_key")
			r.post(w.path, w.body("hi"), "Authorization:", "Api-Key: "+r.token("ana")).wantsV1(t, 401, "token_missing")
			r.post(w.path, w.body("hi"), "Origin: https://evil.example").wantsV1(t, 403, "origin_not_allowed")
		}
		req := r.request("/v1/models", "{}")
		r.do(req).wantsV1(t, 405, "method_not_allowed")
		for _, id := range []string{"gpt-6", "..", "%2e%2e", "gpt-6-luna%00", "gpt-6-luna%2f..", "GPT-6-LUNA", "gpt-6-pro", "*", "%zz"} {
			answers, _ := r.talk("GET /v1/models/"+id+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+r.token("ana")+"\r\n\r\n", 5*time.Second)
			if len(answers) != 1 || answers[0].status != 404 && answers[0].status != 400 {
				t.Errorf("model %q: %v", id, statuses(answers))
			}
		}
	})
}

// TestNoSecondRequestIsSmuggledThroughV1: of a request whose end is not beyond doubt, at
// most one answer comes, and then the connection is closed.
func TestNoSecondRequestIsSmuggledThroughV1(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	var tries []func()
	for name, raw := range ambiguous(r) {
		if strings.Contains(name, "huge") || strings.Contains(name, "many") {
			continue // the size is what these are about
		}
		for _, path := range []string{"/v1/chat/completions", "/api/chat"} {
			tries = append(tries, func() {
				wantOneAnswer(t, r.in(t), strings.Replace(strings.ReplaceAll(raw, "/api/generate-text", path), "%s", smuggled, 1))
			})
		}
	}
	inBatches(tries)
	for _, line := range r.log.records() {
		if line["path"] == "/smuggled" {
			t.Errorf("a smuggled request was served: %v", line)
		}
	}
}
