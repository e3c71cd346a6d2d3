package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyshield/internal/audit"
)

// TestCrashOfTheLastServerIsTold when no other has started since, also when its start
// lies before what is summed up.
func TestCrashOfTheLastServerIsTold(t *testing.T) {
	o := openOffice(t, nil)
	o.close()
	elsewhere := t.TempDir()
	log, err := audit.Open(audit.Options{Dir: elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	log.Request(&audit.Record{ID: "1", User: "ana", Outcome: audit.OK}, true)
	dir := filepath.Join(o.data, audit.Folder)
	if err := os.CopyFS(dir, os.DirFS(elsewhere)); err != nil { // as kill -9 leaves it
		t.Fatal(err)
	}
	later := time.Now().UTC().Add(time.Second).Format(time.RFC3339)
	for _, args := range [][]string{nil, {"--from", later}} {
		said := o.ok(append([]string{"audit", "--summary"}, args...)...)
		if !strings.Contains(said, "No server runs here.") || !strings.Contains(said, "ended once without a word") || strings.Contains(said, "Nothing is wrong now") {
			t.Errorf("%v: after a crash\n%s", args, said)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(elsewhere)); err != nil {
		t.Fatal(err)
	}
	if said := o.ok("audit", "--summary"); !strings.Contains(said, "No server runs here.") || strings.Contains(said, "without a word") || strings.Contains(said, "Nothing is wrong now") {
		t.Errorf("after a stop\n%s", said)
	}
}
