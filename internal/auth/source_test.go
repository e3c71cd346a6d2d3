package auth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/secret"
)

// TestEachProviderOverLoopback runs every preset's own claims through a real
// server, and shows that what its provider means by audience is checked.
func TestEachProviderOverLoopback(t *testing.T) {
	k := keys()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	document := keySetOf(t, jwk("r", k.rsa, nil))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/keys", "/auth/v1/.well-known/jwks.json", "/.well-known/jwks.json", "/pool/.well-known/jwks.json":
			io.WriteString(w, document)
		case "/.well-known/openid-configuration":
			io.WriteString(w, toJSON(t, m{"issuer": srv.URL, "jwks_uri": srv.URL + "/keys"}))
		default:
			http.NotFound(w, r)
		}
	})
	base := srv.URL
	type claims = m
	for name, tc := range map[string]struct {
		settings Settings
		good     []claims
		bad      []claims
	}{
		"firebase": {
			Settings{Provider: Firebase, FirebaseProjectID: "my-app-1", JWKSURL: base + "/keys"},
			[]claims{{"iss": "https://securetoken.google.com/my-app-1", "aud": "my-app-1"}},
			[]claims{{"iss": "https://securetoken.google.com/other", "aud": "my-app-1"}, {"iss": "https://securetoken.google.com/my-app-1", "aud": "other"}, {"iss": "https://securetoken.google.com/my-app-1"}},
		},
		"supabase": {
			Settings{Provider: Supabase, SupabaseURL: base + "/"},
			[]claims{{"iss": base + "/auth/v1", "aud": "authenticated"}},
			[]claims{{"iss": base + "/auth/v1", "aud": "anon"}, {"iss": base, "aud": "authenticated"}, {"iss": base + "/auth/v1"}},
		},
		"auth0": {
			Settings{Provider: Auth0, Auth0Domain: "example.eu.auth0.com", JWKSURL: base + "/keys", Audience: []string{"https://api"}},
			[]claims{{"iss": "https://example.eu.auth0.com/", "aud": []string{"https://api", "https://example.eu.auth0.com/userinfo"}}},
			[]claims{{"iss": "https://example.eu.auth0.com", "aud": "https://api"}, {"iss": "https://example.eu.auth0.com/", "aud": "client-id"}},
		},
		"clerk": {
			Settings{Provider: Clerk, ClerkIssuer: base, Origins: []string{"https://app.example.com"}},
			[]claims{{"iss": base}, {"iss": base, "azp": "https://app.example.com"}, {"iss": base, "sts": "active"}},
			[]claims{{"iss": base, "azp": "https://evil.example.com"}, {"iss": base, "azp": ""}, {"iss": base, "azp": 1}, {"iss": base, "azp": []string{"https://app.example.com"}}, {"iss": base, "sts": "pending"}, {"iss": "https://x"}},
		},
		"cognito": {
			Settings{Provider: Cognito, CognitoIssuer: base + "/pool", CognitoClientID: "client"},
			[]claims{{"iss": base + "/pool", "token_use": "access", "client_id": "client"}, {"iss": base + "/pool", "token_use": "id", "aud": "client"}},
			[]claims{
				{"iss": base + "/pool", "token_use": "access", "client_id": "other"}, {"iss": base + "/pool", "token_use": "access", "aud": "client"}, {"iss": base + "/pool", "token_use": "id", "client_id": "client"},
				{"iss": base + "/pool", "token_use": "refresh", "client_id": "client", "aud": "client"}, {"iss": base + "/pool", "client_id": "client", "aud": "client"}, {"iss": base, "token_use": "id", "aud": "client"},
				{"iss": base + "/pool", "token_use": "access", "client_id": []string{"client"}}, {"iss": base + "/pool", "token_use": 1, "client_id": "client"},
			},
		},
		"oidc, discovered": {
			Settings{Provider: OIDC, Issuer: base, Audience: []string{"app"}},
			[]claims{{"iss": base, "aud": "app"}},
			[]claims{{"iss": base + "/", "aud": "app"}, {"iss": base, "aud": "web"}, {"iss": base}},
		},
		"no provider": {
			Settings{JWKSURL: base + "/keys", Issuer: "https://me"},
			[]claims{{"iss": "https://me"}, {"iss": "https://me", "aud": "whoever"}},
			[]claims{{"iss": "https://you"}, {}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, problems := tc.settings.Config()
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			v := newVerifier(t, cfg)
			awaitKeys(t, v)
			token := func(c claims) string {
				return sign(t, k.rsa, m{"alg": "RS256", "kid": "r"}, with(c, m{"sub": "ana", "exp": in(time.Hour)}))
			}
			for _, c := range tc.good {
				if got := pass(t, v, token(c)); got.ID != "ana" || got.Issuer != c["iss"] {
					t.Errorf("caller of %v = %+v", c, got)
				}
			}
			for _, c := range tc.bad {
				_, err := v.Verify(t.Context(), token(c))
				if err == nil {
					t.Errorf("passed: %v", c)
					continue
				}
				refused(t, err, 403, "token_invalid")
			}
		})
	}
}

