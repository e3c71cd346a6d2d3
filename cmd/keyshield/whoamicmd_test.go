package main

import (
	"encoding/json"
	"strings"
	"testing"

	"keyshield/internal/admin"
)

func TestWhoAmIShowsWhichTrustIsRight(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	code, stdout, stderr := s.afar(s.token, "whoami")
	if code != exitOK || !strings.Contains(stdout, "The connection comes from 127.0.0.1.") || !strings.Contains(stdout, "TRUSTED_PROXY=none") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	code, stdout, _ = s.afar(s.token, "whoami", "--json")
	var me admin.WhoAmI
	if err := json.Unmarshal([]byte(stdout), &me); err != nil || code != exitOK || me.Address != "127.0.0.1" || me.TrustedProxy != "none" {
		t.Errorf("%d %v %s", code, err, stdout)
	}
	if said := s.ok("whoami"); !strings.Contains(said, "keyshield whoami --server") {
		t.Errorf("over the socket: %s", said)
	}
	if code, _, stderr := s.afar(strings.Repeat("wrong-", 8), "whoami"); code != exitFailed || !strings.Contains(stderr, "no door") {
		t.Errorf("with a wrong token: %d %s", code, stderr)
	}
	s.stop()
	if code, _, stderr := s.command("whoami"); code != exitFailed || !strings.Contains(stderr, "no server runs here") {
		t.Errorf("without a server: %d %s", code, stderr)
	}
}

func TestWhoAmICannotPaintTheTerminal(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	me := admin.WhoAmI{
		Peer: "10.0.0.1", Headers: map[string][]string{"X-Forwarded-For": {"203.0.113.9\x1b[2J"}}, Advice: "Take the line below.",
		Fits: []admin.Fit{{TrustedProxy: "1", Address: "203.0.113.9", InForce: true}, {TrustedProxy: "none", Address: "10.0.0.1"}},
	}
	if err := showMe(&text, me); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"X-Forwarded-For: 203.0.113.9\uFFFD[2J\n", "TRUSTED_PROXY=1     203.0.113.9   in force\n", "TRUSTED_PROXY=none  10.0.0.1\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}
