package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// Thousands of streams share a pool: one long event must not stay in it.
func TestLongEventsLeaveNoLargeBufferBehind(t *testing.T) {
	long := "event: " + strings.Repeat("x", 1000) + "\ndata: " + strings.Repeat("x", maxEvent/2) + "\n\n"
	e := NewEvents(io.MultiReader(strings.NewReader(long), strings.NewReader("data: a\n\n"), strings.NewReader("data: b\n\n")))
	for _, want := range []int{maxEvent / 2, 1, 1} {
		if ev, err := e.Next(); len(ev.Data) != want || err != nil {
			t.Fatalf("%d bytes, %v; want %d", len(ev.Data), err, want)
		}
	}
	if cap(e.buf) > keepBuffer {
		t.Errorf("the stream goes on with a buffer of %d", cap(e.buf))
	}

	e.Reset(strings.NewReader(long))
	if _, err := e.Next(); err != nil || cap(e.buf) <= keepBuffer {
		t.Fatalf("%v with a buffer of %d", err, cap(e.buf))
	}
	if e.Reset(nil); cap(e.buf) > firstBuffer || cap(e.name) > 64 || e.r != nil {
		t.Errorf("%d and %d bytes would go to the pool", cap(e.buf), cap(e.name))
	}
}

// spoken brings an event at every read that has room for it.
type spoken struct {
	e     *Events
	empty int   // reads of nothing,
	held  int   // and the buffer at the last of them
	err   error // of the reads of nothing
}

func (s *spoken) Read(p []byte) (int, error) {
	if len(p) == 0 {
		s.empty++
		s.held = cap(s.e.buf)
		return 0, s.err
	}
	return copy(p, "data: a\n\n"), nil
}

func TestWhoWaitsForAnEventHoldsNoBuffer(t *testing.T) {
	s := new(spoken)
	s.e = NewEvents(s)
	for range 3 {
		if ev, err := s.e.Next(); string(ev.Data) != "a" || err != nil {
			t.Fatalf("%q, %v", ev.Data, err)
		}
	}
	if s.empty != 2 || s.held != 0 {
		t.Errorf("waited %d times in three events, at last with a buffer of %d; want 2 and 0", s.empty, s.held)
	}
	s.err = errors.New("connection reset")
	for range 2 {
		if _, err := s.e.Next(); err != s.err {
			t.Errorf("the wait ended with %v, and the stream with %v", s.err, err)
		}
	}
}

// That a read of nothing waits is nowhere promised. Without it nothing would break,
// but each stream would wait with a buffer.
func TestBodiesWaitInAReadOfNothing(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %t", h2), func(t *testing.T) {
			speak := make(chan struct{})
			var spoke atomic.Bool
			web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush()
				<-speak
				spoke.Store(true)
				io.WriteString(w, "data: a\n\n")
			}))
			web.EnableHTTP2 = h2
			web.StartTLS()
			defer web.Close()
			resp, err := web.Client().Get(web.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			close(speak)
			if _, err := resp.Body.Read(nil); err != nil || !spoke.Load() {
				t.Errorf("a read of nothing came back with %v; had anything been said: %t", err, spoke.Load())
			}
			if all, err := io.ReadAll(resp.Body); string(all) != "data: a\n\n" || err != nil {
				t.Errorf("%q, %v", all, err)
			}
		})
	}
}
