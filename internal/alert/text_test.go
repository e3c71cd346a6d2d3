package alert

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzText: whatever is in a text, what is left of it prints, fits and calls nobody.
func FuzzText(f *testing.F) {
	f.Add("<!channel> @everyone [a](https://b) `c` & d\r\n\u2028\u202e\x00\xff", 20)
	f.Add("a\u200b\r\u200b\n b ", 3)
	f.Add("@@all:////]((", 200)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 1 + int(uint(limit)%maxText)
		for _, lines := range []bool{false, true} {
			got := cut(clean(s, lines), limit)
			if again := cut(clean(got, lines), limit); again != got {
				t.Errorf("cleaned twice %q is %q", got, again)
			}
			if !utf8.ValidString(got) || utf8.RuneCountInString(got) > limit {
				t.Errorf("%q is not valid or longer than %d", got, limit)
			}
			for _, r := range got {
				if unicode.IsControl(r) && (r != '\n' || !lines) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
					t.Errorf("%U is left in %q", r, got)
				}
			}
			shown := inert(got)
			for _, live := range []string{"<", ">", "://", "](", "@everyone", "@here", "@channel", "@all"} {
				if strings.Contains(strings.ToLower(shown), live) {
					t.Errorf("%q is live in %q", live, shown)
				}
			}
			plain := strings.NewReplacer("\u200b", "", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(shown)
			if plain != got {
				t.Errorf("%q is shown as %q", got, plain)
			}
		}
	})
}
