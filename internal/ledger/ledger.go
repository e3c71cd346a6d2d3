// Package ledger says how much: what has been spent, and whether one more call
// may be.
//
// We charge first and refund on proof. [Ledger.Reserve] charges a call's ceiling
// before it leaves; [Hold.Settle] refunds the difference when there is proof of
// what it cost. A forgotten hold is the charge: a crash, a lost client and a
// thousand open holds at start need no work, and no timer gives back money that
// may have been spent. (Shrinking a hold to what is left, or charging afterwards,
// is what others do, and how their caps are passed.)
//
// The rules, each of which breaks the promise when left out:
//   - A reserve is one step over four accounts: everything and the user, day and
//     month. All four are charged or none.
//   - It is decided inside the transaction, in the order of the queue, and
//     answered after the commit. A commit that fails refuses its whole batch.
//   - A hold is ended once. What it frees is lent again with its own commit at
//     the earliest, and goes back to the window the hold was charged to.
//   - A hold carries its ceiling, caps and prices: a plan or table that changes
//     later changes nothing for it.
//   - A window never comes back, and a clock that jumped does not open one.
//   - A hold that is not used within five seconds is released and can no longer
//     be used. Only the process that made it may say that it was never used.
//   - A switch is turned in the same queue: once Disable returned, nobody whom it
//     stops gets a reservation any more.
//
// hold.go is a reservation's life, batch.go the decisions, writer.go when they
// become durable, switches.go and stops.go who may not spend, people.go who did,
// store.go the file, calendar.go the time.
package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"keyshield/internal/secret"
)

// patience is how long a reserve may take before it counts as failed, unless the
// Options say otherwise.
const patience = 250 * time.Millisecond

// Options say where the ledger is and whom it tells.
type Options struct {
	Dir      string        // holds the file; made if absent, on a disk of this machine
	LockWait time.Duration // how long to wait for another server to let go of it
	Patience time.Duration // how long a reserve waits for the disk; 0 is 250 ms
	Soft     []int         // percents of a cap that are told once per window
	Clock    Clock         // nil is the machine's

	// Event is told what an operator wants to know. It is called in order, by the
	// goroutine that writes the ledger, and must return at once.
	Event func(Event)

	// Orphan is told each call that a dead process left open, before the ledger
	// forgets that it was; after a crash in between, once more. Without it they are
	// left to a process that keeps records. BeforeEnd is called before the end of a
	// call, or of an orphan, becomes durable: what is on record by then is so of every
	// call that ended. An error of its keeps the whole batch from becoming so. The
	// goroutine that writes the ledger waits for both.
	Orphan    func(Orphan)
	BeforeEnd func() error

	Log *slog.Logger // nil logs nothing

	commit func(*bbolt.Tx) error // tests break it,
	retry  time.Duration         // and try again sooner
}

// Ledger is the embedded engine: one file, one goroutine that writes it.
type Ledger struct {
	opts     Options
	lock     *dirLock
	store    store
	calendar calendar
	queue    queue
	books    books  // the writer's own,
	chores   chores // and what it has still to do

	switches atomic.Pointer[switches] // nil: nothing is stopped

	down   atomic.Pointer[error] // why nothing can be written
	repair *time.Timer           // runs while that is so
	closed chan struct{}
	writer sync.WaitGroup
}

// ErrLocked is what Open wraps when another server has the ledger.
var ErrLocked = errors.New("in use")

var (
	errClosed = errors.New("the ledger is closed")
	errSlow   = errors.New("the ledger did not answer in time")
)

// Open opens the ledger in opts.Dir, or makes one. Holds that an earlier process
// left open stay charged.
func Open(ctx context.Context, opts Options) (*Ledger, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Event == nil {
		opts.Event = func(Event) {}
	}
	if opts.BeforeEnd == nil {
		opts.BeforeEnd = func() error { return nil }
	}
	if opts.commit == nil {
		opts.commit = (*bbolt.Tx).Commit
	}
	opts.Patience = cmp.Or(opts.Patience, patience)
	opts.retry = cmp.Or(opts.retry, retry)
	for _, percent := range opts.Soft {
		if percent < 1 || percent > 100 {
			return nil, fmt.Errorf("a soft limit of %d%% is not between 1%% and 100%%", percent)
		}
	}
	opts.Soft = slices.Sorted(slices.Values(opts.Soft))

	if err := prepareDir(opts.Dir); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	lock, err := lockDir(ctx, opts.Dir, opts.LockWait, opts.Log)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &Ledger{opts: opts, lock: lock, closed: make(chan struct{}), repair: time.NewTimer(time.Hour)}
	l.repair.Stop()
	l.chores.swept = opts.Orphan == nil
	l.queue.init()
	l.calendar.init(opts.Clock)
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("open ledger: %w", errors.Join(err, l.store.close(), lock.release()))
	}
	l.writer.Go(l.write)
	return l, nil
}

