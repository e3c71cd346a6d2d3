package wire_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestAnswerIsRead(t *testing.T) {
	body, err := os.ReadFile("testdata/answer.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.ReadAnswer(body)
	want := wire.Answer{
		Content:     wire.Literal(`"She wrote: \"content\": {\"finish_reason\"}\nand left. \ud83d\ude00 é"`),
		Finish:      "stop",
		Model:       wire.Literal(`"gpt-6-luna-2026-08-01"`),
		ServiceTier: wire.Literal(`"default"`),
		Usage:       wire.Usage{Prompt: 1117, Completion: 46, Total: 1163, Cached: 1024, CacheWrite: 64, Reasoning: 12},
		HasUsage:    true,
		Detailed:    true,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("ReadAnswer: %v\n%s", err, diff)
	}
	const text = "She wrote: \"content\": {\"finish_reason\"}\nand left. 😀 é"
	if got := string(got.Content.AppendText(nil)); got != text {
		t.Errorf("content = %q, want %q", got, text)
	}
}

// A stream as the provider sends it, and what we make of it.
func TestStreamIsRead(t *testing.T) {
	for _, name := range []string{"stream", "refusal", "broken"} {
		f, err := os.Open("testdata/" + name + ".sse")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var out strings.Builder
		events := wire.NewEvents(f)
		for {
			ev, err := events.Next()
			if err != nil {
				fmt.Fprintln(&out, err)
				break
			}
			if string(ev.Data) == "[DONE]" {
				fmt.Fprintln(&out, "[DONE]")
				continue
			}
			c, err := wire.ReadChunk(ev.Data)
			fmt.Fprintf(&out, "%d choices, content %s, refusal %s, finish %q, model %s, tier %s, usage %v %+v, error %v, %v\n",
				c.Choices, c.Content, c.Refusal, c.Finish, c.Model, c.ServiceTier, c.HasUsage, c.Usage, c.Error, err)
		}
		golden := "testdata/" + name + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), out.String()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestContentIsFoundOnlyWhereItBelongs(t *testing.T) {
	for body, want := range map[string]string{
		`{"choices":[{"message":{"content":"yes"}}]}`:                                           `"yes"`,
		`{"content":"no","choices":[{"content":"no","message":{"x":{"content":"no"}}}]}`:        ``,
		`{"choices":[{"message":{"content":null,"refusal":"\"content\":\"no\""}}]}`:             ``,
		`{"x":"{\"choices\":[{\"message\":{\"content\":\"no\"}}]}","choices":[{"message":{}}]}`: ``,
		`{"choices":[{"message":{"\u0063ontent":"yes"}}]}`:                                      `"yes"`,
		`{"choices":[{"message":{"Content":"no","content ":"no"}}]}`:                            ``,
		`{"choices":[{"message":{"content":"yes"}},{"message":{"content":"no"}}]}`:              `"yes"`,
		`{"choices":[{"delta":{"content":"no"},"message":{"content":""}}]}`:                     `""`,
		" \t\r\n{ \"choices\" : [ { \"message\" : { \"content\" : \"yes\" } } ] } \n":           `"yes"`,
	} {
		a, err := wire.ReadAnswer([]byte(body))
		if string(a.Content) != want || err != nil {
			t.Errorf("%s: content %s, %v; want %s", body, a.Content, err, want)
		}
	}
}

func TestMalformedAnswersAreRefused(t *testing.T) {
	for _, body := range []string{
		``, ` `, `null`, `[]`, `"x"`, `1`, `{}`, `{"error":{"message":"no"}}`,
		`{"choices":null}`, `{"choices":[]}`, `{"choices":{}}`, `{"choices":[null]}`, `{"choices":[1]}`,
		`{"choices":[{}]}`, `{"choices":[{"message":null}]}`, `{"choices":[{"message":"x"}]}`,
		`{"choices":[{"message":{"content":1}}]}`, `{"choices":[{"message":{"content":["x"]}}]}`,
		`{"choices":[{"message":{"content":"x"}}],"error":{}}`,
		`{"choices":[{"message":{}}]} x`, `{"choices":[{"message":{}}]}{}`,
		`{"choices":[{"message":{}}]`, `{"choices":[{"message":{}}],}`, `{"choices":[{"message":{}},]}`,
		`{"choices":[{"message":{}}],"usage":[]}`, `{"choices":[{"message":{}}],"usage":{"prompt_tokens":"1"}}`,
		`{"choices":[{"message":{},"finish_reason":1}]}`, `{"choices":[{"message":{}}],"model":{}}`,
		"\ufeff" + `{"choices":[{"message":{}}]}`,
	} {
		if a, err := wire.ReadAnswer([]byte(body)); !errors.Is(err, wire.ErrMalformed) || !cmp.Equal(a, wire.Answer{}) {
			t.Errorf("%s: %+v, %v; want nothing and ErrMalformed", body, a, err)
		}
	}
}

// Of two readers one would take the first, the other the last: a price may hang
// on it, or what the scan for secrets gets to see.
func TestDuplicateMembersAreRefused(t *testing.T) {
	for _, body := range []string{
		`{"choices":[{"message":{}}],"choices":[{"message":{}}]}`,
		`{"choices":null,"choices":[{"message":{}}]}`,
		`{"choices":[{"message":{"content":"a","content":"b"}}]}`,
		`{"choices":[{"message":{"content":"a","\u0063ontent":"b"}}]}`,
		`{"choices":[{"message":{"refusal":null,"refusal":"b"}}]}`,
		`{"choices":[{"message":{},"message":{}}]}`,
		`{"choices":[{"message":{},"finish_reason":null,"finish_reason":"stop"}]}`,
		`{"choices":[{"message":{}}],"model":"a","model":"b"}`,
		`{"choices":[{"message":{}}],"service_tier":"a","service_tier":"b"}`,
		`{"choices":[{"message":{}}],"usage":null,"usage":{}}`,
		`{"choices":[{"message":{}}],"error":null,"error":null}`,
		`{"choices":[{"message":{}}],"usage":{"prompt_tokens":9,"prompt_tokens":1}}`,
		`{"choices":[{"message":{}}],"usage":{"completion_tokens":9,"completion_tokens":1}}`,
		`{"choices":[{"message":{}}],"usage":{"total_tokens":9,"total_tokens":1}}`,
		`{"choices":[{"message":{}}],"usage":{"prompt_tokens_details":{},"prompt_tokens_details":{}}}`,
		`{"choices":[{"message":{}}],"usage":{"completion_tokens_details":{},"completion_tokens_details":{}}}`,
		`{"choices":[{"message":{}}],"usage":{"prompt_tokens_details":{"cached_tokens":1,"cached_tokens":2}}}`,
		`{"choices":[{"message":{}}],"usage":{"prompt_tokens_details":{"cache_write_tokens":1,"cache_write_tokens":2}}}`,
		`{"choices":[{"message":{}}],"usage":{"completion_tokens_details":{"reasoning_tokens":1,"reasoning_tokens":2}}}`,
	} {
		if _, err := wire.ReadAnswer([]byte(body)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := wire.ReadAnswer([]byte(`{"x":1,"x":2,"choices":[{"message":{"x":1,"x":2}}]}`)); err != nil {
		t.Errorf("members that we do not read: %v", err)
	}
}

func TestFinishReasonsAreOurOwnWords(t *testing.T) {
	for literal, want := range map[string]string{
		`null`: "", `"stop"`: "stop", `"length"`: "length", `"content_filter"`: "content_filter",
		`"tool_calls"`: "tool_calls", `"function_call"`: "function_call", `"\u0073top"`: "stop",
		`""`: "other", `"STOP"`: "other", `"` + strings.Repeat("x", 300) + `"`: "other",
	} {
		c, err := wire.ReadChunk([]byte(`{"choices":[{"delta":{},"finish_reason":` + literal + `}]}`))
		if c.Finish != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", literal, c.Finish, err, want)
		}
	}
}

func TestChunksThatAreNone(t *testing.T) {
	for _, data := range []string{`{}`, `[DONE]`, `{"choices":null}`, `{"error":null}`, `{"choices":[{"delta":[]}]}`, `{"error":{"x":1}`} {
		if c, err := wire.ReadChunk([]byte(data)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %+v, %v; want ErrMalformed", data, c, err)
		}
	}
	for data, choices := range map[string]int{`{"choices":[]}`: 0, `{"choices":[{}]}`: 1, `{"choices":[{"delta":null},{}]}`: 2} {
		if c, err := wire.ReadChunk([]byte(data)); c.Choices != choices || c.Error || err != nil {
			t.Errorf("%s: %+v, %v; want %d choices", data, c, err, choices)
		}
	}
	if c, err := wire.ReadChunk([]byte(`{"error":{"message":"x"}}`)); !c.Error || err != nil {
		t.Errorf("an error event is not seen: %+v, %v", c, err)
	}
}

// What the provider sent may be a key, or a person's words.
func TestErrorsQuoteNothing(t *testing.T) {
	const word = "Zq8Zq8"
	for _, body := range []string{
		`{"` + word + `"}`, `{"x":` + word + `}`, `{"x":"` + word + "\n", `{"x":"\` + word + `"}`, word, `{"choices":[{"message":"` + word + `"}]}`,
	} {
		if _, err := wire.ReadAnswer([]byte(body)); err == nil || strings.Contains(err.Error(), "Zq8") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	answer, chunk := []byte(sampleAnswer), []byte(sampleChunk)
	var dst [4096]byte
	if n := testing.AllocsPerRun(100, func() {
		a, _ := wire.ReadAnswer(answer)
		c, _ := wire.ReadChunk(chunk)
		wire.AppendQuote(a.Content.AppendText(dst[:0]), c.Content)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
