package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestHonestTextIsNotHeldBackOnV1, though it begins like the key again and again; and
// what was held back meanwhile comes in its order.
func TestHonestTextIsNotHeldBackOnV1(t *testing.T) {
	t.Parallel()
	r := hastyV1(t)
	var tries []func()
	for n := 1; n < 24; n += 2 {
		want := strings.TrimSpace(strings.Repeat(canary[:n]+"! ", 6))
		for _, w := range spokenWays() {
			for _, bytes := range []int{0, 1, 5} {
				tries = append(tries, func() {
					got := r.post(w.path, w.body(fmt.Sprintf("[[sim text=%q bytes=%d]]", want, bytes), streaming))
					all := got.frames(t)
					if text := spoken(t, all); got.status != 200 || text != want {
						t.Errorf("%s: %d bytes alike, %d at a time: %d, %d of %d bytes", w.name, n, bytes, got.status, len(text), len(want))
					}
					for i, e := range all { // OpenAI numbers them, where it does
						if e.data == "[DONE]" {
							break
						}
						if s, numbered := object(t, e.data)["sequence_number"].(float64); numbered && int(s) != i {
							t.Errorf("%s: event %d comes as number %d", w.name, i, int(s))
						}
					}
				})
			}
		}
	}
	inBatches(tries)
}

// TestAKeyCutShortIsHeldBackOnV1: the limit on the answer's length may cut it; from
// sixteen bytes on, that is our key and no chance.
func TestAKeyCutShortIsHeldBackOnV1(t *testing.T) {
	t.Parallel()
	r := hastyV1(t)
	var tries []func()
	for n := 2; n < len(canary); n += 5 {
		for _, w := range spokenWays() {
			for _, stream := range []bool{true, false} {
				tries = append(tries, func() {
					limit := map[string]string{"chat": `"max_completion_tokens":100`, "responses": `"max_output_tokens":100`}[w.name] // of four bytes each, in the simulator
					got := r.post(w.path, w.body(fmt.Sprintf("[[sim leak=whole text=%s]]", strings.Repeat("x", 400-n)), limit, fmt.Sprintf(`"stream":%v`, stream)))
					failed := strings.Contains(got.body, `"code":"internal"`)
					if failed != (n >= 16) {
						t.Errorf("%s, streamed %v: %d bytes of the key at the end: %d, refused: %v", w.name, stream, n, got.status, failed)
					}
					all, _, _ := events(strings.NewReader(got.body)) // how it ends was looked at above
					if text := got.body + generatedIn(all); failed && strings.Contains(text, canary[:harmless+1]) {
						t.Errorf("%s, streamed %v: %d bytes of the key at the end: some of them passed", w.name, stream, n)
					}
				})
			}
		}
	}
	inBatches(tries)
}

// TestALongAnswerThatIsSoundPasses whole: what a request may ask for, its answer may
// hold. Else it was paid for, and nobody gets it.
func TestALongAnswerThatIsSoundPasses(t *testing.T) {
	t.Parallel()
	// 2,048 tokens with the twenty likeliest of each, as OpenAI indents them.
	const token = `
            {
              "token": " word",
              "logprob": -12.345678,
              "bytes": [
                32,
                119,
                111,
                114,
                100
              ]`
	one := token + `,
              "top_logprobs": [` + strings.TrimSuffix(strings.Repeat(token+"\n            },", 20), ",") + "]}"
	answer := `{"id":"x","model":"gpt-6-luna","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop","logprobs":{"content":[` + strings.TrimSuffix(strings.Repeat(one+",", 2048), ",") + `]}}],"usage":{"prompt_tokens":9,"completion_tokens":2048,"total_tokens":2057}}`
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer)
	}))
	t.Cleanup(back.Close)
	r := startBefore(t, back.URL, "ENDPOINTS=chat", plansAre(t, `{"pro":{"logprobs":true}}`))
	chat := wayTo("chat")
	got := r.post(chat.path, chat.body("hi", `"logprobs":true`, `"top_logprobs":20`), onPlan(t, "ana", "pro"))
	if got.status != 200 || got.body != answer {
		t.Errorf("an answer of %d bytes, within the output limit: %d %.200s", len(answer), got.status, got.body)
	}

	// A response repeats the tools of its request, indented.
	v1 := startV1(t)
	w := wayTo("responses")
	tools := `"tools":[{"type":"function","name":"f","parameters":{"enum":[` + strings.TrimSuffix(strings.Repeat("1,", 400_000), ",") + `]}}]`
	if got := v1.post(w.path, w.body("hi", tools)); got.status != 200 {
		t.Errorf("a response that repeats 800 kB of tools: %d %.200s", got.status, got.body)
	}
}
