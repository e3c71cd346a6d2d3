package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// pulse is a clock that costs nothing to look at. A look at the real one is felt when
// thousands of streams relay their chunks: it waits for all that the processor has
// begun. It beats while there are streams.
type pulse struct {
	beats atomic.Int64

	mu      sync.Mutex
	streams int
	timer   *time.Timer
}

const beat = 100 * time.Millisecond

// begin keeps it beating until end is called.
func (p *pulse) begin() (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer == nil {
		p.timer = time.AfterFunc(beat, p.tick)
	} else if p.streams == 0 {
		p.timer.Reset(beat)
	}
	p.streams++
	return p.end
}

func (p *pulse) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams--; p.streams == 0 {
		p.timer.Stop()
	}
}

func (p *pulse) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams > 0 {
		p.beats.Add(1)
		p.timer.Reset(beat)
	}
}
