package sim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// listModels answers GET /v1/models.
func (c *call) listModels() error {
	if err := c.forModels(); err != nil {
		return err
	}
	body := []byte(`{"object":"list","data":[`)
	for i, id := range c.sim.models() {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendModel(body, id)
	}
	c.json(append(body, "]}\n"...))
	return nil
}

// oneModel answers GET /v1/models/{id}.
func (c *call) oneModel() error {
	if err := c.forModels(); err != nil {
		return err
	}
	id := strings.TrimPrefix(c.r.URL.Path, "/v1/models/")
	known := c.sim.models()
	if !slices.Contains(known, id) && !slices.Contains(known, undated(id)) {
		return &refusal{http.StatusNotFound, "The model '" + id + "' does not exist", invalidRequest, "model", "model_not_found"}
	}
	c.json(append(appendModel(nil, id), '\n'))
	return nil
}

func (c *call) forModels() error {
	if _, err := c.receive(); err != nil {
		return err
	}
	if err := c.authorize(); err != nil {
		return err
	}
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return wrongMethod(c.r)
	}
	return nil
}

// models are those served, or the ones with a price.
func (s *Sim) models() []string {
	if s.options.Models != nil {
		return s.options.Models
	}
	ids := make([]string, len(prices))
	for i, p := range prices {
		ids[i] = p.id
	}
	return ids
}

func appendModel(dst []byte, id string) []byte {
	dst = appendString(append(dst, `{"id":`...), id, false)
	return append(dst, `,"object":"model","created":1767225600,"owned_by":"system"}`...)
}

// json sends a whole answer.
func (c *call) json(body []byte) {
	c.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.begin(http.StatusOK, "application/json")
	_, _ = c.w.Write(body) // a client that has left misses nothing
}

func itoa(n int) string { return strconv.Itoa(n) }
