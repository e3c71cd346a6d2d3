package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// wholeFailure is billed, perhaps: it says nothing of what it cost.
	wholeFailure = `{"id":"r","object":"response","status":"failed","model":"gpt-6-luna","output":[],"error":{"code":"invalid_prompt","message":"flagged"},"usage":null}`

	errorChunk = `data: {"error":{"message":"flagged","type":"invalid_request_error","code":"invalid_prompt"}}` + "\n\n"
	errorEvent = "event: error\n" + `data: {"message":"flagged","type":"invalid_request_error","code":"invalid_prompt"}` + "\n\n"
)

// TestAFailureThatAClientBringsAboutIsNoOutage: its prompt did, perhaps, and the next
// user's does not.
func TestAFailureThatAClientBringsAboutIsNoOutage(t *testing.T) {
	t.Parallel()
	fails := map[string]http.HandlerFunc{
		"whole": canned("application/json", wholeFailure),
		"chunk": canned("text/event-stream", errorChunk),
		"event": canned("text/event-stream", errorEvent),
		"long": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for range 9 { // with no end in sight; this is more than fits
				if _, err := io.WriteString(w, "data: "+strings.Repeat("x", 1<<20)); err != nil {
					return
				}
			}
		},
	}
	r := beforeCanned(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		for word, fail := range fails {
			if strings.Contains(string(body), "bring about "+word) {
				fail(w, req)
				return
			}
		}
		canned("application/json", fineResponse)(w, req)
	}, "BREAKER=1/10s")
	responses, chat := wayTo("responses"), wayTo("chat")
	for _, try := range []struct{ what, path, body string }{
		{"a whole response that failed", responses.path, responses.body("bring about whole")},
		{"an error among the chunks", chat.path, chat.body("bring about chunk", streaming)},
		{"an event of an error", chat.path, chat.body("bring about event", streaming)},
		{"a line without an end", chat.path, chat.body("bring about long", streaming)},
		{"a line without an end in a response", responses.path, responses.body("bring about long", streaming)},
	} {
		got := r.post(try.path, try.body, r.asMallory())
		if !strings.Contains(got.body, `"error":{`) || strings.Contains(got.body, "flagged") {
			t.Errorf("%s: %d %.300s, want an error of ours", try.what, got.status, got.body)
		}
		if got.status != 200 {
			got.wantsV1(t, 502, "upstream_error")
			wantsHeaders(t, try.what, got, "", true) // each try may be billed
		}
		if got := r.post(responses.path, responses.body("hello")); got.status != 200 {
			t.Fatalf("after %s, somebody else's, the next user gets %d %s", try.what, got.status, got.body)
		}
	}
}

// TestAnErrorInAStreamOfOursOpensTheBreaker: the request is ours, and so nothing but
// OpenAI's trouble.
func TestAnErrorInAStreamOfOursOpensTheBreaker(t *testing.T) {
	t.Parallel()
	r := beforeCanned(t, canned("text/event-stream", errorChunk), "BREAKER=1/10s")
	r.ask("hello", "Accept: text/event-stream")
	r.ask("hello").wants(t, 503, "unavailable")
}

// TestASlowReaderDoesNotOpenTheBreaker: while it does not read we do not either, and
// OpenAI's side does not wait for ever.
func TestASlowReaderDoesNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	gaveUp := make(chan struct{})
	r := beforeCanned(t, func(w http.ResponseWriter, req *http.Request) {
		if body, _ := io.ReadAll(req.Body); !strings.Contains(string(body), "a book") {
			canned("application/json", fineResponse)(w, req)
			return
		}
		defer close(gaveUp)
		w.Header().Set("Content-Type", "text/event-stream")
		out := http.NewResponseController(w)
		for chunk := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("word ", 1000) + `"}}]}` + "\n\n"; ; {
			if err := out.SetWriteDeadline(time.Now().Add(3 * time.Second)); err != nil {
				t.Error(err)
			}
			if _, err := io.WriteString(w, chunk); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}, "BREAKER=1/10s")
	c := r.dial()
	defer c.Close()
	body := wayTo("chat").body("write a book", streaming)
	if _, err := io.WriteString(c, r.head(wayTo("chat").path)+"Content-Length: "+strconv.Itoa(len(body))+"\r\nConnection: close\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	<-gaveUp
	said := make([]byte, 0, 1<<10)
	for some := make([]byte, 64<<10); ; {
		n, err := c.Read(some)
		said = append(said, some[:n]...)
		said = said[max(0, len(said)-1<<10):]
		if err != nil {
			break
		}
	}
	if !strings.Contains(string(said), "upstream_interrupted") {
		t.Errorf("the stream ended in %q, want the error of one that broke", said)
	}
	if got := r.post("/v1/responses", wayTo("responses").body("hello")); got.status != 200 {
		t.Errorf("after a stream that somebody else read slowly, the next user gets %d %s", got.status, got.body)
	}
}

// TestAResponseMayEchoAllOfALongRequest: escaped, each "<" is six bytes, in an event
// that comes after words which our key might begin with.
func TestAResponseMayEchoAllOfALongRequest(t *testing.T) {
	t.Parallel()
	r := beforeCanned(t, func(w http.ResponseWriter, req *http.Request) {
		var asked struct{ Instructions string }
		if err := json.NewDecoder(req.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		echo, err := json.Marshal(asked.Instructions)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"status\":\"in_progress\",\"instructions\":%s}}\n\n", echo)
		fmt.Fprintf(w, "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"output_index\":0,\"content_index\":0,\"delta\":\"yes, %s\"}\n\n", canary[:12])
		fmt.Fprintf(w, "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"status\":\"completed\",\"model\":\"gpt-6-luna\",\"instructions\":%s,\"usage\":{\"input_tokens\":10,\"output_tokens\":3,\"total_tokens\":13}}}\n\n", echo)
	}, "MAX_BODY_V1=4MiB")
	const long = 2 << 20
	got := r.post("/v1/responses", wayTo("responses").body("hello", streaming, `"instructions":"`+strings.Repeat("<", long)+`"`))
	if got.status != 200 || strings.Count(got.body, `\u003c`) != 2*long || !strings.Contains(got.body[len(got.body)-200:], `"output_tokens":3`) {
		t.Fatalf("%d, %d bytes that end in %q; want the whole response", got.status, len(got.body), got.body[max(0, len(got.body)-300):])
	}
	if day := r.settled("ana").Day; day.Spent == "0" || day.ChargedAtCeiling != "0" {
		t.Errorf("spent %s, and %s at the ceiling; its usage proves its cost", day.Spent, day.ChargedAtCeiling)
	}
}
