package ledger

import (
	"sync"
	"time"
)

// tolerance is how far two clocks may be apart and still agree.
const tolerance = 120 * time.Second

// Clock tells what the wall says and, apart from it, how much time went by: an
// operator, NTP or a hypervisor can set the first, nobody the second.
type Clock func() (wall time.Time, elapsed time.Duration)

func machineClock() Clock {
	start := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0).UTC(), now.Sub(start)
	}
}

// calendar says what time it is, and whether to believe it. When the wall jumps
// against the time that went by (set by hand, or a machine that slept), it is not
// believed until the provider's own date agrees with one of the two: else setting
// a clock forward would hand out tomorrow's budget today.
type calendar struct {
	clock Clock

	mu      sync.Mutex
	wall    time.Time     // a moment that was believed,
	elapsed time.Duration // and how much had gone by then
	skew    time.Duration // how far the wall is known to be ahead
}

// anchorAge is how long an anchor is used: moving it lets slow drift be, moving it
// always would let many small steps be.
const anchorAge = time.Hour

func (c *calendar) init(clock Clock) {
	if clock == nil {
		clock = machineClock()
	}
	c.clock = clock
	c.wall, c.elapsed = clock()
}

// now is the time, and whether the clocks agree on it. When they do not, it is
// the time by what went by.
func (c *calendar) now() (t time.Time, sure bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, t, sure = c.read()
	return t, sure
}

func (c *calendar) read() (wall, t time.Time, sure bool) {
	wall, elapsed := c.clock()
	corrected := wall.Add(-c.skew)
	expected := c.wall.Add(elapsed - c.elapsed)
	if !agree(corrected, expected) {
		return wall, expected, false
	}
	if elapsed-c.elapsed >= anchorAge {
		c.wall, c.elapsed = corrected, elapsed
	}
	return wall, corrected, true
}

// observe settles a doubt if date agrees with either clock.
func (c *calendar) observe(date time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, expected, sure := c.read()
	if sure {
		return
	}
	_, elapsed := c.clock()
	switch {
	case agree(wall, date):
		c.wall, c.elapsed, c.skew = wall, elapsed, 0
	case agree(expected, date):
		c.wall, c.elapsed, c.skew = expected, elapsed, wall.Sub(expected)
	}
}

func agree(a, b time.Time) bool { return a.Sub(b).Abs() <= tolerance }
