package source

import (
	"context"
	"math/rand/v2"
	"time"

	"keyshield/internal/upstream"
)

const (
	// readTimeout bounds one reading of a source, whatever it does.
	readTimeout = 20 * time.Second

	// again is when a reading that failed is repeated before anyone hears of it: one
	// lost packet in a month of polling is nothing to wake someone for.
	again = 2 * time.Second
)

// Ring is where keys go: an upstream.Client.
type Ring interface {
	Replace(ctx context.Context, keys []upstream.Key) error
	SourceFailed(source string, why error)
}

// Poller reads a source again and again and hands over what it gives. A source that
// fails, or gives keys that are not taken, is asked ever more seldom; who is told of
// it, and how often, is the Ring's matter.
type Poller struct {
	source Source
	ring   Ring
	every  time.Duration
	now    chan struct{}
}

// NewPoller readies a Poller that reads about so often; FileEvery suits files.
func NewPoller(s Source, ring Ring, every time.Duration) *Poller {
	return &Poller{source: s, ring: ring, every: every, now: make(chan struct{}, 1)}
}

// Reload has the source read at once. It waits for nothing.
func (p *Poller) Reload() {
	select {
	case p.now <- struct{}{}:
	default: // one is coming anyway
	}
}

// Run polls until ctx ends. The first time is after a while: whoever made the Ring
// has just read the source.
func (p *Poller) Run(ctx context.Context) {
	wait := p.every
	for {
		timer := time.NewTimer(jitter(wait))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.now:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
		if p.poll(ctx) {
			wait = p.every
		} else {
			wait = min(2*wait, p.longest())
		}
	}
}

// poll reads and reports whether what was read is in force.
func (p *Poller) poll(ctx context.Context) bool {
	keys, err := p.read(ctx)
	if err != nil {
		pause(ctx, again)
		keys, err = p.read(ctx)
	}
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		p.ring.SourceFailed(p.source.String(), err)
		return false
	}
	return p.ring.Replace(ctx, keys) == nil // which tells why not
}

func (p *Poller) read(ctx context.Context) ([]upstream.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return p.source.Read(ctx)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// longest is the longest wait for a source that fails.
func (p *Poller) longest() time.Duration {
	return min(8*p.every, max(p.every, 5*time.Minute))
}

// jitter is ±10 %, so that many replicas do not ask at once.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}
