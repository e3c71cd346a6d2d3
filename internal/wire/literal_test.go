package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"keyshield/internal/wire"
)

func TestTextOfALiteral(t *testing.T) {
	for literal, want := range map[string]string{
		``:                                   "",
		`""`:                                 "",
		`"plain, and é 日本 😀"`:                "plain, and é 日本 😀",
		`"\"\\\/\b\f\n\r\t"`:                 "\"\\/\b\f\n\r\t",
		`"\u0041\u00e9\u00E9\u65e5\u0000"`:   "Aéé日\x00",
		`"\ud83d\ude00"`:                     "😀",
		`"\ud83d"`:                           "\ufffd",
		`"\ude00\ud83d"`:                     "\ufffd\ufffd",
		`"\ud83d\u0041"`:                     "\ufffdA",
		`"\ud83d\n"`:                         "\ufffd\n",
		`"\ud83d\ud83d\ude00"`:               "\ufffd😀",
		`"\ud83dxude00"`:                     "\ufffdxude00",
		"\"a\xffb\xc3\"":                     "a\ufffdb\ufffd",
		"\"\\n\xed\xa0\xbd\"":                "\n\ufffd\ufffd\ufffd",
		"\"\u2028\u007f\ufeff\"":             "\u2028\u007f\ufeff",
		`"\\u0041"`:                          `\u0041`,
		`"` + strings.Repeat(`\n`, 99) + `"`: strings.Repeat("\n", 99),
	} {
		l := wire.Literal(literal)
		if got := string(l.AppendText([]byte("> "))); got != "> "+want {
			t.Errorf("%s: %q, want %q", literal, got, want)
		}
		plain, ok := l.Plain()
		if ok && string(plain) != want || ok == (strings.Contains(literal, `\`) || !utf8.ValidString(literal)) {
			t.Errorf("%s: plain %q, %v", literal, plain, ok)
		}
	}
}

func TestQuoteIsReadBackByEveryone(t *testing.T) {
	for text, want := range map[string]string{
		"":                     `""`,
		`say "x" \ <b>&amp;`:   `"say \"x\" \\ <b>&amp;"`,
		"\n\r\t\b\f\x00\x1f":   `"\n\r\t\u0008\u000c\u0000\u001f"`,
		"é日😀\u2028\u007f":      "\"é日😀\u2028\u007f\"",
		"\xff\xed\xa0\xbd\xc3": `"` + strings.Repeat("\ufffd", 5) + `"`,
	} {
		if got := string(wire.AppendQuote(nil, text)); got != want {
			t.Errorf("AppendQuote(%q) = %s, want %s", text, got, want)
		}
	}
}

// Any text survives quoting and reading, by our reader and by encoding/json; what
// is no UTF-8 is mended in the same way.
func FuzzQuote(f *testing.F) {
	f.Add("")
	f.Add("a\"\\\n\x00\x7f é日😀\u2028\xff\xc3\xed\xa0\xbd")
	f.Fuzz(func(t *testing.T, text string) {
		quoted := wire.AppendQuote(nil, []byte(text))
		want := string([]rune(text))
		if got := string(wire.Literal(quoted).AppendText(nil)); got != want {
			t.Errorf("%q came back as %q", text, got)
		}
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil || got != want || !utf8.Valid(quoted) {
			t.Errorf("%q: encoding/json reads %q from %s, %v", text, got, quoted, err)
		}
		if string(wire.AppendQuote(nil, text)) != string(quoted) {
			t.Errorf("%q: a string is quoted otherwise than bytes", text)
		}
	})
}

// Any literal means to us what it means to encoding/json.
func FuzzText(f *testing.F) {
	f.Add([]byte(`\ud83d\ude00 \ud83d \n é`))
	f.Fuzz(func(t *testing.T, inner []byte) {
		doc := []byte(`{"choices":[{"delta":{"content":"` + string(inner) + `"}}]}`)
		c, err := wire.ReadChunk(doc)
		var want string
		quoted := `"` + string(inner) + `"`
		if jerr := json.Unmarshal([]byte(quoted), &want); jerr != nil {
			if err == nil && string(c.Content) == quoted {
				t.Errorf("%s: accepted, though %v", quoted, jerr)
			}
			return
		}
		if got := string(c.Content.AppendText(nil)); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", quoted, got, err, want)
		}
	})
}
