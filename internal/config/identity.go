package config

import (
	"crypto/rand"
	"regexp"
	"strings"

	"keyshield/internal/auth"
	"keyshield/internal/secret"
)

// checkIdentity asks auth what the settings come to. Auth's errors name the
// variable they are about and quote no secret.
func (l *Loaded) checkIdentity() {
	c := &l.Config.Identity
	for i := range c.Audience {
		c.Audience[i] = strings.TrimSpace(c.Audience[i])
	}
	l.checkSecret()
	s := auth.Settings{
		Provider:          c.Provider,
		FirebaseProjectID: c.FirebaseProjectID,
		SupabaseURL:       c.SupabaseURL,
		Auth0Domain:       c.Auth0Domain,
		ClerkIssuer:       c.ClerkIssuer,
		CognitoIssuer:     c.CognitoIssuer,
		CognitoClientID:   c.CognitoClientID,
		JWKSURL:           c.JWKSURL,
		Issuer:            c.Issuer,
		UserClaim:         c.UserClaim,
		PlanClaim:         c.PlanClaim,
		Audience:          c.Audience,
		Secret:            c.Secret,
		Origins:           l.Config.Server.Origins.Exact,
		MaxLifetime:       c.MaxLifetime,
	}
	standIn := l.mode == Dev && s.Secret.IsZero() && s.Provider == "" && s.JWKSURL == ""
	if standIn {
		s.Secret = secret.New(rand.Text() + rand.Text()) // dev makes its own; the rest is still checked
	}
	cfg, problems := s.Config()
	if standIn {
		cfg.Secret = secret.String{}
	}
	l.Config.Auth = cfg
	if !l.sound("AUTH_PROVIDER") {
		return // all that would follow from a provider there is not
	}
	for _, err := range problems {
		text := err.Error()
		name := l.nameIn(text)
		if secretive(text) {
			text = name + " is not right"
		}
		if l.sound(name) {
			l.problem(name, text, l.identityFix(name))
		}
	}
}

var variable = regexp.MustCompile(`[A-Z][A-Z0-9_]+`)

// nameIn finds the setting that a message is about: the first it names.
func (l *Loaded) nameIn(message string) string {
	for _, word := range variable.FindAllString(message, -1) {
		for _, s := range settings(&l.Config) {
			if s.name == word {
				return word
			}
		}
	}
	return "JWT_SECRET"
}

// identityFix is the line that settles what auth says of name.
func (l *Loaded) identityFix(name string) string {
	c := l.Config.Identity
	preset := c.Provider != "" && c.Provider != auth.OIDC // knows its issuer by itself
	provider := map[string]string{
		"FIREBASE_PROJECT_ID": auth.Firebase,
		"SUPABASE_URL":        auth.Supabase,
		"AUTH0_DOMAIN":        auth.Auth0,
		"CLERK_ISSUER":        auth.Clerk,
		"COGNITO_ISSUER":      auth.Cognito,
		"COGNITO_CLIENT_ID":   auth.Cognito,
	}[name]
	switch {
	case name == "JWT_USER_CLAIM" && c.UserClaim == c.PlanClaim && l.Sources["JWT_USER_CLAIM"] == FromDefault:
		return "JWT_PLAN_CLAIM=plan" // it is the other of the two that was set
	case name == "JWT_SECRET" && (c.Provider != "" || c.JWKSURL != ""):
		return "unset JWT_SECRET"
	case name == "JWT_SECRET":
		return freshSecretLine
	case provider != "" && provider != c.Provider:
		return "AUTH_PROVIDER=" + provider
	case preset && name == "JWT_ISSUER" && c.Issuer != "", preset && name == "JWT_AUDIENCE" && len(c.Audience) > 0:
		return "unset " + name
	}
	for _, s := range settings(&l.Config) {
		if s.name == name {
			return s.line()
		}
	}
	return name + "="
}
