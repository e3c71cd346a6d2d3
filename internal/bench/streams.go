package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// runStreams measures many open streams.
func (l *load) runStreams(ctx context.Context) error {
	warm := l.gather(8)
	warm.ask(ctx, l.Warm)
	warm.leave()
	idle, err := l.look()
	if err != nil {
		return err
	}
	start := time.Now()
	from := start.Add(l.Ramp + l.Settle)
	to := from.Add(l.Window)
	w := &window{load: l, from: from, to: to, seen: make([]seen, l.Streams)}

	var all sync.WaitGroup
	for i := range l.Streams {
		all.Go(func() {
			if pause(ctx, start.Add(l.Ramp*time.Duration(i)/time.Duration(l.Streams))) == nil {
				if err := w.follow(ctx, i); err != nil {
					l.got.fail(fmt.Errorf("stream %d: %w", i, err))
				}
			}
		})
	}
	begin, err := w.edge(ctx, from)
	if err != nil {
		return err
	}
	end, err := w.edge(ctx, to)
	if err != nil {
		return err
	}
	all.Wait()
	w.conclude(idle, begin, end)
	return ctx.Err()
}

// window is the time in which all streams are open.
type window struct {
	*load
	from, to time.Time
	open     atomic.Int64 // streams that have said something, and not ended
	seen     []seen
}

// seen is what one stream showed.
type seen struct {
	first  time.Duration   // until the first token
	delays []time.Duration // of the chunks within the window
}

// edge waits for one end of the window and looks at the processes.
func (w *window) edge(ctx context.Context, at time.Time) (sample, error) {
	if err := pause(ctx, at); err != nil {
		return sample{}, err
	}
	if open := w.open.Load(); open != int64(w.Streams) {
		w.got.fail(fmt.Errorf("only %d of %d streams were open in the window", open, w.Streams))
	}
	return w.look()
}

// follow is one stream from its beginning to its end.
func (w *window) follow(ctx context.Context, i int) error {
	began := time.Now()
	c, err := dial(ctx, w.Address, w.to.Add(w.Ramp+time.Minute))
	if err != nil {
		return err
	}
	defer c.conn.Close()
	status, err := c.ask(w.StreamRequests[i%len(w.StreamRequests)])
	if err != nil {
		return err
	}
	if status != 200 {
		body, _ := c.readAll(nil)
		return fmt.Errorf("status %d: %.300q", status, body)
	}
	return w.listen(bufio.NewReaderSize(c, 2<<10), began, &w.seen[i])
}

// listen reads the events.
func (w *window) listen(events *bufio.Reader, began time.Time, s *seen) error {
	token, last := []byte(w.Token), []byte(w.End)
	chunks, ended := 0, false
	for {
		line, err := events.ReadSlice('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d chunks: %w", chunks, err)
		}
		ended = ended || bytes.HasPrefix(line, last)
		sent, ok := stampIn(line, token)
		if !ok {
			continue
		}
		now := time.Now()
		if chunks++; chunks == 1 {
			s.first = now.Sub(began)
			w.open.Add(1)
			defer w.open.Add(-1)
		}
		if !now.Before(w.from) && now.Before(w.to) {
			s.delays = append(s.delays, now.Sub(sent))
		}
	}
	switch {
	case !ended:
		return errors.New("it ended without saying so")
	case chunks != w.Chunks:
		return fmt.Errorf("%d chunks, want %d", chunks, w.Chunks)
	}
	return nil
}

func (w *window) conclude(idle, begin, end sample) {
	var first, delays []time.Duration
	for i := range w.seen {
		first = append(first, w.seen[i].first)
		delays = append(delays, w.seen[i].delays...)
	}
	f := w.got.Figures
	f["first_p50"], f["first_p99"] = percentiles(first)
	f["delay_p50"], f["delay_p99"] = percentiles(delays)
	f["chunks_per_s"] = float64(len(delays)) / end.at.Sub(begin.at).Seconds()
	w.costs(begin, end, len(delays))
	if w.Proxy != 0 && end.proxy.RSS > 0 {
		f["memory"] = float64(end.proxy.RSS-idle.proxy.RSS) / 1024 / float64(w.Streams)
	}
}

// pause sleeps until a moment, or until ctx ends.
func pause(ctx context.Context, until time.Time) error {
	select {
	case <-time.After(time.Until(until)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
