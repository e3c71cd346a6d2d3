package policy

import (
	"errors"
	"fmt"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/wire"
)

// Bounds are what is known of a request before it is sent.
type Bounds struct {
	// BodyBytes is the length of the encoded request as it goes upstream.
	BodyBytes int

	// SchemaBytes is how many of BodyBytes are tools, functions, response_format
	// and text.format. They must be written in ASCII, everything else escaped.
	SchemaBytes int

	// OutputLimit is the limit that is set upstream; 0 for kinds without output.
	OutputLimit int64

	Tier string // the service_tier that is asked for; "" is default
}

// The most tokens that OpenAI makes of a request. Plain content is never more
// than a token per byte, and the frame around a message is longer than its
// overhead; but a schema is printed anew, its nested descriptions twice (1.99
// tokens per byte measured).
const (
	frameTokens     = 256
	schemaTimes     = 4
	schemaTokens    = 1024
	outputTokens    = 16      // may be written beyond the limit
	maxBytes        = 1 << 32 // beyond any body, and far from the end of an int64
	maxOutputTokens = 1 << 32
)

// tokens is the input bound.
func (b Bounds) tokens() (int64, error) {
	if b.SchemaBytes < 0 || b.BodyBytes < b.SchemaBytes || int64(b.BodyBytes) > maxBytes {
		return 0, fmt.Errorf("a request of %d bytes, %d of them schema, has no bound", b.BodyBytes, b.SchemaBytes)
	}
	n := int64(b.BodyBytes) + frameTokens
	if b.SchemaBytes > 0 {
		n += (schemaTimes-1)*int64(b.SchemaBytes) + schemaTokens
	}
	return n, nil
}

// Ceiling is the most that a request can cost, and what is charged before it is
// sent. Every input token is counted at the dearest price that can apply (written
// to a cache, in a long context), every output token as written; no discount
// counts. The error wraps ErrUnpriced when the model has no price.
func (t *Table) Ceiling(model string, kind Kind, b Bounds, by Multiplier, at time.Time) (money.USD, error) {
	m := t.find(model, kind)
	if m == nil {
		return 0, fmt.Errorf("%w for %s: %.100q", ErrUnpriced, kind, model)
	}
	in, err := b.tokens()
	if err != nil {
		return 0, err
	}
	var out int64
	switch limited := b.OutputLimit > 0; {
	case limited != kind.writes() || b.OutputLimit < 0 || b.OutputLimit > maxOutputTokens:
		return 0, fmt.Errorf("an output limit of %d is none for %s", b.OutputLimit, kind)
	case limited:
		out = b.OutputLimit + outputTokens
	}
	f, ok := factorAsked(b.Tier)
	if !ok {
		return 0, fmt.Errorf("service tier %.40q has no known price", b.Tier)
	}
	d := dearer{by: by, factor: f}
	m.all(at, in, func(r rates) { d.total(tokens{in, r.dearest()}, tokens{out, r.output}) })
	return d.most, d.err
}

// ErrUnproven is wrapped by every reason why an answer does not prove what it
// cost: the charge stays what it was, the ceiling.
var ErrUnproven = errors.New("no proof of the cost")

// Answer is what the provider said of a finished call.
type Answer struct {
	Model string // who answered; "" when it did not say
	Tier  string // service_tier; "" when it did not say, and the default one was asked for
	Usage wire.Usage

	// WritesUntold says that usage came without a count of cache writes: all that
	// was not read from a cache may have been written to one.
	WritesUntold bool

	// Received says that generated text, or a tool call, has come.
	Received bool
}

