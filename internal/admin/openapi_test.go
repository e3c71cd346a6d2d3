package admin_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"

	"keyshield/api"
	"keyshield/internal/admin"
	"keyshield/internal/alert"
	"keyshield/internal/audit"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

func description(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Description)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestDescriptionAndRoutesAgree, in both directions.
func TestDescriptionAndRoutesAgree(t *testing.T) {
	var described []string
	for path, item := range description(t).Paths.Map() {
		for method := range item.Operations() {
			if strings.HasPrefix(path, admin.Prefix) {
				described = append(described, method+" "+path)
			}
		}
	}
	slices.Sort(described)
	if diff := cmp.Diff(slices.Sorted(slices.Values(admin.Routes())), described); diff != "" {
		t.Errorf("api/openapi.yaml (-served +described):\n%s", diff)
	}
}

// conforms asks with the token, and holds question and answer against the
// description.
func (o *office) conforms(router routers.Router, method, path, body string, status int) {
	o.t.Helper()
	url := o.tcp.URL + admin.Prefix + path
	got := send(o.t, method, url, body, "Authorization: Bearer "+token)
	if got.status != status {
		o.t.Errorf("%s %s: %d %s, want %d", method, path, got.status, got.body, status)
	}
	req, err := http.NewRequestWithContext(o.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	route, params, err := router.FindRoute(req)
	if err != nil {
		o.t.Fatalf("%s %s: %v", method, path, err)
	}
	asked := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
	}}
	if err := openapi3filter.ValidateRequest(context.Background(), asked); err != nil && status < 300 {
		o.t.Errorf("%s %s is not as described: %v", method, path, err)
	}
	got.header.Set("X-Request-Id", "of the server around it")
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: asked, Status: got.status, Header: got.header,
		Body: io.NopCloser(bytes.NewReader([]byte(got.body))), Options: asked.Options,
	})
	if err != nil {
		o.t.Errorf("%s %s: the answer %s is not as described: %v", method, path, got.body, err)
	}
}

// TestAnswersAreAsDescribed: every operation, with every member that it can have.
func TestAnswersAreAsDescribed(t *testing.T) {
	for _, kind := range []string{"application/x-ndjson", "application/octet-stream"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder)
	}
	o := openOffice(t)
	router, err := gorillamux.NewRouter(description(t))
	if err != nil {
		t.Fatal(err)
	}
	o.settle(person("ana"), "gpt-6-luna", money.Dollar+1) // an overshoot
	o.settle(person("bob"), "gpt-4.1-mini", 7)
	o.audit.Request(&audit.Record{
		ID: "r", User: "ana", Issuer: "https://id.example", UserKey: person("ana").Key, Plan: "default", IP: "203.0.113.7", Endpoint: "/v1/responses",
		Model: "gpt-6-luna", Status: 502, Outcome: audit.Failed, Code: "upstream_error", Input: 1, Output: 2, Cost: 3, AtCeiling: 4, Took: time.Millisecond,
	}, true)
	at := time.Now()
	o.keys[0].Since, o.keys[0].LastUsed, o.keys[0].QuarantinedAt, o.keys[0].Why = at, at, at, "x"
	o.state = admin.State{Breaker: "half-open", Requests: map[string]int64{"ok": 1}}
	o.receivers.results = []alert.Result{{Receiver: "slack", Address: "hooks.example", Took: time.Millisecond}}
	o.receivers.states = []alert.ReceiverState{{Name: "slack", Address: "hooks.example", Failing: at, Error: "x", LastSent: at, Pending: 1}}

	o.conforms(router, "POST", "disable", `{"user":"bob","for":"1h","why":"drill"}`, 200)
	o.conforms(router, "POST", "disable", `{"everything":true}`, 200)
	for _, path := range []string{
		"overview", "usage", "usage?by=user&by=model&by=hour&since=24h&user=ana&top=1", "users", "users?search=a&sort=id&desc=true&offset=0&limit=1",
		"users/ana", "audit", "audit?limit=1&kind=request&user=ana", "audit/export", "audit/verify?anchor=1:" + strings.Repeat("0", 64),
		"keys", "switches", "settings", "whoami", "backup", "reconcile",
	} {
		o.conforms(router, "GET", path, "", 200)
	}
	o.conforms(router, "POST", "enable", `{"everything":true,"why":"over"}`, 200)
	o.conforms(router, "POST", "enable", `{"user":"ana"}`, 200)
	now := time.Now().UTC().Format(time.RFC3339)
	o.conforms(router, "POST", "seed", `{"at":"`+now+`","month_nanousd":8000000000,"day_nanousd":2000000000}`, 200)
	o.conforms(router, "GET", "usage", "", 200)
	o.conforms(router, "POST", "reconcile", `{"from":"2026-11-01T00:00:00Z","to":"2026-11-21T00:00:00Z","ours_nanousd":1,"theirs_nanousd":9,"tolerance_nanousd":2,"days":[{"day":"2026-11-01","ours_nanousd":1,"theirs_nanousd":9}]}`, 200)
	o.conforms(router, "GET", "reconcile", "", 200)
	o.conforms(router, "POST", "keys/reload", "", 200)
	o.conforms(router, "POST", "alerts/test", "{}", 200)
	o.conforms(router, "POST", "session", `{"token":"`+token+`"}`, 200)
	o.conforms(router, "DELETE", "session", "", 204)

	o.conforms(router, "GET", "users/nobody", "", 404)
	o.conforms(router, "GET", "usage?by=colour", "", 400)
	o.conforms(router, "POST", "disable", `{}`, 400)
	o.settle(ledger.User{Key: "another", Issuer: "https://two.example", ID: "bob"}, "gpt-6-luna", 7)
	o.conforms(router, "POST", "disable", `{"user":"bob"}`, 409)
	o.conforms(router, "POST", "enable", `{"user":"nobody"}`, 404)
	o.conforms(router, "POST", "seed", `{"at":"`+now+`","month_nanousd":1}`, 409)
	o.conforms(router, "POST", "enable", `{"why":"`+strings.Repeat("x", 64<<10)+`"}`, 413)
	if err := o.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	o.conforms(router, "GET", "usage", "", 503)
}

