package main

import (
	"bytes"
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
	"sync"
	"testing"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
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
}

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
	stop, err := serveOperator(o.t.Context(), o.data, newOperator(cfg, l), slog.New(slog.NewJSONHandler(o.log, nil)))
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
	_, err := serveOperator(t.Context(), dir, operator{}, slog.New(slog.DiscardHandler))
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

// raw asks over the socket what the commands would not.
func (o *office) raw(method, path, body string) (*http.Response, operatorRefusal) {
	o.t.Helper()
	d, err := callServer(o.t.Context(), o.data)
	if err != nil {
		o.t.Fatal(err)
	}
	defer d.close()
	req, err := http.NewRequestWithContext(o.t.Context(), method, "http://operator"+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	resp, err := d.web.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	var refusal operatorRefusal
	_ = json.NewDecoder(resp.Body).Decode(&refusal)
	return resp, refusal
}

func TestSocketRefusesWhatNoCommandAsks(t *testing.T) {
	o := openOffice(t, nil)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/enable", `{"model":"gpt-6-luna","user":"ana"}`, 400},
		{"POST", "/enable", `{}`, 400},
		{"POST", "/enable", `{"everything":true}`, 400},
		{"POST", "/enable", `{"model":`, 400},
		{"POST", "/enable", `{"model":"` + strings.Repeat("x", operatorBody) + `"}`, 400},
		{"GET", "/usage?by=colour", "", 400},
		{"GET", "/usage?since=-1h", "", 400},
		{"GET", "/usage?since=1h&day=true", "", 400},
		{"GET", "/usage?since=yesterday", "", 400},
		{"GET", "/usage?top=-1", "", 400},
		{"GET", "/usage?top=1e99", "", 400},
		{"DELETE", "/usage", "", 404},
		{"GET", "/", "", 404},
		{"GET", "/debug/pprof/", "", 404},
	} {
		resp, refusal := o.raw(c.method, c.path, c.body)
		if resp.StatusCode != c.status || refusal.Error == "" {
			t.Errorf("%s %s %.40s: %d %q, want %d and why", c.method, c.path, c.body, resp.StatusCode, refusal.Error, c.status)
		}
		if resp.Header.Get(protocolHeader) != operatorProtocol {
			t.Errorf("%s %s: the answer does not say which protocol it follows", c.method, c.path)
		}
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
		w.Header().Set(protocolHeader, "99")
		w.Header().Set(versionHeader, "v99.0.0")
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

// slowReader is the other side of a backup that does not read on before it is let.
type slowReader struct {
	*httptest.ResponseRecorder
	once        sync.Once
	begun, goOn chan struct{}
}

func (s *slowReader) SetWriteDeadline(time.Time) error { return nil }

func (s *slowReader) Write(b []byte) (int, error) {
	s.once.Do(func() { close(s.begun); <-s.goOn })
	return s.ResponseRecorder.Write(b)
}

func TestOneBackupAtATime(t *testing.T) {
	o := openOffice(t, nil)
	routes := operator{ledger: o.ledger}.routes(slog.New(slog.DiscardHandler))
	ask := func(w http.ResponseWriter) {
		routes.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/backup", nil))
	}
	slow := &slowReader{ResponseRecorder: httptest.NewRecorder(), begun: make(chan struct{}), goOn: make(chan struct{})}
	done := make(chan struct{})
	go func() { defer close(done); ask(slow) }()
	<-slow.begun
	second := httptest.NewRecorder()
	ask(second)
	close(slow.goOn)
	<-done
	if second.Code != http.StatusConflict || !strings.Contains(second.Body.String(), "another backup") {
		t.Errorf("the second got %d %s, want 409", second.Code, second.Body)
	}
	if slow.Code != http.StatusOK || !bytes.Contains(slow.Body.Bytes(), []byte("charge")) {
		t.Errorf("the first got %d and %d bytes that are no ledger", slow.Code, slow.Body.Len())
	}
}

// stalled is a connection that takes nothing more.
type stalled struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (s *stalled) SetWriteDeadline(at time.Time) error {
	s.deadlines = append(s.deadlines, at)
	return nil
}

func (s *stalled) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestStalledBackupEndsInTime(t *testing.T) {
	o := openOffice(t, nil)
	w := &stalled{ResponseRecorder: httptest.NewRecorder()}
	func() {
		defer func() {
			if r := recover(); r != http.ErrAbortHandler {
				t.Errorf("the answer was not cut off but ended with %v: half a copy would pass for a whole one", r)
			}
		}()
		operator{ledger: o.ledger}.routes(slog.New(slog.DiscardHandler)).
			ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/backup", nil))
	}()
	if len(w.deadlines) != 1 || time.Until(w.deadlines[0]) > chunkTimeout {
		t.Errorf("the deadlines of the writes were %v, want one within %v", w.deadlines, chunkTimeout)
	}
}
