package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The layout is a promise too: it says where to look for a cause, and that no
// package reads a setting, opens a debug page or reaches sideways unseen.

const module = "keyshield"

// ranks order our packages: an import goes to a lower rank. Only questions may
// ask one another, and only in the direction that Go's own cycle check leaves.
var ranks = map[string]int{
	"cmd/keyshield": 4, "internal/bench": 4,
	"internal/config": 3, "internal/server": 3, "internal/admin": 3, "internal/pages": 3, "internal/sim": 3,
	"internal/auth": 2, "internal/prompt": 2, "internal/wire": 2, "internal/policy": 2, "internal/limit": 2,
	"internal/ledger": 2, "internal/ledger/ledgertest": 2, "internal/upstream": 2, "internal/upstream/source": 2,
	"internal/audit": 2, "internal/watch": 2, "internal/metrics": 2, "internal/alert": 2, "internal/reconcile": 2,
	"internal/strict": 1, "internal/aside": 1, "internal/disk": 1, "internal/socket": 1, "internal/secret": 1, "internal/money": 1,
	"internal/apierr": 0, // the one word that other words use
	"api":             1, // the embedded description, which anyone may read
}

const (
	questions = 2
	edges     = 3
)

// packageInfo is what go list says of one of our packages.
type packageInfo struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
}

