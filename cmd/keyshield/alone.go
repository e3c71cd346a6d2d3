package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"keyshield/internal/audit"
	"keyshield/internal/ledger"
)

// alone is the audit log where no server runs. It is opened when there is something
// to write: a command that only looks leaves no line. The ledger's lock keeps a server
// from starting meanwhile.
type alone struct {
	dir  string // DATA_DIR
	warn io.Writer
	lost orphans

	mu   sync.Mutex
	log  *audit.Log
	told bool
}

// write gives the log to do, or warns once that there is none.
func (a *alone) write(do func(*audit.Log)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.log == nil {
		log, err := audit.Open(audit.Options{Dir: filepath.Join(a.dir, audit.Folder), Version: versionText()})
		if err != nil {
			if !a.told {
				fmt.Fprintf(a.warn, "This is not in the audit log, which cannot be written: %v\n", err)
			}
			a.told = true
			return
		}
		a.log = log
	}
	do(a.log)
}

// note is what the operator did.
func (a *alone) note(action, target, why, by string) {
	a.write(func(log *audit.Log) { log.Operator(action, target, why, by) })
}

// orphan is a call that a dead server left open. The ledger tells it once, to whoever
// opens it next.
func (a *alone) orphan(o ledger.Orphan) { a.lost = append(a.lost, o) }

// event is told of what the ledger does by itself: here a disable whose time is up.
func (a *alone) event(e ledger.Event) {
	if e.By == ledger.ByExpiry {
		a.note("enable", targetOf(e.User), e.Why, e.By)
	}
}

// drain writes what is queued before the ledger forgets about it.
func (a *alone) drain() {
	if len(a.lost) > 0 {
		a.write(func(log *audit.Log) { a.lost.write(log, filepath.Join(a.dir, audit.Folder)) })
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.log != nil {
		a.log.Drain()
	}
}

// close ends the log. Root leaves its files to the owner of the folder: the server,
// who is someone else, must be able to write on.
func (a *alone) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.log == nil {
		return
	}
	if err := a.log.Close(); err != nil {
		fmt.Fprintf(a.warn, "The audit log lacks something: %v\n", err)
	}
	if os.Geteuid() == 0 {
		leaveTo(a.dir, filepath.Join(a.dir, audit.Folder))
	}
}

// leaveTo gives a folder and the files in it to the owner of another.
func leaveTo(owner, folder string) {
	info, err := os.Stat(owner)
	if err != nil {
		return
	}
	who, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	entries, _ := os.ReadDir(folder) // what cannot be read cannot be given away
	for _, e := range entries {
		_ = os.Lchown(filepath.Join(folder, e.Name()), int(who.Uid), int(who.Gid))
	}
	_ = os.Lchown(folder, int(who.Uid), int(who.Gid))
}
