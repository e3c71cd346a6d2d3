package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/auth"
	"keyshield/internal/secret"
)

// mistake is a request that is the client's fault, and what it is told.
type mistake struct {
	name    string
	body    string
	headers []string
	status  int
	code    string
	text    string
}

func identityMistakes(t *testing.T) []mistake {
	const good = `{"userPrompt": "hi"}`
	minted := func(key string, c auth.Claims) string {
		token, err := auth.Mint(secret.New(key), c, time.Now().Add(-2*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	expired := minted(jwtSecret, auth.Claims{Subject: "ana", TTL: time.Hour})
	foreign := minted(rand.Text()+rand.Text(), auth.Claims{Subject: "ana", TTL: 4 * time.Hour})
	const missing, invalid = "Access denied. No security token provided.", "Invalid or expired security token."
	return []mistake{
		{"no token", good, []string{"Authorization:"}, 401, "token_missing", missing},
		{"another scheme", good, []string{"Authorization: Basic YW5hOnNlY3JldA=="}, 401, "token_missing", missing},
		{"a scheme that only begins like Bearer", good, []string{"Authorization: Bearers abc"}, 401, "token_missing", missing},
		{"no token after the scheme", good, []string{"Authorization: Bearer"}, 403, "token_invalid", invalid},
		{"no JWT", good, []string{"Authorization: Bearer abc"}, 403, "token_invalid", invalid},
		{"expired", good, []string{"Authorization: Bearer " + expired}, 403, "token_invalid", invalid},
		{"signed by a stranger", good, []string{"Authorization: Bearer " + foreign}, 403, "token_invalid", invalid},
	}
}

func bodyMistakes() []mistake {
	const noJSON, noUTF8 = "The request body is not valid JSON.", "The request body is not valid UTF-8."
	const half = `Field "userPrompt" holds half a character, a lone surrogate such as "\ud83d": cutting a text in the middle of an emoji, as slice() does, leaves one. Cut between characters, or in JavaScript send text.toWellFormed().`
	const format, empty, long = "Invalid prompt format.", "Prompt cannot be empty.", "Prompt is too long. Please keep it under 300 characters."
	const only = `Only "userPrompt" and "stream" are accepted.`
	const wantJSON, uncompressed = "The request body must be JSON in UTF-8. Send it with Content-Type: application/json.", "The request body must not be compressed. Send it without Content-Encoding."
	prompt := func(text string) string { return promptBody(text) }
	return []mistake{
		{"nothing", ``, nil, 400, "invalid_json", noJSON},
		{"half an object", `{"userPrompt": "hi"`, nil, 400, "invalid_json", noJSON},
		{"no object", `["hi"]`, nil, 400, "invalid_json", noJSON},
		{"trailing text", `{"userPrompt": "hi"} and more`, nil, 400, "invalid_json", noJSON},
		{"trailing object", `{"userPrompt": "hi"}{}`, nil, 400, "invalid_json", noJSON},
		{"a comment", `{"userPrompt": "hi" /* yes */}`, nil, 400, "invalid_json", noJSON},
		{"broken UTF-8", "{\"userPrompt\": \"h\xffi\"}", nil, 400, "invalid_utf8", noUTF8},
		{"a lone surrogate", `{"userPrompt": "\ud83d"}`, nil, 400, "invalid_utf8", half},
		{"a model", `{"userPrompt": "hi", "model": "gpt-6-sol"}`, nil, 400, "unknown_field", `Unknown field "model". ` + only},
		{"a limit", `{"max_tokens": 9000, "userPrompt": "hi"}`, nil, 400, "unknown_field", `Unknown field "max_tokens". ` + only},
		{"the other endpoint's field", `{"message": "hi"}`, nil, 400, "unknown_field", `Unknown field "message". ` + only},
		{"the prompt twice", `{"userPrompt": "a", "userPrompt": "b"}`, nil, 400, "duplicate_field", `Field "userPrompt" appears more than once.`},
		{"the prompt in other case", `{"userPrompt": "a", "USERPROMPT": "b"}`, nil, 400, "duplicate_field", `Field "USERPROMPT" must be written "userPrompt".`},
		{"stream in other case", `{"userPrompt": "a", "Stream": true}`, nil, 400, "duplicate_field", `Field "Stream" must be written "stream".`},
		{"stream a string", `{"userPrompt": "a", "stream": "true"}`, nil, 400, "invalid_field", `Field "stream" must be true or false.`},
		{"stream null", `{"userPrompt": "a", "stream": null}`, nil, 400, "invalid_field", `Field "stream" must be true or false.`},
		{"no prompt", `{}`, nil, 400, "invalid_prompt", format},
		{"a null prompt", `{"userPrompt": null}`, nil, 400, "invalid_prompt", format},
		{"an empty prompt", `{"userPrompt": ""}`, nil, 400, "invalid_prompt", format},
		{"a number", `{"userPrompt": 42}`, nil, 400, "invalid_prompt", format},
		{"an object", `{"userPrompt": {"text": "hi"}}`, nil, 400, "invalid_prompt", format},
		{"301 characters", prompt(strings.Repeat("é", 301)), nil, 400, "prompt_too_long", long},
		{"too long before its tags are taken out", prompt(strings.Repeat("a", 294) + "<b></b>"), nil, 400, "prompt_too_long", long},
		{"white space", prompt(" \n\t "), nil, 400, "prompt_empty", empty},
		{"tags", prompt("<p><b></b></p>"), nil, 400, "prompt_empty", empty},
		{"invisible characters", prompt("\u200b\u2060\ufeff"), nil, 400, "prompt_empty", empty},
		{"too large", prompt(strings.Repeat("a", 64<<10)), nil, 413, "body_too_large", "The request body is too large. Please keep it under 65536 bytes."},
		{"a form", "userPrompt=hi", []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "unsupported_media_type", wantJSON},
		{"plain text, which browsers send without asking", prompt("hi"), []string{"Content-Type: text/plain"}, 415, "unsupported_media_type", wantJSON},
		{"no type", prompt("hi"), []string{"Content-Type:"}, 415, "unsupported_media_type", wantJSON},
		{"another character set", prompt("hi"), []string{"Content-Type: application/json; charset=latin1"}, 415, "unsupported_media_type", wantJSON},
		{"compressed", prompt("hi"), []string{"Content-Encoding: gzip"}, 415, "unsupported_media_type", uncompressed},
	}
}

// TestEveryMistakeIsToldInItsOwnWords holds status, code, the exact words and the
// headers of every refusal that is the client's fault, in both modes; and that
// none of them reaches the provider.
func TestEveryMistakeIsToldInItsOwnWords(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, m := range append(identityMistakes(t), bodyMistakes()...) {
		for _, accept := range []string{"*/*", "text/event-stream", "text/plain"} {
			got := r.post("/api/generate-text", m.body, append(m.headers, "Accept:"+accept)...)
			name := m.name + ", Accept " + accept
			p := got.wants(t, m.status, m.code)
			if p.Error != m.text {
				t.Errorf("%s: got the words %q, want %q", name, p.Error, m.text)
			}
			wantsRefusal(t, name, got, p)
			wantBearer := []string(nil)
			if m.status == 401 || m.status == 403 {
				wantBearer = []string{"Bearer"}
			}
			if diff := cmp.Diff(wantBearer, got.header["Www-Authenticate"]); diff != "" {
				t.Errorf("%s: WWW-Authenticate (-want +got):\n%s", name, diff)
			}
		}
	}
	if calls := r.sim.Requests(); len(calls) > 0 {
		t.Errorf("%d refused requests reached the provider, the first with %s", len(calls), calls[0].Body)
	}
}

// wantsRefusal checks what every refusal of the text API has.
func wantsRefusal(t testing.TB, name string, got reply, p problem) {
	t.Helper()
	onlyOurs(t, name, got)
	if p.RequestID == "" || p.RequestID != got.header.Get("X-Request-Id") {
		t.Errorf("%s: request_id is %q, X-Request-Id is %q", name, p.RequestID, got.header.Get("X-Request-Id"))
	}
	if form := got.header.Get("Content-Type"); form != jsonForm {
		t.Errorf("%s: Content-Type is %q, want %s", name, form, jsonForm)
	}
	if cc := got.header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("%s: Cache-Control is %q, want no-store", name, cc)
	}
	if !strings.HasPrefix(got.body, `{"error":`) || strings.TrimSpace(p.Error) == "" {
		t.Errorf("%s: the error says nothing: %s", name, got.body)
	}
}

func TestTheSchemeMayBeInAnyCase(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, scheme := range []string{"Bearer", "bearer", "BEARER", "beaRER"} {
		if got := r.ask("hi", "Authorization: "+scheme+" "+r.token("ana")); got.status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200 (RFC 9110 §11.1)", scheme, got.status, got.body)
		}
	}
}

func TestTwoAuthorizationHeadersAreABadToken(t *testing.T) {
	t.Parallel()
	r := start(t)
	req := r.request("/api/generate-text", promptBody("hi"))
	req.Header.Add("Authorization", req.Header.Get("Authorization"))
	p := r.do(req).wants(t, 403, "token_invalid")
	if p.Error != "Invalid or expired security token." {
		t.Errorf("got %q: one text for every kind of bad token", p.Error)
	}
}

// TestThePromptIsMeasuredAsThePersonWroteIt: in code points, trimmed, tags and all.
func TestThePromptIsMeasuredAsThePersonWroteIt(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, c := range map[string]struct{ prompt, arrives string }{
		"300 characters of four bytes": {strings.Repeat("😀", 300), strings.Repeat("😀", 300)},
		"white space around it":        {"  \n" + strings.Repeat("a", 300) + "\t ", strings.Repeat("a", 300)},
		"tags within the limit":        {"<b>" + strings.Repeat("a", 293) + "</b>", strings.Repeat("a", 293)},
	} {
		got := r.ask(c.prompt)
		if got.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.status, got.body)
			continue
		}
		if last := lastPrompt(t, r); last != c.arrives {
			t.Errorf("%s: %q arrived, want %q", name, last, c.arrives)
		}
	}
}

