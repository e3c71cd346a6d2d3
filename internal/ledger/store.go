package ledger

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"keyshield/internal/disk"
)

// FileName is what the ledger is called in its directory.
const FileName = "ledger.db"

const (
	schema = "keyshield ledger 1"

	// mapped is address space, not memory: below it the file grows without
	// remapping, which would wait for a reader such as a backup.
	mapped = 1 << 30
)

var (
	bucketMeta   = []byte("meta")   // schema, hmac, epoch, day
	bucketCharge = []byte("charge") // window, user → account
	bucketHold   = []byte("hold")   // epoch, number → what was charged
	bucketUser   = []byte("user")   // pseudonym → issuer, id, last day
	bucketUsage  = []byte("usage")  // hour, user, model → tally
	bucketMark   = []byte("mark")   // who and what is stopped

	metaSchema = []byte("schema")
	metaHMAC   = []byte("hmac")
	metaEpoch  = []byte("epoch")
	metaDay    = []byte("day")
)

var (
	errGone    = errors.New("the ledger's file was removed or replaced: put it back, or restart to begin a new one")
	errNotOurs = errors.New("another process wrote to the ledger meanwhile: restart")
)

// store is the open file. Readers share it; only the writer changes it, and
// closes it to read again what the disk really has.
type store struct {
	path string
	info os.FileInfo // of the file that was opened first

	mu sync.RWMutex
	db *bbolt.DB // nil while closed
}

// open opens the file at path and makes one if there is none.
func (s *store) open(path string) error {
	s.path = path
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return err
		}
	}
	return s.reopen()
}

// reopen never creates: a ledger that vanished must not begin at zero while the
// server runs.
func (s *store) reopen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		if err := s.shut(); err != nil {
			return err
		}
		forgetCached(s.path)
	}
	info, err := os.Stat(s.path)
	if err != nil || s.info != nil && !os.SameFile(s.info, info) {
		return errors.Join(errGone, err)
	}
	if info.Size() == 0 {
		return fmt.Errorf("%s is empty and no ledger: restore it from a backup, or remove it to begin a new one", s.path)
	}
	if err := os.Chmod(s.path, 0o600); err != nil {
		return err
	}
	db, err := openBolt(s.path, os.O_RDWR)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	s.db, s.info = db, info
	return nil
}

func openBolt(path string, flags int) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         time.Second, // the directory is locked already
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapped,
		NoStatistics:    true,
		OpenFile: func(path string, _ int, mode os.FileMode) (*os.File, error) {
			return os.OpenFile(path, flags, mode)
		},
	})
	if err != nil {
		return nil, err
	}
	db.AllocSize = 1 << 20 // small disks are common here
	return db, nil
}

// create makes the file beside its place and moves it there, so that a crash
// leaves none or a whole one.
func create(path string) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openBolt(fresh, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketCharge, bucketHold, bucketUser, bucketUsage, bucketMark} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		key := make([]byte, 32)
		rand.Read(key)
		meta := tx.Bucket(bucketMeta)
		return errors.Join(meta.Put(metaSchema, []byte(schema)), meta.Put(metaHMAC, key))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(path))
}

// checkSchema refuses a file that this version would misread.
func checkSchema(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketMeta, bucketCharge, bucketHold, bucketUser, bucketUsage, bucketMark} {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("the ledger has no %s", name)
		}
	}
	meta := tx.Bucket(bucketMeta)
	if found := meta.Get(metaSchema); !bytes.Equal(found, []byte(schema)) {
		return fmt.Errorf("the ledger was written by another version (%q, not %q)", found, schema)
	}
	if len(meta.Get(metaHMAC)) != 32 {
		return errors.New("the ledger's key is damaged: restore the file from a backup")
	}
	return nil
}

// here checks that the path still names the file we write. One that was unlinked
// takes every write and keeps none.
func (s *store) here() error {
	info, err := os.Stat(s.path)
	if err != nil || !os.SameFile(s.info, info) {
		return errors.Join(errGone, err)
	}
	return nil
}

func (s *store) begin() (*bbolt.Tx, error) {
	if s.db == nil {
		return nil, errClosed
	}
	return s.db.Begin(true)
}

// view reads what is committed, from any goroutine.
func (s *store) view(f func(*bbolt.Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return unavailable(errClosed)
	}
	return s.db.View(f)
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shut()
}

func (s *store) shut() error {
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return db.Close()
}

// guard turns a panic of the file's code into an error. It panics on a damaged
// page, and a disk that cannot be read arrives as a fault in mapped memory.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the ledger's file is damaged or cannot be read: %v", r)
		}
	}()
	return f()
}
