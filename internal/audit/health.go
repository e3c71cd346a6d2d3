package audit

import (
	"errors"
	"sync"
	"sync/atomic"
)

var (
	errFull   = errors.New("records come faster than they can be written")
	errClosed = errors.New("the log is closed")
	errStall  = errors.New("the disk does not answer")
)

// health is whether lines can be written. It tells each change once, in order.
type health struct {
	tell func(error)

	mu      sync.Mutex
	is      atomic.Pointer[error] // nil while it is well
	failing atomic.Bool           // the last write failed: only the keeper tries again
}

func (h *health) why() error {
	if err := h.is.Load(); err != nil {
		return *err
	}
	return nil
}

func (h *health) broke(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.is.CompareAndSwap(nil, &err) { // the first cause explains the others
		h.tell(err)
	}
}

func (h *health) mended() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failing.Store(false)
	if h.is.Swap(nil) != nil {
		h.tell(nil)
	}
}
