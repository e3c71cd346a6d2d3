package watch

import "sync"

const (
	freely     = 10 // users disabled in an hour
	oneInUsers = 20 // and of the active ones
)

// brake keeps the watch from disabling everybody, one by one.
type brake struct {
	mu     sync.Mutex
	hour   ring
	toldAt stamp
}

// release reports whether one more user may be disabled, and counts them.
func (b *brake) release(now, active int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hour.add(now/inHour, 0) >= max(freely, active/oneInUsers) {
		return false
	}
	b.hour.add(now/inHour, 1)
	return true
}

// tell reports, once an hour, whether to say that the brake is on.
func (b *brake) tell(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.toldAt.within(now, retell) {
		return false
	}
	b.toldAt = stamp(now)
	return true
}
