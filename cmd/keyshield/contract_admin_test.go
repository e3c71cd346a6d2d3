package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/google/go-cmp/cmp"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/secret"
	"keyshield/internal/upstream"
)

// operation is a question of the operator's, and the status of its answer.
type operation struct {
	route  string // as admin.Routes has it
	path   string // where it differs, below /admin/api/
	body   string
	status int
}

// operatorsQuestions ask for everything there is, in an order in which it makes sense.
func operatorsQuestions() []operation {
	zeros, now := strings.Repeat("0", 64), time.Now().UTC().Format(time.RFC3339)
	return []operation{
		{"GET overview", "", "", 200},
		{"GET usage", "", "", 200},
		{"GET usage", "usage?by=user&by=model&by=hour&since=24h&user=ana&top=1", "", 200},
		{"GET usage", "usage?by=colour", "", 400},
		{"GET users", "", "", 200},
		{"GET users", "users?search=an&sort=id&desc=true&offset=0&limit=1", "", 200},
		{"GET users/{name}", "users/ana", "", 200},
		{"GET users/{name}", "users/nobody", "", 404},
		{"GET audit", "", "", 200},
		{"GET audit", "audit?user=ana&kind=request&outcome=ok&limit=1&from=2026-01-01T00:00:00Z", "", 200},
		{"GET audit", "audit?kind=colour", "", 400},
		{"GET audit/export", "", "", 200},
		{"GET audit/verify", "", "", 200},
		{"GET audit/verify", "audit/verify?anchor=1:" + zeros, "", 200},
		{"GET keys", "", "", 200},
		{"POST keys/reload", "", "{}", 200},
		{"POST keys/reload", "", `{"now":true}`, 400},
		{"POST disable", "", `{"user":"eve","for":"1h","why":"a drill"}`, 200},
		{"POST disable", "", `{}`, 400},
		{"POST disable", "", `{"why":"` + strings.Repeat("x", 64<<10) + `"}`, 413},
		{"GET switches", "", "", 200},
		{"POST enable", "", `{"user":"eve","why":"over"}`, 200},
		{"POST enable", "", `{"user":"eve","model":"gpt-6-luna"}`, 400},
		{"GET settings", "", "", 200},
		{"GET whoami", "", "", 200},
		{"GET backup", "", "", 200},
		{"POST seed", "", `{"at":"` + now + `","month_nanousd":8000000000,"day_nanousd":2000000000,"why":"the first day"}`, 200},
		{"POST seed", "", `{"at":"` + now + `","month_nanousd":1}`, 409},
		{"GET reconcile", "", "", 200},
		{"POST reconcile", "", `{"from":"2026-11-01T00:00:00Z","to":"2026-11-21T00:00:00Z","ours_nanousd":1,"theirs_nanousd":9,"tolerance_nanousd":2,"days":[{"day":"2026-11-01","ours_nanousd":1,"theirs_nanousd":9}]}`, 200},
		{"GET reconcile", "", "", 200},
		{"POST alerts/test", "", "{}", 200},
		{"POST session", "", `{"token":"` + adminToken + `"}`, 200},
		{"DELETE session", "", "", 204},
	}
}

// busyOperated is a server with some past, and everything that an operator can have.
func busyOperated(t *testing.T) *operated {
	t.Helper()
	in := newInbox(t)
	key := newKey()
	s, back := provider(t, key)
	o := withKeys(t, s, back, "OPENAI_API_KEY_FILE="+write(t, t.TempDir(), "key", key), "ALERT_SLACK_URL="+in.address(), "RATE_LIMIT_USER=50/1h", "LOG_LEVEL=debug")
	o.ask("hi").wants200(t, jsonForm)
	o.ask("hi", "Authorization: Bearer "+o.token("bob"), "Accept: text/event-stream")
	o.ask("[[sim fault=cut]]", "Accept: text/event-stream")
	o.ask("hi", "Authorization:").wants(t, 401, "token_missing")
	o.audited(o.ask("").header.Get("X-Request-Id"))
	return o
}

