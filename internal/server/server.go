package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/sony/gobreaker/v2"

	"keyshield/internal/apierr"
	"keyshield/internal/audit"
	"keyshield/internal/auth"
	"keyshield/internal/ledger"
	"keyshield/internal/limit"
	"keyshield/internal/metrics"
	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
	"keyshield/internal/upstream"
	"keyshield/internal/watch"
	"keyshield/internal/wire"
)

// Config is what a Server needs besides the parts it talks to.
type Config struct {
	Origins     Origins
	Trust       limit.Trust
	RateIP      limit.Rate // POSTs that can spend; other requests have ten times it
	MaxBody     int64      // of the text API
	MaxBodyV1   int64      // of everything else that takes a body
	MaxInFlight int
	Text        policy.TextSettings // its output limit is the plan's
	StripHTML   bool

	Endpoints      []string // that are open: text, and policy's kinds
	SystemPromptV1 string   // comes first on /v1; "" is none

	Plans        policy.Plans
	Prices       *policy.Table
	Multiplier   policy.Multiplier
	Day, Month   money.USD // what everyone together may spend; policy.NoCap is no cap
	ExposeBudget bool
	Breaker      BreakerSettings
	DrainTokens  int // what may still be generated for a client that left; 0 cancels

	AuditRequired bool // what cannot be written down is not answered
}

// Parts are what a Server talks to. Audit, Metrics, Watch and Operator may be nil:
// then nothing is written down, counted or watched, and there is no operator's
// door.
type Parts struct {
	Verifier *auth.Verifier
	Ledger   *ledger.Ledger
	Upstream *upstream.Client
	Detector *secret.Detector // knows every secret that must not pass in generated text
	Audit    *audit.Log
	Metrics  *metrics.Metrics
	Watch    *watch.Watch
	Operator *Operator

	Playground http.Handler // at / and /playground/; nil is none

	// ProviderRefuses is told that OpenAI takes nothing from us, and in what words, once
	// a minute while calls show it; it returns at once. Nil tells nobody.
	ProviderRefuses func(ProviderRefusal, error)

	Log *slog.Logger
}

// Server answers front ends.
type Server struct {
	cfg        Config
	verifier   *auth.Verifier
	upstream   *upstream.Client
	detector   *secret.Detector
	audit      *audit.Log
	metrics    *metrics.Metrics
	watch      *watch.Watch
	operator   *Operator
	playground http.Handler
	log        *slog.Logger

	spending limits // per address, for requests that can spend
	others   limits // per address, for all others
	refusals *refusedOrigins
	tiers    tiers
	ledger   *ledger.Ledger
	breaker  *gobreaker.TwoStepCircuitBreaker[any]
	draining atomic.Int64

	providerRefuses func(ProviderRefusal, error)
	refusing        refusing

	tally    *tally
	running  running
	inFlight atomic.Int64
	streams  atomic.Int64
	pulse    pulse
	holds    atomic.Int64
	stopping atomic.Bool
	handler  http.Handler
	contexts sync.Pool // of *chi.Context
}

// New puts the parts together.
func New(cfg Config, p Parts) *Server {
	s := &Server{
		cfg: cfg, verifier: p.Verifier, ledger: p.Ledger, upstream: p.Upstream, detector: p.Detector, log: p.Log,
		audit: p.Audit, metrics: p.Metrics, watch: p.Watch, operator: p.Operator, playground: p.Playground, providerRefuses: p.ProviderRefuses,
		tiers: tiers{byName: map[string]*tier{}}, breaker: newBreaker(cfg.Breaker),
		tally:    newTally(),
		spending: newLimits(cfg.RateIP),
		others:   newLimits(cfg.RateIP.Times(10)),
		refusals: newRefusedOrigins(),
		contexts: sync.Pool{New: func() any { return chi.NewRouteContext() }},
	}
	s.handler = s.routes()
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Scope is one request's record. observe makes it, the layers below fill it in,
// and observe writes it down when the request is over; so the log line knows
// the caller that an inner gate found.
type Scope struct {
	ID     string
	Began  time.Time
	IP     netip.Addr // invalid while unresolved
	Caller auth.Caller
	Err    error // why it was refused or broke, for the log

	Upstream   string        // OpenAI's own request id
	Waited     time.Duration // for OpenAI, from the question to the end of the answer
	FirstToken time.Duration // since Began; 0 when none came
	Usage      wire.Usage
	Ceiling    money.USD // charged before the call left; 0 when none was reserved
	Cost       money.USD // what it was proven to cost
	Proven     bool      // else the ceiling stays charged

	bill    *bill // to be settled when the request is over
	counted bool  // among the requests in flight
	running bool  // among those that a switch can end

	operator bool // it was the operator who asked,
	guessed  bool // or somebody with a wrong token of his
}

// scopeOf returns the record of r.
func scopeOf(r *http.Request) *Scope { return &exchangeOf(r).scope }

// handler answers a request or returns why it does not.
type handler func(http.ResponseWriter, *http.Request) error

// handle adapts a handler. Returning is the only way to refuse, so a forgotten
// return cannot let a request through.
func (s *Server) handle(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.refuse(w, r, err)
		}
	}
}

// gates is a middleware that can say yes only if each of its questions, in their
// order, returns nil. They share one middleware because what lies on the stack
// below a stream lies there as long as it runs.
func (s *Server) gates(ask ...handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, question := range ask {
				if err := question(w, r); err != nil {
					s.refuse(w, r, err)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// errStopping is the cause with which running requests end when the time for a
// graceful end is over.
var errStopping = errors.New("the server is stopping")

// endedByUs is why we, and not the client, ended r: the server stops, or a switch
// was thrown. It is nil if we did not.
func endedByUs(r *http.Request) *apierr.Error {
	cause := context.Cause(r.Context())
	if cause == errStopping {
		return unavailable().Because(errStopping)
	}
	thrown, _ := errors.AsType[*apierr.Error](cause)
	return thrown
}

// clientGone reports whether the client, not we, ended the request.
func clientGone(r *http.Request) bool {
	return errors.Is(context.Cause(r.Context()), context.Canceled)
}
