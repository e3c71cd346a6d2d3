package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"keyshield/internal/secret"
)

// TestNeverPrinted drives every printer we use over every place a secret can
// sit: bare, in an exported field, in an unexported one, behind a pointer.
func TestNeverPrinted(t *testing.T) {
	const value = "test-secret-Zq8"
	type exported struct{ Key secret.String }
	type unexported struct{ key secret.String }
	s := secret.New(value)

	for _, v := range []any{s, &s, exported{s}, unexported{s}, &unexported{s}, []secret.String{s}, map[string]secret.String{"k": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
			out := fmt.Sprintf(verb, v)
			if strings.Contains(out, value) || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", value)) {
				t.Errorf("Sprintf(%q, %T) = %s", verb, v, out)
			}
		}
		var buf bytes.Buffer
		slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "v", v)
		if b, err := json.Marshal(v); err == nil {
			buf.Write(b)
		}
		if strings.Contains(buf.String(), value) {
			t.Errorf("%T reached a log: %s", v, buf.String())
		}
	}
}

func TestEqual(t *testing.T) {
	s := secret.New("abc")
	if !s.Equal("abc") || s.Equal("abd") || s.Equal("") || s.Equal("abcd") {
		t.Error("Equal is not equality")
	}
	if (secret.String{}).Reveal() != "" || !(secret.String{}).IsZero() {
		t.Error("the zero value is not empty")
	}
}
