package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

const (
	fileName    = "alerts.json"
	fileVersion = 1
	maxFile     = 16 << 20
	keepAnyway  = time.Minute // for counts that nobody waits for, and after a fault
	longAgo     = 366 * 24 * time.Hour
)

var knownID = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// keeper writes what is not delivered yet, and what was told, to one file that is
// replaced as a whole. It has a goroutine of its own: a disk that hangs must not
// hold up the alert about it.
type keeper struct {
	path string
	wake chan struct{}
	quit chan struct{}
	done chan struct{}
	once sync.Once
	last error // of the last write; read after done
}

// kept is the file.
type kept struct {
	Version int               `json:"version"`
	Notices []keptNotice      `json:"notices"`
	Told    []keptTelling     `json:"told"`
	Held    map[string]digest `json:"held"`
}

type keptNotice struct {
	ID    string    `json:"id"`
	Event Event     `json:"event"`
	Since time.Time `json:"since"`
	To    []string  `json:"to"`
}

type keptTelling struct {
	Kind     string    `json:"kind"`
	Key      string    `json:"key"`
	Severity Severity  `json:"severity"`
	At       time.Time `json:"at"`
	More     int       `json:"more"`
}

func (a *Alerts) openFile() error {
	if err := os.MkdirAll(a.opts.Dir, 0o700); err != nil {
		return err
	}
	k := &keeper{
		path: filepath.Join(a.opts.Dir, fileName), wake: make(chan struct{}, 1),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	data, err := readFile(k.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		before, err := decode(data)
		if err != nil {
			aside := k.path + ".damaged"
			if err := os.Rename(k.path, aside); err != nil {
				return err
			}
			a.opts.Log.Error("the file of undelivered alerts was damaged: it is set aside, and what it held is not sent", "file", aside, "error", err.Error())
			break
		}
		a.restore(before, a.opts.Now())
	}
	a.file = k
	go a.keepOn()
	return nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

func decode(data []byte) (kept, error) {
	var k kept
	if len(data) > maxFile {
		return kept{}, fmt.Errorf("longer than %d bytes", maxFile)
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return kept{}, err
	}
	if k.Version != fileVersion {
		return kept{}, fmt.Errorf("of version %d, not %d", k.Version, fileVersion)
	}
	return k, nil
}

// restore goes on where an earlier process ended. The file is ours, but it may
// have been edited: nothing in it passes a bound that Send would keep.
func (a *Alerts) restore(k kept, now time.Time) {
	lost := 0
	known := make(map[string]bool)
	for _, kn := range k.Notices {
		if !knownID.MatchString(kn.ID) || known[kn.ID] {
			lost++
			continue
		}
		known[kn.ID] = true
		n := &notice{ID: kn.ID, Event: a.tidy(kn.Event, now), Since: past(kn.Since, now)}
		taken := false
		for _, r := range a.receivers {
			if slices.Contains(kn.To, r.name) && len(r.queue) <= maxQueue {
				r.queue = append(r.queue, &letter{notice: n})
				taken = true
			}
		}
		if !taken {
			lost++
		}
	}
	if lost > 0 {
		a.opts.Log.Warn("alerts of the last run are not sent: their receivers are no longer set", "number", lost)
	}
	if len(k.Told) > 0 {
		a.told.last = make(map[subject]*telling)
	}
	for _, t := range k.Told[:min(len(k.Told), maxTold)] {
		a.told.last[subject{t.Kind, t.Key}] = &telling{t.Severity, past(t.At, now), max(t.More, 0)}
	}
	for _, r := range a.receivers {
		a.restoreDigest(r, k.Held[r.name], now)
	}
}

func (a *Alerts) restoreDigest(r *receiver, d digest, now time.Time) {
	for kind, n := range d.Kinds {
		if n <= 0 || len(r.held.Kinds) >= maxKinds {
			continue
		}
		if r.held.Kinds == nil {
			r.held.Kinds = make(map[string]int)
		}
		r.held.Kinds[a.text(kind, maxName, false)] = min(n, 1_000_000)
	}
	if len(r.held.Kinds) == 0 {
		return
	}
	for _, l := range d.Lines[:min(len(d.Lines), maxLines)] {
		r.held.Lines = append(r.held.Lines, line{a.text(l.Kind, maxName, false), min(max(l.Severity, Info), Critical), a.text(l.Text, maxLine, false)})
	}
	r.held.Since, r.held.Critical = past(d.Since, now), d.Critical
}

// past is at, unless a clock was wrong.
func past(at, now time.Time) time.Time {
	switch {
	case at.IsZero(), at.After(now):
		return now
	case now.Sub(at) > longAgo:
		return now.Add(-longAgo)
	}
	return at
}

// keepSoon has the file written, by another goroutine.
func (a *Alerts) keepSoon() {
	if a.file == nil {
		return
	}
	select {
	case a.file.wake <- struct{}{}:
	default:
	}
}

// keepOn writes the file when something changed, until close.
func (a *Alerts) keepOn() {
	k := a.file
	defer close(k.done)
	tick := time.NewTicker(keepAnyway)
	defer tick.Stop()
	var written uint64
	for {
		ending := false
		select {
		case <-k.wake:
		case <-tick.C:
		case <-k.quit:
			ending = true
		}
		if change, what := a.snapshot(); change != written {
			err := a.write(what)
			switch {
			case err == nil:
				written = change
			case k.last == nil:
				a.opts.Log.Error("alerts cannot be kept on disk: what is not delivered is lost if the server stops now", "error", err.Error())
			}
			k.last = err
			a.release(change)
		}
		if ending {
			return
		}
	}
}

func (a *Alerts) write(k kept) error {
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return a.opts.replace(a.file.path, data)
}

// snapshot copies what is to be kept: encoding it takes longer than Send may wait.
func (a *Alerts) snapshot() (change uint64, k kept) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k = kept{Version: fileVersion, Held: make(map[string]digest)}
	index := make(map[*notice]int)
	for _, r := range a.receivers {
		for _, l := range r.queue {
			i, ok := index[l.notice]
			if !ok {
				i = len(k.Notices)
				index[l.notice] = i
				k.Notices = append(k.Notices, keptNotice{ID: l.ID, Event: l.Event, Since: l.Since})
			}
			k.Notices[i].To = append(k.Notices[i].To, r.name)
		}
		if len(r.held.Kinds) > 0 {
			d := r.held
			d.Kinds, d.Lines = maps.Clone(d.Kinds), slices.Clone(d.Lines)
			k.Held[r.name] = d
		}
	}
	for s, t := range a.told.last {
		k.Told = append(k.Told, keptTelling{s.Kind, s.Key, t.Severity, t.At, t.More})
	}
	return a.changed, k
}

// release lets the letters leave that were waiting for the disk: also when it
// failed, for there is nothing better to wait for.
func (a *Alerts) release(change uint64) {
	a.mu.Lock()
	a.kept = change
	a.mu.Unlock()
	for _, r := range a.receivers {
		r.poke()
	}
}

// close writes a last time, unless the disk hangs.
func (k *keeper) close() error {
	k.once.Do(func() { close(k.quit) })
	late := time.NewTimer(closeGrace)
	defer late.Stop()
	select {
	case <-k.done:
		if k.last != nil {
			return fmt.Errorf("alerts that are not delivered could not be kept: %w", k.last)
		}
		return nil
	case <-late.C:
		return errors.New("alerts that are not delivered could not be kept: the disk does not answer")
	}
}
