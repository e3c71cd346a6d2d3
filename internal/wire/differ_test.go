package wire_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/sashabaranov/go-openai"
	"pgregory.net/rapid"

	"keyshield/internal/wire"
)

// reading is what a client sees of an answer, whoever read it.
type reading struct {
	Content, Refusal, Finish, Model, Tier string
	Choices                               int
	Usage                                 wire.Usage
	HasUsage                              bool
}

func ours(c wire.Chunk) reading {
	text := func(l wire.Literal) string { return string(l.AppendText(nil)) }
	return reading{text(c.Content), text(c.Refusal), c.Finish, text(c.Model), text(c.ServiceTier), c.Choices, c.Usage, c.HasUsage}
}

// TestReadingAgreesWithGoOpenAI writes answers and chunks in every shape that
// JSON allows, with decoys, and reads them with go-openai's types as well.
func TestReadingAgreesWithGoOpenAI(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := writer{t}
		speech := rapid.SampledFrom([]string{"message", "delta"}).Draw(t, "speech")
		said := w.object(map[string]string{
			"role": `"assistant"`, "content": w.maybeText(), "refusal": w.maybeText(),
		})
		choice := w.object(map[string]string{
			"index": "0", speech: said, "finish_reason": w.pick(`null`, `"stop"`, `"length"`, `"content_filter"`, `"tool_calls"`),
		})
		doc := w.object(map[string]string{
			"id": w.text(), "created": "1741570283", "model": w.text(), "service_tier": w.pick(`"default"`, `"flex"`),
			"choices": w.space("[" + w.space(choice) + "]"), "usage": w.usage(),
		})

		var got wire.Chunk
		var want reading
		var err, werr error
		if speech == "message" {
			got.Choices = 1
			got.Answer, err = wire.ReadAnswer([]byte(doc))
			var r openai.ChatCompletionResponse
			werr = json.Unmarshal([]byte(doc), &r)
			m := r.Choices[0].Message
			want = reading{Content: m.Content, Refusal: m.Refusal, Finish: string(r.Choices[0].FinishReason), Model: r.Model, Tier: string(r.ServiceTier), Choices: 1}
			want.Usage, want.HasUsage = usageOf(&r.Usage)
		} else {
			got, err = wire.ReadChunk([]byte(doc))
			var r openai.ChatCompletionStreamResponse
			werr = json.Unmarshal([]byte(doc), &r)
			d := r.Choices[0].Delta
			want = reading{Content: d.Content, Refusal: d.Refusal, Finish: string(r.Choices[0].FinishReason), Model: r.Model, Choices: 1}
			want.Usage, want.HasUsage = usageOf(r.Usage)
			got.ServiceTier = nil // go-openai does not read it here
		}
		if diff := cmp.Diff(want, ours(got)); diff != "" || err != nil || werr != nil {
			t.Fatalf("%s\nours: %v, theirs: %v\n%s", doc, err, werr, diff)
		}
	})
}

func usageOf(u *openai.Usage) (wire.Usage, bool) {
	if u == nil || u.PromptTokens == 0 { // the writer never writes 0
		return wire.Usage{}, false
	}
	usage := wire.Usage{Prompt: int64(u.PromptTokens), Completion: int64(u.CompletionTokens), Total: int64(u.TotalTokens)}
	if d := u.PromptTokensDetails; d != nil {
		usage.Cached = int64(d.CachedTokens)
	}
	if d := u.CompletionTokensDetails; d != nil {
		usage.Reasoning = int64(d.ReasoningTokens)
	}
	return usage, true
}

// writer writes the same thing in ever different ways.
type writer struct{ *rapid.T }

func (w writer) pick(of ...string) string { return rapid.SampledFrom(of).Draw(w.T, "pick") }

func (w writer) space(s string) string {
	return w.pick("", "", " ", "\n\t", "\r") + s + w.pick("", "", " ")
}

// object adds decoys to the members and shuffles them.
func (w writer) object(members map[string]string) string {
	for range rapid.IntRange(0, 2).Draw(w.T, "decoys") {
		name := w.pick("obfuscation", "metadata", "content ", "x\\\"content", "", "日")
		members[name] = w.pick(
			`"\"content\":\"decoy\""`, `{"content":"decoy","usage":{"prompt_tokens":1}}`, `[{"message":{"content":"decoy"}}]`,
			`"}]}"`, `"\\"`, `"\\\""`, `-1.5E+3`, `[]`, `{}`, `null`, `true`, w.text())
	}
	names := rapid.Permutation(sortedNames(members)).Draw(w.T, "order")
	var parts []string
	for _, name := range names {
		written := name
		if name != "" && name[0] < 0x80 && rapid.IntRange(0, 9).Draw(w.T, "escape") == 0 {
			written = fmt.Sprintf(`\u%04x%s`, name[0], name[1:])
		}
		parts = append(parts, w.space(`"`+written+`"`)+":"+w.space(members[name]))
	}
	return w.space("{" + strings.Join(parts, ",") + w.pick("", " ") + "}")
}

func sortedNames(m map[string]string) (names []string) {
	for name := range m {
		i := 0
		for i < len(names) && names[i] < name {
			i++
		}
		names = append(names[:i], append([]string{name}, names[i:]...)...)
	}
	return names
}

