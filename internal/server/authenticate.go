package server

import (
	"net/http"

	"keyshield/internal/auth"
)

// authenticate puts a verified Caller into the scope.
func (s *Server) authenticate(_ http.ResponseWriter, r *http.Request) error {
	token, err := auth.Bearer(r.Header)
	if err != nil {
		return err
	}
	caller, err := s.verifier.Verify(r.Context(), token)
	if err != nil {
		return err
	}
	scopeOf(r).Caller = caller
	return nil
}
