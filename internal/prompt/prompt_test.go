package prompt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"keyshield/internal/apierr"
	"keyshield/internal/prompt"
)

var rules = prompt.Rules{MaxChars: 300, StripHTML: true}

// refused returns the refusal, or fails: whatever else Decode returned would reach
// a client as a 500.
func refused(t *testing.T, body string, err error) *apierr.Error {
	t.Helper()
	e, ok := errors.AsType[*apierr.Error](err)
	if !ok || e.Status != 400 {
		t.Fatalf("%.200q: %v, want a refusal with 400", body, err)
	}
	return e
}

func TestBodiesThatAreAccepted(t *testing.T) {
	yes, no := true, false
	for body, want := range map[string]prompt.Request{
		`{"userPrompt":"Hi"}`: {Prompt: "Hi"},
		"\r\n\t {\"stream\" : true , \"userPrompt\" : \"Hi\"} \n": {Prompt: "Hi", Stream: &yes},
		`{"userPrompt":"Hi","stream":false}`:                      {Prompt: "Hi", Stream: &no},
		`{"user\u0050rompt":"Hi","\u0073tream":true}`:             {Prompt: "Hi", Stream: &yes},
		`{"userPrompt":"  \n Hi \u00a0"}`:                         {Prompt: "Hi"},
		`{"userPrompt":"a\r\nb\tc\u0000d\u200be\/f\"\\"}`:         {Prompt: "a\nb\tcde/f\"\\"},
		`{"userPrompt":"\ud83d\ude00 日本 é"}`:                      {Prompt: "😀 日本 é"},
		`{"userPrompt":"<b>Hi</b> <i> </i>"}`:                     {Prompt: "Hi"},
		`{"userPrompt":"a < b and c > d, List<String>"}`:          {Prompt: "a < b and c > d, List<String>"},
	} {
		got, err := rules.Decode([]byte(body), "userPrompt")
		if err != nil || got.Prompt != want.Prompt || (got.Stream == nil) != (want.Stream == nil) || got.Stream != nil && *got.Stream != *want.Stream {
			t.Errorf("%s = %+v, %v; want %+v", body, got, err, want)
		}
	}
}

