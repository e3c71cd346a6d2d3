package audit

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// errTorn is a last line without its end: it is being written, or its writer died.
var errTorn = errors.New("has no end")

// lines gives lines without their ends, and io.EOF after the last. After errTooLong
// and errTorn it goes on. A line is valid until the next call.
type lines interface {
	next() ([]byte, error)
}

// forward reads a file from its beginning.
type forward struct{ r *bufio.Reader }

// newForward reads the first size bytes: a file may grow faster than it is read.
func newForward(r io.Reader, size int64) *forward {
	return &forward{bufio.NewReaderSize(io.LimitReader(r, size), maxLine)}
}

func (f *forward) next() ([]byte, error) {
	line, err := f.r.ReadSlice('\n')
	tooLong := false
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = true
		line, err = f.r.ReadSlice('\n')
	}
	switch {
	case errors.Is(err, io.EOF) && (tooLong || len(line) > 0):
		return nil, errTorn
	case err != nil:
		return nil, err
	case tooLong:
		return nil, errTooLong
	}
	return line[:len(line)-1], nil
}

// backward reads a file from its end, a piece at a time: a day may be larger than
// our memory.
type backward struct {
	r    io.ReaderAt
	left int64  // bytes of the file that were not read yet
	buf  []byte // room for a piece and a line
	text []byte // the part of buf that was read and not given out
	long bool   // a line is being passed over
	end  bool   // the end of the file, where a line may be torn, lies behind us
}

const piece = 64 << 10

func newBackward(r io.ReaderAt, size int64) *backward {
	return &backward{r: r, left: size, buf: make([]byte, piece+maxLine)}
}

func (b *backward) next() ([]byte, error) {
	for {
		if i := bytes.LastIndexByte(b.text, '\n'); i >= 0 {
			line := b.text[i+1:]
			b.text = b.text[:i]
			if done, err := b.found(line); done {
				return line, err
			}
			continue
		}
		if len(b.text) > maxLine-1 {
			b.long, b.text = true, nil
		}
		if b.left <= 0 {
			return b.first()
		}
		if err := b.more(); err != nil {
			return nil, err
		}
	}
}

// found judges what stands behind the end of a line: done is false for the nothing
// behind the last one.
func (b *backward) found(line []byte) (done bool, err error) {
	long, ended := b.long, b.end
	b.long, b.end = false, true
	switch {
	case !ended && (long || len(line) > 0):
		return true, errTorn
	case !ended:
		return false, nil
	case long:
		return true, errTooLong
	}
	return true, nil
}

// first gives the first line of the file, which no end of line precedes.
func (b *backward) first() ([]byte, error) {
	if b.left < 0 || b.text == nil && !b.long {
		return nil, io.EOF
	}
	b.left = -1
	line := b.text
	b.text = nil
	if done, err := b.found(line); done {
		return line, err
	}
	return nil, io.EOF
}

// more puts the piece before what is left of a line.
func (b *backward) more() error {
	n := min(b.left, piece)
	copy(b.buf[n:], b.text)
	b.text = b.buf[:int(n)+len(b.text)]
	b.left -= n
	_, err := b.r.ReadAt(b.text[:n], b.left)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // it was cut short while we read
	}
	return err
}
