// Package audit says what happened: one line per request of a known caller and
// per act of an operator, never a prompt, an answer, a token or a key. Only requests
// that asked nothing of OpenAI share one, which counts them, once they come by the
// dozen ([Log.Turned]).
//
// The lines stand in one file per UTC day of writing, 2026-11-22.jsonl, which are
// only appended to. Each is a JSON object that ends with "prev", the hash of the
// line before it (64 zeros for the first, and over the borders of files), and
// "hash", its own: the SHA-256, in lower-case hex, of the line's bytes before
// `,"hash":"`. No key is needed to check it, nor this program:
//
//	line=$(sed -n 7p 2026-11-22.jsonl)
//	printf %s "${line%,\"hash\":*}" | sha256sum # is "hash" of line 7, and
//	sed -n 8p 2026-11-22.jsonl | jq -r .prev    # "prev" of line 8
//
// So a line that was changed, taken out, moved or repeated is found by [Verify].
// Lines cut off at the end are missed by no line after them: the file "head" names
// the last line that is surely on disk. Files missing at the beginning must have been
// removed by retention: a line says so, the start before it says how long files are
// kept, and the first line that is left names in "after" the day of the file before
// it, which must have been older than that.
//
// Whoever can write here while no server runs can still write all of it anew, with
// right hashes, and so can say of any line, of any time and of any Keep what they
// like; appending alone lets them pretend that the log is kept for a shorter time (the
// Report says for how long). What they cannot do is to make the chain hold an anchor
// that was copied from the program's own log in time. So give [Verify] the newest
// anchor there is, and with it when it was told: then not even retention can excuse
// its absence.
//
// What is promised of a line: once [Log.Request] (with wait) or [Log.Drain] has
// returned, kill -9 does not lose it. Files are synced once a second, off
// everybody's way, so a power cut may lose the last second; head is written after
// that and is never ahead of what a power cut leaves. A half-written last line is
// cut off by the next start, which says so in its own line.
//
// record.go and decode.go are a line, writer.go its way into a file, book.go the
// file of the day, keeper.go what is done by the clock, retain.go how long files are
// kept, refusals.go and turned.go what is counted; search.go and verify.go read, beside a running server and without one.
package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Folder is the name of the log's directory in DATA_DIR.
const Folder = "audit"

// Options say where the log is and whom it tells.
type Options struct {
	Dir     string        // of the files; made if absent
	Keep    time.Duration // whole files that are older are removed, see retain.go; 0 keeps them
	Version string        // of the program, noted when it starts and stops

	// Visit is for an operator's command that writes where no server runs: no lines
	// say that one started and stopped, and no file is removed.
	Visit bool

	// HashIP hides addresses: what it returns is written instead. Nil writes the
	// address itself.
	HashIP func(netip.Addr) string

	// Broken is told once when lines cannot be written, and once (nil) when they can
	// again. It must return at once and use nothing of the Log but Refused and Healthy.
	Broken func(error)

	// Anchor is told the last line that is surely on disk, at Open, each hour and at
	// Close. Kept where whoever can write to Dir cannot, it proves what stood there.
	Anchor func(seq int64, head string)

	Now func() time.Time // nil is the machine's clock
	Log *slog.Logger     // nil logs nothing

	open     func(path string) (file, error) // tests break it,
	lockWait time.Duration                   // wait shorter for another server
	room     int64                           // and have a smaller queue,
	own      int64                           // and fewer lines of their own
}

// Log is an audit log that is being written.
type Log struct {
	opts     Options
	queue    queue
	health   health
	refusals refusals
	turned   turned
	seen     time.Time // by the lines that earlier processes left (see lastSeen)

	mu   sync.Mutex // whoever holds it writes
	book book
	held batch // taken from the queue, not yet in the file

	since   atomic.Int64 // when the write that is under way began, or 0
	urgent  chan struct{}
	soon    chan struct{}
	stop    chan struct{}
	workers sync.WaitGroup
	closing sync.Once
}

// Open goes on with the log in opts.Dir, or begins one.
func Open(opts Options) (*Log, error) {
	opts = opts.withDefaults()
	l := &Log{
		opts:   opts,
		book:   book{opts: opts},
		urgent: make(chan struct{}, 1),
		soon:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
	}
	l.queue.room, l.turned.most = opts.room, opts.own
	l.health.tell = opts.Broken
	if err := l.begin(); err != nil {
		return nil, fmt.Errorf("open the audit log: %w", errors.Join(err, l.book.close()))
	}
	keeper := newKeeper(l)
	now := opts.Now()
	keeper.retain(now, keeper.clock.read(now, time.Now()))
	keeper.anchor(now)
	l.workers.Go(l.writer)
	l.workers.Go(keeper.run)
	return l, nil
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Broken == nil {
		o.Broken = func(error) {}
	}
	if o.Anchor == nil {
		o.Anchor = func(int64, string) {}
	}
	if o.open == nil {
		o.open = openFile
	}
	if o.lockWait == 0 {
		o.lockWait = lockWait
	}
	if o.room == 0 {
		o.room = room
	}
	if o.own == 0 {
		o.own = ownLines
	}
	return o
}

