package watch

import "math"

const (
	slots       = 6
	inMinute    = minute / slots // of a ring over the last minute
	inHour      = hour / slots   // of a ring over the last hour
	maxAddress  = 64             // told apart of one user: more are as unusual as they get
	maxCounted  = math.MaxInt64 / 16
	tooLongPast = hour // a time so far back is no straggler: the clock was set back
)

// ring is a sum over the last slots ticks, the one under way included: never of
// more time than is said.
type ring struct {
	at int64 // the newest tick
	n  [slots]int64
}

// add counts v in a tick. A straggler counts in its own, if that is still in.
func (r *ring) add(tick, v int64) (sum int64) {
	if ahead := tick - r.at; ahead >= slots {
		*r = ring{at: tick}
	} else if ahead > 0 {
		for r.at < tick {
			r.at++
			r.n[r.at%slots] = 0
		}
	}
	if r.at-tick < slots {
		r.n[tick%slots] = plus(r.n[tick%slots], v)
	}
	for _, n := range r.n {
		sum += n // fits: none is above maxCounted
	}
	return min(sum, maxCounted)
}

// plus never overflows, and never goes down.
func plus(sum, v int64) int64 { return min(maxCounted, sum+min(max(0, v), maxCounted)) }

// window is what is counted of somebody who was there within the last hour.
type window struct {
	hour   int64 // that peak is of
	newest int64 // seconds
	minute [2]ring
	spent  ring
	from   addressSet
	now    values
	flood  flood
	peak   values
	limits thresholds
}

func newWindow() *window { return &window{hour: -1} }

// over reports whether another hour than the window's is to begin at now.
func (w *window) over(now int64) bool {
	return w.hour < now/hour || now < w.newest-tooLongPast
}

// add counts a request and says what now comes to.
func (w *window) add(s *sight) {
	w.newest = max(w.newest, s.now)
	w.now[requests] = w.minute[0].add(s.now/inMinute, s.asked)
	w.now[refusals] = w.minute[1].add(s.now/inMinute, s.refused)
	w.flood.add(s)
	w.now[dollars] = w.spent.add(s.now/inHour, s.proven)
	if s.located {
		w.now[addresses] = w.from.add(uint32(s.from), s.now/inHour)
	}
	for s, v := range w.now {
		w.peak[s] = max(w.peak[s], v)
	}
}

// flood is somebody who goes on although they come too often.
type flood struct {
	ring        ring
	n           int64 // in the last minute
	since, last int64 // seconds
}

func (f *flood) add(s *sight) {
	f.n = f.ring.add(s.now/inMinute, s.flooded)
	if s.flooded == 0 {
		return
	}
	if s.now-f.last > calm || s.now < f.since {
		f.since = s.now
	}
	f.last = max(f.last, s.now)
}

// lasts reports whether it is one: so many, and for so long.
func (f *flood) lasts() bool { return f.n >= flooded && f.last-f.since >= persistence }

// peaks are the hour's so far.
func (w *window) peaks() (l levels) {
	for s, v := range w.peak {
		l[s] = levelOf(s, v)
	}
	return l
}

// clear forgets what was counted, unlearned.
func (w *window) clear() {
	*w = window{hour: w.hour, limits: w.limits}
}

// addressSet is the addresses of the last slots ticks.
type addressSet struct {
	at  int64
	all []seenFrom
}

type seenFrom struct {
	hash uint32
	tick uint32
}

func (s *addressSet) add(hash uint32, tick int64) int64 {
	if tick > s.at {
		s.at = tick
		kept := s.all[:0]
		for _, a := range s.all {
			if tick-int64(a.tick) < slots {
				kept = append(kept, a)
			}
		}
		s.all = kept
	}
	oldest := 0
	for i, a := range s.all {
		if a.hash == hash {
			s.all[i].tick = max(a.tick, uint32(tick))
			return int64(len(s.all))
		}
		if a.tick < s.all[oldest].tick {
			oldest = i
		}
	}
	if len(s.all) == maxAddress {
		s.all[oldest] = seenFrom{hash, uint32(tick)}
	} else {
		s.all = append(s.all, seenFrom{hash, uint32(tick)})
	}
	return int64(len(s.all))
}
