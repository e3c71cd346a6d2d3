// Package strict reads the JSON bodies of clients by allow-lists.
//
// Whatever it accepts, any JSON parser reads the same way: members are unique,
// none differs from a known one by case alone, every string is valid Unicode,
// nothing follows the document. A member that nobody asked for is refused by its
// name, so what is judged is all there is.
//
// A body with several faults is refused for the text as a whole first (it is no
// JSON, no UTF-8, or repeats a member), and then for the first member that cannot
// be accepted. A Reader goes on after a refusal, since what comes later may be no
// JSON; its methods return zero values from then on, and whoever calls them need
// not look.
package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"keyshield/internal/apierr"
)

var (
	errNotObject = errors.New("not an object")
	errTrailing  = errors.New("something follows the object")
)

// readers are used again: a new decoder costs more than most bodies. None of them
// holds on to a body.
var readers = sync.Pool{New: func() any { return new(Reader) }}

// Reader walks one document. Every method that reads consumes exactly one value,
// whatever it is.
type Reader struct {
	in      bytes.Buffer // the decoder reads in it, without a copy
	dec     jsontext.Decoder
	refusal *apierr.Error
	err     error // the text as a whole is at fault: nothing more is read
}

// Read reads a body, which must be one object of these members. Every error is an
// *apierr.Error with status 400. Nothing of body is kept.
func Read(body []byte, names []string, member func(r *Reader, name string)) error {
	r := readers.Get().(*Reader)
	defer func() {
		r.reset(nil)
		readers.Put(r)
	}()
	r.reset(body)
	if r.dec.PeekKind() != '{' {
		// What is no object may still be no JSON, or no UTF-8.
		if _, err := r.dec.ReadValue(); err != nil && err != io.EOF {
			return Malformed(err, body)
		}
		return Malformed(errNotObject, body)
	}
	r.Object(names, func(name string) { member(r, name) })
	if r.err == nil {
		if _, err := r.dec.ReadToken(); err != io.EOF {
			r.err = errTrailing
		}
	}
	switch {
	case r.err != nil:
		return Malformed(r.err, body)
	case r.refusal != nil:
		return r.refusal
	}
	return nil
}

func (r *Reader) reset(body []byte) {
	r.in = *bytes.NewBuffer(body)
	r.dec.Reset(&r.in) // strict by default: unique names, valid UTF-8, depth ≤ 10,000
	r.refusal, r.err = nil, nil
}

// Refused says whether something has been refused already, so that what is known
// so far is not all.
func (r *Reader) Refused() bool { return r.refusal != nil || r.err != nil }

// Refuse refuses the value read last, or the member whose value comes next. Only
// the first refusal counts.
func (r *Reader) Refuse(code, format string, args ...any) {
	if !r.Refused() {
		r.refusal = Refuse(code, format, args...).About(r.Path())
	}
}

// Invalid refuses as Refuse does, naming the field first: "Field "n" must be 1."
func (r *Reader) Invalid(format string, args ...any) {
	if !r.Refused() {
		r.Refuse("invalid_field", "Field %q %s.", r.Path(), fmt.Sprintf(format, args...))
	}
}

// InvalidMember refuses as Invalid does, for a member of the object read last.
func (r *Reader) InvalidMember(name, format string, args ...any) {
	if !r.Refused() {
		name = r.member(name)
		r.refusal = Refuse("invalid_field", "Field %q %s.", name, fmt.Sprintf(format, args...)).About(name)
	}
}

// Missing refuses the object read last, or the document, for what it lacks.
func (r *Reader) Missing(name string) {
	r.InvalidMember(name, "is missing")
}

// member is the path of a member of the object read last.
func (r *Reader) member(name string) string {
	if path := r.Path(); path != "" {
		return path + "." + name
	}
	return name
}

// Refuse is a refusal of the request.
func Refuse(code, format string, args ...any) *apierr.Error {
	return apierr.New(http.StatusBadRequest, code, format, args...)
}

// Path is where the reader stands, as the SDKs write it: messages[0].content.
func (r *Reader) Path() string {
	var b strings.Builder
	depth := r.dec.StackDepth()
	for i, token := range slices.Collect(r.dec.StackPointer().Tokens()) {
		kind, _ := r.dec.StackIndex(min(i+1, depth))
		switch _, err := strconv.ParseUint(token, 10, 32); {
		case kind == '[' && err == nil:
			b.WriteString("[" + token + "]")
		case i > 0:
			b.WriteString("." + Shown(token))
		default:
			b.WriteString(Shown(token))
		}
	}
	return b.String()
}

// Kind is the kind of the next value: one of n f t " 0 { [, or 0 where there is none.
func (r *Reader) Kind() byte {
	if r.err != nil {
		return 0
	}
	return byte(r.dec.PeekKind())
}

// Null consumes a null, if that is what comes next.
func (r *Reader) Null() bool {
	if r.Kind() != 'n' {
		return false
	}
	r.Skip()
	return true
}

// Skip consumes a value unread. It is as strictly JSON as all others.
func (r *Reader) Skip() { r.value() }

// value consumes the next value; nil where there is none. It is good until the
// next call.
func (r *Reader) value() jsontext.Value {
	if r.err != nil {
		return nil
	}
	v, err := r.dec.ReadValue()
	if err != nil {
		r.err = err
		return nil
	}
	return v
}

