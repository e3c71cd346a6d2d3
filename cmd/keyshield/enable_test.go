package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"keyshield/internal/admin"
	"keyshield/internal/apierr"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// admitted is nil, or the code of a refusal to reserve.
func (o *office) admitted(u ledger.User, model string) string {
	o.t.Helper()
	o.calls++
	free := ledger.NoCap()
	for {
		h, err := o.ledger.Reserve(o.t.Context(), ledger.Request{
			ID: "try-" + u.ID + model, User: u, Model: model, Ceiling: 1, Prices: "2026-11-21",
			Caps: ledger.Caps{Day: free, Month: free, UserDay: free, UserMonth: free},
		})
		if err == nil {
			h.Free()
			if err := o.ledger.Flush(context.WithoutCancel(o.t.Context())); err != nil {
				o.t.Fatal(err)
			}
			return ""
		}
		refusal, ok := errors.AsType[*apierr.Error](err)
		if !ok {
			o.t.Fatal(err)
		}
		if refusal.Code != "unavailable" {
			return refusal.Code
		}
	}
}

func TestSuspendedUserIsLetInWhileTheServerRuns(t *testing.T) {
	o := openOffice(t, nil)
	bob := person("auth0|bob")
	o.settle(bob, "gpt-6-luna", money.Dollar+5)
	if got := o.admitted(bob, "gpt-6-luna"); got != "disabled" {
		t.Fatalf("after an overshoot the user gets %q", got)
	}
	if shown := o.ok("usage"); !strings.Contains(shown, "keyshield enable --user 'auth0|bob'") {
		t.Errorf("usage does not say how to let the user in again:\n%s", shown)
	}
	if said := o.ok("enable", "--user", "auth0|bob"); !strings.Contains(said, "may spend again") {
		t.Errorf("said %q", said)
	}
	if got := o.admitted(bob, "gpt-6-luna"); got != "" {
		t.Errorf("enabled, and still %q", got)
	}
	if !strings.Contains(o.log.String(), `"action":"enable","target":"user:auth0|bob (key pseudonym-of-auth0|bob)"`) {
		t.Error("the server's log does not tell")
	}
	code, _, stderr := o.run("enable", "--user", "auth0|bob")
	if code != exitFailed || !strings.Contains(stderr, "Nothing is stopped.") {
		t.Errorf("once more: %d %q", code, stderr)
	}
}

func TestStoppedModelStartsAgainWithoutAServer(t *testing.T) {
	o := openOffice(t, nil)
	for _, id := range []string{"ana", "bob", "eve"} {
		o.settle(person(id), "gpt-6-luna", money.Dollar+1)
	}
	if got := o.admitted(person("zoe"), "gpt-6-luna"); got != "disabled" {
		t.Fatalf("after three overshoots the model answers %q", got)
	}
	o.close()
	if said := o.ok("enable", "--model", "gpt-6-luna"); !strings.Contains(said, "may be used again") {
		t.Errorf("said %q", said)
	}
	o.open(nil)
	if got := o.admitted(person("zoe"), "gpt-6-luna"); got != "" {
		t.Errorf("enabled, and still %q", got)
	}
	if got := o.admitted(person("ana"), "gpt-6-luna"); got != "disabled" {
		t.Errorf("enabling the model let a suspended user in (%q)", got)
	}
}

func TestEnableOfNothingSaysSo(t *testing.T) {
	o := openOffice(t, nil)
	o.settle(person("ana"), "gpt-6-luna", money.Dollar+1)
	for _, c := range []struct {
		args         []string
		code         int
		stdout, told string
	}{
		{[]string{"--model", "gpt-6-luna"}, exitOK, "is not stopped; nothing to do", ""},
		{[]string{"--model", "gpt-6-lana"}, exitFailed, "", `no model "gpt-6-lana" with a price`},
		{[]string{"--user", "anna"}, exitFailed, "", "keyshield enable --user ana"},
		{[]string{"--user", "ana", "--model", "gpt-6-luna"}, exitUsage, "", "say what"},
		{nil, exitUsage, "", "say what"},
		{[]string{"--user", ""}, exitUsage, "", "say what"},
	} {
		code, stdout, stderr := o.run(append([]string{"enable"}, c.args...)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.told) {
			t.Errorf("enable %v: %d %q %q, want %d %q %q", c.args, code, stdout, stderr, c.code, c.stdout, c.told)
		}
	}
}

// TestOneNameOfTwoUsersIsAskedBack: two providers' "1" are two people.
func TestOneNameOfTwoUsersIsAskedBack(t *testing.T) {
	o := openOffice(t, nil)
	mine := ledger.User{Key: "pseudonym-of-mine", Issuer: "https://one.example", ID: "1"}
	theirs := ledger.User{Key: "pseudonym-of-theirs", Issuer: "https://two.example", ID: "1"}
	o.settle(mine, "gpt-6-luna", money.Dollar+1)
	o.settle(theirs, "gpt-6-luna", money.Dollar+1)
	code, _, stderr := o.run("enable", "--user", "1")
	if code != exitFailed || !strings.Contains(stderr, "--user pseudonym-of-theirs   (of https://two.example)") {
		t.Errorf("%d %q, want to be asked which", code, stderr)
	}
	o.ok("enable", "--user", theirs.Key)
	if got := o.admitted(theirs, "gpt-6-luna"); got != "" {
		t.Errorf("the one that was named gets %q", got)
	}
	if got := o.admitted(mine, "gpt-6-luna"); got != "disabled" {
		t.Errorf("the other one gets %q, want disabled", got)
	}
}

func TestSuggestedCommandsAreSafeInAShell(t *testing.T) {
	for word, want := range map[string]string{
		"ana@example.com": "ana@example.com",
		"auth0|bob":       "'auth0|bob'",
		"$(reboot)":       "'$(reboot)'",
		"o'brien; ls":     `'o'\''brien; ls'`,
		"":                "''",
		"--model":         "--model",
	} {
		if got := shellWord(word); got != want {
			t.Errorf("%q becomes %s, want %s", word, got, want)
		}
	}
}

// TestSuggestedNameIsTheOnesWhoIsMeant: an id that two have, or that does not show as
// it is, names nobody.
func TestSuggestedNameIsTheOnesWhoIsMeant(t *testing.T) {
	for _, c := range []struct {
		id    string
		alone bool
		want  string
	}{
		{"ana", true, "ana"}, {"ana", false, "k-1"}, {"auth0|bob", true, "'auth0|bob'"}, {"", true, "k-1"},
		{"a\u202eb", true, "k-1"}, {strings.Repeat("x", longestName+1), true, "k-1"}, {"-rf", true, "k-1"},
	} {
		if got := userWord(admin.Person{ID: c.id, Key: "k-1"}, c.alone); got != c.want {
			t.Errorf("%q, alone %t, becomes %s, want %s", c.id, c.alone, got, c.want)
		}
	}
	var text strings.Builder
	stop := func(key, id string) admin.Stop { return admin.Stop{Person: admin.Person{Key: key, ID: id}} }
	tellStopped(&text, []admin.Stop{stop("k-1", "1"), stop("k-2", "1"), stop("k-3", "ana"), stop("k-4", "k-3"), {Model: "m"}}, "https://api.example.com")
	for _, want := range []string{"--user k-1 --server https://api.example.com ", "--user k-2 ", "--user ana ", "--user k-4 ", "--model m --server https://api.example.com"} {
		if !strings.Contains(text.String(), want) && !strings.Contains(strings.ReplaceAll(text.String(), "'", ""), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}
