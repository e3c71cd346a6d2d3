package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// plan is what the load generator does: Warm requests, which count for nothing,
// and then either Count requests over Connections, or Streams.
type plan struct {
	Address        string
	Users          int
	Requests       [][]byte // one per user
	StreamRequests [][]byte

	Warm, Count, Connections int

	Streams, Chunks      int
	Ramp, Settle, Window time.Duration

	Whole      string // must occur in an answer
	Token, End string // stand before the text of a chunk, and in the last line of a stream

	Proxy, Simulator int // processes; 0: there is none
}

// result is what came of it.
type result struct {
	Figures map[string]float64 `json:"figures"`
	Errors  int                `json:"errors"`
	First   []string           `json:"first_errors,omitempty"`

	mu sync.Mutex
}

// fail notes that something broke.
func (r *result) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Errors++
	if len(r.First) < 5 {
		r.First = append(r.First, err.Error())
	}
}

func (r *result) failAll(errs []error) {
	for _, err := range errs {
		r.fail(err)
	}
}

// load is the generator at work.
type load struct {
	*plan
	got *result
}

// hopeless is how many requests may fail before there is no point in going on.
const hopeless = 100

// generate does what the plan says.
func generate(ctx context.Context, p *plan) (*result, error) {
	l := &load{p, &result{Figures: map[string]float64{}}}
	if p.Streams > 0 {
		return l.got, l.runStreams(ctx)
	}
	return l.got, l.runRequests(ctx)
}

// runRequests measures short requests.
func (l *load) runRequests(ctx context.Context) error {
	crowd := l.gather(l.Connections)
	defer crowd.leave()
	crowd.ask(ctx, l.Warm)
	begin, err := l.look()
	if err != nil {
		return err
	}
	took := crowd.ask(ctx, l.Count)
	end, err := l.look()
	if err != nil {
		return err
	}
	if l.got.Errors > hopeless {
		return fmt.Errorf("too many requests failed, the first with: %w", errors.New(l.got.First[0]))
	}
	f := l.got.Figures
	f["requests_per_s"] = float64(len(took)) / end.at.Sub(begin.at).Seconds()
	f["p50"], f["p99"] = percentiles(took)
	l.costs(begin, end, len(took))
	return ctx.Err()
}

// costs works out what the processes used per unit of work.
func (l *load) costs(begin, end sample, units int) {
	f, span := l.got.Figures, end.at.Sub(begin.at).Seconds()
	others := end.load.cpu() - begin.load.cpu() + end.sim.cpu() - begin.sim.cpu()
	if others > 0 {
		f["others_busy"] = 100 * others.Seconds() / span / float64(runtime.GOMAXPROCS(0)) // ours are all there are for them
	}
	if l.Proxy == 0 || end.proxy == (usage{}) || units == 0 {
		return
	}
	used := end.proxy.cpu() - begin.proxy.cpu()
	f["cpu"] = micros(used) / float64(units)
	f["cpu_user"] = micros(end.proxy.User-begin.proxy.User) / float64(units)
	f["cpu_total"] = used.Seconds()
	f["proxy_busy"] = 100 * used.Seconds() / span
	f["rss_peak"] = float64(end.proxy.Peak) / (1 << 20)
}

// sample is what all processes have used until one moment.
type sample struct {
	at               time.Time
	proxy, sim, load usage
}

func (l *load) look() (s sample, err error) {
	s.at = time.Now()
	for pid, u := range map[int]*usage{l.Proxy: &s.proxy, l.Simulator: &s.sim, os.Getpid(): &s.load} {
		if pid == 0 {
			continue
		}
		if *u, err = usageOf(pid); err != nil {
			return s, fmt.Errorf("a process is gone: %w", err)
		}
	}
	return s, nil
}

// crowd is a number of connections that ask, wait, and ask again.
type crowd struct {
	*load
	clients []*client // nil until connected
}

func (l *load) gather(n int) *crowd { return &crowd{l, make([]*client, n)} }

func (c *crowd) leave() {
	for _, client := range c.clients {
		if client != nil {
			client.conn.Close()
		}
	}
}

// ask sends so many requests in all, and returns how long each took.
func (c *crowd) ask(ctx context.Context, count int) []time.Duration {
	var left atomic.Int64
	left.Store(int64(count))
	took := make([][]time.Duration, len(c.clients))
	var all sync.WaitGroup
	for i := range c.clients {
		all.Go(func() {
			var buf []byte
			request := c.Requests[i%len(c.Requests)]
			for failures := 0; failures < hopeless && ctx.Err() == nil && left.Add(-1) >= 0; {
				began := time.Now()
				if err := c.once(ctx, i, request, &buf); err != nil {
					c.got.fail(err)
					failures++
					continue
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	all.Wait()
	var whole []time.Duration
	for _, part := range took {
		whole = append(whole, part...)
	}
	return whole
}

// once is one request on connection i, which is made if there is none.
func (c *crowd) once(ctx context.Context, i int, request []byte, buf *[]byte) (err error) {
	if c.clients[i] == nil {
		if c.clients[i], err = dial(ctx, c.Address, time.Now().Add(10*time.Minute)); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			c.clients[i].conn.Close()
			c.clients[i] = nil
		}
	}()
	status, err := c.clients[i].ask(request)
	if err != nil {
		return err
	}
	if *buf, err = c.clients[i].readAll((*buf)[:0]); err != nil {
		return err
	}
	if status != 200 || !bytes.Contains(*buf, []byte(c.Whole)) {
		return fmt.Errorf("status %d, and not the text that was expected: %.300q", status, *buf)
	}
	return nil
}