// begin finds the end of the chain and writes the first line of this process.
func (l *Log) begin() error {
	if l.opts.Dir == "" {
		return errors.New("no directory was named: set DATA_DIR")
	}
	notes, err := l.book.resume()
	if err != nil {
		return err
	}
	for _, note := range notes {
		l.opts.Log.Warn("the audit log was not left as it should be", "what", note)
	}
	if l.opts.Keep > 0 {
		if l.seen, err = lastSeen(l.opts.Dir); err != nil {
			return err
		}
	}
	if r := l.opening(notes); r != nil {
		l.push(r, false)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.put(); err != nil {
		return err
	}
	return l.book.secure()
}

// opening is the first line of this process, if it needs one.
func (l *Log) opening(notes []string) *Record {
	switch {
	case !l.opts.Visit:
		if l.opts.Keep > 0 {
			notes = slices.Concat([]string{keepText(l.opts.Keep)}, notes)
		}
		return &Record{Kind: Start, Why: l.remark(notes...)}
	case len(notes) > 0: // what was cut off must stand somewhere
		return &Record{Kind: Operator, Outcome: Done, Action: repair, Target: Folder, By: Folder, Why: strings.Join(notes, "; ")}
	}
	return nil
}

// repair is the action of the line that says how a visit found the log.
const repair = "repair"

// remark is the version and what else a line about this process should say.
func (l *Log) remark(notes ...string) string {
	if l.opts.Version != "" {
		notes = append([]string{"version " + l.opts.Version}, notes...)
	}
	return strings.Join(notes, "; ")
}

// patience is how long a request waits for its line.
const patience = 250 * time.Millisecond

// Request queues a copy of r. With wait it returns when r's line has been written,
// or after 250 ms, or at once where nothing can be written (see Healthy). A Record
// without a kind is a request's, one without a time happened now.
func (l *Log) Request(r *Record, wait bool) {
	written := l.push(r, wait)
	if written == nil {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-written:
	case <-timer.C:
		l.watchForStall()
	}
}

// Drain returns when what was queued before has been written, or cannot be. It
// costs an atomic load when there is nothing. The ledger calls it before it commits
// the end of a call, so that no call can end without its line.
func (l *Log) Drain() {
	if l.queue.left.Load() == 0 || l.health.failing.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
}

// Refused counts a refusal before authentication: a line per minute and code, for
// a flood must not fill the disk.
func (l *Log) Refused(code string) { l.refusals.count(code) }

// Operator writes down what an operator, or the program in their place, has done.
func (l *Log) Operator(action, target, why, by string) {
	l.Request(&Record{Kind: Operator, Outcome: Done, Action: action, Target: target, Why: why, By: by}, true)
}

// Healthy is nil, or why lines cannot be written.
func (l *Log) Healthy() error {
	l.watchForStall()
	return l.health.why()
}

// Close writes what is queued and ends the log. What comes later is refused.
func (l *Log) Close() (err error) {
	l.closing.Do(func() { err = l.end() })
	return err
}

func (l *Log) end() error {
	close(l.stop)
	l.workers.Wait()
	now := l.opts.Now()
	for _, r := range slices.Concat(l.refusals.take(now), l.turned.end(now)) {
		l.push(&r, false)
	}
	if !l.opts.Visit {
		l.push(&Record{Kind: Stop, Why: l.remark()}, false)
	}
	l.queue.close()

	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	err := l.health.why()
	if err == nil {
		err = l.book.secure()
	}
	if missing := l.queue.left.Load() + l.queue.lost.Load(); err != nil {
		err = fmt.Errorf("close the audit log: %d records were not written: %w", missing, err)
	} else {
		l.tellAnchor()
	}
	return errors.Join(err, l.book.close())
}

// tellAnchor names the last line that is surely on disk. A visit that wrote none
// knows of none.
func (l *Log) tellAnchor() {
	if safe := l.book.head.last(); safe.seq > 0 {
		l.opts.Anchor(safe.seq, safe.String())
	}
}
