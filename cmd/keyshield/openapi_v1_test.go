package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"
)

// openAll starts everything that there is.
func openAll(t *testing.T, extra ...string) *rig {
	t.Helper()
	return start(t, append([]string{"ENDPOINTS=text,chat,responses,embeddings,moderations", "MODELS=gpt-6-luna,text-embedding-3-small"}, extra...)...)
}

// clientsOwn are the endpoints of the OpenAI-compatible API and of the hooks, and
// how to ask each for something.
func clientsOwn() map[string]func(words string) string {
	return map[string]func(string) string{
		"/v1/chat/completions": func(w string) string {
			return fmt.Sprintf(`{"model": "gpt-6-luna", "messages": [{"role": "user", "content": %q}]}`, w)
		},
		"/v1/responses":   func(w string) string { return fmt.Sprintf(`{"model": "gpt-6-luna", "input": %q}`, w) },
		"/v1/embeddings":  func(w string) string { return fmt.Sprintf(`{"model": "text-embedding-3-small", "input": %q}`, w) },
		"/v1/moderations": func(w string) string { return fmt.Sprintf(`{"input": %q}`, w) },
		"/api/chat": func(w string) string {
			return fmt.Sprintf(`{"messages": [{"role": "user", "parts": [{"type": "text", "text": %q}]}]}`, w)
		},
		"/api/completion": func(w string) string { return fmt.Sprintf(`{"prompt": %q}`, w) },
	}
}

// describedRig holds real answers against the description, and notes what it has seen.
type describedRig struct {
	*rig
	doc    *openapi3.T
	router routers.Router
	seen   map[string]bool // "429 rate_limit_exceeded" of /v1
}

