package config

import (
	"strings"
	"testing"
)

func TestSizesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "65536": 65536, "64KiB": 65536, "64 KiB": 65536, "1MiB": 1 << 20, "1536KiB": 3 << 19} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q = %d, %v; want %d", text, b, err, want)
		}
	}
	for b, want := range map[Bytes]string{0: "0", 1: "1", 1 << 10: "1KiB", 65536: "64KiB", 1 << 20: "1MiB", 3 << 19: "1536KiB", 1025: "1025"} {
		if got := b.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(b), got, want)
		}
	}
}

func FuzzBytes(f *testing.F) {
	for _, seed := range []string{"65536", "64KiB", "1MiB", "-1", "9223372036854775807MiB", "1KiBKiB", " 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b Bytes
		if b.UnmarshalText([]byte(text)) != nil {
			return
		}
		if b < 0 {
			t.Fatalf("%q is a negative size, %d", text, int64(b))
		}
		var again Bytes
		if err := again.UnmarshalText([]byte(b.String())); err != nil || again != b {
			t.Fatalf("%q is written %q and read as %d", text, b, again)
		}
	})
}

func TestValuesInMessagesAreShortAndNeverSecrets(t *testing.T) {
	if got := quote(strings.Repeat("ö", 1000)); len([]rune(got)) > quoted+3 {
		t.Errorf("a long value is shown in %d characters", len([]rune(got)))
	}
	if got := quote("a\nb\x1b[31m"); strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("a value writes to the terminal: %q", got)
	}
	const body = "Qm4vXk27Qm4vXk27Qm4vXk27"
	for _, secret := range []string{"sk-" + body, "Bearer sk-proj-" + body, "eyJ" + body + ".eyJ" + body, "-----BEGIN PRIVATE KEY-----" + body} {
		if strings.Contains(quote(secret), body) {
			t.Errorf("%q is shown", secret)
		}
	}
	for _, harmless := range []string{"https://task-force-one-and-many-more.example.com", "desk-", "sk-", "keyJ"} {
		if secretive(harmless) {
			t.Errorf("%q is taken for a secret", harmless)
		}
	}
}
