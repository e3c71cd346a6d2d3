package audit

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	maxCodes   = 64
	otherCodes = "other"
)

// refusals counts strangers by the code they were refused with, for a minute.
type refusals struct {
	mu     sync.Mutex
	counts map[string]int64
	minute time.Time
}

func (c *refusals) count(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = make(map[string]int64)
	}
	if _, known := c.counts[code]; !known && len(c.counts) >= maxCodes {
		code = otherCodes
	}
	c.counts[code]++
}

// turn is take when a minute is over.
func (c *refusals) turn(now time.Time) []Record {
	c.mu.Lock()
	same := c.minute.Equal(now.Truncate(time.Minute))
	c.mu.Unlock()
	if same {
		return nil
	}
	return c.take(now)
}

// take ends the minute and gives a record for each of its codes.
func (c *refusals) take(now time.Time) []Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	var records []Record
	for _, code := range slices.Sorted(maps.Keys(c.counts)) {
		records = append(records, Record{Kind: Refused, Time: c.minute, Outcome: Denied, Code: code, Count: c.counts[code]})
	}
	clear(c.counts)
	c.minute = now.Truncate(time.Minute)
	return records
}
