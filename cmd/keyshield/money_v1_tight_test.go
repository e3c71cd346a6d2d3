package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"keyshield/internal/money"
)

// mixedV1 is a request of any endpoint, model, form and length, which is answered. An
// alias with snapshots at several prices (gpt-3.5-turbo) is not among the models: it
// costs as much as the dearest, and OpenAI bills what answered.
func mixedV1(i int64) (path, body string) {
	text := mixedPrompt()
	pick := func(of ...string) string { return of[rand.IntN(len(of))] }
	tool := `{"type":"function","function":{"name":"f","description":"Grüße 你好","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}`
	flat := `{"type":"function","name":"f","description":"Grüße","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}`
	form := pick(streaming, `"stream":false`)
	switch i % 9 {
	case 0, 1:
		return "/v1/chat/completions", wayTo("chat").body(text, form, pick(`"model":"gpt-6-luna"`, `"model":"gpt-6-sol"`, `"model":"gpt-4o-mini"`, `"model":"gpt-6-astra","reasoning_effort":"low"`), `"max_tokens":`+pick("1", "20", "4000"))
	case 2:
		return "/v1/chat/completions", wayTo("chat").body("[[sim harsh tool=f calls=2]] "+strings.Repeat("ü", rand.IntN(50)), form, `"tools":[`+tool+`]`)
	case 3:
		return "/v1/chat/completions", wayTo("chat").body("[[sim harsh]] JSON, please", form, `"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"é":{"type":"string","description":"`+strings.Repeat("d", rand.IntN(90))+`"}}}}}`)
	case 4, 5:
		return "/v1/responses", wayTo("responses").body(text, form, pick(`"model":"gpt-6-luna"`, `"model":"gpt-4o-mini"`, `"model":"gpt-5","reasoning":{"effort":"minimal"}`), `"instructions":`+pick(`"Be brief."`, `null`), `"max_output_tokens":`+pick("16", "90", "4000"))
	case 6:
		return "/v1/responses", wayTo("responses").body("[[sim harsh tool=f]] hi", form, `"tools":[`+flat+`]`)
	case 7:
		hook := v1Asks()[5+rand.IntN(2)]
		return hook.path, hook.body(text)
	}
	return "/v1/embeddings", wayTo("embeddings").body(pick("[[sim harsh]] ", "")+"a text "+strings.Repeat("é", rand.IntN(200)), pick(`"model":"text-embedding-3-small"`, `"model":"text-embedding-3-large"`), `"dimensions":4`, `"encoding_format":`+pick(`"base64"`, `"float"`))
}

// TestDrillLedgerEqualsTheBillOnV1 to the nano-dollar, with all endpoints, several models
// and users mixed, and requests among them that are refused.
func TestDrillLedgerEqualsTheBillOnV1(t *testing.T) {
	p := openPurseV1(t)
	tokens := p.tokens(12)
	var answered atomic.Int64
	inTurn(350, 16, func(i int64) {
		path, body := mixedV1(i)
		want := "200"
		switch {
		case i%25 == 7:
			path, body, want = "/v1/moderations", wayTo("moderations").body("hello"), "200"
		case i%20 == 13:
			body, want = strings.Replace(body, "{", `{"n2":1,`, 1), "400 unknown_field"
		}
		if v := p.tell(t.Context(), tokens[rand.IntN(12)], path, body, 0); v.said != want {
			t.Errorf("%s %.300s: %q, want %q: %.300s", path, body, v.said, want, v.body)
		} else if want == "200" {
			answered.Add(1)
		}
	})
	books, bill, report := p.rested(), p.bill(), p.sim.Report()
	t.Logf("%d answered; billed %v, used %v; the ledger was slow %d times", answered.Load(), bill, books.Day.Used, p.slow.Load())
	if bill == 0 || books.Day.Used != bill || books.Month.Used != bill || books.Day.Proven != bill || books.Day.Unproven != 0 {
		t.Errorf("used %v today and %v this month, proven %v, %d unproven; OpenAI bills %v", books.Day.Used, books.Month.Used, books.Day.Proven, books.Day.Unproven, bill)
	}
	if books.Day.Requests != answered.Load() || report.Calls != answered.Load() || books.Day.Input != report.TokensIn || books.Day.Output != report.TokensOut {
		t.Errorf("%d requests, %d tokens in, %d out; OpenAI counts %d, %d, %d; %d were answered", books.Day.Requests, books.Day.Input, books.Day.Output, report.Calls, report.TokensIn, report.TokensOut, answered.Load())
	}
	var sum nanoUSD
	for _, token := range tokens {
		a, err := money.Parse(p.mine(token).Day.Spent)
		if err != nil {
			t.Fatal(err)
		}
		sum += nanoUSD(a)
	}
	if sum != bill {
		t.Errorf("the users' own accounts add up to %v; OpenAI bills %v", sum, bill)
	}
}

