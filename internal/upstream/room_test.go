package upstream

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/apierr"
)

const mib = 1 << 20

// roomy is a client with room of its own size, which only TakeRoom is asked of.
func roomy(all, each int64) *Client { return &Client{rooms: newRooms(all, each)} }

// large is a question whose answer takes so much room.
func large(room int64) *Question { return &Question{Most: UsualAnswer + room} }

// taken is the room of a question.
func (c *Client) taken(t *testing.T, who string, room int64) (release func()) {
	t.Helper()
	release, err := c.TakeRoom(t.Context(), who, large(room))
	if err != nil {
		t.Fatalf("%s is refused %d bytes: %v", who, room, err)
	}
	return release
}

// refused is how long a question waits in vain, and with what it is refused.
func (c *Client) refused(t *testing.T, who string, room int64) (*apierr.Error, time.Duration) {
	t.Helper()
	began := time.Now()
	_, err := c.TakeRoom(t.Context(), who, large(room))
	e, ok := errors.AsType[*apierr.Error](err)
	if !ok {
		t.Fatalf("%s gets %v, want a refusal", who, err)
	}
	return e, time.Since(began)
}

// allFree fails if anything is left behind.
func (c *Client) allFree(t *testing.T, all int64) {
	t.Helper()
	if !c.rooms.all.TryAcquire(all) || len(c.rooms.of) > 0 {
		t.Errorf("an answer that nobody needs any more still has room; users known: %d", len(c.rooms.of))
	}
}

// TestWhoFindsNoRoomIsToldSoSoon, and whoever comes in that time gets what is freed.
func TestWhoFindsNoRoomIsToldSoSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := roomy(3*mib, 3*mib)
		ana := c.taken(t, "ana", 2*mib)
		if e, after := c.refused(t, "bob", 2*mib); e.Status != 503 || e.Code != "overloaded" || e.RetryAfter <= 0 || e.Final || after != roomPatience {
			t.Errorf("%+v after %v, want a 503 that may be tried again, after %v", e, after, roomPatience)
		}
		c.taken(t, "bob", mib)() // what fits is not refused
		go func() { time.Sleep(time.Second); ana() }()
		c.taken(t, "bob", 2*mib)()
		c.allFree(t, 3*mib)
	})
}

// TestNobodyHasAllTheRoom: the user who holds all that one may is refused more, and
// stands in nobody's way.
func TestNobodyHasAllTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := roomy(4*mib, 2*mib)
		first, second := c.taken(t, "mallory", mib), c.taken(t, "mallory", mib)
		waiting := make(chan struct{})
		go func() {
			defer close(waiting)
			if e, after := c.refused(t, "mallory", mib); e.Status != 503 || !strings.Contains(e.Message, "to you") || e.RetryAfter <= 0 || after != roomPatience {
				t.Errorf("%+v after %v, want a 503 about what is theirs after %v", e, after, roomPatience)
			}
		}()
		synctest.Wait()
		began := time.Now()
		victim := c.taken(t, "ana", 2*mib)
		if waited := time.Since(began); waited > 0 {
			t.Errorf("another waits %v behind who holds enough", waited)
		}
		<-waiting
		for _, release := range []func(){first, second, victim} {
			release()
		}
		c.allFree(t, 4*mib)
	})
}

// TestOneUserMayHaveHalfOfTheRoom, which is enough for the largest answer.
func TestOneUserMayHaveHalfOfTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := roomy(answerRoom, userRoom)
		mallory := c.taken(t, "mallory", MaxAnswer)
		c.refused(t, "mallory", MaxAnswer)
		ana := c.taken(t, "ana", MaxAnswer)
		mallory()
		ana()
		c.allFree(t, answerRoom)
	})
}

// TestWhoLeavesWhileWaitingForRoomIsNotRefused: nobody would read it.
func TestWhoLeavesWhileWaitingForRoomIsNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := roomy(mib, mib)
		ana := c.taken(t, "ana", mib)
		ctx, leave := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); leave() }()
		began := time.Now()
		if _, err := c.TakeRoom(ctx, "bob", large(mib)); err != context.Canceled || time.Since(began) != time.Second {
			t.Errorf("%v after %v, want %v at once", err, time.Since(began), context.Canceled)
		}
		ana()
		c.allFree(t, mib)
	})
}

// TestUsualAnswersNeedNoRoom.
func TestUsualAnswersNeedNoRoom(t *testing.T) {
	c := roomy(1, 1)
	for _, most := range []int64{0, 1, UsualAnswer} {
		if release, err := c.TakeRoom(t.Context(), "ana", &Question{Most: most}); err != nil {
			t.Errorf("%d bytes: %v", most, err)
		} else {
			release()
		}
	}
	c.allFree(t, 1)
}

// TestAnAnswerGivesBackTheRoomItDoesNotNeed once it is read: what can come is much
// more than what mostly does.
func TestAnAnswerGivesBackTheRoomItDoesNotNeed(t *testing.T) {
	for _, size := range []int{10, UsualAnswer, UsualAnswer + 2*mib} {
		sent := bytes.Repeat([]byte("x"), size)
		c := provider(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(sent) })
		q := Question{To: Embeddings, Body: []byte(`{}`), Most: MaxAnswer}
		release, err := c.TakeRoom(t.Context(), "ana", &q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Ask(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		body, err := got.ReadAll(nil)
		got.Close()
		if err != nil || !bytes.Equal(body, sent) {
			t.Errorf("%d bytes, %v; want all %d", len(body), err, size)
		}
		if held, needs := q.place.size(), max(0, int64(len(body))-UsualAnswer); held != needs {
			t.Errorf("an answer of %d bytes in %d keeps %d of room, want %d", size, cap(body), held, needs)
		}
		release()
		c.allFree(t, answerRoom)
	}
}

// TestAnAnswerIsNoLargerThanItsQuestionAllows, and never than MaxAnswer; nor than
// usual where no room was taken.
func TestAnAnswerIsNoLargerThanItsQuestionAllows(t *testing.T) {
	c := provider(t, func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, mib); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	for _, tt := range []struct {
		asked, most int64
		room        bool
	}{{0, UsualAnswer, true}, {10, UsualAnswer, true}, {UsualAnswer + mib, UsualAnswer + mib, true}, {1 << 40, MaxAnswer, true}, {MaxAnswer, UsualAnswer, false}} {
		q := Question{Body: []byte(`{}`), Most: tt.asked}
		if tt.room {
			release, err := c.TakeRoom(t.Context(), "ana", &q)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
		}
		got, err := c.Ask(t.Context(), q)
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