// TestDrillTheOperatorsAnswersAreAsDescribed: every operation that there is, over HTTP
// with the token.
func TestDrillTheOperatorsAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"application/x-ndjson", "application/octet-stream"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder)
	}
	o := busyOperated(t)
	r := hold(t, o.rig)
	var asked []string
	for _, c := range operatorsQuestions() {
		method, path, _ := strings.Cut(c.route, " ")
		asked = append(asked, method+" "+admin.Prefix+path)
		if c.path != "" {
			path = c.path
		}
		req := o.visiting(method, admin.Prefix+path, c.body, "Authorization: Bearer "+adminToken)
		got := o.doOnce(req)
		if got.status != c.status {
			t.Errorf("%s %s: %d %.300s, want %d", method, path, got.status, got.body, c.status)
		}
		if err := described(r.router, o.visiting(method, admin.Prefix+path, c.body), got); err != nil {
			t.Errorf("%s %s: the answer %d %.300s is not as described: %v", method, path, got.status, got.body, err)
		}
		if c.status == 200 || c.status == 204 {
			wantDescribed(t, r, o.visiting(method, admin.Prefix+path, c.body))
		} else if told := got.refusal(t); told.Error == "" || told.Code == "" {
			t.Errorf("%s %s: refused with %s", method, path, got.body)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", admin.ProtocolHeader: admin.Protocol} {
			if got.header.Get(name) != want {
				t.Errorf("%s %s: %s is %q", method, path, name, got.header.Get(name))
			}
		}
	}
	slices.Sort(asked)
	if diff := cmp.Diff(slices.Sorted(slices.Values(admin.Routes())), slices.Compact(asked)); diff != "" {
		t.Errorf("this test asks for others than there are (-served +asked):\n%s", diff)
	}
	var operators []string
	for name := range operations(r.doc) {
		if strings.Contains(name, " "+admin.Prefix) {
			operators = append(operators, name)
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(admin.Routes())), slices.Sorted(slices.Values(operators))); diff != "" {
		t.Errorf("api/openapi.yaml (-served +described):\n%s", diff)
	}
}

// refusal is the shape of what the operator is refused with.
func (r reply) refusal(t testing.TB) (told struct{ Error, Code string }) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &told); err != nil {
		t.Errorf("%d: %v\n%s", r.status, err, r.body)
	}
	return told
}

// wantDescribed holds a question against the description.
func wantDescribed(t *testing.T, r *describedRig, req *http.Request) {
	t.Helper()
	route, params, err := r.router.FindRoute(req)
	if err != nil {
		t.Errorf("%s %s: %v", req.Method, req.URL, err)
		return
	}
	asked := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if err := openapi3filter.ValidateRequest(t.Context(), asked); err != nil {
		t.Errorf("%s %s is not as described: %v", req.Method, req.URL, err)
	}
}

