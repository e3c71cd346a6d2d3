// Package admin is for the operator: what he can ask and do, and the JSON in which
// he asks it.
//
// A [Desk] answers, beside a running server or on the ledger's file alone. The
// handler of [NewHandler] puts it on HTTP, and is the same on the unix socket in
// DATA_DIR, whose door is the file's mode, and over TCP, where a [Door] stands
// before it. A [Client] asks it and has the Desk's own methods, so that a command
// need not know which of them it talks to.
//
// Everything that changes something is noted in the audit log, with who did it.
package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"keyshield/internal/alert"
	"keyshield/internal/ledger"
	"keyshield/internal/limit"
	"keyshield/internal/upstream"
)

// Parts are what a desk is made of.
type Parts struct {
	Ledger  *ledger.Ledger
	Caps    ledger.Caps             // those in force for everything: Day and Month
	Knows   func(model string) bool // has a price
	Dir     string                  // DATA_DIR: the audit log, and the last comparison with OpenAI's books
	Version string
	Log     *slog.Logger // nil logs nothing

	// Pseudonym names users whom nobody has seen yet; Issuer is theirs where the
	// operator names none.
	Pseudonym func(issuer, id string) string
	Issuer    string

	// Note writes what an operator did to the audit log.
	Note func(action, target, why, by string)

	Live *Live // nil where no server runs
}

// Live are the parts that only a running server has.
type Live struct {
	State      func() State
	AuditState func() error // nil, or why the audit log cannot be written
	Keys       func() []upstream.KeyState
	ReloadKeys func(context.Context) error // reads them again where they come from; nil: they never change
	RetryKeys  func(context.Context) bool  // has those that OpenAI refused tried again, and reports whether there were any
	Alerts     Alerts
	Settings   []Setting
	Trust      limit.Trust            // the TRUSTED_PROXY in force
	Forgive    func(key string)       // a user was enabled again, or everything (""): the watch begins anew
	Reconciled func(ReconcileSummary) // tells the alerts
}

// Alerts are where alerts go to.
type Alerts interface {
	Test(context.Context) []alert.Result
	State() []alert.ReceiverState
}

// State is what a running server counts, since its start.
type State struct {
	Since    time.Time
	Requests map[string]int64 // by outcome: ok, refused, failed, client_gone
	Refusals map[string]int64 // by code
	InFlight int64            // requests under way,
	Streams  int64            // of which so many are streams
	Added    Latency          // by this server: the time of requests less what was waited for OpenAI
	Breaker  string           // closed, open, half-open; "" is off
	Refuses  string           // why OpenAI takes nothing of late, although it knows the key: quota, key; "" is that it does
}

// Latency is how long something takes: for half of all, for most and for nearly all.
type Latency struct {
	Count         int64
	P50, P95, P99 time.Duration
}

// Desk is where an operator's questions are answered. NewDesk makes one.
type Desk struct {
	Parts
	by     string
	shared *shared
}

// shared is what all copies of a Desk have in common.
type shared struct {
	backup, reading sync.Mutex // one at a time: each takes the disk for itself
	comparison      sync.Mutex // guards the file of the last one
}

// NewDesk puts the parts together. What it does is done by "cli" unless As says
// otherwise.
func NewDesk(p Parts) *Desk {
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if p.Note == nil {
		p.Note = func(string, string, string, string) {}
	}
	return &Desk{Parts: p, by: byCLI, shared: &shared{}}
}

const byCLI = "cli"

// As is the same desk, for whom the audit log shall name.
func (d *Desk) As(by string) *Desk {
	other := *d
	other.by = by
	return &other
}

// note tells the audit log what was done: a look at all of it, too.
func (d *Desk) note(action, target, why string) { d.Note(action, target, why, d.by) }

// changed is note for what others will notice: the program's own log tells of it, too.
func (d *Desk) changed(action, target, why string) {
	d.note(action, target, why)
	d.Log.Warn("the operator changed something", "action", action, "target", target, "why", why, "by", d.by)
}

// finishTime is how long a change may take.
const finishTime = 10 * time.Second

// finish is for what is done to its end, with its line in the audit log, whoever hangs
// up meanwhile: else a change could be made of which nobody is told.
func finish(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTime)
}

// Refusal is why a question is not answered. Whoever asks is the operator, so it
// may tell the whole story.
type Refusal struct {
	Status int // HTTP's
	Code   string
	Text   string

	Several    []Person // of several_users: who has that name
	Unreadable int      // of audit_unreadable: how many lines
}

func (r *Refusal) Error() string { return r.Text }

func refusal(status int, code, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Code: code, Text: fmt.Sprintf(format, args...)}
}

// badRequest is a question that makes no sense.
func badRequest(format string, args ...any) *Refusal {
	return refusal(http.StatusBadRequest, "invalid_request", format, args...)
}

// live is what a running server has, or the refusal to answer without one.
func (d *Desk) live() (*Live, error) {
	if d.Live == nil {
		return nil, refusal(http.StatusConflict, "not_running", "this needs a running server, and none runs here: start it, or ask a server elsewhere with --server")
	}
	return d.Live, nil
}