func TestDiscoveryBelievesOnlyTheIssuerItAsked(t *testing.T) {
	k := keys()
	for name, answer := range map[string]string{
		"another issuer":      `{"issuer":"https://evil.example.com","jwks_uri":"https://login.example.com/keys"}`,
		"issuer with a slash": `{"issuer":"https://login.example.com/","jwks_uri":"https://login.example.com/keys"}`,
		"no issuer":           `{"jwks_uri":"https://login.example.com/keys"}`,
		"two issuers":         `{"issuer":"https://evil.example.com","issuer":"https://login.example.com","jwks_uri":"https://login.example.com/keys"}`,
		"keys over http":      `{"issuer":"https://login.example.com","jwks_uri":"http://login.example.com/keys"}`,
		"keys in a file":      `{"issuer":"https://login.example.com","jwks_uri":"file:///etc/keys"}`,
		"no keys":             `{"issuer":"https://login.example.com"}`,
		"not JSON":            `<html>`,
	} {
		t.Run(name, func(t *testing.T) {
			p := &provider{}
			p.set("/keys", keySetOf(t, jwk("e", k.ec, nil)))
			p.set("/.well-known/openid-configuration", answer)
			cfg := Config{Provider: OIDC, Issuer: "https://login.example.com", Audience: []string{"app"}, transport: p}
			synctest.Test(t, func(t *testing.T) {
				v, err := New(t.Context(), cfg, silent())
				if err != nil {
					t.Fatal(err)
				}
				defer v.Close()
				time.Sleep(time.Minute)
				if v.Ready() == nil {
					t.Fatal("believed it")
				}
				p.set("/.well-known/openid-configuration", `{"issuer":"https://login.example.com","jwks_uri":"https://login.example.com/keys"}`)
				time.Sleep(time.Minute)
				if err := v.Ready(); err != nil {
					t.Errorf("the right answer did not help: %v", err)
				}
			})
		})
	}
}

func TestDiscoveryFollowsAMovedKeySet(t *testing.T) {
	p := &provider{}
	p.set("/.well-known/openid-configuration", `{"issuer":"https://login.example.com","jwks_uri":"https://login.example.com/old"}`)
	p.set("/old", keySetOf(t, jwk("e", keys().ec, nil)))
	cfg := Config{Provider: OIDC, Issuer: "https://login.example.com", Audience: []string{"app"}, transport: p}
	synctest.Test(t, func(t *testing.T) {
		v, err := New(t.Context(), cfg, silent())
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		synctest.Wait()
		p.set("/.well-known/openid-configuration", `{"issuer":"https://login.example.com","jwks_uri":"https://login.example.com/new"}`)
		p.set("/new", keySetOf(t, jwk("e2", keys().ec2, nil)))
		p.mu.Lock()
		delete(p.answers, "/old")
		p.mu.Unlock()
		time.Sleep(refreshEvery + time.Minute)
		token := sign(t, keys().ec2, m{"alg": "ES256", "kid": "e2"}, m{"iss": "https://login.example.com", "aud": "app", "sub": "ana", "exp": in(time.Hour)})
		pass(t, v, token)
	})
}

func TestKeysAreNotFetchedFromWhereARedirectLeads(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, keySetOf(t, jwk("e", keys().ec, nil)))
	}))
	t.Cleanup(elsewhere.Close)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case "/near":
			http.Redirect(w, r, "/keys", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/keys":
			io.WriteString(w, keySetOf(t, jwk("e", keys().ec, nil)))
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
					return
				}
			}
		}
	}))
	t.Cleanup(srv.Close)
	for path, works := range map[string]bool{"/keys": true, "/near": true, "/away": false, "/loop": false, "/endless": false} {
		got, _, err := newSource(Config{JWKSURL: srv.URL + path}).fetch(t.Context())
		if works != (err == nil) || works != (len(got) == 1) {
			t.Errorf("%s: %d keys, %v; want keys: %t", path, len(got), err, works)
		}
	}
}

func TestProblemsOfAFetchDoNotShowItsQuery(t *testing.T) {
	src := newSource(Config{JWKSURL: "http://127.0.0.1:1/keys?apikey=test-value-Zq8"})
	_, _, err := src.fetch(t.Context())
	if err == nil || strings.Contains(err.Error(), "Zq8") {
		t.Errorf("error = %v", err)
	}
	if _, err := New(t.Context(), Config{JWKSURL: "https://ana:test-value-Zq8@x.example.com/", Issuer: "x"}, silent()); err == nil || strings.Contains(err.Error(), "Zq8") {
		t.Errorf("error = %v", err)
	}
	v := newVerifier(t, Config{Secret: secret.New(testSecret)})
	if v.set != nil {
		t.Error("a shared secret has no key set")
	}
}
