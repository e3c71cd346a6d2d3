package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
)

// TestDashboardWithoutAServer: it says since when, keeps what it has, and goes on by
// itself.
func TestDashboardWithoutAServer(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.signIn(t, h)
	v.do(t, move{Do: "answer", Address: "**/admin/api/**"}, nil) // with nothing
	v.sees(t, "The server does not answer.")
	if got := v.text(t, "#gone-band"); !strings.Contains(got, "What you see is from ") || !strings.Contains(got, "Trying again.") {
		t.Errorf("the band says %q", got)
	}
	if got := v.text(t, "h1"); got != "Now" {
		t.Errorf("the page is %q: what was there is gone", got)
	}
	v.do(t, move{Do: "unanswer", Address: "**/admin/api/**"}, nil)
	v.do(t, move{Do: "gone", CSS: "#gone-band"}, nil)
	v.quiet(t, noSession)
}

// TestDashboardWithoutASession: somebody else ended it, or time did.
func TestDashboardWithoutASession(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.signIn(t, h)
	v.runs(t, `async () => { await fetch('/admin/api/session', { method: 'DELETE' }) }`, nil, nil)
	v.sees(t, "You were signed out: the session")
	v.do(t, move{Do: "seen", Role: "heading", Name: "Sign in"}, nil)
	v.enter(t, h)
	v.quiet(t, noSession)
}

// TestDashboardSignsOutWhoIsNotThere: after half an hour without a touch, with a
// warning before; a touch keeps the session.
func TestDashboardSignsOutWhoIsNotThere(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.do(t, move{Do: "open", Address: h.url + "/admin/", Clock: true}, nil)
	v.enter(t, h)
	minutes := func(n float64) { v.do(t, move{Do: "forward", By: int(n * 60_000)}, nil) }
	minutes(29.5)
	v.sees(t, "You will be signed out in less than a minute")
	v.do(t, move{Do: "press", Key: "Shift"}, nil)
	minutes(1)
	v.do(t, move{Do: "gone", CSS: "#idle-band"}, nil)
	v.do(t, move{Do: "seen", Role: "heading", Name: "Now"}, nil)
	minutes(30)
	v.sees(t, "nothing was done here for 30 minutes")
	var status int
	if v.runs(t, `async () => (await fetch('/admin/api/overview')).status`, nil, &status); status != http.StatusNotFound {
		t.Errorf("the session still works: %d", status)
	}
	v.quiet(t, noSession)
}

// TestDashboardRestsWhileNobodyLooks: a page in the background asks nothing.
func TestDashboardRestsWhileNobodyLooks(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.signIn(t, h)
	v.do(t, move{Do: "hide", Hidden: true}, nil)
	asks := func(wait time.Duration) (n int) {
		v.quiet(t, noSession)
		v.runs(t, `(ms) => new Promise((done) => setTimeout(done, ms))`, wait.Milliseconds(), nil)
		var report struct{ Asked []string }
		v.do(t, move{Do: "report"}, &report)
		return len(report.Asked)
	}
	asks(time.Second) // what was under way
	if n := asks(5 * time.Second); n != 0 {
		t.Errorf("in the background the page asks %d times in five seconds, want 0", n)
	}
	v.do(t, move{Do: "hide"}, nil)
	if n := asks(5 * time.Second); n < 2 {
		t.Errorf("in sight again it asks %d times in five seconds, want 2 at least", n)
	}
}

// trouble is what the API says on a bad day.
func trouble(o admin.Overview) admin.Overview {
	full := admin.NanoUSD(0)
	o.Ledger = admin.Health{Why: "write /data/ledger.db: no space left on device"}
	o.Audit = admin.Health{Why: "write /data/audit/2026-11-22.jsonl: no space left on device"}
	o.Breaker = "open"
	o.Day.Used, o.Day.Left = *o.Day.Cap, &full
	o.Day.AtCeiling, o.Day.Proven, o.Day.Open, o.Day.Unproven = 9_000_000_000, 39_500_000_000, 1_500_000_000, 7
	o.Keys = []admin.Key{{Fingerprint: "sha256:0badcafe", Source: "OPENAI_API_KEYS", State: "quarantined", Why: "OpenAI answers 401"}}
	o.Alerts = []admin.Alert{{Receiver: "slack", Why: "it answers 404", Failed: 12, Pending: 3}, {Receiver: "email:ops@example.com", Address: "ops@example.com", OK: true, Sent: 4}}
	o.Stopped = []admin.Stop{
		{Everything: true, Since: o.At, By: "watch", Why: "the key is revoked"},
		{Model: "gpt-6-luna", Since: o.At, By: "overshoot", Over: 12_345},
		{Person: admin.Person{ID: "mallory", Key: "m"}, Since: o.At, By: "watch", Why: "200 requests a minute, usually 3"},
	}
	o.Degraded = []string{
		"The ledger cannot be written, and nothing is asked until it can: no space left on device. Look at the disk of DATA_DIR.",
		"No key for OpenAI works, and every request is refused. Make a new one and put it where the others are: keyshield rotate.",
	}
	return o
}

// onABadDay opens *Now* with an API that says trouble.
func (v *visitor) onABadDay(t *testing.T, h *house) {
	t.Helper()
	var o admin.Overview
	h.admin(t, http.MethodGet, "overview", nil, &o)
	body, err := json.Marshal(trouble(o))
	if err != nil {
		t.Fatal(err)
	}
	v.do(t, move{Do: "answer", Address: "**/admin/api/overview", Status: http.StatusOK, Body: string(body)}, nil)
}

// TestDashboardOnABadDay: what is wrong stands on top, in the API's own sentences.
func TestDashboardOnABadDay(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.signIn(t, h)
	v.onABadDay(t, h)
	v.sees(t, "Everything is stopped")
	top := v.text(t, ".notices")
	for _, want := range []string{"The ledger cannot be written", "No key for OpenAI works"} {
		if !strings.Contains(top, want) {
			t.Errorf("on top stands %q, want %q in it", top, want)
		}
	}
	whole := v.text(t, "main")
	for _, want := range []string{"no space left on device", "fails, and is left alone", "1 quarantined", "$9.0000 charged at the ceiling", "$1.5000 held by calls under way", "it answers 404", "mallory", "gpt-6-luna"} {
		if !strings.Contains(whole, want) {
			t.Errorf("%q is not shown:\n%s", want, whole)
		}
	}
	v.do(t, move{Do: "answer", Address: "**/admin/api/alerts/test", Status: http.StatusOK, Body: `{"alerts":[{"receiver":"slack","ok":false,"why":"it answers 404"},{"receiver":"email","ok":true,"took_ms":12}]}`}, nil)
	v.click(t, "button", "Send a test")
	v.sees(t, "1 receiver did not take it: slack (it answers 404)")
	v.quiet(t, noSession)
}

// TestDashboardWhenTheStoreIsDown: a page whose question is refused says why, and
// stays.
func TestDashboardWhenTheStoreIsDown(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.signIn(t, h)
	v.do(t, move{Do: "answer", Address: "**/admin/api/users*", Status: http.StatusServiceUnavailable, Body: `{"error":"the ledger cannot be read: input/output error","code":"unavailable"}`}, nil)
	v.goes(t, "Users")
	v.sees(t, "the ledger cannot be read: input/output error")
	v.do(t, move{Do: "unanswer", Address: "**/admin/api/users*"}, nil)
	v.sees(t, "Nobody has asked anything this month.")
	v.quiet(t, noSession, "/admin/api/users?sort=used_month&desc=true&offset=0&limit=50)")
}