// lastPrompt is the user message of the latest call to the provider.
func lastPrompt(t *testing.T, r *rig) string {
	t.Helper()
	messages := lastCall(t, r)["messages"].([]any)
	return messages[len(messages)-1].(map[string]any)["content"].(string)
}

// lastCall is the body of the latest call to the provider.
func lastCall(t *testing.T, r *rig) map[string]any {
	t.Helper()
	calls := r.sim.Requests()
	if len(calls) == 0 {
		t.Fatal("nothing reached the provider")
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(calls[len(calls)-1].Body), &body); err != nil {
		t.Fatalf("what went to the provider is not JSON: %v\n%s", err, calls[len(calls)-1].Body)
	}
	return body
}

// TestABodyWithoutALengthIsCappedToo: the cap is on what comes, not on what is
// announced.
func TestABodyWithoutALengthIsCappedToo(t *testing.T) {
	t.Parallel()
	r := start(t)
	req := r.request("/api/generate-text", "")
	req.Body, req.ContentLength = http.NoBody, -1
	req.Body = struct {
		*bytes.Reader
		noClose
	}{bytes.NewReader([]byte(promptBody(strings.Repeat("a", 64<<10)))), noClose{}}
	r.do(req).wants(t, 413, "body_too_large")
}

type noClose struct{}

