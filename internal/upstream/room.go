package upstream

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"keyshield/internal/apierr"
)

const (
	// answerRoom bounds what answers beyond UsualAnswer take of memory together, and
	// userRoom what those of one user do, so that it takes two who read slowly to keep
	// the others out. The largest answer fits.
	answerRoom = 2 * MaxAnswer
	userRoom   = answerRoom / 2

	// roomPatience is how long a question waits for room: a few answers' time.
	roomPatience = 5 * time.Second
)

// rooms are where large answers have their place.
type rooms struct {
	all  *semaphore.Weighted // in bytes
	each int64               // of them for one user

	mu sync.Mutex
	of map[string]*share // a user who has no place and waits for none has no entry
}

// share is one user's.
type share struct {
	*semaphore.Weighted
	places int // taken, or waited for
}

func newRooms(all, each int64) *rooms {
	return &rooms{all: semaphore.NewWeighted(all), each: each, of: map[string]*share{}}
}

// place is what one answer has beyond UsualAnswer. A nil place has nothing.
type place struct {
	rooms *rooms
	own   *share
	who   string
	held  int64
}

// TakeRoom occupies memory for the whole answer to q, of q.Most bytes, for the user
// who asks. It comes before the question is paid for and sent: an answer that waited
// for its place would be charged whether it gets one or not. Without it an answer is
// UsualAnswer at most. The answer is not used after release.
//
// It is taken all at once: two answers that each had a part of what they need would
// wait for each other. An error is for the client, or the cause for which ctx ended.
func (c *Client) TakeRoom(ctx context.Context, who string, q *Question) (release func(), err error) {
	need := min(q.Most, MaxAnswer) - UsualAnswer
	if need <= 0 {
		return func() {}, nil
	}
	waiting, done := context.WithTimeout(ctx, roomPatience)
	defer done()
	p := c.rooms.enter(who)
	switch {
	case p.own.Acquire(waiting, need) != nil:
		// No 429: an app that fills its index does not come too often, and must not be
		// disabled for it.
		err = busy("Too many large answers are on their way to you at once. Please wait until one has ended, or ask for less at once.")
	case c.rooms.all.Acquire(waiting, need) != nil:
		p.own.Release(need)
		err = busy("Our system is busy right now. Please try again soon.")
	default:
		p.held = need
		q.place = p
		return p.leave, nil
	}
	p.leave()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, err
}

func busy(message string) error {
	return apierr.New(http.StatusServiceUnavailable, "overloaded", "%s", message).After(2 * time.Second)
}

func (r *rooms) enter(who string) *place {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := r.of[who]
	if own == nil {
		own = &share{Weighted: semaphore.NewWeighted(r.each)}
		r.of[who] = own
	}
	own.places++
	return &place{rooms: r, own: own, who: who}
}

func (p *place) leave() {
	p.shrink(0)
	p.rooms.mu.Lock()
	defer p.rooms.mu.Unlock()
	if p.own.places--; p.own.places == 0 {
		delete(p.rooms.of, p.who)
	}
}

// shrink gives back all but so much.
func (p *place) shrink(to int64) {
	if back := p.size() - max(to, 0); back > 0 {
		p.held -= back
		p.rooms.all.Release(back)
		p.own.Release(back)
	}
}

func (p *place) size() int64 {
	if p == nil {
		return 0
	}
	return p.held
}
