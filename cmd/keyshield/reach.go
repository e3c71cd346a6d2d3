package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"keyshield/internal/config"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// desk is where an operator's command is carried out: in the running server, or,
// if none runs, on the ledger's file.
type desk interface {
	usage(context.Context, usageQuery) (usageReport, error)
	enable(context.Context, enableRequest) (enableAnswer, error)
	backup(context.Context, io.Writer) error
}

// ledgerFile is what the ledger's folder has once a server has run.
const ledgerFile = "ledger.db"

const (
	reachTries = 4
	reachWait  = 500 * time.Millisecond // for the lock, each time
)

// reach finds the desk of the server whose settings p has. A server that is just
// starting holds the lock before it answers, so both ways are tried in turn.
func reach(ctx context.Context, p process) (d desk, done func(), err error) {
	cfg, err := serversSettings(p)
	if err != nil {
		return nil, nil, err
	}
	dir := cfg.Money.DataDir
	for range reachTries {
		remote, err := callServer(ctx, dir)
		if err == nil {
			return remote, remote.close, nil
		}
		if !nobodyAnswers(err) {
			return nil, nil, explain(dir, err)
		}
		o, err := openFile(ctx, cfg)
		if err == nil {
			return o, func() { _ = o.ledger.Close() }, nil
		}
		if !errors.Is(err, ledger.ErrLocked) {
			return nil, nil, explain(dir, err)
		}
	}
	return nil, nil, fmt.Errorf("a server has %s and does not answer at %s: it is starting, stopping, or an older version; try again in a moment", dir, socketName)
}

// serversSettings reads them where serve does. What else is wrong with the settings
// is of no concern here.
func serversSettings(p process) (config.Config, error) {
	loaded := config.Load(config.Serve, p.environ, p.dir)
	for _, problem := range loaded.Problems {
		if slices.Contains([]string{".env", "BUDGET_DAY", "BUDGET_MONTH"}, problem.Name) {
			return config.Config{}, fmt.Errorf("%s: %s", problem.Name, problem.Text)
		}
	}
	return loaded.Config, nil
}

// newOperator answers for the ledger of a server with these settings.
func newOperator(cfg config.Config, l *ledger.Ledger) operator {
	return operator{
		ledger: l,
		caps:   ledger.Caps{Day: capOf(cfg.Money.BudgetDay), Month: capOf(cfg.Money.BudgetMonth)},
		knows:  pricedBy(cfg.Prices),
	}
}

func capOf(b config.Budget) ledger.Cap {
	if b.Off() {
		return ledger.NoCap()
	}
	return ledger.UpTo(money.USD(b))
}

func pricedBy(t *policy.Table) func(string) bool {
	return func(model string) bool {
		for _, kind := range []policy.Kind{policy.Chat, policy.Responses, policy.Embeddings, policy.Moderations} {
			if t.Knows(model, kind) {
				return true
			}
		}
		return false
	}
}

var errNoLedger = errors.New("there is no ledger")

// openFile opens the file of a server that does not run. It never makes one: a
// mistyped DATA_DIR must not be answered with "$0 spent".
func openFile(ctx context.Context, cfg config.Config) (operator, error) {
	if _, err := os.Stat(filepath.Join(cfg.Money.DataDir, ledgerFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errNoLedger
		}
		return operator{}, err
	}
	l, err := ledger.Open(ctx, ledger.Options{Dir: cfg.Money.DataDir, LockWait: reachWait})
	if err != nil {
		return operator{}, err
	}
	return newOperator(cfg, l), nil
}

// nobodyAnswers reports whether no server runs: there is no socket, or a dead
// one's.
func nobodyAnswers(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// explain says what to do next.
func explain(dir string, err error) error {
	switch {
	case errors.Is(err, errNoLedger):
		return fmt.Errorf("there is no ledger in %s: DATA_DIR must be the folder of a server that has run; it is read from the environment and from .env in this folder", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s belongs to %s; run this as that user: %w", dir, ownerOf(dir), err)
	}
	return err
}

func ownerOf(path string) string {
	if info, err := os.Stat(path); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			return fmt.Sprintf("user %d", stat.Uid)
		}
	}
	return "another user"
}

// remoteDesk is the running server's.
type remoteDesk struct{ web *http.Client }

// callServer connects to the server in dir.
func callServer(ctx context.Context, dir string) (*remoteDesk, error) {
	dial := func(ctx context.Context) (net.Conn, error) {
		short, release, err := shortened(dir)
		if err != nil {
			return nil, err
		}
		defer release()
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", filepath.Join(short, socketName))
	}
	first, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := first.Close(); err != nil {
		return nil, err
	}
	return &remoteDesk{&http.Client{Transport: &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		ResponseHeaderTimeout: time.Minute,
		DisableCompression:    true,
	}}}, nil
}

func (d *remoteDesk) close() { d.web.CloseIdleConnections() }

// maxReport is far above what a server answers.
const maxReport = 256 << 20

func (d *remoteDesk) usage(ctx context.Context, q usageQuery) (report usageReport, err error) {
	err = d.ask(ctx, http.MethodGet, "/usage?"+q.values().Encode(), nil, &report)
	return report, err
}

func (d *remoteDesk) enable(ctx context.Context, what enableRequest) (answer enableAnswer, err error) {
	err = d.ask(ctx, http.MethodPost, "/enable", what, &answer)
	return answer, err
}

func (d *remoteDesk) backup(ctx context.Context, w io.Writer) error {
	body, err := d.send(ctx, http.MethodGet, "/backup", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

func (d *remoteDesk) ask(ctx context.Context, method, path string, what, answer any) error {
	body, err := d.send(ctx, method, path, what)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxReport)).Decode(answer); err != nil {
		return fmt.Errorf("the server's answer: %w", err)
	}
	return nil
}

// send asks the server, and makes sure that it means the same as we do.
func (d *remoteDesk) send(ctx context.Context, method, path string, what any) (io.ReadCloser, error) {
	var sent io.Reader
	if what != nil {
		text, err := json.Marshal(what)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://operator"+path, sent)
	if err != nil {
		return nil, err
	}
	resp, err := d.web.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server stopped answering: %w", err)
	}
	if spoken := resp.Header.Get(protocolHeader); spoken != operatorProtocol {
		resp.Body.Close()
		return nil, fmt.Errorf("the running server is keyshield %q, this is %q, and they do not understand each other: use the server's own program, or restart it", resp.Header.Get(versionHeader), versionText())
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var refusal operatorRefusal
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReport)).Decode(&refusal); err != nil || refusal.Error == "" {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	return nil, errors.New(refusal.Error)
}
