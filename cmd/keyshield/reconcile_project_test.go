package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"keyshield/internal/admin"
	"keyshield/internal/money"
)

// stillFound says whether the summary has what was found elsewhere.
func (s *station) stillFound() bool {
	s.t.Helper()
	return strings.Contains(s.ok("audit", "--summary"), "the key is used elsewhere")
}

// TestAMistypedProjectDoesNotAgree: OpenAI's books of a project that is none are empty,
// and ours are always more than those.
func TestAMistypedProjectDoesNotAgree(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	s := openBooks(t)
	s.asks("ana")
	s.billed(0, money.Dollar)
	// 3 is said in the README, for who runs this by the clock.
	if code, stdout, stderr := s.compares(); code != 3 || !s.stillFound() {
		t.Fatalf("$1 is stolen: %d %s%s", code, stdout, stderr)
	}
	before := len(s.exported("--kind", "operator"))
	for _, form := range []string{"--json=false", "--json"} {
		code, stdout, stderr := s.compares("--project", "proj_tset", "--tolerance", "0", form)
		if code != 1 || stdout != "" || !strings.Contains(stderr, `billed nothing in project "proj_tset" since 2`) || !strings.Contains(stderr, "is it the project of the key") {
			t.Errorf("another project, %s: %d %q %q", form, code, stdout, stderr)
		}
	}
	if after := len(s.exported("--kind", "operator")); after != before {
		t.Errorf("it reported %d comparisons that were none", after-before)
	}
	// So little went through here that it may be the right project.
	code, stdout, stderr := s.compares("--project", "proj_tset")
	for _, said := range []string{"They agree", "billed nothing at all in project proj_tset", "THIS TAKES NOTHING BACK", "in project " + project + " OpenAI had $1"} {
		if code != exitOK || !strings.Contains(stdout, said) {
			t.Errorf("within the tolerance: %d, not told %q:\n%s%s", code, said, stdout, stderr)
		}
	}
	var got comparison
	if _, stdout, _ = s.compares("--project", "proj_tset", "--json"); json.Unmarshal([]byte(stdout), &got) != nil || got.Project != "proj_tset" || got.Standing == nil || got.Standing.Project != project {
		t.Errorf("as JSON:\n%s", stdout)
	}
	if !s.stillFound() || strings.Contains(s.log.String(), "books agree") {
		t.Error("the books of another project have taken back what was found")
	}
	acts := s.exported("--kind", "operator")
	if last := acts[len(acts)-1]; !strings.HasPrefix(last.Target, "project:proj_tset 2") || !strings.HasPrefix(last.Why, admin.Agrees) || !strings.Contains(last.Why, "found before stands") {
		t.Errorf("the audit log has %q: %q", last.Target, last.Why)
	}
}

// TestBadDaysAreNotForgottenAsTheyPass: who compares seven days each day would agree a
// week after a theft.
func TestBadDaysAreNotForgottenAsTheyPass(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	s := openBooks(t)
	s.asks("ana")
	s.billed(3, 2*money.Dollar)
	if code, stdout, stderr := s.compares(); code != exitElsewhere {
		t.Fatalf("$2 are stolen: %d %s%s", code, stdout, stderr)
	}
	code, stdout, stderr := s.compares("--days", "1")
	if code != exitOK || !strings.Contains(stdout, "THIS TAKES NOTHING BACK") || !s.stillFound() {
		t.Fatalf("of today alone: %d %s%s", code, stdout, stderr)
	}
	// What it says must do what it says.
	_, command, found := strings.Cut(stdout, "\n  keyshield reconcile ")
	command, _, _ = strings.Cut(command, "\n")
	if !found || !strings.HasPrefix(command, fmt.Sprintf("--project %s --days ", project)) {
		t.Fatalf("how to take it back is not told:\n%s", stdout)
	}
	code, stdout, stderr = s.compares(strings.Fields(command)...)
	if code != exitOK || strings.Contains(stdout, "NOTHING BACK") || s.stillFound() || !strings.Contains(s.log.String(), "books agree") {
		t.Errorf("%s: %d, and what was found stands: %s%s", command, code, stdout, stderr)
	}
}

func TestReconcileSaysHowItEnds(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := once(t, t.TempDir(), []string{"--help"}, "reconcile")
	for _, said := range []string{"OPENAI_ADMIN_KEY,", "OPENAI_ADMIN_KEY_FILE", "1  if it could not compare", "3  if the key is used elsewhere", "-tolerance"} {
		if code != exitOK || !strings.Contains(stdout+stderr, said) {
			t.Errorf("%d, not told %q:\n%s%s", code, said, stdout, stderr)
		}
	}
}
