package socket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"keyshield/internal/socket"
)

// pair is both ends of a connection.
func pair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	return dialed.(*net.TCPConn), accepted.(*net.TCPConn)
}

// TestItIsAConnection asks all that Go's own test asks of any connection: deadlines in
// the past and in the middle, closing under a reader, many at once.
func TestItIsAConnection(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := pair(t)
		return socket.Quiet(a), socket.Quiet(b), func() { a.Close(); b.Close() }, nil
	})
}

// TestErrorsAreThoseOfPackageNet: net/http, and we, tell a closed connection, a reset
// and a deadline apart by them.
func TestErrorsAreThoseOfPackageNet(t *testing.T) {
	past := time.Unix(1, 0)
	for _, c := range []struct {
		name string
		do   func(conn net.Conn, tcp, peer *net.TCPConn) error
		op   string
		want error
	}{
		{"read after close", func(conn net.Conn, tcp, _ *net.TCPConn) error {
			tcp.Close()
			return read(conn)
		}, "read", net.ErrClosed},
		{"write after close", func(conn net.Conn, tcp, _ *net.TCPConn) error {
			tcp.Close()
			return write(conn)
		}, "write", net.ErrClosed},
		{"read too late", func(conn net.Conn, tcp, _ *net.TCPConn) error {
			tcp.SetReadDeadline(past)
			return read(conn)
		}, "read", os.ErrDeadlineExceeded},
		{"write too late", func(conn net.Conn, tcp, _ *net.TCPConn) error {
			tcp.SetWriteDeadline(past)
			return write(conn)
		}, "write", os.ErrDeadlineExceeded},
		{"read of a reset connection", func(conn net.Conn, _, peer *net.TCPConn) error {
			peer.SetLinger(0)
			peer.Close()
			return read(conn)
		}, "read", syscall.ECONNRESET},
		{"write to one that is closed for writing", func(conn net.Conn, tcp, _ *net.TCPConn) error {
			tcp.CloseWrite()
			return write(conn)
		}, "write", syscall.EPIPE},
	} {
		for _, conn := range []string{"quiet", "plain"} {
			t.Run(c.name+"/"+conn, func(t *testing.T) {
				tcp, peer := pair(t)
				var tried net.Conn = tcp
				if conn == "quiet" {
					tried = socket.Quiet(tcp)
				}
				err := c.do(tried, tcp, peer)
				got, ok := errors.AsType[*net.OpError](err)
				if !ok || got.Op != c.op || !errors.Is(err, c.want) {
					t.Fatalf("%T %q, want a *net.OpError of %q that is %q", err, err, c.op, c.want)
				}
				if got.Timeout() != (c.want == os.ErrDeadlineExceeded) || got.Net != "tcp" || got.Source == nil || got.Addr == nil {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

func read(c net.Conn) error {
	_, err := c.Read(make([]byte, 1))
	return err
}

func write(c net.Conn) error {
	_, err := c.Write([]byte("x"))
	return err
}

func TestTheEndIsEOF(t *testing.T) {
	tcp, peer := pair(t)
	conn := socket.Quiet(tcp)
	peer.Write([]byte("last words"))
	peer.Close()
	if got, err := io.ReadAll(io.LimitReader(conn, 10)); string(got) != "last words" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for range 2 {
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%d, %v", n, err)
		}
	}
	if n, err := conn.Read(nil); n != 0 || err != nil {
		t.Errorf("nothing asked for: %d, %v", n, err)
	}
}

// TestAFullPipeIsWaitedFor: what the kernel has no room for waits, and arrives whole,
// however large the pieces are.
func TestAFullPipeIsWaitedFor(t *testing.T) {
	for _, size := range []int{1, 300, 4096, 4097, 64 << 10} {
		tcp, peer := pair(t)
		tcp.SetWriteBuffer(64 << 10)
		peer.SetReadBuffer(256 << 10)
		pieces := min((2<<20)/size, 10_000)
		var sent bytes.Buffer
		var all sync.WaitGroup
		all.Go(func() {
			defer tcp.Close()
			conn := socket.Quiet(tcp)
			for i := range pieces {
				piece := bytes.Repeat([]byte{byte(i)}, size)
				sent.Write(piece)
				if n, err := conn.Write(piece); n != size || err != nil {
					t.Errorf("%d of %d bytes: %v", n, size, err)
					return
				}
			}
		})
		got, err := io.ReadAll(socket.Quiet(peer))
		all.Wait()
		if err != nil || !bytes.Equal(got, sent.Bytes()) {
			t.Errorf("pieces of %d: %d of %d bytes arrived, %v", size, len(got), sent.Len(), err)
		}
	}
}

// TestACutWriteSaysHowMuchLeft: the deadline of a client that does not read falls into
// the middle of a piece.
func TestACutWriteSaysHowMuchLeft(t *testing.T) {
	tcp, peer := pair(t)
	conn := socket.Quiet(tcp)
	tcp.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	sent := 0
	var err error
	for err == nil {
		var n int
		n, err = conn.Write([]byte(strings.Repeat("x", 1000)))
		sent += n
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	tcp.Close()
	got, err := io.ReadAll(peer)
	if err != nil || len(got) != sent {
		t.Errorf("%d bytes arrived of %d that are said to have left: %v", len(got), sent, err)
	}
}

// TestWhatIsNoTCPIsLeftAlone: a socket file, say.
func TestWhatIsNoTCPIsLeftAlone(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if socket.Quiet(a) != a {
		t.Error("wrapped")
	}
}

// BenchmarkEcho is what one small piece costs, there and back, when all have fallen
// asleep before it comes, as between two events of a stream: cpu-ns/op.
func BenchmarkEcho(b *testing.B) {
	for _, c := range []struct {
		name string
		wrap func(net.Conn) net.Conn
	}{
		{"plain", func(c net.Conn) net.Conn { return c }},
		{"quiet", socket.Quiet},
	} {
		b.Run(c.name, func(b *testing.B) {
			tcp, peer := pair(b)
			go io.Copy(onlyWriter{c.wrap(peer)}, onlyReader{c.wrap(peer)})
			conn, piece := c.wrap(tcp), make([]byte, 300)
			b.ReportAllocs()
			pause := time.NewTicker(time.Millisecond)
			defer pause.Stop()
			began, pieces := used(b), 0
			for ; b.Loop(); pieces++ {
				if _, err := conn.Write(piece); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(conn, piece); err != nil {
					b.Fatal(err)
				}
				<-pause.C
			}
			b.ReportMetric(float64(used(b)-began)/float64(pieces), "cpu-ns/op")
		})
	}
}

// used is the processor's time that this process has had.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// onlyReader and onlyWriter have no shorter way through the kernel.
type onlyReader struct{ io.Reader }
type onlyWriter struct{ io.Writer }
