package sim

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// Report is what the simulator saw and what it would have billed.
// Calls = Completed + Refused + Failed + Cancelled + Open, at any moment.
type Report struct {
	Calls       int64 `json:"calls"`     // asked for: all but the listing of models
	Completed   int64 `json:"completed"` // answered to the end
	Refused     int64 `json:"refused"`   // turned down for what they asked
	Failed      int64 `json:"failed"`    // ended by a fault, a status or Close
	Cancelled   int64 `json:"cancelled"` // left by the client
	Open        int64 `json:"open"`
	OpenStreams int64 `json:"open_streams"`

	BillNano  int64 `json:"bill_nano"` // nano-dollars
	TokensIn  int64 `json:"tokens_in"`
	TokensOut int64 `json:"tokens_out"`

	Models        map[string]Account `json:"models"` // by the name that was asked for
	Faults        map[string]int64   `json:"faults"` // how often each was given
	Cancellations []Cancellation     `json:"cancellations"`
}

// Account is what was billed for one model.
type Account struct {
	Calls     int64 `json:"calls"`
	BillNano  int64 `json:"bill_nano"`
	TokensIn  int64 `json:"tokens_in"`
	TokensOut int64 `json:"tokens_out"`
}

// Cancellation is a client that left. The last 1,000 are kept.
type Cancellation struct {
	ID       string    `json:"id"` // x-request-id
	Tag      string    `json:"tag,omitempty"`
	At       time.Time `json:"at"` // when the handler noticed
	AfterMS  float64   `json:"after_ms"`
	Streamed bool      `json:"streamed"`
	Chunks   int       `json:"chunks"` // of content, sent before
}

const (
	maxCancellations = 1_000
	maxAccounts      = 1_000
)

// outcome is how a call ended.
type outcome int

const (
	completed outcome = iota
	refused
	failed
	cancelled
)

func outcomeOf(err error) outcome {
	_, no := errors.AsType[*refusal](err)
	switch {
	case err == nil:
		return completed
	case no:
		return refused
	case err == errGone:
		return cancelled
	}
	return failed
}

// books keeps the report. Its lock is held for a few additions at a time.
type books struct {
	mu      sync.Mutex
	report  Report
	spent   map[spentKey]int64 // nano-dollars; never forgotten, as OpenAI's
	waiting int
	changed chan struct{} // closed and replaced when a call opens or closes, if anyone waits
}

// clear forgets all but the calls under way.
func (b *books) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	open, streams := b.report.Open, b.report.OpenStreams
	b.report = Report{Calls: open, Open: open, OpenStreams: streams, Models: map[string]Account{}, Faults: map[string]int64{}}
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	b.tell()
}

func (b *books) opened() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.report.Calls++
	b.report.Open++
	b.tell()
}

// accepted notes the faults of a call that is about to be answered.
func (b *books) accepted(stream bool, faults []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if stream {
		b.report.OpenStreams++
	}
	for _, name := range faults {
		b.report.Faults[name]++
	}
	b.tell()
}

func (b *books) closed(c *call, how outcome) {
	in, out := c.owes(how)
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.report
	r.Open--
	if c.reply != nil && c.q.stream {
		r.OpenStreams--
	}
	switch how {
	case completed:
		r.Completed++
	case refused:
		r.Refused++
	case failed:
		r.Failed++
	case cancelled:
		r.Cancelled++
		if len(r.Cancellations) == maxCancellations {
			r.Cancellations = slices.Delete(r.Cancellations, 0, maxCancellations/10)
		}
		r.Cancellations = append(r.Cancellations, c.cancellation())
	}
	if in+out > 0 {
		b.bill(c, int64(in), int64(out))
	}
	b.tell()
}

// bill books tokens; b.mu is held.
func (b *books) bill(c *call, in, out int64) {
	nano := cost(c.q.model, c.reply.tier, int(in), int(out))
	r := &b.report
	r.BillNano += nano
	b.spend(time.Now(), c.r.Header.Get("OpenAI-Project"), nano)
	r.TokensIn += in
	r.TokensOut += out
	name := c.q.model
	if _, known := r.Models[name]; !known && len(r.Models) >= maxAccounts {
		name = "(others)"
	}
	a := r.Models[name]
	a.Calls++
	a.BillNano += nano
	a.TokensIn += in
	a.TokensOut += out
	r.Models[name] = a
}

// tell wakes whoever awaits a change; b.mu is held.
func (b *books) tell() {
	if b.waiting > 0 {
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

// owes is what a call is billed when it ends like this.
func (c *call) owes(how outcome) (in, out int) {
	p := c.reply
	switch {
	case p == nil || c.due == nothing || how == refused:
		return 0, 0
	case c.due == all || c.b.Harsh:
		return p.in, p.out
	case c.parts == 0 && c.sent == 0:
		return p.in, 0
	}
	return p.in, min(p.out, p.choices*(p.thought+c.b.tokens(c.sent)))
}

func (c *call) cancellation() Cancellation {
	now := time.Now()
	return Cancellation{
		ID:       c.id,
		Tag:      c.b.Tag,
		At:       now,
		AfterMS:  float64(now.Sub(c.started).Microseconds()) / 1000,
		Streamed: c.q != nil && c.q.stream,
		Chunks:   c.parts,
	}
}

// Report returns the books as they stand.
func (s *Sim) Report() Report {
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	return s.books.snapshot()
}

// snapshot copies what a later call would change; b.mu is held.
func (b *books) snapshot() Report {
	r := b.report
	r.Models, r.Faults = maps.Clone(r.Models), maps.Clone(r.Faults)
	r.Cancellations = slices.Clone(r.Cancellations)
	return r
}

// Await returns the first report that is enough, or the last one before ctx ended.
func (s *Sim) Await(ctx context.Context, enough func(Report) bool) Report {
	return s.books.await(ctx, nil, enough)
}

// await gives up when ctx or stop is done.
func (b *books) await(ctx context.Context, stop <-chan struct{}, enough func(Report) bool) Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting++
	defer func() { b.waiting-- }()
	for {
		r, changed := b.snapshot(), b.changed
		if enough(r) {
			return r
		}
		b.mu.Unlock()
		over := false
		select {
		case <-changed:
		case <-ctx.Done():
			over = true
		case <-stop:
			over = true
		}
		b.mu.Lock()
		if over {
			return b.snapshot()
		}
	}
}
