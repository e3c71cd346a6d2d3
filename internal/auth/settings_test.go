package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/secret"
)

func TestPresetsSayWhatTheProviderDocuments(t *testing.T) {
	type want struct {
		Issuer, JWKSURL, ClientID string
		Audience, Origins         []string
	}
	origins := []string{"https://app.example.com"}
	for name, tc := range map[string]struct {
		settings Settings
		want     want
	}{
		"firebase": {Settings{Provider: "firebase", FirebaseProjectID: "my-app-1", Origins: origins}, want{
			Issuer: "https://securetoken.google.com/my-app-1", Audience: []string{"my-app-1"},
			JWKSURL: "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"}},
		"supabase": {Settings{Provider: "supabase", SupabaseURL: "https://abc.supabase.co"}, want{
			Issuer: "https://abc.supabase.co/auth/v1", Audience: []string{"authenticated"}, JWKSURL: "https://abc.supabase.co/auth/v1/.well-known/jwks.json"}},
		"supabase, another audience": {Settings{Provider: "supabase", SupabaseURL: "https://abc.supabase.co/", Audience: []string{"app"}}, want{
			Issuer: "https://abc.supabase.co/auth/v1", Audience: []string{"app"}, JWKSURL: "https://abc.supabase.co/auth/v1/.well-known/jwks.json"}},
		"auth0": {Settings{Provider: "auth0", Auth0Domain: "x.eu.auth0.com", Audience: []string{"api"}}, want{
			Issuer: "https://x.eu.auth0.com/", Audience: []string{"api"}, JWKSURL: "https://x.eu.auth0.com/.well-known/jwks.json"}},
		"clerk": {Settings{Provider: "clerk", ClerkIssuer: "https://x.clerk.accounts.dev", Origins: origins}, want{
			Issuer: "https://x.clerk.accounts.dev", Origins: origins, JWKSURL: "https://x.clerk.accounts.dev/.well-known/jwks.json"}},
		"cognito": {Settings{Provider: "cognito", CognitoIssuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", CognitoClientID: "c"}, want{
			Issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", ClientID: "c", JWKSURL: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x/.well-known/jwks.json"}},
		"oidc":               {Settings{Provider: "oidc", Issuer: "https://id.example.com/", Audience: []string{"app"}}, want{Issuer: "https://id.example.com/", Audience: []string{"app"}}},
		"oidc, keys given":   {Settings{Provider: "oidc", Issuer: "https://id.example.com", Audience: []string{"app"}, JWKSURL: "https://k.example.com/"}, want{Issuer: "https://id.example.com", Audience: []string{"app"}, JWKSURL: "https://k.example.com/"}},
		"preset, keys given": {Settings{Provider: "clerk", ClerkIssuer: "https://x.clerk.accounts.dev", JWKSURL: "http://127.0.0.1:9/k"}, want{Issuer: "https://x.clerk.accounts.dev", JWKSURL: "http://127.0.0.1:9/k"}},
		"secret":             {Settings{Secret: secret.New(testSecret), Issuer: "me", Origins: origins}, want{Issuer: "me"}},
		"key set":            {Settings{JWKSURL: "http://[::1]:9/k", Issuer: "me"}, want{Issuer: "me", JWKSURL: "http://[::1]:9/k"}},
	} {
		cfg, problems := tc.settings.Config()
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		got := want{cfg.Issuer, cfg.JWKSURL, cfg.ClientID, cfg.Audience, cfg.Origins}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if cfg.UserClaim != "sub" || cfg.PlanClaim != "plan" || cfg.MaxLifetime != 24*time.Hour {
			t.Errorf("%s: defaults %q %q %v", name, cfg.UserClaim, cfg.PlanClaim, cfg.MaxLifetime)
		}
		v, err := New(t.Context(), cfg, silent())
		if err != nil {
			t.Errorf("%s: New refuses what Config let pass: %v", name, err)
			continue
		}
		v.stop() // before anything is fetched from a real provider
		v.Close()
	}
}

