package watch

import (
	"math"
	"sync/atomic"
)

const (
	crowdFrom = 100 // days of users, below which there is no crowd
	busyTenth = 10
)

// crowd is the days that are remembered of all users, counted by their levels: a
// newcomer to an app that sends a request per keystroke is no spike. The zero
// crowd is empty, and a nil one stays so.
type crowd struct {
	days   [signals][math.MaxUint8 + 1]atomic.Int32
	latest [signals]atomic.Uint32 // what only one day in ten passes
}

// add counts a day, or takes it away again.
func (c *crowd) add(l levels, n int32) {
	if c == nil {
		return
	}
	for s, level := range l {
		c.days[s][level].Add(n)
	}
}

// settle works out what is busy.
func (c *crowd) settle() {
	for s := range c.days {
		total, level := int32(0), 0
		for i := range c.days[s] {
			total += c.days[s][i].Load()
		}
		if total >= crowdFrom {
			above := total / busyTenth
			for level = math.MaxUint8; level > 0; level-- {
				if above -= c.days[s][level].Load(); above < 0 {
					break
				}
			}
		}
		c.latest[s].Store(uint32(level))
	}
}

func (c *crowd) busy() (l levels) {
	if c == nil {
		return levels{}
	}
	for s := range l {
		l[s] = uint8(c.latest[s].Load())
	}
	return l
}
