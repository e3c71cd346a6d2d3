package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"
)

// impostor is a server that is not OpenAI: it answers every request with the same
// raw bytes, in which KEY stands for the Authorization header that it got.
func impostor(t *testing.T, raw string) (url string, asked *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	asked = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				req, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				asked.Add(1)
				io.Copy(io.Discard, req.Body)
				key := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
				io.WriteString(c, strings.ReplaceAll(raw, "KEY", key))
			}()
		}
	}()
	return "http://" + l.Addr().String(), asked
}

// foreignAnswers are what OpenAI never says. None is passed off as an answer.
func foreignAnswers() map[string]string {
	const chat = `{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`
	const ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	json := func(body string) string {
		return fmt.Sprintf("%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", ok, len(body), body)
	}
	stream := func(body string) string { return ok + "Content-Type: text/event-stream\r\n\r\n" + body }
	answers := map[string]string{
		"nothing":                   "",
		"no HTTP":                   "SSH-2.0-OpenSSH_9.6\r\n",
		"the key alone":             "KEY\r\n\r\n",
		"half a header":             "HTTP/1.1 200 OK\r\nContent-",
		"a header without end":      ok + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"a million headers":         ok + strings.Repeat("X: y\r\n", 200_000) + "\r\n",
		"a status that is none":     "HTTP/1.1 999 KEY\r\n\r\n",
		"the key as status":         "HTTP/1.1 KEY OK\r\n\r\n",
		"a malformed header":        ok + "KEY\r\n\r\n",
		"two lengths":               ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nKEY",
		"a length of the key":       ok + "Content-Length: KEY\r\n\r\n",
		"an unknown encoding":       ok + "Transfer-Encoding: KEY\r\n\r\n",
		"a bad chunk":               ok + "Transfer-Encoding: chunked\r\n\r\nKEY\r\n",
		"a bad trailer":             ok + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nKEY\r\n\r\n",
		"switching protocols":       "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: KEY\r\n\r\nKEY",
		"early hints without end":   strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: KEY\r\n\r\n", 1000),
		"201":                       strings.Replace(json(chat), "200 OK", "201 Created", 1),
		"202":                       strings.Replace(json(chat), "200 OK", "202 Accepted", 1),
		"204":                       "HTTP/1.1 204 No Content\r\n\r\n",
		"206":                       strings.Replace(json(chat), "200 OK", "206 Partial Content", 1),
		"304":                       "HTTP/1.1 304 Not Modified\r\n\r\n",
		"a reason that is the key":  "HTTP/1.1 500 KEY\r\nContent-Length: 0\r\n\r\n",
		"an empty body":             json(""),
		"null":                      json("null"),
		"a list":                    json("[]"),
		"a string":                  json(`"KEY"`),
		"no choices":                json(`{"choices":[]}`),
		"choices null":              json(`{"choices":null}`),
		"a choice that is none":     json(`{"choices":["KEY"]}`),
		"content that is a number":  json(strings.Replace(chat, `"hello"`, "1", 1)),
		"content that is a list":    json(strings.Replace(chat, `"hello"`, `[{"type":"text","text":"KEY"}]`, 1)),
		"content twice":             json(strings.Replace(chat, `"content":`, `"content":"x","content":`, 1)),
		"trailing data":             json(chat + "KEY"),
		"a bad escape":              json(strings.Replace(chat, "hello", `\x41`, 1)),
		"a control character":       json(strings.Replace(chat, "hello", "a\x01b", 1)),
		"deep nesting":              json(`{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `,"choices":[]}`),
		"an error with 200":         json(`{"error":{"message":"KEY","type":"KEY","code":"KEY","param":"KEY"}}`),
		"gzip":                      ok + "Content-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00",
		"a body longer than said":   json(chat)[:len(json(chat))-9],
		"events: the key":           stream("data: KEY\n\n"),
		"events: only the end":      stream("data: [DONE] KEY\n\n"),
		"events: a comment":         stream(": KEY\n\n"),
		"events: other JSON":        stream("data: {\"KEY\":1}\n\n"),
		"events: no end":            stream("data: {\"choices\":[]}\n\n"),
		"events: an error":          stream("event: error\ndata: {\"error\":{\"message\":\"KEY\"}}\n\n"),
		"events: HTML":              stream("<html>KEY</html>\n\n"),
		"events: bytes":             stream("\x00\xff\xfe\x00KEY\r\r\r"),
		"401 that echoes":           "HTTP/1.1 401 Unauthorized\r\nX-Request-Id: KEY\r\nWww-Authenticate: KEY\r\nRetry-After: KEY\r\nContent-Type: application/json\r\n\r\n" + `{"error":{"message":"KEY","type":"KEY","code":"KEY","param":"KEY"}}`,
		"500 that echoes as header": "HTTP/1.1 500 X\r\nX-Request-Id: KEY\r\nKEY: KEY\r\nSet-Cookie: KEY\r\nContent-Length: 0\r\n\r\n",
	}
	return answers
}

// TestWhatIsNoAnswerOfOpenAIIsNone: it is a 502 or an error event, with nothing of it
// in the answer or the log, asked for once, and no fault of ours.
func TestWhatIsNoAnswerOfOpenAIIsNone(t *testing.T) {
	t.Parallel()
	var tries []func()
	for name, raw := range foreignAnswers() {
		url, asked := impostor(t, raw)
		r := startBefore(t, url, "UPSTREAM_TIMEOUT=8s", "LOG_LEVEL=debug")
		tries = append(tries, func() {
			for i, form := range []string{"json", "events", "text"} {
				outcome, text, got := r.outcomeOf(form, "hello")
				good := map[string]bool{"502 upstream_error": true, "200 then upstream_interrupted": true, "200 then cut": true}
				if !good[outcome] || text != "" {
					t.Errorf("%s as %s: %s, %q; want it refused", name, form, outcome, text)
				}
				refused := strings.HasPrefix(name, "401") // the key is looked into, and then nothing is asked with it
				if n := asked.Load(); !refused && n != int64(i+1) || refused && (n < 1 || n > int64(i+2)) {
					t.Errorf("%s as %s: asked %d times", name, form, n-int64(i))
				}
				if len(got.header["Set-Cookie"]) > 0 || !utf8.ValidString(got.body) {
					t.Errorf("%s as %s: something of it passed: %v", name, form, got.header)
				}
			}
			if log := r.log.String(); strings.Contains(log, "panic") || strings.Contains(log, canary[:20]) {
				t.Errorf("%s: the log has a panic, or the key", name)
			}
		})
	}
	atOnce(tries...)
}

// TestOddButSoundAnswersAreRead: what the standards allow, though OpenAI does not do it.
func TestOddButSoundAnswersAreRead(t *testing.T) {
	t.Parallel()
	event := `{"choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}`
	last := `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	const head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream;charset=UTF-8\r\n\r\n"
	for name, raw := range map[string]string{
		"line feeds":        "data: " + event + "\n\ndata: " + last + "\n\ndata: [DONE]\n\n",
		"carriage returns":  "data: " + event + "\r\rdata: " + last + "\r\rdata: [DONE]\r\r",
		"both":              "data: " + event + "\r\n\r\ndata: " + last + "\r\n\r\ndata: [DONE]\r\n\r\n",
		"no space":          "data:" + event + "\n\ndata:" + last + "\n\ndata:[DONE]\n\n",
		"a byte order mark": "\ufeffdata: " + event + "\n\ndata: " + last + "\n\ndata: [DONE]\n\n",
		"two data lines":    "data: " + event[:12] + "\ndata: " + event[12:] + "\n\ndata: " + last + "\n\ndata: [DONE]\n\n",
		"other fields":      ": hi\nid: 1\nretry: 5\nevent: message\nfoo\n\ndata: " + event + "\nid: 2\n\n: hi\n\ndata: " + last + "\n\ndata: [DONE]\n\n",
		"no [DONE]":         "data: " + event + "\n\ndata: " + last + "\n\n",
		"no last line end":  "data: " + event + "\n\ndata: " + last + "\n\ndata: [DONE]",
	} {
		url, _ := impostor(t, head+raw)
		r := startBefore(t, url)
		for _, form := range []string{"events", "text"} {
			if outcome, text, _ := r.outcomeOf(form, "hi"); outcome != "200" || text != "hello" {
				t.Errorf("%s as %s: %s, %q", name, form, outcome, text)
			}
		}
	}
}

// TestABrokenPlainTextIsNoCleanEnd for HTTP/1.0 either, where the end of the connection
// is the end of the text. nginx speaks it to us unless told otherwise.
func TestABrokenPlainTextIsNoCleanEnd(t *testing.T) {
	t.Parallel()
	r := target(t)
	body := promptBody("[[sim fault=cut]] hello")
	for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
		c := r.dial()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		head := strings.Replace(r.head("/api/generate-text", "Accept: text/plain", fmt.Sprintf("Content-Length: %d", len(body))), "HTTP/1.1", version, 1)
		fmt.Fprintf(c, "%s\r\n%s", head, body)
		answers, _ := readAnswers(t, c)
		if len(answers) != 1 || answers[0].status == 200 && answers[0].err == nil {
			t.Errorf("%s: half an answer passes for a whole one: %v", version, answers)
		}
	}
}
