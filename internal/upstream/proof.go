package upstream

import (
	"errors"
	"net/http"
)

// unbilled marks a failure that proves that nothing was billed.
type unbilled struct{ error }

func (u unbilled) Unwrap() error { return u.error }

// Unbilled reports whether err proves that the call cost nothing: no connection
// was ever there, or OpenAI refused the request in its own words before any
// output. That it does not bill what it so refuses is an assumption. Everything
// else may have been billed: a page of a proxy in between, a 500, a cut
// connection, a client that left.
func Unbilled(err error) bool {
	if _, ok := errors.AsType[unbilled](err); ok {
		return true
	}
	r, ok := errors.AsType[*refusal](err)
	return ok && r.spoken && (r.status >= 400 && r.status < 500 || r.status == http.StatusServiceUnavailable)
}