func hold(t *testing.T, r *rig) *describedRig {
	t.Helper()
	decoders()
	doc := description(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &describedRig{rig: r, doc: doc, router: router, seen: map[string]bool{}}
}

// providersOwn is the simulator's code for a request that it does not like.
const providersOwn = "invalid_type"

// holds checks an answer: its shape, and that the description of its status names
// its code.
func (r *describedRig) holds(t *testing.T, name string, req *http.Request) reply {
	t.Helper()
	got := r.do(req)
	if err := described(r.router, req, got); err != nil {
		t.Errorf("%s: the answer %d %s is not as described: %v", name, got.status, got.body, err)
		return got
	}
	if got.status == http.StatusOK {
		return got
	}
	route, _, err := r.router.FindRoute(req)
	if err != nil {
		t.Fatal(err)
	}
	code := ""
	if asOpenAI(req.URL.Path) {
		code = got.openAI(t).Code
		r.seen[strconv.Itoa(got.status)+" "+code] = true
	} else {
		code = got.problem(t).Code
	}
	if told := *route.Operation.Responses.Status(got.status).Value.Description; !strings.Contains(told, code) && code != providersOwn {
		t.Errorf("%s: %d %s, which its description does not name: %s", name, got.status, code, told)
	}
	return got
}

// TestClientsOwnRequestsAreAnsweredAsDescribed: successes in every form, and every
// error that a request to an endpoint of OpenAI's, or of a hook, can bring about.
func TestClientsOwnRequestsAreAnsweredAsDescribed(t *testing.T) {
	t.Parallel()
	r := hold(t, openAll(t))
	for path, body := range clientsOwn() {
		for _, m := range identityMistakes(t) {
			r.holds(t, path+" "+m.name, r.request(path, body("hi"), m.headers...))
		}
		for name, sent := range map[string]string{
			"nothing": ``, "no UTF-8": "{\"model\": \"\xff\"}", "unknown": `{"max_tokenz": 1}`, "twice": `{"model": "a", "model": "b"}`, "in capitals": `{"MODEL": "a", "Messages": [], "Prompt": ""}`,
			"incomplete": `{}`, "too large": body(strings.Repeat("a", 1<<20)), "no such model": strings.Replace(body("hi"), "{", `{"model": "gpt-nothing", `, 1),
			"another model": strings.NewReplacer("gpt-6-luna", "gpt-6-sol", "text-embedding-3-small", "gpt-6-luna").Replace(body("hi")),
		} {
			r.holds(t, path+" "+name, r.request(path, sent))
		}
		r.holds(t, path+" a form", r.request(path, "a=b", "Content-Type: application/x-www-form-urlencoded"))
		r.holds(t, path+" from afar", r.request(path, body("hi"), "Origin: https://evil.example"))
		for _, words := range []string{"", "status=400", "status=404", "status=422", "status=429", "quota", "status=401", "status=500", "status=503", "status=504", "leak=whole", "fault=cut", "finish=length", "finish=content_filter", "fault=reasoning_only"} {
			if path == "/v1/embeddings" || path == "/v1/moderations" {
				words, _, _ = strings.Cut(words, "finish=") // they write nothing
				words = strings.TrimPrefix(words, "fault=reasoning_only")
			}
			sent := body("[[sim " + words + "]] hi")
			r.holds(t, path+" "+words, r.request(path, sent))
			if path == "/v1/chat/completions" || path == "/v1/responses" {
				r.holds(t, path+" streaming "+words, r.request(path, strings.Replace(sent, "{", `{"stream": true, `, 1)))
			}
			if !asOpenAI(path) {
				r.holds(t, path+" as text "+words, r.request(path+"?protocol=text", sent))
			}
		}
	}
	for _, path := range []string{"/v1/models", "/v1/models/gpt-6-luna", "/v1/models/gpt-nothing"} {
		for _, m := range identityMistakes(t) {
			r.holds(t, path+" "+m.name, asGet(r.request(path, "", m.headers...)))
		}
		r.holds(t, path, asGet(r.request(path, "")))
		r.holds(t, path+" from afar", asGet(r.request(path, "", "Origin: https://evil.example")))
	}
	r.narrow(t)
	r.allSeen(t)
}

// asGet makes it a GET.
func asGet(req *http.Request) *http.Request {
	req.Method, req.Body, req.GetBody, req.ContentLength = http.MethodGet, nil, nil, 0
	return req
}

// narrow asks servers that allow less.
func (r *describedRig) narrow(t *testing.T) {
	t.Helper()
	all := r.rig
	defer func() { r.rig = all }()

	plans := write(t, t.TempDir(), "plans.json", `{"default": {"endpoints": ["chat"], "system_messages": false}}`)
	r.rig = openAll(t, "PLANS_FILE="+plans)
	for path, body := range clientsOwn() {
		r.holds(t, path+" in no plan", r.request(path, body("hi")))
	}
	r.rig = start(t, "ENDPOINTS=chat", "RATE_LIMIT_USER=2/1h", "BUDGET_USER_DAY=0.002")
	r.holds(t, "closed", r.request("/v1/embeddings", clientsOwn()["/v1/embeddings"]("hi")))
	broken := clientsOwn()["/v1/chat/completions"]("[[sim fault=cut]] hi")
	for range 3 {
		r.holds(t, "over the limit, or the budget", r.request("/v1/chat/completions", broken))
	}
	r.holds(t, "over the limit", r.request("/v1/chat/completions", broken))
}

// allSeen wants every code of OpenAI's shape to have been seen, but for those that no
// request alone brings about.
func (r *describedRig) allSeen(t *testing.T) {
	t.Helper()
	codes := map[string]bool{}
	for seen := range r.seen {
		_, code, _ := strings.Cut(seen, " ")
		codes[code] = true
	}
	rare := []string{"request_timeout", "disabled", "overloaded", "method_not_allowed", "upstream_interrupted"}
	for _, code := range r.doc.Components.Schemas["OpenAICode"].Value.Enum {
		if code := code.(string); !codes[code] && !slices.Contains(rare, code) {
			t.Errorf("no answer had the code %s; those seen are %v", code, slices.Sorted(maps.Keys(r.seen)))
		}
	}
}

// requestBodies are the schemas of what clients send, by path.
func requestBodies(doc *openapi3.T) map[string]*openapi3.MediaType {
	all := map[string]*openapi3.MediaType{}
	for name, o := range operations(doc) {
		if o.RequestBody != nil {
			_, path, _ := strings.Cut(name, " ")
			all[path] = o.RequestBody.Value.Content["application/json"]
		}
	}
	return all
}

// TestTheDescribedExamplesWork: each is what the description allows, and is answered.
func TestTheDescribedExamplesWork(t *testing.T) {
	t.Parallel()
	r := hold(t, openAll(t))
	tried := 0
	for path, media := range requestBodies(r.doc) {
		if media.Example == nil {
			continue
		}
		tried++
		body, err := json.Marshal(media.Example)
		if err != nil {
			t.Fatal(err)
		}
		req := r.request(path, string(body))
		route, params, err := r.router.FindRoute(req)
		if err != nil {
			t.Fatal(err)
		}
		err = openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}})
		if err != nil {
			t.Errorf("%s: the example is not what its own schema allows: %v", path, err)
		}
		if got := r.holds(t, path, r.request(path, string(body))); got.status != http.StatusOK {
			t.Errorf("%s: the example gets %d %s", path, got.status, got.body)
		}
	}
	if tried != len(clientsOwn()) {
		t.Errorf("%d requests have an example, want %d", tried, len(clientsOwn()))
	}
}

