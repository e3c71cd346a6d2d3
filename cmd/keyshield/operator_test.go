package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/apierr"
	"keyshield/internal/audit"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
	"keyshield/internal/secret"
)

// office is a ledger with the operator's socket, as a server has it, and the
// operator's commands.
type office struct {
	t      *testing.T
	dir    string // of the commands; the ledger is in dir/data
	data   string
	ledger *ledger.Ledger
	log    *logbook
	stop   func()
	calls  int

	handler http.Handler // behind the socket
}

// What the tests of money call what usage reports.
type (
	nanoUSD     = admin.NanoUSD
	usageReport = admin.UsageReport
)

// openOffice runs one. A nil clock is the machine's.
func openOffice(t *testing.T, clock ledger.Clock) *office {
	t.Helper()
	dir := t.TempDir()
	o := &office{t: t, dir: dir, data: filepath.Join(dir, "data"), log: newLogbook("the operator's log of " + t.Name())}
	o.open(clock)
	return o
}

// open begins anew, as the next start of a server does.
func (o *office) open(clock ledger.Clock) {
	o.t.Helper()
	l, err := ledger.Open(o.t.Context(), ledger.Options{Dir: o.data, Clock: clock})
	if err != nil {
		o.t.Fatal(err)
	}
	o.ledger = l
	cfg, err := serversSettings(process{dir: o.dir, environ: o.environ()})
	if err != nil {
		o.t.Fatal(err)
	}
	parts := deskOf(cfg, l)
	parts.Dir = o.data
	parts.Log = slog.New(slog.NewJSONHandler(o.log, nil))
	o.handler = admin.NewHandler(admin.NewDesk(parts), nil)
	stop, err := serveOperator(o.t.Context(), o.data, o.handler, parts.Log)
	if err != nil {
		o.t.Fatal(errors.Join(err, l.Close()))
	}
	o.stop = stop
	o.t.Cleanup(o.close)
}

func (o *office) close() {
	o.stop()
	if err := o.ledger.Close(); err != nil {
		o.t.Errorf("close the ledger: %v", err)
	}
}

func (o *office) environ() []string { return []string{"BUDGET_MONTH=20", "BUDGET_DAY=5"} }

// run runs a command as a shell does.
func (o *office) run(args ...string) (code int, stdout, stderr string) {
	o.t.Helper()
	out, err := newLogbook("output of "+o.t.Name()), newLogbook("errors of "+o.t.Name())
	code = run(o.t.Context(), process{args: args, dir: o.dir, environ: o.environ(), stdout: out, stderr: err})
	return code, out.String(), err.String()
}

