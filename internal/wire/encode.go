package wire

import (
	"strconv"
	"unicode/utf8"

	"keyshield/internal/strict"
)

// encoder appends JSON: plain UTF-8, or ASCII for what counts as a schema. It sets
// the commas: what ends in an opening bracket or a colon wants none, and no value
// ends in one. An object or an array is an opening bracket, its members or
// elements, a closing bracket.
type encoder struct {
	b     []byte
	ascii bool
}

// start begins the document, whatever stands in dst already.
func start(dst []byte) encoder { return encoder{b: append(dst, '{')} }

func (e *encoder) comma() {
	switch e.b[len(e.b)-1] {
	case '{', '[', ':':
	default:
		e.b = append(e.b, ',')
	}
}

func (e *encoder) open(bracket byte) {
	e.comma()
	e.b = append(e.b, bracket)
}

func (e *encoder) close(bracket byte) { e.b = append(e.b, bracket) }

// name begins a member. It is one of our words, so nothing in it needs an escape.
func (e *encoder) name(word string) {
	e.comma()
	e.b = append(e.b, '"')
	e.b = append(e.b, word...)
	e.b = append(e.b, '"', ':')
}

func (e *encoder) text(s string) {
	e.comma()
	if e.ascii && !isASCII(s) {
		e.b = strict.AppendASCII(e.b, AppendQuote(nil, s))
		return
	}
	e.b = AppendQuote(e.b, s)
}

// raw appends a document that is JSON already, and ASCII: strict.Reader.Document's.
func (e *encoder) raw(doc []byte) {
	e.comma()
	e.b = append(e.b, doc...)
}

func (e *encoder) int(n int64) {
	e.comma()
	e.b = strconv.AppendInt(e.b, n, 10)
}

func (e *encoder) number(x float64) {
	e.comma()
	e.b = strconv.AppendFloat(e.b, x, 'g', -1, 64)
}

func (e *encoder) bool(on bool) {
	e.comma()
	e.b = strconv.AppendBool(e.b, on)
}

func (e *encoder) null() {
	e.comma()
	e.b = append(e.b, "null"...)
}

// texts appends an array of strings.
func (e *encoder) texts(list []string) {
	e.open('[')
	for _, s := range list {
		e.text(s)
	}
	e.close(']')
}

// Members that are left out when there is nothing to say.

func (e *encoder) textMember(name, s string) {
	if s != "" {
		e.name(name)
		e.text(s)
	}
}

func (e *encoder) rawMember(name string, doc []byte) {
	if doc != nil {
		e.name(name)
		e.raw(doc)
	}
}

func (e *encoder) boolMember(name string, on *bool) {
	if on != nil {
		e.name(name)
		e.bool(*on)
	}
}

func (e *encoder) intMember(name string, n *int64) {
	if n != nil {
		e.name(name)
		e.int(*n)
	}
}

func (e *encoder) numberMember(name string, x *float64) {
	if x != nil {
		e.name(name)
		e.number(*x)
	}
}

// schemaMember appends a member whose value is written in ASCII, and returns how
// long that value is: its tokens are bounded by a multiple of these bytes.
func (e *encoder) schemaMember(name string, value func()) int {
	e.name(name)
	before := len(e.b)
	e.ascii = true
	value()
	e.ascii = false
	return len(e.b) - before
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
