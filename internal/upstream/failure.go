package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/wire"
)

const (
	maxErrorBody = 64 << 10

	// The wait that is passed on with OpenAI's own rate limit: SDKs honour up to
	// 60 s and fall back to hammering above.
	minWait, maxWait = time.Second, time.Minute
	defaultWait      = 5 * time.Second
)

// ErrTooMuch is a failure that says nothing about OpenAI: there was more to think, or
// to say, than there is time and room for.
var ErrTooMuch = errors.New("the answer takes more than it may")

// Our own trouble with the provider: someone must act. The server logs these as
// errors.
var (
	ErrKeyRefused = errors.New("OpenAI refuses our key")
	ErrQuota      = errors.New("OpenAI's own quota or billing limit is reached")
)

// failed turns a transport error into the client's. If the caller left or the
// server stops, that is the error, so that nobody takes it for OpenAI's fault.
func (k *call) failed(err error) error {
	cause := context.Cause(k.ctx)
	switch {
	case cause == nil:
		return broke(err)
	case gone(k.ctx):
		return cause
	case k.asksForTime(cause):
		return timedOut(fmt.Errorf("%w: %w: %w", ErrTooMuch, cause, err)).ForGood() // again, it would cost as much again
	default:
		return timedOut(fmt.Errorf("%w: %w", cause, err))
	}
}

// asksForTime reports whether a time-out is one that a client can bring about by
// asking for much (a stream is silent while the model thinks), or by reading slowly.
func (k *call) asksForTime(cause error) bool {
	words := k.Theirs && (k.To == Chat || k.To == Responses)
	switch cause {
	case errStreamMax:
		return true
	case errStreamIdle, errTotal:
		return words
	case errFirstByte:
		return words && !k.Stream
	}
	return false
}

// final is err as the caller gets it: that it was the caller who gave up, if so,
// and whether it cost anything all the same.
func (k *call) final(err error) error {
	free := k.free(err)
	if gone(k.ctx) {
		err = context.Cause(k.ctx)
	}
	if free || k.owed {
		err = billing{err, free}
	}
	return err
}

// free reports whether all of the sends together, of which err ended the last, prove
// that nothing was billed.
func (k *call) free(err error) bool {
	return !k.owed && (!k.reached.Load() || Unbilled(err))
}

func broke(cause error) *apierr.Error {
	return apierr.New(http.StatusBadGateway, "upstream_error", "Our server encountered an issue.").Because(cause)
}

func timedOut(cause error) *apierr.Error {
	return apierr.New(http.StatusGatewayTimeout, "upstream_timeout", "Our server encountered an issue.").Because(cause)
}

// refusal is what OpenAI said instead of 200: only its status and words that
// cannot hold a secret. Its message repeats ends of the key, and its
// organisation stands in others, so nobody gets to see it.
type refusal struct {
	status   int
	envelope wire.Envelope
	spoken   bool // it was OpenAI's own error envelope
	wait     time.Duration
	id       string
	theirs   bool // the client wrote the request,
	shifted  bool // and we before it
}

func (r *refusal) Error() string {
	return fmt.Sprintf("OpenAI answered %d, type %q, code %q, param %q, its request id %q",
		r.status, r.envelope.Type, r.envelope.Code, r.envelope.Param, r.id)
}

// refused reads a refusal and frees the connection.
func (k *call) refused(resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil && k.ctx.Err() != nil {
		return k.failed(fmt.Errorf("read the refusal: %w", err))
	}
	r := &refusal{status: resp.StatusCode, wait: retryAfter(resp.Header), id: requestID(resp.Header), theirs: k.Theirs, shifted: k.Shifted}
	r.envelope, r.spoken = wire.ReadError(body)
	return r.public()
}

// public is the refusal as our client sees it. OpenAI's 401, 403 and empty
// quota are our trouble, never the caller's.
func (r *refusal) public() *apierr.Error {
	switch {
	case r.status == http.StatusTooManyRequests && r.quota():
		return apierr.New(http.StatusServiceUnavailable, "unavailable", "Our system is busy right now. Please try again soon.").
			After(maxWait).ForGood().Because(fmt.Errorf("%w: %w", ErrQuota, r))
	case r.status == http.StatusTooManyRequests:
		wait := r.passedOn()
		return apierr.New(http.StatusTooManyRequests, "rate_limited", "Too many requests. Please try again after %s.", inWords(wait)).
			After(wait).Because(r)
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		said := broke(fmt.Errorf("%w: %w", ErrKeyRefused, r))
		if r.status == http.StatusForbidden {
			said = said.ForGood() // after a 401 another key may be in force in a moment; what this one may not do stays so
		}
		return said
	case r.theirs && r.spoken && (r.status == http.StatusBadRequest || r.status == http.StatusNotFound || r.status == http.StatusUnprocessableEntity):
		return r.passed()
	case r.status == http.StatusGatewayTimeout || r.status == http.StatusRequestTimeout:
		return timedOut(r)
	case r.status == http.StatusRequestEntityTooLarge:
		return broke(r).ForGood()
	default:
		return broke(r)
	}
}

// passed is a refusal of the client's own request: its status, the field and the
// code, in a sentence of ours.
func (r *refusal) passed() *apierr.Error {
	said, code, param := "The AI provider did not accept the request", "invalid_request", r.envelope.Param
	if r.shifted {
		param, _, _ = strings.Cut(param, "[")
	}
	if param != "" {
		said += fmt.Sprintf(": see %q", param)
	}
	if r.envelope.Code != "" {
		code = r.envelope.Code
		said += fmt.Sprintf(" (%s)", code)
	}
	return apierr.New(r.status, code, "%s.", said).About(param).Because(r)
}

func inWords(wait time.Duration) string {
	if wait == time.Second {
		return "1 second"
	}
	return fmt.Sprintf("%d seconds", int(wait.Seconds()))
}

func (r *refusal) quota() bool {
	return r.envelope.Code == "insufficient_quota" || r.envelope.Type == "insufficient_quota" ||
		r.envelope.Code == "billing_hard_limit_reached"
}

// passedOn is OpenAI's wait in whole seconds, within what SDKs honour.
func (r *refusal) passedOn() time.Duration {
	if r.wait <= 0 {
		return defaultWait
	}
	whole := (r.wait + time.Second - 1).Truncate(time.Second)
	return min(max(whole, minWait), maxWait)
}

// retryAfter reads how long OpenAI asks to wait; 0 when it does not say.
func retryAfter(h http.Header) time.Duration {
	if ms, ok := number(h.Get("Retry-After-Ms")); ok {
		return time.Duration(ms) * time.Millisecond
	}
	if s, ok := number(h.Get("Retry-After")); ok {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// number reads one that is not negative. One too large to be read is the largest.
func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 32)
	return n, n >= 0 && (err == nil || errors.Is(err, strconv.ErrRange))
}
