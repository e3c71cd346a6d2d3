package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/wire"
)

// heard is a string value or an escaped name, by whoever read it.
type heard struct {
	Text  string
	Voice int
}

// listener collects what is heard.
type listener struct{ heard []heard }

func (l *listener) hear(s wire.Literal, voice int) {
	l.heard = append(l.heard, heard{string(s.AppendText(nil)), voice})
}

// said is what each voice said, in the order in which they began.
func (l *listener) said() (texts []string) {
	nth := map[int]int{}
	for _, h := range l.heard {
		if h.Voice == wire.NotGenerated {
			continue
		}
		i, begun := nth[h.Voice]
		if !begun {
			i = len(texts)
			nth[h.Voice], texts = i, append(texts, "")
		}
		texts[i] += h.Text
	}
	return texts
}

// place is where a value stands: ".name" for a member, "[0]" for an element.
type place []string

// rule says of a string value of a document with these members whether it is told,
// and by which voice: what the readers promise, written once more.
type rule func(members map[string]any, at place, text string, escaped bool) (told bool, voice int)

// voiceNamed is the number of a member of a delta, or of a type of event. That of a
// word too long or too odd to be one may depend on how it is written.
func voiceNamed(name string) int {
	if len(name) > 36 || strings.ContainsRune(name, '\ufffd') {
		return anyVoice
	}
	return 1 + int(crc32.ChecksumIEEE([]byte(name))%511)
}

const anyVoice = math.MinInt

func spokenIn(speech string) rule {
	return func(members map[string]any, at place, _ string, _ bool) (bool, int) {
		if len(at) <= 3 || at[0] != ".choices" || at[1] != "[0]" || at[2] != speech ||
			slices.ContainsFunc(at[3:], func(s string) bool { return s == ".role" || s == ".id" || s == ".type" }) {
			return true, -1
		}
		switch name := at[3][1:]; name {
		case "content":
			return true, 0
		case "tool_calls":
			nth, _ := strconv.Atoi(strings.Trim(at[4], "[]"))
			said := members["choices"].([]any)[0].(map[string]any)[speech[1:]].(map[string]any)
			call := said["tool_calls"].([]any)[nth].(map[string]any)
			if index, ok := countIn(call, "index"); ok {
				nth = int(index)
			}
			return true, 512 + nth
		default:
			return true, voiceNamed(name)
		}
	}
}

func streamed(event map[string]any, at place, _ string, _ bool) (bool, int) {
	if at[0] != ".delta" {
		return true, -1
	}
	kind, _ := event["type"].(string)
	output, _ := countIn(event, "output_index")
	content, _ := countIn(event, "content_index")
	summary, _ := countIn(event, "summary_index")
	voice := voiceNamed(kind)
	if voice != anyVoice {
		voice += 512 * int(1000*output+max(content, summary))
	}
	return true, voice
}

func putOut(_ map[string]any, at place, _ string, _ bool) (bool, int) {
	own := []string{".text", ".refusal", ".arguments", ".input", ".name"}
	if at[0] == ".output" && slices.Contains(own, at[len(at)-1]) {
		return true, 0
	}
	return true, -1
}

func butVectors(_ map[string]any, at place, text string, escaped bool) (bool, int) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
	vector := len(at) == 3 && at[0] == ".data" && at[1][0] == '[' && at[2] == ".embedding" && strings.Trim(text, letters) == "" && !escaped
	return !vector, -1
}

func allOfThem(map[string]any, place, string, bool) (bool, int) { return true, -1 }

// stringsOf are the string values and the escaped names that encoding/json sees, in
// order, those in the member called last at the end.
func stringsOf(t failer, doc []byte, members map[string]any, told rule, last string) (values []heard) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber() // else 1e999 would be an error
	var at place
	var inObject []bool
	var count []int // of the elements so far
	var held []heard
	add := func(text string, voice int) {
		if last != "" && at[0] == last {
			held = append(held, heard{text, voice})
		} else {
			values = append(values, heard{text, voice})
		}
	}
	named := false // the last token was a name
	for {
		before := d.InputOffset()
		token, err := d.Token()
		if err == io.EOF {
			return append(values, held...)
		}
		if err != nil {
			t.Fatalf("%q: encoding/json does not read on: %v", doc, err)
		}
		escaped := bytes.ContainsRune(doc[before:d.InputOffset()], '\\')
		name, ok := token.(string)
		inner := len(inObject) - 1
		if ok && !named && inner >= 0 && inObject[inner] {
			at[inner] = ""
			if escaped {
				add(name, -1)
			}
			at[inner] = "." + name
			named = true
			continue
		}
		named = false
		if token != json.Delim('}') && token != json.Delim(']') && inner >= 0 && !inObject[inner] {
			at[inner] = fmt.Sprintf("[%d]", count[inner])
			count[inner]++
		}
		switch v := token.(type) {
		case string:
			if told, voice := told(members, at, v, escaped); told {
				add(v, voice)
			}
		case json.Delim:
			if v == '{' || v == '[' {
				inObject, at, count = append(inObject, v == '{'), append(at, ""), append(count, 0)
			} else {
				inObject, at, count = inObject[:inner], at[:inner], count[:inner]
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
func agree(t failer, doc []byte, l *listener, told rule, last string) map[string]any {
	t.Helper()
	if !json.Valid(doc) {
		t.Fatalf("%q: accepted, though it is no JSON", doc)
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var members map[string]any
	if err := d.Decode(&members); err != nil {
		t.Fatalf("%q: %v", doc, err)
	}
	want := stringsOf(t, doc, members, told, last)
	for i := range min(len(want), len(l.heard)) {
		if want[i].Voice == anyVoice && l.heard[i].Voice > 0 {
			want[i].Voice = l.heard[i].Voice
		}
	}
	if diff := cmp.Diff(want, l.heard); diff != "" {
		t.Fatalf("%q: heard\n%s", doc, diff)
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
