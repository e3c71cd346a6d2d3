package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"keyshield/internal/upstream"
)

// FileEvery is how often a file is looked at: a stat, unless it has changed.
const FileEvery = 2 * time.Second

// settling is how long a file that has changed must stay as it is before it is read:
// whoever writes it may be in the middle.
const settling = time.Second

var errRestless = errors.New("it changes while it is read; it is read again when it rests")

// File reads keys from a file, again when it is another file or has changed; what
// swaps a symbolic link, as Kubernetes does, makes it another.
func File(path string) Source { return &file{path: path} }

type file struct {
	path string

	mu   sync.Mutex
	info os.FileInfo // of what was read last
	keys []upstream.Key
}

func (f *file) String() string { return "file " + f.path }

// Read returns what it read last for as long as the file is the same.
func (f *file) Read(ctx context.Context) ([]upstream.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := f.stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	if f.keys != nil {
		if same(info, f.info) {
			return f.keys, nil
		}
		if info, err = f.settle(ctx, info); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
	}
	payload, err := f.load(info)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	keys, err := keysOf(f, payload)
	if err != nil {
		return nil, err
	}
	f.info, f.keys = info, keys
	return keys, nil
}

func (f *file) stat() (os.FileInfo, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	return info, nil
}

// settle waits until the file has been the same for a while.
func (f *file) settle(ctx context.Context, info os.FileInfo) (os.FileInfo, error) {
	for range 5 {
		select {
		case <-time.After(settling):
		case <-ctx.Done():
			return nil, errRestless
		}
		now, err := f.stat()
		if err != nil || same(now, info) {
			return now, err
		}
		info = now
	}
	return nil, errRestless
}

// load reads the file that info is of, and nothing of another.
func (f *file) load(info os.FileInfo) ([]byte, error) {
	r, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	payload, err := io.ReadAll(io.LimitReader(r, maxPayload+1))
	if err != nil {
		return nil, err
	}
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("it is longer than %d bytes", maxPayload)
	}
	read, err := r.Stat()
	if err != nil {
		return nil, err
	}
	if now, err := f.stat(); err != nil || !same(read, info) || !same(now, info) {
		return nil, errRestless
	}
	return payload, nil
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
