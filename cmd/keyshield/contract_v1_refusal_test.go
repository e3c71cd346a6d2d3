package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/secret"
)

// v1Mistake is a request that is the client's fault, and what an SDK is told.
type v1Mistake struct {
	name    string
	body    string
	headers []string
	status  int
	code    string
	param   string
	text    string
}

func v1IdentityMistakes(t *testing.T) []v1Mistake {
	const good, missing, invalid = `{"model":"gpt-6-luna"}`, "Access denied. No security token provided.", "Invalid or expired security token."
	expired, err := auth.Mint(secret.New(jwtSecret), auth.Claims{Subject: "ana", TTL: time.Hour}, time.Now().Add(-2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return []v1Mistake{
		{"no token", good, []string{"Authorization:"}, 401, "token_missing", "", missing},
		{"another scheme", good, []string{"Authorization: Basic YW5hOnNlY3JldA=="}, 401, "token_missing", "", missing},
		{"a key instead of a token", good, []string{"Authorization: Bearer test-key-1234"}, 401, "invalid_api_key", "", invalid},
		{"expired", good, []string{"Authorization: Bearer " + expired}, 401, "invalid_api_key", "", invalid},
		{"another's secret", good, []string{"Authorization: Bearer " + mintWith(t, jwtSecret+"x", auth.Claims{Subject: "ana"})}, 401, "invalid_api_key", "", invalid},
	}
}

func v1BodyMistakes() []v1Mistake {
	const good = `"model":"gpt-6-luna","messages":[{"role":"user","content":"hi"}],"input":"hi"`
	const wantJSON = "The request body must be JSON in UTF-8. Send it with Content-Type: application/json."
	return []v1Mistake{
		{"nothing", "", nil, 400, "invalid_json", "", "The request body is not valid JSON."},
		{"half of it", `{"model":`, nil, 400, "invalid_json", "", "The request body is not valid JSON."},
		{"two of it", `{"model":"gpt-6-luna"} {}`, nil, 400, "invalid_json", "", "The request body is not valid JSON."},
		{"a list", `[]`, nil, 400, "invalid_json", "", "The request body is not valid JSON."},
		{"no UTF-8", "{\"model\":\"h\xffi\"}", nil, 400, "invalid_utf8", "", "The request body is not valid UTF-8."},
		{"half a character", `{"model":"\ud83d"}`, nil, 400, "invalid_utf8", "model", `Field "model" holds half a character, a lone surrogate such as "\ud83d": cutting a text in the middle of an emoji, as slice() does, leaves one. Cut between characters, or in JavaScript send text.toWellFormed().`},
		{"an unknown field", `{"brand_new":1}`, nil, 400, "unknown_field", "brand_new", `Unknown field "brand_new".`},
		{"the model twice", `{"model":"a","model":"b"}`, nil, 400, "duplicate_field", "model", `Field "model" appears more than once.`},
		{"the model in other case", `{"MODEL":"a"}`, nil, 400, "duplicate_field", "MODEL", `Field "MODEL" must be written "model".`},
		{"the model a number", `{"model":7}`, nil, 400, "invalid_field", "model", `Field "model" must be a string`},
		{"too large", `{"model":"` + strings.Repeat("a", 1<<20) + `"}`, nil, 413, "body_too_large", "", "The request body is too large. Please keep it under 1048576 bytes."},
		{"a form", "model=gpt-6-luna", []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "unsupported_media_type", "", wantJSON},
		{"no type", "{" + good + "}", []string{"Content-Type:"}, 415, "unsupported_media_type", "", wantJSON},
		{"compressed", "{" + good + "}", []string{"Content-Encoding: gzip"}, 415, "unsupported_media_type", "", "The request body must not be compressed. Send it without Content-Encoding."},
	}
}

// TestEveryMistakeOnV1IsToldInOpenAIsShape: status, type, code and field, in words
// that say what is wrong; and none of them reaches the provider.
func TestEveryMistakeOnV1IsToldInOpenAIsShape(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	r.untouched(func() {
		for _, m := range append(v1IdentityMistakes(t), v1BodyMistakes()...) {
			for _, w := range ways() {
				got := r.post(w.path, m.body, m.headers...)
				what := w.name + ", " + m.name
				p := got.wantsV1(t, m.status, m.code)
				if p.Type != "invalid_request_error" || p.param() != m.param || !strings.HasPrefix(p.Message, m.text) {
					t.Errorf("%s: got %+v (%s), want %q about %q", what, p, p.param(), m.text, m.param)
				}
				wantsHeaders(t, what, got, "", false)
			}
		}
	})
}

// TestTwoTokensAreABadTokenOnV1Too.
func TestTwoTokensAreABadTokenOnV1Too(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, w := range ways() {
		req := r.request(w.path, w.body("hi"))
		req.Header.Add("Authorization", req.Header.Get("Authorization"))
		got := r.do(req)
		got.wantsV1(t, 401, "invalid_api_key")
		wantsHeaders(t, w.name, got, "", false)
	}
}

// v1Denials are what costs without a bound, or reads what is not the caller's.
func v1Denials() map[string][]string {
	return map[string][]string{
		"chat": {
			`n: 2`, `web_search_options: {}`, `prediction: {"type":"content","content":"x"}`, `audio: {"voice":"a","format":"mp3"}`, `modalities: ["text","audio"]`,
			`prompt_cache_key: "a"`, `moderation: {}`, `service_tier: "scale"`, `service_tier: "priority"`, `service_tier: "flex"`, `logprobs: true`, `top_logprobs: 2`,
			`tools: [{"type":"web_search"}]`, `stream_options: {"include_usage":true}`, `temperature: 3`, `max_tokens: 0`, `max_completion_tokens: -1`,
			`messages: [{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]`, `messages: []`, `messages: [{"role":"tool","content":"x"}]`,
		},
		"responses": {
			`background: true`, `previous_response_id: "resp_1"`, `conversation: "conv_1"`, `prompt: {"id":"pmpt_1"}`, `input: [{"type":"item_reference","id":"msg_1"}]`, `input: [{"id":"msg_1"}]`,
			`input: [{"type":"compaction","encrypted_content":"x"}]`, `context_management: []`, `moderation: {}`, `prompt_cache_key: "a"`, `reasoning: {"summary":"long"}`, `reasoning: {"mode":"pro"}`,
			`tools: [{"type":"web_search"}]`, `tools: [{"type":"file_search","vector_store_ids":["a"]}]`, `tools: [{"type":"mcp","server_label":"a"}]`, `include: ["file_search_call.results"]`,
			`input: [{"role":"user","content":[{"type":"input_image","image_url":"https://example.com/a.png"}]}]`, `max_output_tokens: 15`, `service_tier: "fast"`, `service_tier: "flex"`, `top_logprobs: 1`,
		},
		"embeddings":  {`input: [1,2]`, `input: [[1,2]]`, `input: ""`, `input: []`, `encoding_format: "hex"`, `dimensions: 0`},
		"moderations": {`input: []`, `input: [{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]`, `input: 7`},
	}
}

// TestWhatHasNoBoundIsRefusedByName, and the 400 says which field and why.
func TestWhatHasNoBoundIsRefusedByName(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	r.untouched(func() {
		for name, all := range v1Denials() {
			w := wayTo(name)
			for _, denied := range all {
				field, value, _ := strings.Cut(denied, ": ")
				body := `{"model":"` + w.model + `","` + field + `":` + value + `}`
				if field != w.input {
					body = w.body("hi", `"`+field+`":`+value)
				}
				p := r.post(w.path, body).wantsV1(t, 400, "invalid_field")
				named := strings.TrimPrefix(field, "top_") // both are one wish
				if !strings.HasPrefix(p.param(), field) && p.param() != named || !strings.Contains(p.Message, named) {
					t.Errorf("%s, %s: the field at fault is %q: %s", name, denied, p.param(), p.Message)
				}
			}
		}
	})
	// A person who uses @ai-sdk/openai meets this one, and must read what helps.
	p := r.post("/v1/responses", `{"model":"gpt-6-luna","input":[{"type":"item_reference","id":"msg_1"}]}`).wantsV1(t, 400, "invalid_field")
	if !strings.Contains(p.Message, "providerOptions.openai.store = false") || p.param() != "input[0]" {
		t.Errorf("%s: %s", p.param(), p.Message)
	}
}

// TestAModelThatIsNotOfferedDoesNotExist, whatever OpenAI has; nor does one on the
// wrong endpoint.
func TestAModelThatIsNotOfferedDoesNotExist(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	r.untouched(func() {
		for name, models := range map[string][]string{
			"chat":        {"gpt-4o", "gpt-6-luna-2026-01-01", "GPT-6-LUNA", "text-embedding-3-small", "chatgpt-4o-latest", "ft:gpt-4o-mini:org::1", "o1-pro", "gpt-6-luna ", "omni-moderation-latest"},
			"responses":   {"gpt-4o", "text-embedding-3-small", "computer-use-preview"},
			"embeddings":  {"gpt-6-luna", "text-embedding-3-large", "omni-moderation-latest"},
			"moderations": {"gpt-6-luna", "ft:omni-moderation-latest:org::1", "text-moderation-007"},
		} {
			w := wayTo(name)
			for _, model := range models {
				got := r.post(w.path, w.body("hi", `"model":"`+model+`"`))
				p := got.wantsV1(t, 404, "model_not_found")
				if p.param() != "model" || p.Type != "invalid_request_error" || !strings.Contains(p.Message, `"`+model+`"`) || !strings.Contains(p.Message, "GET /v1/models") {
					t.Errorf("%s, %s: got %+v", name, model, p)
				}
				wantsHeaders(t, name, got, "", false)
			}
		}
	})
}

// TestWhatIsNotThereOnV1 is told in OpenAI's shape, with the methods that are.
func TestWhatIsNotThereOnV1(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, path := range []string{"/v1", "/v1/", "/v1/files", "/v1/batches", "/v1/assistants", "/v1/images/generations", "/v1/audio/speech", "/v1/responses/resp_1", "/v1/responses/resp_1/input_items", "/v1/responses/input_tokens",
		"/v1/chat/completions/", "/v1/chat/completions/chatcmpl-1", "/v1/completions", "/v1/realtime", "/v1/organization/costs", "/v1//chat/completions", "/v1/%2e%2e/api/generate-text", "/V1/chat/completions"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			req := r.request(path, "")
			req.Method = method
			got := r.do(req)
			if strings.HasPrefix(path, "/V1") {
				got.wants(t, 404, "not_found")
				continue
			}
			got.wantsV1(t, 404, "not_found")
			wantsHeaders(t, method+" "+path, got, "", false)
		}
	}
	for path, allow := range map[string]string{"/v1/chat/completions": "POST", "/v1/responses": "POST", "/v1/embeddings": "POST", "/v1/moderations": "POST", "/v1/models": "GET, HEAD", "/v1/models/gpt-6-luna": "GET, HEAD"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if strings.Contains(allow, method) {
				continue
			}
			req := r.request(path, "")
			req.Method = method
			got := r.do(req)
			got.wantsV1(t, 405, "method_not_allowed")
			if said := got.header.Get("Allow"); said != allow {
				t.Errorf("%s %s: Allow is %q, want %q", method, path, said, allow)
			}
		}
	}
	if n := r.asked(); n != 0 {
		t.Errorf("%d calls reached OpenAI", n)
	}
}

