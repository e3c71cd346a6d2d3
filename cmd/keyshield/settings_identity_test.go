package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keyshield/internal/auth"
)

// preset is a provider as its documentation has it: the settings, the claims of a
// good token, and what makes it a bad one.
type preset struct {
	settings []string
	good     jwt.MapClaims
	alsoGood []jwt.MapClaims // changes
	bad      []jwt.MapClaims
}

func presets() map[string]preset {
	elsewhere := jwt.MapClaims{"iss": "https://elsewhere.example"}
	foreign := jwt.MapClaims{"aud": "another-app"}
	return map[string]preset{
		"firebase": {
			[]string{"FIREBASE_PROJECT_ID=my-app-12345"},
			jwt.MapClaims{"iss": "https://securetoken.google.com/my-app-12345", "aud": "my-app-12345"},
			nil,
			[]jwt.MapClaims{elsewhere, foreign, {"aud": nil}, {"iss": "https://securetoken.google.com/other-app-1"}},
		},
		"supabase": {
			[]string{"SUPABASE_URL=https://abcdefgh.supabase.co"},
			jwt.MapClaims{"iss": "https://abcdefgh.supabase.co/auth/v1", "aud": "authenticated"},
			nil,
			[]jwt.MapClaims{elsewhere, {"aud": "anon"}, {"aud": nil}, {"iss": "https://abcdefgh.supabase.co"}},
		},
		"auth0": {
			[]string{"AUTH0_DOMAIN=example.eu.auth0.com", "JWT_AUDIENCE=my-api"},
			jwt.MapClaims{"iss": "https://example.eu.auth0.com/", "aud": []string{"my-api", "https://example.eu.auth0.com/userinfo"}},
			[]jwt.MapClaims{{"aud": "my-api"}},
			[]jwt.MapClaims{elsewhere, foreign, {"aud": nil}, {"iss": "https://example.eu.auth0.com"}},
		},
		"clerk": {
			[]string{"CLERK_ISSUER=https://example.clerk.accounts.dev"},
			jwt.MapClaims{"iss": "https://example.clerk.accounts.dev"},
			[]jwt.MapClaims{{"azp": origin}},
			[]jwt.MapClaims{elsewhere, {"azp": "https://evil.example"}, {"sts": "pending"}},
		},
		"cognito": {
			[]string{"COGNITO_ISSUER=https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc", "COGNITO_CLIENT_ID=1example23456789"},
			jwt.MapClaims{"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc", "token_use": "access", "client_id": "1example23456789"},
			[]jwt.MapClaims{{"token_use": "id", "aud": "1example23456789", "client_id": nil}},
			[]jwt.MapClaims{elsewhere, {"client_id": "another"}, {"client_id": nil}, {"token_use": nil}, {"token_use": "refresh"}, {"token_use": "id"}},
		},
	}
}

// presetOf shows what one provider's settings do: the keys come from loopback,
// and all else from the preset.
func presetOf(name string) func(*testing.T) {
	return func(t *testing.T) {
		p := presets()[name]
		keys := newKeyServer(t)
		r := start(t, append([]string{"JWT_SECRET", "AUTH_PROVIDER=" + name, "JWT_JWKS_URL=" + keys.url + "/keys"}, p.settings...)...)
		soon(t, "the key set", func() bool { return r.get("/readyz").status == http.StatusOK })
		r.judges(t, keys, p)
	}
}

// judges asks with the good tokens, and then with each bad one.
func (r *rig) judges(t *testing.T, keys *keyServer, p preset) {
	t.Helper()
	for _, change := range append([]jwt.MapClaims{nil}, p.alsoGood...) {
		if got := r.ask("hi", "Authorization: Bearer "+keys.token(t, merged(p.good, change))); got.status != http.StatusOK {
			t.Errorf("a good token with %v: got %d %s", change, got.status, got.body)
		}
	}
	for _, change := range p.bad {
		if got := r.ask("hi", "Authorization: Bearer "+keys.token(t, merged(p.good, change))); got.status != http.StatusForbidden {
			t.Errorf("a token with %v: got %d, want 403", change, got.status)
		}
	}
	r.ask("hi").wants(t, 403, "token_invalid") // a shared secret counts no more
}

func merged(a, b jwt.MapClaims) jwt.MapClaims {
	all := jwt.MapClaims{}
	for _, claims := range []jwt.MapClaims{a, b} {
		for name, value := range claims {
			all[name] = value
		}
	}
	return all
}

