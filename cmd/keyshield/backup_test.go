package main

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// restore opens a backup as a server would, and says what is in it.
func restore(t *testing.T, path string) ledger.Balance {
	t.Helper()
	dir := t.TempDir()
	copied, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ledgerFile), copied, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), ledger.Options{Dir: dir})
	if err != nil {
		t.Fatalf("the backup is no ledger: %v", err)
	}
	defer l.Close()
	s, err := l.Standing(t.Context(), person("ana"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Month.Used != s.UserMonth.Used {
		t.Errorf("everything has %v and its only user %v: the backup is of two moments", s.Month.Used, s.UserMonth.Used)
	}
	return s.Month
}

func TestBackupIsOfOneMomentWhileCallsAreMade(t *testing.T) {
	o := openOffice(t, nil)
	o.settle(person("ana"), "gpt-6-luna", money.Dollar)
	var settled atomic.Int64
	settled.Store(1)
	stop := make(chan struct{})
	var calls sync.WaitGroup
	calls.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				o.settle(person("ana"), "gpt-6-luna", money.Dollar)
				settled.Add(1)
			}
		}
	})
	for _, name := range []string{"one.db", "two.db", "three.db"} {
		before := settled.Load()
		if said := o.ok("backup", name); !strings.Contains(said, name+" has the ledger") || !strings.Contains(said, "found whole") {
			t.Errorf("said %q", said)
		}
		after := settled.Load() + 1
		path := filepath.Join(o.dir, name)
		if b := restore(t, path); b.Requests < before || b.Requests > after || b.Cost != money.USD(b.Requests)*money.Dollar {
			t.Errorf("%s has %d calls for %v, want from %d to %d for a dollar each", name, b.Requests, b.Cost, before, after)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v (%v), want 0600: it holds users' ids", name, info.Mode(), err)
		}
	}
	close(stop)
	calls.Wait()
	o.onlyBackups("one.db", "two.db", "three.db")
}

// onlyBackups checks that nothing half is left beside them.
func (o *office) onlyBackups(names ...string) {
	o.t.Helper()
	want := map[string]bool{"data": true}
	for _, name := range names {
		want[name] = true
	}
	entries, err := os.ReadDir(o.dir)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, e := range entries {
		if !want[e.Name()] {
			o.t.Errorf("%s is left in the folder of the backups", e.Name())
		}
		delete(want, e.Name())
	}
	if len(want) > 0 {
		o.t.Errorf("missing: %v", want)
	}
}

func TestBackupWithoutAServer(t *testing.T) {
	o := openOffice(t, nil)
	o.settle(person("ana"), "gpt-6-luna", 7)
	o.close()
	o.ok("backup", filepath.Join(o.dir, "copy.db"))
	if b := restore(t, filepath.Join(o.dir, "copy.db")); b.Cost != 7 {
		t.Errorf("the copy has %v, want $0.000000007", b.Cost)
	}
	if acts := audits(t, filepath.Join(o.dir, "data"), audit.Query{Kind: audit.Operator}); len(acts) != 1 || acts[0].Action != "backup" {
		t.Errorf("the audit log has %+v, want the backup: it holds what everybody did", acts)
	}
}

func TestBackupOverwritesNothing(t *testing.T) {
	o := openOffice(t, nil)
	path := filepath.Join(o.dir, "copy.db")
	if err := os.WriteFile(path, []byte("last week's"), 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(o.dir, "link.db")
	if err := os.Symlink(filepath.Join(o.dir, "nowhere"), dangling); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{path, dangling, o.data, filepath.Join(o.data, ledgerFile)} {
		if code, _, stderr := o.run("backup", to); code != exitFailed || !strings.Contains(stderr, "overwrites nothing") {
			t.Errorf("backup to %s: %d %q", to, code, stderr)
		}
	}
	if kept, _ := os.ReadFile(path); string(kept) != "last week's" {
		t.Errorf("the file has become %q", kept)
	}
	// One that came up while the copy was made.
	fresh := filepath.Join(o.dir, "fresh")
	if err := os.WriteFile(fresh, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := place(fresh, path); err == nil {
		t.Error("a file that came up meanwhile was overwritten")
	}
	if code, _, stderr := o.run("backup", filepath.Join(o.dir, "no", "folder.db")); code != exitFailed || !strings.Contains(stderr, "no such file") {
		t.Errorf("no folder: %d %q", code, stderr)
	}
}

// TestHalfABackupIsNone: the connection breaks, or what comes is damaged.
func TestHalfABackupIsNone(t *testing.T) {
	whole := openOffice(t, nil)
	whole.settle(person("ana"), "gpt-6-luna", 7)
	whole.ok("backup", "copy.db")
	good, err := os.ReadFile(filepath.Join(whole.dir, "copy.db"))
	if err != nil {
		t.Fatal(err)
	}
	for name, send := range map[string]func(http.ResponseWriter){
		"cut off": func(w http.ResponseWriter) {
			w.Write(good[:len(good)/2])
			panic(http.ErrAbortHandler)
		},
		"too short": func(w http.ResponseWriter) { w.Write(good[:len(good)/4]) },
		"empty":     func(http.ResponseWriter) {},
		"something else": func(w http.ResponseWriter) {
			w.Write([]byte(strings.Repeat("<html>", 1000)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := pretender(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(admin.ProtocolHeader, admin.Protocol)
				send(w)
			})
			code, stdout, stderr := o.run("backup", "copy.db")
			if code != exitFailed || stdout != "" || stderr == "" {
				t.Errorf("%d %q %q, want a failure", code, stdout, stderr)
			}
			if _, err := os.Lstat(filepath.Join(o.dir, "copy.db")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("half a backup has its name (%v)", err)
			}
			o.onlyBackups()
		})
	}
}
