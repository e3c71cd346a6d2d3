package watch

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"keyshield/internal/disk"
)

// writePace bounds what the state costs the disk, in bytes a second: a hundred
// thousand users take 15 MB, which is then written every quarter of an hour.
const writePace = 16 << 10

// upkeep is the one goroutine of a Watch.
func (w *Watch) upkeep() {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	var next time.Time
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		now := w.instant(time.Time{})
		w.table.rest(now)
		w.all.rest(now)
		w.crowd.settle()
		if begun := time.Now(); w.changed.Load() && !begun.Before(next) {
			size, err := w.save()
			w.tellWritten(err)
			next = begun.Add(time.Duration(size/writePace) * time.Second)
		}
	}
}

// tellWritten logs when writing begins to fail and when it works again.
func (w *Watch) tellWritten(err error) {
	switch {
	case err != nil && !w.failing:
		w.options.Log.Error("the watch's state cannot be written: what is usual will be forgotten at the next start", "error", err)
	case err == nil && w.failing:
		w.options.Log.Info("the watch's state is written again")
	}
	w.failing = err != nil
}

// save writes the state, and says how large it is.
func (w *Watch) save() (size int, err error) {
	if w.options.Path == "" || !w.changed.Swap(false) {
		return 0, nil
	}
	b := appendSum(w.encode())
	if err := disk.Replace(w.options.Path, b); err != nil {
		w.changed.Store(true)
		return 0, fmt.Errorf("write the watch's state: %w", err)
	}
	return len(b), nil
}

// encode holds no more than one shard at a time. The hour under way is written as
// if it were over: otherwise frequent restarts would leave no past.
func (w *Watch) encode() []byte {
	b := make([]byte, 0, 1<<16)
	w.all.mu.Lock()
	all := w.all.soFar(&w.all.window)
	b = appendHead(b, &all, w.all.purse.from, w.all.purse.proven)
	w.all.mu.Unlock()
	for i := range w.table.shards {
		s := &w.table.shards[i]
		s.mu.Lock()
		for u := s.oldest; u != nil; u = u.newer {
			p := u.past
			if u.window != nil {
				p = u.soFar(u.window)
			}
			b = appendUser(b, u.key, &p)
		}
		s.mu.Unlock()
	}
	return b
}

func (p past) soFar(in *window) past {
	if in.hour >= 0 {
		p.learn(in.peaks(), in.hour)
	}
	return p
}

// load reads the state. A damaged one is set aside: without a past the watch
// still watches, and a server that does not start for it would serve nobody.
func (w *Watch) load() error {
	if w.options.Path == "" {
		return nil
	}
	b, err := readBounded(w.options.Path, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var st state
	if err == nil {
		st, err = decode(b)
	}
	if errors.Is(err, errDamaged) {
		aside := w.options.Path + ".damaged"
		w.options.Log.Warn("the watch begins without a past, its state is set aside", "error", err, "file", aside)
		if err := os.Rename(w.options.Path, aside); err != nil {
			return fmt.Errorf("set the watch's damaged state aside: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the watch's state: %w", err)
	}
	w.restore(st)
	return nil
}

func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: it has more than %d bytes", errDamaged, limit)
	}
	return b, err
}

func (w *Watch) restore(st state) {
	now := w.instant(time.Time{})
	w.all.past = st.all
	w.all.purse.resume(st.month, st.proven)
	slices.SortStableFunc(st.users, func(a, b remains) int { return cmp.Compare(a.lastSeen, b.lastSeen) })
	for _, r := range st.users {
		u := w.table.admit(w.table.shard(r.key), r.key, &w.crowd)
		u.past = r.past
		for _, l := range u.peaks[:u.days] {
			w.crowd.add(l, 1)
		}
		if u.disabledAt.within(now, hour) {
			w.brakes.of(u).release(now, 0)
		}
	}
	w.crowd.settle()
}
