package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// detours are addresses that another server might take for one of ours.
var detours = []string{
	"//api/generate-text", "/api//generate-text", "///api/generate-text", "/api/../api/generate-text", "/api/./generate-text", "/./api/generate-text",
	"/api/generate-text/", "/api/generate-text//", "/api/generate-text/.", "/api/generate-text/..", "/api/generate-text/x", "/API/generate-text", "/api/Generate-Text",
	"/api%2fgenerate-text", "/api%2Fgenerate-text", "/%61pi/generate-text", "/api/generate%2dtext", "/api/generate-text%2f", "/api/generate-text%00", "/api/generate-text%20",
	"/api/generate-text%0a", "/api/generate-text;x=1", "/api;x/generate-text", "/api/%2e%2e/api/generate-text", "/api/..%2fapi/generate-text", "/api\\generate-text",
	"/api/generate-text\\", "/livez/../api/generate-text", "/livez/api/generate-text", "/livez/%2e%2e/api/generate-text", "/livez;/api/generate-text", "/openapi.yaml/../api/generate-text",
	"/api/generate-text.json", "/api/generate-text.", "/api/generate-text~", "/api/generate-text'", "/api/generate-text%c0%af", "/api/ai/chat/", "/api/ai//chat", "/api/ai/../ai/chat",
	"/v1/chat/completions", "/v1/responses", "/v1/models", "/v1/files", "/v1/../v1/chat/completions", "/_sim/report", "/_sim/behaviour", "/_sim/requests",
	"/admin", "/admin/", "/metrics", "/debug/pprof/", "/debug/vars", "/.env", "/.git/config", "/server-status", "/api", "/api/", "/", "/*", "/favicon.ico", "/robots.txt",
	"/api/generate-text%", "/%", "/%zz", "/api/generate\u2010text", "/\u202eapi/generate-text", "/api/\xff", "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
}

// TestNoAddressLeadsAroundTheGates: another spelling of an address of ours, or one of
// another server, is nothing here, with a good token and without.
func TestNoAddressLeadsAroundTheGates(t *testing.T) {
	t.Parallel()
	r := target(t)
	const body = `{"userPrompt":"hello"}`
	r.untouched(func() {
		for _, path := range detours {
			for _, method := range []string{"POST", "GET", "HEAD", "PUT", "OPTIONS", "TRACE"} {
				for _, who := range []string{"Authorization: Bearer " + r.token("ana"), "X-Nothing: 1"} {
					raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n%s\r\nContent-Length: %d\r\n\r\n%s", method, path, who, len(body), body)
					if method == "HEAD" {
						r.headOnly(raw)
						continue
					}
					answers, _ := r.talk(raw, 10*time.Second)
					if len(answers) != 1 || answers[0].status != 404 && answers[0].status != 400 && answers[0].status != 405 {
						t.Errorf("%s %q: %v, want 404", method, path, statuses(answers))
					}
				}
			}
		}
	})
	wellKept(t, r)
}

// headOnly checks the answer to a HEAD, which has no body.
func (r *rig) headOnly(raw string) {
	r.t.Helper()
	c := r.dial()
	defer c.Close()
	fmt.Fprint(c, raw)
	var status int
	if _, err := fmt.Fscanf(c, "HTTP/1.1 %d", &status); err != nil || status != 404 && status != 400 && status != 405 {
		r.t.Errorf("%.60q: %d, %v", raw, status, err)
	}
}

// TestAnAbsoluteAddressPassesTheSameGates: the host in it means nothing to us.
func TestAnAbsoluteAddressPassesTheSameGates(t *testing.T) {
	t.Parallel()
	r := target(t)
	for _, target := range []string{"http://evil.example/api/generate-text", "https://api.openai.com/api/generate-text", "http://127.0.0.1:1/api/generate-text", "ftp://x/api/generate-text", "http:///api/generate-text"} {
		good := strings.Replace(r.hello("Connection: close"), "POST /api/generate-text", "POST "+target, 1)
		if answers, _ := r.talk(good, 5*time.Second); len(answers) != 1 || answers[0].status >= 500 {
			t.Errorf("%s: %v", target, statuses(answers))
		}
		r.untouched(func() {
			for _, change := range [][2]string{{"Bearer ", "Bearer x"}, {"Host:", "Origin: https://evil.example\r\nHost:"}} {
				answers, _ := r.talk(strings.Replace(good, change[0], change[1], 1), 5*time.Second)
				if len(answers) != 1 || answers[0].status != 403 {
					t.Errorf("%s with %q: %v, want 403", target, change[1], statuses(answers))
				}
			}
		})
	}
}

