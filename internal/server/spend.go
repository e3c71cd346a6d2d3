package server

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"keyshield/internal/ledger"
	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

// bill is the money of one call: its ceiling is charged before it leaves, and what
// is left over comes back only with proof. Whoever holds a bill must settle it.
//
//	proof of a cost     usage in a complete answer: the difference comes back
//	proof of nothing    never sent, or refused in OpenAI's own words: all of it does
//	no proof            anything else, and whoever hung up: the charge stays
type bill struct {
	s        *Server
	hold     *ledger.Hold
	q        *question
	at       time.Time // of the reservation: its prices count
	report   func(error)
	judged   bool
	trial    bool           // the one call that finds out whether OpenAI is back
	answer   *policy.Answer // what a complete answer said
	received bool           // generated text has come
	pieces   atomic.Int64   // of text, each at least a token
}

// question is what goes to OpenAI, with all that its price depends on.
type question struct {
	upstream.Question
	kind   policy.Kind
	model  string
	limit  int64  // of the output, as it is set in the body; 0 for kinds without output
	schema int    // bytes of the body that are tools and schemas
	tier   string // of service; "" is default
}

// reserve charges what q can cost at most, to the caller and to everything.
func (s *Server) reserve(w http.ResponseWriter, r *http.Request, t *tier, q *question) (*bill, error) {
	report, err := s.breaker.Allow()
	if err != nil {
		return nil, unavailable().Because(errBreaker)
	}
	asked := false
	defer func() {
		if !asked { // else a breaker that tries would wait for this call for ever
			report(errNotJudged)
		}
	}()
	b := &bill{s: s, trial: s.breaker.State() == gobreaker.StateHalfOpen, q: q, at: time.Now(), report: report}
	ceiling, err := s.cfg.Prices.Ceiling(q.model, q.kind, policy.Bounds{
		BodyBytes:   len(q.Body),
		SchemaBytes: q.schema,
		OutputLimit: q.limit,
		Tier:        q.tier,
	}, s.cfg.Multiplier, b.at)
	if err != nil {
		return nil, err
	}
	scope := scopeOf(r)
	b.hold, err = s.ledger.Reserve(r.Context(), ledger.Request{
		ID:      scope.ID,
		User:    userOf(scope),
		Model:   q.model,
		Ceiling: ceiling,
		Prices:  s.cfg.Prices.Version(),
		Caps:    s.capsOf(t),
	})
	if err != nil {
		return nil, err
	}
	asked = true
	scope.Ceiling = ceiling
	if left, capped := b.hold.Left(); capped && s.cfg.ExposeBudget {
		w.Header()["X-Budget-Remaining"] = []string{decimal(left)}
	}
	return b, nil
}

// decimal is an amount in dollars, without the sign.
func decimal(a money.USD) string { return a.String()[1:] }

func userOf(scope *Scope) ledger.User {
	return ledger.User{Key: scope.Caller.Pseudonym, Issuer: scope.Caller.Issuer, ID: scope.Caller.ID}
}

// capsOf are everyone's and the plan's.
func (s *Server) capsOf(t *tier) ledger.Caps {
	return ledger.Caps{Day: CapOf(s.cfg.Day), Month: CapOf(s.cfg.Month), UserDay: CapOf(t.plan.UserDay), UserMonth: CapOf(t.plan.UserMonth)}
}

// CapOf is a budget as the ledger takes it; policy.NoCap is none.
func CapOf(limit money.USD) ledger.Cap {
	if limit == policy.NoCap {
		return ledger.NoCap()
	}
	return ledger.UpTo(limit)
}

// heard notes generated text: usage that counts none of it proves nothing.
//
// While the breaker tries whether OpenAI is back, a first word is the answer: the
// try may be a long stream, and everyone else waits for it.
func (b *bill) heard() {
	if !b.received && b.s.breaker.State() == gobreaker.StateHalfOpen {
		b.judge(nil)
	}
	b.received = true
	b.pieces.Add(1)
}

// judge tells the breaker once what the call says about OpenAI. A failure counts
// from when it is known: gobreaker forgets a call that began an interval ago, and
// the calls of an outage are long.
func (b *bill) judge(err error) {
	if b.judged {
		return
	}
	b.judged = true
	if err == nil || err == errNotJudged || b.trial {
		b.report(err)
		return
	}
	b.report(errNotJudged)
	if again, open := b.s.breaker.Allow(); open == nil {
		again(err)
	}
}

// prove notes the usage of a complete answer.
func (b *bill) prove(a wire.Answer) {
	b.answer = &policy.Answer{Model: text(a.Model), Tier: text(a.ServiceTier), Usage: a.Usage, WritesUntold: !a.Detailed}
}

func text(l wire.Literal) string { return string(l.AppendText(nil)) }

// settle ends the bill. err is how the call ended. It waits for nothing and needs
// no context: the ledger goes on without the client.
func (b *bill) settle(scope *Scope, err error) {
	defer b.hold.Close()        // keeps the charge, unless one of the others was first
	defer b.judge(errNotJudged) // nothing, unless something below panicked
	if errors.Is(err, errUnused) {
		scope.Proven = true
		return
	}
	if upstream.Unbilled(err) {
		b.hold.Free()
		scope.Proven = true
		b.judge(nil)
		return
	}
	cost, unproven := b.proven()
	if unproven == nil {
		u := b.answer.Usage
		unproven = b.hold.Settle(ledger.Usage{
			Input: u.Prompt, Cached: u.Cached, Written: u.CacheWrite,
			Output: u.Completion, Reasoning: u.Reasoning, Cost: cost,
		})
	}
	if unproven == nil {
		scope.Cost, scope.Proven = cost, true
	}
	b.judge(blame(err, unproven))
}

// blame is what the breaker counts: a call that failed and left a charge behind.
// Who hangs up is not OpenAI's fault, or one client could stop everyone.
func blame(err, unproven error) error {
	switch {
	case err == nil, unproven == nil:
		return nil
	case gaveUp(err):
		return errNotJudged
	}
	return err
}

// proven is the cost that the answer proves, or why it proves none.
func (b *bill) proven() (money.USD, error) {
	if b.answer == nil {
		return 0, errNoUsage
	}
	b.answer.Received = b.received
	return b.s.cfg.Prices.Cost(b.q.model, b.q.kind, *b.answer, b.s.cfg.Multiplier, b.at)
}

var (
	errNoUsage   = errors.New("the answer came without usage")
	errUnused    = errors.New("the call did not leave")
	errNotJudged = errors.New("the call says nothing about OpenAI")

	errBreaker = errors.New("OpenAI only fails, and leaves charges behind: the breaker is open")
)

// gaveUp reports whether a call ended because the client left or the server stops.
func gaveUp(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, errClientLeft) || errors.Is(err, errStopping)
}

// newBreaker opens after a few unproven failures in a short time, or an outage would
// eat the budget in charges that nobody can prove. It tries one call after
// breakFor.
func newBreaker(settings BreakerSettings) *gobreaker.TwoStepCircuitBreaker[any] {
	return gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		MaxRequests: 1,
		Interval:    settings.Within,
		Timeout:     breakFor,
		IsExcluded:  func(err error) bool { return err == errNotJudged },
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return settings.Failures > 0 && c.TotalFailures >= uint32(settings.Failures)
		},
	})
}

const breakFor = 2 * time.Second

// BreakerSettings say when we stop asking an OpenAI that only fails; the zero
// value never does.
type BreakerSettings struct {
	Failures int
	Within   time.Duration
}
