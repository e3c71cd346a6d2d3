package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// The operator's commands reach a running server over a unix socket in DATA_DIR: who
// may open that file is whom the server runs as, and nobody on the network has a path
// to it. What goes over it is what goes over TCP behind the operator's door.
const (
	socketName    = "keyshield.sock"
	operatorConns = 16
)

// serveOperator answers the operator's commands on dir's socket until stop is called, which must
// be before the ledger is closed. The ledger's lock says that no other server
// lives in dir: a socket that is still there was left by a dead one.
func serveOperator(ctx context.Context, dir string, answers http.Handler, log *slog.Logger) (stop func(), err error) {
	l, remove, err := listenOperator(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("the socket for the operator's commands: %w", err)
	}
	var serving, asked sync.WaitGroup
	web := &http.Server{
		Handler:           counted(&asked, answers),
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
