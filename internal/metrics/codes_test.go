package metrics_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"keyshield/internal/metrics"
)

// counted reports which codes have a series of their own.
func counted(t *testing.T) func(code string) bool {
	t.Helper()
	found := scrape(t, metrics.New(options()))
	return func(code string) bool {
		_, ok := found[`keyshield_refusals_total{code="`+code+`"}`]
		return ok
	}
}

func TestEveryDocumentedCodeIsCounted(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../../api/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Enum []string `yaml:"enum"`
			} `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	has := counted(t)
	for _, schema := range []string{"Code", "OpenAICode"} {
		if len(doc.Components.Schemas[schema].Enum) < 20 {
			t.Errorf("%s lists %d codes: has the file's form changed?", schema, len(doc.Components.Schemas[schema].Enum))
		}
		for _, code := range doc.Components.Schemas[schema].Enum {
			if !has(code) {
				t.Errorf("%s of %s counts as other: add it to codes", code, schema)
			}
		}
	}
}

func TestEveryCodeThatIsMadeIsCounted(t *testing.T) {
	has, seen := counted(t), 0
	err := filepath.WalkDir(filepath.FromSlash(".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, filepath.Join("..", "sim")) {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if code := madeBy(n); code != "" {
				seen++
				if !has(code) {
					t.Errorf("%s makes %s, which counts as other: add it to codes", path, code)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || seen < 20 {
		t.Errorf("found %d calls of apierr.New (%v): has it another form now?", seen, err)
	}
}

// madeBy is the code in a call of apierr.New.
func madeBy(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return ""
	}
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || fun.Sel.Name != "New" {
		return ""
	}
	if pkg, ok := fun.X.(*ast.Ident); !ok || pkg.Name != "apierr" {
		return ""
	}
	lit, ok := call.Args[1].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	code, _ := strconv.Unquote(lit.Value)
	return code
}
