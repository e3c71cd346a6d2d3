package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// said is what OpenAI got of a text that was asked at w.
func (r *rig) said(t testing.TB, w way) any {
	t.Helper()
	sent := lastOf(t, r)
	if w.name == "chat" {
		return at(t, sent, "messages", 0, "content")
	}
	return sent["input"]
}

func lastOf(t testing.TB, r *rig) map[string]any {
	t.Helper()
	return object(t, r.lastArrived(t).Body)
}

// spokenWays are the endpoints that take a text to answer.
func spokenWays() []way { return []way{wayTo("chat"), wayTo("responses")} }

// TestTextsArriveOnV1 byte for byte: naughty strings, some of JSONTestSuite, and what
// is about JSON. Nothing is cleaned here.
func TestTextsArriveOnV1(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	texts := naughtyStrings(t)
	for _, text := range jsonSuite(t) {
		if utf8.ValidString(text) && len(text) < 10_000 && len(text)%2 == 0 {
			texts = append(texts, text)
		}
	}
	texts = append(texts, "\x00", "a\x00b", "\ufeff", "\uffff\U0010ffff", "\u2028\u2029", "\x7f\u0080", " ", "\r\n", "\\u0000", "</script>", "\u202e", "[[si m]]", "data: [DONE]\n\n", "\U000E0041")
	for i, text := range texts {
		w := spokenWays()[i%2]
		if text == "" || strings.Contains(text, "[[sim") {
			continue
		}
		before := r.asked()
		got := r.post(w.path, w.body(text))
		if got.status != 200 || r.asked() != before+1 || r.said(t, w) != text {
			t.Errorf("%s, %+.100q: %d after %d calls; arrived as %+.100q: %.200s", w.name, text, got.status, r.asked()-before, r.said(t, w), got.body)
		}
	}
	log := r.log.String()
	for _, text := range texts {
		if prompt := strings.TrimSpace(text); len(prompt) > 14 && strings.Contains(log, prompt) {
			t.Errorf("the log has the prompt %+.80q", prompt)
		}
	}
}

// TestWhatIsNoJSONIsRefusedOnV1: every text of the suite as the whole body, as a message
// and as a setting. What is no JSON costs no call; no text makes us fail.
func TestWhatIsNoJSONIsRefusedOnV1(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	i := 0
	for name, text := range jsonSuite(t) {
		i++
		w := spokenWays()[i%2]
		as := strings.Replace(w.body("PLACE"), `"PLACE"`, text, 1)
		for form, body := range map[string]string{"alone": text, "as the text": as, "as a setting": w.body("hi", `"temperature":`+text), "as a schema": w.body("hi", `"tools":[{"type":"function","name":"f","function":{"name":"f","parameters":`+text+`}}]`)} {
			before := r.asked()
			got := r.post(w.path, body)
			calls := r.asked() - before
			var read map[string]any
			isJSON := !strings.HasPrefix(name, "n_") && json.Unmarshal([]byte(body), &read) == nil
			switch {
			case got.status == 200 && isJSON && calls == 1:
				if form == "as the text" {
					want := any(nil)
					if w.name == "chat" {
						want = at(t, read, "messages", 0, "content")
					} else {
						want = read["input"]
					}
					if s, ok := want.(string); ok && r.said(t, w) != s {
						t.Errorf("%s %s: %+.100q arrived as %+.100q", name, form, s, r.said(t, w))
					}
				}
			case got.status == 400 && calls == 0:
				if p := got.openAI(t); strings.HasPrefix(name, "n_") && form != "as a schema" && p.Code != "invalid_json" && p.Code != "invalid_utf8" {
					t.Errorf("%s %s: %s; want it refused for what it is", name, form, p.Code)
				}
			default:
				t.Errorf("%s %s (%s): %d after %d calls: %.200s", name, form, w.name, got.status, calls, got.body)
			}
		}
	}
	wellKept(t, r)
}

// TestTextThatIsNoUnicodeIsRefusedOnV1, and what stands around a document.
func TestTextThatIsNoUnicodeIsRefusedOnV1(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	r.untouched(func() {
		for _, w := range append(ways(), way{name: "hook", path: "/api/completion", input: "prompt"}) {
			good := w.body("PLACE")
			if w.name == "hook" {
				good = `{"prompt":"PLACE"}`
			}
			for _, body := range []string{
				"\ufeff" + good, good + "x", good + good, good + "\x00", "\x00" + good, good + "//", good[:len(good)-1], "[" + good + "]", "", " ", "null", "true", `"x"`, "{", "}", good[:len(good)-1] + ",}", strings.Replace(good, ":", "=", 1), strings.ReplaceAll(good, `"`, `'`),
				strings.Replace(good, "PLACE", "\xff", 1), strings.Replace(good, "PLACE", "\xed\xa0\x80", 1), strings.Replace(good, "PLACE", "\xc0\xaf", 1), strings.Replace(good, "PLACE", "\xf4\x90\x80\x80", 1), strings.Replace(good, "PLACE", `\ud800`, 1), strings.Replace(good, "PLACE", `\udc00\ud800`, 1), strings.Replace(good, "PLACE", `\ud800\u0041`, 1),
				strings.Replace(good, "PLACE", "\x00", 1), strings.Replace(good, "PLACE", "\n", 1), strings.Replace(good, "PLACE", `\x41`, 1), strings.Replace(good, "PLACE", `\u12`, 1), strings.Replace(good, "PLACE", `\`, 1), strings.Replace(good, w.input, w.input+"\xff", 1), strings.Replace(good, w.input, w.input+`\udfff`, 1), "\xff\xfe{\x00}\x00", "\x1f\x8b\x08\x00",
			} {
				got := r.post(w.path, body)
				code := codeIn([]byte(got.body))
				if got.status != 400 || code != "invalid_json" && code != "invalid_utf8" {
					t.Errorf("%s %+.200q: %d %s", w.name, body, got.status, got.body)
				}
			}
		}
	})
}
