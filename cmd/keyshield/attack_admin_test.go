package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
)

// probes are what scanners ask of every server, and other spellings of the
// operator's own addresses.
func probes() []string {
	return []string{
		"/admin", "/admin/", "/admin/index.html", "/admin/login", "/admin/api", "/admin/api/", "/admin/api/overview/", "/admin/api/users/ana/", "/admin/api/nothing",
		"//admin", "//admin/", "//admin/api/overview", "/admin//api/overview", "/./admin/api/overview", "/admin/./api/overview", "/x/../admin/api/overview", "/livez/../admin/api/overview", "/livez/..;/admin/api/overview",
		"/admin/..;/", "/admin/..;/metrics", "/admin/;/api/overview", "/admin;x/api/overview", "/;/admin/api/overview", "/admin/api/..%2f..%2fmetrics", "/admin/../metrics", "/admin/%2e%2e/metrics",
		"/ADMIN", "/Admin/", "/ADMIN/api/overview", "/admin/API/overview", "/admin/api/OVERVIEW", "/METRICS", "/Metrics",
		"/%61dmin/", "/%2561dmin/", "/admin%2fapi%2foverview", "/admin%2Fapi/overview", "/%2fadmin/", "/%2e/admin/", "/admin%00/", "/admin%20/", "/admin%09/", "/admin%0a/", "/admin\\api\\overview", "/admin/api/overview%00.png", "/admin/api/overview.json", "/admin/api/overview;.css",
		"/metrics/", "/metrics/x", "//metrics", "/metrics;x", "/metrics%2f", "/%6detrics", "/metrics.txt", "/metrics?format=prometheus", "/api/metrics", "/actuator/prometheus", "/prometheus", "/federate",
		"/.env", "/.env.local", "/.env.production", "/.git/HEAD", "/.git/config", "/.svn/entries", "/.DS_Store", "/.aws/credentials", "/.ssh/id_rsa", "/.well-known/security.txt", "/.htpasswd",
		"/actuator", "/actuator/env", "/actuator/heapdump", "/wp-login.php", "/wp-admin/", "/xmlrpc.php", "/phpmyadmin/", "/phpinfo.php", "/server-status", "/cgi-bin/test", "/console", "/manager/html", "/solr/", "/jenkins/",
		"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/debug/requests", "/swagger.json", "/v2/api-docs", "/openapi.json", "/graphql", "/api/admin", "/api/keys", "/api/users", "/api/config", "/config.json", "/backup.zip", "/ledger.db", "/data/ledger.db", "/data/audit/", "/operator.sock",
	}
}

// varying are the lines of an answer that differ from one time to the next.
var varying = regexp.MustCompile(`(?m)^(X-Request-Id|Date|Ratelimit-Remaining|Ratelimit-Reset): .*\r\n|"request_id":"[^"]*"`)

// heard is all that a server answers, byte for byte but for what varies.
func (r *rig) heard(raw string) string {
	r.t.Helper()
	c := r.connect()
	defer c.Close()
	go io.WriteString(c, raw)
	all, err := io.ReadAll(c)
	if err != nil {
		r.t.Errorf("%.80q: %v", raw, err)
	}
	return varying.ReplaceAllString(string(all), "")
}

