package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"keyshield/internal/apierr"
	"keyshield/internal/aside"
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
	end   context.CancelCauseFunc // context.Canceled: as if the client had gone
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
		ctx, end := context.WithCancelCause(r.Context())
		x := &exchange{
			Context: ctx,
			end:     end,
			scope:   Scope{ID: rand.Text(), Began: time.Now()},
			out:     response{ResponseWriter: w, control: connectionOf(w), pulse: &s.pulse},
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
			g.early.Store(&x.end)
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
	s.account(x, r)
	if scope.counted {
		s.inFlight.Add(-1)
	}
	s.contexts.Put(x.route)
	x.end(nil)
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
