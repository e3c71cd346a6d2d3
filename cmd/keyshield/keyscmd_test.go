package main

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/secret"
	"keyshield/internal/upstream"
)

// keyFile is where the keys of a station come from, so that they can change.
type keyFile struct {
	*station
	path string
}

// openKeyFile runs a server whose key stands in a file.
func openKeyFile(t *testing.T) *keyFile {
	t.Helper()
	path := write(t, t.TempDir(), "keys", canary+"\n")
	return &keyFile{openStation(t, "OPENAI_API_KEY", "OPENAI_API_KEY_FILE="+path), path}
}

// put moves a file with these keys over the one before.
func (k *keyFile) put(keys ...string) {
	k.t.Helper()
	fresh := filepath.Join(filepath.Dir(k.path), "fresh")
	if err := os.WriteFile(fresh, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		k.t.Fatal(err)
	}
	if err := os.Rename(fresh, k.path); err != nil {
		k.t.Fatal(err)
	}
}

func freshKey() string { return "test-key-" + rand.Text() + rand.Text() }

func printOf(key string) string { return upstream.Fingerprint(secret.New(key)) }

func TestKeysAreShownByFingerprintAlone(t *testing.T) {
	t.Parallel()
	k := openKeyFile(t)
	if got := k.asks("ana"); got != "" {
		t.Fatal(got)
	}
	shown := k.ok("keys")
	due := time.Now().UTC().Add(oldKey).Format("2006-01")
	for _, want := range []string{printOf(canary), "active", "file " + k.path, "ago", due, "Rotation due"} {
		if !strings.Contains(shown, want) {
			t.Errorf("keys does not show %q:\n%s", want, shown)
		}
	}
	fresh := freshKey()
	k.sim.Accept(canary, fresh)
	k.put(fresh, canary)
	var list admin.KeyList
	if err := json.Unmarshal([]byte(k.ok("keys", "--reload", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Keys) != 2 || list.Keys[0].Fingerprint != printOf(fresh) || list.Keys[0].State != upstream.Active || list.Keys[1].State != upstream.Standby {
		t.Errorf("after --reload: %+v", list.Keys)
	}
	k.put(freshKey()) // which OpenAI does not know
	if code, _, stderr := k.command("keys", "--reload"); code != exitFailed || !strings.Contains(stderr, "the keys stay as they are") {
		t.Errorf("a key that does not work: %d %s", code, stderr)
	}
	if got := k.asks("ana"); got != "" {
		t.Errorf("after it: %s", got)
	}
	if code, stdout, stderr := k.afar(k.token, "keys"); code != exitOK || !strings.Contains(stdout, printOf(fresh)) {
		t.Errorf("from afar: %d %s%s", code, stdout, stderr)
	}
	k.stop()
	if code, stdout, stderr := k.command("keys"); code != exitFailed || stdout != "" || !strings.Contains(stderr, "this needs a running server") {
		t.Errorf("without a server: %d %s%s", code, stdout, stderr)
	}
}

func TestKeysSayWhatIsDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *time.Time { return new(now.Add(-d)) }
	for name, c := range map[string]struct {
		key  admin.Key
		want []string
	}{
		"old":     {admin.Key{Fingerprint: "sha256:0", State: upstream.Active, Since: before(91 * 24 * time.Hour), LastUsed: before(90 * time.Second)}, []string{"91 days", "1 minute ago", "2026-11-21, overdue", "keyshield rotate walks you"}},
		"new":     {admin.Key{Fingerprint: "sha256:1", State: upstream.Active, Since: before(24 * time.Hour)}, []string{"24 hours", "never", "2027-02-19"}},
		"revoked": {admin.Key{Fingerprint: "sha256:2", State: upstream.Quarantined, Why: "OpenAI answered 401\x1b[2J"}, []string{"quarantined (OpenAI answered 401\uFFFD[2J)", "not known", "keyshield rotate --incident"}},
	} {
		var text strings.Builder
		if err := showKeys(&text, []admin.Key{c.key}, now); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, text.String())
			}
		}
	}
}
