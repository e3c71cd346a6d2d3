package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"keyshield/internal/apierr"
)

// readBody reads a JSON body whole, before anything is asked upstream: net/http
// notices a client's departure only after that. Its size is capped and its time
// is bounded (see bodyTimeout).
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	if err := wantJSON(r.Header); err != nil {
		return nil, err
	}
	if r.ContentLength > most {
		w.Header().Set("Connection", "close") // rather than swallow the rest of it
		return nil, tooLarge(most)
	}
	// One more than announced: EOF is seen without growing. Not more than is soon
	// there: else an announcement alone would take MAX_BODY of memory.
	body := make([]byte, 0, min(max(r.ContentLength+1, 512), 4<<10))
	limited := http.MaxBytesReader(responseOf(w).ResponseWriter, r.Body, most)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := limited.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			responseOf(w).control.SetReadDeadline(time.Time{})
			return body, nil
		}
		if err != nil {
			w.Header().Set("Connection", "close")
			return nil, bodyError(err, most)
		}
	}
}

// wantJSON wants application/json in UTF-8, uncompressed. Browsers ask for
// permission first (preflight) only because of this type.
func wantJSON(h http.Header) error {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if h.Get("Content-Type") == "application/json" {
		kind, params, err = "application/json", nil, nil
	}
	charset := params["charset"]
	if err != nil || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return apierr.New(http.StatusUnsupportedMediaType, "unsupported_media_type", "The request body must be JSON in UTF-8. Send it with Content-Type: application/json.")
	}
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return apierr.New(http.StatusUnsupportedMediaType, "unsupported_media_type", "The request body must not be compressed. Send it without Content-Encoding.")
	}
	return nil
}

var errBody = errors.New("the body broke off, or its chunks are malformed")

func tooLarge(most int64) *apierr.Error {
	return apierr.New(http.StatusRequestEntityTooLarge, "body_too_large", "The request body is too large. Please keep it under %d bytes.", most)
}

func bodyError(err error, most int64) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(most)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return apierr.New(http.StatusRequestTimeout, "request_timeout", "The request body took too long. Please send it within %d seconds.", int(bodyTimeout.Seconds())).Because(err)
	}
	// The error's own text may quote what the client sent.
	return apierr.New(http.StatusBadRequest, "invalid_json", "The request body is not valid JSON.").Because(errBody)
}