func (w writer) text() string {
	if s := rapid.String().Draw(w.T, "text"); rapid.Bool().Draw(w.T, "html") {
		b, _ := json.Marshal(s) // escapes <, > and & too
		return string(b)
	} else {
		return string(wire.AppendQuote(nil, s))
	}
}

func (w writer) maybeText() string { return w.pick("null", w.text(), w.text(), `"\ud83d\ude00\ud83d"`) }

func (w writer) usage() string {
	count := func() string { return strconv.Itoa(rapid.IntRange(1, 1<<40).Draw(w.T, "count")) }
	if rapid.Bool().Draw(w.T, "no usage") {
		return "null"
	}
	return w.object(map[string]string{
		"prompt_tokens": count(), "completion_tokens": count(), "total_tokens": count(),
		"prompt_tokens_details":     w.pick("null", w.object(map[string]string{"cached_tokens": count(), "audio_tokens": "0"})),
		"completion_tokens_details": w.pick("null", w.object(map[string]string{"reasoning_tokens": count()})),
	})
}

// FuzzReadChunk: a strict decoder, told the same about duplicates, comes to the
// same reading of any bytes; what it refuses we refuse.
func FuzzReadChunk(f *testing.F) {
	f.Add([]byte(sampleChunk))
	f.Add([]byte(strings.ReplaceAll(sampleAnswer, "message", "delta")))
	f.Add([]byte(`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":-2,"prompt_tokens_details":{"cached_tokens":1.0}}}`))
	f.Add([]byte(`{"error":{"message":"x"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := wire.ReadChunk(data)
		if err != nil {
			if want, werr := strictly(data, false); werr == nil && !strings.Contains(err.Error(), "nested") {
				t.Fatalf("%s\nrefused: %v\nwhile a strict decoder reads %+v", data, err, want)
			}
			return
		}
		want, werr := strictly(data, true)
		if diff := cmp.Diff(want, ours(c)); diff != "" || werr != nil {
			t.Fatalf("%s\n%v\n%s", data, werr, diff)
		}
	})
}

// strictly reads a chunk with a decoder that minds the case of names.
func strictly(data []byte, duplicates bool) (reading, error) {
	options := jsonv2.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(duplicates))
	var doc struct {
		Choices *[]jsontext.Value `json:"choices"`
		Error   jsontext.Value    `json:"error"`
		Model   string            `json:"model"`
		Tier    string            `json:"service_tier"`
		Usage   *struct {
			Prompt     jsontext.Value `json:"prompt_tokens"`
			Completion jsontext.Value `json:"completion_tokens"`
			Total      jsontext.Value `json:"total_tokens"`
			OfPrompt   struct {
				Cached     jsontext.Value `json:"cached_tokens"`
				CacheWrite jsontext.Value `json:"cache_write_tokens"`
			} `json:"prompt_tokens_details"`
			OfCompletion struct {
				Reasoning jsontext.Value `json:"reasoning_tokens"`
			} `json:"completion_tokens_details"`
		} `json:"usage"`
	}
	if err := jsonv2.Unmarshal(data, &doc, options); err != nil {
		return reading{}, err
	}
	r := reading{Model: doc.Model, Tier: doc.Tier}
	if doc.Choices == nil && (doc.Error == nil || doc.Error.Kind() == 'n') {
		return r, fmt.Errorf("neither choices nor error")
	}
	if doc.Choices != nil {
		r.Choices = len(*doc.Choices)
	}
	if r.Choices > 0 {
		var choice struct {
			Delta struct {
				Content string `json:"content"`
				Refusal string `json:"refusal"`
			} `json:"delta"`
			Finish *string `json:"finish_reason"`
		}
		if (*doc.Choices)[0].Kind() == 'n' {
			return r, fmt.Errorf("a choice that is null")
		}
		if err := jsonv2.Unmarshal((*doc.Choices)[0], &choice, options); err != nil {
			return r, err
		}
		r.Content, r.Refusal = choice.Delta.Content, choice.Delta.Refusal
		if choice.Finish != nil {
			r.Finish = "other"
			switch *choice.Finish {
			case "stop", "length", "content_filter", "tool_calls", "function_call":
				r.Finish = *choice.Finish
			}
		}
	}
	if u := doc.Usage; u != nil {
		var err error
		count := func(v jsontext.Value) (n int64, present bool) {
			switch {
			case v == nil || v.Kind() == 'n':
				return 0, false
			case v.Kind() != '0':
				err = fmt.Errorf("a count that is no number")
			}
			n, nerr := strconv.ParseInt(string(v), 10, 64)
			if nerr != nil || v[0] == '-' {
				return -1, true
			}
			return n, true
		}
		var prompt, completion bool
		r.Usage.Prompt, prompt = count(u.Prompt)
		r.Usage.Completion, completion = count(u.Completion)
		r.Usage.Total, _ = count(u.Total)
		r.Usage.Cached, _ = count(u.OfPrompt.Cached)
		r.Usage.CacheWrite, _ = count(u.OfPrompt.CacheWrite)
		r.Usage.Reasoning, _ = count(u.OfCompletion.Reasoning)
		r.HasUsage = prompt && completion
		return r, err
	}
	return r, nil
}
