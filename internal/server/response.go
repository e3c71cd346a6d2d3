package server

import (
	"net/http"
	"sync/atomic"
	"time"

	"keyshield/internal/limit"
)

// writeTimeout bounds one write to a client. There is no WriteTimeout on the
// server, which would bound the whole answer: a reader that stalls is dropped, a
// long answer is not.
const writeTimeout = 30 * time.Second

// slowReader is how long the writes of a stream wait in all for a client that reads
// slowly. We read nothing from OpenAI meanwhile, whose side gives up at some time.
const slowReader = time.Second

// response remembers what was answered. It wraps every ResponseWriter, passes
// flushes and deadlines on by Unwrap, and nothing else.
type response struct {
	http.ResponseWriter
	control  connection
	status   int            // 0 until the header is written
	bytes    int64          // of the body
	extended time.Time      // when the write deadline was last moved
	pulse    *pulse         // the server's
	kept     atomic.Int64   // beats for which writes have waited for the client
	framed   bool           // the body's own protocol says how it ended, so that EOF may follow
	limit    limit.Decision // of the limit with the least left, told with the header
}

// connection is what net/http's own ResponseWriter can do besides.
type connection interface {
	FlushError() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// connectionOf looks once for what http.ResponseController looks for at every
// call, which is at every chunk.
func connectionOf(w http.ResponseWriter) connection {
	if c, ok := w.(connection); ok {
		return c
	}
	return controller{http.NewResponseController(w)}
}

type controller struct{ *http.ResponseController }

func (c controller) FlushError() error { return c.Flush() }

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		tell(w.Header(), w.limit)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.extend()
	began := w.beats()
	n, err := w.write(p)
	w.took(began)
	return n, err
}

func (w *response) write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// extend gives the next write its time, to a tenth: moving a deadline costs as
// much as reading a chunk. It returns the time it is.
func (w *response) extend() time.Time {
	now := time.Now()
	if now.Sub(w.extended) >= writeTimeout/10 {
		w.extended = now
		w.control.SetWriteDeadline(now.Add(writeTimeout))
	}
	return now
}

// flush sends what was written, within its own time.
func (w *response) flush() error {
	w.extend()
	began := w.beats()
	err := w.control.FlushError()
	w.took(began)
	return err
}

// send writes p and sends it, and says when it began to. Of what net/http only
// copies until it is flushed, nothing has taken time: one look at the clock is enough,
// of which there are thousands a second.
func (w *response) send(p []byte) (began time.Time, err error) {
	began = w.extend()
	beats := w.beats()
	if _, err = w.write(p); err == nil {
		if len(p) >= copied {
			w.extend()
		}
		err = w.control.FlushError()
	}
	w.took(beats)
	return began, err
}

func (w *response) beats() int64 {
	if w.pulse == nil {
		return 0
	}
	return w.pulse.beats.Load()
}

// took notes a write that began at this beat, if it had to wait for more than one.
func (w *response) took(began int64) {
	if n := w.beats() - began; n > 1 {
		w.kept.Add(n)
	}
}

// readsSlowly says whether the client has kept us from reading what OpenAI sends.
func (w *response) readsSlowly() bool { return time.Duration(w.kept.Load())*beat >= slowReader }

// copied is the size from which on net/http may write at once.
const copied = 2 << 10

// responseOf is the wrapper that observe put around w.
func responseOf(w http.ResponseWriter) *response { return w.(*response) }
