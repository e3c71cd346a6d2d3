package upstream

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// maxAnswer bounds what is read of an answer that is not streamed, unless the
	// question says that it may be more. The largest output limit there is comes to
	// less.
	maxAnswer = 4 << 20

	// MaxAnswer bounds it whatever the question says.
	MaxAnswer = 48 << 20

	// answerRoom bounds what answers beyond maxAnswer take of memory together. Those
	// for which there is no room yet wait, and OpenAI with them.
	answerRoom = 2 * MaxAnswer

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
	room *semaphore.Weighted
	held int64 // of the room
}

// Close ends the call. Nothing of the answer is read after it, nor of what was read
// of it used.
func (a *Answer) Close() {
	a.call.end()
	a.body.Close()
	a.room.Release(a.held)
	a.held = 0
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

// ReadAll appends the whole body to dst.
func (a *Answer) ReadAll(dst []byte) ([]byte, error) {
	most := min(max(maxAnswer, a.call.Most), MaxAnswer)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := a.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, err
		case int64(len(dst)) > most:
			return dst, broke(fmt.Errorf("%w: more than %d bytes", ErrTooMuch, most)).ForGood()
		case len(dst) > maxAnswer && a.held == 0:
			if dst, err = a.takeRoom(dst, most-maxAnswer); err != nil {
				return dst, err
			}
		}
	}
}

// takeRoom waits for so much room, all at once: two answers that each had a part of
// what they need would wait for each other. It moves dst to where the rest of the
// answer has its place.
func (a *Answer) takeRoom(dst []byte, room int64) ([]byte, error) {
	if err := a.room.Acquire(a.call.ctx, room); err != nil {
		return dst, a.call.failed(fmt.Errorf("wait for room for the answer: %w", err))
	}
	a.held = room
	if n := a.resp.ContentLength; n > int64(cap(dst)) && n <= maxAnswer+room {
		dst = append(make([]byte, 0, n+1), dst...)
	}
	return dst, nil
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
