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

// TestTheLogMasksWhatIsLearnedLater, and the longer of two secrets first: else the
// rest of it would stay.
func TestTheLogMasksWhatIsLearnedLater(t *testing.T) {
	var buf bytes.Buffer
	d := secret.NewDetector(secret.New("test-key-0123456789"))
	w := d.Redactor(&buf)
	d.Learn(secret.New("test-key-0123456789-and-more"))
	if n, err := w.Write([]byte("now test-key-0123456789-and-more, once test-key-0123456789")); n != 58 || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	if got := buf.String(); got != "now [redacted], once [redacted]" {
		t.Errorf("wrote %q", got)
	}
}
