package server

import (
	"net/http"

	"keyshield/api"
)

// livez says that the process answers, and nothing else: a platform restarts
// what is not alive, and a fault elsewhere is not mended by that.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) error {
	return plain(w, "ok\n")
}

// readyz says whether requests should come here.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) error {
	if s.stopping.Load() {
		return unavailable().Because(errStopping)
	}
	if err := s.verifier.Ready(); err != nil {
		return unavailable().Because(err)
	}
	if err := s.ledger.Healthy(); err != nil {
		return unavailable().Because(err)
	}
	return plain(w, "ready\n")
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
	_, err := w.Write(api.Description)
	return err
}

func plain(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte(text))
	return err
}
