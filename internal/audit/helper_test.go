package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keyshield/internal/audit"
)

func open(t *testing.T, o audit.Options) *audit.Log {
	t.Helper()
	l, err := audit.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// aroundNoon is the time of a log whose day does not end during a test.
func aroundNoon() time.Time { return noon.Add(time.Since(started)) }

var noon, started = time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour), time.Now()

func shut(t *testing.T, l *audit.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// search is what q finds.
func search(t *testing.T, dir string, q audit.Query) []audit.Record {
	t.Helper()
	var found []audit.Record
	err := audit.Search(t.Context(), dir, q, func(r audit.Record) error {
		found = append(found, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func verify(t *testing.T, dir string, anchors ...audit.Anchor) audit.Report {
	t.Helper()
	report, err := audit.Verify(t.Context(), dir, anchors...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func sound(t *testing.T, dir string, anchors ...audit.Anchor) audit.Report {
	t.Helper()
	report := verify(t, dir, anchors...)
	if !report.OK() {
		t.Fatalf("the log does not verify: %v", report.Fault)
	}
	return report
}

// written makes a log with n requests between its start and its stop.
func written(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), audit.Folder)
	l := open(t, audit.Options{Dir: dir, Now: aroundNoon})
	for i := range n {
		l.Request(&audit.Record{ID: fmt.Sprintf("id-%d", i), User: "ana", Status: 200, Outcome: audit.OK}, false)
	}
	shut(t, l)
	return dir
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// theFile is the only file of a log.
func theFile(t *testing.T, dir string) string {
	t.Helper()
	names := files(t, dir)
	if len(names) != 1 {
		t.Fatalf("not one file: %v", names)
	}
	return names[0]
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func linesOf(text []byte) [][]byte {
	return bytes.SplitAfter(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'})
}

// ids are the request ids in the log, each with how often it is there.
func ids(t *testing.T, dir string) map[string]int {
	t.Helper()
	count := map[string]int{}
	err := audit.Search(context.Background(), dir, audit.Query{Kind: audit.Request}, func(r audit.Record) error {
		count[r.ID]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// clock is a time that a test sets.
type clock struct{ now chan time.Time }

func newClock(start time.Time) *clock {
	c := &clock{make(chan time.Time, 1)}
	c.now <- start
	return c
}

func (c *clock) Now() time.Time {
	now := <-c.now
	c.now <- now
	return now
}

func (c *clock) set(now time.Time) {
	<-c.now
	c.now <- now
}

func sum(covered []byte) string {
	hash := sha256.Sum256(covered)
	return hex.EncodeToString(hash[:])
}
