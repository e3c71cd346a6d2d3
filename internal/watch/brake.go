package watch

import "sync"

const (
	freely     = 10 // users disabled in an hour
	oneInUsers = 20 // and of the active ones
)

// brakes are two, for accounts cost an attacker nothing: a flood of new ones must
// not use up what a known user's stolen token is stopped by, nor the other way round.
type brakes struct{ known, newcomers brake }

func (b *brakes) of(u *user) *brake {
	if u.known() {
		return &b.known
	}
	return &b.newcomers
}

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