func TestEveryProblemNamesItsVariable(t *testing.T) {
	good := secret.New(testSecret)
	for name, tc := range map[string]struct {
		settings Settings
		want     []string // one problem each
	}{
		"nothing":                  {Settings{}, []string{"set JWT_SECRET"}},
		"secret and key set":       {Settings{Secret: good, JWKSURL: "https://x.example.com/", Issuer: "x"}, []string{"exclude each other"}},
		"secret and provider":      {Settings{Secret: good, Provider: "clerk", ClerkIssuer: "https://x.example.com"}, []string{"exclude each other"}},
		"unknown provider":         {Settings{Provider: "Firebase"}, []string{"AUTH_PROVIDER", "JWT_ISSUER"}},
		"key set without issuer":   {Settings{JWKSURL: "https://x.example.com/"}, []string{"JWT_ISSUER"}},
		"keys over http":           {Settings{JWKSURL: "http://x.example.com/", Issuer: "x"}, []string{"JWT_JWKS_URL must begin with https"}},
		"keys on a false loopback": {Settings{JWKSURL: "http://127.0.0.1.example.com/", Issuer: "x"}, []string{"JWT_JWKS_URL must begin with https"}},
		"keys from a file":         {Settings{JWKSURL: "file:///keys", Issuer: "x"}, []string{"JWT_JWKS_URL must be a full URL"}},
		"keys without a scheme":    {Settings{JWKSURL: "x.example.com/keys", Issuer: "x"}, []string{"JWT_JWKS_URL must be a full URL"}},
		"keys with a password":     {Settings{JWKSURL: "https://a:test-value-Zq8@x.example.com/", Issuer: "x"}, []string{"user name or password"}},
		"firebase":                 {Settings{Provider: "firebase"}, []string{"FIREBASE_PROJECT_ID"}},
		"firebase, a URL":          {Settings{Provider: "firebase", FirebaseProjectID: "https://x"}, []string{"FIREBASE_PROJECT_ID"}},
		"firebase, other audience": {Settings{Provider: "firebase", FirebaseProjectID: "my-app", Audience: []string{"x"}}, []string{"JWT_AUDIENCE"}},
		"firebase, other issuer":   {Settings{Provider: "firebase", FirebaseProjectID: "my-app", Issuer: "x"}, []string{"JWT_ISSUER contradicts"}},
		"supabase":                 {Settings{Provider: "supabase"}, []string{"SUPABASE_URL is missing"}},
		"supabase over http":       {Settings{Provider: "supabase", SupabaseURL: "http://x.supabase.co"}, []string{"SUPABASE_URL must begin with https"}},
		"auth0":                    {Settings{Provider: "auth0"}, []string{"AUTH0_DOMAIN"}},
		"auth0, a URL":             {Settings{Provider: "auth0", Auth0Domain: "https://x.auth0.com/"}, []string{"AUTH0_DOMAIN"}},
		"auth0, no audience":       {Settings{Provider: "auth0", Auth0Domain: "x.auth0.com"}, []string{"JWT_AUDIENCE is missing"}},
		"clerk":                    {Settings{Provider: "clerk"}, []string{"CLERK_ISSUER"}},
		"cognito":                  {Settings{Provider: "cognito"}, []string{"COGNITO_ISSUER"}},
		"cognito, no client":       {Settings{Provider: "cognito", CognitoIssuer: "https://x.amazonaws.com/p"}, []string{"COGNITO_CLIENT_ID is missing"}},
		"cognito, an audience":     {Settings{Provider: "cognito", CognitoIssuer: "https://x.amazonaws.com/p", CognitoClientID: "c", Audience: []string{"x"}}, []string{"JWT_AUDIENCE"}},
		"oidc":                     {Settings{Provider: "oidc"}, []string{"JWT_ISSUER is missing", "JWT_AUDIENCE is missing"}},
		"oidc over http":           {Settings{Provider: "oidc", Issuer: "http://x.example.com", Audience: []string{"x"}}, []string{"JWT_ISSUER must begin with https"}},
		"strays":                   {Settings{Secret: good, FirebaseProjectID: "a", SupabaseURL: "b", Auth0Domain: "c", ClerkIssuer: "d", CognitoIssuer: "e", CognitoClientID: "f"}, []string{"FIREBASE_PROJECT_ID", "SUPABASE_URL", "AUTH0_DOMAIN", "CLERK_ISSUER", "COGNITO_ISSUER", "COGNITO_CLIENT_ID"}},
		"all at once":              {Settings{Secret: secret.New("short-Zq8"), UserClaim: "user_metadata.id", PlanClaim: "exp", MaxLifetime: -1, Audience: []string{""}}, []string{"JWT_SECRET", "JWT_USER_CLAIM", "JWT_PLAN_CLAIM", "JWT_MAX_LIFETIME", "JWT_AUDIENCE"}},
	} {
		cfg, problems := tc.settings.Config()
		if len(problems) != len(tc.want) {
			t.Errorf("%s: %d problems, want %d: %v", name, len(problems), len(tc.want), problems)
		}
		all := errors.Join(problems...)
		for _, want := range tc.want {
			if all == nil || !strings.Contains(all.Error(), want) {
				t.Errorf("%s: no problem says %q: %v", name, want, all)
			}
		}
		if text := fmt.Sprint(all); strings.Contains(text, "Zq8") || strings.Contains(text, testSecret) {
			t.Errorf("%s: a problem quotes a secret: %v", name, all)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), testSecret) {
			t.Errorf("%s: the config prints its secret", name)
		}
	}
}

