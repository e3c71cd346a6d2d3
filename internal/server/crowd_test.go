package server

import (
	"net"
	"net/http"
	"testing"
	"testing/synctest"
)

// arrivals is a listener whose connections come from a channel.
type arrivals chan net.Conn

func (a arrivals) Accept() (net.Conn, error) {
	conn, open := <-a
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (a arrivals) Close() error   { close(a); return nil }
func (a arrivals) Addr() net.Addr { return &net.TCPAddr{} }

// door is a crowd whose connections net/http never gets to see, so that only the
// test says what becomes of them.
type door struct {
	*crowd
	arrivals
	in chan net.Conn // who found room
}

func openDoor(t *testing.T, size int) *door {
	a := make(arrivals)
	d := &door{crowd: newCrowd(a, size), arrivals: a, in: make(chan net.Conn, 100)}
	go func() {
		defer close(d.in)
		for {
			conn, err := d.crowd.Accept()
			if err != nil {
				return
			}
			d.in <- conn
		}
	}()
	t.Cleanup(func() { d.crowd.Close() })
	return d
}

// come is one who arrives: inside, or nil while he waits.
func (d *door) come(t *testing.T) net.Conn {
	mine, theirs := net.Pipe()
	t.Cleanup(func() { mine.Close(); theirs.Close() })
	go func() { d.arrivals <- theirs }()
	return d.who()
}

// who got in since.
func (d *door) who() net.Conn {
	synctest.Wait()
	select {
	case conn := <-d.in:
		return conn
	default:
		return nil
	}
}

// TestTheIdleMakeRoom: one each for everyone who comes, although net/http has not
// noticed yet that their connections are closed.
func TestTheIdleMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		d := openDoor(t, size)
		for range size {
			conn := d.come(t)
			if conn == nil {
				t.Fatal("there is room, and one waits")
			}
			d.follow(conn, http.StateActive)
			d.follow(conn, http.StateIdle)
		}
		for i := range size {
			conn := d.come(t)
			if conn == nil {
				t.Fatalf("newcomer %d waits beside %d idle connections", i+1, size-i)
			}
			d.follow(conn, http.StateActive)
		}
		if d.come(t) != nil {
			t.Fatal("more are in than there is room for")
		}
	})
}

// TestWhoFallsIdleMakesRoom for the one who waits already, and no one else does.
func TestWhoFallsIdleMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDoor(t, 2)
		first, second := d.come(t), d.come(t)
		if first == nil || second == nil || d.come(t) != nil {
			t.Fatal("two have room, and the third has not")
		}
		d.follow(first, http.StateIdle)
		if d.who() == nil {
			t.Fatal("one fell idle, and the third still waits")
		}
		d.follow(second, http.StateIdle)
		if d.idle.Len() != 1 {
			t.Errorf("%d are idle and open, want the second, since nobody waits", d.idle.Len())
		}
		second.Close()
		d.follow(second, http.StateClosed)
		if d.come(t) == nil {
			t.Error("who leaves by himself leaves room")
		}
	})
}
