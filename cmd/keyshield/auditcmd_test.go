package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keyshield/internal/audit"
	"keyshield/internal/money"
)

// file is the audit log's newest.
func (s *station) file() string {
	s.t.Helper()
	all, err := filepath.Glob(filepath.Join(s.env["DATA_DIR"], audit.Folder, "*.jsonl"))
	if err != nil || len(all) == 0 {
		s.t.Fatalf("no audit log in %s (%v)", s.env["DATA_DIR"], err)
	}
	return all[len(all)-1]
}

// exported is what `audit --json` prints.
func (s *station) exported(args ...string) (all []audit.Record) {
	s.t.Helper()
	for line := range strings.Lines(s.ok(append([]string{"audit", "--json"}, args...)...)) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// recorded waits for so many requests in the log: a line is there some milliseconds
// after its answer.
func (s *station) recorded(n int) {
	s.t.Helper()
	if !eventually(s.t, 10*time.Second, func() bool { return len(s.exported("--kind", "request")) >= n }) {
		s.t.Errorf("the log has not got %d requests", n)
	}
}

func TestAuditFindsARequestByWhatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	s := openStation(t, "MAX_PROMPT_CHARS=30")
	good := s.ask("hello", "Authorization: Bearer "+s.rig.token("bob"))
	s.ask(strings.Repeat("x", 31)).wants(t, http.StatusBadRequest, "prompt_too_long")
	s.ask("hello", "Authorization: Bearer nonsense").wants(t, http.StatusForbidden, "token_invalid")
	id := good.header.Get("X-Request-Id")
	s.recorded(2)
	for _, c := range []struct {
		args []string
		ids  int // requests
	}{
		{[]string{"--kind", "request"}, 2},
		{[]string{"--user", "bob"}, 1},
		{[]string{"--id", id}, 1},
		{[]string{"--code", "prompt_too_long"}, 1},
		{[]string{"--outcome", "ok"}, 1},
		{[]string{"--endpoint", "/api/generate-text"}, 2},
		{[]string{"--model", "gpt-6-luna"}, 1},
		{[]string{"--model", "gpt-6-sol"}, 0},
		{[]string{"--since", "1h", "--kind", "request"}, 2},
		{[]string{"--since", "7d", "--kind", "request"}, 2},
		{[]string{"--from", "2020-01-01", "--to", "2020-01-02 10:00"}, 0},
		{[]string{"--kind", "request", "--limit", "1"}, 1},
		{[]string{"--user", "nobody"}, 0},
	} {
		if got := s.exported(c.args...); len(got) != c.ids {
			t.Errorf("audit %v: %d records, want %d: %+v", c.args, len(got), c.ids, got)
		}
		shown := s.ok(append([]string{"audit"}, c.args...)...)
		if rows := strings.Count(shown, "/api/generate-text"); rows != c.ids || c.ids == 0 && !strings.Contains(shown, "no such record") {
			t.Errorf("audit %v: %d rows, want %d:\n%s", c.args, rows, c.ids, shown)
		}
	}
	shown := s.ok("audit")
	for _, want := range []string{"When (UTC)", id, "bob", "gpt-6-luna", "prompt_too_long"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the table has no %q:\n%s", want, shown)
		}
	}
	if i, j := strings.Index(shown, id), strings.Index(shown, "prompt_too_long"); i > j {
		t.Errorf("the newest is not last:\n%s", shown)
	}
	if _, stdout, _ := s.afar(s.token, "audit", "--id", id, "--json"); !strings.Contains(stdout, `"user":"bob"`) {
		t.Errorf("from afar: %s", stdout)
	}
	if code, stdout, stderr := s.afar(strings.Repeat("wrong-", 8), "audit"); code != exitFailed || stdout != "" || !strings.Contains(stderr, "no door") {
		t.Errorf("with a wrong token: %d %s%s", code, stdout, stderr)
	}
}