// ok is the standard output of a command that must succeed.
func (o *office) ok(args ...string) string {
	o.t.Helper()
	code, stdout, stderr := o.run(args...)
	if code != exitOK {
		o.t.Fatalf("keyshield %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// report is what usage --json prints.
func (o *office) report(args ...string) (r usageReport) {
	o.t.Helper()
	d := json.NewDecoder(strings.NewReader(o.ok(append([]string{"usage", "--json"}, args...)...)))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		o.t.Fatal(err)
	}
	return r
}

func person(id string) ledger.User {
	return ledger.User{Key: "pseudonym-of-" + id, Issuer: "https://id.example", ID: id}
}

// reserve holds a dollar of a user's on a model. The machine may be slow, which
// is not what these tests are about.
func (o *office) reserve(u ledger.User, model string) *ledger.Hold {
	o.t.Helper()
	o.calls++
	free := ledger.NoCap()
	r := ledger.Request{
		ID: fmt.Sprint("request-", o.calls), User: u, Model: model, Ceiling: money.Dollar, Prices: "2026-11-21",
		Caps: ledger.Caps{Day: free, Month: free, UserDay: free, UserMonth: free},
	}
	for {
		h, err := o.ledger.Reserve(o.t.Context(), r)
		if refusal, ok := errors.AsType[*apierr.Error](err); ok && refusal.Code == "unavailable" && o.ledger.Healthy() == nil {
			r.ID += "-again"
			continue
		}
		if err != nil {
			o.t.Fatal(err)
		}
		if err := h.Use(); err != nil {
			o.t.Fatal(err)
		}
		return h
	}
}

// settle is a call of a user's that cost so much.
func (o *office) settle(u ledger.User, model string, cost money.USD) {
	o.t.Helper()
	h := o.reserve(u, model)
	if err := h.Settle(ledger.Usage{Input: 1000, Cached: 100, Written: 10, Output: 50, Reasoning: 20, Cost: cost}); err != nil {
		o.t.Fatal(err)
	}
	if err := o.ledger.Flush(context.WithoutCancel(o.t.Context())); err != nil {
		o.t.Fatal(err)
	}
}

func TestOnlyItsOwnerMayUseTheSocket(t *testing.T) {
	o := openOffice(t, nil)
	info, err := os.Lstat(filepath.Join(o.data, socketName))
	if err != nil {
		t.Fatal(err)
	}
	if want := fs.ModeSocket | 0o600; info.Mode() != want {
		t.Errorf("the socket has the mode %v, want %v: others of this machine could read who spent what", info.Mode(), want)
	}
	if _, err := os.Lstat(filepath.Join(o.data, socketName+".new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder that the socket was made in is still there (%v)", err)
	}
}

// dead leaves what a killed server leaves.
func dead(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSocketOfADeadServerIsReplaced(t *testing.T) {
	o := openOffice(t, nil)
	o.close()
	path := filepath.Join(o.data, socketName)
	dead(t, path)
	if err := os.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	dead(t, path+".new/s")

	if r := o.report(); r.Running {
		t.Error("a dead server's socket passed for a running server")
	}
	o.open(nil)
	if r := o.report(); !r.Running {
		t.Error("the new server does not answer at the socket")
	}
}

func TestWhatIsNoSocketIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, socketName)
	if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := serveOperator(t.Context(), dir, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Errorf("got %v, want an error that names what is in the way", err)
	}
	if kept, _ := os.ReadFile(path); string(kept) != "somebody's" {
		t.Errorf("the file has become %q", kept)
	}
}

// TestLongDataDirHasItsSocket: a socket's address holds about a hundred bytes, a
// folder's path as many as one likes.
func TestLongDataDirHasItsSocket(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("needs /proc")
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 50))
	o := &office{t: t, dir: dir, data: filepath.Join(dir, "data"), log: newLogbook("log of " + t.Name())}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o.open(nil)
	if !o.report().Running {
		t.Error("the server was not reached")
	}
	o.stop()
	if o.ledger.Close() != nil || o.report().Running {
		t.Error("a socket is left")
	}
}

func TestStopTakesOnlyItsOwnSocketAway(t *testing.T) {
	o := openOffice(t, nil)
	path := filepath.Join(o.data, socketName)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	dead(t, path)
	o.stop()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of the next server is gone: %v", err)
	}
}

func TestLedgerThatCannotAnswerIsToldAsSuch(t *testing.T) {
	o := openOffice(t, nil)
	if err := o.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := o.run("usage")
	if code != exitFailed || !strings.Contains(stderr, "the ledger is closed") {
		t.Errorf("exit code %d, %q: want %d and the cause", code, stderr, exitFailed)
	}
}

// pretender answers at the socket of a folder in a server's place.
func pretender(t *testing.T, answer http.HandlerFunc) *office {
	t.Helper()
	dir := t.TempDir()
	o := &office{t: t, dir: dir, data: filepath.Join(dir, "data")}
	if err := os.Mkdir(o.data, 0o700); err != nil {
		t.Fatal(err)
	}
	l, remove, err := listenOperator(t.Context(), o.data)
	if err != nil {
		t.Fatal(err)
	}
	web := &httptest.Server{Listener: l, Config: &http.Server{Handler: answer}}
	web.Start()
	t.Cleanup(func() { web.Close(); remove() })
	return o
}

