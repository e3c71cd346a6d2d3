package ledgertest

import (
	"context"
	"testing"
	"time"

	"keyshield/internal/ledger"
)

func testOrphans(t *testing.T, b *bench) {
	b.clock.Pass(90 * time.Second)
	ended, open := b.send("ana", 10, uncapped()), b.send("ben", 20, uncapped())
	b.reserve("eve", 5, uncapped()) // never used: but only its own process knows that
	b.settle(ended, 4)
	b.used("ana", 29, 29, 4, 4)
	b.crash()
	mine := b.send("ben", 7, uncapped())
	want := map[string]ledger.Orphan{
		open.Request().ID: {ID: open.Request().ID, User: person("ben"), Model: "gpt-6-luna", Ceiling: 20, At: noon.Add(90 * time.Second)},
		"request-3":       {ID: "request-3", User: person("eve"), Model: "gpt-6-luna", Ceiling: 5, At: noon.Add(90 * time.Second)},
	}
	for range len(want) {
		select {
		case got := <-b.orphans:
			if got != want[got.ID] {
				t.Errorf("told of %+v, want %+v", got, want[got.ID])
			}
			delete(want, got.ID)
		case <-time.After(20 * time.Second):
			t.Fatalf("nobody was told of %+v", want)
		}
	}
	b.used("ben", 36, 36, 27, 27)
	if b.ends.Load() == 0 {
		t.Error("the news of orphans became durable before their records could")
	}
	b.settle(mine, 1)
	b.standing("ben")
	select {
	case o := <-b.orphans:
		t.Errorf("told of %+v, whose process lives", o)
	default:
	}
}

// testBeforeEnd: whoever keeps records hears of an end before it is durable, and
// of nothing else.
func testBeforeEnd(t *testing.T, b *bench) {
	var holds []*ledger.Hold
	for range 4 {
		holds = append(holds, b.reserve("ana", 10, uncapped()))
	}
	for _, h := range holds[:3] {
		if err := h.Use(); err != nil {
			t.Fatal(err)
		}
	}
	b.refused("budget_exhausted", "ana", 10, daily(0))
	b.disable(ledger.DisableRequest{User: person("eve"), By: "cli"})
	b.standing("ana")
	if n := b.ends.Load(); n != 0 {
		t.Errorf("called %d times though nothing has ended", n)
	}
	for i, end := range []func(*ledger.Hold){func(h *ledger.Hold) { b.settle(h, 3) }, (*ledger.Hold).Free, (*ledger.Hold).Close} {
		before := b.ends.Load()
		end(holds[i])
		b.standing("ana")
		if b.ends.Load() == before {
			t.Errorf("end %d became durable before its record could", i)
		}
	}
	before := b.ends.Load()
	if err := b.ledger.Close(); err != nil { // frees the fourth
		t.Fatal(err)
	}
	if b.ends.Load() == before {
		t.Error("Close ended a hold before its record could be written")
	}
	if _, err := b.ledger.Find(context.Background(), "ana"); err == nil {
		t.Error("found in a closed ledger")
	}
	b.open()
}
