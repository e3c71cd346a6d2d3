package server

import (
	"net/http"

	"github.com/go-chi/chi/v5/middleware"

	"keyshield/internal/limit"
)

// clientIP finds out whose address a request counts for. It is read back with
// middleware.GetClientIPAddr and is invalid, never a guess, when who is trusted
// said something that is not one address.
func clientIP(trust limit.Trust) func(http.Handler) http.Handler {
	peers := make([]string, len(trust.Peers))
	for i, p := range trust.Peers {
		peers[i] = p.String()
	}
	switch {
	case trust.Header != "":
		fromHeader := middleware.ClientIPFromHeader(trust.Header, peers...)
		return func(next http.Handler) http.Handler { return onlyOnce(trust.Header, fromHeader(next)) }
	case trust.Hops > 0:
		return middleware.ClientIPFromXFFTrustedProxies(trust.Hops)
	case len(peers) > 0:
		return middleware.ClientIPFromXFF(peers...)
	default:
		return middleware.ClientIPFromRemoteAddr
	}
}

// onlyOnce empties a header that came more than once. chi would take the last:
// but a proxy that sets the header sends one, so what is behind another is not
// the proxy we were told of.
func onlyOnce(header string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header[header]) > 1 {
			r.Header[header] = []string{""}
		}
		next.ServeHTTP(w, r)
	})
}
