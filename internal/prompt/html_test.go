package prompt

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// knownTag finds in s what a browser would take for a known tag, a comment or a
// doctype, by asking a tokenizer that starts at each <.
func knownTag(s string) string {
	for i := range len(s) {
		if s[i] != '<' {
			continue
		}
		z := html.NewTokenizer(strings.NewReader(s[i:]))
		switch kind := z.Next(); kind {
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			raw := string(z.Raw())
			if name, _ := z.TagName(); elements[string(name)] {
				return raw
			}
		case html.DoctypeToken:
			return s[i:]
		case html.CommentToken:
			if strings.HasPrefix(s[i:], "<!--") {
				return s[i:]
			}
		case html.ErrorToken:
			if name := unclosed.FindStringSubmatch(s[i:]); name != nil && elements[strings.ToLower(name[1])] {
				return s[i:]
			}
		}
	}
	return ""
}

var unclosed = regexp.MustCompile(`^</?([A-Za-z0-9-]+)([\s/]|$)`)

func checkClean(t *testing.T, s string) {
	t.Helper()
	got := Clean(s, true)
	if again := Clean(got, true); again != got {
		t.Errorf("%q became %q, and %q when cleaned again", s, got, again)
	}
	if !subsequence(got, s) {
		t.Errorf("%q became %q: something was added", s, got)
	}
	if !utf8.ValidString(got) {
		t.Errorf("%q became %q, which is not UTF-8", s, got)
	}
	if tag := knownTag(got); tag != "" {
		t.Errorf("%q became %q: %q is left", s, got, tag)
	}
	if !strings.Contains(s, "<") && got != Clean(s, false) {
		t.Errorf("%q has no markup, and became %q", s, got)
	}
}

// subsequence reports whether got is s with bytes taken out.
func subsequence(got, s string) bool {
	for i := range len(s) {
		if got != "" && got[0] == s[i] {
			got = got[1:]
		}
	}
	return got == ""
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{
		"a < b and c > d", "List<String>", "<b>x</b>", "<scr<script>ipt>", "<<b>b>", "<!-- x --!>", "<!-->", "</3", "<?x", "<x y='>'>", "<b <b <b", "<x a=b", "<script><!--<script></script>--></script>",
		"<style></style", "<plaintext>x", "<foo\"<b>", "\U0001F3F4\U000E0067\U000E0062\U000E0073\U000E007F", "<a\u200b>", "<![CDATA[<b>]]>", "</ b>", "<math/><annotation-xml x", "<x/=b>", "<b\xff>",
	} {
		f.Add(s)
	}
	f.Fuzz(checkClean)
}

// hostile are texts that make naive removal cost the square of their length.
func hostile(size int) map[string]string {
	texts := make(map[string]string)
	for _, piece := range []string{
		"<", "<a", "<x", "<x ", "<x y ", "<x y=", "<x<", "<x>", "</", "</x", "<!", "<!-", "<!--", "<?", "<script>", "<script", "<script>x</script>", "<scr<script>ipt>", "<style><!--", "<x a='", "<b a=\"", "<x/", "<b/", "<!--<script>",
		"</script", "<x a=b>", "<title>", "<x \n",
	} {
		texts[piece] = strings.Repeat(piece, size/len(piece))
	}
	for _, pair := range [][2]string{{"<", "b>"}, {"<", "!---->"}, {"<scr", "ipt>"}, {"<b", ">"}, {"<x<", ">"}, {"</", "p>"}, {"<!-", "-->"}} {
		n := size / (len(pair[0]) + len(pair[1]))
		texts[pair[0]+"…"+pair[1]] = strings.Repeat(pair[0], n) + "<b>" + strings.Repeat(pair[1], n)
	}
	return texts
}

func TestHostileTextCostsNoMoreThanItsLength(t *testing.T) {
	const size = 64 << 10
	for name, s := range hostile(size) {
		got, work := strip(s)
		if most := 3 * workLimit(s); work > most {
			t.Errorf("%s: %d bytes of work on %d, want at most %d", name, work, len(s), most)
		}
		if again, _ := strip(got); again != got {
			t.Errorf("%s: stripping again changes %.40q… to %.40q…", name, got, again)
		}
	}
}

// TestAtTheBoundNoTagIsLeft uses texts small enough for the oracle, which is
// quadratic itself, and yet too hard for the bound.
func TestAtTheBoundNoTagIsLeft(t *testing.T) {
	for name, s := range hostile(2 << 10) {
		checkClean(t, s)
		if t.Failed() {
			t.Fatalf("in %s", name)
		}
	}
	s := strings.Repeat("<x<", 20<<10) + "<b>"
	if got := Clean(s, true); strings.Contains(got, "<") {
		t.Errorf("beyond the bound a < is left: %.40q…", got)
	}
}

func TestAnOrdinaryTextIsFarFromTheBound(t *testing.T) {
	s := strings.Repeat("Is x<y, <b>k<n</b>, or List<Map<K, V>> with a < b? ", 100)
	want := strings.Repeat("Is x<y, k<n, or List<Map<K, V>> with a < b? ", 100)
	got, work := strip(s)
	if got != want {
		t.Errorf("became %.100q…", got)
	}
	if work > workLimit(s)/2 {
		t.Errorf("%d bytes of work on %d, want less than half of %d", work, len(s), workLimit(s))
	}
}

func BenchmarkStripHostile(b *testing.B) {
	for name, s := range hostile(64 << 10) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				stripTags(s)
			}
		})
	}
}
