package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// sdkHeaders are those that openai-node and a tracing tool send of themselves.
const sdkHeaders = "authorization,content-type,traceparent,x-request-id,x-stainless-arch,x-stainless-async,x-stainless-custom-poll-interval," +
	"x-stainless-helper-method,x-stainless-lang,x-stainless-os,x-stainless-package-version,x-stainless-poll-helper,x-stainless-raw-response," +
	"x-stainless-read-timeout,x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout"

// preflight asks as a browser does before a POST of JSON: without a token.
func (r *rig) preflight(path, from, method, headers string) reply {
	r.t.Helper()
	req := r.request(path, "", "Authorization:", "Content-Type:", "Origin:"+from, "Access-Control-Request-Method:"+method, "Access-Control-Request-Headers:"+headers)
	req.Method, req.Body, req.ContentLength = http.MethodOptions, nil, 0
	return r.do(req)
}

// listed splits a header that is a list, whatever the case of its entries.
func listed(got reply, name string) (all []string) {
	for _, value := range got.header.Values(name) {
		for entry := range strings.SplitSeq(strings.ToLower(value), ",") {
			all = append(all, strings.TrimSpace(entry))
		}
	}
	slices.Sort(all)
	return all
}

// allowedOrigins are of every kind that there may be.
func allowedOrigins() []string {
	return []string{
		origin, "https://app.example.com:8443", "http://localhost:5173", "http://[::1]:3000", "https://xn--mnchen-3ya.example",
		"capacitor://localhost", "ionic://localhost", "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
	}
}

func startForBrowsers(t *testing.T, extra ...string) *rig {
	return start(t, append([]string{"ALLOWED_ORIGINS=" + strings.Join(allowedOrigins(), ",")}, extra...)...)
}

func TestAnAllowedOriginMayReadEveryAnswer(t *testing.T) {
	t.Parallel()
	r := startForBrowsers(t)
	exposed := []string{
		"ratelimit-limit", "ratelimit-policy", "ratelimit-remaining", "ratelimit-reset", "retry-after", "retry-after-ms",
		"x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens",
		"x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "x-request-id", "x-should-retry", "x-vercel-ai-ui-message-stream",
	}
	for _, from := range allowedOrigins() {
		for name, got := range map[string]reply{
			"JSON":       r.ask("hi", "Origin:"+from),
			"a stream":   r.ask("hi", "Origin:"+from, "Accept: text/event-stream"),
			"plain text": r.ask("hi", "Origin:"+from, "Accept: text/plain"),
			"401":        r.ask("hi", "Origin:"+from, "Authorization:"),
			"403":        r.ask("hi", "Origin:"+from, "Authorization: Bearer x"),
			"400":        r.ask("", "Origin:"+from),
			"404":        r.post("/nothing", "", "Origin:"+from),
			"405":        r.get("/api/ai/chat", "Origin:"+from),
			"429":        r.ask("[[sim status=429]]", "Origin:"+from),
			"502":        r.ask("[[sim status=500]]", "Origin:"+from),
			"v1":         r.get("/v1/models", "Origin:"+from),
			"openapi":    r.get("/openapi.yaml", "Origin:"+from),
		} {
			if said := got.header.Values("Access-Control-Allow-Origin"); len(said) != 1 || said[0] != from {
				t.Errorf("%s from %s: Access-Control-Allow-Origin is %q", name, from, said)
			}
			if said := listed(got, "Access-Control-Expose-Headers"); !slices.Equal(said, exposed) {
				t.Errorf("%s from %s: exposed are %q, want %q, spelt out: * is not enough for every browser", name, from, said, exposed)
			}
			if vary := listed(got, "Vary"); !slices.Contains(vary, "origin") {
				t.Errorf("%s from %s: Vary is %q: a cache would mix origins", name, from, vary)
			}
			if said := got.header.Get("Access-Control-Allow-Credentials"); said != "" {
				t.Errorf("%s from %s: Access-Control-Allow-Credentials is %q: there are no cookies here", name, from, said)
			}
		}
	}
}

// TestPreflightsPassBeforeAuthenticationAndLimits: browsers send them without a
// token, and one for each request.
func TestPreflightsPassBeforeAuthenticationAndLimits(t *testing.T) {
	t.Parallel()
	r := startForBrowsers(t, "RATE_LIMIT_IP=1/1h", "RATE_LIMIT_USER=1/1h", "MAX_IN_FLIGHT=1")
	openStream(t, r, "Origin: "+origin) // uses up all three
	for range 30 {
		for _, path := range []string{"/api/generate-text", "/api/ai/chat", "/v1/chat/completions", "/openapi.yaml"} {
			got := r.preflight(path, origin, "POST", sdkHeaders)
			if got.status != http.StatusOK || got.body != "" {
				t.Fatalf("%s: got %d %q, want an empty 200", path, got.status, got.body)
			}
			if said := got.header.Get("RateLimit-Limit"); said != "" {
				t.Fatalf("%s: a preflight is counted: RateLimit-Limit %s", path, said)
			}
		}
	}
}

