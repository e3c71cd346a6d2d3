package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/money"
	"keyshield/internal/upstream"
)

// TestDrillAlerts provokes what can be, by requests and by commands: each event
// arrives once at Slack, at a webhook, where its signature is right, and by e-mail. The
// other drills do the same for keys, and for a disk that is full.
func TestDrillAlerts(t *testing.T) {
	t.Parallel()
	d := openDrill(t, "BUDGET_USER_DAY=0.001", "MAX_OUTPUT_TOKENS_V1=150", "BUDGET_SOFT=50%,100%", "MODELS=gpt-6-luna,gpt-3.5-turbo", "DATA_DIR="+oldKeyIn(t))
	d.told.wait("key_old", 1)
	d.told.wait("model_retiring", 1)

	d.spends("spender")
	d.told.wait("cap_reached", 1)
	for range 40 { // more than a newcomer does in a minute
		if said := d.mayAsk(d.caller("keen", 1)); said != "ok" {
			t.Fatalf("keen gets %q", said)
		}
	}
	d.told.wait("spike", 1)

	for range 3 { // there is money left here, and none at OpenAI
		if said := d.askOnce(d.caller("poor", 2), drillForms()[0], "[[sim quota]] hello"); said != "503 unavailable" {
			t.Errorf("OpenAI's own limit comes to %q", said)
		}
	}
	d.told.wait("provider_quota", 1)
	if said := d.ok("audit", "--summary"); !strings.Contains(said, "insufficient_quota") {
		t.Errorf("the summary does not say that OpenAI's own limit is reached:\n%s", said)
	}
	if said := d.ask(d.caller("rich", 2), drillForms()[0], "hello"); said != "ok" {
		t.Errorf("afterwards: %q", said)
	}
	if said := d.ok("audit", "--summary"); strings.Contains(said, "insufficient_quota") {
		t.Errorf("the summary still says that OpenAI's own limit is reached:\n%s", said)
	}

	why := "the token " + d.env["ADMIN_TOKEN"] + " was in a \"log\"\r\nof <https://evil.example|theirs>"
	d.ok("disable", "--user", "eve|<!everyone>", "--why", why)
	d.ok("enable", "--user", "eve|<!everyone>", "--why", why)
	d.ok("disable", "--everything", "--for", "1h", "--why", why)
	d.ok("enable", "--everything")
	if said := d.ok("alert", "test"); strings.Count(said, "ok") < 3 {
		t.Errorf("keyshield alert test says\n%s", said)
	}
	d.compares(money.Dollar)
	d.compares(0)

	for i := range 3 { // calls that cost more than they can; last, since it stops the model
		if said := d.ask(d.caller(fmt.Sprint("over-", i), 10+i), drillForms()[0], "[[sim extra_tokens=300]] hello"); said != "ok" {
			t.Errorf("a call that costs more than its ceiling came to %q", said)
		}
	}
	d.told.wait("model_stopped", 1)
	d.over(map[string]int{
		"key_old": 1, "model_retiring": 1, "soft_limit": 1, "cap_reached": 1,
		"user_disabled": 1 + 3, "user_enabled": 1, "service_disabled": 1, "service_enabled": 1, "test": 1,
		"key_used_elsewhere": 1, "reconciled": 1, "provider_quota": 1, "overshoot": 3, "model_stopped": 1,
	})
	files, err := filepath.Glob(filepath.Join(d.env["DATA_DIR"], audit.Folder, "*"))
	if err != nil || len(files) == 0 {
		t.Errorf("there is no audit log (%v)", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		d.hides(filepath.Base(file), string(text))
	}
	for _, a := range d.told.of("user_disabled") {
		if strings.ContainsAny(a.Title+a.field("Why"), "\r\n") {
			t.Errorf("a line was smuggled in: %s", a.body)
		}
	}
	if d.told.slackHas("<https://evil") || d.told.slackHas("<!everyone>") {
		t.Error("what a user is called, or a reason, does something in Slack")
	}
}

// oldKeyIn is a DATA_DIR that knows the key for a long time.
func oldKeyIn(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	seen, err := json.Marshal(map[string]time.Time{upstream.Fingerprint(secretOf(canary)): time.Now().Add(-100 * 24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keyAges), seen, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// spends asks until the user's day is used up.
func (d *drill) spends(user string) {
	d.t.Helper()
	for range 30 {
		switch said := d.ask(d.caller(user, 1), drillForms()[0], "[[sim size=600]] tell me everything"); said {
		case "ok":
		case "429 budget_exhausted":
			return
		default:
			d.t.Fatalf("%s gets %q", user, said)
		}
	}
	d.t.Fatalf("the budget of %s has no end", user)
}

// compares reports OpenAI's books, which have so much more than ours.
func (d *drill) compares(more money.USD) {
	d.t.Helper()
	to := time.Now().UTC()
	got, err := d.desk.Reconcile(d.t.Context(), admin.ReconcileReport{
		From: to.Add(-24 * time.Hour), To: to, Ours: nanoUSD(money.Dollar), Theirs: nanoUSD(money.Dollar + more), Tolerance: nanoUSD(money.Dollar / 100),
	})
	if err != nil || (got.Verdict == admin.KeyUsedElsewhere) != (more > 0) {
		d.t.Errorf("with %v more the verdict is %+v (%v)", more, got, err)
	}
}

// TestDrillDeadReceivers: one refuses the connection, one never answers. Nobody waits
// for them, the third gets its own, and they get theirs when they are back, after a
// restart too.
func TestDrillDeadReceivers(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 100), make(chan struct{})
	deaf := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-release
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(deaf.Close)
	letGo := func() { close(release) }
	defer func() { letGo() }()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()

	d := newDrill(t)
	d.simulate()
	alive := map[string]string{"ALERT_SLACK_URL": d.env["ALERT_SLACK_URL"], "ALERT_WEBHOOK_URL": d.env["ALERT_WEBHOOK_URL"]}
	d.env["ALERT_SLACK_URL"], d.env["ALERT_WEBHOOK_URL"] = deaf.URL+"/services/of-the-deaf", "http://"+nobody.Addr().String()
	d.launch()

	d.ok("disable", "--user", "eve", "--why", "drill")
	<-asked
	stop := d.load(20, "hello")
	d.answered(200)
	if counts := stop(); len(counts) != 1 || counts["ok"] < 200 {
		t.Errorf("while a receiver hangs, requests come to %v", counts)
	}
	d.ok("enable", "--user", "eve")
	if !eventually(t, 20*time.Second, func() bool { return d.told.mails() >= 2 }) {
		t.Errorf("of two alerts %d came by e-mail, whose server is well", d.told.mails())
	}
	var failing []string
	if !eventually(t, 20*time.Second, func() bool { failing = d.failing(); return len(failing) == 1 }) || failing[0] != "webhook" {
		t.Errorf("failing are %v, want the webhook, which refuses", failing)
	}
	began := time.Now()
	d.stop()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the end took %v because of a receiver that hangs", took)
	}

	letGo()
	letGo = func() {}
	for name, value := range alive {
		d.env[name] = value
	}
	d.launch()
	d.told.wait("user_disabled", 1)
	d.told.wait("user_enabled", 1)
	d.over(map[string]int{"user_disabled": 1, "user_enabled": 1})
}

// failing are the receivers that do not answer.
func (d *drill) failing() (names []string) {
	d.t.Helper()
	for _, a := range d.overview().Alerts {
		if !a.OK {
			names = append(names, a.Receiver)
		}
		d.hides("the state of "+a.Receiver, fmt.Sprintf("%+v", a))
	}
	return names
}
