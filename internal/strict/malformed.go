package strict

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"keyshield/internal/apierr"
)

// Malformed says what is wrong with a text as a whole.
func Malformed(err error, body []byte) *apierr.Error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok && e.Err == jsontext.ErrDuplicateName {
		name := Shown(e.JSONPointer.LastToken())
		return Refuse("duplicate_field", "Field %q appears more than once.", name).About(name)
	}
	lenient := []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}
	switch {
	case !utf8.Valid(body):
		return Refuse("invalid_utf8", "The request body is not valid UTF-8.").Because(where(err))
	case err != errNotObject && err != errTrailing && jsontext.Value(body).IsValid(lenient...):
		return halved(err).Because(where(err))
	}
	return Refuse("invalid_json", "The request body is not valid JSON.").Because(where(err))
}

// halved refuses a lone surrogate, "\ud83d": it spells a text that no UTF-8 has. Such
// a body is ASCII, so that it is no valid UTF-8 would tell nobody what to look for.
func halved(err error) *apierr.Error {
	const half = "holds half a character, a lone surrogate such as \"\\ud83d\": cutting a text in the middle of an emoji, as slice() does, leaves one. Cut between characters, or in JavaScript send text.toWellFormed()."
	field := ""
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		field = written(e.JSONPointer)
	}
	if field == "" { // a name's
		return Refuse("invalid_utf8", "The request body %s", half)
	}
	return Refuse("invalid_utf8", "Field %q %s", field, half).About(field)
}

// written is a pointer as Path writes it. What is deeper than anything we read is
// left out: it is in what is named, and a client decides how deep it goes.
func written(p jsontext.Pointer) string {
	const most = 16
	var b strings.Builder
	i := 0
	for token := range p.Tokens() {
		if i == most {
			break
		}
		switch _, err := strconv.ParseUint(token, 10, 32); {
		case i > 0 && err == nil: // a member with a number for a name looks the same
			b.WriteString("[" + token + "]")
		case i > 0:
			b.WriteString("." + Shown(token))
		default:
			b.WriteString(Shown(token))
		}
		i++
	}
	return b.String()
}

// where is err for the log. jsontext's own text holds names from the body, and a
// name can be anything that a client has typed.
func where(err error) error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("not JSON at byte %d", e.ByteOffset)
	}
	return err
}

// Shown makes a member's name fit to be repeated: it is the client's, and may hold
// anything.
func Shown(name string) string {
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
