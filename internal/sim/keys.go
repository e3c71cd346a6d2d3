package sim

import (
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
)

// setKeys says which keys are accepted from now on; none: any. So a key is revoked,
// and a new one comes.
func (s *Sim) setKeys(w http.ResponseWriter, r *http.Request) {
	var said struct {
		Accept []string `json:"accept"`
	}
	if err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, 1<<20), &said, json.RejectUnknownMembers(true)); err != nil {
		complain(w, http.StatusBadRequest, err)
		return
	}
	s.Accept(said.Accept...)
	show(w, http.StatusOK, map[string]int{"accepted": len(said.Accept)})
}

// Accept takes these bearer keys from now on, and no others; none means any.
func (s *Sim) Accept(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.Clone(keys)
}

func (s *Sim) accepts(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys) == 0 || slices.Contains(s.keys, key)
}
