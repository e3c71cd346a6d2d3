// Package server is the way of a request: from a front end to OpenAI and back.
//
// Read this file first. It is the security model, top to bottom: what stands
// higher sees more traffic, knows less about it and is cheaper. Nothing below a
// line runs unless everything above it said yes, and a gate can say yes only by
// returning nil (see gates in server.go).
package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"keyshield/internal/apierr"
	"keyshield/internal/policy"
	"keyshield/internal/prompt"
)

func (s *Server) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(
		s.door,             // to /admin and /metrics, for the operator; for others there is none
		middleware.GetHead, // HEAD is as GET (RFC 9110 §9.1)
	)

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
		if s.playground != nil {
			r.Get("/", s.playground.ServeHTTP)
			r.Get("/playground/*", s.playground.ServeHTTP)
		}
		r.NotFound(s.handle(notFound))
		r.MethodNotAllowed(s.handle(methodNotAllowed)) // preflights arrive here; corsHeaders answers them
	})
	r.Group(func(r chi.Router) { // says what is left, and what may be asked; also to whom a switch has stopped
		r.Use(guard...)
		r.Use(s.gates(s.boundOpen, s.limitOthers, s.authenticate, s.recorded))
		r.Get("/api/usage/me", s.handle(s.usageMe))
		if s.opens(policy.Chat, policy.Responses, policy.Embeddings, policy.Moderations) {
			r.Get("/v1/models", s.handle(s.modelList))
			r.Get("/v1/models/{id}", s.handle(s.oneModel))
		}
	})
	r.Group(func(r chi.Router) { // may spend
		r.Use(guard...)
		r.Use(s.gates(
			s.boundOpen,
			s.limitByIP,    // above all cryptography: a flood costs a map look-up
			s.authenticate, // below here the scope holds a Caller
			s.recorded,     // what must be written down can be
			s.allowed,      // whom the operator, or the watch, has not stopped
			s.limitByUser,
		))
		s.mount(r)
	})
	return s.observe(r) // id, security headers, panics, one log line: sees every request first and every outcome
}

// Patterns are the routes that may be asked for, as the metrics name them.
func Patterns() []string {
	return []string{
		"/", "/playground/*", "/livez", "/healthz", "/readyz", "/openapi.yaml", "/api/usage/me",
		"/api/generate-text", "/api/ai/chat", "/api/chat", "/api/completion",
		"/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/moderations", "/v1/models", "/v1/models/{id}",
	}
}

// mount adds the endpoints that ENDPOINTS opens. The others are not there.
func (s *Server) mount(r chi.Router) {
	if s.opens(policy.TextEndpoint) {
		r.Post("/api/generate-text", s.handle(s.text("userPrompt", "result")))
		r.Post("/api/ai/chat", s.handle(s.text("message", "text")))
	}
	if s.opens(policy.Chat) {
		r.Post("/v1/chat/completions", s.handle(s.openAI(chatEndpoint)))
		r.Post("/api/chat", s.handle(s.hook(prompt.Rules.DecodeChat)))
		r.Post("/api/completion", s.handle(s.hook(prompt.Rules.DecodeCompletion)))
	}
	if s.opens(policy.Responses) {
		r.Post("/v1/responses", s.handle(s.openAI(responsesEndpoint)))
	}
	if s.opens(policy.Embeddings) {
		r.Post("/v1/embeddings", s.handle(s.openAI(embeddingsEndpoint)))
	}
	if s.opens(policy.Moderations) {
		r.Post("/v1/moderations", s.handle(s.openAI(moderationsEndpoint)))
	}
}

// opens reports whether one of these is open to anyone.
func (s *Server) opens(kinds ...policy.Kind) bool {
	return slices.ContainsFunc(kinds, func(k policy.Kind) bool { return slices.Contains(s.cfg.Endpoints, string(k)) })
}

// text is the story of a prompt. The two endpoints differ in two field names.
func (s *Server) text(promptField, answerField string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := readBody(w, r, s.cfg.MaxBody)
		if err != nil {
			return err
		}
		t := s.tierOf(r)
		if err := t.admitWords(policy.TextEndpoint, s.cfg.Text.Model); err != nil { // may they ask this?
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
		bill, err := s.reserve(w, r, t, s.textQuestion(r, t, asked.Prompt, form)) // can they afford it? observe settles it
		if err != nil {
			return err
		}
		if form.streams() {
			return s.streamWords(w, r, bill, form)
		}
		return s.answer(w, r, bill, answerField)
	}
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	switch {
	case lacksV1(r.URL.Path):
		return apierr.New(http.StatusNotFound, "not_found", "There is no such endpoint. The base URL for a client of OpenAI's ends in /v1.")
	case canBeOpened(r.URL.Path):
		return apierr.New(http.StatusNotFound, "not_found", "There is no such endpoint, or this server has not opened it: its setting ENDPOINTS says which are open.")
	}
	return apierr.New(http.StatusNotFound, "not_found", "There is no such endpoint. See /openapi.yaml for those there are.")
}

// canBeOpened reports whether ENDPOINTS decides if there is such a path: of the others
// that have a name all but the page at / are always there.
func canBeOpened(path string) bool {
	return path != "/" && slices.Contains(Patterns(), path) || strings.HasPrefix(path, "/v1/models/")
}

// lacksV1 reports whether a path is what a client of OpenAI's asks for when /v1 is
// missing from its base URL.
func lacksV1(path string) bool { return canBeOpened("/v1" + path) }

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
