package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keyshield/internal/apierr"
	"keyshield/internal/secret"
)

const testSecret = "test-Kq7vXz2mWp9sLd4fRt6yHb8nGc3jEa5u"

// m is a JSON object in the making.
type m = map[string]any

// with returns a copy of base with changes; a nil change removes the member.
func with(base m, changes m) m {
	out := m{}
	for k, v := range base {
		out[k] = v
	}
	for k, v := range changes {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func toJSON(t testing.TB, v any) string {
	t.Helper()
	switch v := v.(type) {
	case string:
		return v // JSON already, valid or not
	case []byte:
		return string(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sign makes a token of any header and payload, sound or not.
func sign(t testing.TB, key any, header, payload any) string {
	t.Helper()
	text := b64(toJSON(t, header)) + "." + b64(toJSON(t, payload))
	return text + "." + b64(string(signature(t, key, text)))
}

func signature(t testing.TB, key any, text string) []byte {
	t.Helper()
	var method jwt.SigningMethod
	switch key := key.(type) {
	case nil:
		return nil
	case string:
		method = jwt.SigningMethodHS256
		sig, err := method.Sign(text, []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return sig
	case *rsa.PrivateKey:
		method = jwt.SigningMethodRS256
	case *ecdsa.PrivateKey:
		switch key.Curve {
		case elliptic.P384():
			method = jwt.SigningMethodES384
		default:
			method = jwt.SigningMethodES256
		}
	case ed25519.PrivateKey:
		method = jwt.SigningMethodEdDSA
	}
	sig, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// ring is one key of every kind, made once: RSA keys are slow to make.
type ring struct {
	rsa, rsa2, weak *rsa.PrivateKey
	ec, ec2, p384   *ecdsa.PrivateKey
	ed, ed2         ed25519.PrivateKey
}

var keys = sync.OnceValue(func() ring {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var r ring
	var err error
	r.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	r.rsa2, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	r.weak, err = rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	r.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	r.ec2, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	r.p384, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	_, r.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	_, r.ed2, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return r
})

// jwk publishes a key; extra members are added or, when nil, removed.
func jwk(kid string, key crypto.Signer, extra m) m {
	var out m
	switch pub := key.Public().(type) {
	case *rsa.PublicKey:
		out = m{"kty": "RSA", "n": b64(string(pub.N.Bytes())), "e": b64(string(big.NewInt(int64(pub.E)).Bytes()))}
	case *ecdsa.PublicKey:
		raw, err := pub.Bytes()
		if err != nil {
			panic(err)
		}
		size := (len(raw) - 1) / 2
		out = m{"kty": "EC", "crv": pub.Params().Name, "x": b64(string(raw[1 : 1+size])), "y": b64(string(raw[1+size:]))}
	case ed25519.PublicKey:
		out = m{"kty": "OKP", "crv": "Ed25519", "x": b64(string(pub))}
	}
	out["kid"], out["use"] = kid, "sig"
	return with(out, extra)
}

func keySetOf(t testing.TB, jwks ...m) string {
	t.Helper()
	return toJSON(t, m{"keys": jwks})
}

// provider is a key server whose answer can be changed.
type provider struct {
	mu      sync.Mutex
	answers map[string]string // path → document
	down    error
	delay   time.Duration
	fetches int
}

func (p *provider) set(path, document string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answers == nil {
		p.answers = map[string]string{}
	}
	p.answers[path] = document
}

func (p *provider) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = err
}

func (p *provider) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetches
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.fetches++
	document, ok := p.answers[r.URL.Path]
	down, delay := p.down, p.delay
	p.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if down != nil {
		return nil, down
	}
	status := http.StatusOK
	if !ok {
		status = http.StatusNotFound
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(document)), Header: http.Header{}, Request: r}, nil
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newVerifier(t testing.TB, cfg Config) *Verifier {
	t.Helper()
	v, err := New(t.Context(), cfg, silent())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// awaitKeys waits, without polling, for the first fetch to end.
func awaitKeys(t testing.TB, v *Verifier) {
	t.Helper()
	v.set.mu.RLock()
	done, tried := v.set.underway, v.set.tried
	v.set.mu.RUnlock()
	if done == nil && tried.IsZero() {
		v.set.mu.Lock()
		if v.set.tried.IsZero() && v.set.underway == nil {
			v.set.underway = make(chan struct{})
		}
		done = v.set.underway
		v.set.mu.Unlock()
	}
	if done != nil {
		<-done
	}
	if err := v.Ready(); err != nil {
		t.Fatal(err)
	}
}

func hsConfig() Config { return Config{Secret: secret.New(testSecret)} }

const testIssuer = "https://login.example.com/"

func jwksConfig(p http.RoundTripper) Config {
	return Config{JWKSURL: "https://login.example.com/keys", Issuer: testIssuer, Audience: []string{"app"}, transport: p}
}

// refused checks that err is the refusal with this code, and that it tells the
// client nothing else.
func refused(t testing.TB, err error, status int, code string) {
	t.Helper()
	e, ok := errors.AsType[*apierr.Error](err)
	if !ok {
		t.Fatalf("error is %T (%v), want *apierr.Error", err, err)
	}
	if e.Status != status || e.Code != code {
		t.Fatalf("refused with %d %s (%v), want %d %s", e.Status, e.Code, err, status, code)
	}
	if code == "token_invalid" && e.Message != "Invalid or expired security token." {
		t.Fatalf("the refusal tells more than it should: %q", e.Message)
	}
}

func pass(t testing.TB, v *Verifier, token string) Caller {
	t.Helper()
	caller, err := v.Verify(context.Background(), token)
	if err != nil {
		t.Fatalf("a good token is refused: %v", err)
	}
	return caller
}

func decode(part string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(part) }
