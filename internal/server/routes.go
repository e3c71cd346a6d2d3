// Package server is the way of a request: from a front end to OpenAI and back.
//
// Read this file first. It is the security model, top to bottom: what stands
// higher sees more traffic, knows less about it and is cheaper. Nothing below a
// line runs unless everything above it said yes, and a gate can say yes only by
// returning nil (see gates in server.go).
package server

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"keyshield/internal/apierr"
)

func (s *Server) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.GetHead) // HEAD is as GET (RFC 9110 §9.1)

	// For machines that look whether we live: no limit, no origin, no token.
	r.Group(func(r chi.Router) {
		r.Use(s.corsHeaders)
		r.Get("/livez", s.handle(s.livez))
		r.Get("/healthz", s.handle(s.livez))
		r.Get("/readyz", s.handle(s.readyz))
	})

	guard := chi.Middlewares{
		clientIP(s.cfg.Trust), // the TCP peer, or what a trusted proxy says
		s.gates(s.originGate), // a foreign website gets no further, preflight included
		s.corsHeaders,         // above every refusal that a browser must be able to read
	}
	r.Group(func(r chi.Router) {
		r.Use(guard...)
		r.Use(s.gates(
			s.boundOpen,   // a full server says so at once
			s.limitOthers, // ten times what may be spent
		))
		r.Get("/openapi.yaml", s.handle(s.openAPI))
		r.NotFound(s.handle(notFound))
		r.MethodNotAllowed(s.handle(methodNotAllowed)) // preflights arrive here; corsHeaders answers them
	})
	r.Group(func(r chi.Router) { // says what is left
		r.Use(guard...)
		r.Use(s.gates(s.boundOpen, s.limitOthers, s.authenticate))
		r.Get("/api/usage/me", s.handle(s.usageMe))
	})
	r.Group(func(r chi.Router) { // may spend
		r.Use(guard...)
		r.Use(s.gates(
			s.boundOpen,
			s.limitByIP,    // above all cryptography: a flood costs a map look-up
			s.authenticate, // below here the scope holds a Caller
			s.limitByUser,
		))
		r.Post("/api/generate-text", s.handle(s.text("userPrompt", "result")))
		r.Post("/api/ai/chat", s.handle(s.text("message", "text")))
	})
	return s.observe(r) // id, security headers, panics, one log line: sees every request first and every outcome
}

// text is the story of a prompt. The two endpoints differ in two field names.
func (s *Server) text(promptField, answerField string) handler {
	return func(w http.ResponseWriter, r *http.Request) (err error) {
		body, err := readBody(w, r, s.cfg.MaxBody)
		if err != nil {
			return err
		}
		t := s.tierOf(r)
		if err := t.admitText(s.cfg.Text.Model); err != nil { // may they ask this?
			return err
		}
		asked, err := t.rules.Decode(body, promptField) // what was said?
		if err != nil {
			return err
		}
		form := formOf(r.Header, asked.Stream)
		if form.streams() {
			release, err := t.takeStream(r)
			if err != nil {
				return err
			}
			defer release()
		}
		bill, err := s.reserve(w, r, t, s.textQuestion(r, t, asked.Prompt, form)) // can they afford it?
		if err != nil {
			return err
		}
		defer func() { bill.settle(scopeOf(r), err) }() // what was not proven stays charged

		if form.streams() {
			return s.stream(w, r, bill, form)
		}
		return s.answer(w, r, bill, answerField)
	}
}

func notFound(http.ResponseWriter, *http.Request) error {
	return apierr.New(http.StatusNotFound, "not_found", "There is no such endpoint. See /openapi.yaml for those there are.")
}

// methodNotAllowed lists the methods that the path does take (RFC 9110 §15.5.6).
func methodNotAllowed(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	if routes := chi.RouteContext(r.Context()).Routes; routes != nil {
		if routes.Match(chi.NewRouteContext(), http.MethodGet, r.URL.Path) {
			allowed = append(allowed, http.MethodGet, http.MethodHead)
		}
		if routes.Match(chi.NewRouteContext(), http.MethodPost, r.URL.Path) {
			allowed = append(allowed, http.MethodPost)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return apierr.New(http.StatusMethodNotAllowed, "method_not_allowed", "This endpoint does not take %s.", methodName(r.Method))
}
