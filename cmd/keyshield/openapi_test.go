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
	wants := map[string]string{
		"POST /api/generate-text": "200 400 401 403 408 413 415 422 429 500 502 503 504",
		"POST /api/ai/chat":       "200 400 401 403 408 413 415 422 429 500 502 503 504",
		"GET /openapi.yaml":       "200 403 429 503",
		"GET /api/usage/me":       "200 401 403 429 500 503",
		"GET /readyz":             "200 503",
		"GET /livez":              "200",
		"GET /healthz":            "200",
	}
	for name, o := range operations(doc) {
		if got := strings.Join(slices.Sorted(maps.Keys(o.Responses.Map())), " "); got != wants[name] {
			t.Errorf("%s describes %s, want %s", name, got, wants[name])
		}
		open := o.Security != nil && len(*o.Security) == 0
		if open == strings.Contains(wants[name], "401") {
			t.Errorf("%s: open to everybody is %t", name, open)
		}
	}
	for name, response := range doc.Components.Responses {
		content := response.Value.Content["application/json"]
		if content == nil || content.Schema.Ref != "#/components/schemas/Error" || response.Value.Headers["X-Request-Id"] == nil {
			t.Errorf("the response %s is not an Error with an X-Request-Id", name)
		}
		if waits := name == "TooMany" || name == "Unavailable"; waits != (response.Value.Headers["Retry-After"] != nil) {
			t.Errorf("the response %s: Retry-After belongs to 429 and 503", name)
		}
		if token := name == "Unauthorized" || name == "Forbidden"; token != (response.Value.Headers["WWW-Authenticate"] != nil) {
			t.Errorf("the response %s: WWW-Authenticate belongs to 401 and 403", name)
		}
	}
}

// statusNames are how the code writes what the description numbers.
var statusNames = map[string]int{
	"StatusBadRequest": 400, "StatusUnauthorized": 401, "StatusForbidden": 403, "StatusNotFound": 404, "StatusMethodNotAllowed": 405, "StatusRequestTimeout": 408,
	"StatusRequestEntityTooLarge": 413, "StatusUnsupportedMediaType": 415, "StatusUnprocessableEntity": 422, "StatusTooManyRequests": 429,
	"StatusInternalServerError": 500, "StatusBadGateway": 502, "StatusServiceUnavailable": 503, "StatusGatewayTimeout": 504,
}

// refusals are the codes that the program can answer with, and their statuses:
// every apierr.New in what it is built from, and every refuse of package prompt.
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
	args := call.Args
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr: // apierr.New(status, code, …), s.refuse(code, …)
		switch x, _ := f.X.(*ast.Ident); {
		case x != nil && x.Name == "apierr" && f.Sel.Name == "New":
			if name, ok := args[0].(*ast.SelectorExpr); ok {
				status = statusNames[name.Sel.Name]
			}
			args = args[1:]
		case pkg == "prompt" && f.Sel.Name == "refuse":
			status = http.StatusBadRequest
		default:
			return 0, ""
		}
	case *ast.Ident:
		switch {
		case pkg == "prompt" && f.Name == "refuse":
			status = http.StatusBadRequest
		case pkg == "apierr" && f.Name == "New":
			if name, ok := args[0].(*ast.SelectorExpr); ok {
				status = statusNames[name.Sel.Name]
			}
			args = args[1:]
		default:
			return 0, ""
		}
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

// TestEveryCodeIsDescribed, with the status that it comes with, and none that
// nobody sends.
func TestEveryCodeIsDescribed(t *testing.T) {
	t.Parallel()
	doc := description(t)
	var listed []string
	for _, code := range doc.Components.Schemas["Code"].Value.Enum {
		listed = append(listed, code.(string))
	}
	told := map[int]string{} // by status
	for _, o := range operations(doc) {
		for status, response := range o.Responses.Map() {
			told[must(strconv.Atoi(status))] += *response.Value.Description
		}
	}
	sent := refusals(t)
	for code, statuses := range sent {
		if !slices.Contains(listed, code) {
			t.Errorf("%s is sent, and the description's enum lacks it", code)
		}
		for _, status := range statuses {
			switch {
			case status == 0:
				t.Errorf("%s is sent with a status that this test cannot read", code)
			case status == 404 || status == 405: // of no operation
			case code == "upstream_interrupted": // only ever in a stream
				if !strings.Contains(string(api.Description), `"code":"upstream_interrupted"`) {
					t.Errorf("the description shows no stream that ends with %s", code)
				}
			case !strings.Contains(told[status], code):
				t.Errorf("%s is sent with %d, whose description does not name it: %s", code, status, told[status])
			}
		}
	}
	for _, code := range listed {
		if _, ok := sent[code]; !ok {
			t.Errorf("the description's enum has %s, which nobody sends", code)
		}
	}
	if len(sent) < 20 {
		t.Errorf("only %d codes were found in the code", len(sent))
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
