package strict

import (
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// Document reads any value, no deeper and no longer than said, and returns it
// compact and in ASCII, everything else escaped: the form in which a schema's
// bytes bound its tokens.
func (r *Reader) Document(depth, most int) []byte {
	v := r.value()
	if v == nil || r.Refused() {
		return nil
	}
	if nesting(v) > depth {
		r.Invalid("is nested too deeply: at most %d brackets, one inside the other, are accepted", depth)
		return nil
	}
	v = slices.Clone(v)
	if err := v.Compact(); err != nil {
		r.err = err
		return nil
	}
	doc := AppendASCII(make([]byte, 0, len(v)), v)
	if len(doc) > most {
		r.Invalid("must not be longer than %d bytes", most)
		return nil
	}
	return doc
}

// nesting is how deep a valid value is; 0 for what is no object and no array.
func nesting(v []byte) int {
	deepest, depth, inString := 0, 0, false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// AppendASCII appends valid JSON with all that is not ASCII escaped: outside of
// strings there is none.
func AppendASCII(dst, v []byte) []byte {
	for len(v) > 0 {
		plain := 0
		for plain < len(v) && v[plain] < utf8.RuneSelf {
			plain++
		}
		if plain > 0 {
			dst = append(dst, v[:plain]...)
			v = v[plain:]
			continue
		}
		c, n := utf8.DecodeRune(v)
		dst = AppendEscaped(dst, c)
		v = v[n:]
	}
	return dst
}

// AppendEscaped appends \uXXXX, or two of them for what lies beyond.
func AppendEscaped(dst []byte, c rune) []byte {
	if c > 0xFFFF {
		high, low := utf16.EncodeRune(c)
		return AppendEscaped(AppendEscaped(dst, high), low)
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
}
