package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// client is one connection of an HTTP/1.1 client that does no more than it
// must: requests are encoded beforehand, and of an answer it reads the status,
// the length and the body. So the load generator is not what is measured.
type client struct {
	conn   net.Conn
	r      *bufio.Reader
	length int // of the body, or what is left of its chunk
	chunks bool
	ended  bool
}

// dial connects; nothing on the connection may take longer than deadline.
func dial(ctx context.Context, address string, deadline time.Time) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	return &client{conn: conn, r: bufio.NewReaderSize(conn, 4<<10)}, nil
}

var errClosing = errors.New("the server wants to close the connection")

// ask sends a request and reads the head of its answer.
func (c *client) ask(request []byte) (status int, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") || string(line[:9]) != "HTTP/1.1 " {
		return 0, fmt.Errorf("no HTTP answer: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, fmt.Errorf("no HTTP status: %q", line)
	}
	c.length, c.chunks, c.ended = 0, false, false
	for {
		if line, err = c.line(); err != nil {
			return 0, err
		}
		if len(line) == 0 {
			break
		}
		if err := c.field(line); err != nil {
			return 0, err
		}
	}
	c.ended = !c.chunks && c.length == 0
	return status, nil
}

// field reads the header fields that say how the body is framed.
func (c *client) field(line []byte) (err error) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		c.length, err = strconv.Atoi(string(value))
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		c.chunks = bytes.EqualFold(value, []byte("chunked"))
	case bytes.EqualFold(name, []byte("Connection")) && bytes.EqualFold(value, []byte("close")):
		err = errClosing
	}
	return err
}

// Read reads the body. Its end is io.EOF only where the body says so itself.
func (c *client) Read(p []byte) (n int, err error) {
	if c.length == 0 && c.chunks && !c.ended {
		if err := c.nextChunk(); err != nil {
			return 0, err
		}
	}
	if c.ended {
		return 0, io.EOF
	}
	n, err = c.r.Read(p[:min(len(p), c.length)])
	c.length -= n
	switch {
	case err != nil:
		return n, noEnd(err)
	case c.length == 0 && c.chunks:
		_, err = c.line() // after the data of a chunk stands an empty line
	case c.length == 0:
		c.ended = true
	}
	return n, err
}

func (c *client) nextChunk() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, err := strconv.ParseInt(string(line), 16, 32)
	if err != nil {
		return fmt.Errorf("no chunk size: %q", line)
	}
	if c.length = int(size); size > 0 {
		return nil
	}
	c.ended = true
	_, err = c.line() // we know no trailers
	return err
}

// line reads a line without its end.
func (c *client) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, noEnd(err)
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// noEnd keeps a broken connection from passing for the end of a body.
func noEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readAll appends the whole body to dst.
func (c *client) readAll(dst []byte) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := c.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}
