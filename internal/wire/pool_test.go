package wire

import (
	"io"
	"strings"
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
