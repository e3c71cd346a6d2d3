package metrics

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyshield/internal/money"
)

// stateCollector shows what its sources say, as they say it.
type stateCollector struct {
	books *source[Books] // nil: none
	state *source[State]
	stateSeries
}

// stateSeries are the series that have no counter of ours behind them.
type stateSeries struct {
	budget, holds, known                   *prometheus.Desc
	streams, inFlight, limiters, breaker   *prometheus.Desc
	keys, keyAge, keyInfo                  *prometheus.Desc
	ledger, audit, auditRecords, auditLost *prometheus.Desc
	alerts, switches                       *prometheus.Desc
}

func newStateCollector(from Sources, log *slog.Logger) *stateCollector {
	c := &stateCollector{stateSeries: stateSeries{
		budget:       desc("budget_dollars", "Everyone's money in this window (UTC): the cap, what is used, which part of that is only held, and what is left. Without a cap there is none left to show.", "window", "what"),
		holds:        desc("holds_open", "Reservations whose call is under way."),
		known:        desc("scrape_ok", "Whether this part of the state was read in time. Where it was not, its series are missing from this scrape.", "part"),
		streams:      desc("streams_open", "Answers being streamed."),
		inFlight:     desc("requests_in_flight", "Requests under way."),
		limiters:     desc("limiter_keys", "Addresses or users that a rate limiter knows apart.", "limiter"),
		breaker:      desc("breaker_state", "The circuit breaker before OpenAI: 0 closed (calls leave), 1 half open (one is tried), 2 open (none leaves)."),
		keys:         desc("keys", "OpenAI keys by state.", "state"),
		keyAge:       desc("key_age_seconds", "Age of the oldest active key. Missing while it is not known."),
		keyInfo:      desc("keys_info", "The keys by fingerprint; always 1.", "fingerprint", "source", "state"),
		ledger:       desc("ledger_healthy", "Whether the ledger can be written. While it cannot, nothing is sent to OpenAI."),
		audit:        desc("audit_healthy", "Whether the audit log can be written."),
		auditRecords: desc("audit_records_total", "Records written to the audit log."),
		auditLost:    desc("audit_lost_total", "Records that the audit log could not keep."),
		alerts:       desc("alerts_sent_total", "Alerts by receiver and what became of them.", "receiver", "result"),
		switches:     desc("switches", "What is stopped: users, models, everything (0 or 1).", "what"),
	}}
	if from.Books != nil {
		c.books = newSource(from.Books, log)
	}
	if from.State != nil {
		c.state = newSource(func(context.Context) (State, error) { return from.State(), nil }, log)
	}
	return c
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{
		c.budget, c.holds, c.known, c.streams, c.inFlight, c.limiters, c.breaker, c.keys, c.keyAge, c.keyInfo,
		c.ledger, c.audit, c.auditRecords, c.auditLost, c.alerts, c.switches,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector. It asks both sources at once, so that a
// stuck ledger keeps nobody from seeing the rest.
func (c *stateCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := scrape{c.stateSeries, to}

	booked := make(chan bool, 1)
	go func() { booked <- c.collectBooks(ctx, s) }()
	var state State
	var stated bool
	if c.state != nil {
		state, stated = c.state.ask(ctx)
		s.gauge(s.known, truth(stated), "state")
	}
	if books := <-booked; stated { // books ends with ctx too
		s.write(state, books)
	}
}

// collectBooks reports whether the books could be read; no books are no fault.
func (c *stateCollector) collectBooks(ctx context.Context, s scrape) bool {
	if c.books == nil {
		return true
	}
	books, ok := c.books.ask(ctx)
	s.gauge(s.known, truth(ok), "books")
	if ok {
		s.account("day", books.Day)
		s.account("month", books.Month)
		s.gauge(s.holds, float64(books.Holds))
		s.gauge(s.switches, float64(books.Stopped.Users), "users")
		s.gauge(s.switches, float64(books.Stopped.Models), "models")
		s.gauge(s.switches, truth(books.Stopped.Everything), "everything")
	}
	return ok
}

// scrape is one look at everything.
type scrape struct {
	stateSeries
	to chan<- prometheus.Metric
}

func (s scrape) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.send(d, prometheus.GaugeValue, value, labels)
}

func (s scrape) counter(d *prometheus.Desc, value int64, labels ...string) {
	s.send(d, prometheus.CounterValue, float64(value), labels)
}

func (s scrape) send(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels []string) {
	for i := range labels {
		labels[i] = label(labels[i])
	}
	s.to <- prometheus.MustNewConstMetric(d, kind, value, labels...)
}

func (s scrape) account(window string, a Account) {
	amount := func(what string, of money.USD) { s.gauge(s.budget, dollars(of), window, what) }
	amount("used", a.Used)
	amount("open", a.Open)
	if a.Cap >= 0 {
		amount("cap", a.Cap)
		amount("left", max(0, a.Cap-a.Used))
	}
}

func (s scrape) write(now State, books bool) {
	s.gauge(s.streams, float64(now.Streams))
	s.gauge(s.inFlight, float64(now.InFlight))
	for _, l := range now.Limiters {
		s.gauge(s.limiters, float64(l.Keys), l.Name)
	}
	s.gauge(s.breaker, float64(now.Breaker))
	s.keyring(now.Keys)

	s.gauge(s.ledger, truth(now.Ledger == nil && books))
	s.gauge(s.audit, truth(now.Audit == nil))
	s.counter(s.auditRecords, now.AuditRecords)
	s.counter(s.auditLost, now.AuditLost)
	for _, r := range now.Receivers {
		s.counter(s.alerts, r.Delivered, r.Name, "delivered")
		s.counter(s.alerts, r.Failed, r.Name, "failed")
		s.counter(s.alerts, r.Dropped, r.Name, "dropped")
	}
}

// maxKeys is how many keys are shown one by one; a keyring has fewer.
const maxKeys = 32

func (s scrape) keyring(all []Key) {
	count := map[string]int{}
	var oldest time.Time
	for i, k := range all {
		count[k.State]++
		if k.State == active && !k.Since.IsZero() && (oldest.IsZero() || k.Since.Before(oldest)) {
			oldest = k.Since
		}
		if i < maxKeys {
			s.gauge(s.keyInfo, 1, k.Fingerprint, k.Source, k.State)
		}
	}
	for _, state := range [...]string{active, "standby", "quarantined"} {
		s.gauge(s.keys, float64(count[state]), state)
	}
	if !oldest.IsZero() {
		s.gauge(s.keyAge, max(0, time.Since(oldest).Seconds()))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