// raw is a request that ends its connection. A proxy says that it is from there.
func raw(method, path, from, body string, headers ...string) string {
	lines := append([]string{method + " " + path + " HTTP/1.1", "Host: x", "Connection: close", "X-Forwarded-For: " + from}, headers...)
	if body != "" {
		lines = append(lines, "Content-Type: application/json", "Content-Length: "+strconv.Itoa(len(body)))
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// address is another one for each n.
func address(n int) string { return fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255) }

// TestProbesFindNothing, with a door and without: the very same as any address that
// there is not.
func TestProbesFindNothing(t *testing.T) {
	t.Parallel()
	if n := len(probes()); n < 47 {
		t.Errorf("only %d probes", n)
	}
	shut := target(t, "TRUSTED_PROXY=1")
	open := operate(t, "TRUSTED_PROXY=1", "LOG_LEVEL=debug")
	for _, r := range []*rig{shut, open.rig} {
		nothing := r.heard(raw("GET", "/nowhere", address(1), ""))
		if !strings.HasPrefix(nothing, "HTTP/1.1 404 ") {
			t.Fatalf("what is nowhere answers %s", nothing)
		}
		for i, path := range probes() {
			if got := r.heard(raw("GET", path, address(i), "")); got != nothing && !strings.HasPrefix(got, "HTTP/1.1 400 Bad Request\r\n") {
				t.Errorf("%s (-nowhere +there):\n%s", path, cmp.Diff(nothing, got))
			}
		}
	}
	same := []string{"/admin/", "/%61dmin/", "/metrics?format=prometheus", "/%6detrics"} // as what there is (RFC 3986 §6.2.2.2)
	for i, path := range probes() {                                                      // with the token, too, no detour leads there
		got := open.heard(raw("GET", path, address(i), "", "Authorization: Bearer "+adminToken))
		if strings.HasPrefix(got, "HTTP/1.1 200") && !slices.Contains(same, path) {
			t.Errorf("%s with the token: %.200s", path, got)
		}
	}
}

// TestDrillTheDoorCannotBeSeen: whoever has no token, or a wrong one, hears byte for byte
// what they hear of a server that has no door, and of an address that there is not.
func TestDrillTheDoorCannotBeSeen(t *testing.T) {
	t.Parallel()
	shut := target(t, "TRUSTED_PROXY=1")
	open := operate(t, "TRUSTED_PROXY=1", "LOG_LEVEL=debug")
	guess := strings.Repeat("x", len(adminToken))
	tokens := []string{"X-Nothing: 1", "Authorization: Bearer " + guess, "Authorization: Bearer " + shut.token("ana")}
	origins := []string{"X-Nothing: 1", "Origin: " + origin, "Origin: https://evil.example", "Origin: " + origin + "\r\nAccess-Control-Request-Method: GET"}
	n := 0
	hear := func(r *rig, method, path, token, from, body string) string {
		n++
		return r.heard(raw(method, path, address(n), body, token, from))
	}
	for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"} {
		for _, from := range origins {
			for _, token := range tokens {
				body := ""
				if method == "POST" {
					body = `{"token":"` + guess + `"}`
				}
				nothing := hear(shut, method, "/nowhere", token, from, body)
				for _, path := range []string{"/admin", "/admin/", "/metrics", "/admin/api/overview", "/admin/api/session", "/admin/api/disable"} {
					for name, r := range map[string]*rig{"shut": shut, "open": open.rig} {
						if got := hear(r, method, path, token, from, body); got != nothing {
							t.Errorf("%s %s with %.25q and %.40q, the door %s (-nowhere +there):\n%s", method, path, token, from, name, cmp.Diff(nothing, got))
						}
					}
				}
			}
		}
	}
	for _, operation := range admin.Routes() { // each of them, in its own method
		method, path, _ := strings.Cut(operation, " ")
		path = strings.ReplaceAll(path, "{name}", "ana")
		for _, token := range tokens {
			nothing := hear(shut, method, "/nowhere", token, "X-Nothing: 1", "")
			if got := hear(open.rig, method, path, token, "X-Nothing: 1", ""); got != nothing {
				t.Errorf("%s with %.25q (-nowhere +there):\n%s", operation, token, cmp.Diff(nothing, got))
			}
		}
	}
	if acts := audits(t, open.data, audit.Query{Kind: audit.Operator}); len(acts) > 0 {
		t.Errorf("strangers have changed something: %+v", acts)
	}
}

