package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"keyshield/internal/sim"
)

func TestChunksAreAsManyAsAsked(t *testing.T) {
	w := start(t, sim.Options{})
	for _, n := range []int{1, 2, 3, 40, 100, 1000} {
		got := read(t, w.ask(t, fmt.Sprintf("[[sim chunks=%d]] Grüße", n), true), true)
		if len(got.pieces) != n {
			t.Errorf("chunks=%d: got %d", n, len(got.pieces))
		}
	}
	got := read(t, w.ask(t, `[[sim chunks=7 text=äöüßéèñô]]`, true), true)
	if len(got.pieces) != 7 || got.text() != "äöüßéèñô" || slices.ContainsFunc(got.pieces, func(p string) bool { return !utf8.ValidString(p) }) {
		t.Errorf("got %q, want seven pieces cut between characters", got.pieces)
	}
}

func TestBytesPerChunkAndSize(t *testing.T) {
	w := start(t, sim.Options{})
	got := read(t, w.ask(t, "[[sim bytes=10 size=95]] hello", true), true)
	if len(got.text()) != 95 || len(got.pieces) != 10 || len(got.pieces[0]) != 10 || len(got.pieces[9]) != 5 {
		t.Errorf("got %d bytes in %q, want nine pieces of ten bytes and one of five", len(got.text()), got.pieces)
	}
	bothWays(t, func(t *testing.T, stream bool) {
		got := read(t, w.ask(t, "[[sim size=100000]] hello", stream), stream)
		if len(got.text()) != 100_000 || got.usage.CompletionTokens != 25_000 {
			t.Errorf("got %d bytes, %+v; want 100000 and 25000 tokens", len(got.text()), got.usage)
		}
	})
}

func TestOutputLimitIsHonoured(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		body := strings.Replace(completion("äöü [[sim size=1000]]", stream), "{", `{"max_completion_tokens":8,`, 1)
		got := read(t, w.do(t, w.request(t.Context(), t, body)), stream)
		if len(got.text()) != 32 || got.finish != "length" || got.usage.CompletionTokens != 8 {
			t.Errorf("got %q, finish %s, %+v; want 32 bytes, length, 8 tokens", got.text(), got.finish, got.usage)
		}
	})
}

func TestReasoningEatsTheOutputLimit(t *testing.T) {
	w := start(t, sim.Options{})
	for _, c := range []struct {
		effort, limit     string
		reasoning, tokens int
		finish            string
	}{
		{"none", "100", 0, 1, "stop"},
		{"low", "100", 64, 65, "stop"},
		{"medium", "100", 100, 100, "length"},
	} {
		body := strings.Replace(completion("[[sim text=four]]", false), `"none"`, `"`+c.effort+`","max_completion_tokens":`+c.limit, 1)
		got := read(t, w.do(t, w.request(t.Context(), t, body)), false)
		if got.usage.Completion.Reasoning != c.reasoning || got.usage.CompletionTokens != c.tokens || got.finish != c.finish {
			t.Errorf("effort %s: got %+v, finish %s; want %d of %d tokens for reasoning, %s", c.effort, got.usage, got.finish, c.reasoning, c.tokens, c.finish)
		}
	}
}

func TestTheKeyIsEchoedEveryWay(t *testing.T) {
	w := start(t, sim.Options{})
	whole := func(t *testing.T, words string, stream bool) string {
		t.Helper()
		got := read(t, w.ask(t, "[[sim "+words+"]] hello", stream), stream)
		if !strings.Contains(got.text(), key) {
			t.Errorf("%s: got %q, want the key in it", words, got.text())
		}
		return strings.Join(got.pieces, "|")
	}
	bothWays(t, func(t *testing.T, stream bool) {
		whole(t, "leak=whole", stream)
		whole(t, "leak=whole escape", stream)
		raw := w.ask(t, "[[sim leak=whole escape]] hello", stream).body
		if strings.Contains(raw, key) || !strings.Contains(raw, `\u0074\u0065\u0073\u0074\u002d`) {
			t.Errorf("got %q, want the key only as \\u00XX", raw)
		}
		a := w.ask(t, "[[sim leak=header]] hello", stream)
		if got := a.header.Get("X-Debug-Authorization"); got != "Bearer "+key {
			t.Errorf("got header %q, want the key", got)
		}
		if got := read(t, w.ask(t, "[[sim leak=fields]] hello", stream), stream); got.model != key {
			t.Errorf("got model %q, want the key", got.model)
		}
	})
	for split := 1; split < len(key); split++ {
		if got := whole(t, fmt.Sprintf("leak=split split=%d", split), true); !strings.Contains(got, "|"+key[:split]+"|"+key[split:]+"|") {
			t.Errorf("got %q, want the key cut after %d bytes", got, split)
		}
	}
	if got := whole(t, "leak=bytes", true); !strings.Contains(got, strings.Join(strings.Split(key, ""), "|")) {
		t.Errorf("got %q, want a byte of the key per chunk", got)
	}
	if got := w.ask(t, fmt.Sprintf("[[sim leak=split split=%d]]", len(key)), true); got.status != 400 {
		t.Errorf("got %d for a cut beyond the key, want 400", got.status)
	}
	for _, words := range []string{"status=500 leak=error", "status=502 html leak=error", "fault=error_chunk leak=error"} {
		if got := w.ask(t, "[[sim "+words+"]]", true); !strings.Contains(got.body, key) {
			t.Errorf("%s: got %q, want the key in it", words, got.body)
		}
	}
}

