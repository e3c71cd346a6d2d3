package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
)

const (
	fetchTimeout = 5 * time.Second
	maxDocument  = 1 << 20 // bytes
	maxRedirects = 3
)

// source knows where the key set is and fetches it.
type source struct {
	client *http.Client
	keys   string // the set's URL; "" until discovered
	issuer string // where to discover it; "" when the URL is a setting
}

func newSource(cfg Config) *source {
	transport := cfg.transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: fetchTimeout}).DialContext,
			TLSHandshakeTimeout:    fetchTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true, // once an hour: an idle connection is only a leak
			ForceAttemptHTTP2:      true,
		}
	}
	s := &source{
		client: &http.Client{Transport: transport, Timeout: fetchTimeout, CheckRedirect: sameHost},
		keys:   cfg.JWKSURL,
	}
	if cfg.JWKSURL == "" {
		s.issuer = cfg.Issuer
	}
	return s
}

// sameHost refuses to be sent elsewhere: whoever answers there would choose our keys.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		return errors.New("redirected to another host, or too often")
	}
	return nil
}

// fetch returns the keys that are published now. Where they are is asked again
// only after a failure.
func (s *source) fetch(ctx context.Context) (keys []jwkset.JWK, refused []error, err error) {
	if s.keys == "" {
		if s.keys, err = s.discover(ctx); err != nil {
			return nil, nil, fmt.Errorf("discover the key set: %w", err)
		}
	}
	document, err := s.get(ctx, s.keys)
	if err == nil {
		keys, refused, err = readKeys(document)
	}
	if err != nil {
		if s.issuer != "" {
			s.keys = ""
		}
		return nil, nil, fmt.Errorf("fetch the key set: %w", err)
	}
	return keys, refused, nil
}

// discover asks the issuer itself (OpenID Connect Discovery §4). Its answer must
// name the very issuer that was asked, else it speaks for someone else (§4.3).
func (s *source) discover(ctx context.Context) (string, error) {
	document, err := s.get(ctx, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var answer struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(document, &answer); err != nil {
		return "", fmt.Errorf("the answer is not an OpenID configuration: %w", malformed(err))
	}
	if answer.Issuer != s.issuer {
		return "", fmt.Errorf("it says that its issuer is %.200q; JWT_ISSUER must be exactly that", answer.Issuer)
	}
	if err := safeURL(answer.Keys); err != nil {
		return "", fmt.Errorf("jwks_uri %w", err)
	}
	return answer.Keys, nil
}

func (s *source) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	resp, err := s.client.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL: some carry a key in the query
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", req.URL.Host, resp.StatusCode)
	}
	document, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	if len(document) > maxDocument {
		return nil, fmt.Errorf("%s: an answer of more than %d bytes", req.URL.Host, maxDocument)
	}
	return document, nil
}

// safeURL returns what is wrong with a URL that we are going to trust, as the
// rest of a sentence. It never quotes it: a URL can carry a password.
func safeURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return errors.New("must be a full URL such as https://login.example.com/keys")
	case u.User != nil:
		return errors.New("must not have a user name or password in it")
	case u.Fragment != "":
		return errors.New("must not have a # part")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("must begin with https:// (http:// only for this machine, 127.0.0.1 or localhost): whoever can change the answer can sign in as anyone")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
