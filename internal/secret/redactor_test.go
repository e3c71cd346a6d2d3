package secret_test

import (
	"bytes"
	"log/slog"
	"testing"

	"keyshield/internal/secret"
)

func TestNoSecretReachesALogThroughAForeignError(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(slog.NewJSONHandler(secret.Redactor(&buf, secret.New("test-key-0123456789"), secret.New("short")), nil))
	log.Error("a library said", "error", "Bearer test-key-0123456789 and again test-key-0123456789; short stays")

	if got := buf.String(); bytes.Contains(buf.Bytes(), []byte("test-key")) || !bytes.Contains(buf.Bytes(), []byte("[redacted] and again [redacted]; short stays")) {
		t.Errorf("logged %s", got)
	}
}
