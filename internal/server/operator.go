package server

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"keyshield/internal/apierr"
)

// Operator is the operator's door, and what lies behind it.
type Operator struct {
	// Admits says whether r comes from the operator. It says how long an address must
	// wait that has tried too many wrong tokens; the right one is always let in.
	Admits func(r *http.Request, from netip.Addr) (ok bool, wait time.Duration)

	Behind http.Handler // /admin and /metrics

	// Pages are the dashboard's files, which have nothing to hide and are shown to
	// browsers that have not signed in. HasPage says which paths those are.
	Pages   http.Handler
	HasPage func(path string) bool
}

// door lets the operator through, past all limits: nobody may lock him out of the
// switches. For everyone else it is as if there were no door: the same gates, the
// same 404.
func (s *Server) door(next http.Handler) http.Handler {
	if s.operator == nil {
		return next
	}
	strangers := s.gates(s.boundOpen, s.limitOthers)(s.operator.Pages)
	before := clientIP(s.cfg.Trust)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scope := scopeOf(r)
		scope.IP = middleware.GetClientIPAddr(r.Context())
		ok, wait := s.operator.Admits(r, scope.IP)
		scope.operator, scope.guessed = ok, !ok && showsToken(r)
		switch {
		case s.operator.HasPage(r.URL.Path) && ok:
			s.operator.Pages.ServeHTTP(w, r)
		case s.operator.HasPage(r.URL.Path) && browses(r) && !scope.guessed: // no browser shows a token there
			strangers.ServeHTTP(w, r)
		case ok:
			s.operator.Behind.ServeHTTP(w, r)
		case wait > 0:
			s.refuse(w, r, apierr.New(http.StatusTooManyRequests, "rate_limited", "Too many requests from this IP. Please try again after %s.", inWords(wait)).After(wait))
		default:
			next.ServeHTTP(w, r)
		}
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isOperators(r.URL.Path) {
			before.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// showsToken says whether r claims to be the operator's, by a header or by signing in.
func showsToken(r *http.Request) bool {
	return len(r.Header["Authorization"]) > 0 || r.Method == http.MethodPost && r.URL.Path == "/admin/api/session"
}

// browses says whether a browser wants a page, or a file of one (Fetch Metadata,
// https://www.w3.org/TR/fetch-metadata/). Whoever goes from path to path looking for
// doors does not say so, and finds none.
func browses(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Sec-Fetch-Dest") != ""
}

func isOperators(path string) bool {
	return path == "/metrics" || path == "/admin" || strings.HasPrefix(path, "/admin/")
}