func TestOddButWholeAnswers(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		ask := func(words string) said {
			t.Helper()
			return read(t, w.ask(t, "[[sim "+words+"]] hello", stream), stream)
		}
		if got := ask("model=gpt-6-astra"); got.model != "gpt-6-astra" {
			t.Errorf("got model %q, want the other", got.model)
		}
		if got := ask("choices=2"); got.choices != 2 || got.usage.CompletionTokens != 2*((len(got.text())+3)/4) {
			t.Errorf("got %d choices and %+v, want two, both counted", got.choices, got.usage)
		}
		if got := ask("finish=content_filter"); got.finish != "content_filter" || strings.Contains(got.text(), "stand here") {
			t.Errorf("got %q, finish %s; want half a text, content_filter", got.text(), got.finish)
		}
		if got := ask("refusal"); got.text() != "" || !strings.Contains(got.refusal, "refuse") {
			t.Errorf("got %q, refusal %q; want only a refusal", got.text(), got.refusal)
		}
		if got := ask("fault=null_content"); got.text() != "" || got.finish != "stop" {
			t.Errorf("got %q, finish %s; want nothing and stop", got.text(), got.finish)
		}
		if got := ask("fault=reasoning_only"); got.text() != "" || got.finish != "length" || got.usage.Completion.Reasoning != got.usage.CompletionTokens || got.usage.CompletionTokens == 0 {
			t.Errorf("got %q, finish %s, %+v; want only reasoning", got.text(), got.finish, got.usage)
		}
		raw := w.ask(t, "[[sim fault=invalid_utf8]] hello", stream)
		if utf8.ValidString(raw.body) || raw.status != 200 {
			t.Errorf("got %q, want bytes that are not UTF-8", raw.body)
		}
		if got := w.ask(t, "[[sim content_type=text/plain]] hello", stream).header.Get("Content-Type"); got != "text/plain" {
			t.Errorf("got content type %q, want the wrong one", got)
		}
	})
}

func TestUsageCanLie(t *testing.T) {
	w := start(t, sim.Options{})
	bothWays(t, func(t *testing.T, stream bool) {
		for _, c := range []struct {
			words string
			wrong func(*usage) bool
		}{
			{"usage=missing", func(u *usage) bool { return u == nil }},
			{"usage=null", func(u *usage) bool { return u == nil }},
			{"usage=zero", func(u *usage) bool { return u != nil && *u == usage{} }},
			{"usage=negative", func(u *usage) bool { return u.PromptTokens < 0 && u.CompletionTokens < 0 && u.TotalTokens < 0 }},
			{"usage=huge", func(u *usage) bool { return u.PromptTokens == 1<<63-1 && u.CompletionTokens == 1<<63-1 }},
			{"usage=cached", func(u *usage) bool { return u.Prompt.Cached > u.PromptTokens }},
			{"extra_tokens=16 text=four", func(u *usage) bool { return u.CompletionTokens == 17 }},
		} {
			before := w.Report()
			a := w.ask(t, "[[sim "+c.words+"]] hello", stream)
			if got := read(t, a, stream); !c.wrong(got.usage) {
				t.Errorf("%s: got %+v", c.words, got.usage)
			}
			if c.words == "usage=missing" && stream && strings.Contains(a.body, `"choices":[]`) {
				t.Errorf("%s: got a usage chunk", c.words)
			}
			if after := w.Report(); after.BillNano <= before.BillNano {
				t.Errorf("%s: the bill did not grow: it stays true", c.words)
			}
		}
	})
}
