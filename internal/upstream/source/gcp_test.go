package source

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// metadata is the metadata server of a machine of Google's.
func metadata(t *testing.T, asked *atomic.Int32, expires int) string {
	return strings.TrimPrefix(serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method != http.MethodGet || r.URL.Path != "/computeMetadata/v1/instance/service-accounts/default/token" || r.Header.Get("Metadata-Flavor") != "Google" {
			t.Errorf("asked %s %s with %v", r.Method, r.URL, r.Header)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Metadata-Flavor", "Google")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"test-access-%d","expires_in":%d,"token_type":"Bearer"}`, asked.Load(), expires)
	}), "http://")
}

func gcpVault(t *testing.T) vault {
	return vault{
		kind: "gcp-sm", name: "projects/my-project/secrets/openai",
		env: map[string]string{"GCE_METADATA_HOST": metadata(t, new(atomic.Int32), 3599)},
	}
}

// gcpAnswer is what Secret Manager gives for a payload.
func gcpAnswer(payload string) string {
	sum := crc32.Checksum([]byte(payload), crc32.MakeTable(crc32.Castagnoli))
	return fmt.Sprintf(`{"name":"projects/123/secrets/openai/versions/7","payload":{"data":%q,"dataCrc32c":"%d"}}`, base64.StdEncoding.EncodeToString([]byte(payload)), sum)
}

func gcpAnswers(t *testing.T, token, answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/v1/projects/my-project/secrets/openai/versions/latest:access" || r.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("asked %s %s with %v", r.Method, r.URL, r.Header)
		}
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		io.WriteString(w, answer)
	}
}

func TestGCPGivesTheKeysToAMachine(t *testing.T) {
	v := gcpVault(t)
	for payload, want := range map[string]string{
		"test-key-0123456789-1\n":                                    "test-key-0123456789-1",
		`{"keys":["test-key-0123456789-2","test-key-0123456789-1"]}`: "test-key-0123456789-2 test-key-0123456789-1",
	} {
		wantKeys(t, v.open(t, serve(t, gcpAnswers(t, "test-access-1", gcpAnswer(payload)))), want, "")
		v = gcpVault(t)
	}
	right := gcpAnswer("test-key-0123456789-1")
	for answer, want := range map[string]string{
		strings.Replace(right, `"dataCrc32c":"`, `"dataCrc32c":"1`, 1): "checksum",
		strings.Replace(right, `"dataCrc32c":"`, `"dataCrc32c":"-`, 1): "checksum",
		strings.Replace(right, "dGVz", "dGVy", 1):                      "checksum",
		strings.Replace(right, "dGVz", "dG*z", 1):                      "not what it should be",
		`{"name":"x"}`: "no key",
		`{"payload":{"data":"dGVzdC1rZXktMDEyMzQ1Njc4OS0x","data":"dGVzdA=="}}`: "not what it should be",
	} {
		wantKeys(t, gcpVault(t).open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) })), "", want)
	}
	// A version that was made without a checksum has none.
	v = gcpVault(t)
	wantKeys(t, v.open(t, serve(t, gcpAnswers(t, "test-access-1", `{"payload":{"data":"dGVzdC1rZXktMDEyMzQ1Njc4OS0x"}}`))), "test-key-0123456789-1", "")

	for _, name := range []string{"openai", "projects/p/secrets/s/versions/1", "projects/../secrets/s", "projects/p/secrets/"} {
		if _, err := Open(t.Context(), "gcp-sm", name, Options{}); err == nil {
			t.Errorf("%q is taken for a secret's name", name)
		}
	}
}

