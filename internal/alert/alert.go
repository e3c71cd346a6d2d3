// Package alert tells the operator.
//
// An event goes to every receiver: a Slack-compatible webhook, a signed webhook
// of anyone's own (see webhook.go for how to verify it), and each address of an
// e-mail. Each receiver has a worker and a short queue of its own, so that a dead
// one holds up neither the program nor the others.
//
//   - Once: what was told of something is not told again within an hour; the next
//     one says how many there were in the meantime (told.go).
//   - Not too often: 30 events an hour and receiver, the last 10 of them for what
//     is critical and was told of less than 5 times, and at most 8 of the others for
//     what is merely good to know. What comes beyond that is told together, in one
//     digest (digest.go).
//   - Surely: what is not delivered yet is kept in a file and outlives the process
//     (keep.go). A crash between a delivery and its note repeats it, with the same id.
//   - For a day: a receiver that does not answer is asked again, at growing
//     distances; what is a day old is given up, counted and logged.
//   - Without a secret: every text is cleaned of control characters, redacted and
//     cut to length before it is kept, and redacted again as it leaves (clean.go).
package alert

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"keyshield/internal/disk"
	"keyshield/internal/secret"
)

// Event is something that an operator should know. kinds.go makes them.
type Event struct {
	Kind     string      `json:"kind"`
	Severity Severity    `json:"severity"`
	Title    string      `json:"title"`
	Text     string      `json:"text"`
	Key      string      `json:"key"`    // what it is about: events of one Kind and Key are told once
	Fields   [][2]string `json:"fields"` // name and value
	At       time.Time   `json:"at"`     // zero: now
}

// Severity says how much an event matters.
type Severity int

// Critical is money, a stop, or the key.
const (
	Info Severity = iota
	Warning
	Critical
)

func (s Severity) String() string {
	switch s {
	case Critical:
		return "critical"
	case Warning:
		return "warning"
	default:
		return "info"
	}
}

// Options say who is told. Everything may be left out; with no receiver, Send
// does nothing.
type Options struct {
	Slack         secret.String // the webhook's URL, which is all that it takes to post there
	Webhook       string        // an https URL, or http to loopback
	WebhookSecret secret.String // at least 32 bytes; with Webhook
	Email         *Email

	Service string                      // the name shown; "keyshield" if empty
	Redact  func(payload []byte) []byte // masks what must not leave
	Dir     string                      // where undelivered events are kept, this process's alone; empty: in memory
	Window  time.Duration               // how long the same is not told again; 0: an hour
	Now     func() time.Time            // nil: time.Now
	Log     *slog.Logger                // nil: nothing is logged

	transport http.RoundTripper                    // of tests
	roots     *x509.CertPool                       // of tests
	replace   func(path string, data []byte) error // of tests
}

// How long things take.
const (
	tryTimeout = 10 * time.Second
	keepWait   = time.Second     // a disk that takes longer holds no alert up
	closeGrace = 3 * time.Second // for what can still be delivered at the end
)

// Alerts is ready after New and done after Close.
type Alerts struct {
	opts      Options
	hide      mask
	receivers []*receiver
	file      *keeper // nil: nothing is kept

	mu      sync.Mutex
	told    told
	changed uint64 // counts what is worth keeping
	kept    uint64 // as far as it is on disk
	closed  bool

	cancel  context.CancelFunc
	workers sync.WaitGroup
	once    sync.Once
}

// notice is an event that was accepted. It does not change.
type notice struct {
	ID    string
	Event Event
	Since time.Time // when it was accepted
}

