package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"keyshield/internal/apierr"
	"keyshield/internal/aside"
	"keyshield/internal/upstream"
)

// bodyTimeout bounds how long a body may take to arrive. It runs from the end
// of the header, so that a body nobody reads (of a refused request) is bounded
// too: net/http reads up to 256 KiB of it by itself.
const bodyTimeout = 10 * time.Second

// statusClientGone is what the log says of a client that left, after nginx.
const statusClientGone = 499

// exchange is one request and its answer: the only value we put into a context.
// It is a context itself, and knows the router's key as well as ours, because
// each layer of a context costs a copy of the request.
type exchange struct {
	context.Context
	scope Scope
	out   response
	route *chi.Context
	leave context.CancelFunc // as if the client had gone
}

type exchangeKey struct{}

func (x *exchange) Value(key any) any {
	switch key {
	case exchangeKey{}:
		return x
	case chi.RouteCtxKey:
		return x.route
	}
	return x.Context.Value(key)
}

func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

// observe sees every request first and last.
func (s *Server) observe(next chi.Routes) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, leave := context.WithCancel(r.Context())
		x := &exchange{
			Context: ctx,
			leave:   leave,
			scope:   Scope{ID: rand.Text(), Began: time.Now()},
			out:     response{ResponseWriter: w, control: connectionOf(w)},
			route:   s.contexts.Get().(*chi.Context),
		}
		x.route.Reset()
		x.route.Routes = next
		h := w.Header()
		secure(h) // even refusals leave with them
		h["X-Request-Id"] = []string{x.scope.ID}
		if slices.Contains(r.TransferEncoding, "chunked") || !r.ProtoAtLeast(1, 1) {
			// Go serves a request with both Content-Length and chunked, and keeps
			// what follows as a second request (smuggling, RFC 9112 §6.3). Of an
			// HTTP/1.0 request it drops the encoding unseen.
			h.Set("Connection", "close")
		}
		if r.ContentLength != 0 {
			x.out.control.SetReadDeadline(x.scope.Began.Add(bodyTimeout))
		}
		if len(r.Header["Expect"]) > 0 {
			x.out.extend() // "100 Continue" goes out under the last answer's deadline otherwise
		}
		if g, ok := r.Context().Value(guestKey{}).(*guest); ok {
			g.early.Store(&x.leave)
		}
		r = r.WithContext(x)
		defer s.finish(x, r)
		next.(http.Handler).ServeHTTP(&x.out, r)
	})
}

// finish ends a request: it answers for a handler that panicked, writes the log
// line, and cuts the connection where a clean end would pass off half an answer
// as a whole one.
func (s *Server) finish(x *exchange, r *http.Request) {
	w, scope, cut := &x.out, &x.scope, false
	if p := recover(); p != nil {
		cut = w.status != 0
		if p != http.ErrAbortHandler {
			scope.Err = panicked(p)
			if !cut {
				s.writeError(w, r, apierr.From(scope.Err))
			}
		} else {
			cut = true
		}
	}
	if scope.counted {
		s.inFlight.Add(-1)
	}
	s.writeLine(w, r, scope)
	s.contexts.Put(x.route)
	x.leave()
	if cut {
		cutShort(w, r)
	}
}

// panicked is a panic with the stack it came from.
func panicked(p any) error {
	if p, ok := p.(*aside.Panic); ok {
		return fmt.Errorf("panic: %w", p)
	}
	return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
}

// cutShort ends a connection so that the client sees it is no clean end. HTTP/1.0
// has no other way to say that than a reset.
func cutShort(w *response, r *http.Request) {
	if !r.ProtoAtLeast(1, 1) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if tcp, ok := plainConn(conn).(*net.TCPConn); ok {
				tcp.SetLinger(0)
			}
			conn.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}

func plainConn(conn net.Conn) net.Conn {
	if g, ok := conn.(*guest); ok {
		return g.Conn
	}
	return conn
}

// writeLine is the one log line of a request. No header value, no prompt, no
// token stands in it; a path only where it is one of ours or plainly harmless.
func (s *Server) writeLine(w *response, r *http.Request, scope *Scope) {
	status, level, code := outcome(w, r, scope)
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	var room [16]slog.Attr
	attrs := append(room[:0],
		slog.String("request_id", scope.ID),
		slog.String("method", methodName(r.Method)),
		slog.String("path", loggedPath(r)),
		slog.Int("status", status),
		slog.Float64("took_ms", milliseconds(time.Since(scope.Began))),
		slog.Int64("bytes", w.bytes))
	if scope.IP.IsValid() {
		attrs = append(attrs, slog.String("ip", scope.IP.String()))
	}
	if code != "" {
		attrs = append(attrs, slog.String("code", code))
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
		charged := scope.Ceiling
		if scope.Proven {
			charged = scope.Cost
		}
		attrs = append(attrs, slog.String("charged", charged.String()), slog.Bool("proven", scope.Proven))
	}
	if cause := causeOf(scope.Err); cause != nil {
		attrs = append(attrs, slog.String("error", cause.Error()))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
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

// outcome is the status, the level and the code of the log line. Error means
// that someone must act.
func outcome(w *response, r *http.Request, scope *Scope) (status int, level slog.Level, code string) {
	status, level = w.status, slog.LevelInfo
	if scope.Err == nil {
		return status, level, ""
	}
	if clientGone(r) && (status == 0 || status == http.StatusOK) {
		return statusClientGone, level, "client_gone"
	}
	e := apierr.From(scope.Err)
	switch {
	case e.Status == http.StatusInternalServerError,
		errors.Is(scope.Err, upstream.ErrKeyRefused), errors.Is(scope.Err, upstream.ErrQuota):
		level = slog.LevelError
	case e.Status > http.StatusInternalServerError:
		level = slog.LevelWarn
	}
	return status, level, e.Code
}

var (
	plainID   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	plainPath = regexp.MustCompile(`^[A-Za-z0-9/_.-]{1,64}$`)
)

// loggedPath is the route, or the path of an unknown one if it cannot hold a
// token or a line break.
func loggedPath(r *http.Request) string {
	if rctx := chi.RouteContext(r.Context()); rctx != nil {
		if route := rctx.RoutePattern(); route != "" && route != "/*" && route != "/" {
			return route
		}
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
