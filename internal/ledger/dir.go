package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const lockName = "ledger.lock"

// prepareDir makes the directory and refuses one that other machines can see: a
// lock does not reach them, and two servers would each spend the whole budget.
func prepareDir(dir string) error {
	if dir == "" {
		return errors.New("no directory was named: set DATA_DIR")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	kind, err := networkFS(dir)
	if err != nil {
		return err
	}
	if kind != "" {
		return fmt.Errorf("%s lies on %s, a network or user-space file system, where locks and syncs are not to be relied on: use a disk of this machine", dir, kind)
	}
	return nil
}

// dirLock says that a directory is ours. It is held apart from the file's own
// lock, which is let go of whenever the file is read again, and outlives a removed
// file.
type dirLock struct{ file *os.File }

const lockRetry = 100 * time.Millisecond

// lockDir waits for another server that is just shutting down, and says so.
func lockDir(ctx context.Context, dir string, wait time.Duration, log *slog.Logger) (*dirLock, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	said := false
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			sign(file)
			return &dirLock{file}, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), file.Close())
		}
		if !said && wait > 0 {
			log.Warn("waiting for another server to let go of the ledger", "dir", dir, "holder", holder(file), "at_most", wait.String())
			said = true
		}
		select {
		case <-time.After(lockRetry):
		case <-ctx.Done():
			err := fmt.Errorf("%s is %w by %s: stop it, or give this one another DATA_DIR", dir, ErrLocked, holder(file))
			return nil, errors.Join(err, file.Close())
		}
	}
}

// sign leaves a note for whoever waits. It is no part of the lock.
func sign(file *os.File) {
	host, _ := os.Hostname()
	_ = file.Truncate(0)
	_, _ = file.WriteAt([]byte(fmt.Sprintf("process %d on %s", os.Getpid(), host)), 0)
}

func holder(file *os.File) string {
	note := make([]byte, 200)
	n, _ := file.ReadAt(note, 0)
	if n == 0 {
		return "another process"
	}
	return strings.ToValidUTF8(string(note[:n]), "?")
}

func (d *dirLock) release() error { return d.file.Close() }
