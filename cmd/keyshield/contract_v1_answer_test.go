package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/money"
)

// beforeCanned runs serve before a provider that answers as do says; every model is
// there.
func beforeCanned(t *testing.T, do http.HandlerFunc, extra ...string) *rig {
	t.Helper()
	back := httptest.NewServer(do)
	t.Cleanup(back.Close)
	return startBefore(t, back.URL, append(openV1(), extra...)...)
}

// canned answers with these bytes.
func canned(form, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", form)
		_, _ = io.WriteString(w, body) // a client that has left misses nothing
	}
}

// v1Headers are what OpenAI's own answers may add to ours.
var v1Headers = []string{"Openai-Processing-Ms", "Openai-Version"}

// onlyOursAndTheirs checks that every header is ours, or one of the few of OpenAI's
// that describe neither our account nor our connection.
func onlyOursAndTheirs(t testing.TB, what string, got reply) {
	t.Helper()
	h := got.header.Clone()
	for _, name := range v1Headers {
		h.Del(name)
	}
	onlyOurs(t, what, reply{got.status, h, got.body, got.err})
}

// TestWholeAnswersPassByteForByte: what the SDKs know of is OpenAI's to say, tomorrow
// too.
func TestWholeAnswersPassByteForByte(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"chat":        "{\n  \"id\": \"chatcmpl-1\", \"brand_new\": {\"a\": [1e400, \"\\u00e9\"]},\n \"model\": \"gpt-6-luna\", \"choices\": [{\"index\": 0, \"message\": {\"role\": \"assistant\", \"content\": \"Hi\\/\"}, \"finish_reason\": \"stop\"}], \"usage\": {\"prompt_tokens\": 1, \"completion_tokens\": 1, \"total_tokens\": 2}}\n",
		"responses":   `{"id":"resp_1","object":"response","status":"completed","model":"gpt-6-luna","brand_new":1,"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"}]},{"type":"brand_new"}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}`,
		"embeddings":  `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-7]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":1,"total_tokens":1}}`,
		"moderations": `{"id":"modr-1","model":"omni-moderation-latest","results":[{"flagged":false,"categories":{"brand_new":false}}]}`,
	} {
		w := wayTo(name)
		got := beforeCanned(t, canned("application/json", body)).post(w.path, w.body("hi"))
		got.wants200(t, jsonForm)
		if diff := cmp.Diff(body, got.body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestEmbeddingsComeInEitherForm: the SDKs ask for base64 by themselves.
func TestEmbeddingsComeInEitherForm(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	w := wayTo("embeddings")
	for format, isText := range map[string]bool{"float": false, "base64": true} {
		got := r.post(w.path, w.body("hi", `"encoding_format":"`+format+`"`, `"dimensions":8`)).wantsAnswer(t)
		vector := at(t, object(t, got.body), "data", 0, "embedding")
		if _, text := vector.(string); text != isText {
			t.Errorf("%s: the vector is a %T", format, vector)
		}
	}
}

const (
	chatHead  = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-6-luna","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}` + "\n\n"
	chatWord  = `data: {"id":"chatcmpl-1", "model":"gpt-6-luna", "choices":[{"index":0,"delta":{"content":"\u00e9<"},"logprobs":null,"finish_reason":null}],"usage":null,"brand_new":true,"obfuscation":"x"}` + "\n\n"
	chatStop  = `data: {"id":"chatcmpl-1","model":"gpt-6-luna","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}` + "\n\n"
	chatUsage = `data: {"id":"chatcmpl-1","model":"gpt-6-luna","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}` + "\n\n"
	chatDone  = "data: [DONE]\n\n"

	responseHead = "event: response.created\n" + `data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","model":"gpt-6-luna"}}` + "\n\n"
	responseWord = "event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":1,"delta":"\u00e9<","brand_new":1}` + "\n\n"
	responseNew  = "event: response.brand_new\n" + `data: {"type":"response.brand_new","sequence_number":2}` + "\n\n"
	responseDone = "event: response.completed\n" + `data: {"type":"response.completed","sequence_number":3,"response":{"id":"resp_1","status":"completed","model":"gpt-6-luna","output":[],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}` + "\n\n"
)

// TestEventsPassAsTheyAre but for the chunk that the client did not ask for, which
// breaks code that takes choices[0], and for what is no event.
func TestEventsPassAsTheyAre(t *testing.T) {
	t.Parallel()
	chat, responses := wayTo("chat"), wayTo("responses")
	const asked = `"stream_options":{"include_usage":true}`
	for name, c := range map[string]struct {
		way          way
		more         []string
		comes, wants string
	}{
		"chat":                          {chat, nil, chatHead + chatWord + chatStop + chatUsage + chatDone, chatHead + chatWord + chatStop + chatDone},
		"chat, usage asked for":         {chat, []string{asked}, chatHead + chatWord + chatStop + chatUsage + chatDone, chatHead + chatWord + chatStop + chatUsage + chatDone},
		"chat, usage refused":           {chat, []string{`"stream_options":{"include_usage":false}`}, chatHead + chatStop + chatUsage + chatDone, chatHead + chatStop + chatDone},
		"chat without usage":            {chat, []string{asked}, chatHead + chatWord + chatStop + chatDone, chatHead + chatWord + chatStop + chatDone},
		"chat with comments and more":   {chat, nil, ": hello\n\nid: 7\nretry: 10\n" + chatHead + chatStop + ": bye\n\n" + chatDone, chatHead + chatStop + chatDone},
		"chat in lines of Windows":      {chat, nil, strings.ReplaceAll(chatHead+chatStop+chatDone, "\n", "\r\n"), chatHead + chatStop + chatDone},
		"chat without its last word":    {chat, nil, chatHead + chatWord + chatStop + chatUsage, chatHead + chatWord + chatStop + chatDone},
		"responses":                     {responses, nil, responseHead + responseWord + responseNew + responseDone, responseHead + responseWord + responseNew + responseDone},
		"responses with comments":       {responses, nil, ": hello\n\n" + responseHead + responseDone, responseHead + responseDone},
		"responses, and more after all": {responses, nil, responseHead + responseDone + responseWord, responseHead + responseDone},
	} {
		r := beforeCanned(t, canned("text/event-stream", c.comes))
		got := r.post(c.way.path, c.way.body("hi", append(c.more, streaming)...))
		got.wants200(t, eventForm)
		if diff := cmp.Diff(c.wants, got.body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestStreamsOfV1HaveTheHeadersThatKeepThemFlowing.
func TestStreamsOfV1HaveTheHeadersThatKeepThemFlowing(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, w := range ways()[:2] {
		got := r.post(w.path, w.body("hi", streaming), "Accept-Encoding: gzip, br")
		got.wants200(t, eventForm)
		for name, want := range map[string]string{"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", "Content-Encoding": "", "Content-Length": ""} {
			if value := got.header.Get(name); value != want {
				t.Errorf("%s: %s is %q, want %q", w.name, name, value, want)
			}
		}
		for _, e := range got.frames(t) {
			if w.name == "chat" && e.name != "" {
				t.Errorf("chat has an event named %q", e.name)
			}
		}
		if done := strings.HasSuffix(got.body, chatDone); done != (w.name == "chat") {
			t.Errorf("%s ends in [DONE]: %t", w.name, done)
		}
	}
}

// TestStreamingIsDecidedByTheBodyAlone: the SDKs ask for streams with Accept:
// application/json.
func TestStreamingIsDecidedByTheBodyAlone(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, w := range ways()[:2] {
		for _, accept := range []string{"", "application/json", "text/event-stream", "text/plain", "*/*"} {
			r.post(w.path, w.body("hi", streaming), "Accept:"+accept).wants200(t, eventForm)
			for _, more := range [][]string{nil, {`"stream":false`}, {`"stream":null`}} {
				r.post(w.path, w.body("hi", more...), "Accept:"+accept).wants200(t, jsonForm)
			}
		}
	}
}

// TestWhatAStreamCostIsKnownWhetherAskedOrNot: nobody gets out of being metered by
// leaving usage out.
func TestWhatAStreamCostIsKnownWhetherAskedOrNot(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	r := startV1(t)
	for _, more := range []string{streaming, streaming + `,"stream_options":{"include_usage":false}`, streaming + `,"stream_options":{"include_usage":null}`, streaming + `,"stream_options":{"include_usage":true}`, `"stream":false`} {
		for _, w := range ways()[:2] {
			if w.name == "responses" && strings.Contains(more, "include_usage") {
				continue
			}
			got := r.post(w.path, w.body("hi", more)).wantsAnswer(t)
			if w.name == "chat" && strings.HasPrefix(more, streaming) {
				if has, asked := strings.Contains(got.body, `"choices":[]`), strings.Contains(more, "true}"); has != asked {
					t.Errorf("%s: the usage chunk is there: %t", more, has)
				}
			}
			if mine, bill := r.settled("ana").Day, amountOf(money.USD(r.sim.Report().BillNano)); mine.Spent != bill || mine.ChargedAtCeiling != "0" {
				t.Fatalf("%s, %s: spent %s and at the ceiling %s; OpenAI bills %s", w.name, more, mine.Spent, mine.ChargedAtCeiling, bill)
			}
		}
	}
}

// TestEachEventLeavesBeforeTheNextOneComes: the provider says the next one only when
// the client has the last.
func TestEachEventLeavesBeforeTheNextOneComes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		way    way
		events []string
	}{
		{wayTo("chat"), []string{chatHead, chatWord, chatStop}},
		{wayTo("responses"), []string{responseHead, responseWord, responseNew}},
	} {
		seen := make(chan struct{})
		r := beforeCanned(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
			for _, e := range append([]string{""}, c.events...) {
				fmt.Fprint(w, e)
				http.NewResponseController(w).Flush()
				select {
				case <-seen:
				case <-time.After(3 * time.Second):
					return
				}
			}
			fmt.Fprint(w, chatUsage, chatDone)
		})
		resp, err := r.web.Do(r.request(c.way.path, c.way.body("hi", streaming)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		goOn := func() {
			select {
			case seen <- struct{}{}:
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: the provider had to go on by itself", c.way.name)
			}
		}
		goOn() // the header is here, and nothing was said
		for _, want := range c.events {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
				t.Fatalf("%s: got %q (%v), want %q", c.way.name, got, err, want)
			}
			goOn()
		}
	}
}

// TestNoHeaderOfOurAccountComesBack: an allow-list, for nobody knows what a provider
// will send tomorrow.
func TestNoHeaderOfOurAccountComesBack(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, words := range []string{"", "leak=header", "status=400", "status=429 retry_after=7", "status=500 leak=header", "fault=cut"} {
		for _, w := range ways() {
			for _, more := range []string{`"model":"` + w.model + `"`, streaming} {
				if more == streaming && !w.streams {
					continue
				}
				got := r.post(w.path, w.body("[[sim "+words+"]] hi", more))
				what := w.name + " " + more + " " + words
				onlyOursAndTheirs(t, what, got)
				for _, name := range slices.Sorted(slices.Values(headerNames(got.header))) {
					if strings.Contains(strings.Join(got.header[name], " "), "simulated") {
						t.Errorf("%s: %s is the provider's: %q", what, name, got.header[name])
					}
				}
				if passed := got.header.Get("Openai-Version"); (passed != "") != (got.status == http.StatusOK) {
					t.Errorf("%s: openai-version is %q with %d", what, passed, got.status)
				}
			}
		}
	}
}
