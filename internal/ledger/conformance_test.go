package ledger_test

import (
	"context"
	"os"
	"testing"

	"keyshield/internal/ledger"
	"keyshield/internal/ledger/ledgertest"
)

// fileStore is a ledger's directory. Its disk can be broken.
type fileStore struct {
	dir      string
	disk     disk
	writable chan struct{}
}

func (s *fileStore) Open(hooks ledgertest.Hooks) (ledgertest.Ledger, error) {
	if hooks.Orphan == nil {
		hooks.Orphan = func(ledger.Orphan) {}
	}
	opts := ledger.Options{
		Dir: s.dir, Clock: hooks.Clock, Soft: []int{50, 100}, Orphan: hooks.Orphan, BeforeEnd: hooks.BeforeEnd,
		Event: func(e ledger.Event) {
			if e.Kind == ledger.Writable {
				s.writable <- struct{}{}
			}
			if hooks.Event != nil {
				hooks.Event(e)
			}
		},
	}
	return ledger.Open(context.Background(), opts.WithCommit(s.disk.unsynced).Relaxed())
}

func (s *fileStore) Crash(l ledgertest.Ledger) error { return l.(*ledger.Ledger).Crash() }

func (s *fileStore) Remove() { _ = os.RemoveAll(s.dir) }

func (s *fileStore) Break(written bool) {
	s.disk.mode.Store(loses)
	if written {
		s.disk.mode.Store(lies)
	}
}

func (s *fileStore) Repair() {
	s.disk.mode.Store(works)
	<-s.writable
}

func TestEmbeddedEngineKeepsTheRules(t *testing.T) {
	ledgertest.Run(t, func() ledgertest.Store {
		dir, err := os.MkdirTemp("", "ledger")
		if err != nil {
			t.Fatal(err)
		}
		return &fileStore{dir: dir, writable: make(chan struct{}, 1)}
	})
}
