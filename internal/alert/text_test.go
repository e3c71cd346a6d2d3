package alert

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var (
	links    = regexp.MustCompile(`[<>]|://|\]\(`)
	mentions = regexp.MustCompile(`(?i)@(everyone|here|channel|all)([^\pL\pN_]|$)`)
)

// live is what calls somebody or is a link.
func live(s string) string { return links.FindString(s) + mentions.FindString(s) }

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
			if live := live(shown); live != "" {
				t.Errorf("%q is live in %q", live, shown)
			}
			plain := strings.NewReplacer("\u200b", "", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(shown)
			if plain != got {
				t.Errorf("%q is shown as %q", got, plain)
			}
		}
	})
}

// FuzzSlack: whatever is in an event, what is code was meant to be, commands in it are
// as they were, and the rest is not live.
func FuzzSlack(f *testing.F) {
	f.Add("a ` b", "Undo: keyshield enable --user bob@allianz.example", "keyshield x '`'")
	f.Add("@everyone", "` keyshield disable 'https://x [a](b) @here' ` keyshield x", "a; undo: keyshield enable --user 'a<b'")
	f.Add("", "keyshield a@everyone. keyshield \\' @all keyshield 'a\nb'", "")
	f.Fuzz(func(t *testing.T, title, text, value string) {
		e := Event{Title: clean(title, false), Text: clean(text, true), Fields: [][2]string{{"Why", clean(value, false)}}}
		if len(title)+len(text)+len(value) > 300 {
			return // what is cut is no command any more
		}
		shown := slackText(e, "keyshield")
		parts := strings.Split(shown, "`")
		if len(parts)%2 == 0 {
			t.Fatalf("what is code and what is not is turned around in %q", shown)
		}
		for i, part := range parts {
			if i%2 == 0 && live(part) != "" {
				t.Errorf("%q is live in %q", live(part), part)
			}
			if i%2 == 1 && (strings.ContainsAny(part, "<>\n") || everyone.MatchString(part)) {
				t.Errorf("%q is live although it is code", part)
			}
		}
		for _, said := range command.FindAllString(e.Text, -1) {
			want := "`" + strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(said) + "`"
			if survives(said) && !strings.Contains(shown, want) {
				t.Errorf("%q does not say %q", shown, want)
			}
		}
	})
}