// Cost is what an answer proves that a call has cost, by the prices at the time
// of its reservation. An answer that names another model than was asked is priced
// at the dearer of the two; the asked one plus a date is no other model, but the
// snapshot that answered. Within the bounds of the request, and in the tier that
// was asked for, it is never more than the Ceiling.
func (t *Table) Cost(asked string, kind Kind, a Answer, by Multiplier, at time.Time) (money.USD, error) {
	m := t.find(asked, kind)
	if m == nil {
		return 0, fmt.Errorf("%w: %w for %s: %.100q", ErrUnproven, ErrUnpriced, kind, asked)
	}
	if err := a.check(kind); err != nil {
		return 0, err
	}
	f, ok := factorServed(a.Tier)
	if !ok {
		return 0, fmt.Errorf("%w: service tier %.40q has no known price", ErrUnproven, a.Tier)
	}

	d := dearer{by: by, factor: f}
	count := func(r rates) { d.usage(a, r) }
	other := m
	if a.Model != "" && a.Model != asked {
		other = t.find(a.Model, kind)
	}
	switch snapshot := aliasOf(a.Model) == asked; {
	case other == nil && !snapshot:
		return 0, fmt.Errorf("%w: the model that answered has no reviewed price for %s: %.100q", ErrUnproven, kind, a.Model)
	case other != nil && snapshot:
		m.own(at, a.Usage.Prompt, count) // a price that the operator has set for the alias counts too
		other.own(at, a.Usage.Prompt, count)
	default:
		m.all(at, a.Usage.Prompt, count)
		if other != nil && other != m {
			other.all(at, a.Usage.Prompt, count)
		}
	}
	if d.err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnproven, d.err)
	}
	return d.most, nil
}

// check says why usage is no proof. No request is made of nothing, so a prompt of
// no tokens is not to be believed even when no text has come.
func (a Answer) check(kind Kind) error {
	switch u := a.Usage; {
	case !u.Valid():
		return fmt.Errorf("%w: usage that cannot be: %+v", ErrUnproven, u)
	case u.Prompt == 0:
		return fmt.Errorf("%w: usage without a prompt token", ErrUnproven)
	case a.Received && u.Completion == 0 && kind.writes():
		return fmt.Errorf("%w: an answer came, and usage has no token for it", ErrUnproven)
	case u.Completion > 0 && !kind.writes():
		return fmt.Errorf("%w: %s with %d tokens of output", ErrUnproven, kind, u.Completion)
	}
	return nil
}

// factor is what a service tier does to prices: num/den.
type factor struct{ num, den int64 }

// factorServed is the factor of the tier that an answer names, which says what
// was really done (OpenAI's API reference). "scale" has prices by contract.
func factorServed(tier string) (f factor, ok bool) {
	switch tier {
	case "", "default":
		return factor{1, 1}, true
	case "priority", "fast":
		return factor{2, 1}, true
	case "flex", "batch":
		return factor{1, 2}, true
	}
	return factor{}, false
}

// factorAsked is the factor of a tier before the fact: a discount may not be
// given, and "auto" is whatever the project is set to.
func factorAsked(tier string) (f factor, ok bool) {
	if tier == "auto" {
		tier = "priority"
	}
	f, ok = factorServed(tier)
	return factor{max(f.num, 1), 1}, ok
}

// dearer keeps the dearest of several totals, or the first error.
type dearer struct {
	by     Multiplier
	factor factor
	most   money.USD
	err    error
}

type tokens struct {
	count int64
	price money.USD // per million
}

var (
	errMultiplier  = errors.New("no price multiplier is set")
	errWriteNotSet = errors.New("tokens were written to a cache, which has no price for this model: give it one (written) in PRICES_FILE")
)

// usage adds up a finished call at r.
func (d *dearer) usage(a Answer, r rates) {
	u := a.Usage
	fresh, cached := r.input, r.cached
	if cached == 0 {
		cached = r.input
	}
	if a.WritesUntold {
		fresh = max(r.input, r.written)
	}
	if u.CacheWrite > 0 && r.written == 0 && r.input > 0 {
		d.err = errWriteNotSet
		return
	}
	d.total(tokens{u.Prompt - u.Cached - u.CacheWrite, fresh}, tokens{u.Cached, cached},
		tokens{u.CacheWrite, r.written}, tokens{u.Completion, r.output})
}

func (d *dearer) total(parts ...tokens) {
	if d.by < Same {
		d.err = errMultiplier
	}
	if d.err != nil {
		return
	}
	var sum money.Sum
	for _, p := range parts {
		price, ok := p.price.MulUp(int64(d.by)*d.factor.num, int64(Same)*d.factor.den)
		if !ok {
			d.err = money.ErrNoAmount
			return
		}
		sum.Add(p.count, price)
	}
	n, err := sum.Ceil()
	if err != nil {
		d.err = err
		return
	}
	d.most = max(d.most, n)
}
