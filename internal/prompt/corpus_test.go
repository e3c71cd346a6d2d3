package prompt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyshield/internal/prompt"
)

// suite calls do with every text of JSONTestSuite of a kind: y_ must be accepted
// by a parser, n_ refused, i_ is left to it.
func suite(t *testing.T, kind string, do func(t *testing.T, text []byte)) {
	files, err := filepath.Glob(filepath.Join("testdata", "jsontestsuite", "test_parsing", kind+"*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no texts of kind %s: %v", kind, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			do(t, text)
		})
	}
}

func code(t *testing.T, body []byte) string {
	t.Helper()
	_, err := rules.Decode(body, "userPrompt")
	if err == nil {
		return ""
	}
	return refused(t, string(body), err).Code
}

// within is a body that would be accepted but for text, an unknown member's value.
func within(text []byte) []byte {
	return []byte(`{"userPrompt":"Hi","x":` + string(text) + `}`)
}

func TestWhatIsNotJSONIsRefusedAsThat(t *testing.T) {
	suite(t, "n_", func(t *testing.T, text []byte) {
		for _, body := range [][]byte{text, within(text)} {
			if got := code(t, body); got != "invalid_json" && got != "invalid_utf8" {
				t.Errorf("%.100q: %q", body, got)
			}
		}
	})
}

func TestWhatIsJSONIsRefusedOnlyForWhatItSays(t *testing.T) {
	suite(t, "y_", func(t *testing.T, text []byte) {
		want := "unknown_field"
		if strings.Contains(t.Name(), "duplicated_key") {
			want = "duplicate_field"
		}
		if got := code(t, within(text)); got != want {
			t.Errorf("as a member: %q, want %s", got, want)
		}
		switch got := code(t, text); {
		case text[0] != '{':
			want = "invalid_json"
		case strings.TrimSpace(string(text)) == "{}":
			want = "invalid_prompt"
			fallthrough
		default:
			if got != want {
				t.Errorf("as a body: %q, want %s", got, want)
			}
		}
	})
}

func TestWhatParsersDisagreeOnIsNeverAccepted(t *testing.T) {
	suite(t, "i_", func(t *testing.T, text []byte) {
		for _, body := range [][]byte{text, within(text)} {
			if got := code(t, body); got != "invalid_json" && got != "invalid_utf8" && got != "unknown_field" {
				t.Errorf("%.100q: %q", body, got)
			}
		}
	})
}

// TestEveryStringThatIsJSONArrives takes the strings out of the suite's arrays,
// as they are written there, escapes and all.
func TestEveryStringThatIsJSONArrives(t *testing.T) {
	read := 0
	suite(t, "", func(t *testing.T, text []byte) {
		var elements []json.RawMessage
		if json.Unmarshal(text, &elements) != nil {
			return
		}
		for _, raw := range elements {
			var s string
			if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
				continue
			}
			body := []byte(`{"userPrompt":` + string(raw) + `}`)
			got, err := rules.Decode(body, "userPrompt")
			if err != nil {
				c := refused(t, string(body), err).Code
				lone := c == "invalid_utf8" && strings.HasPrefix(filepath.Base(t.Name()), "i_")
				if empty := strings.TrimSpace(seen(s)) == ""; !lone && !(empty && (c == "prompt_empty" || c == "invalid_prompt")) {
					t.Errorf("%s: %v", body, err)
				}
				continue
			}
			read++
			if want := strings.TrimSpace(seen(s)); got.Prompt != want {
				t.Errorf("%s: %+q, want %+q", body, got.Prompt, want)
			}
		}
	})
	if read < 30 {
		t.Errorf("only %d strings were read", read)
	}
}

// TestNaughtyStringsArriveByteForByte allows what seen does, and nothing else
// unless the string holds a <, which TestMarkup… is about.
func TestNaughtyStringsArriveByteForByte(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "blns", "blns.json"))
	if err != nil {
		t.Fatal(err)
	}
	var naughty []string
	if err := json.Unmarshal(raw, &naughty); err != nil || len(naughty) < 500 {
		t.Fatalf("%d strings, %v", len(naughty), err)
	}
	lenient := prompt.Rules{MaxChars: 10_000}
	for _, s := range naughty {
		body, _ := json.Marshal(map[string]string{"message": s})
		want := strings.TrimSpace(seen(strings.TrimSpace(s)))
		for _, strip := range []bool{false, true} {
			if strip && strings.Contains(s, "<") {
				checkMarkup(t, s)
				continue
			}
			lenient.StripHTML = strip
			got, err := lenient.Decode(body, "message")
			if err != nil {
				if c := refused(t, string(body), err).Code; want != "" || c != "prompt_empty" && c != "invalid_prompt" {
					t.Errorf("%q: %v", s, err)
				}
				continue
			}
			if got.Prompt != want {
				t.Errorf("%+q arrives as %+q, want %+q", s, got.Prompt, want)
			}
		}
	}
}

// checkMarkup says what must be gone of a naughty string with markup, in words
// that owe nothing to a tokenizer.
func checkMarkup(t *testing.T, s string) {
	t.Helper()
	got := strings.ToLower(prompt.Clean(s, true))
	for _, tag := range []string{"<script>", "<script ", "</script>", "<img ", "<svg", "<iframe", "<a ", "<b ", "<body", "<div", "<input", "<style", "<br", "<!--"} {
		if strings.Contains(got, tag) {
			t.Errorf("%q became %q: %s is left", s, got, tag)
		}
	}
	if prompt.Clean(got, true) != got {
		t.Errorf("%q became %q, which is not clean", s, got)
	}
}
