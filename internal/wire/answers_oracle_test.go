package wire_test

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/wire"
)

// heard is a string value, by whoever read it.
type heard struct {
	Text      string
	Generated bool
}

// listener collects what is heard.
type listener struct{ heard []heard }

func (l *listener) hear(s wire.Literal, generated bool) {
	l.heard = append(l.heard, heard{string(s.AppendText(nil)), generated})
}

func (l *listener) generated() string {
	var text strings.Builder
	for _, h := range l.heard {
		if h.Generated {
			text.WriteString(h.Text)
		}
	}
	return text.String()
}

// place is where a value stands: ".name" for a member, "[]" for an element.
type place []string

// rule says of a string value whether it is told, and as generated: what the
// readers promise, written once more.
type rule func(at place, text string, escaped bool) (told, generated bool)

func spokenIn(speech string) rule {
	return func(at place, _ string, _ bool) (bool, bool) {
		return true, len(at) > 3 && at[0] == ".choices" && at[1] == "[]" && at[2] == speech &&
			!slices.ContainsFunc(at[3:], func(s string) bool { return s == ".role" || s == ".id" || s == ".type" })
	}
}

func streamed(at place, _ string, _ bool) (bool, bool) { return true, at[0] == ".delta" }

func putOut(at place, _ string, _ bool) (bool, bool) {
	own := []string{".text", ".refusal", ".arguments", ".input", ".name"}
	return true, at[0] == ".output" && slices.Contains(own, at[len(at)-1])
}

func butVectors(at place, text string, escaped bool) (bool, bool) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
	vector := slices.Equal(at, place{".data", "[]", ".embedding"}) && strings.Trim(text, letters) == "" && !escaped
	return !vector, false
}

func allOfThem(place, string, bool) (bool, bool) { return true, false }

// stringsOf are the string values that encoding/json sees, in order.
func stringsOf(t failer, doc []byte, told rule) (values []heard) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber() // else 1e999 would be an error
	var at place
	var inObject []bool
	named := false // the last token was a name
	for {
		before := d.InputOffset()
		token, err := d.Token()
		if err == io.EOF {
			return values
		}
		if err != nil {
			t.Fatalf("%q: encoding/json does not read on: %v", doc, err)
		}
		name, ok := token.(string)
		if ok && !named && len(inObject) > 0 && inObject[len(inObject)-1] {
			at[len(at)-1] = "." + name
			named = true
			continue
		}
		named = false
		switch v := token.(type) {
		case string:
			if told, generated := told(at, v, bytes.ContainsRune(doc[before:d.InputOffset()], '\\')); told {
				values = append(values, heard{v, generated})
			}
		case json.Delim:
			if v == '{' || v == '[' {
				inObject = append(inObject, v == '{')
				at = append(at, "[]")
			} else {
				inObject = inObject[:len(inObject)-1]
				at = at[:len(at)-1]
			}
		}
	}
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// agree compares what was heard of an accepted document with what encoding/json
// sees in it, and returns its members.
func agree(t failer, doc []byte, l *listener, told rule) map[string]any {
	t.Helper()
	if !json.Valid(doc) {
		t.Fatalf("%q: accepted, though it is no JSON", doc)
	}
	if diff := cmp.Diff(stringsOf(t, doc, told), l.heard); diff != "" {
		t.Fatalf("%q: heard\n%s", doc, diff)
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var members map[string]any
	if err := d.Decode(&members); err != nil {
		t.Fatalf("%q: %v", doc, err)
	}
	return members
}

// words are how a kind of answer calls the counts of its usage.
type words struct {
	prompt, ofPrompt, completion, ofCompletion string
	promptIsEnough                             bool
}

func chatWords() words {
	return words{"prompt_tokens", "prompt_tokens_details", "completion_tokens", "completion_tokens_details", false}
}

func responseWords() words {
	return words{"input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details", false}
}

func embeddingWords() words {
	w := chatWords()
	w.promptIsEnough = true
	return w
}

// agreeOn compares what was read into an answer. from holds model, tier and usage.
func agreeOn(t failer, got wire.Answer, from map[string]any, w words) {
	t.Helper()
	usage, _ := from["usage"].(map[string]any)
	ofPrompt, detailed := usage[w.ofPrompt].(map[string]any)
	ofCompletion, _ := usage[w.ofCompletion].(map[string]any)

	want := ours(wire.Chunk{Answer: got}) // what is not compared here
	want.Model, _ = from["model"].(string)
	want.Tier, _ = from["service_tier"].(string)
	var prompt, completion bool
	want.Usage.Prompt, prompt = countIn(usage, w.prompt)
	want.Usage.Completion, completion = countIn(usage, w.completion)
	want.Usage.Total, _ = countIn(usage, "total_tokens")
	want.Usage.Cached, _ = countIn(ofPrompt, "cached_tokens")
	want.Usage.CacheWrite, _ = countIn(ofPrompt, "cache_write_tokens")
	want.Usage.Reasoning, _ = countIn(ofCompletion, "reasoning_tokens")
	want.HasUsage = prompt && (completion || w.promptIsEnough)
	if diff := cmp.Diff(want, ours(wire.Chunk{Answer: got})); diff != "" {
		t.Fatalf("%v: read\n%s", from, diff)
	}
	if got.Detailed != detailed {
		t.Fatalf("%v: detailed %v", from, got.Detailed)
	}
}

// countIn is -1 for a number that counts nothing.
func countIn(from map[string]any, name string) (n int64, present bool) {
	number, ok := from[name].(json.Number)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || number[0] == '-' {
		return -1, true
	}
	return n, true
}
