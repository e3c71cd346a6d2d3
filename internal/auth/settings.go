package auth

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"keyshield/internal/secret"
)

// The providers whose tokens we know how to read.
const (
	Firebase = "firebase"
	Supabase = "supabase"
	Auth0    = "auth0"
	Clerk    = "clerk"
	Cognito  = "cognito"
	OIDC     = "oidc"
)

func providers() []string { return []string{Firebase, Supabase, Auth0, Clerk, Cognito, OIDC} }

// Settings are the identity settings as the operator writes them.
type Settings struct {
	Provider          string
	FirebaseProjectID string
	SupabaseURL       string
	Auth0Domain       string
	ClerkIssuer       string
	CognitoIssuer     string
	CognitoClientID   string
	JWKSURL           string
	Issuer            string
	UserClaim         string
	PlanClaim         string
	Audience          []string
	Secret            secret.String
	Origins           []string
	MaxLifetime       time.Duration
}

// Config turns the settings into a Config, or reports every problem at once.
// Each names its variable and says what to do; none quotes a secret.
func (s Settings) Config() (Config, []error) {
	cfg := Config{
		Secret: s.Secret, Provider: s.Provider, JWKSURL: s.JWKSURL, Issuer: s.Issuer, Audience: s.Audience,
		ClientID: s.CognitoClientID, UserClaim: s.UserClaim, PlanClaim: s.PlanClaim, MaxLifetime: s.MaxLifetime,
	}.withDefaults()
	problems := s.strays()
	preset, err := s.preset()
	if err != nil {
		return cfg, append(append(problems, err), cfg.claimProblems()...)
	}
	if preset.issuer != "" {
		if s.Issuer != "" && s.Issuer != preset.issuer {
			problems = append(problems, fmt.Errorf("JWT_ISSUER contradicts AUTH_PROVIDER=%s, whose issuer is %s: remove JWT_ISSUER", s.Provider, preset.issuer))
		}
		cfg.Issuer = preset.issuer
	}
	if cfg.JWKSURL == "" {
		cfg.JWKSURL = preset.keys
	}
	if len(cfg.Audience) == 0 && preset.audience != "" {
		cfg.Audience = []string{preset.audience}
	}
	if s.Provider == Clerk {
		cfg.Origins = s.Origins
	}
	return cfg, append(problems, cfg.problems()...)
}

// preset is what follows from a provider's own settings.
type preset struct{ issuer, keys, audience string }

var firebaseProject = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]{2,62}$`)

// preset returns what the provider's documentation says, with its settings put in.
func (s Settings) preset() (preset, error) {
	switch s.Provider {
	case Firebase:
		if !firebaseProject.MatchString(s.FirebaseProjectID) {
			return preset{}, errors.New("FIREBASE_PROJECT_ID must be the id of your project, such as my-app-12345 (Firebase console, Project settings)")
		}
		if len(s.Audience) > 0 && (len(s.Audience) > 1 || s.Audience[0] != s.FirebaseProjectID) {
			return preset{}, errors.New("JWT_AUDIENCE contradicts AUTH_PROVIDER=firebase, whose audience is FIREBASE_PROJECT_ID: remove JWT_AUDIENCE")
		}
		return preset{
			issuer:   "https://securetoken.google.com/" + s.FirebaseProjectID,
			keys:     "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
			audience: s.FirebaseProjectID,
		}, nil
	case Supabase:
		base, err := baseURL("SUPABASE_URL", s.SupabaseURL, "https://<project>.supabase.co")
		return preset{issuer: base + "/auth/v1", keys: base + "/auth/v1/.well-known/jwks.json", audience: "authenticated"}, err
	case Auth0:
		if s.Auth0Domain == "" || strings.ContainsAny(s.Auth0Domain, "/@?# \t") || safeURL("https://"+s.Auth0Domain+"/") != nil {
			return preset{}, errors.New("AUTH0_DOMAIN must be a bare host name such as example.eu.auth0.com, without https:// and without a slash")
		}
		base := "https://" + s.Auth0Domain + "/"
		return preset{issuer: base, keys: base + ".well-known/jwks.json"}, nil
	case Clerk:
		base, err := baseURL("CLERK_ISSUER", s.ClerkIssuer, "https://<instance>.clerk.accounts.dev")
		return preset{issuer: base, keys: base + "/.well-known/jwks.json"}, err
	case Cognito:
		if len(s.Audience) > 0 {
			return preset{}, errors.New("JWT_AUDIENCE is not used with AUTH_PROVIDER=cognito, whose tokens name their client: set COGNITO_CLIENT_ID and remove JWT_AUDIENCE")
		}
		base, err := baseURL("COGNITO_ISSUER", s.CognitoIssuer, "https://cognito-idp.<region>.amazonaws.com/<user pool id>")
		return preset{issuer: base, keys: base + "/.well-known/jwks.json"}, err
	}
	return preset{}, nil // OIDC: what is missing, the issuer itself is asked for
}

func baseURL(name, raw, example string) (string, error) {
	if raw == "" {
		return "", fmt.Errorf("%s is missing: set it to %s", name, example)
	}
	if err := safeURL(raw); err != nil {
		return "", fmt.Errorf("%s %w", name, err)
	}
	if strings.Contains(raw, "?") {
		return "", fmt.Errorf("%s must not have a ? part: set it to %s", name, example)
	}
	return strings.TrimSuffix(raw, "/"), nil
}

// strays reports settings of a provider that is not in use: an operator who set
// one believes in something that is not so.
func (s Settings) strays() (problems []error) {
	for _, of := range []struct{ provider, name, value string }{
		{Firebase, "FIREBASE_PROJECT_ID", s.FirebaseProjectID},
		{Supabase, "SUPABASE_URL", s.SupabaseURL},
		{Auth0, "AUTH0_DOMAIN", s.Auth0Domain},
		{Clerk, "CLERK_ISSUER", s.ClerkIssuer},
		{Cognito, "COGNITO_ISSUER", s.CognitoIssuer},
		{Cognito, "COGNITO_CLIENT_ID", s.CognitoClientID},
	} {
		if of.value != "" && s.Provider != of.provider {
			problems = append(problems, fmt.Errorf("%s is set, but AUTH_PROVIDER is not %s: set AUTH_PROVIDER=%s or remove %s", of.name, of.provider, of.provider, of.name))
		}
	}
	return problems
}
