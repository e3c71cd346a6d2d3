package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestARequestIsOneLineOfTheLog with everything known about it.
func TestARequestIsOneLineOfTheLog(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, c := range map[string]struct {
		ask  func() reply
		want map[string]any
	}{
		"an answer": {
			func() reply { return r.ask("hi") },
			map[string]any{"level": "INFO", "method": "POST", "path": "/api/generate-text", "status": 200.0, "user": "ana", "ip": "127.0.0.1", "code": nil, "error": nil},
		},
		"a stream": {
			func() reply { return r.post("/api/ai/chat", `{"message": "hi", "stream": true}`) },
			map[string]any{"level": "INFO", "method": "POST", "path": "/api/ai/chat", "status": 200.0, "user": "ana", "code": nil, "error": nil},
		},
		"a broken stream": {
			func() reply { return r.ask("[[sim fault=cut]]", "Accept: text/event-stream") },
			map[string]any{"level": "WARN", "path": "/api/generate-text", "status": 200.0, "code": "upstream_interrupted"},
		},
		"no token":      {func() reply { return r.ask("hi", "Authorization:") }, map[string]any{"level": "INFO", "status": 401.0, "code": "token_missing", "user": nil}},
		"a bad body":    {func() reply { return r.ask("") }, map[string]any{"level": "INFO", "status": 400.0, "code": "invalid_prompt", "user": "ana"}},
		"a wrong place": {func() reply { return r.get("/nothing/here") }, map[string]any{"level": "INFO", "status": 404.0, "path": "/nothing/here", "code": "not_found"}},
		"a strange one": {func() reply { return r.get("/eyJ%0Ahi?token=1") }, map[string]any{"level": "INFO", "status": 404.0, "path": "(unknown)"}},
		"a closed one":  {func() reply { return r.get("/v1/models") }, map[string]any{"status": 404.0, "path": "/v1/models"}},
		"health":        {func() reply { return r.get("/livez") }, map[string]any{"status": 200.0, "path": "/livez", "method": "GET"}},
		"a leak":        {func() reply { return r.ask("[[sim leak=whole]]") }, map[string]any{"level": "ERROR", "status": 500.0, "code": "internal"}},
	} {
		got := c.ask()
		id := got.header.Get("X-Request-Id")
		line := r.log.request(t, id)
		for field, want := range c.want {
			if line[field] != want {
				t.Errorf("%s: the log's %s is %v, want %v:\n%v", name, field, line[field], want, line)
			}
		}
		if bytes, _ := line["bytes"].(float64); int(bytes) != len(got.body) && got.err == nil {
			t.Errorf("%s: the log has %v bytes, the answer %d", name, bytes, len(got.body))
		}
		if took, _ := line["took_ms"].(float64); took <= 0 {
			t.Errorf("%s: it took %v", name, line["took_ms"])
		}
		if n := strings.Count(r.log.String(), id); n != 1 {
			t.Errorf("%s has %d lines", name, n)
		}
	}
	line := r.log.request(t, r.ask("hi").header.Get("X-Request-Id"))
	for _, field := range []string{"upstream_id", "tokens_in", "tokens_out"} {
		if line[field] == nil {
			t.Errorf("an answer's line lacks %s: %v", field, line)
		}
	}
}

// TestTheLogTellsNothingThatIsPrivate: no prompt, no answer, no token, no header.
func TestTheLogTellsNothingThatIsPrivate(t *testing.T) {
	t.Parallel()
	r := start(t, "LOG_LEVEL=debug", "PORT="+freePort(t))
	const private = "wombat"
	token := r.token("ana")
	r.ask(says("the "+private+" answers"), "User-Agent: "+private, "Cookie: a="+private, "Referer: https://app.example.com/"+private)
	r.ask("tell of the "+private, "Accept: text/event-stream", "Authorization: Bearer "+token)
	r.ask("hi", "Authorization: Bearer "+private)
	r.ask("hi", "Origin: https://app.example.com/"+private)
	last := r.post("/api/ai/chat?"+private+"="+private, private)
	if last.status != http.StatusBadRequest {
		t.Errorf("the last got %d", last.status)
	}
	r.log.request(t, last.header.Get("X-Request-Id"))
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, private) || strings.Contains(line, token) {
			t.Errorf("the log tells %s", line)
		}
	}
}