func TestClaimsThatUsersEditDecideNothing(t *testing.T) {
	for _, path := range []string{
		"user_metadata.id", "user_metadata", "USER_METADATA.id", "app.user_metadata.id", "https://example.com/user_metadata", "https://example.com/user_metadata.id",
		"unsafe_metadata.plan", "unsafeMetadata.plan", "raw_user_meta_data.plan", "iss", "aud", "exp", "nbf", "iat", "jti", "a..b", ".a", "a.", "a\nb",
	} {
		cfg := hsConfig()
		cfg.UserClaim = path
		if _, err := New(t.Context(), cfg, silent()); err == nil || !strings.Contains(err.Error(), "JWT_USER_CLAIM") {
			t.Errorf("user claim %q: %v", path, err)
		}
		cfg = hsConfig()
		cfg.PlanClaim = path
		if _, err := New(t.Context(), cfg, silent()); err == nil || !strings.Contains(err.Error(), "JWT_PLAN_CLAIM") {
			t.Errorf("plan claim %q: %v", path, err)
		}
	}
	cfg := hsConfig()
	cfg.UserClaim = "plan"
	if _, err := New(t.Context(), cfg, silent()); err == nil {
		t.Error("user and plan may be one claim")
	}
}

func TestWeakSecretsAreRefused(t *testing.T) {
	for _, weak := range []string{
		"", "secret", strings.Repeat("x", 31), strings.Repeat("x", 64), strings.Repeat("ab", 32), "aabbccddeeffgg" + strings.Repeat("a", 30),
		strings.Repeat("secret", 8), strings.Repeat("correct-horse-7", 3), "0123456789abcdef0123456789abcdef", "0123456789abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba9876543210",
		"your-256-bit-secret-your-512-bit-x", "changeme-Kq7vXz2mWp9sLd4fRt6yHb8nGc3j", "CHANGE_ME_Kq7vXz2mWp9sLd4fRt6yHb8nGc3j", "a-string-secret-at-least-256-bits-long",
		"super-secret-jwt-token-with-at-least-32-characters-long", "replace-me-with-a-long-random-string!", "my-secret-key-for-signing-tokens-1234", "please put-your-own-value in here, 40",
	} {
		cfg := Config{Secret: secret.New(weak)}
		_, err := New(t.Context(), cfg, silent())
		if err == nil {
			t.Errorf("%q passes", weak)
			continue
		}
		if !strings.Contains(err.Error(), "JWT_SECRET") || !strings.Contains(err.Error(), "keyshield check") {
			t.Errorf("%q: the problem does not say what to do: %v", weak, err)
		}
		if len(weak) > 8 && strings.Contains(err.Error(), weak) {
			t.Errorf("the problem quotes the secret: %v", err)
		}
	}
	for _, strong := range []string{testSecret, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "mZ0k3xP7r2Wq9vT5bY8nL4cJ6hD1gF+/AaSsEeUu=", "wrinkle obtain fossil marble pigeon 77"} {
		if err := errors.Join(weakness(secret.New(strong))...); err != nil {
			t.Errorf("%q: %v", strong, err)
		}
	}
}
