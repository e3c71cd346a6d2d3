package auth

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keyshield/internal/secret"
)

// Claims are what a development token says. UserClaim and PlanClaim are the
// names under which the verifier looks for Subject and Plan.
type Claims struct {
	Subject, Issuer, Plan string
	Audience              []string
	TTL                   time.Duration
	PlanClaim, UserClaim  string
}

// Mint signs a development token with HS256, one that a Verifier with the same
// key and settings accepts until its TTL is over.
func Mint(key secret.String, c Claims, now time.Time) (string, error) {
	user, plan := cmp.Or(c.UserClaim, "sub"), cmp.Or(c.PlanClaim, "plan")
	problems := weakness(key)
	if err := plainText(c.Subject); err != nil {
		problems = append(problems, fmt.Errorf("subject: %w", err))
	}
	if c.TTL < time.Second {
		problems = append(problems, errors.New("a token must live for at least a second"))
	}
	problems = append(problems, Config{UserClaim: user, PlanClaim: plan, Audience: c.Audience}.claimProblems()...)
	if err := errors.Join(problems...); err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	// A path is written as one name: the verifier takes it literally first.
	payload := map[string]any{user: c.Subject, "iat": now.Unix(), "exp": now.Add(c.TTL).Unix()}
	if c.Plan != "" {
		payload[plan] = c.Plan
	}
	if c.Issuer != "" {
		payload["iss"] = c.Issuer
	}
	if len(c.Audience) > 0 {
		payload["aud"] = c.Audience
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(body)
	signature, err := jwt.SigningMethodHS256.Sign(signed, []byte(key.Reveal()))
	if err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	return signed + "." + encode(signature), nil
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
