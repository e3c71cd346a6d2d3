package sim_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/sim"
)

// promptTokens counts the directive too: the provider sees it.
func promptTokens(prompt string) int64 { return int64(len(prompt)+3) / 4 }

func TestBillIsExact(t *testing.T) {
	long := strings.Repeat("x", 4*272_001)
	for _, c := range []struct {
		name, model, members string
		prompt               string
		project              string
		in, out, nano        int64
	}{
		{"luna", "gpt-6-luna", `"reasoning_effort":"none"`, "[[sim size=40]]", "", 4, 10, 4*100 + 10*500},
		{"a dated snapshot", "gpt-6-luna-2026-09-01", `"reasoning_effort":"none"`, "[[sim size=40]]", "", 4, 10, 4*100 + 10*500},
		{"an unknown model", "gpt-9", `"max_tokens":5`, "[[sim size=40]]", "", 4, 5, 4*10_000 + 5*50_000},
		{"no snapshot", "gpt-6-luna-2026-9-001", `"reasoning_effort":"none"`, "[[sim size=40]]", "", 4, 10, 4*10_000 + 10*50_000},
		{"reasoning", "o4-mini", `"reasoning_effort":"low"`, "[[sim size=40]]", "", 4, 74, 4*1_100 + 74*4_400},
		{"priority", "gpt-4o", `"service_tier":"priority"`, "[[sim size=40]]", "", 4, 10, 2 * (4*2_500 + 10*10_000)},
		{"the project's tier", "gpt-4o", `"service_tier":"auto"`, "[[sim size=40]]", "priority", 4, 10, 2 * (4*2_500 + 10*10_000)},
		{"not the project's tier", "gpt-4o", `"service_tier":"default"`, "[[sim size=40]]", "priority", 4, 10, 4*2_500 + 10*10_000},
		{"flex", "gpt-4o", `"service_tier":"flex"`, "[[sim size=40]]", "", 4, 10, (4*2_500 + 10*10_000) / 2},
		{"long context", "gpt-6-luna", `"reasoning_effort":"none"`, "[[sim size=40]]" + long[15:], "", 272_001, 10, 272_001*200 + 10*750},
		{"half a nano rounds up", "gpt-5.6-luna", `"reasoning_effort":"none","service_tier":"flex"`, "[[sim text=x]]" + long[14:], "", 272_001, 1, 272_001*200 + 900},
		{"n", "gpt-4o", `"n":3`, "[[sim size=40]]", "", 4, 30, 4*2_500 + 30*10_000},
		{"extra tokens", "gpt-4o", `"max_tokens":2`, "[[sim extra_tokens=16]]", "", 6, 18, 6*2_500 + 18*10_000},
		// harsh: a token per byte, and 4 per message + 3
		{"harsh", "gpt-4o", `"max_tokens":20`, "[[sim harsh size=40]]", "", 21 + 7, 20, 28*2_500 + 20*10_000},
		{"harsh tools", "gpt-4o", `"tools":[{"type":"custom","custom":{"name":"a"}}]`, "[[sim harsh text=ab]]", "", 21 + 7 + 82, 2, 110*2_500 + 2*10_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, sim.Options{ProjectTier: c.project})
			bothWays(t, func(t *testing.T, stream bool) {
				w.control(t, "POST", "reset", "", 200)
				body := strings.Replace(completion(c.prompt, stream), `"model":"gpt-6-luna","reasoning_effort":"none"`, `"model":"`+c.model+`",`+c.members, 1)
				if got := w.do(t, w.request(t.Context(), t, body)); got.status != 200 {
					t.Fatalf("got %d %s", got.status, got.body)
				}
				r := w.Report()
				if r.BillNano != c.nano || r.TokensIn != c.in || r.TokensOut != c.out {
					t.Errorf("got %d nano-dollars for %d + %d tokens, want %d for %d + %d", r.BillNano, r.TokensIn, r.TokensOut, c.nano, c.in, c.out)
				}
				if want := (sim.Account{Calls: 1, BillNano: c.nano, TokensIn: c.in, TokensOut: c.out}); r.Models[c.model] != want {
					t.Errorf("got account %+v, want %+v", r.Models[c.model], want)
				}
			})
		})
	}
}

