package watch

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

const shards = 64

// table is the users, each in the shard that its key hashes to.
type table struct {
	seed   maphash.Seed
	active atomic.Int64 // users with a window
	each   int          // users per shard
	shards [shards]shard
}

// shard holds its users in the order in which they were last seen, so that the one
// to forget is at hand, and those with a window are in front.
type shard struct {
	mu     sync.Mutex
	users  map[string]*user
	newest *user
	oldest *user
}

// user is somebody. While idle they are their past alone.
type user struct {
	past
	key          string
	newer, older *user
	window       *window
}

func newTable(capacity int) *table {
	t := &table{seed: maphash.MakeSeed(), each: capacity / shards}
	for i := range t.shards {
		t.shards[i].users = make(map[string]*user)
	}
	return t
}

func (t *table) shard(key string) *shard {
	return &t.shards[maphash.String(t.seed, key)%shards]
}

// visit is the user with a window that is up to date. Its shard is locked.
func (w *Watch) visit(s *shard, key string, now int64) *user {
	u := s.users[key]
	if u == nil {
		u = w.table.admit(s, key, &w.crowd)
	} else if s.newest != u {
		s.unlink(u)
		s.link(u)
	}
	u.lastSeen = stamp(now)
	if u.window == nil {
		u.window = newWindow()
		w.table.active.Add(1)
	}
	if u.window.over(now) {
		u.begin(u.window, now, &w.rules, &w.crowd)
	}
	return u
}

// admit makes a place for a newcomer, at the cost of whoever was not seen for the
// longest time.
func (t *table) admit(s *shard, key string, crowd *crowd) *user {
	if len(s.users) >= t.each {
		gone := s.oldest
		s.unlink(gone)
		delete(s.users, gone.key)
		for _, l := range gone.peaks[:gone.days] {
			crowd.add(l, -1)
		}
		if gone.window != nil {
			t.active.Add(-1)
		}
	}
	u := &user{key: strings.Clone(key)} // not the token that it may be cut from
	s.users[u.key] = u
	s.link(u)
	return u
}

func (s *shard) link(u *user) {
	u.older, u.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = u
	} else {
		s.oldest = u
	}
	s.newest = u
}

func (s *shard) unlink(u *user) {
	if u.newer != nil {
		u.newer.older = u.older
	} else {
		s.newest = u.older
	}
	if u.older != nil {
		u.older.newer = u.newer
	} else {
		s.oldest = u.newer
	}
}

// rest takes the windows from those who were not seen for an hour.
func (t *table) rest(now int64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for u := s.newest; u != nil && u.window != nil; u = u.older {
			if u.window.newest+hour <= now {
				u.learn(u.window.peaks(), u.window.hour)
				u.window = nil
				t.active.Add(-1)
			}
		}
		s.mu.Unlock()
	}
}

func (t *table) forgive(key string, now int64) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[key]; u != nil {
		u.forgive(now)
		if u.window != nil {
			u.window.clear()
		}
	}
}
