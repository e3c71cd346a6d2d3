package wire

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Literal is a JSON string as it stood on the wire, quotes included, its
// grammar checked; nil when it was null or absent.
type Literal []byte

// Plain returns the text without a copy when it is valid UTF-8 and nothing in
// it is escaped. It aliases the document.
func (l Literal) Plain() (text []byte, ok bool) {
	if len(l) < 2 {
		return nil, true
	}
	text = l[1 : len(l)-1]
	if bytes.IndexByte(text, '\\') >= 0 || !utf8.Valid(text) {
		return nil, false
	}
	return text, true
}

// AppendText appends the text, always valid UTF-8: a lone surrogate and each
// invalid byte become U+FFFD.
func (l Literal) AppendText(dst []byte) []byte {
	if text, ok := l.Plain(); ok {
		return append(dst, text...)
	}
	for b := l[1 : len(l)-1]; len(b) > 0; {
		run := b
		if i := bytes.IndexByte(b, '\\'); i >= 0 {
			run = b[:i]
		}
		dst = appendValid(dst, run)
		if b = b[len(run):]; len(b) > 0 {
			r, n := unescape(b)
			dst = utf8.AppendRune(dst, r)
			b = b[n:]
		}
	}
	return dst
}

func appendValid(dst, text []byte) []byte {
	if utf8.Valid(text) {
		return append(dst, text...)
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		dst = utf8.AppendRune(dst, r)
		text = text[n:]
	}
	return dst
}

// short returns the text of a literal that may be one of the words we know, and
// nil for one too long: six bytes are the most that one character can take. It
// allocates only for escapes, which nobody writes into these.
func (l Literal) short() []byte {
	const longest = len("response.reasoning_summary_text.delta")
	if len(l) < 2 || len(l) > 6*longest+2 {
		return nil
	}
	if bytes.IndexByte(l, '\\') < 0 {
		return l[1 : len(l)-1]
	}
	return l.AppendText(nil)
}

// unescape decodes the escape that b begins with, and a pair of surrogates as
// one. The scanner has seen that it is whole.
func unescape(b []byte) (r rune, n int) {
	switch c := b[1]; c {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default: // " \ /
		return rune(c), 2
	}
	r, _ = hex4(b)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if low, ok := hex4(b[6:]); ok {
		if r := utf16.DecodeRune(r, low); r != utf8.RuneError {
			return r, 12
		}
	}
	return utf8.RuneError, 6
}

// hex4 reads \uXXXX.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// AppendQuote appends text as a JSON string. The result is valid UTF-8 whatever
// text is: each invalid byte becomes U+FFFD. Everything that JSON does not
// require to be escaped is left as it is.
func AppendQuote[T ~[]byte | ~string](dst []byte, text T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, text[done:i]...)
				dst = utf8.AppendRune(dst, r)
				done = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, text[done:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i++
		done = i
	}
	dst = append(dst, text[done:]...)
	return append(dst, '"')
}