// TestABaseURLWithoutV1IsToldSo, in the shape that the client which has it can read,
// to a browser too and without a token; and nobody is told more than that.
func TestABaseURLWithoutV1IsToldSo(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*rig{"open": startV1(t, "ALLOWED_ORIGINS="+origin), "closed": start(t, "ALLOWED_ORIGINS="+origin)} {
		for _, path := range []string{"/chat/completions", "/responses", "/embeddings", "/moderations", "/models", "/models/gpt-6-luna", "/models/nobody/has-this"} {
			for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead, http.MethodDelete} {
				req := r.request(path, "", "Authorization:", "Origin: "+origin)
				req.Method = method
				got, what := r.do(req), name+": "+method+" "+path
				if said := got.header.Get("Access-Control-Allow-Origin"); said != origin {
					t.Errorf("%s: Access-Control-Allow-Origin is %q: a page cannot read it", what, said)
				}
				if method == http.MethodHead {
					if got.status != http.StatusNotFound || got.body != "" {
						t.Errorf("%s: got %d %q", what, got.status, got.body)
					}
					continue
				}
				if p := got.wantsV1(t, 404, "not_found"); p.Type != "invalid_request_error" || p.Param != nil || !strings.Contains(p.Message, "ends in /v1") || strings.Contains(p.Message, "ENDPOINTS") {
					t.Errorf("%s: got %+v", what, p)
				}
				wantsHeaders(t, what, got, "", false)
			}
			if got := r.preflight(path, origin, "POST", sdkHeaders); got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != origin {
				t.Errorf("%s: the preflight of %s got %d %v: a browser would show nothing at all", name, path, got.status, got.header)
			}
			r.post(path, "", "Origin: https://evil.example").wantsV1(t, 403, "origin_not_allowed")
		}
		for _, path := range []string{"/", "/chat", "/completions", "/responses/", "/models-", "/CHAT/completions", "/files", "/chat/completions/x"} {
			if p := r.post(path, "", "Authorization:").wants(t, 404, "not_found"); strings.Contains(p.Error, "/v1") || strings.Contains(p.Error, "ENDPOINTS") {
				t.Errorf("%s: %s is nobody's mistake with a base URL, and is told %q", name, path, p.Error)
			}
		}
	}
	few := start(t, "RATE_LIMIT_IP=1/1h")
	for range 10 { // ten times the IP limit
		few.post("/chat/completions", "").wantsV1(t, 404, "not_found")
	}
	few.post("/chat/completions", "").wantsV1(t, 429, "rate_limit_exceeded")
}
