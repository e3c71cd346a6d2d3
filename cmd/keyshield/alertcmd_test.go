package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyshield/internal/admin"
)

func TestAlertTestSaysWhoIsTold(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	taken := 0
	slack := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { taken++; w.WriteHeader(status) }))
	t.Cleanup(slack.Close)
	const path = "/services/test-T0000/test-B0000/test-hidden-part"
	s := openStation(t, "ALERT_SLACK_URL="+slack.URL+path)
	if said := s.ok("alert", "test"); taken != 1 || !strings.Contains(said, "ok      slack") || !strings.Contains(said, "Look whether the test has arrived") {
		t.Errorf("%d arrived, said %q", taken, said)
	}
	status = http.StatusForbidden
	code, stdout, stderr := s.command("alert", "test")
	if code != exitFailed || !strings.Contains(stdout, "FAILED  slack") || !strings.Contains(stdout, "403") || !strings.Contains(stdout, "1 receiver cannot be told") {
		t.Errorf("a receiver that refuses: %d %s%s", code, stdout, stderr)
	}
	code, asJSON, _ := s.command("alert", "test", "--json")
	var answer admin.AlertTest
	if err := json.Unmarshal([]byte(asJSON), &answer); err != nil || code != exitFailed || len(answer.Alerts) != 1 || answer.Alerts[0].OK {
		t.Errorf("as JSON: %d %v %s", code, err, asJSON)
	}
	if strings.Contains(stdout+asJSON, "hidden-part") {
		t.Errorf("the address is a credential, and is shown:\n%s", stdout)
	}
	if code, _, stderr := s.afar(strings.Repeat("wrong-", 8), "alert", "test"); code != exitFailed || !strings.Contains(stderr, "no door") {
		t.Errorf("with a wrong token: %d %s", code, stderr)
	}
	s.stop()
	if code, _, stderr := s.command("alert", "test"); code != exitFailed || !strings.Contains(stderr, "this needs a running server") {
		t.Errorf("without a server: %d %s", code, stderr)
	}
	if code, _, stderr := s.command("alert"); code != exitUsage || !strings.Contains(stderr, "say keyshield alert test") {
		t.Errorf("alert alone: %d %s", code, stderr)
	}
}

func TestAlertTestWithoutReceiversSaysHow(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	code, stdout, stderr := s.command("alert", "test")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "nobody is told") || !strings.Contains(stderr, "ALERT_SLACK_URL=") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}
