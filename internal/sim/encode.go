package sim

import "unicode/utf16"

// appendString writes s as a JSON string. It passes bytes that are not UTF-8
// through: a fault sends them. escape writes every character as \u00XX.
func appendString(dst []byte, s string, escape bool) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	if escape {
		for _, u := range utf16.Encode([]rune(s)) {
			dst = append(dst, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
		}
		return append(dst, '"')
	}
	for i := range len(s) {
		switch b := s[i]; {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b == '\n':
			dst = append(dst, '\\', 'n')
		case b < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"')
}