func TestBodiesThatAreRefused(t *testing.T) {
	long := strings.Repeat("é", 301)
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	const half = `Field "userPrompt" holds half a character, a lone surrogate such as "\ud83d": cutting a text in the middle of an emoji, as slice() does, leaves one. Cut between characters, or in JavaScript send text.toWellFormed().`
	for _, tt := range []struct{ body, code, message, param string }{
		{``, "invalid_json", "The request body is not valid JSON.", ""},
		{`   `, "invalid_json", "", ""},
		{`null`, "invalid_json", "", ""},
		{`"Hi"`, "invalid_json", "", ""},
		{`[{"userPrompt":"Hi"}]`, "invalid_json", "", ""},
		{`{"userPrompt":"Hi"`, "invalid_json", "", ""},
		{`{"userPrompt":"Hi",}`, "invalid_json", "", ""},
		{`{"userPrompt":"Hi"}}`, "invalid_json", "", ""},
		{`{"userPrompt":"Hi"}{}`, "invalid_json", "", ""},
		{`{"userPrompt":"Hi"} x`, "invalid_json", "", ""},
		{`{'userPrompt':"Hi"}`, "invalid_json", "", ""},
		{`{1:"Hi"}`, "invalid_json", "", ""},
		{"{\"userPrompt\":\"a\nb\"}", "invalid_json", "", ""},
		{"\ufeff" + `{"userPrompt":"Hi"}`, "invalid_json", "", ""},
		{`{"model":"x",}`, "invalid_json", "", ""}, // what is not JSON is refused as that

		{"{\"userPrompt\":\"\xff\"}", "invalid_utf8", "The request body is not valid UTF-8.", ""},
		{"{\"userPrompt\":\"Hi\",\"\xc0\xaf\":1}", "invalid_utf8", "", ""},
		{`{"userPrompt":"\ud800"}`, "invalid_utf8", half, "userPrompt"},
		{`{"userPrompt":"\ude00\ud83d"}`, "invalid_utf8", half, "userPrompt"},

		{`{"userPrompt":"Hi","model":"gpt"}`, "unknown_field", `Unknown field "model". Only "userPrompt" and "stream" are accepted.`, "model"},
		{`{"message":"Hi"}`, "unknown_field", `Unknown field "message". Only "userPrompt" and "stream" are accepted.`, "message"},
		{`{"userPrompt":"Hi","a":{"b":[1,{"c":null}]}}`, "unknown_field", "", "a"},
		{`{"userPrompt":"Hi","a":` + deep + `}`, "unknown_field", "", "a"},
		{`{"userPrompt":"Hi","":1}`, "unknown_field", "", ""},
		{`{"userPrompt":"Hi","<b>\u0000\u202e\"":1}`, "unknown_field", `Unknown field "?b????". Only "userPrompt" and "stream" are accepted.`, "?b????"},
		{`{"userPrompt":"Hi","` + long + `":1}`, "unknown_field", "", strings.Repeat("é", 64) + "…"},

		{`{"userPrompt":"Hi","userPrompt":"Hi"}`, "duplicate_field", `Field "userPrompt" appears more than once.`, "userPrompt"},
		{`{"userPrompt":"Hi","user\u0050rompt":"Ho"}`, "duplicate_field", "", "userPrompt"},
		{`{"userPrompt":"Hi","stream":true,"stream":true}`, "duplicate_field", "", "stream"},
		{`{"userPrompt":"Hi","UserPrompt":"Ho"}`, "duplicate_field", `Field "UserPrompt" must be written "userPrompt".`, "UserPrompt"},
		{`{"USERPROMPT":"Ho"}`, "duplicate_field", "", "USERPROMPT"},
		{`{"userPrompt":"Hi","STREAM":true}`, "duplicate_field", `Field "STREAM" must be written "stream".`, "STREAM"},
		{`{"userPrompt":"Hi","ſtream":true}`, "duplicate_field", "", "ſtream"},

		{`{"userPrompt":"Hi","stream":1}`, "invalid_field", `Field "stream" must be true or false.`, "stream"},
		{`{"userPrompt":"Hi","stream":null}`, "invalid_field", "", "stream"},
		{`{"userPrompt":"Hi","stream":"true"}`, "invalid_field", "", "stream"},
		{`{"userPrompt":1,"stream":"true"}`, "invalid_field", "", "stream"}, // members before the prompt

		{`{}`, "invalid_prompt", "Invalid prompt format.", "userPrompt"},
		{`{"stream":true}`, "invalid_prompt", "", "userPrompt"},
		{`{"userPrompt":null}`, "invalid_prompt", "", "userPrompt"},
		{`{"userPrompt":""}`, "invalid_prompt", "", "userPrompt"},
		{`{"userPrompt":7}`, "invalid_prompt", "", "userPrompt"},
		{`{"userPrompt":["Hi"]}`, "invalid_prompt", "", "userPrompt"},
		{`{"userPrompt":{"a":"Hi"}}`, "invalid_prompt", "", "userPrompt"},

		{`{"userPrompt":"` + long + `"}`, "prompt_too_long", "Prompt is too long. Please keep it under 300 characters.", "userPrompt"},
		{`{"userPrompt":"<b>` + long[:598] + `</b>"}`, "prompt_too_long", "", "userPrompt"}, // measured before stripping

		{`{"userPrompt":"   "}`, "prompt_empty", "Prompt cannot be empty.", "userPrompt"},
		{`{"userPrompt":"\u200b\u0000"}`, "prompt_empty", "", "userPrompt"},
		{`{"userPrompt":"<p> </p><script>alert(1)</script>"}`, "prompt_empty", "", "userPrompt"},
	} {
		_, err := rules.Decode([]byte(tt.body), "userPrompt")
		e := refused(t, tt.body, err)
		if e.Code != tt.code || e.Param != tt.param || tt.message != "" && e.Message != tt.message {
			t.Errorf("%.80q: %s about %q: %q; want %s about %q: %q", tt.body, e.Code, e.Param, e.Message, tt.code, tt.param, tt.message)
		}
	}
}