// TestStrangersSeeThePageAndNothingBehindIt: browsers get the dashboard's files, to
// sign in there. Whoever says that they are one gets no more than those.
func TestStrangersSeeThePageAndNothingBehindIt(t *testing.T) {
	t.Parallel()
	shut := target(t, "TRUSTED_PROXY=1")
	o := operate(t, "TRUSTED_PROXY=1")
	o.ask("hi", "Authorization: Bearer "+o.token("somebody-known")).wants200(t, jsonForm)
	const browser = "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none"
	nothing := shut.heard(raw("GET", "/nowhere", address(1), "", browser))
	for i, path := range append(probes(), "/metrics", "/admin/api/overview", "/admin/api/users", "/admin/api/audit/export", "/admin/api/backup", "/admin/nothing", "/admin/assets/", "/admin/../metrics") {
		if got := shut.heard(raw("GET", path, address(i), "", browser)); got != nothing && !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("without a token in the settings there is %s: %.300s", path, got)
		}
		got := o.heard(raw("GET", path, address(i), "", browser))
		page := slices.Contains([]string{"/admin", "/admin/", "/%61dmin/"}, path)
		if page == strings.HasPrefix(got, "HTTP/1.1 404 ") || !page && got != nothing && !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%s for a browser: %.300s", path, got)
		}
		if page && (strings.Contains(got, "somebody-known") || strings.Contains(got, adminToken) || !strings.Contains(got, "Content-Security-Policy: default-src 'none'")) {
			t.Errorf("%s tells strangers something: %.2000s", path, got)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if got := o.heard(raw(method, "/admin/", address(2), "", browser)); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
			t.Errorf("%s /admin/ by a browser: %.300s", method, got)
		}
	}
}

// TestOnlyTheTokenInItsHeaderOpens: not a user's, not in a query or a cookie, not
// beside another.
func TestOnlyTheTokenInItsHeaderOpens(t *testing.T) {
	t.Parallel()
	o := operate(t, "TRUSTED_PROXY=1")
	bearer := "Authorization: Bearer " + adminToken
	query := "?token=" + adminToken + "&access_token=" + adminToken + "&admin_token=" + adminToken
	for i, c := range []struct{ query, headers string }{
		{"", "Authorization: Bearer " + o.token("ana")}, {"", "Authorization: Bearer " + o.token("admin")}, {"", "Authorization: Bearer " + jwtSecret[:len(jwtSecret)-1]},
		{"", bearer + "\r\n" + bearer}, {"", bearer + "\r\nAuthorization: Bearer x"}, {"", "Authorization: Bearer x\r\n" + bearer}, {"", bearer + ", Bearer x"},
		{"", "Authorization: " + adminToken}, {"", "Authorization: Basic " + adminToken}, {"", "Authorization: Token " + adminToken}, {"", "Authorization: Bearer: " + adminToken}, {"", "Authorization: Bearer  " + adminToken}, {"", "Authorization: Bearer \"" + adminToken + "\""},
		{"", "Authorization: Bearer " + strings.ToUpper(adminToken)}, {"", "Authorization: Bearer " + adminToken[:len(adminToken)-1]}, {"", "Authorization: Bearer " + adminToken + "x"},
		{query, "X-Nothing: 1"}, {"", "Cookie: token=" + adminToken + "; keyshield=" + adminToken + "; __Secure-keyshield=" + adminToken},
		{"", "X-Admin-Token: " + adminToken}, {"", "X-Api-Key: " + adminToken}, {"", "Proxy-Authorization: Bearer " + adminToken}, {"", "X-Forwarded-User: admin\r\nX-Original-URL: /admin/api/overview\r\nX-HTTP-Method-Override: GET"},
	} {
		for _, path := range []string{"/metrics", "/admin/api/overview", "/admin/api/keys"} {
			if got := o.heard(raw("GET", path+c.query, address(i), "", c.headers)); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
				t.Errorf("%s with %d: %.300s", path, i, got)
			}
		}
	}
	// RFC 9110 §11.1: a scheme is a scheme in any case.
	if got := o.heard(raw("GET", "/admin/api/overview", address(99), "", "authorization: bearer "+adminToken)); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("the right token, with the scheme in small letters: %.300s", got)
	}
}

