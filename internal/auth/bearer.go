package auth

import (
	"errors"
	"net/http"
	"strings"
)

// Bearer takes the token out of a request's header. There must be exactly one
// Authorization header: of two, proxies and servers disagree which one counts.
// A cookie or a query parameter is never looked at (RFC 6750 §5.3).
func Bearer(h http.Header) (string, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", missing
	}
	if len(values) > 1 {
		return "", invalid.Because(errors.New("more than one Authorization header"))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", missing.Because(errors.New("the Authorization scheme is not Bearer"))
	}
	token = strings.TrimLeft(token, " ") // one or more spaces: RFC 9110 §11.4
	if token == "" {
		return "", invalid.Because(errors.New("the bearer token is empty"))
	}
	return token, nil
}
