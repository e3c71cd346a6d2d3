package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyshield/internal/audit"
)

// damage makes the lines of the audit log that have these texts unreadable, and
// nothing else.
func damage(t *testing.T, data string, texts ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, audit.Folder, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, path := range files { // midnight may have passed
		log, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if at := bytes.Index(log, []byte(text)); at >= 0 {
				log[bytes.LastIndexByte(log[:at], '\n')+1] = '['
				done++
			}
		}
		if err := os.WriteFile(path, log, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if done != len(texts) {
		t.Fatalf("%d lines of %d were found in %v", done, len(texts), files)
	}
}

// TestDamagedLinesAreToldOf by all that reads the log, beside a server, from afar and
// without one: what lacks records must not pass for all of them.
func TestDamagedLinesAreToldOf(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	for _, user := range []string{"ana", "bob", "eve", "joe"} {
		s.asks(user)
	}
	s.recorded(4)
	damage(t, s.env["DATA_DIR"], `"user":"bob"`, `"user":"eve"`)
	const told = "2 lines of the audit log cannot be read and may be missing here: keyshield audit verify names the first"
	commands := [][]string{{"export", "--kind", "request"}, {"--json", "--kind", "request"}, {"--kind", "request"}, {"--kind", "request", "--limit", "2"}}
	ask := func(where string, run func(args ...string) (int, string, string)) {
		t.Helper()
		for _, args := range commands {
			code, stdout, stderr := run(append([]string{"audit"}, args...)...)
			if code != exitFailed || !strings.Contains(stderr, told) {
				t.Errorf("%s, audit %v: %d %q, want it told and exit 1", where, args, code, stderr)
			}
			for _, user := range []string{"ana", "joe"} {
				if !strings.Contains(stdout, user) {
					t.Errorf("%s, audit %v lacks the line of %s, which can be read:\n%s", where, args, user, stdout)
				}
			}
			if strings.Contains(stdout, "audit_unreadable") {
				t.Errorf("%s, audit %v has a line that is no record:\n%s", where, args, stdout)
			}
		}
		code, stdout, stderr := run("audit", "--summary")
		if code != exitOK || !strings.Contains(stdout, "LOOK AT THIS\n") || !strings.Contains(stdout, "2 lines of the audit log cannot be read and may be missing below: keyshield audit verify") || !strings.Contains(stdout, "of 2 users") {
			t.Errorf("%s, the summary: %d %s\n%s", where, code, stderr, stdout)
		}
		var as struct{ Unreadable int }
		if code, stdout, _ := run("audit", "--summary", "--json"); code != exitOK || json.Unmarshal([]byte(stdout), &as) != nil || as.Unreadable != 2 {
			t.Errorf("%s, the summary as JSON: %d, %d lines\n%s", where, code, as.Unreadable, stdout)
		}
	}
	ask("beside the server", s.command)
	ask("from afar", func(args ...string) (int, string, string) { return s.afar(s.token, args...) })
	s.stop()
	ask("without a server", s.command)
}

// TestDamagedLineIsCountedOnce however many pages are read.
func TestDamagedLineIsCountedOnce(t *testing.T) {
	t.Parallel()
	o := openOffice(t, nil)
	log, err := audit.Open(audit.Options{Dir: filepath.Join(o.data, audit.Folder)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2*page + 7 {
		log.Request(&audit.Record{ID: fmt.Sprintf("id-%05d", i), User: "ana", Outcome: audit.OK}, i%100 == 0)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, o.data, fmt.Sprintf("id-%05d", 2*page))
	for _, limit := range []string{"0", "1500", "100"} {
		if code, _, stderr := o.run("audit", "--kind", "request", "--limit", limit); code != exitFailed || !strings.Contains(stderr, " 1 line of the audit log cannot be read") {
			t.Errorf("--limit %s: %d %q, want 1 line told of", limit, code, stderr)
		}
	}
	if code, _, stderr := o.run("audit", "--kind", "request", "--limit", "5"); code != exitOK {
		t.Errorf("the newest 5 are all there: %d %q", code, stderr)
	}
}

// TestAnchorIsCopiedFromTheServersLog as it stands there, into the command that checks
// it, and into the one that is told of a log that was written anew.
func TestAnchorIsCopiedFromTheServersLog(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	s.asks("ana")
	s.recorded(1)
	s.stop() // the last anchor is told at the end
	var anchor string
	for line := range strings.Lines(s.log.String()) {
		var entry struct{ Event, Anchor string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Event == "audit_anchor" {
			anchor = entry.Anchor
		}
	}
	if !strings.Contains(anchor, "@20") {
		t.Fatalf("the log has the anchor %q, want one with its day:\n%s", anchor, s.log)
	}
	said := s.ok("audit", "verify", "--anchor", anchor)
	if number, _, _ := strings.Cut(anchor, "@"); !strings.Contains(said, number) {
		t.Errorf("verified without a word on %s:\n%s", number, said)
	}
	number, rest, _ := strings.Cut(anchor, ":")
	_, day, _ := strings.Cut(rest, "@")
	forged := number + ":" + strings.Repeat("0", 64) + "@" + day
	if code, stdout, _ := s.command("audit", "verify", "--anchor", forged); code != exitFailed || !strings.Contains(stdout, "is NOT in the chain") {
		t.Errorf("another log's anchor: %d %s", code, stdout)
	}
}

// TestHelpOnAuditNamesItsForms, from each of them.
func TestHelpOnAuditNamesItsForms(t *testing.T) {
	t.Parallel()
	for form, flag := range map[string]string{"": "-summary", "verify": "seq:hash@day", "export": "how many at most, the oldest"} {
		args := []string{"--help"}
		if form != "" {
			args = []string{form, "--help"}
		}
		code, stdout, stderr := once(t, t.TempDir(), args, "audit")
		for _, want := range []string{"keyshield audit [flags]", "keyshield audit verify [flags]", "keyshield audit export [flags]", flag} {
			if code != exitOK || !strings.Contains(stdout+stderr, want) {
				t.Errorf("audit %v: %d, without %q:\n%s%s", args, code, want, stdout, stderr)
			}
		}
	}
}
