package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/cors"

	"keyshield/internal/apierr"
)

// Origins are the websites that may use this service.
type Origins struct {
	Exact     []string // as browsers send them: "https://app.example.com"
	Localhost bool     // any port of localhost and 127.0.0.1 over http; for dev only
}

// Allow reports whether a browser's Origin header is on the list. Nothing but
// the exact bytes is: no suffix, other case, scheme or port, and never "null".
func (o Origins) Allow(origin string) bool {
	return slices.Contains(o.Exact, origin) || o.Localhost && isLocalhost(origin)
}

func isLocalhost(origin string) bool {
	rest, ok := strings.CutPrefix(origin, "http://")
	if !ok {
		return false
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host != rest || u.User != nil {
		return false
	}
	host := u.Hostname()
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// originGate refuses a foreign website before anything is spent. The CORS
// library alone only leaves out a header, and the request would be served. No
// Origin at all (curl, a server, a mobile app) goes on to authentication.
func (s *Server) originGate(w http.ResponseWriter, r *http.Request) error {
	scopeOf(r).IP = middleware.GetClientIPAddr(r.Context())
	origins, present := r.Header["Origin"]
	if !present {
		return nil
	}
	if len(origins) == 1 && s.cfg.Origins.Allow(origins[0]) {
		return nil
	}
	w.Header()["Vary"] = []string{"Origin", "Access-Control-Request-Headers"}
	if len(origins) == 1 {
		s.refusals.tell(s.log, s.cfg.Origins.Exact, origins[0])
	}
	return apierr.New(http.StatusForbidden, "origin_not_allowed", "This website is not allowed to use this service.")
}

// corsHeaders answers preflights and lets an allowed origin read our answers.
// Any request header is allowed to it (SDKs and tracing tools send their own);
// none is forwarded. There are no cookies here, so no credentials.
func (s *Server) corsHeaders(next http.Handler) http.Handler {
	options := cors.Options{
		AllowOriginFunc: func(_ *http.Request, origin string) bool { return s.cfg.Origins.Allow(origin) },
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders:  []string{"*"},
		ExposedHeaders: []string{
			"x-request-id", "retry-after", "retry-after-ms", "x-should-retry",
			"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "ratelimit-policy",
			"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
			"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
			"x-vercel-ai-ui-message-stream",
		},
		MaxAge: 600,
	}
	if s.cfg.ExposeBudget {
		options.ExposedHeaders = append(options.ExposedHeaders, "x-budget-remaining")
	}
	asked := cors.Handler(options)(next)
	// A method that no path takes is not allowed beforehand, but its 405 is readable.
	options.AllowedMethods = append(options.AllowedMethods, http.MethodPut, http.MethodPatch, http.MethodDelete)
	actual := cors.Handler(options)(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			asked.ServeHTTP(w, r)
			return
		}
		actual.ServeHTTP(w, r)
	})
}

const (
	toldOrigins  = 100       // remembered at most
	tellOriginIn = time.Hour // the same one is not logged again before
)

// refusedOrigins remembers which refused origins the log has told about, so
// that a flood of made-up ones does not fill it.
type refusedOrigins struct {
	mu   sync.Mutex
	told map[string]time.Time
}

func newRefusedOrigins() *refusedOrigins { return &refusedOrigins{told: map[string]time.Time{}} }

// tell logs the line that would let origin in, if it looks like one.
func (o *refusedOrigins) tell(log *slog.Logger, allowed []string, origin string) {
	if !tellable(origin) || !o.due(origin, time.Now()) {
		return
	}
	line := "ALLOWED_ORIGINS=" + strings.Join(append(slices.Clone(allowed), origin), ",")
	log.Warn("a website was refused; this line would allow it", "line", line)
}

func (o *refusedOrigins) due(origin string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, ok := o.told[origin]; ok && now.Sub(at) < tellOriginIn {
		return false
	}
	for known, at := range o.told {
		if now.Sub(at) >= tellOriginIn {
			delete(o.told, known)
		}
	}
	if len(o.told) >= toldOrigins {
		return false
	}
	o.told[origin] = now
	return true
}

// tellable reports whether an origin is plain enough to be printed as a setting.
func tellable(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && len(origin) <= 128 && u.Scheme != "" && u.Host != "" &&
		u.Scheme+"://"+u.Host == origin && plainHost(u.Hostname())
}

func plainHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && !strings.ContainsFunc(host, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-'
	})
}
