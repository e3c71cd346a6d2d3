package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"

	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// account is what GET /api/usage/me says.
type account struct {
	Plan     string         `json:"plan"`
	Requests *accountLimit  `json:"requests"`
	Day      *accountWindow `json:"day"`
	Month    *accountWindow `json:"month"`
}

type accountLimit struct {
	Limit     int `json:"limit"`
	Remaining int `json:"remaining"`
	Reset     int `json:"reset"`
}

type accountWindow struct {
	Window           string  `json:"window"`
	Requests         int64   `json:"requests"`
	InputTokens      int64   `json:"input_tokens"`
	OutputTokens     int64   `json:"output_tokens"`
	Used             string  `json:"used"`
	Spent            string  `json:"spent"`
	ChargedAtCeiling string  `json:"charged_at_ceiling"`
	Held             string  `json:"held"`
	Cap              *string `json:"cap"`
	Left             *string `json:"left"`
}

// usageRequest asks for the account; the user is ana unless a header says otherwise.
func (r *rig) usageRequest(headers ...string) *http.Request {
	r.t.Helper()
	req := r.request("/api/usage/me", "", append([]string{"Content-Type:"}, headers...)...)
	req.Method, req.Body, req.ContentLength, req.GetBody = http.MethodGet, nil, 0, nil
	return req
}

