package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Why a call was ended by its own watch. The text is for the log.
var (
	errFirstByte  = errors.New("no answer within the time for the first byte")
	errTotal      = errors.New("the answer was not complete in time (UPSTREAM_TIMEOUT)")
	errStreamIdle = errors.New("the stream fell silent (STREAM_IDLE_TIMEOUT)")
	errStreamMax  = errors.New("the stream went on for too long (STREAM_MAX)")
	errEnded      = errors.New("the call is over")
)

// call is one question to OpenAI with its time limits. A single timer watches
// all of them: it wakes up when the next one could be due, looks, and sleeps
// again, so that a chunk costs a few atomic stores and no timer.
type call struct {
	began   time.Time
	waiting atomic.Int64 // since when we wait for OpenAI, and not for a client who reads slowly, as time since began; 0: we do not

	Question
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *time.Timer
	cfg    *Config

	reached atomic.Bool  // a connection was there: from here on it may have been sent
	owed    bool         // an earlier send arrived, and OpenAI did not say that it refused it
	phase   atomic.Int32 // 0 until the answer's header is there, then 1
}

func (c *Client) begin(ctx context.Context, q Question) *call {
	k := &call{Question: q, cfg: &c.cfg, began: time.Now()}
	k.ctx, k.cancel = context.WithCancelCause(ctx)
	k.watch = time.AfterFunc(k.firstByte(), k.look)
	return k
}

// firstByte is the time for an answer to begin. One that is not streamed begins
// when all of it has been generated, and of a client's own request that may be
// much.
func (k *call) firstByte() time.Duration {
	if k.Theirs && !k.Stream {
		return k.cfg.Timeout
	}
	return k.cfg.Timeout / 2
}

// look is the watch's round.
func (k *call) look() {
	if k.ctx.Err() != nil {
		return
	}
	next, err := k.due(time.Since(k.began))
	if err != nil {
		k.cancel(err)
		return
	}
	k.watch.Reset(next)
}

// due returns how long nothing can be due, or what is.
func (k *call) due(now time.Duration) (time.Duration, error) {
	if k.phase.Load() == 0 {
		return within(k.firstByte()-now, errFirstByte)
	}
	if !k.Stream {
		return within(k.cfg.Timeout-now, errTotal)
	}
	idle := k.cfg.StreamIdle
	if since := k.waiting.Load(); since != 0 {
		var err error
		if idle, err = within(time.Duration(since)+k.cfg.StreamIdle-now, errStreamIdle); err != nil {
			return 0, err
		}
	}
	whole, err := within(k.cfg.StreamMax-now, errStreamMax)
	return min(idle, whole), err
}

func within(left time.Duration, overdue error) (time.Duration, error) {
	if left <= 0 {
		return 0, overdue
	}
	return left, nil
}

// answered opens the second phase: the header is there, the body may come.
func (k *call) answered() {
	k.phase.Store(1)
	if k.watch.Stop() {
		k.look()
	}
}

// wait and heard stand around each read of the answer.
func (k *call) wait()  { k.waiting.Store(max(1, int64(time.Since(k.began)))) }
func (k *call) heard() { k.waiting.Store(0) }

// end releases everything the call holds. A body not read to its end closes its
// connection, which is how OpenAI learns that nobody listens any more.
func (k *call) end() {
	k.watch.Stop()
	k.cancel(errEnded)
}

// send makes one attempt.
func (c *Client) send(k *call, under *key) (*Answer, error) {
	k.reached.Store(false)
	under.used.Store(k.began.UnixNano())
	ctx := httptrace.WithClientTrace(k.ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { k.reached.Store(true) },
	})
	req := (&http.Request{
		Method:        http.MethodPost,
		URL:           c.endpoints[k.To],
		Host:          c.endpoints[k.To].Host,
		Header:        under.header,
		Body:          io.NopCloser(bytes.NewReader(k.Body)),
		ContentLength: int64(len(k.Body)),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
	}).WithContext(ctx)

	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, k.failed(fmt.Errorf("send: %w", err))
	}
	if resp.StatusCode != http.StatusOK {
		return nil, k.refused(resp)
	}
	if !under.proven.Load() {
		under.proven.Store(true)
	}
	return &Answer{call: k, body: resp.Body, resp: resp}, nil
}
