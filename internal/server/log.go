package server

import (
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/go-chi/chi/v5"

	"keyshield/internal/apierr"
)

// writeLine is the one log line of a request. No header value, no prompt, no
// token stands in it; a path only where it is one of ours or plainly harmless.
func (s *Server) writeLine(w *response, r *http.Request, scope *Scope, e ending) {
	if !s.log.Enabled(r.Context(), e.level) {
		return
	}
	var room [16]slog.Attr
	attrs := append(room[:0],
		slog.String("request_id", scope.ID),
		slog.String("method", methodName(r.Method)),
		slog.String("path", loggedPath(r)),
		slog.Int("status", e.status),
		slog.Float64("took_ms", milliseconds(e.took)),
		slog.Int64("bytes", w.bytes))
	if scope.IP.IsValid() {
		attrs = append(attrs, slog.String("ip", scope.IP.String()))
	}
	if e.code != "" {
		attrs = append(attrs, slog.String("code", e.code))
	}
	if id := r.Header.Get("X-Request-Id"); id != "" && plainID.MatchString(id) {
		attrs = append(attrs, slog.String("client_request_id", id))
	}
	if scope.Caller.ID != "" {
		attrs = append(attrs, slog.String("user", scope.Caller.ID))
	}
	if scope.Upstream != "" {
		attrs = append(attrs, slog.String("upstream_id", scope.Upstream))
	}
	if scope.FirstToken > 0 {
		attrs = append(attrs, slog.Float64("first_token_ms", milliseconds(scope.FirstToken)))
	}
	if scope.Usage.Total > 0 {
		attrs = append(attrs, slog.Int64("tokens_in", scope.Usage.Prompt), slog.Int64("tokens_out", scope.Usage.Completion))
	}
	if scope.Ceiling > 0 {
		attrs = append(attrs, slog.String("charged", scope.charged().String()), slog.Bool("proven", scope.Proven))
	}
	if cause := causeOf(scope.Err); cause != nil {
		attrs = append(attrs, slog.String("error", cause.Error()))
	}
	s.log.LogAttrs(r.Context(), e.level, "request", attrs...)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// causeOf is what the log says of an error. A refusal's code says it all, and its
// message may name what the client sent; only its cause is ours.
func causeOf(err error) error {
	if e, ok := errors.AsType[*apierr.Error](err); ok {
		return e.Unwrap()
	}
	return err
}

var (
	plainID   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	plainPath = regexp.MustCompile(`^[A-Za-z0-9/_.-]{1,64}$`)
)

// routeOf is the pattern that r's path matches; "" for one that matches none.
func routeOf(r *http.Request) string {
	if rctx := chi.RouteContext(r.Context()); rctx != nil {
		if route := rctx.RoutePattern(); route != "/*" {
			return route
		}
	}
	return ""
}

// loggedPath is the route, or the path of an unknown one if it cannot hold a
// token or a line break.
func loggedPath(r *http.Request) string {
	if route := routeOf(r); route != "" {
		return route
	}
	if plainPath.MatchString(r.URL.Path) {
		return r.URL.Path
	}
	return "(unknown)"
}

// methodName keeps hostile method names out of logs and messages.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "this method"
}
