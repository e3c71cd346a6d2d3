package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxAnswer bounds what is read of a vault: its largest secret, escaped or encoded,
// and what stands around it.
const maxAnswer = 4*maxPayload + 16<<10

// fetchTimeout bounds one question to a vault.
const fetchTimeout = 15 * time.Second

var errRedirect = errors.New("a redirect")

// newClient asks vaults. It follows no redirect: a credential would go with it.
func newClient(over http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     over,
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
}

// newTransport keeps no connection: a minute lies between two questions.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // a bomb would fit through a byte cap
	}
}

// statusError is an answer other than 200.
type statusError int

func (s statusError) Error() string {
	switch {
	case s >= 300 && s < 400:
		return fmt.Sprintf("it answered with a redirect (%d), which is not followed", int(s))
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return fmt.Sprintf("it refuses us (%d): are the credentials right, and may they read this secret?", int(s))
	case s == http.StatusNotFound:
		return "it knows no such secret (404): is the name right?"
	case s == http.StatusTooManyRequests:
		return "it is asked too often (429)"
	}
	return fmt.Sprintf("it answered %d", int(s))
}

// fetch returns the body of a 200.
func fetch(c *http.Client, r *http.Request) ([]byte, http.Header, error) {
	resp, err := c.Do(r)
	if err != nil {
		return nil, nil, unreached(r.Context(), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, statusError(resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, unreached(r.Context(), err)
	}
	if len(body) > maxAnswer {
		return nil, nil, errTooLong
	}
	return body, resp.Header, nil
}

var (
	errTooLong = errors.New("its answer is longer than any secret")
	errRubbish = errors.New("its answer is not what it should be")
)

// unreached says why there was no answer, without a library's words: net/http quotes
// what it cannot read.
func unreached(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, errRedirect):
		return errors.New("it answered with a redirect, which is not followed")
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("it did not answer in time")
	case as[*net.DNSError](err):
		return errors.New("its name cannot be resolved")
	case as[*tls.CertificateVerificationError](err):
		return errors.New("its certificate is not one to trust")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return errors.New("it cannot be reached")
	}
	return errors.New("its answer broke off, or is no HTTP")
}

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