// TestDrillAfterFaultsTheLedgerIsAboveTheBillOnV1, by no more than what it charged at the
// ceiling for want of proof; whoever lies about the usage, and however.
func TestDrillAfterFaultsTheLedgerIsAboveTheBillOnV1(t *testing.T) {
	p := openPurseV1(t, "UPSTREAM_TIMEOUT=2s", "STREAM_IDLE_TIMEOUT=1s")
	tokens := p.tokens(12)
	speak := []string{"fault=error_chunk", "fault=error_event", "fault=failed", "fault=null_content", "fault=reasoning_only", "fault=no_done", "finish=content_filter", "refusal", "choices=3", "size=300", "fault=invalid_utf8", "leak=whole", "escape", "usage=cached"}
	words := []string{"status=500 bill", "status=500", "status=503", "status=429", "quota", "html bill", "status=400", "status=401", "fault=cut", "fault=cut at=-1", "fault=eof", "fault=malformed", "fault=reset", "fault=hang_mid", "fault=hang_before",
		"usage=missing", "usage=null", "usage=zero", "usage=negative", "usage=huge", "usage=written", "redirect=http://127.0.0.1:1/", "fault=giant amount=200000", "content_type=text/plain", "leak=header"}
	asks := v1Asks()
	inTurn(int64(len(asks)*(len(words)+len(speak))), 16, func(i int64) {
		a := asks[(i-1)%int64(len(asks))]
		way := append(words, speak...)[(i-1)/int64(len(asks))]
		if !a.words && int(i-1)/len(asks) >= len(words) {
			way = "usage=cached"
		}
		p.tell(t.Context(), tokens[i%12], a.path, a.body("[[sim harsh "+way+"]] hello"), 0)
		if a.stream {
			p.tell(t.Context(), tokens[i%12], a.path, a.body("[[sim harsh chunks=9 pace=2ms]] hello"), 1+int(i%700)) // leaves
		}
	})
	books, bill := p.rested(), p.bill()
	over := books.Day.Used - bill
	t.Logf("billed %v, used %v, of it %v at the ceiling for %d unproven of %d", bill, books.Day.Used, books.Day.AtCeiling, books.Day.Unproven, books.Day.Requests)
	if over < 0 || over > books.Day.AtCeiling || books.Day.Unproven == 0 || books.Day.Proven == 0 {
		t.Errorf("the ledger is %v above the bill; want from 0 to %v, and some of both", over, books.Day.AtCeiling)
	}
}

// TestALieAboutTheModelCostsNothingLess: who answers as a cheaper model, a dearer
// one or one that nobody knows is priced as the dearer of the two, or not proven.
func TestALieAboutTheModelCostsNothingLess(t *testing.T) {
	for _, a := range v1Asks() {
		p := openPurseV1(t) // what is too dear three times is stopped for all
		for i, model := range []string{"gpt-5-nano", "gpt-6-astra", "unheard-of", "gpt-6-luna-2026-09-01", "text-embedding-3-large", "omni-moderation-latest"} {
			token := p.token(fmt.Sprint("u", i)) // and who causes it at once
			s := p.during(func() { p.tell(t.Context(), token, a.path, a.body("[[sim harsh model="+model+"]] hello"), 0) })
			if s.bill == 0 || s.used < s.bill {
				t.Errorf("%s answered by %s: used %v, billed %v", a.name, model, s.used, s.bill)
			}
		}
	}
}

// TestMoreThanTheCeilingIsBookedInFull: what a model writes beyond every bound is in
// the books, and stops the user.
func TestMoreThanTheCeilingIsBookedInFull(t *testing.T) {
	for _, a := range v1Asks() {
		if !a.words {
			continue
		}
		p := openPurseV1(t)
		token := p.token("ana")
		body := a.body("[[sim harsh extra_tokens=9000]] hello")
		s := p.during(func() { p.tell(t.Context(), token, a.path, body, 0) })
		if ceiling := nanoUSD(ceilingOfCall(t, p.lastArrived(t))); s.used != s.bill || s.bill <= ceiling {
			t.Errorf("%s: used %v, billed %v, the ceiling was %v", a.name, s.used, s.bill, ceiling)
		}
		p.untouched(func() {
			if v := p.tell(t.Context(), token, a.path, body, 0); !strings.HasPrefix(v.said, "403 ") && !strings.HasPrefix(v.said, "404 ") && !strings.HasPrefix(v.said, "503 ") {
				t.Errorf("%s: afterwards the user gets %q", a.name, v.said)
			}
		})
	}
}
