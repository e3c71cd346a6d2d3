package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"keyshield/internal/money"
)

// TestLedgerEqualsTheBill to the nano-dollar, when nothing goes wrong.
func TestLedgerEqualsTheBill(t *testing.T) { ledgerEqualsTheBill(t, 500) }

func TestSoakLedgerEqualsTheBill(t *testing.T) {
	soak(t)
	ledgerEqualsTheBill(t, 10_000)
}

func ledgerEqualsTheBill(t *testing.T, n int64) {
	p := openPurse(t)
	const users = 20
	tokens := p.tokens(users)
	var answered, refused atomic.Int64
	inTurn(n, 24, func(i int64) {
		token := tokens[rand.IntN(users)]
		q := question{mixedPrompt(), []string{wholeAnswer, streamed, "text/plain"}[rand.IntN(3)]}
		switch i % 10 {
		case 8: // never gets to the ledger
			q.prompt = strings.Repeat("x", 2001)
		case 9:
			token = "x"
		}
		switch v := p.send(t.Context(), token, q, 0); {
		case v.said == "200" && i%10 < 8:
			answered.Add(1)
		case strings.HasPrefix(v.said, "4") && i%10 >= 8:
			refused.Add(1)
		default:
			t.Errorf("request %d ended with %q", i, v.said)
		}
	})
	books, bill := p.rested(), p.bill()
	t.Logf("%d answered, %d refused; billed %v, used %v; the ledger was slow %d times", answered.Load(), refused.Load(), bill, books.Day.Used, p.slow.Load())
	if books.Day.Used != bill || books.Month.Used != bill || books.Day.Proven != bill {
		t.Errorf("used %v today and %v this month, proven %v; OpenAI bills %v", books.Day.Used, books.Month.Used, books.Day.Proven, bill)
	}
	if books.Day.Requests != answered.Load() || books.Day.Unproven != 0 {
		t.Errorf("%d requests, %d unproven; want %d and none", books.Day.Requests, books.Day.Unproven, answered.Load())
	}
	report := p.sim.Report()
	if books.Day.Input != report.TokensIn || books.Day.Output != report.TokensOut {
		t.Errorf("tokens %d in, %d out; OpenAI counts %d and %d", books.Day.Input, books.Day.Output, report.TokensIn, report.TokensOut)
	}
	var sum nanoUSD
	for i, token := range tokens {
		spent := p.mine(token).Day.Spent
		a, err := money.Parse(spent)
		if err != nil {
			t.Fatalf("user %d has spent %q: %v", i, spent, err)
		}
		sum += nanoUSD(a)
	}
	if sum != bill {
		t.Errorf("the users' own accounts add up to %v; OpenAI bills %v", sum, bill)
	}
}

// mine is what /api/usage/me tells of interest.
type mine struct {
	Day struct{ Used, Spent, Held, Left string }
}

func (p *purse) mine(token string) (m mine) {
	p.t.Helper()
	req := p.request("/api/usage/me", "", "Content-Type:", "Authorization: Bearer "+token)
	req.Method, req.Body, req.ContentLength = http.MethodGet, nil, 0
	got := p.do(req)
	if err := json.Unmarshal([]byte(got.body), &m); err != nil || got.status != 200 {
		p.t.Fatalf("usage/me: %d %v %s", got.status, err, got.body)
	}
	return m
}

// inTurn does n things, some at a time.
func inTurn(n int64, workers int, do func(i int64)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				do(i)
			}
		})
	}
	all.Wait()
}

// mixedPrompt is one of many lengths, scripts and answers.
func mixedPrompt() string {
	text := strings.Repeat([]string{"hello ", "Grüß Gott ", "你好 ", `"\` + "\n"}[rand.IntN(4)], 1+rand.IntN(60))
	switch rand.IntN(3) {
	case 0:
		return text
	case 1:
		return fmt.Sprintf("[[sim size=%d]] %s", 1+rand.IntN(900), text)
	}
	return fmt.Sprintf("[[sim harsh chunks=%d]] %s", 1+rand.IntN(20), text)
}

// TestDrillAfterFaultsTheLedgerIsAboveTheBill, by no more than what it charged at the
// ceiling for want of proof.
func TestDrillAfterFaultsTheLedgerIsAboveTheBill(t *testing.T) {
	p := openPurse(t, "UPSTREAM_TIMEOUT=2s", "STREAM_IDLE_TIMEOUT=1s")
	tokens := p.tokens(20)
	words := []string{"status=500 bill", "status=500", "status=503", "status=429", "quota", "html bill", "fault=cut", "fault=eof", "fault=malformed", "fault=reset",
		"fault=error_chunk", "usage=missing", "usage=null", "usage=zero", "usage=negative", "usage=huge", "usage=cached", "fault=reasoning_only", "finish=content_filter", "refusal", "redirect=http://127.0.0.1:1/", "size=300", "harsh"}
	inTurn(600, 24, func(i int64) {
		q := question{fmt.Sprintf("[[sim harsh %s]] %d", strings.TrimSuffix(words[int(i)%len(words)], "harsh"), i), []string{wholeAnswer, streamed}[rand.IntN(2)]}
		if strings.Contains(q.prompt, "chunk") || i%23 == 0 {
			p.sendOnce(t.Context(), tokens[i%20], question{"[[sim harsh chunks=20 pace=3ms]]", streamed}, 10) // leaves
			return
		}
		p.sendOnce(t.Context(), tokens[i%20], q, 0)
	})
	books, bill := p.rested(), p.bill()
	over := books.Day.Used - bill
	t.Logf("billed %v, used %v, of it %v at the ceiling for %d unproven of %d", bill, books.Day.Used, books.Day.AtCeiling, books.Day.Unproven, books.Day.Requests)
	if over < 0 || over > books.Day.AtCeiling {
		t.Errorf("the ledger is %v above the bill; want from 0 to %v", over, books.Day.AtCeiling)
	}
	if books.Day.Unproven == 0 || books.Day.Proven == 0 {
		t.Error("nothing was unproven, or everything: this shows nothing")
	}
}

// TestARefusedRequestLeavesNoTrace in any account, whoever's budget refused it.
func TestARefusedRequestLeavesNoTrace(t *testing.T) {
	q := question{"[[sim harsh usage=missing]] hello", wholeAnswer}
	ceiling := ceilingOf(t, q)
	p := openPurse(t, dollars("BUDGET_DAY", 3*ceiling), dollars("BUDGET_USER_DAY", 2*ceiling-1))
	tokens := p.tokens(9)
	for _, user := range []int{0, 1, 2} {
		if v := p.send(t.Context(), tokens[user], q, 0); v.said != "200" {
			t.Fatalf("user %d got %q", user, v.said)
		}
	}
	before := p.rested()
	p.untouched(func() {
		inTurn(300, 24, func(i int64) {
			if v := p.send(t.Context(), tokens[i%9], q, 0); v.said != "429 budget_exhausted" {
				t.Errorf("got %q", v.said)
			}
		})
	})
	after := p.rested()
	if before.Day.Used != after.Day.Used || before.Month.Used != after.Month.Used || before.Day.Requests != after.Day.Requests || len(after.ByUser) != 3 {
		t.Errorf("before %+v, after %+v, %d users", before.Day, after.Day, len(after.ByUser))
	}
	if m := p.mine(tokens[8]); m.Day.Used != "0.00" && m.Day.Used != "0" {
		t.Errorf("who was only refused has used %s", m.Day.Used)
	}
}