func TestTheLimitIsOfCodePointsAfterTrimming(t *testing.T) {
	for _, tt := range []struct {
		prompt string
		ok     bool
	}{
		{strings.Repeat("😀", 300), true},
		{strings.Repeat(" ", 100) + strings.Repeat("é", 300) + strings.Repeat("\n", 100), true},
		{strings.Repeat("a", 301), false},
		{strings.Repeat("\u200b", 301), false},
	} {
		body, _ := json.Marshal(map[string]string{"message": tt.prompt})
		_, err := prompt.Rules{MaxChars: 300}.Decode(body, "message")
		if tt.ok != (err == nil) && refused(t, string(body), err).Code != "prompt_too_long" {
			t.Errorf("%.20q, %d code points: %v", tt.prompt, utf8.RuneCountInString(tt.prompt), err)
		}
		if tt.ok == (err != nil) {
			t.Errorf("%.20q, %d code points: %v, want accepted: %v", tt.prompt, utf8.RuneCountInString(tt.prompt), err, tt.ok)
		}
	}
}

func TestMarkupStaysWhereTheAppIsAboutCode(t *testing.T) {
	got, err := prompt.Rules{MaxChars: 300}.Decode([]byte(`{"message":"<b>x</b>\u0007"}`), "message")
	if err != nil || got.Prompt != "<b>x</b>" {
		t.Errorf("with StripHTML off: %+v, %v", got, err)
	}
}

func TestNothingOfABodyIsKept(t *testing.T) {
	body := []byte(`{"userPrompt":"hello"}`)
	got, err := rules.Decode(body, "userPrompt")
	copy(body, bytes.Repeat([]byte("x"), len(body)))
	if err != nil || got.Prompt != "hello" {
		t.Errorf("after its body was reused: %+v, %v", got, err)
	}
}

// FuzzDecode holds what is accepted against encoding/json: two readers of one body
// must not see two prompts.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"userPrompt":"Hi","stream":true}`, `{"userPrompt":"\ud83d\ude00<b>\u0000"}`, `{"userPrompt":"a","userprompt":"b"}`, `{"x":[[{}]]}`, `{"userPrompt":"\ud800"}`, "{\"userPrompt\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := rules.Decode(body, "userPrompt")
		if err != nil {
			e := refused(t, string(body), err)
			if e.Message == "" || len(e.Message) > 400 || strings.ContainsFunc(e.Message+e.Param, unicode.IsControl) {
				t.Errorf("%q: %q about %q", body, e.Message, e.Param)
			}
			if trimmed := bytes.TrimSpace(body); e.Code == "invalid_json" && json.Valid(body) && trimmed[0] == '{' && depth(trimmed) < 5000 {
				t.Errorf("%q is JSON: %v", body, err)
			}
			return
		}
		var theirs struct {
			Prompt *string `json:"userPrompt"`
			Stream *bool   `json:"stream"`
		}
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&theirs); err != nil || !json.Valid(body) {
			t.Fatalf("%q was accepted; encoding/json: %v", body, err)
		}
		want := strings.TrimSpace(prompt.Clean(strings.TrimSpace(*theirs.Prompt), true))
		if got.Prompt != want || (got.Stream == nil) != (theirs.Stream == nil) || got.Stream != nil && *got.Stream != *theirs.Stream {
			t.Errorf("%q = %+v; encoding/json reads %q, %v", body, got, want, theirs.Stream)
		}
	})
}

func depth(b []byte) int { return bytes.Count(b, []byte("[")) + bytes.Count(b, []byte("{")) }

func BenchmarkDecode(b *testing.B) {
	for name, body := range map[string]string{
		"short":   `{"userPrompt":"What is the capital of France, and since when?","stream":true}`,
		"unicode": `{"userPrompt":"Wie heißt die Hauptstadt von Österreich? 日本語も。","stream":false}`,
		"markup":  `{"userPrompt":"What is the <b>capital</b> of France, if x < y?"}`,
	} {
		b.Run(name, func(b *testing.B) {
			body := []byte(body)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rules.Decode(body, "userPrompt"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
