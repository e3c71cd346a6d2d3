package auth

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"keyshield/internal/secret"
)

// Config says which tokens to believe. Fill it in with Settings.Config.
type Config struct {
	Secret      secret.String // HS256; exclusive with a key set
	JWKSURL     string        // "" with OIDC: the issuer is asked
	Provider    string        // decides how the audience is said
	Issuer      string        // required with a key set
	Audience    []string      // aud must name one of them, when there are any
	ClientID    string        // Cognito
	Origins     []string      // Clerk: azp must be one of them, when present
	UserClaim   string        // "sub" when empty
	PlanClaim   string        // "plan" when empty
	MaxLifetime time.Duration // left when the token is used; 24 h when zero

	PseudonymKey secret.String // 32 bytes; random for this process when empty

	transport http.RoundTripper // for tests
}

const defaultLifetime = 24 * time.Hour

func (c Config) withDefaults() Config {
	c.UserClaim = cmp.Or(c.UserClaim, "sub")
	c.PlanClaim = cmp.Or(c.PlanClaim, "plan")
	c.MaxLifetime = cmp.Or(c.MaxLifetime, defaultLifetime)
	return c
}

// problems reports everything that is wrong, by the names the operator knows.
func (c Config) problems() []error {
	return append(c.keyProblems(), c.claimProblems()...)
}

func (c Config) keyProblems() (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Provider != "" && !slices.Contains(providers(), c.Provider) {
		bad("AUTH_PROVIDER %q is not known; it is one of %s, or empty", c.Provider, strings.Join(providers(), ", "))
	}
	keySet := c.JWKSURL != "" || c.Provider != ""
	switch {
	case c.Secret.IsZero() && !keySet:
		bad("nothing says whose tokens to believe: set JWT_SECRET (keyshield check prints a fresh one), or AUTH_PROVIDER, or JWT_JWKS_URL with JWT_ISSUER")
		return problems
	case !c.Secret.IsZero() && keySet:
		bad("JWT_SECRET and a key set (AUTH_PROVIDER or JWT_JWKS_URL) exclude each other: remove one of them")
	case !c.Secret.IsZero():
		problems = append(problems, weakness(c.Secret)...)
		return problems
	}
	if c.JWKSURL != "" {
		if err := safeURL(c.JWKSURL); err != nil {
			bad("JWT_JWKS_URL %w", err)
		}
	} else if c.Issuer != "" {
		if err := safeURL(c.Issuer); err != nil {
			bad("JWT_ISSUER %w", err)
		}
	}
	if c.Issuer == "" {
		bad("JWT_ISSUER is missing: with a key set, a token must also say who made it; set it to the iss of your tokens")
	}
	if c.Provider == Cognito && c.ClientID == "" {
		bad("COGNITO_CLIENT_ID is missing: set it to the id of your app client")
	}
	if len(c.Audience) == 0 && (c.Provider == Auth0 || c.Provider == OIDC || c.Provider == Firebase || c.Provider == Supabase) {
		bad("JWT_AUDIENCE is missing: without it, tokens made for any other application of your provider would pass; set it to the aud of your tokens")
	}
	return problems
}

func (c Config) claimProblems() (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.MaxLifetime < 0 {
		bad("JWT_MAX_LIFETIME must be positive, such as 24h")
	}
	if slices.Contains(c.Audience, "") {
		bad("JWT_AUDIENCE has an empty entry: remove the comma too many")
	}
	if err := claimPath(c.UserClaim); err != nil {
		bad("JWT_USER_CLAIM %w", err)
	}
	if err := claimPath(c.PlanClaim); err != nil {
		bad("JWT_PLAN_CLAIM %w", err)
	}
	if c.UserClaim == c.PlanClaim {
		bad("JWT_USER_CLAIM and JWT_PLAN_CLAIM are the same claim: every user would be a plan of their own")
	}
	return problems
}

// userWritten are the parts of a token that providers let users edit themselves.
var userWritten = []string{"user_metadata", "unsafe_metadata", "unsafemetadata", "raw_user_meta_data"}

// claimPath returns what is wrong with the name of a claim that decides who
// somebody is or what they may do, as the rest of a sentence.
func claimPath(path string) error {
	if err := plainText(path); err != nil {
		return fmt.Errorf("is not the name of a claim: %w", err)
	}
	switch path {
	case "iss", "aud", "exp", "nbf", "iat", "jti":
		return fmt.Errorf("must not be %s: it says nothing about a person; use sub", path)
	}
	for segment := range strings.FieldsFuncSeq(strings.ToLower(path), func(r rune) bool { return strings.ContainsRune("./:", r) }) {
		if slices.Contains(userWritten, segment) {
			return fmt.Errorf("must not be read from %s: users can edit it; use a claim that only your server sets, such as app_metadata", segment)
		}
	}
	if strings.HasPrefix(path, ".") || strings.HasSuffix(path, ".") || strings.Contains(path, "..") {
		return errors.New("has an empty part: write it like app_metadata.plan")
	}
	return nil
}
