package secret

import (
	"bytes"
	"strings"
)

// needle is the part of one secret that is looked for in a whole text.
type needle struct {
	text []byte
	rare int // where the byte stands that texts have least of
}

// common are the bytes of JSON and English, those seen most often first.
const common = ` etaoinsr"hldcumfpgwyb,.:v_-k0123456789{}[]jxqz/'()IASTC`

func newNeedle(text string) needle {
	n := needle{text: []byte(text)}
	for i := range n.text {
		if rarity(text[i]) > rarity(text[n.rare]) {
			n.rare = i
		}
	}
	return n
}

func rarity(c byte) int {
	if at := strings.IndexByte(common, c); at >= 0 {
		return at
	}
	return len(common)
}

// in says whether the needle stands in text. It goes from one of its rarest bytes to
// the next: bytes.Contains goes by the first, and every "t" of a text is one of
// "test-key".
func (n *needle) in(text []byte) bool {
	for from := n.rare; from < len(text); from++ {
		i := bytes.IndexByte(text[from:], n.text[n.rare])
		if i < 0 {
			return false
		}
		from += i
		if bytes.HasPrefix(text[from-n.rare:], n.text) {
			return true
		}
	}
	return false
}

// ends says whether the text ends in so much of the needle's beginning that the rest
// of it must have been cut off.
func (n *needle) ends(text []byte) bool {
	if len(text) < tail {
		return false
	}
	last := text[len(text)-1]
	for long := len(n.text) - 1; long >= tail; long-- {
		if n.text[long-1] == last && bytes.HasSuffix(text, n.text[:long]) {
			return true
		}
	}
	return false
}
