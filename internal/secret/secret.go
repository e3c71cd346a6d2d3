// Package secret holds values that must not be printed.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const masked = "[redacted]"

// String is a secret: an API key, a signing key, a password. It prints as
// "[redacted]" wherever fmt, slog or encoding/json meet it.
//
// The value sits behind a pointer because fmt cannot call methods on unexported
// fields: it would walk into a struct that embeds a plain string and print it.
// A pointer stops the walk at an address.
type String struct{ v *string }

// New hides v.
func New(v string) String { return String{&v} }

// Reveal returns the value. Grep for Reveal to find every place a secret leaves
// this type; there should be one per use.
func (s String) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// IsZero reports whether there is no secret at all.
func (s String) IsZero() bool { return s.Reveal() == "" }

// Equal compares in constant time (up to the length, which is not secret).
func (s String) Equal(other string) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other)) == 1
}

func (String) String() string               { return masked }
func (String) GoString() string             { return masked }
func (String) LogValue() slog.Value         { return slog.StringValue(masked) }
func (String) MarshalText() ([]byte, error) { return []byte(masked), nil }

// Format covers the verbs that would otherwise reach the pointer (%d, %x, %p).
func (String) Format(f fmt.State, _ rune) { io.WriteString(f, masked) }