func TestAuditShowsMoreThanAPage(t *testing.T) {
	t.Parallel()
	o := openOffice(t, nil)
	log, err := audit.Open(audit.Options{Dir: filepath.Join(o.data, audit.Folder)})
	if err != nil {
		t.Fatal(err)
	}
	const all = 2*page + 7
	for i := range all {
		log.Request(&audit.Record{Kind: audit.Request, ID: fmt.Sprintf("id-%05d", i), User: "ana\x1b[31m", Outcome: audit.OK, AtCeiling: money.Dollar}, i%100 == 0)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[string]int{"0": all, "1500": 1500, "1000": 1000, "5": 5, "100": defaultRecords} {
		shown := o.ok("audit", "--kind", "request", "--limit", limit)
		rows := strings.Count(shown, "id-")
		if rows != want || !strings.Contains(shown, fmt.Sprintf("id-%05d", all-1)) {
			t.Errorf("--limit %s shows %d rows, want the newest %d", limit, rows, want)
		}
		if strings.Contains(shown, "\x1b") || !strings.Contains(shown, "$1*") || !strings.Contains(shown, "* nobody has proved this cost") {
			t.Errorf("a name paints the terminal, or an unproven cost is shown as proven:\n%.300s", shown)
		}
	}
	if lines := strings.Count(o.ok("audit", "export"), "\n"); lines < all {
		t.Errorf("the export has %d lines, want all %d", lines, all)
	}
}

func TestAuditVerifyNamesAFlippedByte(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	for range 3 {
		s.asks("bob")
	}
	s.recorded(3)
	if said := s.ok("audit", "verify"); !strings.Contains(said, "is as it was written") {
		t.Errorf("said %q", said)
	}
	path := s.file()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(text, []byte(`"user":"bob"`))
	text[at+len(`"user":"`)] = 'r'
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	line := bytes.Count(text[:at], []byte("\n")) + 1
	where := fmt.Sprintf("%s, line %d", filepath.Base(path), line)
	code, stdout, _ := s.command("audit", "verify")
	if code != exitFailed || !strings.Contains(stdout, "NOT as it was written") || !strings.Contains(stdout, where) {
		t.Errorf("%d %q, want %q named", code, stdout, where)
	}
	code, stdout, _ = s.command("audit", "verify", "--json")
	var report struct {
		OK    bool
		Fault audit.Fault
	}
	if err := json.Unmarshal([]byte(stdout), &report); code != exitFailed || err != nil || report.OK || report.Fault.Line != int64(line) || report.Fault.Wrong != audit.Changed {
		t.Errorf("%d %v %+v", code, err, report)
	}
	anchor := "2:" + strings.Repeat("0", 64)
	if code, stdout, _ := s.command("audit", "verify", "--anchor", anchor); code != exitFailed || !strings.Contains(stdout, "is NOT in the chain") {
		t.Errorf("an anchor that is not in the chain: %d %s", code, stdout)
	}
	if code, _, stderr := s.command("audit", "verify", "--anchor", "nonsense"); code != exitUsage || !strings.Contains(stderr, "is not an anchor") {
		t.Errorf("no anchor: %d %s", code, stderr)
	}
}

func TestAuditOfNothingSensibleSaysSo(t *testing.T) {
	o := openOffice(t, nil)
	for _, c := range []struct {
		args []string
		code int
		told string
	}{
		{[]string{"--since", "1h", "--from", "2026-01-01"}, exitUsage, "exclude each other"},
		{[]string{"--since", "-1h"}, exitUsage, "looks back"},
		{[]string{"--from", "yesterday"}, exitUsage, "write it as 2026-11-21"},
		{[]string{"--from", "2026-01-02", "--to", "2026-01-01"}, exitUsage, "from must be before to"},
		{[]string{"--kind", "gossip"}, exitUsage, "say request, operator"},
		{[]string{"--outcome", "gossip"}, exitUsage, "say ok, refused"},
		{[]string{"--since", "-7d"}, exitUsage, "write it as 7d"},
		{[]string{"--limit", "-1"}, exitUsage, "from 0 on"},
		{[]string{"export", "--limit", "-5"}, exitUsage, "from 0 on"},
		{[]string{"export", "--limit", "-1"}, exitUsage, "from 0 on"},
		{[]string{"export", "--limit", "many"}, exitUsage, "from 0 on"},
		{[]string{"verfy"}, exitUsage, `there is no "verfy": write keyshield audit, keyshield audit verify or keyshield audit export`},
		{[]string{"--summary", "--user", "bob"}, exitUsage, "about everything"},
		{[]string{"verify", "--user", "bob"}, exitUsage, "not defined"},
		{[]string{"export", "--summary"}, exitUsage, "not defined"},
		{nil, exitFailed, "there is no audit log in"},
		{[]string{"verify"}, exitFailed, "there is no audit log in"},
	} {
		code, stdout, stderr := o.run(append([]string{"audit"}, c.args...)...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.told) {
			t.Errorf("audit %v: %d %q %q, want %d %q", c.args, code, stdout, stderr, c.code, c.told)
		}
	}
}

// TestOneCommandTellsWhatHappened: whoever is called at night reads one screen.
func TestOneCommandTellsWhatHappened(t *testing.T) {
	t.Parallel()
	s := openStation(t, "MAX_PROMPT_CHARS=100", "ADMIN_TOKEN", "ALERT_SLACK_URL")
	for range 3 {
		s.asks("ana")
	}
	s.asks("bob")
	s.ask("[[sim status=500]]", "Authorization: Bearer "+s.rig.token("bob"))
	for range 2 {
		s.ask(strings.Repeat("x", 101), "Authorization: Bearer "+s.rig.token("eve"))
	}
	s.ok("disable", "--user", "eve", "--issuer", "none", "--why", "tries everything")
	s.ask("hello", "Authorization: Bearer nonsense")
	s.restart() // a refusal of strangers is written when its minute is over, or at the end

	text := s.ok("audit", "--summary")
	for _, want := range []string{
		"from the running server", "Nothing is wrong now.",
		"Requests             7  of 3 users\n", "answered           4\n", "refused            2  prompt_too_long 2\n", "failed             1  upstream_error 1\n",
		"Strangers refused    1  token_invalid 1\n",
		"Spent most", "ana", "Refused most", "eve",
		"): tries everything  (by cli)", "keyshield enable --user eve",
		"The server started 2 times.", "OpenAI's own books were never compared", "Nobody is told when something is wrong",
		"of $100000, $99999.9", "at this pace",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary has no %q:\n%s", want, text)
		}
	}
	if lines := strings.Count(text, "\n"); lines > 50 {
		t.Errorf("%d lines are no screen:\n%s", lines, text)
	}
	var told struct {
		summary
		Switches []map[string]any `json:"switches"` // a record is read from its own line only
		Keys     []map[string]any `json:"keys"`
		Acts     []map[string]any `json:"operator"`
	}
	if err := json.Unmarshal([]byte(s.ok("audit", "--summary", "--json", "--since", "1h")), &told); err != nil {
		t.Fatal(err)
	}
	if told.Requests != 7 || told.Outcomes[audit.OK] != 4 || told.Codes[audit.Denied]["prompt_too_long"] != 2 || told.Strangers["token_invalid"] != 1 || told.Users != 3 {
		t.Errorf("as JSON: %+v", told)
	}
	if told.Proven+told.AtCeiling != told.Month.Used || len(told.Spenders) != 2 || told.Spenders[0].Requests+told.Spenders[1].Requests != 5 {
		t.Errorf("spent %v + %v by %+v, the month has %v", told.Proven, told.AtCeiling, told.Spenders, told.Month.Used)
	}
	if len(told.Switches) != 1 || told.Crashes != 0 || told.Lost != 0 || told.Overview == nil {
		t.Errorf("switches %+v, %d crashes, %d lost", told.Switches, told.Crashes, told.Lost)
	}
	if acts := s.exported("--kind", "operator"); len(acts) != 1 {
		t.Errorf("reading leaves lines: %+v", acts)
	}
	s.ok("audit", "export", "--user", "ana")
	if acts := s.exported("--kind", "operator"); len(acts) != 2 || acts[1].Action != "export_audit" || acts[1].Why != "user=ana" {
		t.Errorf("an export leaves no line: %+v", acts)
	}
	s.stop()
	if text = s.ok("audit", "--summary"); !strings.Contains(text, "No server runs here.") || strings.Contains(text, "Nothing is wrong now") || strings.Contains(text, "without a word") || !strings.Contains(text, "Requests             7  of 3 users") {
		t.Errorf("without a server:\n%s", text)
	}
}

