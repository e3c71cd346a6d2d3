package wire

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// maxDepth bounds nesting, and with it the recursion of skip. An answer with
// tool calls and log probabilities is 6 deep.
const maxDepth = 64

// scanner walks one JSON document (RFC 8259) and checks all it walks over. The
// first failure sticks and moves to the end of the document, so that callers
// may go on asking and look at err once.
//
//	for s.open('{'); s.next('}'); {
//		switch string(s.name()) { … each case consumes one value … }
//	}
//	s.end()
type scanner struct {
	b     []byte
	i     int
	depth int
	fresh bool // nothing has been read yet of what was opened last
	err   error

	escaped bool // a string with an escape was read; for name

	hear  Hear // nil: nobody listens
	voice int  // of what is read now
}

// scan begins a document. hear is nil when nobody listens.
func scan(doc []byte, hear Hear) scanner {
	return scanner{b: doc, hear: hear, voice: NotGenerated}
}

// fail notes what is wrong and where, never what stood there.
func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s at byte %d", ErrMalformed, what, s.i)
	}
	s.i = len(s.b)
}

// once fails the document when the member it guards comes again.
func (s *scanner) once(seen *bool) {
	if *seen {
		s.fail("duplicate member")
	}
	*seen = true
}

// peek returns the next byte that is not white space, or 0 at the end.
func (s *scanner) peek() byte {
	for ; s.i < len(s.b); s.i++ {
		if c := s.b[s.i]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// open enters an object or an array.
func (s *scanner) open(bracket byte) {
	switch {
	case s.peek() != bracket:
		s.fail("another type of value than expected")
	case s.depth == maxDepth:
		s.fail("nested too deeply")
	default:
		s.i++
		s.depth++
		s.fresh = true
	}
}

// next says whether a member or an element follows, and leaves the object or
// the array if not.
func (s *scanner) next(bracket byte) bool {
	c := s.peek()
	fresh := s.fresh
	s.fresh = false
	switch {
	case c == 0:
		s.fail("cut short")
		return false
	case c == bracket:
		s.i++
		s.depth--
		return false
	case fresh: // whether it is a value is found out by who reads it
		return true
	case c == ',':
		s.i++
		return true
	}
	s.fail("no comma")
	return false
}

// name reads a member's name and its colon. It may return nil for a name too long
// to be one of ours.
func (s *scanner) name() []byte {
	s.escaped = false
	l := s.str()
	s.colon()
	if s.escaped || l == nil {
		s.tellName(l)
		return l.short()
	}
	return l[1 : len(l)-1]
}

// tellName lets an escaped name be heard: it may say anything, and not in the bytes
// that a search would find.
func (s *scanner) tellName(l Literal) {
	if s.hear != nil && l != nil {
		s.hear(l, NotGenerated)
	}
}

func (s *scanner) colon() {
	if s.at(':') { // it nearly always is
		s.i++
		return
	}
	if s.peek() != ':' {
		s.fail("no colon")
		return
	}
	s.i++
}

// end checks that nothing follows.
func (s *scanner) end() {
	if s.peek(); s.i < len(s.b) {
		s.fail("trailing data")
	}
}

// null consumes a null if that is what stands next.
func (s *scanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.word("null")
	return true
}

// text reads a string, or nil for null.
func (s *scanner) text() Literal {
	if s.null() {
		return nil
	}
	l := s.str()
	if s.hear != nil {
		s.tell(l)
	}
	return l
}

// tell lets a string be heard that is a value, not a name.
func (s *scanner) tell(l Literal) {
	if l != nil {
		s.hear(l, s.voice)
	}
}

// skip walks over one value of any kind.
func (s *scanner) skip() {
	switch c := s.peek(); c {
	case '"':
		if l := s.str(); s.hear != nil {
			s.tell(l)
		}
	case '{':
		for s.open('{'); s.next('}'); {
			s.escaped = false
			if l := s.str(); s.escaped {
				s.tellName(l)
			}
			s.colon()
			s.skip()
		}
	case '[':
		for s.open('['); s.next(']'); {
			s.skip()
		}
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		s.number()
	}
}

func (s *scanner) word(w string) {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		s.fail("not a value")
		return
	}
	s.i += len(w)
}

// number reads a number as it is written.
func (s *scanner) number() []byte {
	s.peek()
	b, i := s.b, s.i
	whole := i
	if i < len(b) && b[i] == '-' {
		i++
		whole++
	}
	if i < len(b) && b[i] == '0' {
		i++ // and no digit after it: "01" fails as a missing comma
	} else {
		i = digits(b, i)
	}
	ok := i > whole
	if i < len(b) && b[i] == '.' {
		part := i + 1
		i = digits(b, part)
		ok = ok && i > part
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		part := i + 1
		if part < len(b) && (b[part] == '+' || b[part] == '-') {
			part++
		}
		i = digits(b, part)
		ok = ok && i > part
	}
	start := s.i
	if s.i = i; !ok {
		s.fail("not a value")
		return nil
	}
	return b[start:i]
}

// digits returns where the digits end that begin at i.
func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

// str reads a string. UTF-8 is not looked at: an invalid byte is data, and
// becomes U+FFFD when the literal is decoded.
func (s *scanner) str() Literal {
	if s.peek() != '"' {
		s.fail("another type of value than expected")
		return nil
	}
	start := s.i
	for i := start + 1; ; {
		i = special(s.b, i)
		if i == len(s.b) {
			s.fail("cut short")
			return nil
		}
		switch s.b[i] {
		case '"':
			s.i = i + 1
			return Literal(s.b[start:s.i])
		case '\\':
			n := escape(s.b[i:])
			if n == 0 {
				s.i = i
				s.fail("not an escape")
				return nil
			}
			i += n
			s.escaped = true
		default:
			s.i = i
			s.fail("control character in a string")
			return nil
		}
	}
}

// special returns the index of the first quote, backslash or control character
// in b from i on, or len(b). It looks at eight bytes at a time: in the lowest
// byte that it marks, each of these formulas is exact.
func special(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		found := (quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w
		if found &= tops; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < 0x20 {
			break
		}
	}
	return i
}

// escape returns the length of the escape that b begins with, 0 if it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b); ok {
			return 6
		}
	}
	return 0
}
