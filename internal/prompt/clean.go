package prompt

import (
	"strings"
	"unicode/utf8"
)

// Clean takes out of s what a person does not see or did not mean: control
// characters (of line ends \n remains), invisible characters, invalid UTF-8 and,
// if stripHTML, markup. The rest stays byte for byte; cleaning again changes
// nothing.
//
// The invisible ones go because they can carry text that only the model reads. U+200C
// and U+200D stay, which scripts and emoji need, and so do variation selectors.
func Clean(s string, stripHTML bool) string {
	s = visible(s) // first: <scr\u200bipt> is a tag once cleaned
	if stripHTML && strings.IndexByte(s, '<') >= 0 {
		s = stripTags(s)
	}
	return s
}

// visible copies nothing when there is nothing to remove.
func visible(s string) string {
	from := indexHidden(s)
	if from < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	tags := false
	for from >= 0 {
		b.WriteString(s[:from])
		r, size := utf8.DecodeRuneInString(s[from:])
		if isTag(r) {
			b.WriteString(s[from : from+size])
			tags = true
		}
		s = s[from+size:]
		from = indexHidden(s)
	}
	b.WriteString(s)
	if tags {
		return dropTags(b.String())
	}
	return b.String()
}

// indexHidden finds the first character that goes, or that may: a tag character.
func indexHidden(s string) int {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if isHidden(r) || isTag(r) || r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func isHidden(r rune) bool {
	switch {
	case 0x80 <= r && r <= 0x9f, // C1 controls
		r == 0xad,                  // soft hyphen
		r == 0x61c,                 // Arabic letter mark
		r == 0x180e,                // Mongolian vowel separator
		r == 0x200b,                // zero width space
		0x202a <= r && r <= 0x202e, // directional embeddings and overrides
		0x2060 <= r && r <= 0x2064, // word joiner, invisible operators
		0x2066 <= r && r <= 0x206f, // directional isolates, deprecated format characters
		r == 0xfeff,                // byte order mark
		0xfff9 <= r && r <= 0xfffb: // interlinear annotation
		return true
	}
	return false
}

const (
	blackFlag = "\U0001F3F4"
	tagEnd    = 0xe007f
)

// isTag reports whether r is one of the invisible doubles of ASCII.
func isTag(r rune) bool { return 0xe0000 <= r && r <= tagEnd }

// dropTags keeps tag characters only where they spell a flag.
func dropTags(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if strings.HasPrefix(s[i:], blackFlag) {
			n := len(blackFlag) + flagSize(s[i+len(blackFlag):])
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if !isTag(r) {
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

// flagSize measures the tag characters after a black flag that make it a region's:
// a subdivision code (CLDR: 3 to 7 of a–z, 0–9), then the end (UTS #51 ED-14a). A
// longer run would be well-formed, but is text in hiding.
func flagSize(s string) int {
	const tag, least, most = 0xe0000, 3, 7
	i := 0
	for count := 0; i < len(s); count++ {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		if r == tagEnd && count >= least {
			return i
		}
		if c := r - tag; count == most || (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return 0
		}
	}
	return 0
}
