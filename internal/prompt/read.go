package prompt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"keyshield/internal/apierr"
)

// stream is the one member that every body may have beside the prompt.
const stream = "stream"

var (
	errNotObject = errors.New("not an object")
	errTrailing  = errors.New("something follows the object")
)

// scanners are used again: a new decoder costs more than most bodies. None of them
// holds on to a body.
var scanners = sync.Pool{New: func() any { return new(scanner) }}

// members are what a body holds. prompt is "" when it is absent or no string.
type members struct {
	prompt string
	stream *bool
}

// scanner reads one body. refusal is the first member that cannot be accepted;
// the scanner reads on after it, since what is not JSON is refused as that.
type scanner struct {
	in      bytes.Buffer // the decoder reads in it, without a copy
	dec     jsontext.Decoder
	members members
	refusal *apierr.Error
}

func read(body []byte, field string) (members, error) {
	s := scanners.Get().(*scanner)
	defer func() {
		s.reset(nil)
		scanners.Put(s)
	}()
	s.reset(body)
	if err := s.object(field); err != nil {
		return members{}, malformed(err, body)
	}
	if s.refusal != nil {
		return members{}, s.refusal
	}
	return s.members, nil
}

func (s *scanner) reset(body []byte) {
	s.in = *bytes.NewBuffer(body)
	s.dec.Reset(&s.in) // strict by default: unique names, valid UTF-8, depth ≤ 10,000
	s.members, s.refusal = members{}, nil
}

// object reads the whole text, which must be one object.
func (s *scanner) object(field string) error {
	if s.dec.PeekKind() != '{' {
		return errNotObject
	}
	if _, err := s.dec.ReadToken(); err != nil {
		return err
	}
	for s.dec.PeekKind() == '"' {
		name, err := s.dec.ReadValue()
		if err != nil {
			return err
		}
		if err := s.member(text(name), field); err != nil {
			return err
		}
	}
	if _, err := s.dec.ReadToken(); err != nil { // the brace, or what should not stand there
		return err
	}
	if _, err := s.dec.ReadToken(); err != io.EOF {
		return errTrailing
	}
	return nil
}

func (s *scanner) member(name, field string) error {
	value, err := s.dec.ReadValue()
	if err != nil {
		return err
	}
	switch kind := value.Kind(); {
	case name == field:
		if kind == '"' {
			s.members.prompt = text(value)
		}
	case name == stream:
		if kind != 't' && kind != 'f' {
			s.refuse("invalid_field", name, "Field %q must be true or false.", name)
			break
		}
		on := kind == 't'
		s.members.stream = &on
	case strings.EqualFold(name, field):
		s.refuse("duplicate_field", name, "Field %q must be written %q.", shown(name), field)
	case strings.EqualFold(name, stream):
		s.refuse("duplicate_field", name, "Field %q must be written %q.", shown(name), stream)
	default:
		s.refuse("unknown_field", name, "Unknown field %q. Only %q and %q are accepted.", shown(name), field, stream)
	}
	return nil
}

func (s *scanner) refuse(code, name, format string, args ...any) {
	if s.refusal == nil {
		s.refusal = refuse(code, format, args...).About(shown(name))
	}
}

// malformed says what is wrong with a text as a whole. A lone surrogate, "\ud800",
// counts as invalid UTF-8: it spells a text that has no such form.
func malformed(err error, body []byte) *apierr.Error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok && e.Err == jsontext.ErrDuplicateName {
		name := shown(e.JSONPointer.LastToken())
		return refuse("duplicate_field", "Field %q appears more than once.", name).About(name)
	}
	lenient := []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}
	if !utf8.Valid(body) || err != errNotObject && err != errTrailing && jsontext.Value(body).IsValid(lenient...) {
		return refuse("invalid_utf8", "The request body is not valid UTF-8.").Because(where(err))
	}
	return refuse("invalid_json", "The request body is not valid JSON.").Because(where(err))
}

// where is err for the log. jsontext's own text holds names from the body, and a
// name can be anything that a client has typed.
func where(err error) error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("not JSON at byte %d", e.ByteOffset)
	}
	return err
}

// text returns what a valid JSON string spells.
func text(quoted jsontext.Value) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	plain, _ := jsontext.AppendUnquote(nil, quoted) // fails only on what the decoder refused
	return string(plain)
}

// shown makes a member's name fit to be repeated: it is the client's, and may hold
// anything.
func shown(name string) string {
	const most = 64
	var b strings.Builder
	for i, c := range []rune(name) {
		if i == most {
			b.WriteRune('…')
			break
		}
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("_-.$[]", c) {
			c = '?'
		}
		b.WriteRune(c)
	}
	return b.String()
}
