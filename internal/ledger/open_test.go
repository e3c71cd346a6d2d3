package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"keyshield/internal/ledger"
)

func TestASecondServerIsRefusedAndToldWhoIsFirst(t *testing.T) {
	dir := t.TempDir()
	l := open(t, ledger.Options{Dir: dir})
	_, err := ledger.Open(t.Context(), ledger.Options{Dir: dir})
	if !errors.Is(err, ledger.ErrLocked) || !strings.Contains(err.Error(), "process ") {
		t.Fatalf("got %v", err)
	}
	if err := os.Remove(filepath.Join(dir, ledger.FileName)); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(t.Context(), ledger.Options{Dir: dir}); !errors.Is(err, ledger.ErrLocked) {
		t.Fatalf("with the file removed: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, ledger.Options{Dir: dir})
}

func TestASecondServerWaitsForTheFirstAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first := open(t, ledger.Options{Dir: dir})
		time.AfterFunc(20*time.Second, func() { _ = first.Close() })
		var log bytes.Buffer
		start := time.Now()
		open(t, ledger.Options{Dir: dir, LockWait: 35 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if waited := time.Since(start); waited < 20*time.Second || waited > 21*time.Second {
			t.Errorf("waited %v", waited)
		}
		if strings.Count(log.String(), "waiting for another server") != 1 {
			t.Errorf("log: %s", log.String())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := ledger.Open(ctx, ledger.Options{Dir: dir, LockWait: time.Hour}); !errors.Is(err, ledger.ErrLocked) {
			t.Errorf("told to stop waiting: %v", err)
		}
	})
}

func TestOnlyTheOwnerReadsTheLedger(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "deep")
	l := open(t, ledger.Options{Dir: dir})
	path := filepath.Join(dir, ledger.FileName)
	for name, want := range map[string]os.FileMode{path: 0o600, dir: 0o700} {
		if got := must(t, of(os.Stat(name))).Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	if err := errors.Join(l.Close(), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	open(t, ledger.Options{Dir: dir})
	if got := must(t, of(os.Stat(path))).Mode().Perm(); got != 0o600 {
		t.Errorf("reopened with mode %o", got)
	}
}

func TestTheKeyOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	l := open(t, ledger.Options{Dir: dir})
	key := l.HMACKey().Reveal()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if again := open(t, ledger.Options{Dir: dir}).HMACKey().Reveal(); again != key || len(key) != 32 {
		t.Errorf("%d bytes, and the same after a restart: %v", len(key), again == key)
	}
	if other := open(t, ledger.Options{Dir: t.TempDir()}).HMACKey().Reveal(); other == key {
		t.Error("two ledgers share a key")
	}
}

func TestWhatIsNoLedgerIsRefusedWithAReason(t *testing.T) {
	bolt := func(change func(*bbolt.Tx) error) func(string) error {
		return func(path string) error {
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				return err
			}
			return errors.Join(db.Update(change), db.Close())
		}
	}
	ours := func(then func(string) error) func(string) error {
		return func(path string) error {
			l, err := ledger.Open(t.Context(), ledger.Options{Dir: filepath.Dir(path)})
			if err != nil {
				return err
			}
			return errors.Join(l.Close(), then(path))
		}
	}
	for name, c := range map[string]struct {
		make func(string) error
		want string
	}{
		"empty":           {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "is empty"},
		"text":            {func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("hello "), 9999), 0o600) }, "invalid"},
		"another program": {bolt(func(tx *bbolt.Tx) error { return nil }), "has no meta"},
		"another version": {ours(bolt(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("keyshield ledger 2"))
		})), "another version"},
		"without its key": {ours(bolt(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Delete([]byte("hmac"))
		})), "key is damaged"},
		"damaged pages": {ours(func(path string) error {
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			size := must(t, of(file.Stat())).Size()
			_, err = file.WriteAt(bytes.Repeat([]byte{0xff}, int(size)-2*os.Getpagesize()), 2*int64(os.Getpagesize()))
			return errors.Join(err, file.Close())
		}), "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.make(filepath.Join(dir, ledger.FileName)); err != nil {
				t.Fatal(err)
			}
			l, err := ledger.Open(t.Context(), ledger.Options{Dir: dir})
			if err == nil {
				t.Fatal("opened", l.Close())
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not say %q", err, c.want)
			}
		})
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for name, opts := range map[string]ledger.Options{
		"no directory": {}, "a percentage of zero": {Dir: t.TempDir(), Soft: []int{0}}, "of 101": {Dir: t.TempDir(), Soft: []int{101}},
	} {
		if l, err := ledger.Open(t.Context(), opts); err == nil {
			t.Error(name, "was accepted", l.Close())
		}
	}
}

func TestABackupIsALedgerOfItsOwn(t *testing.T) {
	l := open(t, ledger.Options{Dir: t.TempDir()})
	if err := reserve(t, l, "settled", 100).Settle(ledger.Usage{Cost: 40}); err != nil {
		t.Fatal(err)
	}
	reserve(t, l, "open", 7)
	flush(t, l)
	var copied bytes.Buffer
	if err := l.Backup(&copied); err != nil {
		t.Fatal(err)
	}
	reserve(t, l, "later", 1000)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ledger.FileName), copied.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	restored := open(t, ledger.Options{Dir: dir})
	if got := used(t, restored, user(1)); got != 47 {
		t.Errorf("used %d in the backup, want 47", got)
	}
	if restored.HMACKey().Reveal() != l.HMACKey().Reveal() {
		t.Error("the backup would give every user a new pseudonym")
	}
}