// TestStrangeRequestLines: none is served, none is a fault of ours.
func TestStrangeRequestLines(t *testing.T) {
	t.Parallel()
	r := target(t)
	token := "Authorization: Bearer " + r.token("ana") + "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 22\r\n\r\n{\"userPrompt\":\"hello\"}"
	r.untouched(func() {
		for _, line := range []string{
			"POST /api/generate-text HTTP/2.0\r\nHost: x", "POST /api/generate-text HTTP/3\r\nHost: x", "POST /api/generate-text HTTP/1.2\r\nHost: x\r\nOrigin: null", "POST /api/generate-text HTTP/0.9\r\nHost: x",
			"POST /api/generate-text HTTP/11\r\nHost: x", "POST /api/generate-text HTTP/1.1x\r\nHost: x", "POST /api/generate-text http/1.1\r\nHost: x", "POST /api/generate-text\r\nHost: x", "POST  /api/generate-text HTTP/1.1\r\nHost: x",
			"POST\t/api/generate-text\tHTTP/1.1\r\nHost: x", "POST /api/generate-text HTTP/1.1", "POST /api/generate-text HTTP/1.1\r\nHost: x\r\nHost: y", "POST /api/generate-text HTTP/1.1\r\nHost: x y", "POST /api/generate-text HTTP/1.1\r\nHost: x\x00",
			"POST /api/generate-text HTTP/1.1\r\nHost: <script>", "POST /api/generate text HTTP/1.1\r\nHost: x", "post /api/generate-text HTTP/1.1\r\nHost: x", "Post /api/generate-text HTTP/1.1\r\nHost: x", "P\xd6ST /api/generate-text HTTP/1.1\r\nHost: x",
			"POST: /api/generate-text HTTP/1.1\r\nHost: x", "GET /api/generate-text HTTP/1.1\r\nHost: x", "TRACE /api/generate-text HTTP/1.1\r\nHost: x", "CONNECT /api/generate-text HTTP/1.1\r\nHost: x", "CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443",
			"DEBUG /api/generate-text HTTP/1.1\r\nHost: x", "PROPFIND / HTTP/1.1\r\nHost: x", "PATCH /api/generate-text HTTP/1.1\r\nHost: x", "GET / HTTP/1.1\r\nHost: x", "\r\nPOST /api/generate-text HTTP/1.1\r\nHost: x\r\nOrigin: null",
			"POST /api/generate-text HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: GET\r\nOrigin: null", "GET /api/generate-text HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: POST", "GET /api/generate-text?_method=POST HTTP/1.1\r\nHost: x", "GET /livez HTTP/1.1\r\nHost: x\r\nX-Original-URL: /api/generate-text\r\nX-Rewrite-URL: /api/generate-text",
			"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "SSH-2.0-OpenSSH_9.6", "EHLO x", "*1\r\n$4\r\nPING", strings.Repeat("A", 3000), "\x00\x00\x00\x00",
		} {
			answers, ended := r.talk(line+"\r\n"+token, 5*time.Second)
			if len(answers) > 1 || !ended {
				t.Errorf("%.80q: %v, ended: %v", line, statuses(answers), ended)
			}
			for _, got := range answers {
				if got.status == 200 && !strings.Contains(line, "/livez") || got.status >= 500 && got.status != 505 {
					t.Errorf("%.80q: %d %.100s", line, got.status, got.body)
				}
			}
		}
	})
	wellKept(t, r)
}

// TestEveryAnswerOfOursIsInOurShape: an unknown method and the address "*" are
// refused by the same gates, and in the same words, as everything else.
func TestEveryAnswerOfOursIsInOurShape(t *testing.T) {
	t.Parallel()
	r := target(t, "RATE_LIMIT_IP=1/1h")
	for line, want := range map[string]struct {
		status int
		code   string
	}{
		"BREW /api/generate-text":  {405, "method_not_allowed"},
		"PROPFIND /nowhere":        {405, "method_not_allowed"},
		"PRI *":                    {0, ""}, // the beginning of HTTP/2
		"GET *":                    {404, "not_found"},
		"OPTIONS *":                {404, "not_found"},
		"CONNECT x:443":            {404, "not_found"},
		"TRACE /api/generate-text": {405, "method_not_allowed"},
		"PUT /api/generate-text":   {405, "method_not_allowed"},
	} {
		t.Run(line, func(t *testing.T) {
			proto := " HTTP/1.1"
			if line == "PRI *" {
				proto = " HTTP/2.0"
			}
			answers, _ := r.talk(line+proto+"\r\nHost: x\r\nConnection: close\r\n\r\n", 3*time.Second)
			if len(answers) != 1 {
				t.Fatalf("%v", statuses(answers))
			}
			got := answers[0]
			if want.status == 0 {
				if got.status < 400 {
					t.Errorf("%d", got.status)
				}
				return
			}
			got.wants(t, want.status, want.code)
			if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("X-Request-Id") == "" {
				t.Errorf("an answer without our headers: %v", got.header)
			}
			answers, _ = r.talk(line+proto+"\r\nHost: x\r\nConnection: close\r\nOrigin: https://evil.example\r\n\r\n", 3*time.Second)
			if len(answers) != 1 || answers[0].status != 403 {
				t.Errorf("to a foreign website: %v, want 403", statuses(answers))
			}
		})
	}
}
