package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestNoOtherProtocolIsSpoken: neither HTTP/2 without TLS, in either of its two
// ways, nor WebSocket, nor anything else that a client may ask to upgrade to.
func TestNoOtherProtocolIsSpoken(t *testing.T) {
	t.Parallel()
	r := target(t)
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	answers, ended := r.talk(preface, 5*time.Second)
	if !ended || len(answers) > 1 || len(answers) == 1 && answers[0].status < 400 {
		t.Errorf("HTTP/2's preface: %v, ended: %v", statuses(answers), ended)
	}
	for _, upgrade := range []string{
		"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
		"Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
		"Connection: Upgrade, close\r\nUpgrade: TLS/1.0, HTTP/2.0", "Connection: Upgrade, close\r\nUpgrade: connect-udp",
	} {
		answers, _ := r.talk(r.hello(upgrade), 5*time.Second)
		if len(answers) != 1 || answers[0].status != 200 || answers[0].header.Get("Upgrade") != "" {
			t.Errorf("%.60q: %v; want it answered in HTTP/1.1", upgrade, statuses(answers))
		}
	}
}

// TestHopByHopHeadersTakeNothingAway: a client cannot name our headers in Connection
// and have them dropped, nor add to what OpenAI gets.
func TestHopByHopHeadersTakeNothingAway(t *testing.T) {
	t.Parallel()
	r := target(t)
	answers, _ := r.talk(r.hello("Connection: close, Authorization, X-Content-Type-Options, Content-Type", "TE: trailers, chunked;q=0", "Keep-Alive: timeout=1000",
		"Proxy-Connection: keep-alive", "Proxy-Authenticate: x", "OpenAI-Organization: org-evil", "OpenAI-Project: evil", "OpenAI-Beta: evil=v1", "Idempotency-Key: evil", "X-Evil: evil"), 5*time.Second)
	if len(answers) != 1 || answers[0].status != 200 || answers[0].header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%v", answers)
	}
	got := r.sim.Requests()[0].Header
	if text := fmt.Sprint(got); strings.Contains(text, "evil") || got.Get("Authorization") != "Bearer "+canary || len(got["Authorization"]) != 1 {
		t.Error("a header of the client's reached OpenAI, or ours did not")
	}
	for _, name := range []string{"Te", "Origin", "Referer", "Cookie", "X-Forwarded-For", "Forwarded", "Via", "Idempotency-Key", "Traceparent"} {
		if values := got[name]; len(values) > 0 {
			t.Errorf("%s reached OpenAI: %q", name, values)
		}
	}
}

// TestNothingCanBePutIntoOurHeaders, neither a line nor a header of a client's.
func TestNothingCanBePutIntoOurHeaders(t *testing.T) {
	t.Parallel()
	r := target(t)
	const evil = "x\rX-Evil: 1"
	for _, line := range []string{"Origin: " + origin + "\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: " + evil, "X-Request-Id: " + evil, "Accept: " + evil, "User-Agent: " + evil} {
		for _, first := range []string{"OPTIONS /api/generate-text", "GET /nowhere%0d%0aX-Evil:1?x=%0d%0aX-Evil:1", "POST /api/generate-text"} {
			answers, _ := r.talk(first+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+line+"\r\n\r\n", 5*time.Second)
			for _, got := range answers {
				if got.header.Get("X-Evil") != "" || strings.Contains(fmt.Sprint(got.header), "Evil") {
					t.Errorf("%s, %q: %v", first, line, got.header)
				}
			}
		}
	}
	for _, id := range []string{"a b", "a;b", strings.Repeat("a", 65), "<script>", "{}", "é", "a,b", "../x"} {
		if got := r.get("/livez", "X-Request-Id: "+id); got.header.Get("X-Request-Id") == id {
			t.Errorf("the client's id %q is used as ours", id)
		}
	}
	for _, line := range r.log.records() {
		if line["client_request_id"] != nil {
			t.Errorf("the log has the client's id %q, which is not plain", line["client_request_id"])
		}
	}
	wellKept(t, r)
}