// memberNames are what could be a member's name in the files that read requests.
func memberNames(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{"wire/chat*.go", "wire/responses*.go", "wire/embeddings.go", "wire/moderations.go", "prompt/*.go"} {
		files, err := filepath.Glob(filepath.Join("..", "..", "internal", filepath.FromSlash(pattern)))
		if err != nil || files == nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range regexp.MustCompile(`"([a-zA-Z_]{1,40})"`).FindAllStringSubmatch(string(text), -1) {
				all = append(all, found[1])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestTheDescribedMembersAreThoseThatAreRead, neither more nor fewer: those that are
// accepted are the schema's, and those that are refused with a reason its x-refused.
func TestTheDescribedMembersAreThoseThatAreRead(t *testing.T) {
	t.Parallel()
	r := openAll(t)
	names, media := memberNames(t), requestBodies(description(t))
	for path := range clientsOwn() {
		schema := media[path].Schema.Value
		refused := refusedMembers(t, schema)
		known := slices.Sorted(maps.Keys(schema.Properties))
		var accepted, denied []string
		for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(names, known, refused)))) {
			got := r.post(path, fmt.Sprintf(`{%q: {"no": "such value"}}`, name))
			switch {
			case got.status != http.StatusBadRequest:
				t.Errorf("%s with a senseless %s: got %d %s", path, name, got.status, got.body)
			case strings.Contains(got.body, `Unknown field \"`+name+`\"`), strings.Contains(got.body, "must be written"):
			case strings.Contains(got.body, "is not accepted: "):
				denied = append(denied, name)
			default:
				accepted = append(accepted, name)
			}
		}
		if diff := cmp.Diff(known, accepted); diff != "" {
			t.Errorf("%s: the members (-described +accepted):\n%s", path, diff)
		}
		if diff := cmp.Diff(refused, denied); diff != "" {
			t.Errorf("%s: the members that are refused (-described +refused):\n%s", path, diff)
		}
	}
}

// refusedMembers is a schema's x-refused, sorted.
func refusedMembers(t *testing.T, schema *openapi3.Schema) (names []string) {
	t.Helper()
	list, ok := schema.Extensions["x-refused"].([]any)
	if !ok && schema.Extensions["x-refused"] != nil {
		t.Fatalf("x-refused is %T", schema.Extensions["x-refused"])
	}
	for _, name := range list {
		names = append(names, name.(string))
	}
	slices.Sort(names)
	return names
}
