// Package apierr is the vocabulary of refusals: what a client is told when the
// proxy says no, and what only the operator learns.
//
// An [Error] carries both halves. Message goes over the wire; the cause never
// does. Any other error that reaches the HTTP edge is a bug or an outage, and
// is shown to the client as a bare 500.
package apierr

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Error is a refusal with a public face and a private cause.
type Error struct {
	Status     int           // HTTP status
	Code       string        // stable, machine-readable: "prompt_too_long"
	Message    string        // shown to the client; no secrets, no internals
	Param      string        // the request field at fault, if there is one
	RetryAfter time.Duration // sent as Retry-After when positive, rounded up to seconds
	Final      bool          // waiting seconds is useless: sent as "x-should-retry: false"

	cause error // logged, never sent
}

// New reports a refusal whose whole story may be told to the client.
func New(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e that remembers why. The cause is for the log.
func (e *Error) Because(cause error) *Error {
	because := *e
	because.cause = cause
	return &because
}

// About returns a copy of e that names the request field at fault.
func (e *Error) About(param string) *Error {
	about := *e
	about.Param = param
	return &about
}

// After returns a copy of e that tells the client how long to wait.
func (e *Error) After(wait time.Duration) *Error {
	after := *e
	after.RetryAfter = wait
	return &after
}

// ForGood returns a copy of e that tells SDKs not to try again by themselves.
func (e *Error) ForGood() *Error {
	final := *e
	final.Final = true
	return &final
}

// Error is what the operator reads, so it includes the cause.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Code + ": " + e.Message
	}
	return e.Code + ": " + e.Message + ": " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// From finds the Error in err's chain. An err without one is an accident, not a
// decision: it becomes an opaque 500 that wraps err for the log.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return New(http.StatusInternalServerError, "internal", "Our server encountered an issue.").Because(err)
}
