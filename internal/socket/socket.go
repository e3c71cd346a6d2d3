// Package socket sends and receives without waking Go's scheduler.
//
// In a server that mostly waits, the scheduler's monitor (runtime.sysmon) is asleep
// whenever something arrives, and the first system call wakes it: it would give the
// processor to somebody else if the call took long. That is two switches between
// threads, and some naps until it sleeps again; of all that passing on one event of a
// stream takes, it was a quarter.
//
// A call that does not wait needs nobody to watch it. So here the kernel is asked for
// what it can do at once (MSG_DONTWAIT), and Go's own poller waits for the rest, as it
// does for every connection.
//
// But the monitor also takes the processor from who computes for long. So only small
// pieces pass without it, and only on a connection that had to wait for the last one:
// whoever has more to do than that is busy, and is heard.
package socket

import (
	"errors"
	"net"
)

// Quiet returns conn with such a Read and Write. On systems other than Linux on amd64
// and arm64, and of what is no TCP, it returns conn itself.
func Quiet(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	return quiet(tcp)
}

// small is the most that is sent or received so at once. An event has a few hundred
// bytes.
const small = 4 << 10

// failed is the error of a Read or Write, as package net has it.
func failed(conn *net.TCPConn, op string, err error) error {
	e := &net.OpError{Op: op, Net: "tcp", Source: conn.LocalAddr(), Addr: conn.RemoteAddr(), Err: err}
	if raw, ok := errors.AsType[*net.OpError](err); ok {
		e.Err = raw.Err // whose own Op is of the poller
	}
	return e
}
