package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/money"
	"keyshield/internal/secret"
)

func TestAnotherUsersLedgerIsNamedAsSuch(t *testing.T) {
	dir := t.TempDir()
	err := explain(dir, &fs.PathError{Op: "open", Path: dir, Err: fs.ErrPermission})
	if want := fmt.Sprintf("belongs to user %d", os.Getuid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say whom it %s", err, want)
	}
	if os.Getuid() == 0 {
		return // may open everything
	}
	o := openOffice(t, nil)
	if err := os.Chmod(filepath.Join(o.data, socketName), 0); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := o.run("usage"); code != exitFailed || !strings.Contains(stderr, "run this as that user") {
		t.Errorf("%d %q", code, stderr)
	}
}

// TestStartingServerIsToldFromNone: the lock is taken before the socket is there.
func TestStartingServerIsToldFromNone(t *testing.T) {
	o := openOffice(t, nil)
	o.stop()
	code, _, stderr := o.run("usage")
	if code != exitFailed || !strings.Contains(stderr, "try again in a moment") {
		t.Errorf("%d %q, want to be told to try again", code, stderr)
	}
}

// TestAnEmergencyStopNeedsNoOtherSettings: each command needs what it uses. The socket of
// a running server needs neither a token nor budgets, and a file no token.
func TestAnEmergencyStopNeedsNoOtherSettings(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	for _, broken := range []string{"ADMIN_TOKEN_FILE=/nope", "ADMIN_TOKEN=short", "BUDGET_DAY=abc", "BUDGET_MONTH=abc"} {
		if code, _, stderr := s.command(broken, "disable", "--everything"); code != exitOK {
			t.Errorf("%s: nothing is stopped: %d %s", broken, code, stderr)
		}
		s.ok("enable", "--everything")
	}
	s.stop()
	for broken, want := range map[string]int{"ADMIN_TOKEN_FILE=/nope": exitOK, "BUDGET_DAY=abc": exitFailed, "BUDGET_MONTH=abc": exitFailed} {
		code, _, stderr := s.command(broken, "usage")
		if name, _, _ := strings.Cut(broken, "="); code != want || want == exitFailed && !strings.Contains(stderr, name+": ") {
			t.Errorf("%s, and no server: %d %s", broken, code, stderr)
		}
	}
}

// TestReachFromAfar: the same commands, with the token, and over nothing that others
// can read.
func TestReachFromAfar(t *testing.T) {
	o := openOffice(t, nil)
	o.settle(person("auth0|bob"), "gpt-6-luna", money.Dollar+5)
	const token = "test-token-0123456789-0123456789-0123456789"
	door, err := admin.NewDoor(secret.New(token), admin.DoorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if door.Admits(r, netip.Addr{}) != admin.Admitted {
			http.NotFound(w, r)
			return
		}
		o.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	afar := func(token string, args ...string) (int, string, string) {
		out, errs := newLogbook("output of "+t.Name()), newLogbook("errors of "+t.Name())
		p := process{args: args, dir: t.TempDir(), stdout: out, stderr: errs} // no DATA_DIR there
		if token != "" {
			p.environ = []string{"ADMIN_TOKEN=" + token}
		}
		code := run(t.Context(), p)
		return code, out.String(), errs.String()
	}
	if code, stdout, stderr := afar(token, "usage", "--server", web.URL); code != exitOK || !strings.Contains(stdout, "from the running server") {
		t.Errorf("usage: %d %s %s", code, stdout, stderr)
	}
	if code, stdout, stderr := afar(token, "enable", "--server", web.URL+"/", "--user", "auth0|bob"); code != exitOK || !strings.Contains(stdout, "may spend again") {
		t.Errorf("enable: %d %s %s", code, stdout, stderr)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	if code, stdout, stderr := afar(token, "backup", copied, "--server", web.URL); code != exitOK || !strings.Contains(stdout, "found whole") {
		t.Errorf("backup: %d %s %s", code, stdout, stderr)
	}
	for _, c := range []struct{ token, server, want string }{
		{"", web.URL, "needs ADMIN_TOKEN"},
		{"tiny-one-x", web.URL, "ADMIN_TOKEN: is too short"},
		{strings.Repeat("wrong-", 8), web.URL, "no door for this ADMIN_TOKEN"},
		{token, "http://api.example.com", "must begin with https://"},
		{token, "http://127.0.0.1.example.com", "must begin with https://"},
		{token, "ftp://127.0.0.1", "must begin with https://"},
		{token, "api.example.com", "must be an address"},
		{token, "https://user:password@api.example.com", "must be an address"},
		{token, "https://api.example.com/admin", "must be an address"},
		{token, "https://api.example.com?x", "must be an address"},
		{token, "http://127.0.0.1:1", "does not answer"},
	} {
		code, stdout, stderr := afar(c.token, "usage", "--server", c.server)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %d %q %q, want %q", c.server, code, stdout, stderr, c.want)
		}
		if c.token != "" && strings.Contains(stderr, c.token) {
			t.Errorf("%s: the token is shown: %s", c.server, stderr)
		}
	}
}

// TestRootLeavesAnotherUsersFolderAlone where no server answers: that user may have
// laid links there, and could not write on what root has made.
func TestRootLeavesAnotherUsersFolderAlone(t *testing.T) {
	o := openOffice(t, nil)
	o.close()
	const other = 65532
	for _, path := range []string{o.data, filepath.Join(o.data, ledgerFile)} {
		if os.Getuid() == 0 {
			if err := os.Chown(path, other, other); err != nil {
				t.Fatal(err)
			}
		}
		want := fmt.Sprintf("sudo -u '#%d'", max(os.Getuid(), 0))
		if os.Getuid() == 0 {
			want = "sudo -u '#65532'"
		}
		if err := mayOpen(o.data, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is another's: %v, want %q", path, err, want)
		}
		if err := mayOpen(o.data, other); err != nil {
			t.Errorf("who is not root is told by the file system: %v", err)
		}
		if os.Getuid() != 0 {
			return // root's own part of this needs root
		}
		for _, args := range [][]string{{"usage"}, {"disable", "--everything"}, {"audit"}, {"backup", "copy.db"}} {
			if code, stdout, stderr := o.run(args...); code != exitFailed || stdout != "" || !strings.Contains(stderr, want) {
				t.Errorf("%v: %d %q %q", args, code, stdout, stderr)
			}
		}
		if _, err := os.Lstat(filepath.Join(o.data, audit.Folder)); err == nil {
			t.Error("an audit log was made")
		}
		if err := os.Chown(path, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := mayOpen(o.data, 0); err != nil {
		t.Errorf("root's own folder: %v", err)
	}
}
