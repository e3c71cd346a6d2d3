package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
)

const (
	gcpScope    = "https://www.googleapis.com/auth/cloud-platform"
	gcpTokenURL = "https://oauth2.googleapis.com/token"

	// The metadata server is at an address of the link, where nobody else answers.
	gcpMetadata     = "169.254.169.254"
	gcpMetadataPath = "/computeMetadata/v1/instance/service-accounts/default/token"
)

// gcpTokens gets access tokens and keeps one for as long as it lasts.
type gcpTokens struct {
	client   *http.Client
	account  string // the key file of a service account; "" asks the metadata server
	metadata string

	mu    sync.Mutex
	held  string
	until time.Time
}

func newGCPTokens(client *http.Client, o Options) *gcpTokens {
	return &gcpTokens{
		client:   client,
		account:  o.env("GOOGLE_APPLICATION_CREDENTIALS"),
		metadata: "http://" + firstOf(o.env("GCE_METADATA_HOST"), gcpMetadata) + gcpMetadataPath,
	}
}

func (g *gcpTokens) token(ctx context.Context) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Now().Before(g.until) {
		return g.held, nil
	}
	ask := g.ofMachine
	if g.account != "" {
		ask = g.ofAccount
	}
	body, err := ask(ctx)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token   string `json:"access_token"`
		Expires int64  `json:"expires_in"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Token == "" || strings.ContainsFunc(answer.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errRubbish
	}
	// A minute early: the clock of Google decides.
	lasts := time.Duration(min(max(answer.Expires, 0), 3600))*time.Second - time.Minute
	g.held, g.until = answer.Token, time.Now().Add(lasts)
	return g.held, nil
}

// forget drops a token that was refused.
func (g *gcpTokens) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until = time.Time{}
}

// ofMachine asks the metadata server, which signs its answers with a header, so that
// nothing else on the address is taken for it.
func (g *gcpTokens) ofMachine(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.metadata, nil)
	if err != nil {
		return nil, errors.New("GCE_METADATA_HOST is no host")
	}
	r.Header.Set("Metadata-Flavor", "Google")
	body, header, err := fetch(g.client, r)
	if err != nil {
		return nil, fmt.Errorf("the metadata server: %w (outside of Google Cloud set GOOGLE_APPLICATION_CREDENTIALS)", err)
	}
	if header.Get("Metadata-Flavor") != "Google" {
		return nil, errors.New("what answers is no metadata server of Google: set GOOGLE_APPLICATION_CREDENTIALS")
	}
	return body, nil
}

// ofAccount shows a token that the account has signed, and gets one for it (RFC 7523).
func (g *gcpTokens) ofAccount(ctx context.Context) ([]byte, error) {
	account, err := readAccount(g.account)
	if err != nil {
		return nil, fmt.Errorf("GOOGLE_APPLICATION_CREDENTIALS: %w", err)
	}
	assertion, err := account.assertion(time.Now())
	if err != nil {
		return nil, fmt.Errorf("GOOGLE_APPLICATION_CREDENTIALS: %w", err)
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, account.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("GOOGLE_APPLICATION_CREDENTIALS: its token_uri is no address")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	body, _, err := fetch(g.client, r)
	if err == statusError(http.StatusBadRequest) {
		return nil, errors.New("the account's signature is not taken: was its key deleted, or is the clock of this machine wrong?")
	}
	return body, err
}

// account is the key file of a service account.
type account struct {
	Type     string `json:"type"`
	Email    string `json:"client_email"`
	KeyID    string `json:"private_key_id"`
	Key      string `json:"private_key"`
	TokenURL string `json:"token_uri"`
}

func readAccount(path string) (account, error) {
	f, err := os.Open(path)
	if err != nil {
		return account{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPayload))
	if err != nil {
		return account{}, err
	}
	var a account
	if json.Unmarshal(text, &a) != nil {
		return account{}, errors.New("it is no JSON")
	}
	if a.Type != "service_account" || a.Email == "" {
		return account{}, errors.New("it is not the key of a service account: make one, or leave the variable out on Google Cloud")
	}
	a.TokenURL = firstOf(a.TokenURL, gcpTokenURL)
	if checkEndpoint(a.TokenURL) != nil {
		return account{}, errors.New("its token_uri must be https")
	}
	return a, nil
}

func (a account) assertion(now time.Time) (string, error) {
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(a.Key))
	if err != nil {
		return "", errors.New("its private_key is no RSA key")
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, struct {
		jwt.RegisteredClaims
		Audience string `json:"aud"` // the library's would be a list
		Scope    string `json:"scope"`
	}{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    a.Email,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
		},
		Audience: a.TokenURL,
		Scope:    gcpScope,
	})
	token.Header["kid"] = a.KeyID
	signed, err := token.SignedString(key)
	if err != nil {
		return "", errors.New("its private_key cannot sign")
	}
	return signed, nil
}