// providersVerify: oidc asks the issuer itself where its keys are.
func providersVerify(t *testing.T) {
	keys := newKeyServer(t)
	r := start(t, "JWT_SECRET", "AUTH_PROVIDER=oidc", "JWT_ISSUER="+keys.url, "JWT_AUDIENCE=my-api")
	soon(t, "the key set", func() bool { return r.get("/readyz").status == http.StatusOK })
	r.judges(t, keys, preset{
		good: jwt.MapClaims{"iss": keys.url, "aud": "my-api"},
		bad:  []jwt.MapClaims{{"iss": "https://elsewhere.example"}, {"iss": keys.url + "/"}, {"aud": "another"}, {"aud": nil}, {"exp": nil}},
	})
}

func keySetVerifies(t *testing.T) {
	keys, strangers := newKeyServer(t), newKeyServer(t)
	r := start(t, "JWT_SECRET", "JWT_JWKS_URL="+keys.url+"/keys", "JWT_ISSUER=https://login.example.com/")
	soon(t, "the key set", func() bool { return r.get("/readyz").status == http.StatusOK })
	good := jwt.MapClaims{"iss": "https://login.example.com/"}
	r.judges(t, keys, preset{good: good, bad: []jwt.MapClaims{{"iss": nil}, {"iss": "https://login.example.com"}}})
	r.ask("hi", "Authorization: Bearer "+strangers.token(t, good)).wants(t, 403, "token_invalid")
}

func issuerIsChecked(t *testing.T) {
	r := start(t, "JWT_ISSUER=https://login.example.com/")
	accepts(t, r, map[bool][]auth.Claims{
		true:  {{Subject: "ana", Issuer: "https://login.example.com/"}},
		false: {{Subject: "ana"}, {Subject: "ana", Issuer: "https://login.example.com"}},
	})
}

func audienceIsChecked(t *testing.T) {
	r := start(t, "JWT_AUDIENCE=my-api, my-app")
	accepts(t, r, map[bool][]auth.Claims{
		true:  {{Subject: "ana", Audience: []string{"my-api"}}, {Subject: "ana", Audience: []string{"x", "my-app"}}},
		false: {{Subject: "ana"}, {Subject: "ana", Audience: []string{"my-api, my-app"}}, {Subject: "ana", Audience: []string{"other"}}},
	})
}

func lifetimeIsBounded(t *testing.T) {
	usual, short := start(t, "JWT_MAX_LIFETIME"), start(t, "JWT_MAX_LIFETIME=10m")
	accepts(t, usual, map[bool][]auth.Claims{true: {{Subject: "ana", TTL: 24 * time.Hour}}, false: {{Subject: "ana", TTL: 25 * time.Hour}}})
	accepts(t, short, map[bool][]auth.Claims{true: {{Subject: "ana", TTL: 10 * time.Minute}}, false: {{Subject: "ana", TTL: 12 * time.Minute}}})
}

func accepts(t *testing.T, r *rig, tokens map[bool][]auth.Claims) {
	t.Helper()
	for good, all := range tokens {
		for _, c := range all {
			if got := r.ask("hi", "Authorization: Bearer "+mintFor(t, c)); (got.status == http.StatusOK) != good {
				t.Errorf("a token with %+v: got %d %s", c, got.status, got.body)
			}
		}
	}
}

// userClaimIsTheUser in the log, in the limits and in the pseudonym; a name with
// dots is taken literally first, and then as a path.
func userClaimIsTheUser(t *testing.T) {
	keys := newKeyServer(t)
	for claim, tokens := range map[string]jwt.MapClaims{
		"sub":                     {},
		"email":                   {"email": "ana", "sub": "x"},
		"https://example.com/uid": {"https://example.com/uid": "ana", "sub": "x"},
		"app_metadata.customer":   {"app_metadata": map[string]any{"customer": "ana"}, "sub": "x"},
	} {
		r := start(t, "JWT_SECRET", "JWT_JWKS_URL="+keys.url+"/keys", "JWT_ISSUER="+keys.url, "JWT_USER_CLAIM="+claim, "RATE_LIMIT_USER=1/1h")
		soon(t, "the key set", func() bool { return r.get("/readyz").status == http.StatusOK })
		token := keys.token(t, merged(jwt.MapClaims{"iss": keys.url}, tokens))
		got := r.ask("hi", "Authorization: Bearer "+token)
		if got.status != http.StatusOK {
			t.Errorf("%s: got %d %s", claim, got.status, got.body)
			continue
		}
		if user := r.log.request(t, got.header.Get("X-Request-Id"))["user"]; user != "ana" {
			t.Errorf("%s: the user is %v, want ana", claim, user)
		}
		r.ask("hi", "Authorization: Bearer "+token).wants(t, 429, "rate_limited")
	}
	r := start(t, "JWT_USER_CLAIM=email")
	r.ask("hi").wants(t, 403, "token_invalid") // it has only a sub
}