// New begins to deliver, with what an earlier process left behind first.
func New(opts Options) (*Alerts, error) {
	a, err := prepare(opts)
	if err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	if opts.Dir != "" && len(a.receivers) > 0 {
		if err := a.openFile(); err != nil {
			return nil, fmt.Errorf("alerts: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for _, r := range a.receivers {
		a.workers.Go(func() { a.work(ctx, r) })
	}
	return a, nil
}

// prepare fills in what was left out, and makes the receivers.
func prepare(opts Options) (*Alerts, error) {
	if opts.Service == "" {
		opts.Service = "keyshield"
	}
	if opts.Redact == nil {
		opts.Redact = func(p []byte) []byte { return p }
	}
	if opts.Window <= 0 {
		opts.Window = time.Hour
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.replace == nil {
		opts.replace = disk.Replace
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	a := &Alerts{opts: opts, hide: maskOf(opts), told: told{window: opts.Window}}
	a.opts.Service = a.text(opts.Service, maxName, false)
	var err error
	a.receivers, err = receivers(&a.opts)
	return a, err
}

// Send tells every receiver, unless the same was told lately. It waits for
// nothing, neither network nor disk: the event is on disk some milliseconds later.
func (a *Alerts) Send(e Event) {
	if len(a.receivers) == 0 {
		return
	}
	e = a.tidy(e, a.opts.Now())

	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	now := a.opts.Now() // under the lock, so that it does not go back from one event to the next
	e, fresh := a.told.admit(e, now)
	a.changed++
	if !fresh {
		return // its count is kept with what is kept next
	}
	n := &notice{ID: rand.Text(), Event: e, Since: now}
	for _, r := range a.receivers {
		if r.take(n, now, a.changed) {
			a.keepSoon()
		}
		r.poke()
	}
}

// Close delivers what it can within three seconds, and keeps the rest for the
// next process. The caller sends nothing any more.
func (a *Alerts) Close() error {
	a.once.Do(func() {
		a.mu.Lock()
		a.closed = true
		a.mu.Unlock()
		for _, r := range a.receivers {
			r.poke()
		}
		late := time.AfterFunc(closeGrace, a.cancel)
		a.workers.Wait()
		late.Stop()
		a.cancel()
	})
	if a.file != nil {
		return a.file.close()
	}
	for _, s := range a.State() {
		if n := s.Pending + s.Held; n > 0 {
			return fmt.Errorf("%d alerts for %s are not delivered, and kept nowhere", n, s.Name)
		}
	}
	return nil
}

// Result is what came of a test.
type Result struct {
	Receiver string
	Address  string // without what is secret in it
	Took     time.Duration
	Err      error // nil: it was accepted. It holds no secret.
}

// Test sends a test event to each receiver now, past queue and limits, and waits
// for all of them, at most ten seconds.
func (a *Alerts) Test(ctx context.Context) []Result {
	results := make([]Result, len(a.receivers))
	now := a.opts.Now()
	n := &notice{ID: rand.Text(), Event: a.tidy(testEvent(), now), Since: now}
	var all sync.WaitGroup
	for i, r := range a.receivers {
		all.Go(func() {
			start := time.Now()
			err := a.try(ctx, r, n)
			results[i] = Result{Receiver: r.name, Address: r.address, Took: time.Since(start), Err: err}
			if err == nil {
				a.works(r)
			}
		})
	}
	all.Wait()
	return results
}

// ReceiverState is how a receiver does.
type ReceiverState struct {
	Name     string    // "slack", "webhook" or "email:" and the address: also what Result says
	Address  string    // without what is secret in it
	Failing  time.Time // since when it does not answer; zero: it works, or was not needed yet
	Error    string    // why, while it fails
	LastSent time.Time
	Pending  int   // events that wait to be delivered
	Held     int   // events that wait to be told together
	Sent     int64 // messages delivered since the start
	Failed   int64 // tries that failed
	Dropped  int64 // events given up after a day
}

// State describes every receiver, in the order of Options.
func (a *Alerts) State() []ReceiverState {
	a.mu.Lock()
	defer a.mu.Unlock()
	states := make([]ReceiverState, len(a.receivers))
	for i, r := range a.receivers {
		states[i] = r.state
		states[i].Name, states[i].Address = r.name, r.address
		states[i].Pending, states[i].Held = len(r.queue), r.held.count()
	}
	return states
}
