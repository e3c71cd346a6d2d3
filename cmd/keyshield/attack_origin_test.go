package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// foreign are Origin header lines that name no website on the list, which is
// https://app.example.com alone.
func foreign() []string {
	values := []string{
		"null", "NULL", "", "*", "file://", "about:blank", "https://", "undefined",
		"https://evil.example", "http://app.example.com", "https://app.example.com:443", "https://app.example.com:8443",
		"https://app.example.com.evil.example", "https://evilapp.example.com", "https://x.app.example.com", "https://example.com",
		"https://app.example.com/", "https://app.example.com/path", "https://app.example.com?", "https://app.example.com#",
		"https://APP.example.com", "HTTPS://app.example.com", "https://app.example.com.", "https://app.example.com@evil.example",
		"https://evil.example@app.example.com", "https://app.example.com\\@evil.example", "https://app.example.com%00", "https://app%2eexample.com",
		"https://app.example.com, https://evil.example", "https://evil.example https://app.example.com", "https://app.example.com https://app.example.com",
		"https://аpp.example.com", // the first letter is Cyrillic
		"https://app.example.com\u200b", "\ufeffhttps://app.example.com", "https://app.example.com\xff", "\xc0\xafhttps://app.example.com",
		"https://app\t.example.com", `"https://app.example.com"`, "<script>alert(1)</script>", `{"origin":"https://app.example.com"}`,
		"https://[::1]", "https://127.0.0.1", "http://localhost", "http://localhost:3000", "capacitor://localhost", "chrome-extension://abcdefghijklmnop",
		"https://app.example.com" + strings.Repeat("a", 4096), strings.Repeat("x", 8<<10),
	}
	var lines []string
	for _, v := range values {
		lines = append(lines, "Origin: "+v)
	}
	return append(lines,
		"Origin: "+origin+"\r\nOrigin: https://evil.example",
		"Origin: https://evil.example\r\nOrigin: "+origin,
		"Origin: "+origin+"\r\norigin: "+origin, // even so: of two, somebody may read another
		"Origin:\r\nOrigin: "+origin,
		"ORIGIN: https://evil.example",
		"Origin: https://evil.example\r\n "+origin, // folded
		"Origin: https://evil.example\r\nX-Forwarded-Host: app.example.com\r\nReferer: https://app.example.com/",
	)
}

// TestNoForeignOriginReachesAHandler: not the gates behind, not OpenAI; whatever
// is asked, and with a good token.
func TestNoForeignOriginReachesAHandler(t *testing.T) {
	t.Parallel()
	r := target(t)
	const body = `{"userPrompt":"hello"}`
	requests := []string{
		"POST /api/generate-text HTTP/1.1",
		"POST /api/ai/chat HTTP/1.1",
		"GET /api/generate-text HTTP/1.1",
		"GET /openapi.yaml HTTP/1.1",
		"POST /nowhere HTTP/1.1",
		"OPTIONS /api/generate-text HTTP/1.1\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization",
	}
	r.untouched(func() {
		for _, line := range foreign() {
			for _, request := range requests {
				raw := fmt.Sprintf("%s\r\nHost: app.example.com\r\nConnection: close\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s",
					request, r.token("ana"), line, len(body), body)
				answers, _ := r.talk(raw, 10*time.Second)
				if len(answers) != 1 {
					t.Errorf("%.80q of %.80q: %v", request, line, statuses(answers))
					continue
				}
				got := answers[0]
				if got.wants(t, 403, "origin_not_allowed"); t.Failed() {
					t.Fatalf("that was %.80q of %.80q", request, line)
				}
				for name := range got.header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%.80q of %.80q is given %s", request, line, name)
					}
				}
			}
		}
	})
	wellKept(t, r)
	for _, line := range r.log.records() {
		if line["msg"] == "request" && (line["code"] != "origin_not_allowed" || line["user"] != nil) {
			t.Errorf("a request got further than the gate: %v", line)
		}
	}
}

// wellKept fails if any line of the log is no JSON: something broke out of its
// attribute.
func wellKept(t *testing.T, r *rig) {
	t.Helper()
	for line := range strings.Lines(r.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is no JSON: %.200q", line)
		}
	}
}

// TestAFloodOfOriginsDoesNotFillTheLog: a website is told of once, and of made-up
// ones a hundred at most.
func TestAFloodOfOriginsDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	r := target(t)
	r.untouched(func() {
		for i := range 300 {
			r.ask("hello", fmt.Sprintf("Origin: https://evil-%d.example", i)).wants(t, 403, "origin_not_allowed")
			r.ask("hello", "Origin: https://evil-0.example").wants(t, 403, "origin_not_allowed")
		}
	})
	told, same := 0, 0
	for _, line := range r.log.records() {
		text, ok := line["line"].(string)
		if !ok {
			continue
		}
		if told++; strings.HasSuffix(text, "https://evil-0.example") {
			same++
		}
	}
	if told == 0 || told > 100 {
		t.Errorf("refused origins were told of %d times; want 1 to 100", told)
	}
	if same != 1 {
		t.Errorf("the same website was told of %d times; want once an hour", same)
	}
}

// TestAPreflightSpendsNothing and shows nothing, whatever headers it asks for.
func TestAPreflightSpendsNothing(t *testing.T) {
	t.Parallel()
	r := target(t, "RATE_LIMIT_IP=1/1h")
	r.untouched(func() {
		for _, headers := range []string{"authorization", "authorization,content-type,x-stainless-lang", strings.Repeat("x-a,", 2000) + "x-b", "*", "<script>", "a b", "\u00e9", ",,,", ""} {
			for _, method := range []string{"POST", "GET", "DELETE", "TRACE", "CONNECT", "<b>", ""} {
				raw := fmt.Sprintf("OPTIONS /api/generate-text HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: %s\r\nAccess-Control-Request-Method: %s\r\nAccess-Control-Request-Headers: %s\r\n\r\n", origin, method, headers)
				answers, _ := r.talk(raw, 10*time.Second)
				if len(answers) != 1 || answers[0].status != 200 && answers[0].status != 405 && answers[0].status != 429 {
					t.Errorf("%q, %.40q: %v", method, headers, statuses(answers))
					continue
				}
				got := answers[0]
				if got.status == 200 && got.body != "" {
					t.Errorf("%q, %.40q: a body, %q", method, headers, got.body)
				}
				if got.header.Get("Access-Control-Allow-Credentials") != "" || strings.Contains(got.header.Get("Access-Control-Allow-Origin"), "*") {
					t.Errorf("%q, %.40q: too much is allowed: %v", method, headers, got.header)
				}
				if allowed := got.header.Get("Access-Control-Allow-Methods"); allowed != "" && allowed != method || allowed == "TRACE" || allowed == "CONNECT" || allowed == "<b>" {
					t.Errorf("%q is allowed as %q", method, allowed)
				}
			}
		}
	})
}
