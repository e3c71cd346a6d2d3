package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/money"
)

const project = "proj_test"

// openBooks is a station whose project OpenAI keeps books of.
func openBooks(t *testing.T, extra ...string) *station {
	t.Helper()
	return openStation(t, append([]string{"OPENAI_PROJECT=" + project}, extra...)...)
}

// compares runs reconcile, which alone has the key of the books.
func (s *station) compares(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	return s.command(append([]string{"OPENAI_ADMIN_KEY=" + s.admin, "reconcile"}, args...)...)
}

// elsewhere is a second program that uses the same key.
func (s *station) elsewhere(calls int) {
	s.t.Helper()
	for range calls {
		body := `{"model":"gpt-6-sol","messages":[{"role":"user","content":"` + strings.Repeat("behind your back ", 200) + `"}],"max_completion_tokens":4000}`
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.back.URL+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+canary)
		req.Header.Set("OpenAI-Project", project)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req) // not watched: it knows the key
		if err != nil || resp.StatusCode != http.StatusOK {
			s.t.Fatalf("the second program: %v %v", resp, err)
		}
		resp.Body.Close()
	}
}

// billed puts an amount on OpenAI's books, so many days ago.
func (s *station) billed(daysAgo int, amount money.USD) {
	s.t.Helper()
	day := time.Now().UTC().AddDate(0, 0, -daysAgo).Format(time.DateOnly)
	body := fmt.Sprintf(`[{"day": %q, "project": %q, "nano": %d}]`, day, project, amount)
	resp, err := http.Post(s.back.URL+"/_sim/costs", "application/json", strings.NewReader(body))
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%v %v", resp, err)
	}
	resp.Body.Close()
}

func TestASecondProgramWithTheKeyIsNoticed(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	s := openBooks(t)
	for _, user := range []string{"ana", "bob"} {
		if got := s.asks(user); got != "" {
			t.Fatalf("%s gets %s", user, got)
		}
	}
	s.ask("[[sim status=500 bill]]") // unproven: at the ceiling here
	exact := []string{"--tolerance", "0", "--json"}
	code, stdout, stderr := s.compares(exact...)
	var got comparison
	if err := json.Unmarshal([]byte(stdout), &got); code != exitOK || err != nil || got.Verdict != admin.Agrees || got.Theirs == 0 || !got.Told {
		t.Fatalf("our own calls alone: %d %v %s%s", code, err, stdout, stderr)
	}
	if _, stdout, _ := s.compares("--tolerance", "0"); !strings.Contains(stdout, "charged at ceilings, without proof: use elsewhere of up to so much") {
		t.Errorf("what hides use elsewhere is not told:\n%s", stdout)
	}
	billed := s.sim.Report().BillNano
	s.elsewhere(3)
	stolen := s.sim.Report().BillNano - billed

	code, stdout, stderr = s.compares(exact...)
	if err := json.Unmarshal([]byte(stdout), &got); code != exitElsewhere || err != nil || got.Verdict != admin.KeyUsedElsewhere || !got.Told {
		t.Fatalf("a second program: %d %v %s%s", code, err, stdout, stderr)
	}
	ours := nanoUSD(stolen) - got.Elsewhere // what is unproven here and not billed there hides as much
	if got.Elsewhere <= 0 || got.Theirs != nanoUSD(billed+stolen) || ours < 0 || ours > 1_000_000 {
		t.Errorf("of %v that was stolen %v is found; OpenAI has billed %v", nanoUSD(stolen), got.Elsewhere, got.Theirs)
	}
	for _, said := range []string{"THE KEY IS USED ELSEWHERE. On 2", got.Elsewhere.String(), "keyshield rotate --incident", "tells its alerts"} {
		if code, stdout, _ := s.compares("--tolerance", "0"); code != exitElsewhere || !strings.Contains(stdout, said) {
			t.Errorf("%d, not told %q:\n%s", code, said, stdout)
		}
	}
	if !strings.Contains(s.log.String(), "the key is used elsewhere") {
		t.Error("the server's log does not tell")
	}
	if said := s.ok("audit", "--summary"); !strings.Contains(said, "LOOK AT THIS") || !strings.Contains(said, "the key is used elsewhere") {
		t.Errorf("the summary does not tell:\n%s", said)
	}
	// From the file alone, and within a tolerance.
	s.stop()
	if code, stdout, _ := s.compares("--tolerance", "0"); code != exitElsewhere || !strings.Contains(stdout, "No server runs here") {
		t.Errorf("without a server: %d\n%s", code, stdout)
	}
	if acts := s.exported("--kind", "operator"); len(acts) == 0 || acts[len(acts)-1].Action != "reconcile" || acts[len(acts)-1].By != "cli" || !strings.HasPrefix(acts[len(acts)-1].Why, admin.KeyUsedElsewhere) {
		t.Errorf("the audit log does not tell: %+v", acts)
	}
	if said := s.ok("audit", "--summary"); !strings.Contains(said, "the key is used elsewhere") {
		t.Errorf("the comparison is not kept:\n%s", said)
	}
	if code, stdout, _ := s.compares("--tolerance", "1000"); code != exitOK || !strings.Contains(stdout, "They agree") {
		t.Errorf("within the tolerance: %d\n%s", code, stdout)
	}
}

