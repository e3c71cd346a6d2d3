package main

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"

	"keyshield/api"
)

func description(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Description)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheDescriptionIsValid(t *testing.T) {
	t.Parallel()
	doc := description(t)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("it is OpenAPI %s, want 3.1.0", doc.OpenAPI)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

// operations are all there are, by "POST /path".
func operations(doc *openapi3.T) map[string]*openapi3.Operation {
	all := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			all[method+" "+path] = operation
		}
	}
	return all
}

// TestTheDescriptionIsFitForGenerators: clients are made from it.
func TestTheDescriptionIsFitForGenerators(t *testing.T) {
	t.Parallel()
	doc := description(t)
	ids := map[string]string{}
	for name, o := range operations(doc) {
		if other, taken := ids[o.OperationID]; taken || !regexp.MustCompile(`^[a-z][A-Za-z]+$`).MatchString(o.OperationID) {
			t.Errorf("%s: the operationId %q is no name, or that of %q", name, o.OperationID, other)
		}
		ids[o.OperationID] = name
		if o.Summary == "" || strings.HasSuffix(o.Summary, ".") {
			t.Errorf("%s: the summary %q is empty or a sentence", name, o.Summary)
		}
		for _, tag := range o.Tags {
			if doc.Tags.Get(tag) == nil {
				t.Errorf("%s: the tag %q is not declared", name, tag)
			}
		}
		if len(o.Tags) != 1 {
			t.Errorf("%s has %d tags, want one", name, len(o.Tags))
		}
		for status, response := range o.Responses.Map() {
			if response.Value.Description == nil || *response.Value.Description == "" {
				t.Errorf("%s: %s has no description", name, status)
			}
			if status >= "400" && response.Ref == "" {
				t.Errorf("%s: %s is not one of the shared errors", name, status)
			}
		}
	}
	for name, schema := range doc.Components.Schemas {
		if !bytes.Contains(api.Description, []byte("#/components/schemas/"+name+`"`)) {
			t.Errorf("the schema %s is used nowhere", name)
		}
		if schema.Value.Description == "" && name != "Error" {
			t.Errorf("the schema %s has no description", name)
		}
	}
	for name := range doc.Components.Responses {
		if !bytes.Contains(api.Description, []byte("#/components/responses/"+name+`"`)) {
			t.Errorf("the response %s is used nowhere", name)
		}
	}
}

// TestEveryErrorIsDescribedWhereItCanOccur: what guards an operation can refuse it.
func TestEveryErrorIsDescribedWhereItCanOccur(t *testing.T) {
	t.Parallel()
	doc := description(t)
	const asks, spends = "200 401 403 429 500 503", "200 400 401 403 404 408 413 415 422 429 500 502 503 504"
	wants := map[string]string{
		"POST /api/generate-text":   "200 400 401 403 408 413 415 422 429 500 502 503 504",
		"POST /api/ai/chat":         "200 400 401 403 408 413 415 422 429 500 502 503 504",
		"POST /api/chat":            "200 400 401 403 408 413 415 429 500 502 503 504", // filtered: the stream says so
		"POST /api/completion":      "200 400 401 403 408 413 415 429 500 502 503 504",
		"POST /v1/chat/completions": spends,
		"POST /v1/responses":        spends,
		"POST /v1/embeddings":       spends,
		"POST /v1/moderations":      spends,
		"GET /v1/models":            asks,
		"GET /v1/models/{id}":       "200 401 403 404 429 500 503",
		"GET /api/usage/me":         asks,
		"GET /openapi.yaml":         "200 403 429 503",
		"GET /readyz":               "200 503",
		"GET /livez":                "200",
		"GET /healthz":              "200",
	}
	for name, o := range operations(doc) {
		if isOperators(o.Tags) {
			continue
		}
		if got := strings.Join(slices.Sorted(maps.Keys(o.Responses.Map())), " "); got != wants[name] {
			t.Errorf("%s describes %s, want %s", name, got, wants[name])
		}
		open := o.Security != nil && len(*o.Security) == 0
		if open == strings.Contains(wants[name], "401") {
			t.Errorf("%s: open to everybody is %t", name, open)
		}
		_, path, _ := strings.Cut(name, " ")
		for status, response := range o.Responses.Map() {
			if status >= "400" && strings.HasPrefix(response.Ref, "#/components/responses/OpenAI") != asOpenAI(path) {
				t.Errorf("%s: %s is in the shape of %s", name, status, response.Ref)
			}
		}
	}
	for name, response := range doc.Components.Responses {
		if strings.HasPrefix(name, "Operator") {
			continue
		}
		kind, ours := strings.CutPrefix(name, "OpenAI")
		shape := "#/components/schemas/Error"
		if ours {
			shape = "#/components/schemas/OpenAIError"
		}
		content := response.Value.Content["application/json"]
		if content == nil || content.Schema.Ref != shape || response.Value.Headers["X-Request-Id"] == nil {
			t.Errorf("the response %s is not a %s with an X-Request-Id", name, shape)
		}
		waits := kind == "TooMany" || kind == "Unavailable"
		if waits != (response.Value.Headers["Retry-After"] != nil) || waits != (response.Value.Headers["X-Should-Retry"] != nil) {
			t.Errorf("the response %s: Retry-After and X-Should-Retry belong to 429 and 503", name)
		}
		// On /v1 a bad token is a 401 like a missing one, and a 403 never about it.
		if token := kind == "Unauthorized" || name == "Forbidden"; token != (response.Value.Headers["WWW-Authenticate"] != nil) {
			t.Errorf("the response %s: WWW-Authenticate belongs to what is about the token", name)
		}
	}
}

