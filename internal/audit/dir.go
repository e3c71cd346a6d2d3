package audit

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const extension = ".jsonl"

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// dayFiles are the names of the log's files, the oldest first. Whatever else lies
// there is not ours.
func dayFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, err := dayStart(e.Name()); err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// dayStart is when the day of a file began.
func dayStart(name string) (time.Time, error) {
	day, ok := strings.CutSuffix(name, extension)
	if !ok {
		return time.Time{}, fmt.Errorf("%s is no file of the audit log", name)
	}
	return time.Parse(time.DateOnly, day)
}

// ErrLocked is what Open wraps when another server writes this log.
var ErrLocked = errors.New("in use by another process")

const (
	lockWait  = 10 * time.Second // for a server that is just shutting down
	lockRetry = 50 * time.Millisecond
)

// dirLock says that a directory is ours: two who append would fork the chain. The
// ledger's lock keeps a second server away from all of DATA_DIR; this one holds for
// whoever opens only the audit log.
type dirLock struct {
	path   string
	handle *os.File
}

func lockDir(path string, wait time.Duration) (*dirLock, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	handle, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(wait)
	for {
		err := syscall.Flock(int(handle.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return &dirLock{path, handle}, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), handle.Close())
		}
		if !time.Now().Before(deadline) {
			err := fmt.Errorf("%s is %w: stop it, or give this one another DATA_DIR", path, ErrLocked)
			return nil, errors.Join(err, handle.Close())
		}
		time.Sleep(lockRetry)
	}
}

// stands says that the path still leads to the directory we locked.
func (d *dirLock) stands() bool {
	ours, err1 := d.handle.Stat()
	there, err2 := os.Stat(d.path)
	return err1 == nil && err2 == nil && os.SameFile(ours, there)
}

func (d *dirLock) release() error { return d.handle.Close() }
