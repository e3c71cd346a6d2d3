package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/wire"
)

// longestWait is how much of a Retry-After OpenAI's SDKs honour: told a longer one
// they try again within seconds, unless they are told not to.
const longestWait = time.Minute

// refuse turns an error into bytes; nothing else does. After an answer has
// begun it can only record the error, and cut the connection unless the body's
// own protocol has already told the client.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	scopeOf(r).Err = err
	out := responseOf(w)
	switch {
	case errors.Is(err, context.Canceled) && clientGone(r):
		panic(http.ErrAbortHandler) // the answer was given up: there is nothing to say, and a clean end would be a lie
	case out.status == 0:
		s.writeError(out, r, s.explain(r, err))
	case !out.framed:
		panic(http.ErrAbortHandler)
	}
}

// explain finds the refusal in err. What we ended ourselves has one of its own.
func (s *Server) explain(r *http.Request, err error) *apierr.Error {
	if ours := endedByUs(r); ours != nil {
		return ours
	}
	return apierr.From(err)
}

func unavailable() *apierr.Error {
	return apierr.New(http.StatusServiceUnavailable, "unavailable", "Our system is busy right now. Please try again soon.").After(5 * time.Second)
}

// writeError writes a refusal.
func (s *Server) writeError(w *response, r *http.Request, e *apierr.Error) {
	id := scopeOf(r).ID
	h := w.Header()
	status, body := shaped(r, e, id)
	if s.detector.In(body) { // OpenAI's words for a field and a fault are passed on
		e = apierr.From(errLeak)
		status, body = shaped(r, e, id) // nothing in it is anybody else's
	}
	if badToken(e) {
		h.Set("WWW-Authenticate", "Bearer") // RFC 6750 §3; one header for every kind of bad token
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(wholeSeconds(e.RetryAfter)))
	}
	if e.Final || e.RetryAfter > longestWait {
		h.Set("X-Should-Retry", "false")
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.framed = true
	w.WriteHeader(status)
	w.Write(body)
}

// shaped is a refusal in the shape that the path's clients read.
func shaped(r *http.Request, e *apierr.Error, id string) (status int, body []byte) {
	if strings.HasPrefix(r.URL.Path+"/", "/v1/") || lacksV1(r.URL.Path) {
		return openAIError(e)
	}
	return e.Status, textError(e, id)
}

// textError is the text API's shape.
func textError(e *apierr.Error, id string) []byte {
	b := append([]byte(nil), `{"error":`...)
	b = wire.AppendQuote(b, e.Message)
	b = append(b, `,"code":`...)
	b = wire.AppendQuote(b, e.Code)
	b = append(b, `,"request_id":`...)
	b = wire.AppendQuote(b, id)
	return append(b, '}')
}

// openAIError is the shape that OpenAI's SDKs can read; they show nothing
// useful for any other. Its statuses and codes are those that make them raise
// the right class.
func openAIError(e *apierr.Error) (status int, body []byte) {
	status, kind, code := e.Status, "invalid_request_error", e.Code
	switch {
	case badToken(e):
		status = http.StatusUnauthorized
		if e.Code == "token_invalid" {
			code = "invalid_api_key"
		}
	case e.Status == http.StatusTooManyRequests && e.Code == "budget_exhausted":
		kind, code = "insufficient_quota", "insufficient_quota"
	case e.Status == http.StatusTooManyRequests:
		kind, code = "rate_limit_error", "rate_limit_exceeded"
	case e.Status >= http.StatusInternalServerError:
		kind = "server_error"
	}
	b := append([]byte(nil), `{"error":{"message":`...)
	b = wire.AppendQuote(b, e.Message)
	b = append(b, `,"type":`...)
	b = wire.AppendQuote(b, kind)
	b = append(b, `,"param":`...)
	if e.Param == "" {
		b = append(b, "null"...)
	} else {
		b = wire.AppendQuote(b, e.Param)
	}
	b = append(b, `,"code":`...)
	b = wire.AppendQuote(b, code)
	return status, append(b, "}}"...)
}

// badToken looks at the status too: a code may be OpenAI's, of a request that it
// refused.
func badToken(e *apierr.Error) bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden && e.Code == "token_invalid"
}

// wholeSeconds rounds up: a client that waits this long has waited enough.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// inWords says a wait as a person would.
func inWords(d time.Duration) string {
	unit, n := "second", wholeSeconds(d)
	if n > 90 {
		unit, n = "minute", (n+59)/60
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}
