// Package socket sends and receives without waking Go's scheduler.
//
// Before a system call, Go calls on its monitor (runtime.sysmon), which would give the
// processor to somebody else if the call took long. In a server that mostly waits the
// monitor is asleep by then, so that each small read and each small write wakes it:
// two switches between threads, and some naps until it sleeps again. Of all that
// passing on one event of a stream takes, this was a quarter.
//
// A call that never waits needs no monitor. So here the kernel is asked for what it
// can do at once (MSG_DONTWAIT), and Go's own poller waits for the rest, as it does
// for every connection. That is for small pieces only: copying a large one takes long
// enough for the monitor to be of use, and so may what is then done with it.
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

// small is the most that is sent or received so. An event has a few hundred bytes.
const small = 4 << 10

// failed is the error of a Read or Write, as package net has it.
func failed(conn *net.TCPConn, op string, err error) error {
	e := &net.OpError{Op: op, Net: "tcp", Source: conn.LocalAddr(), Addr: conn.RemoteAddr(), Err: err}
	if raw, ok := errors.AsType[*net.OpError](err); ok {
		e.Err = raw.Err // whose own Op is of the poller
	}
	return e
}
