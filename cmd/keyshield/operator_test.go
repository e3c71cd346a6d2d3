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
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyshield/internal/admin"
	"keyshield/internal/apierr"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
	"keyshield/internal/upstream"
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
	parts.Live = &admin.Live{State: func() (none admin.State) { return }, AuditState: func() error { return nil }, Keys: func() (none []upstream.KeyState) { return }}
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
