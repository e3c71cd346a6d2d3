//go:build !race && !msan && !asan && (amd64 || arm64)

package socket_test

import (
	"bytes"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"keyshield/internal/socket"
)

// TestWhoIsBusyIsHeard: the system call in the error of a reset says which way the
// last read went.
func TestWhoIsBusyIsHeard(t *testing.T) {
	const quiet, loud = "recvfrom: connection reset", "read: connection reset"
	for _, c := range []struct {
		name   string
		before func(conn net.Conn, peer *net.TCPConn)
		room   int
		want   string
	}{
		{"nothing was read yet", func(net.Conn, *net.TCPConn) {}, 1, quiet},
		{"there is room for much", func(net.Conn, *net.TCPConn) {}, 64 << 10, quiet},
		{"it had to wait", func(conn net.Conn, peer *net.TCPConn) { waitFor(t, conn, peer, 1) }, 1, quiet},
		{"something was there", func(conn net.Conn, peer *net.TCPConn) {
			bring(t, conn, peer)
		}, 1, loud},
		{"something was there, and then it had to wait", func(conn net.Conn, peer *net.TCPConn) {
			bring(t, conn, peer)
			waitFor(t, conn, peer, 1)
		}, 1, quiet},
		{"there may be more", func(conn net.Conn, peer *net.TCPConn) {
			if n := waitFor(t, conn, peer, 4096); n != 4096 {
				t.Fatalf("%d bytes were read at once", n)
			}
		}, 1, loud},
	} {
		t.Run(c.name, func(t *testing.T) {
			tcp, peer := pair(t)
			conn := socket.Quiet(tcp)
			c.before(conn, peer)
			peer.SetLinger(0)
			peer.Close()
			if _, err := conn.Read(make([]byte, c.room)); err == nil || !strings.HasSuffix(err.Error(), c.want+" by peer") {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// waitFor reads, and lets the peer write so much once the reader waits for it. It
// returns what the one read brought.
func waitFor(t *testing.T, conn net.Conn, peer *net.TCPConn, size int) int {
	t.Helper()
	read := make(chan int)
	go func() {
		n, err := conn.Read(make([]byte, 2*size))
		if err != nil {
			t.Error(err)
		}
		read <- n
	}()
	for !waiting() {
		select {
		case n := <-read:
			return n
		default:
			runtime.Gosched()
		}
	}
	peer.Write(make([]byte, size))
	return <-read
}

// bring reads one byte that is there already.
func bring(t *testing.T, conn net.Conn, peer *net.TCPConn) {
	t.Helper()
	peer.Write([]byte("x"))
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for there := 0; there == 0; {
		if err := raw.Control(func(fd uintptr) { there, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := read(conn); err != nil {
		t.Fatal(err)
	}
}

// waiting reports whether the reader of waitFor is with the poller.
func waiting() bool {
	stacks := make([]byte, 1<<20)
	for one := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
		if bytes.Contains(one, []byte("[IO wait")) && bytes.Contains(one, []byte("waitFor.func")) {
			return true
		}
	}
	return false
}