// String reads a string.
func (r *Reader) String() string {
	v := r.value()
	if v.Kind() != '"' {
		r.Invalid("must be a string")
		return ""
	}
	return text(v)
}

// Text reads a string of at most so many bytes, which must not be empty.
func (r *Reader) Text(most int) string {
	s := r.String()
	switch {
	case r.Refused():
	case s == "":
		r.Invalid("must not be empty")
	case len(s) > most:
		r.Invalid("must not be longer than %d bytes", most)
	}
	return s
}

// Enum reads a string that must be one of these.
func (r *Reader) Enum(of ...string) string {
	v := r.value()
	if v.Kind() == '"' {
		if s := text(v); slices.Contains(of, s) {
			return s
		}
	}
	r.Invalid("must be %s", Listed(of, "or"))
	return ""
}

// Listed is the words as a sentence has them: "a", "b" or "c".
func Listed(words []string, last string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	if n := len(quoted) - 1; n > 0 {
		return strings.Join(quoted[:n], ", ") + " " + last + " " + quoted[n]
	}
	return quoted[0]
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	v := r.value()
	if k := v.Kind(); k != 't' && k != 'f' {
		r.Invalid("must be true or false")
	}
	return v.Kind() == 't'
}

// Int reads a whole number from least to most, written without fraction or exponent.
func (r *Reader) Int(least, most int64) int64 {
	v := r.value()
	if v.Kind() == '0' {
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil && n >= least && n <= most {
			return n
		}
	}
	switch {
	case most < math.MaxInt64:
		r.Invalid("must be a whole number from %d to %d", least, most)
	case least > math.MinInt64:
		r.Invalid("must be a whole number, at least %d", least)
	default:
		r.Invalid("must be a whole number")
	}
	return 0
}

// Number reads a number from least to most.
func (r *Reader) Number(least, most float64) float64 {
	v := r.value()
	if v.Kind() == '0' {
		if x, err := strconv.ParseFloat(string(v), 64); err == nil && x >= least && x <= most {
			return x
		}
	}
	r.Invalid("must be a number from %v to %v", least, most)
	return 0
}

// Array reads an array of at most so many elements; each must consume one.
func (r *Reader) Array(most int, each func(i int)) {
	if r.Kind() != '[' {
		r.Skip()
		r.Invalid("must be an array")
		return
	}
	r.token()
	for i := 0; r.err == nil && r.dec.PeekKind() != ']'; i++ {
		if i >= most || r.Refused() {
			r.Skip()
			if i == most {
				r.tooMany(most)
			}
			continue
		}
		each(i)
	}
	r.token()
}

func (r *Reader) tooMany(most int) {
	if !r.Refused() {
		path := r.Path()
		path = path[:strings.LastIndexByte(path, '[')]
		r.refusal = Refuse("invalid_field", "Field %q has too many elements: at most %d are accepted.", path, most).About(path)
	}
}

// Object reads an object of these members; member must consume the value. A
// member not among names is refused.
func (r *Reader) Object(names []string, member func(name string)) {
	r.members(func(quoted jsontext.Value) {
		if known := find(names, quoted); known != "" {
			member(known)
			return
		}
		r.unknown(text(quoted), names)
		r.Skip()
	})
}

// Map reads an object of at most so many members, of any name; member must consume
// the value.
func (r *Reader) Map(most int, member func(name string)) {
	n := 0
	r.members(func(quoted jsontext.Value) {
		if n++; n > most {
			r.Skip()
			return
		}
		member(text(quoted))
	})
	if n > most {
		r.Invalid("has too many members: at most %d are accepted", most)
	}
}

// members reads an object. What comes after a refusal is not handed on.
func (r *Reader) members(member func(quoted jsontext.Value)) {
	if r.Kind() != '{' {
		r.Skip()
		r.Invalid("must be an object")
		return
	}
	r.token()
	for r.err == nil && r.dec.PeekKind() == '"' {
		switch quoted := r.value(); {
		case r.err != nil:
			return
		case r.Refused():
			r.Skip()
		default:
			member(quoted)
		}
	}
	r.token() // the brace, or what should not stand there
}

// find returns the name that a JSON string spells, if it is one of these.
func find(names []string, quoted jsontext.Value) string {
	spelt := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(spelt, '\\') >= 0 {
		spelt = []byte(text(quoted))
	}
	for _, name := range names {
		if string(spelt) == name { // allocates nothing, as converting it once would
			return name
		}
	}
	return ""
}

// unknown refuses a member by its name.
func (r *Reader) unknown(name string, names []string) {
	for _, known := range names {
		if strings.EqualFold(name, known) {
			r.Refuse("duplicate_field", "Field %q must be written %q.", r.Path(), known)
			return
		}
	}
	only := " See /openapi.yaml for those that are accepted."
	switch n := len(names); {
	case n == 1:
		only = " Only " + strconv.Quote(names[0]) + " is accepted."
	case n <= 4:
		only = " Only " + Listed(names, "and") + " are accepted."
	}
	r.Refuse("unknown_field", "Unknown field %q.%s", r.Path(), only)
}

// token consumes a bracket.
func (r *Reader) token() {
	if r.err != nil {
		return
	}
	if _, err := r.dec.ReadToken(); err != nil {
		r.err = err
	}
}

// text returns what a valid JSON string spells.
func text(quoted jsontext.Value) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	plain, _ := jsontext.AppendUnquote(nil, quoted) // fails only on what the decoder refused
	return string(plain)
}