func TestReconcileFromAfar(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	s := openBooks(t)
	s.asks("ana")
	s.billed(2, money.Dollar)
	env := map[string]string{"OPENAI_BASE_URL": s.env["OPENAI_BASE_URL"], "OPENAI_ADMIN_KEY": s.admin, "ADMIN_TOKEN": s.token}
	afar := func(changes ...string) (int, string, string) {
		var set []string
		for name, value := range with(maps.Clone(env), changes...) {
			set = append(set, name+"="+value)
		}
		return once(t, t.TempDir(), []string{"--server", s.url, "--project", project, "--days", "3"}, "reconcile", set...)
	}
	code, stdout, stderr := afar()
	if code != exitElsewhere || !strings.Contains(stdout, "OpenAI has billed $1 more than went through here") || !strings.Contains(stdout, "tells its alerts") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr = afar("ADMIN_TOKEN=" + strings.Repeat("wrong-", 8)); code != exitFailed || stdout != "" || !strings.Contains(stderr, "no door") {
		t.Errorf("with a wrong token: %d %s%s", code, stdout, stderr)
	}
	key := write(t, t.TempDir(), "key", s.admin+"\n")
	if code, stdout, _ = afar("OPENAI_ADMIN_KEY", "OPENAI_ADMIN_KEY_FILE="+key); code != exitElsewhere || !strings.Contains(stdout, "$1 more") {
		t.Errorf("with the key in a file: %d %s", code, stdout)
	}
}

// TestEmptyLedgerIsSeeded: with DATA_DIR the month's spending is lost, and the month
// must not begin anew.
func TestEmptyLedgerIsSeeded(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	earlier, today := 1, "$5 used of $20, $15 left"
	if time.Now().UTC().Day() == 1 {
		earlier, today = 0, "$12 used of $20, $8 left" // the month has no other day yet
	}
	s := openBooks(t, "BUDGET_MONTH=20", "BUDGET_DAY=20")
	s.billed(earlier, 7*money.Dollar)
	s.billed(0, 5*money.Dollar)
	if code, stdout, _ := s.compares(); code != exitElsewhere || !strings.Contains(stdout, "$12 more") || !strings.Contains(stdout, "keyshield reconcile --seed") {
		t.Errorf("before: %d\n%s", code, stdout)
	}
	code, stdout, stderr := s.compares("--seed")
	if code != exitOK || !strings.Contains(stdout, "$12 used of $20, $8 left") || !strings.Contains(stdout, today) || !strings.Contains(stdout, "lower bound") {
		t.Fatalf("%d %s%s", code, stdout, stderr)
	}
	if said := s.ok("usage"); !strings.Contains(said, "billed by OpenAI before") {
		t.Errorf("usage does not tell:\n%s", said)
	}
	if code, stdout, _ := s.compares(); code != exitOK || !strings.Contains(stdout, "They agree") {
		t.Errorf("what was seeded is taken for somebody else's: %d\n%s", code, stdout)
	}
	s.billed(earlier, money.Dollar)
	if code, stdout, _ := s.compares(); code != exitElsewhere || !strings.Contains(stdout, "billed $1 more") {
		t.Errorf("what is stolen after a seed is not noticed: %d\n%s", code, stdout)
	}
	s.asks("ana")
	s.ok("disable", "--everything") // nothing of this is undone by a restart
	s.restart()
	if said := s.ok("usage", "--json"); !strings.Contains(said, `"seeded_nanousd": 12000000000`) {
		t.Errorf("after a restart:\n%s", said)
	}
}

