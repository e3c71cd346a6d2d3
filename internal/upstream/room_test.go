package upstream

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"

	"golang.org/x/sync/semaphore"

	"keyshield/internal/apierr"
)

// TestLargeAnswersTakeTurns: who has no room waits until an answer before it has
// been given, and loses nothing.
func TestLargeAnswersTakeTurns(t *testing.T) {
	large := bytes.Repeat([]byte("x"), maxAnswer+1<<20)
	c := provider(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(large) })
	const more = 2 << 20
	c.room = semaphore.NewWeighted(more + more/2)
	ask := func(ctx context.Context, most int64) *Answer {
		got, err := c.Ask(ctx, Question{To: Embeddings, Body: []byte(`{}`), Most: most})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}

	first := ask(t.Context(), maxAnswer+more)
	if body, err := first.ReadAll(nil); err != nil || !bytes.Equal(body, large) {
		t.Fatalf("%d bytes, %v; want all %d", len(body), err, len(large))
	}
	second, read := ask(t.Context(), maxAnswer+more), make(chan error)
	go func() {
		body, err := second.ReadAll(nil)
		if err == nil && !bytes.Equal(body, large) {
			err = errors.New("another answer than was sent")
		}
		read <- err
	}()
	eventually(t, "the second does not wait for room", func() bool {
		if c.room.TryAcquire(more / 2) {
			c.room.Release(more / 2)
			return false
		}
		return true
	})
	third := ask(t.Context(), maxAnswer+more/2)
	ctx, leave := context.WithCancel(t.Context())
	fourth := ask(ctx, maxAnswer+more)
	leave()
	if _, err := fourth.ReadAll(nil); !errors.Is(err, context.Canceled) {
		t.Errorf("who leaves while waiting gets %v", err)
	}
	fourth.Close()
	select {
	case err := <-read:
		t.Fatalf("the second had its room beside the first: %v", err)
	default:
	}
	first.Close()
	if err := <-read; err != nil {
		t.Errorf("the second: %v", err)
	}
	second.Close()
	if body, err := third.ReadAll(nil); err != nil || len(body) != len(large) {
		t.Errorf("the third: %d bytes, %v", len(body), err)
	}
	third.Close()
	if !c.room.TryAcquire(more + more/2) {
		t.Error("an answer that was closed still has its room")
	}
}

// TestAnAnswerIsNoLargerThanItsQuestionAllows, and never than MaxAnswer.
func TestAnAnswerIsNoLargerThanItsQuestionAllows(t *testing.T) {
	c := provider(t, func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 1<<20); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	for _, tt := range []struct{ asked, most int64 }{{0, maxAnswer}, {10, maxAnswer}, {maxAnswer + 1<<20, maxAnswer + 1<<20}, {1 << 40, MaxAnswer}} {
		got, err := c.Ask(t.Context(), Question{Body: []byte(`{}`), Most: tt.asked})
		if err != nil {
			t.Fatal(err)
		}
		body, err := got.ReadAll(nil)
		got.Close()
		e, ok := errors.AsType[*apierr.Error](err)
		if !ok || e.Code != "upstream_error" || int64(len(body)) < tt.most || int64(cap(body)) > tt.most*2 {
			t.Errorf("asked for %d: %d bytes were read, %v; want an end at %d", tt.asked, len(body), err, tt.most)
		}
	}
}
