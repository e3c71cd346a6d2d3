package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/config"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// desk is where an operator's command is carried out: in the running server, here or
// elsewhere, or, if none runs, on the ledger's file.
type desk interface {
	Overview(context.Context) (admin.Overview, error)
	Usage(context.Context, admin.UsageQuery) (admin.UsageReport, error)
	Users(context.Context, admin.UsersQuery) (admin.UserList, error)
	User(ctx context.Context, name string) (admin.UserDetail, error)
	Audit(context.Context, admin.AuditQuery) (admin.AuditPage, error)
	ExportAudit(context.Context, admin.AuditQuery, io.Writer) error
	VerifyAudit(ctx context.Context, anchors []string) (admin.AuditReport, error)
	Keys(context.Context) (admin.KeyList, error)
	ReloadKeys(context.Context) (admin.KeyList, error)
	Switches(context.Context) (admin.SwitchList, error)
	Disable(context.Context, admin.DisableRequest) (admin.DisableAnswer, error)
	Enable(context.Context, admin.EnableRequest) (admin.EnableAnswer, error)
	Settings(context.Context) (admin.SettingList, error)
	Backup(context.Context, io.Writer) error
	Seed(context.Context, admin.SeedRequest) (admin.SeedAnswer, error)
	Reconcile(context.Context, admin.ReconcileReport) (admin.ReconcileSummary, error)
	LastReconcile(context.Context) (admin.LastReconcile, error)
	TestAlerts(context.Context) (admin.AlertTest, error)
}

// ledgerFile is what the ledger's folder has once a server has run.
const ledgerFile = "ledger.db"

const (
	reachTries = 4
	reachWait  = 500 * time.Millisecond // for the lock, each time
	dialWait   = 5 * time.Second
	answerWait = 10 * time.Minute // all of the audit log may have to be read
)

// serverFlag is the flag of all operator's commands.
func serverFlag(f *flag.FlagSet, server *string) {
	f.StringVar(server, "server", "", "ask the server at this address, https://…, with the ADMIN_TOKEN that it was started with; else the one on this machine")
}

// reach finds the desk of server, or of the server on this machine whose settings p
// has. One that is just starting holds the lock before it answers, so both ways to
// it are tried in turn.
func reach(ctx context.Context, p process, server string) (d desk, done func(), err error) {
	if server != "" {
		return reachAfar(p, server)
	}
	cfg, err := serversSettings(p) // of a running server DATA_DIR is all that is needed
	if err != nil {
		return nil, nil, err
	}
	dir := cfg.Money.DataDir
	for range reachTries {
		remote, err := callServer(ctx, dir)
		if err == nil {
			return remote, remote.Close, nil
		}
		if !nobodyAnswers(err) {
			return nil, nil, explain(dir, err)
		}
		local, done, err := openFile(ctx, p)
		if err == nil {
			return local, done, nil
		}
		if !errors.Is(err, ledger.ErrLocked) {
			return nil, nil, explain(dir, err)
		}
	}
	return nil, nil, fmt.Errorf("a server has %s and does not answer at %s: it is starting, stopping, or an older version; try again in a moment", dir, socketName)
}

// reachAfar is a server elsewhere, which must be who its certificate says: whoever
// gets the token can do all that an operator can.
func reachAfar(p process, server string) (desk, func(), error) {
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, nil, errors.New("--server must be an address and no more: https://api.example.com")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, nil, errors.New("--server must begin with https://: over http anyone on the way could read the token (http is for this machine only)")
	}
	cfg, err := serversSettings(p, "ADMIN_TOKEN")
	if err != nil {
		return nil, nil, err
	}
	token := cfg.Operator.AdminToken
	if token.IsZero() {
		return nil, nil, errors.New("--server needs ADMIN_TOKEN, the one that the server was started with: set it in the environment or in .env, or name its file with ADMIN_TOKEN_FILE")
	}
	c := admin.NewClient(admin.ClientOptions{
		Base: u.Scheme + "://" + u.Host, Token: token, Version: versionText(),
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment, // TLS goes through it unread
			DialContext:           (&net.Dialer{Timeout: dialWait}).DialContext,
			TLSHandshakeTimeout:   dialWait,
			ResponseHeaderTimeout: answerWait,
			DisableCompression:    true,
		},
	})
	return c, c.Close, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// serversSettings reads them where serve does. Only the needed ones must be right, and
// .env, which may hold any: an emergency stop must not fail for what it does not use.
func serversSettings(p process, needed ...string) (config.Config, error) {
	loaded := config.Load(config.Serve, p.environ, p.dir)
	for _, problem := range loaded.Problems {
		if problem.Name == ".env" || slices.Contains(needed, problem.Name) {
			return config.Config{}, fmt.Errorf("%s: %s", problem.Name, problem.Text)
		}
	}
	return loaded.Config, nil
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
func openFile(ctx context.Context, p process) (*admin.Desk, func(), error) {
	cfg, err := serversSettings(p, "BUDGET_DAY", "BUDGET_MONTH") // a running server knows its own
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(filepath.Join(cfg.Money.DataDir, ledgerFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errNoLedger
		}
		return nil, nil, err
	}
	if err := mayOpen(cfg.Money.DataDir, os.Geteuid()); err != nil {
		return nil, nil, err
	}
	book := &alone{dir: cfg.Money.DataDir, mask: hide(cfg).logged.Mask, warn: p.stderr}
	l, err := ledger.Open(ctx, ledger.Options{
		Dir: cfg.Money.DataDir, LockWait: reachWait, Orphan: book.orphan, BeforeEnd: book.drain, Event: book.event,
	})
	if err != nil {
		return nil, nil, err
	}
	parts := deskOf(cfg, l)
	parts.Note = book.note
	return admin.NewDesk(parts), func() { _ = l.Close(); book.close() }, nil
}

// mayOpen keeps root out of what another user's server has written. Root would follow
// any link that user has laid there, and leave files which they cannot write on.
func mayOpen(dir string, user int) error {
	if user != 0 {
		return nil // the file system knows who may do what
	}
	folder, err := os.Stat(dir)
	if err != nil {
		return err
	}
	books, err := os.Lstat(filepath.Join(dir, ledgerFile)) // a folder may be root's, and its files its group's
	if err != nil {
		return err
	}
	for _, info := range []fs.FileInfo{folder, books} {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 {
			return fmt.Errorf("%s is user %d's, and no server answers there: run this as that user (sudo -u '#%d' keyshield …)", dir, stat.Uid, stat.Uid)
		}
	}
	return nil
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

// callServer connects to the server in dir.
func callServer(ctx context.Context, dir string) (*admin.Client, error) {
	dial := func(ctx context.Context) (net.Conn, error) {
		short, release, err := shortened(dir)
		if err != nil {
			return nil, err
		}
		defer release()
		return (&net.Dialer{Timeout: dialWait}).DialContext(ctx, "unix", filepath.Join(short, socketName))
	}
	first, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := first.Close(); err != nil {
		return nil, err
	}
	return admin.NewClient(admin.ClientOptions{Base: "http://operator", Version: versionText(), Transport: &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		ResponseHeaderTimeout: answerWait,
		DisableCompression:    true,
	}}), nil
}
