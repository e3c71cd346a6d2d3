package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestUsageThatIsDisputedProvesNothing: what is billed stands in the last chunk. A
// stream that goes on after it, or says it twice and not the same, leaves the ceiling
// charged.
func TestUsageThatIsDisputedProvesNothing(t *testing.T) {
	t.Parallel()
	const (
		word   = `data: {"model":"gpt-6-luna","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}` + "\n\n"
		call   = `data: {"model":"gpt-6-luna","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]},"finish_reason":null}]}` + "\n\n"
		finish = `data: {"model":"gpt-6-luna","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
		empty  = `data: {"model":"gpt-6-luna","choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]}` + "\n\n"
		little = `"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}` + "\n\n"
		much   = `"usage":{"prompt_tokens":50,"completion_tokens":100,"total_tokens":150}}` + "\n\n"
		last   = `data: {"model":"gpt-6-luna","choices":[],`
		beside = `data: {"model":"gpt-6-luna","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}],`
		nobody = `data: {"model":"gpt-6-luna","choices":[{"index":0,"delta":{},"finish_reason":null}],`
		done   = "data: [DONE]\n\n"
	)
	streams := map[string]struct {
		stream string
		proves bool
	}{
		"the usage once":                       {word + finish + last + much + done, true},
		"the same usage twice":                 {word + finish + last + much + last + much + done, true},
		"usage so far with every word":         {beside + little + beside + much + finish + last + much + done, true},
		"usage so far, and once more as a sum": {beside + little + finish + last + much + done, true},
		"a chunk of nothing after it":          {word + finish + last + much + empty + done, true},

		"less at last":                        {word + finish + last + much + last + little + done, false},
		"more at last":                        {word + finish + last + little + last + much + done, false},
		"less, and then the same again":       {word + finish + last + much + last + little + last + much + done, false},
		"more in a chunk that is not the end": {word + finish + last + little + nobody + much + done, false},
		"words after it":                      {word + finish + last + little + word + done, false},
		"words after it, and the usage again": {word + finish + last + little + word + last + little + done, false},
		"another model's at last":             {word + finish + last + much + strings.Replace(last, "luna", "nano", 1) + much + done, false},
	}
	r := beforeCanned(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		for what, s := range streams {
			if strings.Contains(string(body), "("+what+")") {
				canned("text/event-stream", s.stream)(w, req)
			}
		}
		if strings.Contains(string(body), "(a call)") {
			canned("text/event-stream", word+finish+last+little+call+done)(w, req)
		}
	}, "BREAKER=off", "RATE_LIMIT_IP=off")
	check := func(what, user string, proves bool) {
		t.Helper()
		if day := r.settled(user).Day; (day.Spent != "0") != proves || (day.ChargedAtCeiling == "0") != proves {
			t.Errorf("%s, %s: spent %s, and %s at the ceiling; want a proof: %t", what, user, day.Spent, day.ChargedAtCeiling, proves)
		}
	}
	for what, s := range streams {
		user := "v1 " + what
		r.post("/v1/chat/completions", wayTo("chat").body("("+what+")", streaming), "Authorization: Bearer "+r.token(user))
		check(what, user, s.proves)
		user = "text " + what
		r.ask("("+what+")", "Accept: text/event-stream", "Authorization: Bearer "+r.token(user))
		check(what, user, s.proves)
	}
	r.post("/v1/chat/completions", wayTo("chat").body("(a call)", streaming), r.asMallory())
	check("a call of a tool after it", "mallory", false)
}