// TestTheOperatorSeesWhatHappened, and no secret.
func TestTheOperatorSeesWhatHappened(t *testing.T) {
	t.Parallel()
	o := busyOperated(t)
	id := o.ask("hi").header.Get("X-Request-Id")
	o.audited(id)

	page := told[admin.AuditPage](o, "audit?id="+id)
	if len(page.Records) != 1 {
		t.Fatalf("the audit log has %d records of %s", len(page.Records), id)
	}
	rec := page.Records[0]
	if rec.User != "ana" || rec.Endpoint != "/api/generate-text" || rec.Model != luna || rec.Outcome != audit.OK || rec.Status != 200 || rec.Input == 0 || rec.Output == 0 || rec.Cost <= 0 || rec.AtCeiling != 0 || rec.Plan == "" || rec.IP != "127.0.0.1" || rec.Took <= 0 || rec.UserKey == "" {
		t.Errorf("the record is %+v", rec)
	}
	refused := told[admin.AuditPage](o, "audit?code=invalid_prompt").Records
	if len(refused) != 1 || refused[0].Outcome != audit.Denied || refused[0].Status != 400 || refused[0].Cost != 0 || refused[0].Model != "" {
		t.Errorf("the refusal is recorded as %+v", refused)
	}
	broken := told[admin.AuditPage](o, "audit?outcome=failed&code=upstream_interrupted").Records
	if len(broken) != 1 || broken[0].AtCeiling <= 0 || broken[0].Cost != 0 {
		t.Errorf("the cut stream is recorded as %+v", broken)
	}
	users := told[admin.UserList](o, "users")
	if users.Total != 2 {
		t.Errorf("%d users, want ana and bob", users.Total)
	}
	var fingerprint string
	for _, k := range told[admin.KeyList](o, "keys").Keys {
		fingerprint = k.Fingerprint
	}
	if fingerprint != upstream.Fingerprint(secret.New(o.keyUsed())) {
		t.Errorf("the key is shown as %q", fingerprint)
	}
	o.secretless(o.keyUsed(), o.token("ana"))
}

// secretless fails if an answer to the operator, or the log, holds one of these.
func (o *operated) secretless(secrets ...string) {
	o.t.Helper()
	var all strings.Builder
	for _, path := range []string{"overview", "usage?by=user", "users", "users/ana", "audit", "audit/export", "keys", "switches", "settings", "whoami", "backup"} {
		all.WriteString(o.admin("GET", path, "").body)
	}
	all.WriteString(o.visit("GET", "/metrics", "", "Authorization: Bearer "+adminToken).body)
	all.WriteString(o.log.String())
	for i, s := range append(secrets, adminToken, jwtSecret, "/hooks/T0") {
		if strings.Contains(all.String(), s) {
			o.t.Errorf("secret %d is shown", i)
		}
	}
}

// TestWhoAmIShowsNoCredential: what it repeats of a request are the lines in which
// proxies say addresses.
func TestWhoAmIShowsNoCredential(t *testing.T) {
	t.Parallel()
	o := operate(t, "TRUSTED_PROXY=1")
	got := o.visit("GET", "/admin/api/whoami", "", "Authorization: Bearer "+adminToken, "Cookie: session=test-cookie", "X-Api-Key: test-other-key", "X-Forwarded-For: 203.0.113.7")
	var me admin.WhoAmI
	if err := json.Unmarshal([]byte(got.body), &me); err != nil {
		t.Fatal(err)
	}
	if me.Address != "203.0.113.7" || me.Peer != "127.0.0.1" || me.TrustedProxy != "1" || len(me.Headers) != 1 {
		t.Errorf("seen as %+v", me)
	}
	if strings.Contains(got.body, "test-") {
		t.Errorf("a credential is repeated: %s", got.body)
	}
}

// TestTheSocketNeedsNoToken, for its file is the door; and a switch that is thrown
// there works here.
func TestTheSocketNeedsNoToken(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := start(t, "DATA_DIR="+data) // no ADMIN_TOKEN
	client, err := callServer(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Disable(t.Context(), admin.DisableRequest{Everything: true, For: "1h"}); err != nil {
		t.Fatal(err)
	}
	within(t, 0, 2*time.Second, func() { r.doOnce(r.request("/api/generate-text", promptBody("hi"))).wants(t, 503, "disabled") })
	if _, err := client.Enable(t.Context(), admin.EnableRequest{Everything: true}); err != nil {
		t.Fatal(err)
	}
	r.ask("hi").wants200(t, jsonForm)
	acts := audits(t, data, audit.Query{Kind: audit.Operator})
	if len(acts) != 2 || acts[0].Action != "disable" || acts[0].Target != "everything" || acts[0].By != "cli" || acts[1].Action != "enable" {
		t.Errorf("the audit log has %+v", acts)
	}
	if got := r.visit("GET", "/admin/api/switches", ""); got.status != 404 {
		t.Errorf("over TCP: %d", got.status)
	}
}
