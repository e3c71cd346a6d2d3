package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"keyshield/internal/secret"
)

const (
	maxAnswer  = 1 << 10 // bytes that are read of an answer
	maxHeaders = 16 << 10
)

// reason is how Slack and its like say what is wrong: "no_service", "channel_not_found".
var reason = regexp.MustCompile(`^[a-z]+(_[a-z]+){0,6}$`)

// poster posts to one address. The address may be a credential as a whole, so it
// is in no error.
type poster struct {
	address secret.String
	client  *http.Client
	now     func() time.Time
}

func newPoster(address secret.String, opts *Options) poster {
	transport := opts.transport
	if transport == nil {
		dialer := &net.Dialer{Timeout: tryTimeout}
		transport = &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: tryTimeout, ForceAttemptHTTP2: true,
			DisableKeepAlives:      true, // alerts are rare, and a stale connection might have one sent twice
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaders,
		}
	}
	return poster{
		address: address, now: opts.Now,
		client: &http.Client{
			Transport: transport,
			// An alert is for the one who was named, not for whom they point at.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (p poster) post(ctx context.Context, body []byte, header http.Header) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.address.Reveal(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the address is not a URL")
	}
	req.GetBody = nil // else net/http may send it again by itself
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "keyshield")
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return nil
	}
	answer, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return p.refusal(res, answer)
}

// refusal says what the receiver's answer means for the operator.
func (p poster) refusal(res *http.Response, answer []byte) error {
	text := fmt.Sprintf("it answered %d", res.StatusCode)
	if word := strings.TrimSpace(string(answer)); len(word) <= maxName && reason.MatchString(word) {
		text += " (" + word + ")"
	}
	switch code := res.StatusCode; {
	case code >= 300 && code < 400:
		text += ": a redirect, which is not followed; set the address that it leads to"
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound, code == http.StatusGone:
		text += ": is the address still valid?"
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		if after, ok := retryAfter(res.Header.Get("Retry-After"), p.now()); ok {
			return &laterError{text, after}
		}
	}
	return errors.New(text)
}

// retryAfter reads RFC 9110 §10.2.3, within reason.
func retryAfter(v string, now time.Time) (time.Duration, bool) {
	var after time.Duration
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		after = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(after, backoff), maxAsked), true
}

// checkURL returns the host to show, or what is wrong with the address, without
// repeating it.
func checkURL(address string) (host string, err error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return "", errors.New("it is not a URL: write it like https://example.com/hook")
	case u.User != nil:
		return "", errors.New("it must not hold a name and password")
	case u.Fragment != "":
		return "", errors.New("it must not hold a #")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return u.Host, nil
	case u.Scheme == "http":
		return "", errors.New("it must begin with https://; http:// is for this machine alone")
	}
	return "", errors.New("it must begin with https://")
}

// loopback is said of names that never leave this machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