func (noClose) Close() error { return nil }

func TestUnknownPathsAndMethodsAreToldSo(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, path := range []string{"/", "/api", "/api/", "/api/generate-text/", "/api/generate-text/x", "/API/generate-text", "/admin/", "/metrics", "/.env", "/debug/pprof/", "/%2e%2e/etc/passwd"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			req := r.request(path, "", "Authorization:")
			req.Method = method
			got := r.do(req)
			wantsRefusal(t, method+" "+path, got, got.wants(t, 404, "not_found"))
		}
	}
	for path, allow := range map[string]string{
		"/api/generate-text": "POST", "/api/ai/chat": "POST", "/openapi.yaml": "GET, HEAD",
		"/livez": "GET, HEAD", "/readyz": "GET, HEAD", "/healthz": "GET, HEAD",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
			if strings.Contains(allow, method) {
				continue
			}
			req := r.request(path, "", "Authorization:")
			req.Method = method
			got := r.do(req)
			name := method + " " + path
			wantsRefusal(t, name, got, got.wants(t, 405, "method_not_allowed"))
			if said := strings.Join(got.header.Values("Allow"), ", "); said != allow {
				t.Errorf("%s: Allow is %q, want %q (RFC 9110 §15.5.6)", name, said, allow)
			}
		}
	}
}

// TestAMethodThatNobodyKnowsIsRefusedInOurShape, by us and not by the router.
func TestAMethodThatNobodyKnowsIsRefusedInOurShape(t *testing.T) {
	t.Parallel()
	r := start(t)
	for path, allow := range map[string]string{"/api/generate-text": "POST", "/openapi.yaml": "GET, HEAD", "/livez": "GET, HEAD", "/nothing": ""} {
		req := r.request(path, "", "Authorization:")
		req.Method = "PROPFIND"
		got := r.do(req)
		if path == "/nothing" && got.status == http.StatusNotFound {
			continue // as good
		}
		p := got.wants(t, 405, "method_not_allowed")
		if said := strings.Join(got.header.Values("Allow"), ", "); said != allow {
			t.Errorf("%s: Allow is %q, want %q (RFC 9110 §15.5.6)", path, said, allow)
		}
		got.header.Del("Allow")
		wantsRefusal(t, path, got, p)
	}
}

