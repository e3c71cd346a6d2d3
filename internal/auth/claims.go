package auth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claimNames are the claims that decide something.
var claimNames = names("iss", "sub", "aud", "exp", "nbf", "iat", "azp", "client_id", "token_use", "sts")

// claims is a token's payload, read by our own rules: golang-jwt decodes the raw
// text into it and checks the signature, then read takes it apart, and then the
// validator checks the times, the issuer and the audience through the getters
// and calls Validate last.
type claims struct {
	want          *Config
	raw           []byte
	members       object
	iss, sub      string
	aud           []string
	exp, nbf, iat *jwt.NumericDate
	caller        Caller // set by Validate
}

// UnmarshalJSON keeps the text for later: a stranger's claims are not worth
// reading before their signature is checked.
func (c *claims) UnmarshalJSON(data []byte) error {
	c.raw = slices.Clone(data)
	return nil
}

// read refuses every claim that has not the one type it should have, whether or
// not it is going to be checked.
func (c *claims) read() (err error) {
	if c.members, err = readObject(c.raw, claimNames); err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	var errs [6]error
	c.iss, _, errs[0] = c.members.text("iss")
	c.sub, _, errs[1] = c.members.text("sub")
	c.aud, errs[2] = c.members.texts("aud")
	c.exp, errs[3] = c.members.date("exp")
	c.nbf, errs[4] = c.members.date("nbf")
	c.iat, errs[5] = c.members.date("iat")
	return errors.Join(errs[:]...)
}

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.exp, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.nbf, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.iat, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.aud, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.iss, nil }
func (c *claims) GetSubject() (string, error)                  { return c.sub, nil }

// Validate checks what the library does not. What it quotes comes from the
// issuer: the signature is sound.
func (c *claims) Validate() error {
	if c.exp == nil {
		return errors.New("no exp")
	}
	if c.want.Issuer != "" && c.iss != c.want.Issuer {
		return fmt.Errorf("iss is %.200q, the settings want %q", c.iss, c.want.Issuer)
	}
	// A token nobody can revoke must not live for ever. The library accepts the
	// year 31 688 740 476.
	if left := time.Until(c.exp.Time); left > c.want.MaxLifetime+Leeway {
		return fmt.Errorf("%v of lifetime left, JWT_MAX_LIFETIME is %v", left.Round(time.Second), c.want.MaxLifetime)
	}
	if err := c.audience(); err != nil {
		return err
	}
	return c.identify()
}

// audience asks whom the token was made for, in the way its provider says it.
// The aud claim itself is checked by the parser whenever Audience is set.
func (c *claims) audience() error {
	switch c.want.Provider {
	case Clerk:
		return c.clerk()
	case Cognito:
		return c.cognito()
	}
	return nil
}

// clerk: session tokens carry no aud; azp, when present, is the origin of the
// page that asked for the token. A pending session is not signed in yet.
func (c *claims) clerk() error {
	azp, present, err := c.members.text("azp")
	if err != nil {
		return err
	}
	if present && !slices.Contains(c.want.Origins, azp) {
		return fmt.Errorf("azp %.200q is not in ALLOWED_ORIGINS", azp)
	}
	status, _, err := c.members.text("sts")
	if err != nil {
		return err
	}
	if status == "pending" {
		return errors.New("sts is pending: the user has not finished signing in")
	}
	return nil
}

// cognito: an access token names its client in client_id, an id token in aud.
func (c *claims) cognito() error {
	use, _, err := c.members.text("token_use")
	if err != nil {
		return err
	}
	switch use {
	case "access":
		client, _, err := c.members.text("client_id")
		if err != nil {
			return err
		}
		if client != c.want.ClientID {
			return fmt.Errorf("client_id %.200q is not COGNITO_CLIENT_ID", client)
		}
	case "id":
		if !slices.Contains(c.aud, c.want.ClientID) {
			return fmt.Errorf("aud %.200q is not COGNITO_CLIENT_ID", c.aud)
		}
	default:
		return errors.New("token_use is neither access nor id")
	}
	return nil
}

// identify makes the Caller. User and plan come from here and nowhere else.
func (c *claims) identify() error {
	user, err := c.member(c.want.UserClaim)
	if err != nil {
		return err
	}
	if err := plainText(user); err != nil {
		return fmt.Errorf("user claim %q: %w", c.want.UserClaim, err)
	}
	plan, err := c.member(c.want.PlanClaim)
	if err != nil {
		return err
	}
	if plan != "" {
		if err := plainText(plan); err != nil {
			return fmt.Errorf("plan claim %q: %w", c.want.PlanClaim, err)
		}
	}
	if c.iss != "" {
		if err := plainText(c.iss); err != nil {
			return fmt.Errorf("iss: %w", err)
		}
	}
	c.caller = Caller{Issuer: c.iss, ID: user, Plan: plan, Expires: c.exp.Time}
	return nil
}

// member returns the string at a claim path, "" when it is absent or null.
func (c *claims) member(path string) (string, error) {
	raw, err := c.members.find(path)
	if err != nil {
		return "", fmt.Errorf("claim %q: %w", path, err)
	}
	if raw == nil || raw.Kind() == 'n' {
		return "", nil
	}
	value, err := unquote(raw)
	if err != nil {
		return "", fmt.Errorf("claim %q: %w", path, err)
	}
	return value, nil
}
