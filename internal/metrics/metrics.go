// Package metrics is every series in one place.
//
// It has a registry of its own, so that no library adds a series by being
// imported. What happened is counted when it is over, by [Metrics.Request]. What
// is simply so (a budget, a breaker, a key) is asked for when somebody scrapes.
//
// No label holds what a client chose. Routes and models come from the settings,
// codes from a list, and everything else counts as "other": the number of series
// is bounded whatever is thrown at the server. Users have no series at all; who
// spent what is the ledger's to say.
package metrics

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	namespace = "keyshield"

	// other is the label of everything that is not on a list.
	other = "other"

	// scrapes is how many may be under way; one more is answered 503.
	scrapes = 8
)

// Options are what New needs to know. All of it is the operator's or ours, and
// nothing of it a client's.
type Options struct {
	Version string
	Routes  []string // the router's patterns: "/api/generate-text", …
	Models  []string // that may be asked

	Sources
	Log *slog.Logger
}

// Metrics counts what the server does. New makes one.
type Metrics struct {
	registry *prometheus.Registry
	log      *slog.Logger

	routes     map[string]int // an index of requests and took; 0 is other
	requests   requestTable
	took       []prometheus.Observer
	firstToken prometheus.Histogram
	added      prometheus.Histogram

	refusals map[string]prometheus.Counter
	models   map[string]*modelSeries
	alarms   map[string]prometheus.Counter
}

// New makes the series that are known from the start, at 0: what Prometheus sees
// for the first time has not increased, so a first refusal would go unnoticed.
func New(opts Options) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), log: opts.Log, routes: map[string]int{}}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newStateCollector(opts.Sources, opts.Log),
	)
	build := m.gauges("build_info", "The version that runs; always 1.", "version")
	build.WithLabelValues(label(opts.Version)).Set(1)

	routes := listed(opts.Routes)
	for i, route := range routes {
		m.routes[route] = i
	}
	m.countRequests(routes)
	m.timeRequests(routes)
	m.refusals = m.counters("refusals_total", "Requests that were refused or that failed, by the code the client was told.", "code").each(listed(codes[:]))
	m.countMoney(listed(opts.Models))
	m.alarms = m.counters("alarms_total", "Alarms of the watch, by what was unusual.", "signal").each(listed(signals[:]))
	return m
}

// Handler answers a scrape, in Prometheus' text format or in OpenMetrics. It
// answers with what it has: a part that cannot be read is missing.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{m.log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapes,
		EnableOpenMetrics:   true,
	})
}

// Alarm counts one alarm of the watch.
func (m *Metrics) Alarm(signal string) { pick(m.alarms, signal).Inc() }

// scrapeLog is where promhttp says what it left out.
type scrapeLog struct{ log *slog.Logger }

func (l scrapeLog) Println(v ...any) {
	l.log.Warn("metrics are incomplete", slog.String("error", fmt.Sprint(v...)))
}
