package server

import (
	"container/list"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"keyshield/internal/socket"
)

// crowd bounds the open connections. One beyond the bound waits in accept, and the
// connection that has been idle for longest gives way to it: else a few thousand
// that had their answer and do nothing would lock everyone out for as long as the
// idle time-out lasts.
type crowd struct {
	net.Listener
	room chan struct{} // one token for each connection that may be open
	done chan struct{} // closed with the listener
	once sync.Once

	mu      sync.Mutex
	waiting bool       // accept waits for room
	idle    *list.List // of net.Conn, the longest idle first
	at      map[net.Conn]*list.Element
}

func newCrowd(l net.Listener, size int) *crowd {
	c := &crowd{Listener: l, room: make(chan struct{}, size), done: make(chan struct{}), idle: list.New(), at: map[net.Conn]*list.Element{}}
	for range size {
		c.room <- struct{}{}
	}
	return c
}

// Accept takes a connection and finds room for it. While there is none, the
// kernel's queue holds those that come after.
func (c *crowd) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case <-c.room:
	default:
		c.wait(true)
		select {
		case <-c.room:
		case <-c.done:
			conn.Close()
			return nil, net.ErrClosed
		}
		c.wait(false)
	}
	return &guest{Conn: conn, out: socket.Quiet(conn), left: sync.OnceFunc(func() { c.room <- struct{}{} })}, nil
}

// Close also ends an Accept that waits for room.
func (c *crowd) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Listener.Close()
}

// wait begins or ends the search for room. Whoever is idle now makes it, or else
// who is first to fall idle (see follow).
func (c *crowd) wait(begins bool) {
	c.mu.Lock()
	c.waiting = begins
	var longest net.Conn
	if e := c.idle.Front(); begins && e != nil {
		// At once, and not when net/http reports it closed: who comes next would choose it
		// again, and wait for nothing.
		longest = c.idle.Remove(e).(net.Conn)
		delete(c.at, longest)
	}
	c.mu.Unlock()
	if longest != nil {
		longest.Close()
	}
}

// follow is the http.Server's ConnState.
func (c *crowd) follow(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	if e, ok := c.at[conn]; ok {
		c.idle.Remove(e)
		delete(c.at, conn)
	}
	idle := state == http.StateIdle
	leave := idle && c.waiting
	if idle && !leave {
		c.at[conn] = c.idle.PushBack(conn)
	}
	c.mu.Unlock()
	if leave {
		conn.Close()
	}
}

// guest is a connection that gives its place back once.
type guest struct {
	net.Conn
	out   io.Writer // to it, without a sound; a request may well wake the scheduler, since work follows
	left  func()
	early atomic.Pointer[context.CancelCauseFunc] // of the request that is being answered
}

type guestKey struct{}

// greet is the http.Server's ConnContext: the way from a request to its guest.
func greet(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, guestKey{}, conn)
}

// Read notices a client that sends more before it has its answer. While a request
// is answered, net/http reads a single byte to see whether the client leaves; if
// one comes, it looks no further, and who then leaves is not missed. No browser and
// no SDK sends ahead (HTTP/1.1 pipelining), so whoever does is taken for gone. A
// line end after the body is an old habit, and nothing (RFC 9112 §2.2).
func (g *guest) Read(p []byte) (int, error) {
	for {
		n, err := g.Conn.Read(p)
		leave := g.early.Load()
		if n != 1 || len(p) != 1 || leave == nil {
			return n, err
		}
		if p[0] != '\r' && p[0] != '\n' {
			(*leave)(context.Canceled)
			return n, err
		}
		if err != nil {
			return 0, err
		}
	}
}

func (g *guest) Write(p []byte) (int, error) { return g.out.Write(p) }

// CloseWrite is what net/http looks for to end a connection gently.
func (g *guest) CloseWrite() error {
	if half, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (g *guest) Close() error {
	defer g.left()
	return g.Conn.Close()
}