// isOperators reports whether an operation is the operator's, whose errors package
// admin holds against the description.
func isOperators(tags []string) bool { return slices.Contains(tags, "operator") }

// asOpenAI reports whether a path's errors are in OpenAI's shape.
func asOpenAI(path string) bool { return strings.HasPrefix(path, "/v1/") }

// statusNames are how the code writes what the description numbers.
var statusNames = map[string]int{
	"StatusBadRequest": 400, "StatusUnauthorized": 401, "StatusForbidden": 403, "StatusNotFound": 404, "StatusMethodNotAllowed": 405, "StatusRequestTimeout": 408,
	"StatusRequestEntityTooLarge": 413, "StatusUnsupportedMediaType": 415, "StatusUnprocessableEntity": 422, "StatusTooManyRequests": 429,
	"StatusInternalServerError": 500, "StatusBadGateway": 502, "StatusServiceUnavailable": 503, "StatusGatewayTimeout": 504,
}

// refusals are the codes that the program can answer with, and their statuses:
// every apierr.New in what it is built from, every refuse of package prompt, and
// every Refuse of package strict.
func refusals(t *testing.T) map[string][]int {
	t.Helper()
	all := map[string][]int{}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{if and .Module .Module.Main}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}`, ".")
	files, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(files)) {
		if strings.Contains(filepath.ToSlash(name), "/sim/") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if status, code := refusalOf(file.Name.Name, n); code != "" && !slices.Contains(all[code], status) {
				all[code] = append(all[code], status)
			}
			return true
		})
	}
	return all
}

func refusalOf(pkg string, n ast.Node) (status int, code string) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return 0, ""
	}
	on, name := pkg, "" // apierr.New(status, code, …), s.refuse(code, …), refuse(code, …)
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		name = f.Sel.Name
		if x, ok := f.X.(*ast.Ident); ok {
			on = x.Name
		}
	case *ast.Ident:
		name = f.Name
	}
	args := call.Args
	switch {
	case on == "apierr" && name == "New":
		if constant, ok := args[0].(*ast.SelectorExpr); ok {
			status = statusNames[constant.Sel.Name]
		}
		args = args[1:]
	case pkg == "prompt" && name == "refuse", name == "Refuse":
		status = http.StatusBadRequest
	default:
		return 0, ""
	}
	if len(args) == 0 {
		return 0, ""
	}
	if literal, ok := args[0].(*ast.BasicLit); ok {
		code, _ = strconv.Unquote(literal.Value)
	}
	return status, code
}

// What is sent in one of the two shapes only.
var (
	onlyAsText   = []string{"invalid_prompt", "prompt_too_long", "prompt_empty", "model_not_allowed", "content_filtered", "output_limit_reached"}
	onlyAsOpenAI = []string{"model_not_found"}
)

// asOpenAIHasIt is a refusal on /v1.
func asOpenAIHasIt(status int, code string) (int, string) {
	switch code {
	case "token_invalid":
		return http.StatusUnauthorized, "invalid_api_key"
	case "rate_limited", "too_many_streams", "budget_busy":
		return status, "rate_limit_exceeded"
	case "budget_exhausted":
		return status, "insufficient_quota"
	}
	return status, code
}

// TestEveryCodeIsDescribed, with the status that it comes with, and none that
// nobody sends; in both shapes.
func TestEveryCodeIsDescribed(t *testing.T) {
	t.Parallel()
	doc := description(t)
	sent := refusals(t)
	if len(sent) < 20 {
		t.Errorf("only %d codes were found in the code", len(sent))
	}
	for _, shape := range []struct {
		enum   string
		openAI bool
		others []string
	}{{"Code", false, onlyAsOpenAI}, {"OpenAICode", true, onlyAsText}} {
		told := map[int]string{} // by status
		for name, o := range operations(doc) {
			if _, path, _ := strings.Cut(name, " "); asOpenAI(path) != shape.openAI {
				continue
			}
			for status, response := range o.Responses.Map() {
				told[must(strconv.Atoi(status))] += *response.Value.Description
			}
		}
		want := map[string]bool{}
		if shape.openAI {
			want["invalid_request"] = true // OpenAI's own refusal, without a code
		}
		for code, statuses := range sent {
			if slices.Contains(shape.others, code) {
				continue
			}
			for _, status := range statuses {
				if shape.openAI {
					status, code = asOpenAIHasIt(status, code)
				}
				want[code] = true
				switch {
				case status == 0:
					t.Errorf("%s is sent with a status that this test cannot read", code)
				case status == http.StatusMethodNotAllowed, status == http.StatusNotFound && !shape.openAI: // of no operation
				case code == "upstream_interrupted": // only ever in a stream
					if !strings.Contains(string(api.Description), `"code":"upstream_interrupted"`) {
						t.Errorf("the description shows no stream that ends with %s", code)
					}
				case !strings.Contains(told[status], code):
					t.Errorf("%s is sent with %d, whose description does not name it: %s", code, status, told[status])
				}
			}
		}
		listed := map[string]bool{}
		for _, code := range doc.Components.Schemas[shape.enum].Value.Enum {
			listed[code.(string)] = true
		}
		if diff := cmp.Diff(want, listed); diff != "" {
			t.Errorf("the enum %s, and what is sent (-sent +listed):\n%s", shape.enum, diff)
		}
	}
}

var decoders = sync.OnceFunc(func() {
	for _, kind := range []string{"text/event-stream", "application/yaml"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder)
	}
})

// conforms holds a real answer against the description.
func (r *rig) conforms(t *testing.T, router routers.Router, name string, req *http.Request) {
	t.Helper()
	got := r.do(req)
	if err := described(router, req, got); err != nil {
		t.Errorf("%s: the answer %d %s is not as described: %v", name, got.status, got.body, err)
	}
}

func described(router routers.Router, req *http.Request, got reply) error {
	route, params, err := router.FindRoute(req)
	if err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 got.status,
		Header:                 got.header,
		Body:                   io.NopCloser(strings.NewReader(got.body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	})
}

// TestRealAnswersAreAsDescribed: successes in every form, and every error that a
// request can bring about.
func TestRealAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	decoders()
	doc := description(t)
	r := start(t, "UPSTREAM_TIMEOUT=1s")
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints() {
		for _, m := range append(identityMistakes(t), bodyMistakes()...) {
			body := strings.ReplaceAll(m.body, "userPrompt", e.prompt)
			r.conforms(t, router, e.path+" "+m.name, r.request(e.path, body, m.headers...))
		}
		for _, words := range []string{"", "status=429", "quota", "status=500", "status=504", "finish=content_filter", "fault=reasoning_only", "leak=whole", "fault=cut"} {
			for _, accept := range []string{"application/json", "text/event-stream"} {
				r.conforms(t, router, e.path+" "+words, r.request(e.path, e.body("[[sim "+words+"]] hi", ""), "Accept:"+accept))
			}
		}
		r.conforms(t, router, e.path+" as text", r.request(e.path, e.body("hi", ""), "Accept: text/plain"))
		r.conforms(t, router, e.path+" from afar", r.request(e.path, e.body("hi", ""), "Origin: https://evil.example"))
	}
	for _, path := range []string{"/livez", "/healthz", "/readyz", "/openapi.yaml"} {
		req := r.request(path, "", "Authorization:", "Content-Type:")
		req.Method = http.MethodGet
		r.conforms(t, router, path, req)
	}
	for _, wrong := range []reply{
		{200, http.Header{"Content-Type": {jsonForm}, "X-Request-Id": {"x"}}, `{"result": "hi", "model": "gpt-6-luna"}`, nil},
		{200, http.Header{"Content-Type": {jsonForm}}, `{"result": "hi"}`, nil},
		{400, http.Header{"Content-Type": {jsonForm}, "X-Request-Id": {"x"}}, `{"error": "No.", "code": "made_up", "request_id": "x"}`, nil},
		{418, http.Header{"Content-Type": {jsonForm}, "X-Request-Id": {"x"}}, `{}`, nil},
	} {
		if described(router, r.request("/api/generate-text", "{}"), wrong) == nil {
			t.Errorf("the description has nothing against %d %s", wrong.status, wrong.body)
		}
	}
}
