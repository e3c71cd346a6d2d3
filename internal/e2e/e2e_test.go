// Package e2e shows that the SDKs people use need no more than our URL and a
// user's token: the real packages, in Node, in Chromium from a page of another
// origin and in Go, against the running program, before two independent
// providers that stand for OpenAI.
//
// The tests are Go's, and know what must come of a call. The SDKs are asked by
// drivers (sdk/node.mjs, sdk/chromium.mjs, openaigo) that read a call a line and
// write what came of it, so that one list of cases serves them all. And what the
// README shows of each SDK is run as it stands there (readme_test.go).
//
// They run when KEYSHIELD_E2E=1 is set, after sh internal/e2e/setup. Then nothing
// is skipped: what is missing fails.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// built is where TestMain leaves the programs.
var built struct{ keyshield, openaigo string }

func TestMain(m *testing.M) {
	if os.Getenv("KEYSHIELD_E2E") != "1" {
		fmt.Println("internal/e2e: not run, because KEYSHIELD_E2E=1 is not set (it needs npm packages and Chromium: make e2e)")
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "keyshield-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built.keyshield = filepath.Join(dir, "keyshield")
	built.openaigo = filepath.Join(dir, "openaigo")
	for _, step := range []struct{ dir, out, pkg string }{
		{"../..", built.keyshield, "./cmd/keyshield"},
		{"openaigo", built.openaigo, "."},
	} {
		build := exec.Command("go", "build", "-o", step.out, step.pkg)
		build.Dir, build.Stdout, build.Stderr = step.dir, os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s in %s: %v\n", step.pkg, step.dir, err)
			return 1
		}
	}
	return m.Run()
}

// installed is a file that setup brings.
func installed(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(full)
	}
	if err != nil {
		t.Fatalf("%v\nrun sh internal/e2e/setup first", err)
	}
	return full
}
