package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDirectiveIsReadAnywhere(t *testing.T) {
	for _, c := range []struct {
		prompt, rest string
		want         Behaviour
	}{
		{"no directive", "no directive", Behaviour{}},
		{"[[simple]] and [[similar", "[[simple]] and [[similar", Behaviour{}},
		{"[[sim]] hi", " hi", Behaviour{}},
		{"[[sim status=500]]", "", Behaviour{Status: 500}},
		{"tell [[sim fault=hang_before]]me", "tell me", Behaviour{Fault: HangBefore}},
		{"[[simple]] [[sim html]]", "[[simple]] ", Behaviour{HTML: true}},
		{"[[sim\n chunks=100\tpace=20ms  latency=1s ]]x", "x", Behaviour{Chunks: 100, Pace: 20 * time.Millisecond, Latency: time.Second}},
		{`[[sim text="a \"]] b\u00fc"]]`, "", Behaviour{Text: `a "]] bü`}},
		{"[[sim redirect=http://127.0.0.1:1/a=b?c=d]]", "", Behaviour{Redirect: "http://127.0.0.1:1/a=b?c=d"}},
		{"[[sim fault=giant amount=2MiB]]", "", Behaviour{Fault: Giant, Amount: 2 << 20}},
		{"[[sim fault=none bill=false status=404]]", "", Behaviour{Status: 404}},
	} {
		b, rest, said, err := direct(Behaviour{}, c.prompt)
		if err != nil {
			t.Errorf("%q: %v", c.prompt, err)
			continue
		}
		if diff := cmp.Diff(c.want, b); diff != "" || rest != c.rest {
			t.Errorf("%q: rest %q, want %q; (-want +got)\n%s", c.prompt, rest, c.rest, diff)
		}
		if strings.Replace(c.prompt, said, "", 1) != c.rest {
			t.Errorf("%q: said %q, want what was cut out", c.prompt, said)
		}
	}
}

func TestDirectiveIsStrict(t *testing.T) {
	for prompt, want := range map[string]string{
		"[[sim staus=500]]":               `no word "staus"`,
		"[[sim status=500":                "not closed",
		"[[sim status=many]]":             "whole number",
		"[[sim status]]":                  "status needs a value",
		"[[sim status=]]":                 "value is empty",
		"[[sim status=500 status=500]]":   "said twice",
		"[[sim status=500]][[sim html]]":  "more than one",
		"[[sim STATUS=500]]":              "want a word",
		"[[sim html=1]]":                  "true or false",
		"[[sim html!]]":                   "want a space",
		`[[sim text="a"b]]`:               "want a space",
		`[[sim text="a]]`:                 "quote is not closed",
		"[[sim fault=explode]]":           "one of",
		"[[sim latency=2h]]":              "at most",
		"[[sim fault=giant amount=9GiB]]": "bytes, KiB or MiB",
		"[[sim amount=3]]":                "amount needs",
	} {
		if _, _, _, err := direct(Behaviour{}, prompt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", prompt, err, want)
		}
	}
}

func TestEveryWordIsDocumented(t *testing.T) {
	doc := packageComment(t)
	for _, w := range words {
		if !strings.Contains(doc, "\n//\t"+w.name+" ") && !strings.Contains(doc, "\n//\t"+w.name+"=") && !strings.Contains(doc, w.name+" likewise") {
			t.Errorf("the package comment does not explain %s", w.name)
		}
	}
	for _, f := range Faults() {
		if !strings.Contains(doc, "\n//\t"+string(f)+" ") {
			t.Errorf("the package comment does not explain fault=%s", f)
		}
	}
}

// A directive either is refused or means the same when it is written out again;
// and nothing but the directive is taken out of the prompt.
func FuzzDirective(f *testing.F) {
	for _, seed := range []string{
		"hello", "[[sim]]", "[[sim status=500]] x", `a [[sim text="b ]] c" chunks=3]] d`, "[[sim fault=giant amount=2MiB at=-1]]",
		"[[sim leak=split split=3 escape]]", "[[sim redirect=/x status=308 retry_after=1]]", "[[[[sim html]]]]", "[[sim text=\xff]]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, prompt string) {
		b, rest, said, err := direct(Behaviour{}, prompt)
		if err != nil {
			if rest != prompt || b != (Behaviour{}) {
				t.Fatalf("%q was refused but changed something", prompt)
			}
			return
		}
		if len(rest)+len(said) != len(prompt) || !strings.Contains(prompt, said) || findDirective(rest) >= 0 {
			t.Fatalf("%q became %q without %q", prompt, rest, said)
		}
		again, rest, _, err := direct(Behaviour{}, "[[sim "+b.String()+"]]")
		if err != nil || again != b || rest != "" {
			t.Fatalf("%q is %+v; written as %q it is %+v, %q, %v", prompt, b, b.String(), again, rest, err)
		}
	})
}

// Text of any kind is cut without losing a byte, and into as many pieces as asked.
func FuzzDivide(f *testing.F) {
	f.Add("Hello there, it is äöü.", 3, 0, 10)
	f.Add("", 0, 0, -1)
	f.Add("\xff\xfe 𝄞𝄞𝄞", 2, 0, 5)
	f.Add("one", 0, 2, 2)
	f.Fuzz(func(t *testing.T, text string, chunks, bytes, room int) {
		b := Behaviour{Chunks: int(uint(chunks) % 1001), Bytes: max(bytes, 0)} // as the words' bounds have it
		chunks, bytes = b.Chunks, b.Bytes
		pieces := b.divide(text, false)
		if strings.Join(pieces, "") != text {
			t.Fatalf("%q became %q", text, pieces)
		}
		if chunks > len(pieces) && len([]rune(text)) >= chunks && bytes == 0 || chunks > 0 && bytes == 0 && len(pieces) > chunks {
			t.Fatalf("%q became %d pieces, want %d", text, len(pieces), chunks)
		}
		for _, p := range pieces {
			if p == "" {
				t.Fatalf("%q has an empty piece: %q", text, pieces)
			}
		}
		if kept, whole := trim(pieces, room); room >= 0 && len(whole) > room || strings.Join(kept, "") != whole || !strings.HasPrefix(text, whole) {
			t.Fatalf("%q cut to %d is %q", text, room, whole)
		}
	})
}
