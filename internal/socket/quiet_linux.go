//go:build amd64 || arm64

package socket

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// A quietConn is a TCP connection; only its Read and Write are its own. How much a
// reader has room for says nothing: TLS offers all it has.
type quietConn struct {
	*net.TCPConn
	raw syscall.RawConn

	behind atomic.Bool // what was read last was there already, or there is more of it
}

func quiet(conn *net.TCPConn) net.Conn {
	raw, err := conn.SyscallConn()
	if err != nil {
		return conn
	}
	return &quietConn{TCPConn: conn, raw: raw}
}

func (c *quietConn) Read(p []byte) (int, error) {
	if len(p) == 0 || c.behind.Swap(false) {
		return c.TCPConn.Read(p)
	}
	t := begin(p[:min(len(p), small)])
	defer t.end()
	if err := c.raw.Read(t.receive); err != nil {
		return 0, failed(c.TCPConn, "read", err)
	}
	switch {
	case t.errno != 0:
		return 0, failed(c.TCPConn, "read", os.NewSyscallError("recvfrom", t.errno))
	case t.done == 0:
		return 0, io.EOF
	}
	if !t.waited || t.done == small {
		c.behind.Store(true)
	}
	return t.done, nil
}

func (c *quietConn) Write(p []byte) (int, error) {
	if len(p) == 0 || len(p) > small {
		return c.TCPConn.Write(p)
	}
	t := begin(p)
	defer t.end()
	err := c.raw.Write(t.send)
	if err == nil && t.errno != 0 {
		err = os.NewSyscallError("sendto", t.errno)
	}
	if err != nil {
		return t.done, failed(c.TCPConn, "write", err)
	}
	return t.done, nil
}

// transfer is one Read or Write. They are used over and over, with their functions
// bound once, so that none of them costs an allocation.
type transfer struct {
	p      []byte
	done   int // bytes of p
	errno  syscall.Errno
	waited bool // for something to arrive

	receive, send func(fd uintptr) (done bool) // false: the poller is to wait
}

var transfers = sync.Pool{New: func() any {
	t := new(transfer)
	t.receive, t.send = t.tryReceive, t.trySend
	return t
}}

func begin(p []byte) *transfer {
	t := transfers.Get().(*transfer)
	t.p = p
	return t
}

func (t *transfer) end() {
	t.p, t.done, t.errno, t.waited = nil, 0, 0, false
	transfers.Put(t)
}

func (t *transfer) tryReceive(fd uintptr) bool {
	t.done, t.errno = receive(fd, t.p)
	t.waited = t.waited || t.errno == syscall.EAGAIN
	return t.errno != syscall.EAGAIN
}

func (t *transfer) trySend(fd uintptr) bool {
	for t.done < len(t.p) {
		n, errno := send(fd, t.p[t.done:])
		if errno != 0 {
			t.errno = errno
			break
		}
		t.done += n
	}
	if t.errno == syscall.EAGAIN {
		t.errno = 0
		return false
	}
	return true
}