// TestClosedEndpointsAnswerInOpenAIsShape: SDKs show nothing useful for any other.
func TestClosedEndpointsAnswerInOpenAIsShape(t *testing.T) {
	t.Parallel()
	r := start(t, "RATE_LIMIT_IP=1/1h")
	ask := func(method, path string, headers ...string) (reply, openAIProblem) {
		req := r.request(path, `{"model": "gpt-6-luna", "messages": []}`, headers...)
		req.Method = method
		got := r.do(req)
		return got, got.openAI(t)
	}
	for _, c := range []struct{ method, path string }{
		{"POST", "/v1/chat/completions"}, {"POST", "/v1/responses"}, {"POST", "/v1/embeddings"}, {"POST", "/v1/moderations"},
		{"GET", "/v1/models"}, {"GET", "/v1/models/gpt-6-luna"}, {"DELETE", "/v1/anything"}, {"GET", "/v1/"},
	} {
		got, p := ask(c.method, c.path)
		if got.status != 404 || p.Code != "not_found" || p.Type != "invalid_request_error" || p.Param != nil || p.Message == "" {
			t.Errorf("%s %s: got %d %s, want a 404 in OpenAI's shape", c.method, c.path, got.status, got.body)
		}
		onlyOurs(t, c.path, got)
	}
	if got, p := ask("POST", "/v1/responses", "Origin: https://evil.example"); got.status != 403 || p.Code != "origin_not_allowed" {
		t.Errorf("a foreign origin: got %d %s", got.status, got.body)
	}
	got, p := ask("GET", "/v1/models")
	for range 10 { // ten times the IP limit
		got, p = ask("GET", "/v1/models")
	}
	if got.status != 429 || p.Code != "rate_limit_exceeded" || got.header.Get("Retry-After") == "" {
		t.Errorf("over the limit: got %d %s, want 429 rate_limit_exceeded with Retry-After", got.status, got.body)
	}
}

// openAIProblem is the error's inside as OpenAI's SDKs read it.
type openAIProblem struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    string  `json:"code"`
}

func (r reply) openAI(t testing.TB) openAIProblem {
	t.Helper()
	var shape struct {
		Error openAIProblem `json:"error"`
	}
	d := json.NewDecoder(strings.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&shape); err != nil || !strings.Contains(r.body, `"param":`) {
		t.Fatalf("%d: the error is not in OpenAI's shape: %v\n%s", r.status, err, r.body)
	}
	return shape.Error
}

// TestEveryAnswerHasTheSecurityHeaders: what earns an A+ in the MDN Observatory.
func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	r := start(t)
	answers := map[string]reply{
		"JSON": r.ask("hi"), "a stream": r.ask("hi", "Accept: text/event-stream"), "plain text": r.ask("hi", "Accept: text/plain"),
		"401": r.ask("hi", "Authorization:"), "403": r.ask("hi", "Origin: https://evil.example"), "404": r.get("/nothing"), "502": r.ask("[[sim status=500]]"),
		"livez": r.get("/livez"), "readyz": r.get("/readyz"), "openapi": r.get("/openapi.yaml"), "v1": r.get("/v1/models"),
	}
	ids := map[string]string{}
	for name, got := range answers {
		for header, want := range map[string]string{
			"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":       "nosniff",
			"Strict-Transport-Security":    "max-age=63072000; includeSubDomains",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
			"X-Frame-Options":              "DENY",
			"Server":                       "",
		} {
			if value := got.header.Get(header); value != want {
				t.Errorf("%s: %s is %q, want %q", name, header, value, want)
			}
		}
		if got.header.Get("Permissions-Policy") == "" {
			t.Errorf("%s: there is no Permissions-Policy", name)
		}
		id := got.header.Get("X-Request-Id")
		if other, taken := ids[id]; taken || id == "" {
			t.Errorf("%s: the request id %q is that of %q", name, id, other)
		}
		ids[id] = name
	}
}

// TestTheClientsRequestIDIsKeptBesideOurs, if it is plain; nothing else of it is.
func TestTheClientsRequestIDIsKeptBesideOurs(t *testing.T) {
	t.Parallel()
	r := start(t)
	for id, kept := range map[string]bool{"front-end_42": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "a b": false, `x","level":"ERROR`: false} {
		got := r.ask("hi", "X-Request-Id: "+id)
		ours := got.header.Get("X-Request-Id")
		if ours == id || len(ours) != 26 {
			t.Errorf("%q: the answer's id is %q, want one of ours", id, ours)
		}
		want := any(nil)
		if kept {
			want = id
		}
		if said := r.log.request(t, ours)["client_request_id"]; said != want {
			t.Errorf("%q: the log has %v, want %v", id, said, want)
		}
	}
}
