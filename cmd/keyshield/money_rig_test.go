package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/policy"
)

const (
	luna        = "gpt-6-luna"
	moneyOutput = 100 // MAX_OUTPUT_TOKENS of these tests
)

// purse is a rig with a ledger whose books can be read.
type purse struct {
	*rig
	data string
	env  []string
	slow atomic.Int64 // refusals for a slow ledger, each followed by another try
}

// openPurse runs serve with these settings; nothing but money refuses.
func openPurse(t testing.TB, extra ...string) *purse {
	t.Helper()
	return openPurseIn(t, t.TempDir(), extra...)
}

func openPurseIn(t testing.TB, data string, extra ...string) *purse {
	t.Helper()
	env := append([]string{"DATA_DIR=" + data, fmt.Sprint("MAX_OUTPUT_TOKENS=", moneyOutput), "MAX_STREAMS_PER_USER=off",
		"MAX_IN_FLIGHT=4000", "MAX_PROMPT_CHARS=2000", "LOG_LEVEL=info"}, extra...)
	return &purse{rig: start(t, env...), data: data, env: env}
}

// books are what `keyshield usage --json` says beside the running server.
func (p *purse) books() (report usageReport) {
	p.t.Helper()
	environ := []string{"BUDGET_MONTH=100000", "BUDGET_DAY=100000"}
	out, log := newLogbook("the books of "+p.t.Name()), newLogbook("a log of usage")
	if code := run(context.Background(), process{args: []string{"usage", "--json", "--top", "0"}, dir: p.t.TempDir(), environ: append(environ, p.env...), stdout: out, stderr: log}); code != exitOK {
		p.t.Fatalf("usage ended with %d: %s", code, log)
	}
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		p.t.Fatal(err)
	}
	if !report.Running {
		p.t.Error("the books are not the running server's")
	}
	return report
}

// rested are the books once no call is under way.
func (p *purse) rested() (report usageReport) {
	p.t.Helper()
	p.calm()
	if !eventually(p.t, 10*time.Second, func() bool { report = p.books(); return report.Day.Open == 0 }) {
		p.t.Errorf("%v is still held, and no call is open", report.Day.Open)
	}
	return report
}

// bill is what the simulator would send.
func (p *purse) bill() nanoUSD { return nanoUSD(p.sim.Report().BillNano) }

// question is a kind of request.
type question struct{ prompt, accept string }

// ceilingOf is what the question is charged: the encoded request is taken from
// what really arrives.
func ceilingOf(t testing.TB, q question, extra ...string) money.USD {
	t.Helper()
	p := openPurse(t, extra...)
	p.send(t.Context(), p.token("u0"), q, 0)
	sent := p.sim.Requests()
	p.stop()
	if len(sent) == 0 {
		t.Fatal("nothing arrived")
	}
	var body struct{ Model string }
	if err := json.Unmarshal([]byte(sent[0].Body), &body); err != nil {
		t.Fatal(err)
	}
	bounds := policy.Bounds{BodyBytes: len(sent[0].Body), OutputLimit: moneyOutput}
	ceiling, err := policy.Reviewed().Ceiling(body.Model, policy.Chat, bounds, policy.Same, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ceiling
}

// dollars is an amount as a setting.
func dollars(name string, a money.USD) string { return name + "=" + a.String()[1:] }

// verdict is how a request ended: the status and code of a refusal, or the status.
type verdict struct {
	said  string
	after string // Retry-After
}

// send asks, and hangs up after so many bytes of the answer, if any. A ledger that
// was slow past its 250 ms is asked again, as SDKs do: a loaded machine is not
// what these tests are about.
func (p *purse) send(ctx context.Context, token string, q question, hangUpAfter int) (v verdict) {
	for range 50 {
		if v = p.sendOnce(ctx, token, q, hangUpAfter); v.said != "503 unavailable" {
			return v
		}
		p.slow.Add(1)
	}
	return v
}

func (p *purse) sendOnce(ctx context.Context, token string, q question, hangUpAfter int) verdict {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/api/generate-text", strings.NewReader(promptBody(q.prompt)))
	if err != nil {
		return verdict{said: err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	if q.accept != "" {
		req.Header.Set("Accept", q.accept)
	}
	resp, err := p.web.Do(req)
	if err != nil {
		return verdict{said: "no answer"}
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && hangUpAfter > 0 {
		_, _ = io.ReadFull(resp.Body, make([]byte, hangUpAfter))
		return verdict{said: "left"}
	}
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusOK {
		if err != nil {
			return verdict{said: "200 then cut"}
		}
		return verdict{said: "200"}
	}
	var told problem
	_ = json.Unmarshal(body, &told) // what it is not has no code
	return verdict{fmt.Sprint(resp.StatusCode, " ", told.Code), resp.Header.Get("Retry-After")}
}

// tokens of so many users: u0, u1, …
func (p *purse) tokens(users int) (all []string) {
	for i := range users {
		all = append(all, p.token(fmt.Sprint("u", i)))
	}
	return all
}

// rush sends n requests at the same moment and counts how they ended.
func (p *purse) rush(n, users int, q question, hangUpAfter int) map[string]int {
	tokens := p.tokens(users)
	counts := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-begin
			v := p.send(context.Background(), tokens[i%users], q, hangUpAfter)
			mu.Lock()
			defer mu.Unlock()
			counts[v.said]++
		})
	}
	close(begin)
	all.Wait()
	return counts
}
