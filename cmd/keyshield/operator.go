package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"keyshield/internal/apierr"
	"keyshield/internal/ledger"
)

// The operator's commands reach a running server over a unix socket in DATA_DIR,
// never over TCP: who may open that file is whom the server runs as, and nobody on
// the network has a path to it. What goes over it is what the commands print.
const (
	socketName = "keyshield.sock"

	// operatorProtocol changes when an older program would misread an answer.
	operatorProtocol = "1"
	protocolHeader   = "Keyshield-Operator"
	versionHeader    = "Keyshield-Version"

	operatorConns = 16
	operatorBody  = 4 << 10

	// A backup holds on to the state that it copies, so a reader that stalls must
	// not keep it for ever.
	chunkTimeout  = 30 * time.Second
	backupTimeout = 10 * time.Minute
)

// serveOperator answers the operator's commands until stop is called, which must
// be before the ledger is closed. The ledger's lock says that no other server
// lives in dir: a socket that is still there was left by a dead one.
func serveOperator(ctx context.Context, dir string, o operator, log *slog.Logger) (stop func(), err error) {
	l, remove, err := listenOperator(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("the socket for the operator's commands: %w", err)
	}
	var serving, asked sync.WaitGroup
	web := &http.Server{
		Handler:           counted(&asked, o.routes(log)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	web.SetKeepAlivesEnabled(false) // a command asks once
	serving.Go(func() {
		if err := web.Serve(netutil.LimitListener(l, operatorConns)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the operator's commands are not answered any more", "error", err)
		}
	})
	return sync.OnceFunc(func() {
		remove() // whoever comes now is told that no server runs
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if web.Shutdown(soon) != nil {
			_ = web.Close()
		}
		serving.Wait()
		asked.Wait()
	}), nil
}

// counted counts the requests under way: Close does not wait for them.
func counted(asked *sync.WaitGroup, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		defer asked.Done()
		next.ServeHTTP(w, r)
	})
}

// listenOperator makes the socket in a folder that only we can enter and moves it
// to its place when it is ours alone. A umask would do the same for the whole
// process, and so for files that others create meanwhile.
func listenOperator(ctx context.Context, dir string) (l net.Listener, remove func(), err error) {
	path := filepath.Join(dir, socketName)
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, nil, fmt.Errorf("%s is in the way and no socket: move it elsewhere", path)
	}
	short, release, err := shortened(dir)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	nursery := path + ".new"
	if err := errors.Join(os.RemoveAll(nursery), os.Mkdir(nursery, 0o700)); err != nil {
		return nil, nil, err
	}
	defer func() { _ = os.RemoveAll(nursery) }()
	l, err = new(net.ListenConfig).Listen(ctx, "unix", filepath.Join(short, socketName+".new", "s"))
	if err != nil {
		return nil, nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // it would look for the name that it was born with
	fresh := filepath.Join(nursery, "s")
	var ours os.FileInfo
	err = os.Chmod(fresh, 0o600)
	if err == nil {
		ours, err = os.Lstat(fresh)
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, func() {
		if now, err := os.Lstat(path); err == nil && os.SameFile(ours, now) {
			_ = os.Remove(path)
		}
	}, nil
}

// maxSocketDir is how long the path of a folder with a socket may be: a socket's
// address has 104 bytes (108 on Linux), the names in the folder take the rest.
const maxSocketDir = 104 - len("/"+socketName+".new/s") - 1

// shortened is another path to dir, if its own is too long for a socket. It is
// good until release.
func shortened(dir string) (short string, release func(), err error) {
	if len(dir) <= maxSocketDir {
		return dir, func() {}, nil
	}
	open, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	short = fmt.Sprintf("/proc/self/fd/%d", open.Fd())
	if _, err := os.Stat(short); err != nil {
		return "", nil, errors.Join(open.Close(), fmt.Errorf("the path %s has %d bytes; a socket's folder may have %d: choose a shorter DATA_DIR", dir, len(dir), maxSocketDir))
	}
	return short, func() { _ = open.Close() }, nil
}

// routes are the commands. A handler writes its answer, or returns why not.
func (o operator) routes(log *slog.Logger) http.Handler {
	var backup sync.Mutex
	mux := http.NewServeMux()
	handle := func(pattern string, answer func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(protocolHeader, operatorProtocol)
			w.Header().Set(versionHeader, versionText())
			if err := answer(w, r); err != nil {
				refuseOperator(w, err)
			}
		})
	}
	handle("GET /usage", func(w http.ResponseWriter, r *http.Request) error {
		q, err := parseUsageQuery(r.URL.Query())
		if err != nil {
			return badRequest{err}
		}
		report, err := o.usage(r.Context(), q)
		if err != nil {
			return err
		}
		report.Running = true
		return writeJSON(w, report)
	})
	handle("POST /enable", func(w http.ResponseWriter, r *http.Request) error {
		var what enableRequest
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, operatorBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&what); err != nil {
			return badRequest{err}
		}
		answer, err := o.enable(r.Context(), what)
		if err != nil {
			return err
		}
		if answer.Enabled != nil {
			log.Warn("the operator enabled what an overshoot had stopped", "model", answer.Enabled.Model, "user", answer.Enabled.Key)
		}
		return writeJSON(w, answer)
	})
	handle("GET /backup", func(w http.ResponseWriter, r *http.Request) error {
		if !backup.TryLock() {
			return errBackupRuns
		}
		defer backup.Unlock()
		return streamBackup(w, r, o, log)
	})
	handle("/", func(http.ResponseWriter, *http.Request) error { return errNoCommand })
	return mux
}

