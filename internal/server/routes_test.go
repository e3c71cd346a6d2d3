package server

import (
	"crypto/rand"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"keyshield/api"
	"keyshield/internal/auth"
	"keyshield/internal/ledger"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
)

// described are the operations of api/openapi.yaml, as "POST /path".
func described(t *testing.T) (all []string) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Description)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		if isOperators(path) {
			continue // held against the handler that lies behind the door
		}
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	return all
}

// registrations are chi's ways to add a route. Those that hide a path or a method
// from this test are not for this package.
var registrations = map[string][]string{
	"Get": {http.MethodGet}, "Post": {http.MethodPost}, "Put": {http.MethodPut}, "Patch": {http.MethodPatch}, "Delete": {http.MethodDelete},
	"HandleFunc": {http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
	"Handle":     nil, "Method": nil, "MethodFunc": nil, "Mount": nil, "Route": nil, "Connect": nil, "Trace": nil, "Options": nil, "Head": nil,
}

// routed are the paths that the code gives a handler, with the methods that the
// handler may take.
func routed(t *testing.T) (all [][2]string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			methods, ok := registrations[method.Sel.Name]
			if on, _ := method.X.(*ast.Ident); !ok || on == nil || on.Name != "r" {
				return true
			}
			literal, _ := call.Args[0].(*ast.BasicLit)
			if literal == nil || methods == nil {
				t.Errorf("%s: r.%s hides a route from the reader of routes.go, and from this test", set.Position(call.Pos()), method.Sel.Name)
				return true
			}
			path, _ := strconv.Unquote(literal.Value)
			for _, m := range methods {
				all = append(all, [2]string{m, path})
			}
			return true
		})
	}
	return all
}

// isPage says whether a path is for people, and not part of the API.
func isPage(path string) bool { return path == "/" || strings.HasPrefix(path, "/playground/") }

// TestRoutesAndDescriptionAgree in both directions. A route counts for the
// methods that it does not answer with 405; HEAD is GET without its body.
func TestRoutesAndDescriptionAgree(t *testing.T) {
	t.Parallel()
	key := secret.New(rand.Text() + rand.Text())
	verifier, err := auth.New(t.Context(), auth.Config{Secret: key}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	books, err := ledger.Open(t.Context(), ledger.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { books.Close() })
	s := New(Config{MaxBody: 1 << 10, MaxInFlight: 10, Endpoints: policy.Endpoints()}, Parts{
		Verifier: verifier, Ledger: books, Detector: secret.NewDetector(key), Log: slog.New(slog.DiscardHandler),
	})
	ask := func(method, path string) int {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code
	}

	documented, served := described(t), 0
	for _, route := range routed(t) {
		method, path := route[0], route[1]
		if ask(method, path) == http.StatusMethodNotAllowed || isPage(path) {
			continue
		}
		if served++; !slices.Contains(documented, method+" "+path) {
			t.Errorf("%s %s is served, and api/openapi.yaml does not describe it", method, path)
		}
	}
	for _, pattern := range Patterns() {
		if !slices.ContainsFunc(routed(t), func(route [2]string) bool { return route[1] == pattern }) {
			t.Errorf("the metrics know %s, and there is no such route", pattern)
		}
	}
	for _, route := range routed(t) {
		if !slices.Contains(Patterns(), route[1]) {
			t.Errorf("the metrics do not know %s", route[1])
		}
	}
	if served < 6 {
		t.Errorf("only %d routes were found", served)
	}
	for _, operation := range documented {
		method, path, _ := strings.Cut(operation, " ")
		if status := ask(method, path); status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
			t.Errorf("%s is described, and answers %d", operation, status)
		}
	}
	if len(documented) != served {
		t.Errorf("%d operations are described, and %d served", len(documented), served)
	}
}
