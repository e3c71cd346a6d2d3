package source

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/secret"
	"keyshield/internal/upstream"
)

func reveal(keys []secret.String) (all []string) {
	for _, k := range keys {
		all = append(all, k.Reveal())
	}
	return all
}

func TestKeysAreReadInTheirOrder(t *testing.T) {
	for payload, want := range map[string][]string{
		"test-key-0123456789-1":                                                                                      {"test-key-0123456789-1"},
		"test-key-0123456789-1\n":                                                                                    {"test-key-0123456789-1"},
		"\ufefftest-key-0123456789-1\r\ntest-key-0123456789-2\r\n":                                                   {"test-key-0123456789-1", "test-key-0123456789-2"},
		"# new\ntest-key-0123456789-2\n\n# old\ntest-key-0123456789-1 # till June":                                   {"test-key-0123456789-2", "test-key-0123456789-1"},
		"test-key-0123456789-1, test-key-0123456789-2\n,test-key-0123456789-3,":                                      {"test-key-0123456789-1", "test-key-0123456789-2", "test-key-0123456789-3"},
		"test-key-0123456789-1\ntest-key-0123456789-2\ntest-key-0123456789-1":                                        {"test-key-0123456789-1", "test-key-0123456789-2"},
		"test-key-0123456789#1":                                                                                      {"test-key-0123456789#1"},
		`{"keys":["test-key-0123456789-2","test-key-0123456789-1"]}`:                                                 {"test-key-0123456789-2", "test-key-0123456789-1"},
		`{"OPENAI_API_KEY":"test-key-0123456789-1","DB_PASSWORD":"not-ours-0"}`:                                      {"test-key-0123456789-1"},
		`{"OPENAI_API_KEYS":"test-key-0123456789-2,test-key-0123456789-3","OPENAI_API_KEY":"test-key-0123456789-1"}`: {"test-key-0123456789-1", "test-key-0123456789-2", "test-key-0123456789-3"},
		` {"OPENAI_API_KEYS":["test-key-0123456789-2"],"keys":null} `:                                                {"test-key-0123456789-2"},
	} {
		got, err := parse([]byte(payload))
		if diff := cmp.Diff(want, reveal(got)); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", payload, err, diff)
		}
	}
}

func TestWhatIsNoSetOfKeysIsRefused(t *testing.T) {
	many := strings.Repeat("test-key-0123456789-%d\n", 17)
	var places []any
	for n := range 17 {
		places = append(places, n)
	}
	for payload, want := range map[string]string{
		"":                                     "no key",
		" \r\n\t":                              "no key",
		"# test-key-0123456789-1":              "no key",
		"{}":                                   "no key",
		`{"keys":[]}`:                          "no key",
		`{"password":"test-key-0123456789-1"}`: "no key",
		"undefined":                            "too short",
		"short":                                "too short",
		strings.Repeat("k", 513):               "too long",
		"Access denied for you":                "holds a space",
		"test-key-0123456789-1\x00":            "no key has",
		"tést-key-1":                           "no key has",
		`"test-key-0123456789-1"`:              "something around it",
		"OPENAI_API_KEY=test-key-0123456789-1": "something around it",
		"<html>test-key-0123456789-1</html>":   "one key per line",
		`["test-key-0123456789-1"]`:            "one key per line",
		`{"keys":["test-key-0123456789-1"`:     "no valid JSON",
		`{"keys":["test-key-0123456789-1"],"keys":["test-key-0123456789-2"]}`: "no valid JSON",
		`{"keys":{"a":"test-key-0123456789-1"}}`:                              "one key per line",
		`{"keys":["test-key-0123456789-1",7]}`:                                "one key per line",
		`{"OPENAI_API_KEY":12345678}`:                                         "one key per line",
		"sk-admin-1234":                                                       "admin key",
		fmt.Sprintf(many, places...):                                          "more than 16",
	} {
		got, err := parse([]byte(payload))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "test-key") {
			t.Errorf("%q: %v, %v; want %q", payload, reveal(got), err, want)
		}
	}
}

// ours are the only words that a refusal may have.
var ours = regexp.MustCompile(`^(holds no key|is no valid JSON|holds more than 16 keys|` + regexp.QuoteMeta(errForm.Error()) +
	`|the key at place \d+ (is too (short|long) to be (a whole|a) key: it has \d+ bytes` +
	`|holds a space, or a character that no key has: copy it again` +
	`|is no key: it has no digits, or no letters|is an admin key, which can do far more than is needed here: make an ordinary one` +
	`|has something around it: put the key alone, without quotes or a name))$`)

// FuzzPayload: what is read as keys are keys, whole and once each, and read the same
// from the other form; what is not is refused without a byte of it.
func FuzzPayload(f *testing.F) {
	for _, s := range []string{
		"test-key-0123456789-1", "# a\ntest-key-0123456789-1 # b\r\ntest-key-0123456789-2,test-key-0123456789-3", `{"keys":["test-key-0123456789-1"],"x":{"keys":1}}`,
		`{"OPENAI_API_KEY":"test-key-0123456789-1","OPENAI_API_KEYS":"a,b"}`, "{", "<", "\ufeff", `{"keys":["\ud800test-key"]}`, "a b", `{"Keys":["test-key-0123456789-1"]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		keys, err := parse(payload)
		if err != nil {
			if !ours.MatchString(err.Error()) || keys != nil {
				t.Errorf("%q: %v with the refusal %q", payload, reveal(keys), err)
			}
			return
		}
		words := reveal(keys)
		if len(words) == 0 || len(words) > upstream.MaxKeys {
			t.Errorf("%q: %d keys", payload, len(words))
		}
		seen := map[string]bool{}
		for _, w := range words {
			if err := upstream.CheckKey(secret.New(w)); err != nil || seen[w] {
				t.Errorf("%q: %q is no key, or there twice: %v", payload, w, err)
			}
			if seen[w] = true; payload[0] != '{' && !strings.Contains(string(payload), w) && !strings.Contains(string(payload), "{") {
				t.Errorf("%q does not hold %q", payload, w)
			}
		}
		form, err := json.Marshal(map[string][]string{"keys": words})
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(form)
		if diff := cmp.Diff(words, reveal(again)); diff != "" || err != nil {
			t.Errorf("%q is read differently from %q: %v\n%s", form, payload, err, diff)
		}
	})
}
