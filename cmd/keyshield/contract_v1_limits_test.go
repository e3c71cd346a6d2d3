package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/sim"
)

// stands begins a stream of any endpoint that stands still after two words.
func (r *rig) stands(t testing.TB, path, body string, headers ...string) *http.Response {
	t.Helper()
	resp, err := r.web.Do(r.request(path, body, headers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the stream of %s did not begin: %d", path, resp.StatusCode)
	}
	return resp
}

const standstill = "[[sim fault=hang_mid]] hi"

// streamers are all requests that are streamed: path and body.
func streamers(text string) [][2]string {
	all := [][2]string{{"/api/generate-text", `{"userPrompt":"` + text + `","stream":true}`}}
	for _, w := range ways()[:2] {
		all = append(all, [2]string{w.path, w.body(text, streaming)})
	}
	for _, h := range hooks() {
		all = append(all, [2]string{h.path, h.body(text)})
	}
	return all
}

// TestEveryStreamTakesOneOfTheUsersPlaces, whichever endpoint it is on.
func TestEveryStreamTakesOneOfTheUsersPlaces(t *testing.T) {
	t.Parallel()
	all := streamers(standstill)
	r := startV1(t, fmt.Sprint("MAX_STREAMS_PER_USER=", len(all)))
	var open []*http.Response
	for _, s := range all {
		open = append(open, r.stands(t, s[0], s[1]))
	}
	const text = "Too many answers are being streamed to you at once. Please wait until one has ended."
	r.untouched(func() {
		for _, s := range streamers("hi") {
			got := r.post(s[0], s[1])
			if !strings.HasPrefix(s[0], "/v1/") {
				got.wants(t, 429, "too_many_streams")
				continue
			}
			if p := got.wantsV1(t, 429, "rate_limit_exceeded"); p.Message != text || p.Type != "rate_limit_error" {
				t.Errorf("%s: got %+v", s[0], p)
			}
			wantsHeaders(t, s[0], got, "2", false)
		}
	})
	for _, w := range ways() {
		r.post(w.path, w.body("hi")).wants200(t, jsonForm) // a whole answer takes no place
	}
	r.post("/v1/responses", wayTo("responses").body("hi", streaming), "Authorization: Bearer "+r.token("bob")).wants200(t, eventForm)
	open[1].Body.Close() // the client leaves, and its place is free
	soon(t, "the place of a stream that was left", func() bool { return r.chat("hi", streaming).status == http.StatusOK })
	for _, words := range []string{"", "[[sim fault=cut]]", "[[sim fault=error_chunk]]"} {
		for _, w := range ways()[:2] { // those that end give theirs back at once
			r.post(w.path, w.body(words+"hi", streaming)).wants200(t, eventForm)
		}
	}
}

// TestTheRateLimitsCountEveryEndpoint: for an address and for a user, all that can
// spend is one.
func TestTheRateLimitsCountEveryEndpoint(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	for _, c := range []struct{ setting, text string }{
		{"RATE_LIMIT_IP=6/1h", "Too many requests from this IP. Please try again after "},
		{"RATE_LIMIT_USER=6/1h", "Too many requests. Please try again after "},
	} {
		r := startV1(t, c.setting)
		r.ask("hi").wants200(t, jsonForm)
		for i, w := range ways() {
			got := r.post(w.path, w.body("hi")).wantsAnswer(t)
			if said := rates(got); said[0] != "6" || said[1] != strconv.Itoa(4-i) || said[3] != "6;w=3600" {
				t.Errorf("%s, %s: got %v, want 6 with %d left", c.setting, w.name, said, 4-i)
			}
		}
		r.post("/api/chat", hookSays("hi")).wantsAnswer(t)
		least, most := trueWait(6)
		r.untouched(func() {
			for _, w := range ways() {
				got := r.post(w.path, w.body("hi"))
				p := got.wantsV1(t, 429, "rate_limit_exceeded")
				wait, err := strconv.Atoi(got.header.Get("Retry-After"))
				if err != nil || wait < least || wait > most || p.Type != "rate_limit_error" || !strings.HasPrefix(p.Message, c.text) {
					t.Errorf("%s, %s: Retry-After %q, want %d to %d: %+v", c.setting, w.name, got.header.Get("Retry-After"), least, most, p)
				}
				wantsHeaders(t, w.name, got, got.header.Get("Retry-After"), true) // beyond a minute they would hammer
			}
			for _, h := range hooks() {
				r.post(h.path, h.body("hi")).wants(t, 429, "rate_limited")
			}
			r.ask("hi").wants(t, 429, "rate_limited")
		})
		r.read("/v1/models").wants200(t, jsonForm) // spends nothing
		if bob := r.post("/v1/moderations", wayTo("moderations").body("hi"), "Authorization: Bearer "+r.token("bob")); (bob.status == 200) != strings.Contains(c.setting, "USER") {
			t.Errorf("%s: another user got %d", c.setting, bob.status)
		}
	}
}

// TestAShortWaitIsLeftToTheSDKs: up to a minute they wait as they are told.
func TestAShortWaitIsLeftToTheSDKs(t *testing.T) {
	t.Parallel()
	r := startV1(t, "RATE_LIMIT_USER=1/15s")
	for range 3 { // a window may end in between
		if got := r.post("/v1/moderations", wayTo("moderations").body("hi")); got.status != 200 {
			got.wantsV1(t, 429, "rate_limit_exceeded")
			wait, err := strconv.Atoi(got.header.Get("Retry-After"))
			if err != nil || wait < 1 || wait > 60 {
				t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
			}
			wantsHeaders(t, "a short wait", got, got.header.Get("Retry-After"), false)
			return
		}
	}
	t.Error("three requests passed a limit of one")
}

// TestASpentBudgetStopsTheSDKs: insufficient_quota, which none of them retries.
func TestASpentBudgetStopsTheSDKs(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	probe := startV1(t)
	probe.chat(noProof).wantsAnswer(t)
	c := probe.ceilingOfLast(policy.Reviewed(), policy.Same)
	probe.stop()
	r := startV1(t, "BUDGET_USER_DAY="+times(1, c))
	r.chat(noProof).wantsAnswer(t)
	r.settled("ana")
	r.untouched(func() {
		for _, w := range ways()[:3] {
			got := r.post(w.path, w.body("hi"))
			p := got.wantsV1(t, 429, "insufficient_quota")
			wait, err := strconv.Atoi(got.header.Get("Retry-After"))
			if left := int(time.Until(endOfDay()).Seconds()); err != nil || wait < left-5 || wait > left+5 {
				t.Errorf("%s: Retry-After is %q, want about %d", w.name, got.header.Get("Retry-After"), left)
			}
			if p.Type != "insufficient_quota" || !strings.HasPrefix(p.Message, "The budget for today is used up.") {
				t.Errorf("%s: got %+v", w.name, p)
			}
			wantsHeaders(t, w.name, got, got.header.Get("Retry-After"), true)
		}
		r.post("/api/chat", hookSays("hi")).wants(t, 429, "budget_exhausted")
	})
	m := wayTo("moderations")
	r.post(m.path, m.body("hi")).wants200(t, jsonForm) // costs nothing
}

// TestABusyBudgetLetsTheSDKsTryAgain: only calls that are under way stand in the way.
func TestABusyBudgetLetsTheSDKsTryAgain(t *testing.T) {
	t.Parallel()
	probe := startV1(t)
	probe.chat("[[sim fault=no_done ]] hi", streaming).wantsAnswer(t) // as long as the other
	c := probe.ceilingOfLast(policy.Reviewed(), policy.Same)
	probe.stop()
	r := startV1(t, "BUDGET_DAY="+times(1, c))
	r.stands(t, "/v1/chat/completions", wayTo("chat").body(standstill, streaming))
	r.untouched(func() {
		for _, w := range ways()[:2] {
			got := r.post(w.path, w.body("hi"), "Authorization: Bearer "+r.token("bob"))
			if p := got.wantsV1(t, 429, "rate_limit_exceeded"); p.Type != "rate_limit_error" || !strings.HasPrefix(p.Message, "Too many requests are under way.") {
				t.Errorf("%s: got %+v", w.name, p)
			}
			wantsHeaders(t, w.name, got, "2", false)
		}
	})
}

// TestWhoIsStoppedIsToldSo: an answer that cost more than its ceiling suspends the
// user, and three users the model.
func TestWhoIsStoppedIsToldSo(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	over := wayTo("chat").body("[[sim extra_tokens=5000]] hi", `"max_tokens":16`)
	for _, user := range []string{"ana", "bob", "eve"} {
		who := "Authorization: Bearer " + r.token(user)
		r.post("/v1/chat/completions", over, who).wantsAnswer(t)
		r.settled(user)
		for _, w := range ways()[1:3] {
			got := r.post(w.path, w.body("hi"), who)
			if p := got.wantsV1(t, 403, "disabled"); p.Message != "This account is disabled. Please contact the operator." || p.Type != "invalid_request_error" {
				t.Errorf("%s: got %+v", w.name, p)
			}
			wantsHeaders(t, w.name, got, "", false)
		}
	}
	got := r.post("/v1/responses", wayTo("responses").body("hi"), "Authorization: Bearer "+r.token("zoe"))
	if p := got.wantsV1(t, 503, "disabled"); p.Type != "server_error" || got.header.Get("X-Should-Retry") != "false" {
		t.Errorf("a stopped model: got %+v, x-should-retry %q", p, got.header.Get("X-Should-Retry"))
	}
}

// TestOurOwnTroubleOnV1: full, or without keys to check tokens with, or with a
// provider that only fails.
func TestOurOwnTroubleOnV1(t *testing.T) {
	t.Parallel()
	wants := func(r *rig, code, wait string) {
		t.Helper()
		for _, w := range ways() {
			if code == "unavailable" && wait != "" && w.name == "moderations" {
				continue // they leave no charge behind, which is what the breaker is for
			}
			got := r.post(w.path, w.body("hi"))
			if p := got.wantsV1(t, 503, code); p.Type != "server_error" || p.Message != busy {
				t.Errorf("%s: got %+v", w.name, p)
			}
			if wait == "" {
				wait = got.header.Get("Retry-After")
			}
			wantsHeaders(t, w.name, got, wait, false)
		}
	}
	full := startV1(t, "MAX_IN_FLIGHT=1")
	full.stands(t, "/v1/responses", wayTo("responses").body(standstill, streaming))
	full.untouched(func() { wants(full, "overloaded", "2") })

	broken := startV1(t, "BREAKER=1/10s")
	broken.chat("[[sim status=500]]").wantsV1(t, 502, "upstream_error")
	broken.untouched(func() { wants(broken, "unavailable", "5") })

	keyless := startV1(t, "JWT_SECRET", "JWT_JWKS_URL=http://127.0.0.1:1/keys", "JWT_ISSUER=https://a.example")
	wants(keyless, "unavailable", "")
	if n := keyless.asked(); n != 0 {
		t.Errorf("%d calls reached OpenAI", n)
	}
}

// TestPreflightsOnV1AllowEveryHeader to an allowed origin, and nothing to another.
func TestPreflightsOnV1AllowEveryHeader(t *testing.T) {
	t.Parallel()
	r := startForBrowsers(t, append(openV1(), "RATE_LIMIT_IP=1/1h")...)
	const odd = "authorization,content-type,openai-beta,x-brand-new,x-stainless-lang,x-stainless-retry-count"
	paths := map[string]string{"/v1/models": "GET", "/v1/models/gpt-6-luna": "GET", "/api/chat": "POST", "/api/completion": "POST"}
	for _, w := range ways() {
		paths[w.path] = "POST"
	}
	for path, method := range paths {
		for _, from := range allowedOrigins() {
			got := r.preflight(path, from, method, odd)
			if said := listed(got, "Access-Control-Allow-Headers"); got.status != 200 || strings.Join(said, ",") != odd || got.header.Get("Access-Control-Allow-Origin") != from {
				t.Errorf("%s from %s: got %d, allowed are %q", path, from, got.status, said)
			}
			onlyPreflight(t, got)
		}
		for _, from := range []string{"https://evil.example", "null", "https://app.example.com.evil.example"} {
			for _, got := range []reply{r.preflight(path, from, method, odd), r.post(path, "{}", "Origin:"+from)} {
				if strings.HasPrefix(path, "/v1/") {
					got.wantsV1(t, 403, "origin_not_allowed")
				} else {
					got.wants(t, 403, "origin_not_allowed")
				}
				if said := got.header.Get("Access-Control-Allow-Origin") + got.header.Get("Access-Control-Allow-Headers"); said != "" {
					t.Errorf("%s from %s: allowed is %q", path, from, said)
				}
			}
		}
	}
	got := r.post("/v1/chat/completions", wayTo("chat").body("hi", streaming), "Origin: "+origin)
	got.wants200(t, eventForm)
	if said := listed(got, "Access-Control-Expose-Headers"); !strings.Contains(strings.Join(said, " "), "x-should-retry") || got.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("a browser may read %q", said)
	}
	refused := r.chat("hi") // the limit of one is used up
	refused.wantsV1(t, 429, "rate_limit_exceeded")
	if n := r.sim.Report().Calls; n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// TestWhatTakesTimeOnV1: a silent stream is kept open by a comment that no SDK takes
// for an event, and a body that never ends is not waited for.
func TestWhatTakesTimeOnV1(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	const words = `[[sim text="one two" pace=16s]]`
	silent := func(path, body, between string) func() {
		return func() {
			got := r.post(path, body)
			if got.err != nil || strings.Count(got.body, "ping") != 1 || !strings.Contains(got.body, "\n\n"+between) {
				t.Errorf("%s: %v; want one heartbeat, as %q:\n%s", path, got.err, between, got.body)
			}
		}
	}
	tries := []func(){
		silent("/api/chat", hookSays(words), ": ping\n\ndata: {"),
		silent("/v1/chat/completions", wayTo("chat").body(words, streaming), ": ping\ndata: {"), // openai-go takes an empty line for an event
		silent("/v1/responses", wayTo("responses").body(words, streaming), ": ping\nevent: "),
	}
	for _, path := range []string{"/v1/responses", "/v1/embeddings"} {
		tries = append(tries, func() {
			answers, ended := r.talk(r.head(path, "Content-Length: 100")+"\r\n{", 30*time.Second)
			if len(answers) != 1 || !ended {
				t.Errorf("%s: half a body got %v, closed: %t; want 408 and the end", path, statuses(answers), ended)
				return
			}
			answers[0].wantsV1(t, 408, "request_timeout")
		})
	}
	atOnce(tries...)
	if open := r.sim.Report(); open.Calls != 3 {
		t.Errorf("%d calls, want the three streams", open.Calls)
	}
}

// ceilingOf is what a request of any endpoint with this body was charged.
func (w way) ceilingOf(t *testing.T, sent sim.Request, limit int64) money.USD {
	t.Helper()
	kind := map[string]policy.Kind{"chat": policy.Chat, "responses": policy.Responses, "embeddings": policy.Embeddings}[w.name]
	c, err := policy.Reviewed().Ceiling(w.model, kind, policy.Bounds{BodyBytes: len(sent.Body), OutputLimit: limit}, policy.Same, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWhatCannotBeProvenStaysChargedOnV1, at the ceiling of what was sent.
func TestWhatCannotBeProvenStaysChargedOnV1(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	for _, w := range ways()[:3] {
		r := startV1(t)
		limit := int64(2048)
		if !w.streams {
			limit = 0
		}
		r.post(w.path, w.body(noProof)).wantsAnswer(t)
		mine := r.settled("ana").Day
		if want := amountOf(w.ceilingOf(t, r.sim.Requests()[0], limit)); mine.ChargedAtCeiling != want || mine.Used != want {
			t.Errorf("%s: charged %s, want the ceiling %s", w.name, mine.ChargedAtCeiling, want)
		}
		r.post(w.path, w.body("[[sim status=400]] hi")).wantsV1(t, 400, object400(w))
		if after := r.settled("ana").Day; after.Used != mine.Used {
			t.Errorf("%s: a refusal is charged: %s, and %s before", w.name, after.Used, mine.Used)
		}
	}
}

// object400 is the code of the simulator's 400.
func object400(w way) string {
	if w.name == "chat" {
		return "invalid_request" // it names none
	}
	return "invalid_type"
}
