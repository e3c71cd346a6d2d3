package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyshield/internal/alert"
	"keyshield/internal/audit"
	"keyshield/internal/config"
	"keyshield/internal/ledger"
	"keyshield/internal/metrics"
	"keyshield/internal/watch"
)

// TestSpikesAreWhereOperatorsAreSentToLook: an alert tells of them, but who has none set
// up, or reads it late, asks the audit log.
func TestSpikesAreWhereOperatorsAreSentToLook(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	for range 31 { // a newcomer's most in a minute
		s.asks("ana")
	}
	var said string
	soon(t, "the spike in the audit log", func() bool {
		said = s.ok("audit", "--since", "1h", "--kind", "operator")
		return strings.Contains(said, "spike user:ana")
	})
	for _, want := range []string{"watch", "ana made 30 requests in the last minute"} {
		if !strings.Contains(said, want) {
			t.Errorf("the audit log does not say %q:\n%s", want, said)
		}
	}
	if n := strings.Count(said, "spike user:ana"); n != 1 {
		t.Errorf("it is noted %d times, want once an hour:\n%s", n, said)
	}
	summary := s.ok("audit", "--summary")
	if unusual := strings.Index(summary, "\nUnusual\n"); unusual < 0 || unusual > strings.Index(summary, "spike user:ana") || strings.Contains(summary, "By an operator") {
		t.Errorf("want what is unusual apart from what operators did:\n%s", summary)
	}
}

// TestAWildCrowdDoesNotBuryTheAuditLog: there may be a hundred thousand users.
func TestAWildCrowdDoesNotBuryTheAuditLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, err := audit.Open(audit.Options{Dir: filepath.Join(dir, audit.Folder)})
	if err != nil {
		t.Fatal(err)
	}
	b := &bell{audit: log, mask: func(p []byte) []byte { return p }}
	crowd := func() {
		for i := range 3 * spikesNoted {
			b.noteSpike(watch.Alarm{Key: fmt.Sprint("key-", i), ID: fmt.Sprint("user-", i)}, "a lot")
		}
	}
	noted := func() (users, more, all int) {
		log.Drain()
		for _, r := range audits(t, dir, audit.Query{}) {
			switch {
			case r.Action != "spike":
			case strings.HasPrefix(r.Target, "user:"):
				users++
			case r.Target == "everything":
				all++
			case strings.Contains(r.Why, "the server's log"):
				more++
			}
		}
		return users, more, all
	}
	crowd()
	b.noteSpike(watch.Alarm{}, "everybody")
	if users, more, all := noted(); users != spikesNoted || more != 1 || all != 1 {
		t.Errorf("%d users, %d lines that there are more, %d of everybody; want %d, 1 and 1", users, more, all, spikesNoted)
	}
	b.spikes.since = time.Now().Add(-time.Hour)
	crowd()
	if users, more, _ := noted(); users != 2*spikesNoted || more != 2 {
		t.Errorf("an hour later there are %d users and %d lines that there are more, want %d and 2", users, more, 2*spikesNoted)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

// TestWhoCouldNotBeDisabledIsNoted: the alert says so, and sends to the audit log.
func TestWhoCouldNotBeDisabledIsNoted(t *testing.T) {
	t.Parallel()
	dir, silent := t.TempDir(), slog.New(slog.DiscardHandler)
	books, err := ledger.Open(t.Context(), ledger.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := books.Close(); err != nil { // it can be asked for nothing more
		t.Fatal(err)
	}
	alerts, err := alert.New(alert.Options{Log: silent})
	if err != nil {
		t.Fatal(err)
	}
	b := newBell(t.Context(), alerts, program{log: silent, hide: hide(config.Config{})})
	b.ledger, b.metrics = books, metrics.New(metrics.Options{Log: silent})
	if b.audit, err = audit.Open(audit.Options{Dir: filepath.Join(dir, audit.Folder)}); err != nil {
		t.Fatal(err)
	}
	close(b.ready)
	b.alarm(watch.Alarm{Kind: watch.Disable, Key: "key", ID: "eve", Signal: watch.Requests, Text: "eve made 900 requests"})
	b.work.Wait()
	if err := errors.Join(b.audit.Close(), alerts.Close()); err != nil {
		t.Error(err)
	}
	acts := audits(t, dir, audit.Query{Kind: audit.Operator})
	if len(acts) != 1 || acts[0].Action != "spike" || acts[0].By != ledger.ByWatch || !strings.Contains(acts[0].Why, "Whether it was disabled is not known") {
		t.Errorf("the audit log has %+v", acts)
	}
}
