package main

import (
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"keyshield/internal/audit"
	"keyshield/internal/ledger"
)

// alone is the audit log where no server runs. It is opened when there is something
// to write: a command that only looks leaves no line. The ledger's lock keeps a server
// from starting meanwhile.
type alone struct {
	dir  string              // DATA_DIR
	mask func([]byte) []byte // hides secrets: an operator's reason may hold one
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
		log, err := audit.Open(audit.Options{Dir: filepath.Join(a.dir, audit.Folder), Version: versionText(), Visit: true})
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
	a.write(func(log *audit.Log) {
		log.Operator(action, string(a.mask([]byte(target))), string(a.mask([]byte(why))), by)
	})
}

// orphan is a call that a dead server left open. The ledger tells it once, to whoever
// opens it next.
func (a *alone) orphan(o ledger.Orphan) { a.lost = append(a.lost, o) }

// event is told of what the ledger does by itself: here a disable whose time is up.
func (a *alone) event(e ledger.Event) {
	if action, target, why := unasked(e); action != "" {
		a.note(action, target, why, e.By)
	}
}

// drain writes what is queued before the ledger forgets about it.
func (a *alone) drain() error {
	if len(a.lost) > 0 {
		a.write(func(log *audit.Log) { a.lost.write(log, filepath.Join(a.dir, audit.Folder)) })
	}
	if len(a.lost) > 0 {
		return errNoAudit // the ledger tells them again, to whoever can write them down
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.log != nil {
		a.log.Drain()
	}
	return nil
}

// close ends the log.
func (a *alone) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.log == nil {
		return
	}
	if err := a.log.Close(); err != nil {
		fmt.Fprintf(a.warn, "The audit log lacks something: %v\n", err)
	}
}
