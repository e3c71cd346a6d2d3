package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyshield/internal/audit"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

func unmasked(text []byte) []byte { return text }

// TestWhatIsDoneWithoutAServerIsAudited, too.
func TestWhatIsDoneWithoutAServerIsAudited(t *testing.T) {
	o := openOffice(t, nil)
	o.settle(person("ana"), "gpt-6-luna", money.Dollar+1)
	o.close()
	if _, _, stderr := o.run("enable", "--user", "ana", "--why", "the price was wrong"); stderr != "" {
		t.Errorf("said %q", stderr)
	}
	var acts []audit.Record
	q := audit.Query{Kind: audit.Operator}
	if err := audit.Search(t.Context(), filepath.Join(o.data, audit.Folder), q, func(r audit.Record) error { acts = append(acts, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(acts) != 1 || acts[0].Action != "enable" || acts[0].Target != "user:ana (key pseudonym-of-ana)" || acts[0].Why != "the price was wrong" || acts[0].By != "cli" {
		t.Errorf("the audit log has %+v", acts)
	}
}

// TestCallOfADeadServerIsRecordedByWhoeverLooksNext: the ledger tells of it once.
func TestCallOfADeadServerIsRecordedByWhoeverLooksNext(t *testing.T) {
	book := &alone{dir: t.TempDir(), mask: unmasked, warn: newLogbook("warnings of " + t.Name())}
	book.orphan(ledger.Orphan{ID: "request-1", User: person("ana"), Model: "gpt-6-luna", Ceiling: money.Dollar, At: time.Now()})
	book.drain()
	all := func(kind audit.Kind) (found []audit.Record) {
		t.Helper()
		err := audit.Search(t.Context(), filepath.Join(book.dir, audit.Folder), audit.Query{Kind: kind}, func(r audit.Record) error { found = append(found, r); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if calls := all(audit.Request); len(calls) != 1 || calls[0].ID != "request-1" || calls[0].Outcome != audit.Unknown || calls[0].AtCeiling != money.Dollar || calls[0].User != "ana" {
		t.Errorf("when the ledger forgets the call, the audit log has %+v", calls)
	}
	book.event(ledger.Event{Kind: ledger.SoftLimit})
	book.event(ledger.Event{Kind: ledger.UserEnabled, User: person("eve"), By: ledger.ByExpiry})
	book.close()
	if acts := all(audit.Operator); len(acts) != 1 || acts[0].Action != "enable" || acts[0].Target != "user:eve (key pseudonym-of-eve)" || acts[0].By != ledger.ByExpiry {
		t.Errorf("the time of a disable is up, and the audit log has %+v", acts)
	}
	if w := book.warn.(*logbook).String(); w != "" {
		t.Errorf("it warns: %s", w)
	}
}

// TestLookingLeavesNoLine in the audit log of a server that does not run.
func TestLookingLeavesNoLine(t *testing.T) {
	o := openOffice(t, nil)
	o.close()
	o.ok("usage")
	if _, err := os.Lstat(filepath.Join(o.data, audit.Folder)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking made an audit log (%v)", err)
	}
}

func TestAuditLogThatCannotBeWrittenIsTold(t *testing.T) {
	o := openOffice(t, nil)
	o.settle(person("ana"), "gpt-6-luna", money.Dollar+1)
	o.close()
	if err := os.WriteFile(filepath.Join(o.data, audit.Folder), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := o.run("enable", "--user", "ana")
	if code != exitOK || !strings.Contains(stdout, "may spend again") || !strings.Contains(stderr, "not in the audit log") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}

// TestSecretInAReasonIsNotWrittenDown, as beside a server.
func TestSecretInAReasonIsNotWrittenDown(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	s.asks("bob")
	s.stop()
	s.ok("disable", "--user", "bob", "--why", "he posted "+canary+" in a chat")
	if _, _, stderr := s.command("disable", "--user", strings.Repeat("x", 201), "--why", "he posted "+canary); strings.Contains(stderr, canary) || !strings.Contains(stderr, "--why 'he posted ") {
		t.Errorf("a suggested command repeats the key: %s", stderr)
	}
	for _, r := range s.exported("--kind", "operator") {
		if strings.Contains(r.Why, canary) {
			t.Errorf("the audit log has the key: %s", r.Why)
		}
	}
	if text, err := os.ReadFile(s.file()); err != nil || strings.Contains(string(text), canary) || !strings.Contains(string(text), "he posted ") {
		t.Errorf("%v, the file has\n%s", err, text)
	}
}

// TestCommandIsNoStartOfAServer in the audit log.
func TestCommandIsNoStartOfAServer(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	s.asks("bob")
	s.stop()
	before := len(s.exported("--kind", "start")) + len(s.exported("--kind", "stop"))
	s.ok("disable", "--user", "bob")
	if after := len(s.exported("--kind", "start")) + len(s.exported("--kind", "stop")); after != before || before != 2 {
		t.Errorf("%d starts and stops before a command, %d after it; want 2", before, after)
	}
	if acts := s.exported("--kind", "operator"); len(acts) != 1 {
		t.Errorf("the audit log has %+v", acts)
	}
}