func (p packageInfo) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// goTool runs the go command in the root of the module.
func goTool(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
		}
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func packages(t *testing.T) (all []packageInfo) {
	t.Helper()
	list := json.NewDecoder(bytes.NewReader(goTool(t, "list", "-e", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles,Imports", "./...")))
	for {
		var p packageInfo
		err := list.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// sources parses the files of a package and gives each to look.
func sources(t *testing.T, p packageInfo, names []string, look func(where string, fset *token.FileSet, file *ast.File)) {
	t.Helper()
	for _, name := range names {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		look(p.name()+"/"+name, fset, file)
	}
}

func TestImportsGoDownwards(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		rank, known := ranks[p.name()]
		if !known {
			t.Errorf("%s has no place in the layout: add it to ranks, with the question that it answers", p.name())
			continue
		}
		for _, path := range p.Imports {
			name, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			to := ranks[name]
			if to > rank || to == rank && rank != questions {
				t.Errorf("%s (rank %d) imports %s (rank %d): imports go downwards, and edges never import each other", p.name(), rank, name, to)
			}
			if name == "internal/config" && p.name() != "cmd/keyshield" {
				t.Errorf("%s imports config: settings are handed down as arguments", p.name())
			}
		}
	}
}

// TestOnlyDevHasTheSimulator: a server in production must have no way to answer
// from a simulator.
func TestOnlyDevHasTheSimulator(t *testing.T) {
	for _, p := range packages(t) {
		if p.name() == "internal/bench" {
			continue
		}
		sources(t, p, p.GoFiles, func(where string, _ *token.FileSet, file *ast.File) {
			for _, i := range file.Imports {
				if i.Path.Value == strconv.Quote(module+"/internal/sim") && where != "cmd/keyshield/dev.go" {
					t.Errorf("%s imports the simulator; only cmd/keyshield/dev.go may", where)
				}
			}
		})
	}
}

// TestNobodyServesDebugPages: importing pprof or expvar registers handlers that
// show the command line, the memory and the goroutines. chi's middleware imports
// both for a profiler that we do not mount, and Prometheus' client imports expvar
// for a collector that we do not use, so we must not import them ourselves, nor
// serve the mux that they register on.
func TestNobodyServesDebugPages(t *testing.T) {
	debug := []string{"net/http/pprof", "expvar", "golang.org/x/net/trace"}
	others := []string{"github.com/go-chi/chi/v5/middleware", "github.com/prometheus/client_golang/prometheus"}
	deps := json.NewDecoder(bytes.NewReader(goTool(t, "list", "-deps", "-json=ImportPath,Dir,Imports", "./cmd/keyshield")))
	for {
		var p packageInfo
		if err := deps.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, path := range p.Imports {
			if slices.Contains(debug, path) && !slices.Contains(others, p.ImportPath) {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
		}
	}
	servers := []string{"http.DefaultServeMux", "http.Handle", "http.HandleFunc", "http.ListenAndServe", "http.ListenAndServeTLS", "http.Serve", "middleware.Profiler"}
	for _, p := range packages(t) {
		sources(t, p, p.GoFiles, func(where string, fset *token.FileSet, file *ast.File) {
			ast.Inspect(file, func(n ast.Node) bool {
				if name := qualified(n); slices.Contains(servers, name) {
					t.Errorf("%s:%d uses %s, on which the debug pages are registered", where, fset.Position(n.Pos()).Line, name)
				}
				return true
			})
		})
	}
}

func TestOnlyCmdReadsTheEnvironment(t *testing.T) {
	readers := []string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv", "syscall.Getenv", "syscall.Environ"}
	for _, p := range packages(t) {
		if p.name() == "cmd/keyshield" {
			continue
		}
		sources(t, p, p.GoFiles, func(where string, fset *token.FileSet, file *ast.File) {
			ast.Inspect(file, func(n ast.Node) bool {
				if name := qualified(n); slices.Contains(readers, name) {
					t.Errorf("%s:%d calls %s: only cmd reads the environment", where, fset.Position(n.Pos()).Line, name)
				}
				return true
			})
		})
	}
}

// qualified is "pkg.Name" of such an expression, "" of any other.
func qualified(n ast.Node) string {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return pkg.Name + "." + sel.Sel.Name
}

func TestTopLevelHoldsOnlyWhatItShould(t *testing.T) {
	allowed := []string{
		"cmd", "internal", "api", "deploy", ".ci", ".env.example", ".gitignore", "go.mod", "go.sum",
		"Makefile", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md",
	}
	git := exec.CommandContext(t.Context(), "git", "ls-files", "--full-name")
	git.Dir = filepath.Join("..", "..")
	files, err := git.Output()
	if err != nil || len(files) == 0 {
		why := fmt.Sprintf("this is no git work tree with files in it (%v)", err)
		if slices.Contains(strings.Split(os.Getenv("KEYSHIELD_REQUIRE"), ","), "git") {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	for name := range strings.Lines(string(files)) {
		top, _, _ := strings.Cut(strings.TrimSpace(name), "/")
		if !slices.Contains(allowed, top) {
			t.Errorf("%s: the top level is fixed; put it under one of %v", strings.TrimSpace(name), allowed)
		}
	}
}

// sleepers may wait for real, each with its reason; all others wait in a
// synctest bubble, or for an event.
var sleepers = map[string]string{}

// TestNoTestSleepsForReal: a test that sleeps is slow when it passes and wrong
// when the machine is slow. Files with a bubble may sleep on its clock.
func TestNoTestSleepsForReal(t *testing.T) {
	for _, p := range packages(t) {
		sources(t, p, slices.Concat(p.TestGoFiles, p.XTestGoFiles), func(where string, fset *token.FileSet, file *ast.File) {
			if _, allowed := sleepers[where]; allowed || imports(file, "testing/synctest") {
				return
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if qualified(n) == "time.Sleep" {
					t.Errorf("%s:%d sleeps for real", where, fset.Position(n.Pos()).Line)
				}
				return true
			})
		})
	}
}

func imports(file *ast.File, path string) bool {
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(path) })
}

// TestFilesStayReadable: 400 lines to a file, no init, no function that hides
// beyond two screens. Generated tables are exempt.
func TestFilesStayReadable(t *testing.T) {
	for _, p := range packages(t) {
		sources(t, p, p.GoFiles, func(where string, fset *token.FileSet, file *ast.File) {
			if ast.IsGenerated(file) {
				return
			}
			if lines := fset.Position(file.FileEnd).Line; lines > 401 {
				t.Errorf("%s has %d lines, want 400 at most", where, lines)
			}
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				if f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s has an init: what it does happens before main can say no", where)
				}
				if lines := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; lines > 60 {
					t.Errorf("%s: %s has %d lines, want 60 at most", where, f.Name.Name, lines)
				}
			}
		})
	}
}
