package source

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyshield/internal/secret"
)

// vault is a fake of one kind of source: right is its handler, open makes the source
// that asks it.
type vault struct {
	kind, name string
	right      http.HandlerFunc
	env        map[string]string
	token      secret.String
}

func (v vault) open(t *testing.T, endpoint string) Source {
	t.Helper()
	s, err := Open(t.Context(), v.kind, v.name, Options{
		Getenv: func(n string) string { return v.env[n] }, DopplerToken: v.token, Endpoint: endpoint,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestAVaultInTroubleGivesNoKeys: whatever it answers, there is an error that says what
// to do and holds nothing of the answer, and no key.
func TestAVaultInTroubleGivesNoKeys(t *testing.T) {
	var stolen atomic.Int32
	thief := serve(t, func(http.ResponseWriter, *http.Request) { stolen.Add(1) })
	const leak = "test-key-0123456789-that-must-not-show"
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief, status) }
	}
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(conn, text)
			conn.Close()
		}
	}
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"403":          {answer(403, `{"message":"`+leak+`","error":"`+leak+`","__type":"`+leak+`"}`), "refuses us"},
		"401":          {answer(401, leak), "refuses us"},
		"404":          {answer(404, leak), "knows no such secret"},
		"429":          {answer(429, leak), "too often"},
		"500":          {answer(500, "<html>"+leak), "answered 500"},
		"201":          {answer(201, `{"OPENAI_API_KEY":"`+leak+`"}`), ""},
		"empty":        {answer(200, ""), ""},
		"page":         {answer(200, "<html>"+leak), "not what it should be"},
		"list":         {answer(200, `["`+leak+`"]`), ""},
		"half":         {answer(200, `{"OPENAI_API_KEY":"`+leak), ""},
		"null":         {answer(200, "null"), ""},
		"other things": {answer(200, `{"a":{"b":"`+leak+`"}}`), "no key"},
		"redirect 302": {redirect(302), "redirect"},
		"redirect 307": {redirect(307), "redirect"},
		"redirect 308": {redirect(308), "redirect"},
		"cut":          {raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"OPENAI_API_KEY\":\"" + leak), ""},
		"no HTTP":      {raw(leak + "\r\n\r\n"), "no HTTP"},
		"hangs up":     {raw(""), "broke off"},
		"endless":      {endless, ""},
		"slow":         {slow, "in time"},
	} {
		for _, v := range vaults(t) {
			t.Run(v.kind+"/"+name, func(t *testing.T) {
				s := v.open(t, serve(t, tt.h))
				patience := 10 * time.Second
				if name == "slow" {
					patience = 300 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				keys, err := s.Read(ctx)
				if err == nil || keys != nil {
					t.Fatalf("%d keys, %v", len(keys), err)
				}
				if text := err.Error(); strings.Contains(text, "test-key") || !strings.Contains(text, tt.want) || !strings.HasPrefix(text, v.kind+":"+v.name+": ") {
					t.Errorf("%q; want %q, and nothing of the answer", text, tt.want)
				}
			})
		}
	}
	if stolen.Load() > 0 {
		t.Error("a credential followed a redirect")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, v := range vaults(t) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if keys, err := v.open(t, "http://"+l.Addr().String()).Read(ctx); err == nil || keys != nil || !strings.Contains(err.Error(), "cannot be reached") {
			t.Errorf("%s, down: %d keys, %v", v.kind, len(keys), err)
		}
		cancel()
	}
}

// endless sends far more than any secret has, as long as it is listened to.
func endless(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	io.WriteString(w, `{"OPENAI_API_KEY":"`)
	lump := bytes.Repeat([]byte("k"), 1<<20)
	for range 100 {
		if _, err := w.Write(lump); err != nil {
			return
		}
	}
	panic("it was all read")
}

func slow(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// TestKeysDoNotTravelInTheClear: nor credentials.
func TestKeysDoNotTravelInTheClear(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"https://vault.example":           true,
		"http://127.0.0.1:4566":           true,
		"http://[::1]:4566":               true,
		"http://localhost:4566":           true,
		"http://vault.example":            false,
		"http://localhost.example":        false,
		"http://169.254.169.254":          false,
		"ftp://127.0.0.1":                 false,
		"https://":                        false,
		"vault.example":                   false,
		"https://user:word@vault.example": false,
		"https://vault.example?x=1":       false,
		"\x00":                            false,
	} {
		for _, v := range vaults(t) {
			_, err := Open(t.Context(), v.kind, v.name, Options{
				Getenv: func(n string) string { return v.env[n] }, DopplerToken: v.token, Endpoint: endpoint,
			})
			if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "word") {
				t.Errorf("%s at %q: %v", v.kind, endpoint, err)
			}
		}
	}
	if _, err := Open(t.Context(), "vault", "x", Options{}); err == nil || !strings.Contains(err.Error(), "aws-sm, gcp-sm or doppler") {
		t.Errorf("an unknown kind: %v", err)
	}
}

func vaults(t *testing.T) []vault {
	return []vault{awsVault(t), gcpVault(t), dopplerVault(t)}
}

func dopplerVault(t *testing.T) vault {
	return vault{
		kind: "doppler", name: "backend/prd", token: secret.New("test-doppler-token"),
		right: func(w http.ResponseWriter, r *http.Request) {
			want := "config=prd&format=json&include_dynamic_secrets=false&project=backend"
			if r.Method != http.MethodGet || r.URL.Path != "/v3/configs/config/secrets/download" || r.URL.RawQuery != want || r.Header.Get("Authorization") != "Bearer test-doppler-token" {
				t.Errorf("asked %s %s with %v", r.Method, r.URL, r.Header)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			io.WriteString(w, `{"DOPPLER_CONFIG":"prd","DOPPLER_ENVIRONMENT":"prd","DOPPLER_PROJECT":"backend","OPENAI_API_KEY":"test-key-0123456789-1","OPENAI_API_KEYS":"test-key-0123456789-2\ntest-key-0123456789-1"}`)
		},
	}
}

func TestDopplerGivesTheKeysOfAConfig(t *testing.T) {
	v := dopplerVault(t)
	s := v.open(t, serve(t, v.right)+"/")
	wantKeys(t, s, "test-key-0123456789-1 test-key-0123456789-2", "")

	for _, tt := range []struct {
		name  string
		token secret.String
		want  string
	}{
		{"backend", v.token, "<project>/<config>"}, {"/prd", v.token, "<project>/<config>"}, {"backend/", v.token, "<project>/<config>"},
		{"backend/prd", secret.String{}, "DOPPLER_TOKEN"},
	} {
		if _, err := Open(t.Context(), "doppler", tt.name, Options{DopplerToken: tt.token}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.name, err, tt.want)
		}
	}
}