// mine is a user's account.
func (r *rig) mine(user string) (a account) {
	r.t.Helper()
	got := r.do(r.usageRequest("Authorization: Bearer " + r.token(user)))
	got.wants200(r.t, jsonForm)
	d := json.NewDecoder(strings.NewReader(got.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil || a.Day == nil || a.Month == nil {
		r.t.Fatalf("the account %s is not as promised: %v", got.body, err)
	}
	return a
}

// settled is a user's account once none of his calls holds anything.
func (r *rig) settled(user string) (a account) {
	r.t.Helper()
	soon(r.t, "the end of all holds", func() bool { a = r.mine(user); return a.Day.Held == "0" })
	return a
}

func TestUsageOfMineSaysWhatIsUsedAndLeft(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	r := start(t, "BUDGET_USER_DAY=3", "RATE_LIMIT_USER=10/1h")
	now := time.Now().UTC()
	window := func(format string, most money.USD, edit func(*accountWindow)) *accountWindow {
		w := &accountWindow{Window: now.Format(format), Used: "0", Spent: "0", ChargedAtCeiling: "0", Held: "0"}
		if edit != nil {
			edit(w)
		}
		if most > 0 {
			limit, left := amountOf(most), amountOf(most-parsed(w.Used))
			w.Cap, w.Left = &limit, &left
		}
		return w
	}
	wants := func(when, user string, remaining int, edit func(*accountWindow)) {
		t.Helper()
		got := r.settled(user)
		if got.Requests == nil || got.Requests.Reset < 0 || got.Requests.Reset > 2*3600 {
			t.Fatalf("%s: requests are %+v", when, got.Requests)
		}
		got.Requests.Reset = 0
		want := account{"default", &accountLimit{10, remaining, 0}, window("2006-01-02", 3*money.Dollar, edit), window("2006-01", 0, edit)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the account of %s (-want +got):\n%s", when, user, diff)
		}
	}
	wants("at first", "ana", 10, nil)

	r.ask("hi").wants200(t, jsonForm)
	report := r.sim.Report()
	spent := money.USD(report.BillNano)
	wants("after an answer", "ana", 9, func(w *accountWindow) {
		w.Requests, w.InputTokens, w.OutputTokens = 1, report.TokensIn, report.TokensOut
		w.Used, w.Spent = amountOf(spent), amountOf(spent)
	})

	r.ask(noProof).wants200(t, jsonForm)
	c := r.ceilingOfLast(policy.Reviewed(), policy.Same)
	wants("after one without usage", "ana", 8, func(w *accountWindow) {
		w.Requests, w.InputTokens, w.OutputTokens = 2, report.TokensIn, report.TokensOut
		w.Used, w.Spent, w.ChargedAtCeiling = amountOf(spent+c), amountOf(spent), amountOf(c)
	})

	r.ask("[[sim status=400]]").wants(t, 502, "upstream_error")
	r.ask("").wants(t, 400, "invalid_prompt")
	wants("after refusals, which leave no trace", "ana", 6, func(w *accountWindow) {
		w.Requests, w.InputTokens, w.OutputTokens = 2, report.TokensIn, report.TokensOut
		w.Used, w.Spent, w.ChargedAtCeiling = amountOf(spent+c), amountOf(spent), amountOf(c)
	})
	wants("of what ana did", "bob", 10, nil)
}

// TestUsageOfMineTellsWhatIsHeld while a call is under way.
func TestUsageOfMineTellsWhatIsHeld(t *testing.T) {
	t.Parallel()
	r := start(t)
	openStream(t, r)
	c := amountOf(r.ceilingOfLast(policy.Reviewed(), policy.Same))
	if day := r.mine("ana").Day; day.Held != c || day.Used != c || day.Spent != "0" || day.ChargedAtCeiling != "0" || day.Requests != 0 {
		t.Errorf("got %+v, want %s held and nothing spent", day, c)
	}
}

// TestUsageOfMineIsForWhoSignedIn, from websites that may call, and free.
func TestUsageOfMineIsForWhoSignedIn(t *testing.T) {
	t.Parallel()
	decoders()
	r := start(t)
	router, err := gorillamux.NewRouter(description(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		headers []string
		status  int
		code    string
	}{
		{[]string{"Authorization:"}, 401, "token_missing"},
		{[]string{"Authorization: Bearer x"}, 403, "token_invalid"},
		{[]string{"Origin: https://evil.example"}, 403, "origin_not_allowed"},
	} {
		got := r.do(r.usageRequest(c.headers...))
		wantsRefusal(t, c.code, got, got.wants(t, c.status, c.code))
		r.conforms(t, router, c.code, r.usageRequest(c.headers...))
	}
	got := r.do(r.usageRequest("Origin: " + origin))
	got.wants200(t, jsonForm)
	if from := got.header.Get("Access-Control-Allow-Origin"); from != origin || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Access-Control-Allow-Origin is %q, Cache-Control %q", from, got.header.Get("Cache-Control"))
	}
	if got := r.preflight("/api/usage/me", origin, "GET", "authorization"); got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("the preflight got %d %v", got.status, got.header)
	}
	r.conforms(t, router, "an account without a rate limit", r.usageRequest())
	if a := r.mine("ana"); a.Requests != nil {
		t.Errorf("without a limit requests are %+v, want null", a.Requests)
	}
	if got := r.post("/api/usage/me", "{}"); got.status != 405 || !strings.Contains(got.header.Get("Allow"), "GET") {
		t.Errorf("POST got %d, Allow %q", got.status, got.header.Get("Allow"))
	}
	if n := r.asked(); n != 0 {
		t.Errorf("%d calls to OpenAI", n)
	}
}

// TestBusyIsNotSpent: while calls under way hold the whole budget, others are told
// to come back in a moment; and when those end, they get through.
func TestBusyIsNotSpent(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	const streams, prompt = 22, "[[sim pace=400ms chunks=10]] hi"
	probe := start(t)
	probe.ask("[[sim pace=001ms chunks=10]] hi", "Accept: text/event-stream").wants200(t, eventForm)
	c := probe.ceilingOfLast(policy.Reviewed(), policy.Same) // of a prompt that is as long
	probe.stop()

	r := start(t, "MAX_STREAMS_PER_USER=off", "BUDGET_DAY="+times(streams, c))
	var open []*http.Response
	for range streams {
		resp, err := r.web.Do(r.request("/api/generate-text", promptBody(prompt), "Accept: text/event-stream"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("stream %d of %d: %d", len(open)+1, streams, resp.StatusCode)
		}
		open = append(open, resp)
	}
	bob := "Authorization: Bearer " + r.token("bob")
	r.untouched(func() {
		for _, accept := range []string{"application/json", "text/event-stream"} {
			got := r.ask("hi", bob, "Accept: "+accept)
			wantsRefusal(t, "busy", got, got.wants(t, 429, "budget_busy"))
			if wait := got.header.Get("Retry-After"); wait != "2" || got.header.Get("X-Should-Retry") != "" {
				t.Errorf("Retry-After %q and x-should-retry %q, want 2 and none: it is worth another try", wait, got.header.Get("X-Should-Retry"))
			}
		}
	})
	for i, resp := range open {
		if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "event: done") {
			t.Errorf("stream %d ended with %v:\n%s", i, err, body)
		}
	}
	r.settled("ana")
	r.ask("hi", bob).wants200(t, jsonForm)
}

// TestTheBreakerStopsAnOutageFromEatingTheBudget, and tries again by itself.
func TestTheBreakerStopsAnOutageFromEatingTheBudget(t *testing.T) {
	t.Parallel()
	r := start(t, "BREAKER=3/10s")
	r.ask("[[sim status=500]]").wants(t, 502, "upstream_error")
	r.ask("[[sim fault=cut]]").wants(t, 502, "upstream_error")
	r.ask("[[sim status=504]]").wants(t, 504, "upstream_timeout")
	opened, before := time.Now(), r.settled("ana")
	r.untouched(func() {
		for _, accept := range []string{"application/json", "text/event-stream", "text/plain"} {
			got := r.ask("hi", "Accept: "+accept, "Authorization: Bearer "+r.token("bob"))
			wantsRefusal(t, "open", got, got.wants(t, 503, "unavailable"))
			if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 1 || wait > 10 {
				t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
			}
		}
	})
	if after := r.settled("ana"); after.Day.Used != before.Day.Used || r.settled("bob").Day.Used != "0" {
		t.Errorf("what the breaker refused is charged: %s, and %s before", after.Day.Used, before.Day.Used)
	}
	soon(t, "another try", func() bool { return r.ask("hi").status == http.StatusOK })
	if waited := time.Since(opened); waited < 1500*time.Millisecond {
		t.Errorf("it was closed after %v, want 2s", waited)
	}
	for range 5 {
		r.ask("hi").wants200(t, jsonForm)
	}
}

// TestOnlyWhatCannotBeProvenOpensTheBreaker: refusals cost nothing, and a client that
// hangs up would stop everyone.
func TestOnlyWhatCannotBeProvenOpensTheBreaker(t *testing.T) {
	t.Parallel()
	r := start(t, "BREAKER=3/10s")
	for range 5 {
		r.ask("[[sim status=400]]").wants(t, 502, "upstream_error")
		r.ask(noProof).wants200(t, jsonForm)
		openStream(t, r).Body.Close()
	}
	r.calm()
	r.settled("ana")
	r.ask("hi").wants200(t, jsonForm)
}