func TestServerOfAnotherVersionIsNotMisread(t *testing.T) {
	o := pretender(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(admin.ProtocolHeader, "99")
		w.Header().Set(admin.VersionHeader, "v99.0.0")
		w.Write([]byte(`{}`))
	})
	for _, args := range [][]string{{"usage"}, {"enable", "--model", "gpt-6-luna"}, {"backup", "copy.db"}} {
		code, stdout, stderr := o.run(args...)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, `"v99.0.0"`) || !strings.Contains(stderr, "restart it") {
			t.Errorf("%v: %d %q %q, want both versions named and what to do", args, code, stdout, stderr)
		}
	}
}

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

// TestWhatIsDoneWithoutAServerIsAudited, too.
func TestWhatIsDoneWithoutAServerIsAudited(t *testing.T) {
	o := openOffice(t, nil)
	o.settle(person("ana"), "gpt-6-luna", money.Dollar+1)
	o.close()
	if _, _, stderr := o.run("enable", "--user", "ana", "--why", "the price was wrong"); stderr != "" {
		t.Errorf("said %q", stderr)
	}
	var acts []audit.Record
	q := audit.Query{Kind: audit.Operator}
	if err := audit.Search(t.Context(), filepath.Join(o.data, audit.Folder), q, func(r audit.Record) error { acts = append(acts, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(acts) != 1 || acts[0].Action != "enable" || acts[0].Target != "user:ana" || acts[0].Why != "the price was wrong" || acts[0].By != "cli" {
		t.Errorf("the audit log has %+v", acts)
	}
}

// TestCallOfADeadServerIsRecordedByWhoeverLooksNext: the ledger tells of it once.
func TestCallOfADeadServerIsRecordedByWhoeverLooksNext(t *testing.T) {
	book := &alone{dir: t.TempDir(), warn: newLogbook("warnings of " + t.Name())}
	book.orphan(ledger.Orphan{ID: "request-1", User: person("ana"), Model: "gpt-6-luna", Ceiling: money.Dollar, At: time.Now()})
	book.drain()
	all := func(kind audit.Kind) (found []audit.Record) {
		t.Helper()
		err := audit.Search(t.Context(), filepath.Join(book.dir, audit.Folder), audit.Query{Kind: kind}, func(r audit.Record) error { found = append(found, r); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if calls := all(audit.Request); len(calls) != 1 || calls[0].ID != "request-1" || calls[0].Outcome != audit.Unknown || calls[0].AtCeiling != money.Dollar || calls[0].User != "ana" {
		t.Errorf("when the ledger forgets the call, the audit log has %+v", calls)
	}
	book.event(ledger.Event{Kind: ledger.SoftLimit})
	book.event(ledger.Event{Kind: ledger.UserEnabled, User: person("eve"), By: ledger.ByExpiry})
	book.close()
	if acts := all(audit.Operator); len(acts) != 1 || acts[0].Action != "enable" || acts[0].Target != "user:eve" || acts[0].By != ledger.ByExpiry {
		t.Errorf("the time of a disable is up, and the audit log has %+v", acts)
	}
	if w := book.warn.(*logbook).String(); w != "" {
		t.Errorf("it warns: %s", w)
	}
}

// TestLookingLeavesNoLine in the audit log of a server that does not run.
func TestLookingLeavesNoLine(t *testing.T) {
	o := openOffice(t, nil)
	o.close()
	o.ok("usage")
	if _, err := os.Lstat(filepath.Join(o.data, audit.Folder)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking made an audit log (%v)", err)
	}
}

func TestAuditLogThatCannotBeWrittenIsTold(t *testing.T) {
	o := openOffice(t, nil)
	o.settle(person("ana"), "gpt-6-luna", money.Dollar+1)
	o.close()
	if err := os.WriteFile(filepath.Join(o.data, audit.Folder), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := o.run("enable", "--user", "ana")
	if code != exitOK || !strings.Contains(stdout, "may spend again") || !strings.Contains(stderr, "not in the audit log") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}