// TestEveryCodeOfARefusalIsDescribed.
func TestEveryCodeOfARefusalIsDescribed(t *testing.T) {
	var told strings.Builder
	for name, r := range description(t).Components.Responses {
		if strings.HasPrefix(name, "Operator") {
			told.WriteString(*r.Value.Description)
		}
	}
	for _, code := range []string{
		"invalid_request", "invalid_json", "not_found", "no_such_user", "no_audit_log", "no_such_model", "not_stopped", "issuer_needed", "request_timeout", "backup_runs", "audit_is_read", "several_users",
		"fixed_keys", "counted_more", "body_too_large", "unsupported_media_type", "rate_limited", "internal", "damaged", admin.CodeUnreadable, "keys_unchanged", "unavailable",
	} {
		if !strings.Contains(told.String(), code) {
			t.Errorf("%s is described nowhere", code)
		}
	}
}

// TestEveryRefusalIsDescribedWhereItCanOccur.
func TestEveryRefusalIsDescribedWhereItCanOccur(t *testing.T) {
	const read, write = "200 400 404 429 500", "200 400 404 408 413 415 429 500"
	wants := map[string]string{
		"GET overview": read + " 503", "GET usage": read + " 503", "GET users": read + " 503", "GET audit": read + " 503", "GET switches": read + " 503",
		"GET users/{name}": "200 400 404 409 429 500 503", "GET audit/export": "200 400 404 409 429 500 503", "GET backup": "200 400 404 409 429 500 503",
		"GET audit/verify": "200 400 404 409 429 500",
		"GET keys":         read, "GET settings": read, "GET whoami": read, "GET reconcile": read,
		"POST disable": "200 400 404 408 409 413 415 429 500 503", "POST enable": "200 400 404 408 409 413 415 429 500 503", "POST reconcile": write, "POST alerts/test": write,
		"POST keys/reload": "200 400 404 408 409 413 415 429 500 502", "POST seed": "200 400 404 408 409 413 415 429 500 503",
		"POST session": "200 404 429 500", "DELETE session": "204 404 429 500",
	}
	doc := description(t)
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			short, ours := strings.CutPrefix(path, admin.Prefix)
			if !ours {
				continue
			}
			name := method + " " + short
			if got := strings.Join(slices.Sorted(maps.Keys(o.Responses.Map())), " "); got != wants[name] {
				t.Errorf("%s describes %s, want %s", name, got, wants[name])
			}
			if open := len(*o.Security) == 0; open != (name == "POST session") || !slices.Equal(o.Tags, []string{"operator"}) {
				t.Errorf("%s: open to everybody is %t, the tags are %v", name, open, o.Tags)
			}
			for status, response := range o.Responses.Map() {
				if status >= "400" && !strings.HasPrefix(response.Ref, "#/components/responses/Operator") {
					t.Errorf("%s: %s is in the shape of %s", name, status, response.Ref)
				}
			}
		}
	}
	for name, response := range doc.Components.Responses {
		content := response.Value.Content["application/json"]
		if strings.HasPrefix(name, "Operator") && (content == nil || content.Schema.Ref != "#/components/schemas/OperatorError" || response.Value.Headers["X-Request-Id"] == nil) {
			t.Errorf("the response %s is no OperatorError with an X-Request-Id", name)
		}
	}
}
