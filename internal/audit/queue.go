package audit

import (
	"sync"
	"sync/atomic"
)

const (
	room     = 65_536 // records that may wait to be written
	many     = 1_024  // are not left waiting for more
	keepRoom = 4_096  // records' room that is kept after a burst
)

// batch are records on their way into the file.
type batch struct {
	records []Record
	written chan struct{} // closed when they are, or cannot be; nil if nobody waits
}

func (b *batch) done() {
	if b.written != nil {
		close(b.written)
		b.written = nil
	}
}

// queue takes records without waiting for a disk.
type queue struct {
	room    int64
	left    atomic.Int64 // queued and not yet in the file
	lost    atomic.Int64 // refused since the last line that said so
	missed  atomic.Int64 // refused since the start
	written atomic.Int64 // since the start

	mu     sync.Mutex
	next   batch
	spare  []Record
	closed bool
}

// push queues a copy of r and says how many wait, or why it cannot.
func (q *queue) push(r *Record, wait bool) (written <-chan struct{}, waiting int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		err = errClosed
	case q.left.Load() >= q.room:
		err = errFull
	}
	if err != nil {
		q.lost.Add(1)
		q.missed.Add(1)
		return nil, 0, err
	}
	q.left.Add(1)
	q.next.records = append(q.next.records, *r)
	if wait {
		if q.next.written == nil {
			q.next.written = make(chan struct{})
		}
		written = q.next.written
	}
	return written, len(q.next.records), nil
}

// take is all that waits.
func (q *queue) take() batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.next
	q.next = batch{records: q.spare[:0]}
	q.spare = nil
	return b
}

// recycle gives the room of written records back.
func (q *queue) recycle(records []Record) {
	if cap(records) > keepRoom {
		return
	}
	clear(records)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spare = records
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}
