package server

import (
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
// is left over comes back only with proof. observe reckons and settles it when
// the request is over.
//
//	proof of a cost     usage in a complete answer: the difference comes back
//	proof of nothing    never sent, or refused in OpenAI's own words: all of it does
//	no proof            anything else, and whoever hung up: the charge stays
type bill struct {
	s        *Server
	hold     *ledger.Hold
	q        *question
	at       time.Time      // of the reservation: its prices count
	verdict  verdict        // on OpenAI
	answer   *policy.Answer // what a complete answer said
	disputed bool           // and then something else: it proves nothing
	served   string         // the tier that a stream has named
	received bool           // generated text has come
	pieces   atomic.Int64   // of text, each at least a token
	asked    time.Time      // when the question left

	// What reckon says. Neither: the charge stays.
	free    bool         // nothing was billed
	settled bool         // it cost this:
	cost    ledger.Usage // to be settled
}

// question is what goes to OpenAI, with all that its price depends on.
type question struct {
	upstream.Question
	kind   policy.Kind
	model  string
	limit  int64  // of the output, as it is set in the body; 0 for kinds without output
	schema int    // bytes of the body that are tools and schemas
	tier   string // of service; "" is default

	usageAsked bool // the client wants the chunk that says what it cost
}

// reserve charges what q can cost at most, to the caller and to everything.
func (s *Server) reserve(w http.ResponseWriter, r *http.Request, t *tier, q *question) (*bill, error) {
	b := &bill{s: s, q: q, at: time.Now()}
	ceiling, err := s.cfg.Prices.Ceiling(q.model, q.kind, policy.Bounds{
		BodyBytes:   len(q.Body),
		SchemaBytes: q.schema,
		OutputLimit: q.limit,
		Tier:        q.tier,
	}, s.cfg.Multiplier, b.at)
	if err != nil {
		return nil, err
	}
	caps := noCaps()
	if ceiling > 0 {
		caps = s.capsOf(t)
		if err := b.verdict.begin(s.breaker); err != nil {
			return nil, err
		}
	}
	reserved := false
	defer func() {
		if !reserved { // else a breaker that tries would wait for this call for ever
			b.verdict.give(errNotJudged)
		}
	}()
	scope := scopeOf(r)
	b.hold, err = s.ledger.Reserve(r.Context(), ledger.Request{
		ID:      scope.ID,
		User:    userOf(scope),
		Model:   q.model,
		Ceiling: ceiling,
		Prices:  s.cfg.Prices.Version(),
		Caps:    caps,
	})
	if err != nil {
		return nil, err
	}
	reserved = true
	s.holds.Add(1)
	scope.Ceiling, scope.bill = ceiling, b
	if left, capped := b.hold.Left(); capped && s.cfg.ExposeBudget {
		w.Header()["X-Budget-Remaining"] = []string{decimal(left)}
	}
	return b, nil
}

// noCaps are for what can cost nothing: no budget is too small for it, not even one
// that was lowered below what is spent.
func noCaps() ledger.Caps {
	no := ledger.NoCap()
	return ledger.Caps{Day: no, Month: no, UserDay: no, UserMonth: no}
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
//
// Text after the usage of a complete answer is not counted in it.
func (b *bill) heard() {
	b.disputed = b.disputed || b.answer != nil
	if !b.received && b.s.breaker.State() == gobreaker.StateHalfOpen {
		b.verdict.give(nil)
	}
	b.received = true
	b.pieces.Add(1)
}

// prove notes the usage of a complete answer. Who does not say which tier it was
// served in has said so before, or served what was asked for. Who says it twice must
// say the same: nobody knows which of the two will be billed.
func (b *bill) prove(a wire.Answer) {
	tier := text(a.ServiceTier)
	if tier == "" {
		tier = b.served
	}
	if tier == "" && !cheaper[b.q.tier] {
		tier = b.q.tier
	}
	said := policy.Answer{Model: text(a.Model), Tier: tier, Usage: a.Usage, WritesUntold: !a.Detailed}
	b.disputed = b.disputed || b.answer != nil && *b.answer != said
	b.answer = &said
}

// cheaper are tiers whose discount must be said by who gives it.
var cheaper = map[string]bool{"flex": true}

func text(l wire.Literal) string { return string(l.AppendText(nil)) }

// reckon says what the call has cost, and what it says about OpenAI. err is how it
// ended. Nothing is settled yet.
func (b *bill) reckon(scope *Scope, err error) {
	defer b.verdict.give(errNotJudged) // nothing, unless something below panicked
	switch {
	case errors.Is(err, errUnused):
		scope.Proven = true // the ledger takes back what was never used
		return
	case upstream.Unbilled(err):
		b.free, scope.Proven = true, true
		b.verdict.give(nil)
		return
	}
	cost, unproven := b.proven()
	if unproven == nil {
		var u wire.Usage
		if b.answer != nil {
			u = b.answer.Usage
		}
		b.cost = ledger.Usage{
			Input: u.Prompt, Cached: u.Cached, Written: u.CacheWrite,
			Output: u.Completion, Reasoning: u.Reasoning, Cost: cost,
		}
		if !b.cost.Proves() {
			unproven = ledger.ErrNotProof
		}
	}
	if unproven == nil {
		scope.Cost, scope.Proven = cost, true
		b.settled = true
	}
	b.verdict.give(b.q.blame(err, unproven))
}

// settle ends the hold as it was reckoned. It waits for nothing and needs no context:
// the ledger goes on without the client.
func (b *bill) settle() {
	defer b.s.holds.Add(-1)
	defer b.hold.Close() // keeps the charge, unless one of the others was first
	switch {
	case b.free:
		b.hold.Free()
	case b.settled:
		_ = b.hold.Settle(b.cost) // it proves, or it would not be settled
	}
}

// waited is how long we have waited for OpenAI.
func (b *bill) waited() time.Duration {
	if b.asked.IsZero() {
		return 0
	}
	return time.Since(b.asked)
}

// proven is the cost that the answer proves, or why it proves none.
func (b *bill) proven() (money.USD, error) {
	if b.hold.Request().Ceiling == 0 {
		return 0, nil // what can cost nothing has cost nothing
	}
	if b.answer == nil {
		return 0, errNoUsage
	}
	if b.disputed {
		return 0, errDisputed
	}
	b.answer.Received = b.received
	return b.s.cfg.Prices.Cost(b.q.model, b.q.kind, *b.answer, b.s.cfg.Multiplier, b.at)
}

var (
	errNoUsage  = errors.New("the answer came without usage")
	errDisputed = errors.New("the answer went on after its usage, or came with another")
	errUnused   = errors.New("the call did not leave")
)
