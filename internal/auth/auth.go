// Package auth says who is calling.
//
// A bearer token becomes a [Caller], or a refusal that tells the client nothing
// but that it was refused; the reason goes to the log. golang-jwt checks the
// signature and the registered claims, keyfunc finds the key. Both are lax
// where a gate in front of money must not be, so this package closes what they
// leave open, in this order:
//
//   - token.go: three parts of strict base64url, a header without surprises
//   - keyset.go: the provider's keys, kept fresh, kept through an outage
//   - jwk.go: which published keys may verify anything at all
//   - claims.go: what the claims must say, and what becomes of them
//   - cache.go: a token that passed once passes again cheaply, until it expires
//
// The two kinds of keys never share a parser: a shared secret verifies HS256
// and nothing else, a key set verifies RS256, ES256 and EdDSA and nothing else
// (else a public key could be used as an HMAC secret, RFC 8725 §3.1).
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"keyshield/internal/apierr"
	"keyshield/internal/aside"
)

const (
	maxToken = 8 << 10          // bytes, measured before anything is parsed
	Leeway   = 30 * time.Second // for clocks that differ, on every time in a token
	maxSeen  = 10_000           // verified tokens remembered
)

var (
	invalid = apierr.New(http.StatusForbidden, "token_invalid", "Invalid or expired security token.")
	missing = apierr.New(http.StatusUnauthorized, "token_missing", "Access denied. No security token provided.")

	// unavailable is said when it is our fault that a token cannot be judged: an
	// "invalid" would send every signed-in user back to the login page.
	unavailable = apierr.New(http.StatusServiceUnavailable, "unavailable", "Our system is busy right now. Please try again soon.").After(3 * time.Second)
)

// Caller is a verified client. Plan is "" when the token has none.
type Caller struct {
	Issuer, ID, Plan string
	Expires          time.Time
	Pseudonym        string // for whoever need not know the ID; see pseudonyms
}

// Verifier turns tokens into callers. It is safe for concurrent use.
type Verifier struct {
	want      *Config
	algs      []string
	parser    *jwt.Parser                       // checks the signature
	validator *jwt.Validator                    // checks the registered claims
	keys      func(context.Context) jwt.Keyfunc // a function, so that no printer can reach the secret behind it
	set       *keySet                           // nil with a shared secret
	seen      *cache
	names     pseudonyms
	stop      context.CancelFunc
}

// New makes a Verifier, or reports everything that is wrong with cfg. With a
// key set, ctx bounds its background refresh, and New neither waits for the
// first answer nor fails without it: until the keys arrive, Ready says why not
// and Verify answers 503.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Verifier, error) {
	cfg = cfg.withDefaults()
	if err := errors.Join(cfg.problems()...); err != nil {
		return nil, fmt.Errorf("identity settings: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	v := &Verifier{want: &cfg, seen: newCache(maxSeen), names: newPseudonyms(cfg.PseudonymKey), stop: stop}
	if cfg.Secret.IsZero() {
		if err := v.trustKeySet(ctx, log); err != nil {
			stop()
			return nil, err
		}
	} else {
		v.trustSecret()
	}
	v.parser = jwt.NewParser(jwt.WithValidMethods(v.algs), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	v.validator = jwt.NewValidator(claimRules(cfg)...)
	return v, nil
}

func (v *Verifier) trustSecret() {
	key := []byte(v.want.Secret.Reveal())
	v.algs = []string{jwt.SigningMethodHS256.Alg()}
	v.keys = func(context.Context) jwt.Keyfunc {
		return func(*jwt.Token) (any, error) { return key, nil }
	}
}

func (v *Verifier) trustKeySet(ctx context.Context, log *slog.Logger) error {
	v.algs = []string{jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodEdDSA.Alg()}
	v.set = newKeySet(newSource(*v.want), log, v.seen.drop)
	// keyfunc compares a key's "alg" with the token's; "" is a key that names no use.
	finder, err := keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: v.set, UseWhitelist: []jwkset.USE{jwkset.UseSig, ""}})
	if err != nil {
		return fmt.Errorf("key set: %w", err)
	}
	v.keys = finder.KeyfuncCtx
	v.set.start(ctx)
	return nil
}

// claimRules turns on what golang-jwt leaves off. An empty issuer would turn its
// check off again, which is why problems() requires one with a key set.
func claimRules(cfg Config) []jwt.ParserOption {
	rules := []jwt.ParserOption{
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(Leeway),
		jwt.WithIssuer(cfg.Issuer),
	}
	if len(cfg.Audience) > 0 {
		rules = append(rules, jwt.WithAudience(cfg.Audience...))
	}
	return rules
}

// Verify says who sent the token. Its error is always an *apierr.Error:
// token_invalid for every kind of bad token, or unavailable when there is no
// current key set to judge it by. The cause never holds the token.
func (v *Verifier) Verify(ctx context.Context, token string) (Caller, error) {
	if len(token) > maxToken {
		return Caller{}, invalid.Because(fmt.Errorf("token of %d bytes; at most %d", len(token), maxToken))
	}
	if err := v.Ready(); err != nil {
		return Caller{}, unavailable.Because(err)
	}
	var room [1 << 10]byte // enough for most tokens, without a trip to the heap
	id := sha256.Sum256(append(room[:0], token...))
	caller, epoch, ok := v.seen.get(id)
	if ok {
		return caller, nil
	}
	var err error
	aside.Run(func() { caller, err = v.judge(ctx, token) })
	if errors.Is(err, errStale) {
		return Caller{}, unavailable.Because(err)
	}
	if err != nil {
		return Caller{}, invalid.Because(err)
	}
	caller.Pseudonym = v.names.of(caller.Issuer, caller.ID)
	v.seen.put(epoch, id, caller)
	return caller, nil
}

// judge does all the work that a remembered token is spared: the form, then the
// signature, and only under a sound signature what the claims say.
func (v *Verifier) judge(ctx context.Context, token string) (Caller, error) {
	if err := inspect(token, v.algs, v.set != nil); err != nil {
		return Caller{}, err
	}
	c := &claims{want: v.want}
	if _, err := v.parser.ParseWithClaims(token, c, v.keys(ctx)); err != nil {
		return Caller{}, err
	}
	if err := c.read(); err != nil {
		return Caller{}, err
	}
	if err := v.validator.Validate(c); err != nil {
		return Caller{}, err
	}
	return c.caller, nil
}

// Ready returns nil when tokens can be judged, or why not.
func (v *Verifier) Ready() error {
	if v.set == nil {
		return nil
	}
	return v.set.ready()
}

// Close ends the background refresh and waits for it.
func (v *Verifier) Close() {
	v.stop()
	if v.set != nil {
		v.set.work.Wait()
	}
}
