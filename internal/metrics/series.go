package metrics

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"keyshield/internal/money"
)

// outcomes and classes are the labels of a request. The first of each is what
// fits none of the others.
var (
	outcomes = [...]string{other, OK, Refused, Failed, ClientGone}
	classes  = [...]string{other, "2xx", "3xx", "4xx", "5xx"}
	usual    = [...]struct {
		status  int
		outcome string
	}{{200, OK}, {400, Refused}, {503, Refused}, {502, Failed}, {200, Failed}, {499, ClientGone}, {200, ClientGone}}
)

func outcomeOf(outcome string) int { return max(0, slices.Index(outcomes[:], outcome)) }

func classOf(status int) int {
	if class := status/100 - 1; class > 0 && class < len(classes) {
		return class
	}
	return 0
}

// requestTable has a place for every label of a request. A counter is made when
// it is first needed: most combinations never happen.
type requestTable struct {
	vec    *prometheus.CounterVec
	routes []string
	cells  [][len(classes)][len(outcomes)]atomic.Pointer[prometheus.Counter]
}

func (t *requestTable) at(route, class, outcome int) prometheus.Counter {
	cell := &t.cells[route][class][outcome]
	if c := cell.Load(); c != nil {
		return *c
	}
	c := t.vec.WithLabelValues(t.routes[route], classes[class], outcomes[outcome])
	cell.Store(&c) // whoever else makes it gets the same one
	return c
}

func (m *Metrics) countRequests(routes []string) {
	m.requests = requestTable{
		vec:    m.counters("requests_total", "Requests that are over.", "route", "class", "outcome").CounterVec,
		routes: routes,
		cells:  make([][len(classes)][len(outcomes)]atomic.Pointer[prometheus.Counter], len(routes)),
	}
	for route := range routes {
		for _, u := range usual {
			m.requests.at(route, classOf(u.status), outcomeOf(u.outcome))
		}
	}
}

func (m *Metrics) timeRequests(routes []string) {
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "request_seconds",
		Help:    "Time from a request's header to the end of its answer.",
		Buckets: []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
	}, []string{"route"})
	m.firstToken = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "first_token_seconds",
		Help:    "Time from a request's header to the first words of its stream.",
		Buckets: []float64{.05, .1, .2, .35, .5, .75, 1, 1.5, 2.5, 5, 10, 30, 60},
	})
	m.added = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "added_seconds",
		Help:    "What this server added: the time of a request without the wait for OpenAI.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
	})
	m.registry.MustRegister(took, m.firstToken, m.added)
	for _, route := range routes {
		m.took = append(m.took, took.WithLabelValues(route))
	}
}

func (m *Metrics) countMoney(models []string) {
	tokens := m.counters("tokens_total", "Tokens that OpenAI billed; the kinds do not overlap.", "model", "kind")
	cost := m.counters("cost_dollars_total", "Dollars charged: as proven by OpenAI's usage, or at the ceiling where there was no proof.", "model", "proof")
	m.models = map[string]*modelSeries{}
	for _, model := range models {
		m.models[model] = &modelSeries{
			fresh:     tokens.one(model, "input"),
			cached:    tokens.one(model, "cached"),
			visible:   tokens.one(model, "output"),
			reasoning: tokens.one(model, "reasoning"),
			proven:    cost.one(model, "proven"),
			ceiling:   cost.one(model, "ceiling"),
		}
	}
}

// counter is a Counter that ignores what would make it panic.
type counter struct{ prometheus.Counter }

func (c counter) add(n int64) {
	if n > 0 {
		c.Add(float64(n))
	}
}

func (c counter) spend(a money.USD) {
	if a > 0 {
		c.Add(dollars(a))
	}
}

type counterVec struct{ *prometheus.CounterVec }

func (m *Metrics) counters(name, help string, labels ...string) counterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(vec)
	return counterVec{vec}
}

func (m *Metrics) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(vec)
	return vec
}

func (v counterVec) one(values ...string) counter { return counter{v.WithLabelValues(values...)} }

// each makes one counter for each value of the only label.
func (v counterVec) each(values []string) map[string]prometheus.Counter {
	all := make(map[string]prometheus.Counter, len(values))
	for _, value := range values {
		all[value] = v.WithLabelValues(value)
	}
	return all
}

// pick is the series of key, or that of everything that is not on the list.
func pick[T any](table map[string]T, key string) T {
	if series, ok := table[key]; ok {
		return series
	}
	return table[other]
}

// listed is other and then each value once.
func listed(values []string) []string {
	all := []string{other}
	for _, value := range values {
		if value = label(value); !slices.Contains(all, value) {
			all = append(all, value)
		}
	}
	return all
}

// maxLabel bounds a label; ours are far shorter.
const maxLabel = 200

// label makes value one that Prometheus takes.
func label(value string) string {
	if len(value) > maxLabel {
		value = value[:maxLabel]
	}
	return strings.ToValidUTF8(value, "\uFFFD")
}
