package upstream

import (
	"errors"
	"net/http"
)

// billing is the failure of a call, with what all of its sends together prove: that
// of the last send alone may say less, or more.
type billing struct {
	error
	free bool // nothing was billed
}

func (b billing) Unwrap() error { return b.error }

// Unbilled reports whether err proves that the call cost nothing: no connection
// was ever there, or OpenAI refused the request in its own words before any
// output. That it does not bill what it so refuses is an assumption. Everything
// else may have been billed: a page of a proxy in between, a 500, a cut
// connection, a client that left.
func Unbilled(err error) bool {
	if b, ok := errors.AsType[billing](err); ok {
		return b.free
	}
	r, ok := errors.AsType[*refusal](err)
	return ok && r.spoken && (r.status >= 400 && r.status < 500 || r.status == http.StatusServiceUnavailable)
}