// streamBackup sends the copy. Once it has begun, an error can only be told by
// cutting it off, which the other side takes for one.
func streamBackup(w http.ResponseWriter, r *http.Request, o operator, log *slog.Logger) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	body := &pacedWriter{w: w, control: http.NewResponseController(w), end: time.Now().Add(backupTimeout)}
	err := o.backup(r.Context(), body)
	switch {
	case err != nil && body.begun:
		log.Warn("a backup was cut off", "error", err)
		panic(http.ErrAbortHandler)
	case err != nil:
		return err
	}
	log.Info("the operator took a backup")
	return nil
}

// pacedWriter fails when the reader stalls.
type pacedWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	end     time.Time
	begun   bool
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	p.begun = true
	next := time.Now().Add(chunkTimeout)
	if next.After(p.end) {
		next = p.end
	}
	if err := p.control.SetWriteDeadline(next); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

var (
	errBackupRuns = errors.New("another backup is under way: wait for it")
	errNoCommand  = errors.New("this server knows no such command: use the program that it runs")
)

// badRequest is a question that this program's own commands do not ask.
type badRequest struct{ error }

func refuseOperator(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var refusal *apierr.Error
	switch {
	case errors.Is(err, errBackupRuns):
		status = http.StatusConflict
	case errors.Is(err, errNoCommand):
		status = http.StatusNotFound
	case errors.As(err, new(badRequest)):
		status = http.StatusBadRequest
	case errors.As(err, &refusal):
		status = refusal.Status
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(operatorRefusal{err.Error()}) // who asks is the operator: the whole story
}

// operatorRefusal is the body of every answer that is not a 200.
type operatorRefusal struct {
	Error string `json:"error"`
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(chunkTimeout))
	_ = json.NewEncoder(w).Encode(v) // who does not listen any more need not be told
	return nil
}

// backup writes a consistent copy of the ledger.
func (o operator) backup(_ context.Context, w io.Writer) error { return o.ledger.Backup(w) }

// operator does what a person at this machine asks of a ledger.
type operator struct {
	ledger *ledger.Ledger
	caps   ledger.Caps             // those in force for everything: Day and Month
	knows  func(model string) bool // has a price
}