// TestSummaryCountsWhatACrashLeft: a call whose end nobody knows, and a start without
// the stop before it.
func TestSummaryCountsWhatACrashLeft(t *testing.T) {
	s := summary{Outcomes: map[string]int64{}, Codes: map[string]map[string]int64{}, Strangers: map[string]int64{}, people: map[string]*spender{}}
	for _, r := range []audit.Record{
		{Kind: audit.Start}, {Kind: audit.Stop}, {Kind: audit.Start}, {Kind: audit.Start},
		{Kind: audit.Request, Outcome: audit.Unknown, Code: "crash", User: "ana", AtCeiling: money.Dollar},
		{Kind: audit.Lost, Count: 12, Why: "no space"},
		{Kind: audit.Operator, Action: "key_rejected", By: "keyring"},
		{Kind: audit.Operator, Action: "seed", By: "cli"},
	} {
		s.count(r)
	}
	for range mostActs + 3 {
		s.count(audit.Record{Kind: audit.Operator, Action: "disable"})
	}
	s.rank()
	if s.Starts != 3 || s.Crashes != 1 || s.Outcomes[audit.Unknown] != 1 || s.AtCeiling != 1_000_000_000 || s.Lost != 12 {
		t.Errorf("%d starts, %d crashes, %v cut off at %v, %d lost", s.Starts, s.Crashes, s.Outcomes, s.AtCeiling, s.Lost)
	}
	if len(s.Keys) != 1 || len(s.Acts) != 1 || len(s.Switches) != mostActs || s.Omitted != 3 {
		t.Errorf("%d of keys, %d of an operator, %d switches, %d left out", len(s.Keys), len(s.Acts), len(s.Switches), s.Omitted)
	}
	var text strings.Builder
	s.To = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	if err := s.show(&text, s.To, ""); err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(text.String()))
	if len(lines) > 50 || !strings.Contains(text.String(), "ended once without a word") || !strings.Contains(text.String(), "12 records of the audit log could not be written") || !strings.Contains(text.String(), "cut off by a crash") {
		t.Errorf("%d lines:\n%s", len(lines), text.String())
	}
}

func TestALineThatStandsForManySaysSo(t *testing.T) {
	if got := details(audit.Record{Kind: audit.Request, Code: "invalid_prompt", Status: 400, Count: 41}); got != "invalid_prompt, 400, 41 requests of that minute" {
		t.Errorf("got %q", got)
	}
}