// TestWrongTokensAreLimited: ten a minute and address, and the right one never is.
func TestWrongTokensAreLimited(t *testing.T) {
	t.Parallel()
	o := operate(t, "TRUSTED_PROXY=1", "RATE_LIMIT_IP=3/1h", "MAX_IN_FLIGHT=1")
	try := func(token, from string) reply {
		return o.visit("GET", "/admin/api/switches", "", "Authorization: Bearer "+token, "X-Forwarded-For: "+from)
	}
	crowd := func(n int, addresses ...string) (refused reply) {
		for i := range n {
			if refused = try(fmt.Sprint("guess-", i), addresses[i%len(addresses)]); refused.status == 429 {
				return refused
			}
		}
		return refused
	}
	for name, from := range map[string][]string{"one address": {"203.0.113.1"}, "one subscriber": {"2001:db8:0:7::1", "2001:db8:0:7::2", "2001:db8:0:7:ffff::3"}} {
		if got := crowd(10, from...); got.status != 404 {
			t.Errorf("%s: the tenth wrong token gets %d", name, got.status)
		}
		got := crowd(60, from...) // a minute may turn in between
		p := got.wants(t, 429, "rate_limited")
		if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 1 || wait > 120 || !strings.Contains(p.Error, "Too many requests from this IP") {
			t.Errorf("%s: told to wait %q: %q", name, got.header.Get("Retry-After"), p.Error)
		}
		if got := try(adminToken, from[0]); got.status != 200 {
			t.Errorf("%s: the right token then gets %d %s", name, got.status, got.body)
		}
	}
	if got := try("guess", "2001:db8:0:8::1"); got.status != 404 {
		t.Errorf("another subscriber gets %d", got.status)
	}
	// A full server, and an address whose requests are used up.
	openStream(t, o.rig)
	o.ask("hi", "X-Forwarded-For: 203.0.113.5").wants(t, 503, "overloaded")
	if got := try(adminToken, "203.0.113.5"); got.status != 200 {
		t.Errorf("on a full server the operator gets %d %s", got.status, got.body)
	}
	for range 40 {
		o.visit("GET", "/nowhere", "", "X-Forwarded-For: 203.0.113.6")
	}
	for range 40 {
		if got := try(adminToken, "203.0.113.6"); got.status != 200 {
			t.Fatalf("beyond the limits of an address the operator gets %d %s", got.status, got.body)
		}
	}
}

// TestSignInsAreLimitedAsWell, together with what is tried in a header.
func TestSignInsAreLimitedAsWell(t *testing.T) {
	t.Parallel()
	o := operate(t)
	last := 0
	for i := range 60 {
		if last = o.visit("POST", "/admin/api/session", fmt.Sprintf(`{"token":"guess-%d"}`, i)).status; last == 429 {
			break
		}
	}
	if last != 429 {
		t.Errorf("the last of 60 sign-ins with wrong tokens gets %d", last)
	}
	if got := o.visit("POST", "/admin/api/session", `{"token":"`+adminToken+`"}`); got.status != 200 {
		t.Errorf("the right token then gets %d %s", got.status, got.body)
	}
}

// TestDrillTheTimeTellsNothingOfTheToken: how long it takes does not depend on how much
// of a token is right. What is measured is interleaved, so that a busy machine slows
// all alike, and only what would show from afar counts.
func TestDrillTheTimeTellsNothingOfTheToken(t *testing.T) {
	t.Parallel()
	o := operate(t, "TRUSTED_PROXY=1", "LOG_LEVEL=error", "HOST=127.0.0.1", "PORT="+freePort(t))
	half := len(adminToken) / 2
	kinds := []string{
		"", strings.Repeat("x", len(adminToken)), "x", strings.Repeat("x", 4*len(adminToken)),
		adminToken[:half] + strings.Repeat("x", len(adminToken)-half), adminToken[:len(adminToken)-1] + "x",
	}
	took := make([][]time.Duration, len(kinds))
	for i := range 150 {
		for k, token := range kinds {
			req := o.visiting("GET", "/admin/api/overview", "", "X-Forwarded-For: "+address(i*len(kinds)+k))
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			began := time.Now()
			if got := o.doOnce(req); got.status != 404 {
				t.Fatalf("%d: %d", k, got.status)
			}
			took[k] = append(took[k], time.Since(began))
		}
	}
	middle := func(k int) time.Duration { return slices.Sorted(slices.Values(took[k]))[len(took[k])/2] }
	for k := range kinds {
		if apart := (middle(k) - middle(1)).Abs(); apart > middle(1)/2+200*time.Microsecond {
			t.Errorf("kind %d takes %v, a wrong token of the right length %v", k, middle(k), middle(1))
		}
	}
}

