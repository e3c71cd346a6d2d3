package wire

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// Event sizes.
const (
	firstBuffer = 4 << 10
	keepBuffer  = 16 << 10 // what may stay between two events of one stream
	maxEvent    = 1 << 20  // an event, or one line; see Allow
	maxBarren   = 1 << 20  // comments and other lines without data, between two events
	maxIdleRead = 100      // reads in a row that bring nothing
	window      = 256      // see lineEnd
)

// ErrTooLong ends a stream whose lines, events or silence are out of bounds.
var ErrTooLong = errors.New("server-sent event is too long, or too much stands between two of them")

// Event is one server-sent event. Both slices are good until the next call.
type Event struct {
	Name []byte // empty where the stream names none
	Data []byte // several data lines are joined by \n
}

// Events reads server-sent events as the HTML standard has them: lines end in
// \n, \r\n or \r, a byte order mark may come first, comments and unknown fields
// are nothing.
//
// It differs where a proxy must know more than a browser: an end inside an event
// is an error, and everything is bounded.
type Events struct {
	r   io.Reader
	err error // what r said last; told once the buffer is read out

	buf        []byte
	data, end  int // buf[data:end] is the data of the event being read
	next, fill int // buf[next:fill] is unread; never before end
	max        int // bound of fill
	seen       int // of the unread, what is known to hold no line end

	name    []byte
	hasData bool
	begun   bool // a line has been read: no byte order mark from here on
	afterCR bool // the buffer ended in \r: a \n that follows belongs to it
	barren  int
}

// NewEvents reads from r.
func NewEvents(r io.Reader) *Events {
	e := new(Events)
	e.Reset(r)
	return e
}

// Reset begins anew with r. Reset(nil) makes e fit for a pool: it lets go of the
// reader, and of a buffer that one long event has made large.
func (e *Events) Reset(r io.Reader) {
	e.giveBack()
	name := e.name[:0]
	if cap(name) > 64 {
		name = nil
	}
	*e = Events{r: r, name: name, max: maxEvent}
}

// Allow raises the bound of an event to n bytes until the next Reset: a response
// repeats its instructions and its tools, each character in up to six bytes, in
// several events.
func (e *Events) Allow(n int) { e.max = max(n, maxEvent) }

// Next returns the next event. io.EOF is a clean end, io.ErrUnexpectedEOF one
// inside an event; after an error there is nothing more.
func (e *Events) Next() (Event, error) {
	e.data, e.end, e.hasData = e.next, e.next, false
	e.name = e.name[:0]
	for {
		from, to, err := e.line()
		switch {
		case err != nil:
			return Event{}, err
		case from == to && e.hasData:
			e.barren = 0
			return Event{Name: e.name, Data: e.buf[e.data:e.end:e.end]}, nil
		case from == to: // an event without data is none, and takes its name along
			e.name = e.name[:0]
		}
		if e.field(from, to); e.barren > maxBarren {
			e.err, e.next = ErrTooLong, e.fill
			return Event{}, e.err
		}
	}
}

// Buffered says whether Next would return another event without reading: who
// relays flushes when it would not.
func (e *Events) Buffered() bool {
	hasData := false
	for b := e.buf[e.next:e.fill]; ; {
		i, n := lineEnd(b, 0)
		switch {
		case n == 0:
			return false
		case i == 0 && hasData:
			return true
		}
		if name, _ := cutField(b[:i]); string(name) == "data" {
			hasData = true
		}
		b = b[i+n:]
	}
}

// field takes in the line buf[from:to].
func (e *Events) field(from, to int) {
	name, value := cutField(e.buf[from:to])
	switch {
	case string(name) != "data":
		e.barren += to - from + 1
		if string(name) == "event" {
			e.name = append(e.name[:0], value...)
		}
	case !e.hasData: // stays where it stands
		e.hasData = true
		e.data, e.end = to-len(value), to
	default: // moves up to the line before it, over its own "data:"
		e.buf[e.end] = '\n'
		e.end += 1 + copy(e.buf[e.end+1:], value)
	}
}