func TestSeedOfAFullerLedgerChangesNothing(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	s := openBooks(t)
	if code, stdout, stderr := s.compares("--seed"); code != exitOK || !strings.Contains(stdout, "nothing to raise") {
		t.Errorf("OpenAI's books are empty: %d %s%s", code, stdout, stderr)
	}
	s.ask("[[sim status=500]]") // charged here, and not there
	s.billed(0, 1000)
	before := s.ok("usage", "--json")
	if code, stdout, stderr := s.compares("--seed"); code != exitOK || !strings.Contains(stdout, "more than that is counted here already") {
		t.Errorf("ours has more: %d %s%s", code, stdout, stderr)
	}
	if code, stdout, _ := s.compares("--seed", "--json"); code != exitOK || !strings.Contains(stdout, `"unchanged": "counted_more"`) {
		t.Errorf("as JSON: %d %s", code, stdout)
	}
	moment := func(text string) string { return moment.ReplaceAllString(text, "") }
	if after := s.ok("usage", "--json"); moment(after) != moment(before) {
		t.Errorf("it changed the books from\n%s\nto\n%s", before, after)
	}
}

// TestTheAdminKeyStaysApart: it is read where the server cannot have it, and shown
// nowhere.
func TestTheAdminKeyStaysApart(t *testing.T) {
	t.Parallel()
	s := openBooks(t)
	if err := os.WriteFile(filepath.Join(s.dir, ".env"), []byte("OPENAI_ADMIN_KEY='"+s.admin+"'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := s.command("reconcile"); code != exitFailed || !strings.Contains(stderr, "OPENAI_ADMIN_KEY is missing") || !strings.Contains(stderr, "serve refuses to start") {
		t.Errorf("with the key in .env alone: %d %s", code, stderr)
	}
	empty := write(t, t.TempDir(), "key", "\n")
	for _, c := range []struct {
		set  []string
		args []string
		told string
	}{
		{[]string{"OPENAI_ADMIN_KEY=" + s.admin, "OPENAI_ADMIN_KEY_FILE=" + empty}, nil, "both set"},
		{[]string{"OPENAI_ADMIN_KEY_FILE=" + empty}, nil, "is no key"},
		{[]string{"OPENAI_ADMIN_KEY_FILE=" + s.admin}, nil, "cannot be opened"},
		{[]string{"OPENAI_ADMIN_KEY=" + s.admin + " "}, nil, "is no key"},
		{[]string{"OPENAI_ADMIN_KEY=test-another-key"}, nil, "OpenAI refuses the key (401)"},
		{[]string{"OPENAI_ADMIN_KEY=" + s.admin, "OPENAI_PROJECT="}, nil, "say which of OpenAI's projects with --project"},
		{[]string{"OPENAI_ADMIN_KEY=" + s.admin, "OPENAI_BASE_URL=http://openai.example.com/v1"}, nil, "OPENAI_BASE_URL: must begin with https://"},
		{[]string{"OPENAI_ADMIN_KEY=" + s.admin}, []string{"--days", "0"}, "--days must be from 1 to"},
		{[]string{"OPENAI_ADMIN_KEY=" + s.admin}, []string{"--tolerance", "a lot"}, "not an amount of dollars"},
	} {
		code, stdout, stderr := s.command(append(append(c.set, "reconcile"), c.args...)...)
		if code == exitOK || stdout != "" || !strings.Contains(stderr, c.told) {
			t.Errorf("%v: %d %q %q, want %q", c.args, code, stdout, stderr, c.told)
		}
	}
}
