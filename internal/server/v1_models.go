package server

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/go-chi/chi/v5"

	"keyshield/internal/apierr"
)

// modelList says which models this caller may use. OpenAI's own list is longer, and
// says what our account has.
func (s *Server) modelList(w http.ResponseWriter, r *http.Request) error {
	list := struct {
		Object string        `json:"object"`
		Data   []modelObject `json:"data"`
	}{"list", []modelObject{}}
	for _, id := range s.offered(r) {
		list.Data = append(list.Data, newModelObject(id))
	}
	return writeJSON(w, list)
}

// oneModel describes one of them.
func (s *Server) oneModel(w http.ResponseWriter, r *http.Request) error {
	id := chi.URLParam(r, "id")
	if r.URL.RawPath != "" { // which chi goes by then: "ft%3A…" is how some clients write "ft:…"
		id, _ = url.PathUnescape(id) // net/http has read it once before: it is well-formed
	}
	if !slices.Contains(s.offered(r), id) {
		return apierr.New(http.StatusNotFound, "model_not_found", "There is no such model, or your plan does not include it. GET /v1/models lists those that you may use.").About("model")
	}
	return writeJSON(w, newModelObject(id))
}

func (s *Server) offered(r *http.Request) []string {
	return s.tierOf(r).plan.Offered(s.cfg.Prices)
}

// modelObject is OpenAI's shape. Created is not known here; the SDKs want a number.
type modelObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func newModelObject(id string) modelObject {
	return modelObject{ID: id, Object: "model", OwnedBy: "openai"}
}