// cutField splits a line. A comment is a field without a name.
func cutField(line []byte) (name, value []byte) {
	name, value, _ = bytes.Cut(line, []byte{':'})
	return name, bytes.TrimPrefix(value, []byte{' '})
}

// line returns where the next line stands in buf, without its end.
func (e *Events) line() (from, to int, err error) {
	for {
		if e.afterCR && e.next < e.fill {
			e.afterCR = false
			if e.buf[e.next] == '\n' {
				e.next++
			}
		}
		i, n := lineEnd(e.buf[e.next:e.fill], e.seen)
		if n == 0 {
			e.seen = i
			if err := e.read(); err != nil {
				return 0, 0, err
			}
			continue
		}
		from, to = e.next, e.next+i
		e.next, e.seen = to+n, 0
		e.afterCR = e.buf[to] == '\r' && n == 1 && e.next == e.fill
		if !e.begun {
			e.begun = true
			if bytes.HasPrefix(e.buf[from:to], []byte("\ufeff")) {
				from += len("\ufeff")
			}
		}
		return from, to, nil
	}
}

// lineEnd finds the first line end in b, of which seen bytes hold none: its index
// and its length, or len(b) and 0. It goes by windows: else each of a thousand
// short lines that end in \r would search all of b for a \n.
func lineEnd(b []byte, seen int) (i, n int) {
	for ; seen < len(b); seen += window {
		w := b[seen:min(seen+window, len(b))]
		lf := bytes.IndexByte(w, '\n')
		if lf >= 0 {
			w = w[:lf]
		}
		if cr := bytes.IndexByte(w, '\r'); cr >= 0 {
			i = seen + cr
			if i+1 < len(b) && b[i+1] == '\n' {
				return i, 2
			}
			return i, 1
		}
		if lf >= 0 {
			return seen + lf, 1
		}
	}
	return len(b), 0
}

// read makes room and reads once. Only the data so far and the unfinished line
// are kept, so both together are what is bounded, however the bytes arrive.
func (e *Events) read() error {
	if e.err != nil {
		if e.err == io.EOF && (e.hasData || len(e.name) > 0 || e.next < e.fill) {
			e.err = io.ErrUnexpectedEOF
		}
		return e.err
	}
	if e.data > 0 || e.next > e.end {
		n := copy(e.buf, e.buf[e.data:e.end])
		m := copy(e.buf[n:], e.buf[e.next:e.fill])
		e.data, e.end, e.next, e.fill = 0, n, n, n+m
	}
	if e.fill == 0 && len(e.buf) == firstBuffer {
		e.giveBack()
		if _, e.err = e.r.Read(nil); e.err != nil {
			return e.read()
		}
	}
	switch {
	case e.fill == e.max:
		e.err, e.next = ErrTooLong, e.fill
		return e.err
	case len(e.buf) == 0:
		e.buf = rooms.Get().(*[firstBuffer]byte)[:]
	case e.fill == len(e.buf):
		larger := make([]byte, min(2*len(e.buf), e.max))
		copy(larger, e.buf)
		e.buf = larger
	case e.fill == 0 && len(e.buf) > keepBuffer:
		e.buf = rooms.Get().(*[firstBuffer]byte)[:]
	}
	for range maxIdleRead {
		n, err := e.r.Read(e.buf[e.fill:])
		e.fill += n
		if e.err = err; n > 0 {
			return nil
		}
		if err != nil {
			return e.read()
		}
	}
	e.err = io.ErrNoProgress
	return e.err
}

// rooms are the buffers of all streams. Between two events a stream has none: it
// waits in a read of nothing, which net/http's bodies answer once something is there
// (another reader may answer at once; then we wait with a buffer). So thousands of
// streams take turns with a few buffers, which are always in the processor's cache.
var rooms = sync.Pool{New: func() any { return new([firstBuffer]byte) }}

func (e *Events) giveBack() {
	if len(e.buf) == firstBuffer {
		rooms.Put((*[firstBuffer]byte)(e.buf))
	}
	e.buf = nil
}
