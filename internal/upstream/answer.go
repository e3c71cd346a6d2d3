package upstream

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

const (
	// UsualAnswer bounds what is read of an answer that is not streamed, unless room
	// was taken for more. The largest output limit there is comes to less.
	UsualAnswer = 4 << 20

	// MaxAnswer bounds it whatever the question says.
	MaxAnswer = 48 << 20

	// lingerTime bounds how long the end of a body is waited for once its
	// content is complete, so that the connection can be used again.
	lingerTime = 100 * time.Millisecond

	maxID = 64 // of a request id
)

// Answer is OpenAI's 200. Whoever holds it must Close it.
type Answer struct {
	call *call
	body io.ReadCloser // of resp
	resp *http.Response
}

// Close ends the call. Nothing of the answer is read after it.
func (a *Answer) Close() {
	a.call.end()
	a.body.Close()
}

// Streams reports whether the answer is a stream of events.
func (a *Answer) Streams() bool {
	kind, _, err := mime.ParseMediaType(a.resp.Header.Get("Content-Type"))
	return err == nil && kind == "text/event-stream"
}

// Header is a header of the answer; "" if it is not there, or more than once.
func (a *Answer) Header(name string) string {
	if v := a.resp.Header[name]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// RequestID is OpenAI's name for the call, for its support; "" if it sent none
// or one that could be something else.
func (a *Answer) RequestID() string { return requestID(a.resp.Header) }

// Date is when OpenAI answered, by its own clock; zero if it did not say.
func (a *Answer) Date() time.Time {
	at, _ := http.ParseTime(a.resp.Header.Get("Date"))
	return at
}

// Read reads the body. Its error is io.EOF, or one for the client whose cause
// says why the rest is missing.
func (a *Answer) Read(p []byte) (int, error) {
	a.call.wait()
	n, err := a.body.Read(p)
	a.call.heard()
	if err != nil && err != io.EOF {
		err = a.call.failed(fmt.Errorf("read the answer: %w", err))
	}
	return n, err
}

// ReadAll appends the whole body to dst, and gives back what of its room it did not
// need.
func (a *Answer) ReadAll(dst []byte) ([]byte, error) {
	most := UsualAnswer + a.call.place.size()
	if n := a.resp.ContentLength; n > UsualAnswer && n <= most {
		dst = append(make([]byte, 0, int64(len(dst))+n+1), dst...) // else it grows by copies, each beside the one before
	}
	for {
		switch {
		case len(dst) < cap(dst):
		case len(dst) < UsualAnswer || int64(len(dst)) > most:
			dst = append(dst, 0)[:len(dst)]
		default:
			dst = append(make([]byte, 0, most+1), dst...) // once, to where there is room for all that may come
		}
		n, err := a.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case err == io.EOF:
			a.call.place.shrink(int64(len(dst)) - UsualAnswer)
			return dst, nil
		case err != nil:
			return dst, err
		case int64(len(dst)) > most:
			return dst, broke(fmt.Errorf("%w: more than %d bytes", ErrTooMuch, most)).ForGood()
		}
	}
}

// Linger reads to the end of a body whose content is complete: net/http uses a
// connection again only after EOF.
func (a *Answer) Linger(buf []byte) {
	stop := time.AfterFunc(lingerTime, a.call.end)
	defer stop.Stop()
	for range 4 {
		if _, err := a.body.Read(buf); err != nil {
			return
		}
	}
}

// gone reports whether the caller's context, not OpenAI, ended the call.
func gone(ctx context.Context) bool {
	switch context.Cause(ctx) {
	case nil, errFirstByte, errTotal, errStreamIdle, errStreamMax, errEnded:
		return false
	}
	return true
}

func requestID(h http.Header) string {
	id := h["X-Request-Id"]
	if len(id) != 1 || len(id[0]) > maxID {
		return ""
	}
	for _, c := range []byte(id[0]) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return ""
		}
	}
	return id[0]
}
