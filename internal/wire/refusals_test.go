package wire_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// refusal is a body, or a piece of one, with the code, the field and a word of the
// message that it is refused with.
type refusal struct{ body, code, param, word string }

// reads is a decoder, reduced to what a refusal needs.
func reads[T any](read func([]byte) (*T, error)) func([]byte) error {
	return func(body []byte) error {
		r, err := read(body)
		if err != nil && r != nil {
			return fmt.Errorf("refused with %w, and yet read", err)
		}
		return err
	}
}

// checkRefusals holds each body, in a frame with one %s, against what is said of it.
func checkRefusals(t *testing.T, read func([]byte) error, frame string, list []refusal) {
	t.Helper()
	for _, tt := range list {
		body := strings.Replace(frame, "%s", tt.body, 1)
		e := refusedWith(t, body, read([]byte(body)))
		if e.Code != tt.code || e.Param != tt.param || !strings.Contains(e.Message, tt.word) || !strings.Contains(e.Message, tt.param) {
			t.Errorf("%.300s: %s about %q: %s\nwant %s about %q, with %q in it", body, e.Code, e.Param, e.Message, tt.code, tt.param, tt.word)
		}
		if len(e.Message) > 600 || strings.ContainsFunc(e.Message, unicode.IsControl) {
			t.Errorf("%.300s: unfit to be shown: %q", body, e.Message)
		}
	}
}