func TestPreflightsAllowEveryHeader(t *testing.T) {
	t.Parallel()
	r := startForBrowsers(t)
	for _, from := range allowedOrigins() {
		got := r.preflight("/api/ai/chat", from, "POST", sdkHeaders)
		if got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != from {
			t.Errorf("%s: got %d, allowed is %q", from, got.status, got.header.Get("Access-Control-Allow-Origin"))
		}
		if said := listed(got, "Access-Control-Allow-Headers"); !slices.Equal(said, strings.Split(sdkHeaders, ",")) {
			t.Errorf("%s: the allowed headers are %q, want all that were asked for", from, said)
		}
		if said := listed(got, "Access-Control-Allow-Methods"); !slices.Contains(said, "post") {
			t.Errorf("%s: the allowed methods are %q", from, said)
		}
		if said := got.header.Get("Access-Control-Allow-Credentials"); said != "" {
			t.Errorf("%s: Access-Control-Allow-Credentials is %q", from, said)
		}
		for _, want := range []string{"origin", "access-control-request-headers"} {
			if vary := listed(got, "Vary"); !slices.Contains(vary, want) {
				t.Errorf("%s: Vary is %q, want %s in it", from, vary, want)
			}
		}
		onlyPreflight(t, got)
	}
	if got := r.preflight("/api/ai/chat", origin, "POST", ""); got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("without headers to ask for: got %d %v", got.status, got.header)
	}
}

// onlyPreflight: a preflight is one of our answers like any other.
func onlyPreflight(t testing.TB, got reply) {
	t.Helper()
	if got.header.Get("X-Request-Id") == "" || got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a preflight lacks what every answer has: %v", got.header)
	}
}

// TestOriginsThatOnlyLookAlikeAreRefused, preflight included, before anything is
// spent. The CORS library alone would serve the request and leave out a header.
func TestOriginsThatOnlyLookAlikeAreRefused(t *testing.T) {
	t.Parallel()
	r := startForBrowsers(t, "RATE_LIMIT_IP=1/1h")
	for name, from := range map[string]string{
		"another site":           "https://evil.example",
		"null":                   "null",
		"a suffix":               "https://app.example.com.evil.example",
		"a prefix":               "https://evilapp.example.com",
		"a subdomain":            "https://x.app.example.com",
		"the parent":             "https://example.com",
		"another port":           "https://app.example.com:444",
		"the default port":       "https://app.example.com:443",
		"another scheme":         "http://app.example.com",
		"another case":           "https://APP.example.com",
		"another case of scheme": "HTTPS://app.example.com",
		"a slash":                "https://app.example.com/",
		"a path":                 "https://app.example.com/x",
		"a dot":                  "https://app.example.com.",
		"a user":                 "https://app.example.com@evil.example",
		"a list":                 "https://app.example.com https://evil.example",
		"commas":                 "https://app.example.com,https://evil.example",
		"a wildcard":             "*",
		"the capacitor suffix":   "capacitor://localhost.evil.example",
		"capacitor over http":    "http://localhost",
		"another localhost port": "http://localhost:5174",
		"not punycode":           "https://münchen.example",
	} {
		preflight := r.preflight("/api/generate-text", from, "POST", "authorization")
		post := r.ask("hi", "Origin:"+from)
		read := r.get("/openapi.yaml", "Origin:"+from)
		for how, got := range map[string]reply{"preflight": preflight, "POST": post, "GET": read} {
			p := got.wants(t, 403, "origin_not_allowed")
			wantsRefusal(t, name, got, p)
			if p.Error != "This website is not allowed to use this service." {
				t.Errorf("%s, %s: got the words %q", name, how, p.Error)
			}
			for _, header := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Headers", "Access-Control-Expose-Headers", "WWW-Authenticate", "RateLimit-Limit"} {
				if said := got.header.Get(header); said != "" {
					t.Errorf("%s, %s: %s is %q", name, how, header, said)
				}
			}
			if vary := listed(got, "Vary"); !slices.Contains(vary, "origin") {
				t.Errorf("%s, %s: Vary is %q: a cache would give the refusal to everyone", name, how, vary)
			}
		}
	}
	empty := r.request("/api/generate-text", promptBody("hi"))
	empty.Header["Origin"] = []string{""}
	r.do(empty).wants(t, 403, "origin_not_allowed")
	twice := r.request("/api/generate-text", promptBody("hi"))
	twice.Header["Origin"] = []string{origin, origin}
	r.do(twice).wants(t, 403, "origin_not_allowed")
	if calls := r.sim.Requests(); len(calls) > 0 {
		t.Errorf("%d calls reached the provider", len(calls))
	}
	if got := r.ask("hi", "Origin: "+origin); got.status != http.StatusOK {
		t.Errorf("after all that the IP limit has something left: got %d", got.status)
	}
}

// TestWithoutAnOriginTheTokenDecides: curl, servers and mobile apps send none.
func TestWithoutAnOriginTheTokenDecides(t *testing.T) {
	t.Parallel()
	r := start(t, "ALLOWED_ORIGINS=none")
	got := r.ask("hi")
	if got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("got %d %v, want 200 without CORS", got.status, got.header)
	}
	r.ask("hi", "Authorization:").wants(t, 401, "token_missing")
	r.ask("hi", "Origin: "+origin).wants(t, 403, "origin_not_allowed")
	r.ask("hi", "Origin: null").wants(t, 403, "origin_not_allowed")
}

// TestARefusedOriginIsLoggedOnceWithTheLineToAdd.
func TestARefusedOriginIsLoggedOnceWithTheLineToAdd(t *testing.T) {
	t.Parallel()
	r := start(t)
	var last reply
	for range 5 {
		r.ask("hi", "Origin: https://new.example.com")
		last = r.ask("hi", "Origin: http://localhost:5173")
	}
	r.log.request(t, last.header.Get("X-Request-Id"))
	told := map[string]int{}
	for _, line := range r.log.records() {
		if setting, ok := line["line"].(string); ok {
			told[setting]++
		}
	}
	for _, want := range []string{"ALLOWED_ORIGINS=" + origin + ",https://new.example.com", "ALLOWED_ORIGINS=" + origin + ",http://localhost:5173"} {
		if told[want] != 1 {
			t.Errorf("%s is logged %d times, want once in an hour", want, told[want])
		}
	}
}
