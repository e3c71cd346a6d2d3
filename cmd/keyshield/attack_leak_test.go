package main

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// harmless is how much of the key may pass: so much that honest text begins like it
// now and then.
const harmless = 4

// TestTheKeyNeverPassesInText, however the model's words are cut, and whatever form
// they are asked for in. What came before it may have gone out.
func TestTheKeyNeverPassesInText(t *testing.T) {
	t.Parallel()
	r := hasty(t)
	ways := []string{"leak=whole", "leak=bytes", "leak=whole escape", "leak=bytes escape", `leak=whole text="x"`, `leak=whole text="one two"`, "leak=whole bytes=1", "leak=whole fault=cut at=3", "leak=bytes fault=eof at=30",
		"leak=bytes fault=hang_mid at=20", "leak=bytes fault=never_ending", "leak=bytes fault=reset", "leak=whole fault=error_chunk at=3", "leak=whole finish=length", "leak=whole usage=missing", "leak=whole choices=2", "leak=whole refusal"}
	for split := 1; split < len(canary); split++ {
		ways = append(ways, fmt.Sprintf("leak=split split=%d", split))
	}
	var leaked atomic.Int64
	var tries []func()
	for _, way := range ways {
		for _, form := range []string{"json", "events", "text"} {
			tries = append(tries, func() {
				outcome, _, got := r.outcomeOf(form, "[[sim "+way+"]]")
				if strings.Contains(got.body, canary[:harmless+1]) {
					t.Errorf("%s as %s: more than %d bytes of the key passed: %s", way, form, harmless, outcome)
				}
				if strings.Contains(way, "fault=") || strings.Contains(way, "refusal") {
					if outcome == "200" {
						t.Errorf("%s as %s passes for a whole answer", way, form)
					}
					return
				}
				if want := map[string]string{"json": "500 internal", "events": "200 then internal", "text": "200 then cut"}[form]; outcome != want {
					t.Errorf("%s as %s: %s, want %s", way, form, outcome, want)
				}
				leaked.Add(1)
			})
		}
	}
	for len(tries) > 0 {
		n := min(30, len(tries))
		atOnce(tries[:n]...)
		tries = tries[n:]
	}
	want := int(leaked.Load())
	if !eventually(t, 5*time.Second, func() bool { return r.logged(500, "internal", "ERROR")+r.logged(200, "internal", "ERROR") >= want }) {
		t.Errorf("of %d leaks, %d are logged as errors: someone must act", want, r.logged(500, "internal", "ERROR")+r.logged(200, "internal", "ERROR"))
	}
}

// TestAKeyCutShortIsHeldBackToo: the limit on the answer's length may cut it; from
// sixteen bytes on, that is our key and no chance.
func TestAKeyCutShortIsHeldBackToo(t *testing.T) {
	t.Parallel()
	r := hasty(t, "MAX_OUTPUT_TOKENS=150") // of four bytes each, in the simulator
	for n := 1; n < len(canary); n += 3 {
		for _, form := range []string{"json", "events", "text"} {
			words := strings.Repeat("x", 600-n)
			outcome, text, got := r.outcomeOf(form, fmt.Sprintf("[[sim leak=whole text=%s]]", words))
			whole := outcome == "200"
			if whole != (n < 16) {
				t.Errorf("%d bytes of the key at the end, as %s: %s", n, form, outcome)
			}
			if passed := strings.TrimLeft(text, "x"); len(passed) > harmless && !whole || strings.Contains(got.body, canary[:16]) {
				t.Errorf("%d bytes of the key at the end, as %s: %d of them passed", n, form, len(passed))
			}
		}
	}
}

// TestHonestTextIsNotHeldBack, though it begins like the key again and again.
func TestHonestTextIsNotHeldBack(t *testing.T) {
	t.Parallel()
	r := hasty(t)
	for n := 1; n < 24; n++ {
		like := canary[:n] + "! "
		want := strings.TrimSpace(strings.Repeat(like, 8))
		for _, form := range []string{"json", "events", "text"} {
			for _, bytes := range []int{0, 1, 5} {
				outcome, text, _ := r.outcomeOf(form, fmt.Sprintf("[[sim text=%q bytes=%d]]", want, bytes))
				if outcome != "200" || text != want {
					t.Errorf("%d bytes alike, %d at a time, as %s: %s, %d of %d bytes", n, bytes, form, outcome, len(text), len(want))
				}
			}
		}
	}
}