// Reserve charges r.Ceiling to all of r's accounts and returns when that is on
// disk, or refuses and leaves no trace: an *apierr.Error, budget_exhausted,
// budget_busy, disabled or unavailable. The Hold must be ended.
func (l *Ledger) Reserve(ctx context.Context, r Request) (*Hold, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if why := l.Healthy(); why != nil {
		return nil, unavailable(why)
	}
	h := newHold(r, l.end)
	if err := l.ask(ctx, op{verb: reserve, hold: h}, l.opts.Patience); err != nil {
		return nil, err
	}
	h.start()
	return h, nil
}

// end queues what became of a hold. It does not wait: the money comes back a
// moment later, and if it never does, the charge was right.
func (l *Ledger) end(h *Hold, v verb, u Usage) {
	l.queue.push(op{verb: v, hold: h, usage: u}, false)
}

// ask queues o and waits for its answer. Whoever gives up first decides: an
// answer that comes too late is taken back.
func (l *Ledger) ask(ctx context.Context, o op, patience time.Duration) error {
	o.ask = newAsk()
	if !l.queue.push(o, true) {
		return unavailable(errClosed)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var why error
	select {
	case err := <-o.ask.answer:
		return err
	case <-timer.C:
		why = errSlow
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	if o.ask.abandon() {
		return unavailable(why)
	}
	return <-o.ask.answer
}

// look runs f in the writer's turn, over what is committed by then.
func (l *Ledger) look(ctx context.Context, f func(*batch) error) error {
	return l.ask(ctx, op{verb: look, look: f}, 10*time.Second)
}

// Flush returns when every hold that was ended before is on disk.
func (l *Ledger) Flush(ctx context.Context) error {
	return l.look(ctx, func(*batch) error { return nil })
}

// Standing is where everything and user stand, in the windows of this moment.
func (l *Ledger) Standing(ctx context.Context, user User) (Standing, error) {
	var s Standing
	err := l.look(ctx, func(b *batch) error {
		for i, key := range accountsOf(b.day, user.Key) {
			a, err := b.account(key)
			if err != nil {
				return err
			}
			*s.balances()[i] = a.balance(key.window)
		}
		return nil
	})
	if err != nil {
		return Standing{}, err // who gave up must not look at what the writer may still be writing
	}
	return s, nil
}

// Observe is told the Date of each of the provider's answers: the only witness
// when the machine's two clocks contradict each other.
func (l *Ledger) Observe(date time.Time) { l.calendar.observe(date) }

// InDoubt says that the clocks contradict each other and no new window opens
// until Observe hears a Date. With the budget used up no call would bring one:
// then ask the provider for something that is free.
func (l *Ledger) InDoubt() bool {
	_, sure := l.calendar.now()
	return !sure
}

// Healthy is nil, or why nothing can be reserved.
func (l *Ledger) Healthy() error {
	if why := l.down.Load(); why != nil {
		return *why
	}
	return nil
}

// HMACKey is made once per ledger: 32 random bytes under which users get their
// pseudonyms.
func (l *Ledger) HMACKey() secret.String { return l.books.hmac }

// Backup writes a consistent copy while the ledger is in use.
func (l *Ledger) Backup(w io.Writer) error {
	return l.store.view(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(w)
		return err
	})
}

// Close releases the holds that were never used, writes what is queued and lets
// go of the file. Holds in use stay charged.
func (l *Ledger) Close() error {
	if !l.queue.close() {
		return nil
	}
	close(l.closed)
	l.writer.Wait()
	return errors.Join(l.store.close(), l.lock.release())
}
