package sim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// price is nano-dollars per token. long: above 272,000 input tokens the input
// costs double and the output one and a half times.
type price struct {
	id      string
	in, out int64
	long    bool
}

// prices is the simulator's own table: it must not share the one under test, or
// a mistake in that would confirm itself.
var prices = []price{
	{"gpt-6-luna", 100, 500, true},
	{"gpt-6-sol", 2_000, 10_000, true},
	{"gpt-6-astra", 10_000, 50_000, true},
	{"gpt-5.6-luna", 200, 1_200, true},
	{"gpt-5.6-terra", 2_000, 12_000, true},
	{"gpt-5.6-sol", 4_000, 20_000, true},
	{"gpt-5.5", 5_000, 30_000, true},
	{"gpt-5.4", 2_500, 15_000, true},
	{"gpt-5.4-mini", 750, 4_500, false},
	{"gpt-5.4-nano", 200, 1_250, false},
	{"gpt-5.2", 1_750, 14_000, false},
	{"gpt-5.1", 1_250, 10_000, false},
	{"gpt-5", 1_250, 10_000, false},
	{"gpt-5-mini", 250, 2_000, false},
	{"gpt-5-nano", 50, 400, false},
	{"gpt-4.1", 2_000, 8_000, false},
	{"gpt-4.1-mini", 400, 1_600, false},
	{"gpt-4.1-nano", 100, 400, false},
	{"gpt-4o", 2_500, 10_000, false},
	{"gpt-4o-mini", 150, 600, false},
	{"o3", 2_000, 8_000, false},
	{"o3-mini", 1_100, 4_400, false},
	{"o4-mini", 1_100, 4_400, false},
	{"gpt-3.5-turbo", 500, 1_500, false},
}

// otherPrice is what any other model costs: ten dollars per million tokens in,
// fifty out.
var otherPrice = price{"", 10_000, 50_000, false}

const longContext = 272_000

// priceOf finds a model by its name or a dated snapshot of it.
func priceOf(model string) price {
	name := undated(model)
	for _, p := range prices {
		if p.id == name {
			return p
		}
	}
	return otherPrice
}

// undated cuts "-2026-01-31" off.
func undated(model string) string {
	const date = len("-2026-01-31")
	cut := len(model) - date
	if cut <= 0 {
		return model
	}
	for i, r := range []byte(model[cut:]) {
		dash := i == 0 || i == 5 || i == 8
		if dash != (r == '-') || !dash && (r < '0' || r > '9') {
			return model
		}
	}
	return model[:cut]
}

// cost is exact: it counts in quarters of a nano-dollar, so that one and a half
// times (long output) and half (flex) of it are whole, and rounds up once.
func cost(model, tier string, in, out int) int64 {
	p := priceOf(model)
	inputs, outputs := 4*p.in*int64(in), 4*p.out*int64(out)
	if p.long && in > longContext {
		inputs, outputs = 2*inputs, outputs/2*3
	}
	quarters := inputs + outputs
	switch tier {
	case "priority", "fast":
		quarters *= 2
	case "flex":
		quarters /= 2
	}
	return (quarters + 3) / 4
}

// ability is what a family of models can do.
type ability struct {
	reason  bool // thinks before it answers
	refrain bool // takes reasoning_effort none
}

func abilities(model string) ability {
	begins := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(model, p) })
	}
	switch {
	case strings.HasSuffix(model, "-chat-latest"):
		return ability{}
	case begins("gpt-6", "gpt-5."):
		return ability{reason: true, refrain: true}
	case begins("gpt-5", "o1", "o3", "o4"):
		return ability{reason: true}
	}
	return ability{}
}

// thinking is how many tokens a model spends before its first word.
func thinking(model, effort string) int {
	if !abilities(model).reason {
		return 0
	}
	switch effort {
	case "none":
		return 0
	case "minimal":
		return 16
	case "low":
		return 64
	case "high":
		return 640
	case "xhigh", "max":
		return 1_280
	}
	return 192 // medium, the default
}

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
