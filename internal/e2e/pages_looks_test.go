package e2e

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// look is a page as somebody sees it.
type look struct {
	name string
	show func(*testing.T, *visitor, *house)
}

func looks() []look {
	page := func(name string) func(*testing.T, *visitor, *house) {
		return func(t *testing.T, v *visitor, _ *house) { v.goes(t, name) }
	}
	return []look{
		{"playground", func(t *testing.T, v *visitor, h *house) {
			p := &playground{v, h}
			p.opens(t)
			p.sends(t, `[[sim text="Once upon a time there was a key that never left its server. Everybody could ask, and nobody could take it along."]] Tell me a story`)
			p.ends(t)
		}},
		{"playground-refused", func(t *testing.T, v *visitor, h *house) {
			p := &playground{v, h}
			p.opens(t)
			p.do(t, move{Do: "fill", CSS: "#token", Value: "not-a-token"}, nil)
			p.sends(t, "Tell me a story")
			p.ends(t)
			p.do(t, move{Do: "click", Text: "As a client gets it"}, nil)
		}},
		{"sign-in", func(t *testing.T, v *visitor, h *house) {
			v.open(t, "/admin/")
			v.do(t, move{Do: "seen", Role: "heading", Name: "Sign in"}, nil)
		}},
		{"now", func(t *testing.T, v *visitor, h *house) {
			v.enter(t, h)
			v.until(t, `() => document.querySelectorAll('.plot canvas').length === 2`, nil)
			for i, latency := range []string{"2s", "400ms", "2s", "1s", "3s"} { // long enough for a few looks
				h.crowd(t, slices.Repeat([]string{"ana@example.com", "bo@example.com", "cy@example.com"}, 4*(i+1)), `[[sim latency=`+latency+` text="Hello"]] Hi`)
			}
		}},
		{"users", page("Users")},
		{"user", func(t *testing.T, v *visitor, _ *house) {
			v.click(t, "link", "ana@example.com")
			v.until(t, `() => document.querySelector('.plot canvas') && document.querySelectorAll('.when').length > 0`, nil)
		}},
		{"log", func(t *testing.T, v *visitor, _ *house) {
			v.goes(t, "Log")
			v.click(t, "button", "Check the chain")
			v.sees(t, "The audit log is as it was written")
		}},
		{"keys", page("Keys")},
		{"settings", func(t *testing.T, v *visitor, _ *house) {
			v.goes(t, "Settings")
			v.sees(t, "They change with a restart")
		}},
		{"whoami", func(t *testing.T, v *visitor, _ *house) {
			v.goes(t, "Where am I")
			v.sees(t, "you count as")
		}},
		{"stop", func(t *testing.T, v *visitor, _ *house) {
			v.goes(t, "Now")
			v.click(t, "button", "Stop everything…")
			v.sees(t, "Nobody is answered any more")
		}},
		{"bad-day", func(t *testing.T, v *visitor, h *house) {
			v.do(t, move{Do: "press", Key: "Escape"}, nil)
			v.onABadDay(t, h)
			v.sees(t, "Everything is stopped")
		}},
	}
}

// TestEveryPageAtEverySize: on a phone and on a wide screen, in light and in dark,
// nothing is cut off, and axe-core finds nothing serious. KEYSHIELD_SCREENSHOTS is
// where pictures of them go.
func TestEveryPageAtEverySize(t *testing.T) {
	t.Parallel()
	h := startDevWith(t, func(dir string) { fillHours(t, dir) })
	v := visit(t, h)
	for _, l := range looks() {
		l.show(t, v, h)
		for _, width := range []int{360, 1440} {
			for _, dark := range []bool{false, true} {
				name := fmt.Sprintf("%s-%d-%s", l.name, width, map[bool]string{false: "light", true: "dark"}[dark])
				v.do(t, move{Do: "look", Width: width, Height: map[int]int{360: 740, 1440: 900}[width], Dark: dark}, nil)
				if by := v.shot(t, name); by > 0 {
					t.Errorf("%s is %d pixels too wide for its window", name, by)
				}
				var found []string
				v.do(t, move{Do: "axe"}, &found)
				for _, problem := range found {
					t.Errorf("%s: %s", name, problem)
				}
			}
		}
		v.do(t, move{Do: "look", Width: 1440, Height: 900}, nil)
		v.quiet(t, noSession, "/api/generate-text)", "/api/usage/me)")
	}
}

// TestAnEmptyHouse: before anybody has asked, each page says so.
func TestAnEmptyHouse(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.signIn(t, h)
	v.sees(t, "Nobody has asked anything yet this month.")
	v.shot(t, "empty-now-1440-light")
	v.goes(t, "Users")
	v.sees(t, "Nobody has asked anything this month. Whoever does appears here.")
	v.shot(t, "empty-users-1440-light")
	v.quiet(t, noSession)
}

// fillHours makes a ledger with the spending of the last 30 hours: more by day than by
// night.
func fillHours(t *testing.T, dir string) {
	t.Helper()
	const hours = 30
	elapsed := time.Duration(0)
	begin := time.Now().Add(-hours * time.Hour)
	books, err := ledger.Open(t.Context(), ledger.Options{Dir: dir, Clock: func() (time.Time, time.Duration) { return begin.Add(elapsed), elapsed }})
	if err != nil {
		t.Fatal(err)
	}
	users := []string{"ana@example.com", "bo@example.com", "cy@example.com", "auth0|65f1c0ffee"}
	for hour := range hours {
		for i, id := range users {
			calls := 1 + int(3*(1+math.Sin(float64(hour+i)/3.8)))
			for n := range calls {
				used := ledger.Usage{Input: 4200, Output: int64(200 * (n + 1)), Cost: money.USD(20_000_000*(n+1) + 3_333_333*i)}
				if (hour+n)%9 == 0 {
					used = ledger.Usage{}
				}
				charge(t, books, fmt.Sprintf("%d-%d-%d", hour, i, n), id, used)
			}
		}
		if err := books.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		elapsed += time.Hour
	}
	if err := books.Close(); err != nil {
		t.Fatal(err)
	}
}
