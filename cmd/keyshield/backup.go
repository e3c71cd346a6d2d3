package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"keyshield/internal/disk"
)

// backup copies the ledger as it is at one moment, also while a server uses it.
func backup(ctx context.Context, p process) int {
	to, server := "", ""
	if len(p.args) > 0 && !strings.HasPrefix(p.args[0], "-") {
		to, p.args = p.args[0], p.args[1:]
	}
	if exit, ok := flags(p, "backup", func(f *flag.FlagSet) {
		serverFlag(f, &server)
		f.Usage = func() {
			fmt.Fprint(f.Output(), "usage: keyshield backup <file> [--server https://…]\nThe file must not be there yet. To restore it: stop the server, put the file in DATA_DIR as "+ledgerFile+", start the server.\n")
		}
	}); !ok {
		return exit
	}
	if to == "" {
		fmt.Fprintln(p.stderr, "keyshield backup: say where to: keyshield backup <file>")
		return exitUsage
	}
	path := to
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, path)
	}
	size, err := backupTo(ctx, p, server, path)
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield backup: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(p.stdout, "%s has the ledger as it was at %s: %d bytes, read back and found whole.\nIt holds your users' ids and the key of their pseudonyms: keep it as you keep DATA_DIR.\n",
		to, time.Now().UTC().Format("2006-01-02 15:04:05 UTC"), size)
	return exitOK
}

// backupTo writes beside the file and moves the copy to its name when it is whole
// and on disk, so that a name is never that of half a backup.
func backupTo(ctx context.Context, p process, server, path string) (size int64, err error) {
	if _, err := os.Lstat(path); err == nil {
		return 0, overwrites(path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	d, done, err := reach(ctx, p, server)
	if err != nil {
		return 0, err
	}
	defer done()
	part, err := os.CreateTemp(filepath.Dir(path), ".keyshield-backup-*") // only we can read it
	if err != nil {
		return 0, fmt.Errorf("the folder of the backup: %w", err)
	}
	defer func() { _ = os.Remove(part.Name()) }()
	err = d.Backup(ctx, part)
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err != nil {
		return 0, err
	}
	if err := checkBackup(part.Name()); err != nil {
		return 0, fmt.Errorf("the copy cannot be read back, and is thrown away: %w", err)
	}
	info, err := os.Stat(part.Name())
	if err != nil {
		return 0, err
	}
	return info.Size(), place(part.Name(), path)
}

func overwrites(path string) error {
	return fmt.Errorf("%s is there already, and a backup overwrites nothing: choose another name", path)
}

// place gives the copy its name. A link fails where a file came up meanwhile; some
// file systems know none, and there a rename has to do.
func place(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		return overwrites(to)
	}
	if err != nil {
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(overwrites(to), err)
		}
		err = os.Rename(from, to)
	}
	if err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(to))
}

// checkBackup reads every page of the copy.
func checkBackup(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = err
			}
		}
		if first == nil && tx.Bucket([]byte("meta")) == nil {
			first = errors.New("it is no ledger")
		}
		return first
	})
	return errors.Join(err, db.Close())
}
