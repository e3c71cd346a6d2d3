package strict

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"keyshield/internal/apierr"
)

// Malformed says what is wrong with a text as a whole. A lone surrogate, "\ud800",
// counts as invalid UTF-8: it spells a text that has no such form.
func Malformed(err error, body []byte) *apierr.Error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok && e.Err == jsontext.ErrDuplicateName {
		name := Shown(e.JSONPointer.LastToken())
		return Refuse("duplicate_field", "Field %q appears more than once.", name).About(name)
	}
	lenient := []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}
	if !utf8.Valid(body) || err != errNotObject && err != errTrailing && jsontext.Value(body).IsValid(lenient...) {
		return Refuse("invalid_utf8", "The request body is not valid UTF-8.").Because(where(err))
	}
	return Refuse("invalid_json", "The request body is not valid JSON.").Because(where(err))
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