// TestOldAndSloppyHTTPIsJudgedAlike: bare line feeds, folded headers and HTTP/1.0 are
// read (RFC 9112 §2.2, §5.2), and pass the same gates.
func TestOldAndSloppyHTTPIsJudgedAlike(t *testing.T) {
	t.Parallel()
	r := target(t)
	good := r.hello("Connection: close")
	forms := map[string]func(string) string{
		"bare line feeds": func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") },
		"HTTP/1.0":        func(s string) string { return strings.Replace(s, "HTTP/1.1", "HTTP/1.0", 1) },
		"HTTP/1.0, no Host": func(s string) string {
			return strings.Replace(strings.Replace(s, "HTTP/1.1", "HTTP/1.0", 1), "Host: "+r.addr+"\r\n", "", 1)
		},
		"folded headers": func(s string) string { return strings.Replace(s, "Authorization: ", "Authorization:\r\n\t", 1) },
	}
	for name, form := range forms {
		if answers, _ := r.talk(form(good), 5*time.Second); len(answers) != 1 || answers[0].status != 200 {
			t.Errorf("%s: %v, want 200", name, statuses(answers))
		}
		r.untouched(func() {
			for what, change := range map[string][2]string{"a bad token": {"Bearer ", "Bearer x"}, "a foreign website": {"Host: " + r.addr, "Host: " + r.addr + "\r\nOrigin: null"}, "no token": {"Authorization", "X-A"}} {
				answers, _ := r.talk(form(strings.Replace(good, change[0], change[1], 1)), 5*time.Second)
				if len(answers) != 1 || answers[0].status != 403 && answers[0].status != 401 {
					t.Errorf("%s with %s: %v, want it refused", name, what, statuses(answers))
				}
			}
		})
	}
}

// TestExpectationsAreMet: 100 comes before a body that will be read, and not before
// one that will not; what else may be expected is refused.
func TestExpectationsAreMet(t *testing.T) {
	t.Parallel()
	r := target(t)
	const body = `{"userPrompt":"hello"}`
	for name, c := range map[string]struct {
		head  string
		first string
	}{
		"a good token": {r.head("/api/generate-text"), "HTTP/1.1 100 Continue\r\n\r\n"},
		"a bad token":  {strings.Replace(r.head("/api/generate-text"), "Bearer ", "Bearer x", 1), "HTTP/1.1 403 Forbidden\r\n"},
		"a foreigner":  {r.head("/api/generate-text", "Origin: null"), "HTTP/1.1 403 Forbidden\r\n"},
		"another type": {strings.Replace(r.head("/api/generate-text"), "application/json", "text/plain", 1), "HTTP/1.1 415 Unsupported Media Type\r\n"},
		"a wrong wish": {r.head("/api/generate-text", "Expect: 200-ok"), "HTTP/1.1 417 Expectation Failed\r\n"},
	} {
		conn := r.dial()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(conn, "%sExpect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", c.head, len(body))
		first := make([]byte, len(c.first))
		if _, err := io.ReadFull(conn, first); err != nil || string(first) != c.first {
			t.Errorf("%s: %q, %v; want %q", name, first, err, c.first)
		}
		if strings.Contains(c.first, "100") {
			fmt.Fprint(conn, body)
			if answers, _ := readAnswers(t, conn); len(answers) != 1 || answers[0].status != 200 {
				t.Errorf("%s: then %v, want 200", name, statuses(answers))
			}
		}
		conn.Close()
	}
}

// TestWhoSendsTooMuchIsToldSo, and can read it although the server reads no further.
func TestWhoSendsTooMuchIsToldSo(t *testing.T) {
	t.Parallel()
	r := target(t)
	const size = 20 << 20
	for name, raw := range map[string]string{
		"by its length": r.head("/api/generate-text", fmt.Sprintf("Content-Length: %d", size)) + "\r\n" + strings.Repeat("x", size),
		"by its chunks": r.head("/api/generate-text", "Transfer-Encoding: chunked") + "\r\n" + strings.Repeat("1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n", size/0x1000),
	} {
		answers, ended := r.talk(raw, 10*time.Second)
		if len(answers) != 1 || !ended {
			t.Errorf("%s: %v, ended: %v; want 413", name, statuses(answers), ended)
			continue
		}
		answers[0].wants(t, 413, "body_too_large")
	}
}
