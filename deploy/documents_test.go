package deploy_test

import (
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"keyshield/internal/alert"
	"keyshield/internal/secret"
)

// TestTheREADMEsPicturesAreSmall: they come with every clone, and on a telephone.
func TestTheREADMEsPicturesAreSmall(t *testing.T) {
	const most, widest = 120 << 10, 1200
	shown := regexp.MustCompile(`!\[[^\]]+\]\(([^)]+)\)`).FindAllStringSubmatch(read(t, "../README.md"), -1)
	if len(shown) == 0 {
		t.Error("the README shows no pictures")
	}
	for _, m := range shown {
		f, err := os.Open(filepath.Join("..", filepath.FromSlash(m[1])))
		if err != nil {
			t.Error(err)
			continue
		}
		info, statErr := f.Stat()
		size, err := png.DecodeConfig(f)
		f.Close()
		if statErr != nil || err != nil {
			t.Errorf("%s: %v, %v", m[1], statErr, err)
		} else if info.Size() > most || size.Width > widest {
			t.Errorf("%s has %d bytes and is %d wide; there may be %d and %d", m[1], info.Size(), size.Width, most, widest)
		}
	}
}

// TestTheREADMEsSignatureCheckIsRight: it takes what is really posted, and nothing
// that was changed, signed by others or is old.
func TestTheREADMEsSignatureCheckIsRight(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		skipUnlessRequired(t, "node", "node is not installed")
	}
	const key = "a-webhook-secret-of-the-tests-1234567890"
	header, body := posted(t, key)
	code := regexp.MustCompile("(?s)```js\n(export async function genuine.*?)```").FindStringSubmatch(read(t, "../README.md"))
	if code == nil {
		t.Fatal("the README does not show how to check a signature")
	}
	text := func(v string) string {
		quoted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(quoted)
	}
	program := code[1] + fmt.Sprintf(`
const body = Buffer.from(%s), header = %s, key = %s;
const said = [await genuine(body, header, key), await genuine(body, header)];
said.push(await genuine(Buffer.concat([body, Buffer.from(" ")]), header, key));
said.push(await genuine(body, header, key + "x"), await genuine(body, undefined, key), await genuine(body, "t=1,v1=", key));
said.push(await genuine(body, header.replace(/t=(\d+)/, (_, t) => "t=" + (Number(t) + 1)), key));
const now = Date.now;
Date.now = () => now() + 301_000;
said.push(await genuine(body, header, key));
console.log(said.join(" "));
`, text(string(body)), text(header), text(key))
	file := filepath.Join(t.TempDir(), "program.mjs")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, file)
	cmd.Env = []string{"ALERT_WEBHOOK_SECRET=" + key}
	out, err := cmd.CombinedOutput()
	const want = "true true false false false false false false"
	if got := strings.TrimSpace(string(out)); err != nil || got != want {
		t.Errorf("it says %q (%v), want %q", got, err, want)
	}
}

// posted is an alert as a webhook gets it.
func posted(t *testing.T, key string) (signature string, body []byte) {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		signature = r.Header.Get("Keyshield-Signature")
		body, _ = io.ReadAll(r.Body)
	}))
	defer receiver.Close()
	alerts, err := alert.New(alert.Options{Webhook: receiver.URL, WebhookSecret: secret.New(key)})
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range alerts.Test(t.Context()) {
		if result.Err != nil {
			t.Error(result.Err)
		}
	}
	if err := alerts.Close(); err != nil {
		t.Error(err)
	}
	if signature == "" || len(body) == 0 {
		t.Fatalf("got the signature %q and %d bytes", signature, len(body))
	}
	return signature, body
}