func TestWhoPaysForWhatBroke(t *testing.T) {
	w := start(t, sim.Options{})
	const full = 25 // tokens of the text
	for _, c := range []struct {
		words string
		in    bool
		out   int64
	}{
		{"status=500", false, 0},
		{"status=500 bill", true, full},
		{"status=503 harsh", false, 0},
		{"html", false, 0},
		{"redirect=http://127.0.0.1:1/ bill", true, full},
		{"fault=reset", true, 0},
		{"fault=cut at=3", true, 3 * 5},
		{"fault=cut at=-1", true, 0},
		{"fault=eof at=2", true, 2 * 5},
		{"fault=error_chunk at=1", true, 5},
		{"fault=no_done", true, full},
		{"fault=malformed", true, full},
		{"fault=giant amount=64KiB", true, full},
		{"fault=endless_line at=4 amount=64KiB", true, 4 * 5},
	} {
		t.Run(c.words, func(t *testing.T) {
			w.control(t, "POST", "reset", "", 200)
			prompt := "[[sim " + c.words + " chunks=5 text=" + strings.Repeat("x", 4*full) + "]]"
			w.ask(t, prompt, true)
			r := w.Report()
			var in, out int64
			if c.in {
				in, out = promptTokens(prompt), c.out
			}
			if strings.Contains(c.words, "harsh") {
				in = 0
			}
			if r.TokensIn != in || r.TokensOut != out || r.BillNano != in*100+out*500 {
				t.Errorf("got %d + %d tokens for %d, want %d + %d", r.TokensIn, r.TokensOut, r.BillNano, in, out)
			}
		})
	}
	w.control(t, "POST", "reset", "", 200)
	prompt := "[[sim harsh fault=cut chunks=5 text=0123456789]]"
	w.ask(t, prompt, true)
	if r := w.Report(); r.TokensOut != 10 || r.TokensIn != int64(len(prompt))+7 {
		t.Errorf("harsh: got %d + %d tokens for a cut answer, want all of it", r.TokensIn, r.TokensOut)
	}
}

func TestCancelledCallsAreBilled(t *testing.T) {
	for words, out := range map[string]int64{
		"":        6 * 5,
		"harsh":   20 * 20,
		"model=x": 6 * 5, // billed as what was asked
	} {
		bubble(t, sim.Options{}, func(t *testing.T, w *world) {
			ctx, leave := context.WithTimeout(t.Context(), 5500*time.Millisecond)
			defer leave()
			resp, err := w.client.Do(w.request(ctx, t, completion("[[sim bytes=20 size=400 pace=1s "+words+"]]", true)))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body) // until it leaves
			resp.Body.Close()
			synctest.Wait()
			r := w.Report()
			if r.TokensOut != out || r.TokensIn == 0 || r.BillNano != r.TokensIn*100+out*500 || r.Models["gpt-6-luna"].BillNano != r.BillNano {
				t.Errorf("%q: got %d tokens out for %d, want %d", words, r.TokensOut, r.BillNano, out)
			}
		})
	}
}

func TestEveryDepartureOfTwentyIsCounted(t *testing.T) {
	w := start(t, sim.Options{Behaviour: sim.Behaviour{Fault: sim.HangMid}})
	ctx, leave := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 20 {
		r := w.request(ctx, t, completion("hello", true))
		clients.Go(func() {
			if resp, err := w.client.Do(r); err == nil {
				<-ctx.Done()
				resp.Body.Close()
			}
		})
	}
	w.until(t, func(r sim.Report) bool { return r.OpenStreams == 20 })
	left := time.Now()
	leave()
	clients.Wait()
	r := w.until(t, func(r sim.Report) bool { return r.Cancelled == 20 })
	if len(r.Cancellations) != 20 || r.Open != 0 {
		t.Errorf("got %d cancellations, %d open; want 20 and none", len(r.Cancellations), r.Open)
	}
	for _, c := range r.Cancellations {
		if c.At.Before(left) || c.ID == "" {
			t.Errorf("got %+v, want an id and a time after %v", c, left)
		}
	}
}

// Whatever happens to a call, it is counted once; and the parts make the whole.
func TestBooksBalanceUnderLoad(t *testing.T) {
	w := start(t, sim.Options{Record: -1})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for n := range 25 {
				words := []string{"", "status=500", "status=503 bill", "fault=cut", "fault=eof", "fault=reset", "nonsense", "chunks=50", "fault=hang_before"}[(i+n)%9]
				ctx, leave := context.WithCancel(t.Context())
				if strings.Contains(words, "hang") {
					ctx, leave = context.WithTimeout(t.Context(), 5*time.Millisecond)
				}
				w.do(t, w.request(ctx, t, completion(fmt.Sprintf("[[sim %s]] %d", words, n), n%2 == 0)))
				leave()
			}
		})
	}
	clients.Wait()
	r := w.until(t, func(r sim.Report) bool { return r.Open == 0 })
	if r.Calls != r.Completed+r.Refused+r.Failed+r.Cancelled || r.OpenStreams != 0 || r.Completed == 0 || r.Refused == 0 || r.Failed == 0 {
		t.Errorf("got %+v, want every call to have ended in one way", r)
	}
	if a := r.Models["gpt-6-luna"]; a.BillNano != r.BillNano || r.BillNano != r.TokensIn*100+r.TokensOut*500 || a.TokensOut != r.TokensOut {
		t.Errorf("got %+v in %+v, want the bill to be its parts", a, r)
	}
}
