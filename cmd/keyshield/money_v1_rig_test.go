package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/sim"
)

// v1Ask is one way to spend money with a body of one's own: an endpoint of
// OpenAI's, whole or streamed, or one of the hooks'.
type v1Ask struct {
	name   string
	path   string
	stream bool
	words  bool                     // the answer is text, of which a stream has chunks
	body   func(text string) string // a request with this text
}

// v1Asks are all that cost something.
func v1Asks() []v1Ask {
	chat, responses, embeddings := wayTo("chat"), wayTo("responses"), wayTo("embeddings")
	quoted := func(text string) string { b, _ := json.Marshal(text); return string(b) } // of a string: it cannot fail
	return []v1Ask{
		{"chat", chat.path, false, true, func(s string) string { return chat.body(s) }},
		{"chat, streamed", chat.path, true, true, func(s string) string { return chat.body(s, streaming) }},
		{"responses", responses.path, false, true, func(s string) string { return responses.body(s) }},
		{"responses, streamed", responses.path, true, true, func(s string) string { return responses.body(s, streaming) }},
		{"embeddings", embeddings.path, false, false, func(s string) string { return embeddings.body(s, `"model":"text-embedding-3-large","dimensions":8`) }},
		{"useChat", "/api/chat", true, true, func(s string) string {
			return `{"id":"c","trigger":"submit-message","messages":[{"id":"m","role":"user","parts":[{"type":"text","text":` + quoted(s) + `}]}]}`
		}},
		{"useCompletion", "/api/completion", true, true, func(s string) string { return `{"prompt":` + quoted(s) + `}` }},
	}
}

// openPurseV1 is a purse with everything open.
func openPurseV1(t testing.TB, extra ...string) *purse {
	t.Helper()
	return openPurseV1In(t, t.TempDir(), extra...)
}

func openPurseV1In(t testing.TB, data string, extra ...string) *purse {
	t.Helper()
	return openPurseIn(t, data, append([]string{
		"ENDPOINTS=text,chat,responses,embeddings,moderations", fmt.Sprint("MAX_OUTPUT_TOKENS_V1=", moneyOutput),
		"MODELS=gpt-6-luna,gpt-6-sol,gpt-6-astra,gpt-5,gpt-4o-mini,gpt-3.5-turbo,text-embedding-3-small,text-embedding-3-large",
	}, extra...)...)
}

// v1Verdict is how a request ended: the status and the code of a refusal, "200", "200
// then cut" or "left".
type v1Verdict struct {
	said   string
	header http.Header
	body   string
}

// tell asks, and hangs up after so many bytes of the answer, if any. A ledger that
// was slow is asked again, as with send.
func (p *purse) tell(ctx context.Context, token, path, body string, hangUpAfter int) (v v1Verdict) {
	for range 50 {
		if v = p.tellOnce(ctx, token, path, body, hangUpAfter); v.said != "503 unavailable" || v.header.Get("Retry-After") != "2" {
			return v
		}
		p.slow.Add(1)
	}
	return v
}

