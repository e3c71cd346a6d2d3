package ledger

import (
	"sync"
	"sync/atomic"
	"time"
)

type verb uint8

const (
	reserve verb = iota
	settle
	free
	keep
	look
)

// op is one thing for the writer to do.
type op struct {
	verb  verb
	hold  *Hold
	usage Usage
	look  func(*batch) error
	ask   *ask  // who waits for the answer; nil for the end of a hold
	err   error // the answer
}

// ask is a caller who waits, until one side is done with the other.
type ask struct {
	over   atomic.Bool
	answer chan error
}

func newAsk() *ask { return &ask{answer: make(chan error, 1)} }

// abandon reports whether the caller gave up before there was an answer.
func (a *ask) abandon() bool { return a.over.CompareAndSwap(false, true) }

// reply reports whether the caller still wanted to know.
func (a *ask) reply(err error) bool {
	if !a.over.CompareAndSwap(false, true) {
		return false
	}
	a.answer <- err
	return true
}

// endsWithin is how long the end of a hold may wait for a reserve to share a
// commit with: it frees money, which somebody else wants no sooner than that
// reserve.
const endsWithin = 5 * time.Millisecond

// maxQueue bounds those who wait. Ends do not count: there are no more of them
// than holds.
const maxQueue = 1 << 16

// queue keeps everything in the order it came in.
type queue struct {
	wake chan struct{}

	mu     sync.Mutex
	ops    []op
	spare  []op
	closed bool
	armed  bool
	timer  *time.Timer
}

func (q *queue) init() {
	q.wake = make(chan struct{}, 1)
	q.timer = time.AfterFunc(time.Hour, q.signal)
	q.timer.Stop()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// push reports whether o will be done.
func (q *queue) push(o op, now bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || o.ask != nil && len(q.ops) >= maxQueue {
		return false
	}
	q.ops = append(q.ops, o)
	if now {
		q.signal()
	} else if !q.armed {
		q.armed = true
		q.timer.Reset(endsWithin)
	}
	return true
}

// take is everything queued. The slice is good until the take after the next.
func (q *queue) take() []op {
	q.mu.Lock()
	defer q.mu.Unlock()
	ops := q.ops
	q.ops, q.spare = q.spare[:0], ops
	q.armed = false
	q.timer.Stop()
	return ops
}

// putBack returns ops to the front, also after close.
func (q *queue) putBack(ops []op) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ops = append(append([]op(nil), ops...), q.ops...)
}

// close reports whether it was open. What is queued stays.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	was := !q.closed
	q.closed = true
	q.timer.Stop()
	return was
}