// TestAnAccessTokenIsUsedForAsLongAsItLasts, and dropped when it is refused.
func TestAnAccessTokenIsUsedForAsLongAsItLasts(t *testing.T) {
	var asked, reads atomic.Int32
	v := gcpVault(t)
	v.env["GCE_METADATA_HOST"] = metadata(t, &asked, 3599)
	s := v.open(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if reads.Add(1) == 3 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, gcpAnswer("test-key-0123456789-1"))
	}))
	wantKeys(t, s, "test-key-0123456789-1", "")
	wantKeys(t, s, "test-key-0123456789-1", "")
	if asked.Load() != 1 {
		t.Errorf("%d tokens for two readings", asked.Load())
	}
	wantKeys(t, s, "", "refuses us (401)")
	wantKeys(t, s, "test-key-0123456789-1", "")
	if asked.Load() != 2 {
		t.Errorf("%d tokens after one was refused, want 2", asked.Load())
	}

	v.env["GCE_METADATA_HOST"] = metadata(t, &asked, 30) // about to end
	s = v.open(t, serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, gcpAnswer("test-key-0123456789-1")) }))
	asked.Store(0)
	wantKeys(t, s, "test-key-0123456789-1", "")
	wantKeys(t, s, "test-key-0123456789-1", "")
	if asked.Load() != 2 {
		t.Errorf("%d tokens; one that ends within a minute is not kept", asked.Load())
	}
}

func TestWhatIsNoMetadataServerIsNotBelieved(t *testing.T) {
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"no flavour": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"access_token":"test-key-0123456789-1","expires_in":60}`)
		}, "no metadata server"},
		"no role": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "GOOGLE_APPLICATION_CREDENTIALS"},
		"rubbish": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Metadata-Flavor", "Google")
			io.WriteString(w, `test-key-0123456789-1`)
		}, "not what it should be"},
		"a line in the token": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Metadata-Flavor", "Google")
			io.WriteString(w, `{"access_token":"test-key-0123456789-1\r\nX: y","expires_in":60}`)
		}, "not what it should be"},
	} {
		t.Run(name, func(t *testing.T) {
			v := gcpVault(t)
			v.env["GCE_METADATA_HOST"] = strings.TrimPrefix(serve(t, tt.h), "http://")
			wantKeys(t, v.open(t, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without a token") })), "", tt.want)
		})
	}
}

// accountFile writes the key file of a service account.
func accountFile(t *testing.T, tokenURL string) (path string, public *rsa.PublicKey) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "my-project", "private_key_id": "kid-1", "client_email": "shield@my-project.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": tokenURL,
	})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "account.json")
	write(t, path, string(text))
	return path, &private.PublicKey
}

func TestGCPGivesTheKeysToAServiceAccount(t *testing.T) {
	var public *rsa.PublicKey
	var tokenURL string
	tokenURL = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			t.Errorf("asked %s with %v", r.Method, r.PostForm)
		}
		var claims struct {
			jwt.RegisteredClaims
			Scope string `json:"scope"`
		}
		token, err := jwt.ParseWithClaims(r.PostForm.Get("assertion"), &claims, func(*jwt.Token) (any, error) { return public, nil },
			jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(tokenURL), jwt.WithIssuer("shield@my-project.iam.gserviceaccount.com"), jwt.WithIssuedAt())
		if err != nil || token.Header["kid"] != "kid-1" || claims.Scope != gcpScope || claims.ExpiresAt.Sub(claims.IssuedAt.Time) != time.Hour {
			t.Errorf("the assertion: %v, %+v", err, claims)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		io.WriteString(w, `{"access_token":"test-access-1","expires_in":3599,"token_type":"Bearer"}`)
	})
	v := gcpVault(t)
	v.env["GOOGLE_APPLICATION_CREDENTIALS"], public = accountFile(t, tokenURL)
	wantKeys(t, v.open(t, serve(t, gcpAnswers(t, "test-access-1", gcpAnswer("test-key-0123456789-1")))), "test-key-0123456789-1", "")

	refused := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	clear, _ := accountFile(t, "http://oauth.example/token")
	deleted, _ := accountFile(t, refused)
	spoilt := filepath.Join(t.TempDir(), "a.json")
	write(t, spoilt, `{"type":"service_account","client_email":"a","private_key":"test-key-0123456789-1"}`)
	other := filepath.Join(t.TempDir(), "b.json")
	write(t, other, `{"type":"external_account"}`)
	rubbish := filepath.Join(t.TempDir(), "c.json")
	write(t, rubbish, `test-key-0123456789-1`)
	for path, want := range map[string]string{
		"/nowhere/account.json": "no such file", clear: "must be https", deleted: "signature is not taken",
		spoilt: "no RSA key", other: "not the key of a service account", rubbish: "no JSON",
	} {
		v.env["GOOGLE_APPLICATION_CREDENTIALS"] = path
		wantKeys(t, v.open(t, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without a token") })), "", want)
	}
}