func (p *purse) tellOnce(ctx context.Context, token, path, body string, hangUpAfter int) v1Verdict {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+path, strings.NewReader(body))
	if err != nil {
		return v1Verdict{said: err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.web.Do(req)
	if err != nil {
		return v1Verdict{said: "no answer"}
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && hangUpAfter > 0 {
		_, _ = io.ReadFull(resp.Body, make([]byte, hangUpAfter))
		return v1Verdict{said: "left"}
	}
	answer, err := io.ReadAll(resp.Body)
	v := v1Verdict{"200", resp.Header, string(answer)}
	switch {
	case resp.StatusCode != http.StatusOK:
		v.said = fmt.Sprint(resp.StatusCode, " ", codeIn(answer))
	case err != nil:
		v.said = "200 then cut"
	}
	return v
}

// codeIn is the code of an error in either shape.
func codeIn(body []byte) string {
	var text struct{ Code string }
	var ours struct{ Error struct{ Code string } }
	if json.Unmarshal(body, &ours) == nil && ours.Error.Code != "" {
		return ours.Error.Code
	}
	_ = json.Unmarshal(body, &text) // what it is not has no code
	return text.Code
}

// rushV1 sends n equal requests at the same moment and counts how they ended.
func (p *purse) rushV1(n int, token, path, body string, hangUpAfter int) map[string]int {
	counts := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range n {
		all.Go(func() {
			<-begin
			v := p.tell(context.Background(), token, path, body, hangUpAfter)
			mu.Lock()
			defer mu.Unlock()
			counts[v.said]++
		})
	}
	close(begin)
	all.Wait()
	return counts
}

// ceilingOfCall is what a request that arrived had to be charged, worked out from
// its bytes alone.
func ceilingOfCall(t testing.TB, q sim.Request) money.USD {
	t.Helper()
	var body struct {
		Model               string
		MaxTokens           int64           `json:"max_tokens"`
		MaxCompletionTokens int64           `json:"max_completion_tokens"`
		MaxOutputTokens     int64           `json:"max_output_tokens"`
		ServiceTier         string          `json:"service_tier"`
		Tools, Functions    json.RawMessage // raw: as they were written
		ResponseFormat      json.RawMessage `json:"response_format"`
		Text                struct{ Format json.RawMessage }
	}
	if err := json.Unmarshal([]byte(q.Body), &body); err != nil || q.Truncated {
		t.Fatalf("what arrived is no request, or was not kept whole: %v", err)
	}
	kinds := map[string]policy.Kind{"/v1/chat/completions": policy.Chat, "/v1/responses": policy.Responses, "/v1/embeddings": policy.Embeddings, "/v1/moderations": policy.Moderations}
	ceiling, err := policy.Reviewed().Ceiling(body.Model, kinds[q.Path], policy.Bounds{
		BodyBytes:   len(q.Body),
		SchemaBytes: len(body.Tools) + len(body.Functions) + len(body.ResponseFormat) + len(body.Text.Format),
		OutputLimit: body.MaxTokens + body.MaxCompletionTokens + body.MaxOutputTokens,
		Tier:        body.ServiceTier,
	}, policy.Same, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ceiling
}

// lastArrived is the last request that OpenAI got.
func (r *rig) lastArrived(t testing.TB) sim.Request {
	t.Helper()
	all := r.sim.Requests()
	if len(all) == 0 {
		t.Fatal("nothing reached OpenAI")
	}
	return all[len(all)-1]
}

// ceilingsV1 are what each of v1Asks is charged with a text of the length of this
// one, by its name.
func ceilingsV1(t testing.TB, text string) map[string]money.USD {
	t.Helper()
	p := openPurseV1(t)
	defer p.stop()
	all := map[string]money.USD{}
	for _, a := range v1Asks() {
		if v := p.tell(t.Context(), p.token("u0"), a.path, a.body(strings.Repeat("x", len(text))), 0); v.said != "200" {
			t.Fatalf("%s: %s %s", a.name, v.said, v.body)
		}
		all[a.name] = ceilingOfCall(t, p.lastArrived(t))
	}
	return all
}

// padded is a text with these words of the simulator, and always as long.
func padded(words string) string {
	const length = 90
	text := "[[sim " + words + "]] hello "
	return text + strings.Repeat(".", length-len(text))
}

// onPlanV1 is a token of a user on a plan.
func onPlanV1(t testing.TB, user, plan string) string {
	t.Helper()
	return mintFor(t, auth.Claims{Subject: user, Plan: plan})
}

// spent is how much more was billed, and counted, while do ran.
type spent struct {
	bill, used nanoUSD
	calls      int64
	books      usageReport
}

func (p *purse) during(do func()) spent {
	p.t.Helper()
	before, report := p.rested(), p.sim.Report()
	do()
	after, now := p.rested(), p.sim.Report()
	return spent{nanoUSD(now.BillNano - report.BillNano), after.Day.Used - before.Day.Used, now.Calls - report.Calls, after}
}