// TestSessionsAreForOurOwnPages: the cookie's flags, no way in from other sites, and
// the end of it.
func TestSessionsAreForOurOwnPages(t *testing.T) {
	t.Parallel()
	o := operate(t, "PUBLIC_URL=https://api.example.com", "ALLOWED_ORIGINS=https://app.example.com")
	in := `{"token":"` + adminToken + `"}`
	for _, from := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example", "Origin: https://app.example.com", "Origin: null"} {
		if got := o.visit("POST", "/admin/api/session", in, from); got.status < 400 || got.header.Get("Set-Cookie") != "" {
			t.Errorf("signed in from elsewhere, with %s: %d", from, got.status)
		}
	}
	got := o.visit("POST", "/admin/api/session", in, "Sec-Fetch-Site: same-origin", "Origin: https://api.example.com")
	cookies := (&http.Response{Header: got.header}).Cookies()
	if got.status != 200 || len(cookies) != 1 {
		t.Fatalf("signing in: %d %s, %d cookies", got.status, got.body, len(cookies))
	}
	c := cookies[0]
	if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/admin" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Secure-") {
		t.Errorf("the cookie is %s", got.header.Get("Set-Cookie"))
	}
	if strings.Contains(got.body+got.header.Get("Set-Cookie"), adminToken) || strings.Contains(got.body, c.Value) {
		t.Errorf("a script could read %s", got.body)
	}
	with := "Cookie: " + c.Name + "=" + c.Value
	try := func(method, path, body string, headers ...string) int {
		return o.visit(method, "/admin/api/"+path, body, append(headers, with)...).status
	}
	if try("GET", "overview", "") != 200 || try("GET", "overview", "", "Sec-Fetch-Site: same-origin") != 200 {
		t.Error("the session opens nothing")
	}
	for _, from := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example", "Origin: https://app.example.com", "Origin: null"} {
		for _, kind := range []string{jsonForm, "text/plain"} {
			if status := try("POST", "disable", `{"everything":true}`, from, "Content-Type: "+kind); status < 400 {
				t.Errorf("with %s as %s everything was stopped: %d", from, kind, status)
			}
		}
		if status := try("GET", "users", "", from); status < 400 {
			t.Errorf("with %s the users are shown: %d", from, status)
		}
	}
	o.ask("hi").wants200(t, jsonForm)
	if status := try("DELETE", "session", "", "Sec-Fetch-Site: same-origin"); status != http.StatusNoContent {
		t.Errorf("signing out: %d", status)
	}
	if status := try("GET", "overview", ""); status != 404 {
		t.Errorf("the session outlives signing out: %d", status)
	}
	if strings.Contains(o.log.String(), c.Value) || strings.Contains(allOf(t, o.data+"/"+audit.Folder), adminToken) {
		t.Error("the log holds the session, or the audit log the token")
	}
}

// TestGuessesAtTheDoorAreCounted: the answer does not tell a wrong token from an address
// that there is not; the log does.
func TestGuessesAtTheDoorAreCounted(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := start(t, "DATA_DIR="+data, "ADMIN_TOKEN="+adminToken, "TRUSTED_PROXY=1")
	r.heard(raw("GET", "/admin/api/overview", address(1), "", "Authorization: Bearer "+adminToken[1:]))
	r.heard(raw("POST", "/admin/api/session", address(2), `{"token":"guess"}`))
	for range 12 { // two of them too many
		r.heard(raw("GET", "/metrics", address(3), "", "Authorization: Bearer guess"))
	}
	for i := range 12 { // a page that anybody may see, if they show no token
		if got := r.heard(raw("GET", "/admin/", address(7), "", "Authorization: Bearer guess", "Sec-Fetch-Dest: document")); strings.Contains(got, " 429 ") != (i >= 10) || strings.Contains(got, " 200 ") {
			t.Errorf("guess %d at the page: %.60q", i+1, got)
		}
	}
	r.heard(raw("GET", "/admin/api/overview", address(4), ""))
	r.heard(raw("GET", "/nowhere", address(5), "", "Authorization: Bearer guess"))
	r.heard(raw("GET", "/admin/api/overview", address(6), "", "Authorization: Bearer "+adminToken))
	r.stop()
	counted := map[string]int64{}
	for _, rec := range audits(t, data, audit.Query{}) {
		if rec.Kind == audit.Refused {
			counted[rec.Code] += rec.Count
		}
	}
	if diff := cmp.Diff(map[string]int64{"admin_token_wrong": 26, "not_found": 2}, counted); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
}
