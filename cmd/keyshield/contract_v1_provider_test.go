package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// v1Refusal is what an SDK is told for what the provider did before it answered.
type v1Refusal struct {
	words  string // for the simulator
	status int
	kind   string // "type", by which people branch
	code   string
	text   string
	wait   string // Retry-After
	final  bool   // x-should-retry: false
}

func v1Refusals() []v1Refusal {
	const server, limit = "server_error", "rate_limit_error"
	return []v1Refusal{
		{words: "status=401", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "status=403", status: 502, kind: server, code: "upstream_error", text: issue, final: true},
		{words: "status=409", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "status=413", status: 502, kind: server, code: "upstream_error", text: issue, final: true},
		{words: "status=500", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "status=500 leak=error", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "status=502", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "status=503 retry_after=30", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "status=504", status: 504, kind: server, code: "upstream_timeout", text: issue},
		{words: "status=408", status: 504, kind: server, code: "upstream_timeout", text: issue},
		{words: "html", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "html status=400", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "html status=404", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "html status=503", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "redirect=http://127.0.0.1:1/", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "fault=reset", status: 502, kind: server, code: "upstream_error", text: issue},
		{words: "fault=hang_before", status: 504, kind: server, code: "upstream_timeout", text: issue},
		{words: "quota", status: 503, kind: server, code: "unavailable", text: busy, wait: "60", final: true},
		{words: "status=429", status: 429, kind: limit, code: "rate_limit_exceeded", text: "Too many requests. Please try again after 5 seconds.", wait: "5"},
		{words: "status=429 retry_after=20", status: 429, kind: limit, code: "rate_limit_exceeded", text: "Too many requests. Please try again after 20 seconds.", wait: "20"},
		{words: "status=429 retry_after=86400", status: 429, kind: limit, code: "rate_limit_exceeded", text: "Too many requests. Please try again after 60 seconds.", wait: "60"},
		{words: "html status=429", status: 429, kind: limit, code: "rate_limit_exceeded", text: "Too many requests. Please try again after 5 seconds.", wait: "5"},
	}
}

// TestTheProvidersTroubleIsToldInOpenAIsShape, with what makes the SDKs raise the
// right class, and try again only where that helps.
func TestTheProvidersTroubleIsToldInOpenAIsShape(t *testing.T) {
	t.Parallel()
	r := startV1(t, "UPSTREAM_TIMEOUT=1s")
	for _, c := range v1Refusals() {
		t.Run(c.words, func(t *testing.T) {
			t.Parallel()
			for _, w := range ways() {
				for _, more := range []string{`"model":"` + w.model + `"`, streaming} {
					if more == streaming && !w.streams {
						continue
					}
					got := r.in(t).post(w.path, w.body("[[sim "+c.words+"]] hi", more))
					p := got.wantsV1(t, c.status, c.code)
					if p.Message != c.text || p.Type != c.kind || p.Param != nil {
						t.Errorf("%s: got %+v, want %s of type %s", w.name, p, c.text, c.kind)
					}
					tooMuch := strings.Contains(c.words, "hang") && w.streams && more != streaming // again, it would take as long
					wantsHeaders(t, w.name, got, c.wait, c.final || tooMuch)
					nothingOfTheirsButTypes(t, w.name, got.body)
				}
			}
		})
	}
}

// wantsHeaders checks what the SDKs look at before they try again, and all the other
// headers.
func wantsHeaders(t testing.TB, what string, got reply, wait string, final bool) {
	t.Helper()
	onlyOurs(t, what, got)
	if said := got.header.Get("Retry-After"); said != wait {
		t.Errorf("%s: Retry-After is %q, want %q", what, said, wait)
	}
	if said := got.header.Get("X-Should-Retry"); (said == "false") != final || said != "" && said != "false" {
		t.Errorf("%s: x-should-retry is %q, want it false: %t", what, said, final)
	}
	if form, cache := got.header.Get("Content-Type"), got.header.Get("Cache-Control"); form != jsonForm || cache != "no-store" {
		t.Errorf("%s: Content-Type %q, Cache-Control %q", what, form, cache)
	}
	if said := got.header.Get("Www-Authenticate"); (said == "Bearer") != (got.status == http.StatusUnauthorized) || said != "" && said != "Bearer" {
		t.Errorf("%s: %d with WWW-Authenticate %q", what, got.status, said)
	}
}

// nothingOfTheirsButTypes is nothingOfTheirs for answers in OpenAI's shape.
func nothingOfTheirsButTypes(t testing.TB, what, body string) {
	t.Helper()
	for _, word := range []string{"OpenAI", "openai", "simulat", "org-", "req_", "Incorrect", "quota", "billing", "cloudflare", "html", "retry your", "Rate limit", "Limit 3", "overloaded, please", "gpt-", canary[:10]} {
		if strings.Contains(body, word) {
			t.Errorf("%s: the provider's %q is in the answer: %s", what, word, body)
		}
	}
}

// TestRefusalsOfTheClientsRequestKeepStatusParamAndCode, in a sentence of ours: the
// client wrote that request.
func TestRefusalsOfTheClientsRequestKeepStatusParamAndCode(t *testing.T) {
	t.Parallel()
	const said = "The AI provider did not accept the request"
	envelope := func(kind, param, code string) string {
		return fmt.Sprintf(`{"error":{"message":"Incorrect API key %s… in organization org-simulated","type":%s,"param":%s,"code":%s}}`, canary[:12], kind, param, code)
	}
	for name, c := range map[string]struct {
		body string
		want openAIProblem
	}{
		"all told":     {envelope(`"invalid_request_error"`, `"messages.[0].content"`, `"invalid_type"`), problemOf(said+`: see "messages.[0].content" (invalid_type).`, "messages.[0].content", "invalid_type")},
		"nothing told": {envelope(`"invalid_request_error"`, `null`, `null`), problemOf(said+".", "", "invalid_request")},
		"a number":     {envelope(`"invalid_request_error"`, `null`, `17`), problemOf(said+" (17).", "", "17")},
		"the code of a bad token, which it is not": {envelope(`"invalid_request_error"`, `null`, `"token_invalid"`), problemOf(said+" (token_invalid).", "", "token_invalid")},
		"the code of a spent budget":               {envelope(`"invalid_request_error"`, `null`, `"budget_exhausted"`), problemOf(said+" (budget_exhausted).", "", "budget_exhausted")},
		"words that may hold anything":             {envelope(`"invalid_request_error"`, `"see org 7"`, `"<b>"`), problemOf(said+".", "", "invalid_request")},
		"words that are too long":                  {envelope(`"invalid_request_error"`, `"`+strings.Repeat("a", 65)+`"`, `"`+strings.Repeat("b", 65)+`"`), problemOf(said+".", "", "invalid_request")},
	} {
		for _, status := range []int{400, 404, 422} {
			r := beforeCanned(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				fmt.Fprint(w, c.body)
			})
			for _, w := range ways()[:3] {
				for _, more := range []string{`"model":"` + w.model + `"`, streaming} {
					if more == streaming && !w.streams {
						continue
					}
					got := r.post(w.path, w.body("hi", more))
					if diff := cmp.Diff(c.want, got.openAI(t)); diff != "" || got.status != status {
						t.Errorf("%s, %s: got %d (-want +got):\n%s", name, w.name, got.status, diff)
					}
					wantsHeaders(t, name, got, "", false)
				}
			}
			r.stop()
		}
	}
}

func problemOf(message, param, code string) openAIProblem {
	p := openAIProblem{Message: message, Type: "invalid_request_error", Code: code}
	if param != "" {
		p.Param = &param
	}
	return p
}

// TestOnV1OnlyWhatTheClientWroteIsItsFault: the text API and the hooks send what we
// wrote, so OpenAI's 400 is ours there.
func TestOnV1OnlyWhatTheClientWroteIsItsFault(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, words := range []string{"status=400", "status=404", "status=422"} {
		r.ask("[[sim "+words+"]]").wants(t, 502, "upstream_error")
		r.post("/api/chat", hookSays("[[sim "+words+"]]")).wants(t, 502, "upstream_error")
	}
}

// TestBrokenWholeAnswersOfV1AreNeverHalfGiven.
func TestBrokenWholeAnswersOfV1AreNeverHalfGiven(t *testing.T) {
	t.Parallel()
	patient, impatient := startV1(t), startV1(t, "UPSTREAM_TIMEOUT=1s")
	for words, want := range map[string]refusal{
		"fault=cut": {status: 502, code: "upstream_error"}, "fault=eof": {status: 502, code: "upstream_error"}, "fault=malformed": {status: 502, code: "upstream_error"},
		"fault=error_chunk": {status: 502, code: "upstream_error"}, "fault=endless_line amount=64MiB": {status: 502, code: "upstream_error"},
		"fault=giant amount=64MiB": {status: 502, code: "upstream_error"}, "fault=endless_comments amount=64MiB": {status: 502, code: "upstream_error"},
		"fault=hang_mid": {status: 504, code: "upstream_timeout"}, "fault=never_ending": {status: 504, code: "upstream_timeout"},
		"leak=whole": {status: 500, code: "internal"}, "leak=fields": {status: 500, code: "internal"}, "fault=failed": {status: 502, code: "upstream_error"},
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			r := patient // a flood takes its time on a busy machine
			if want.status == http.StatusGatewayTimeout {
				r = impatient
			}
			for _, w := range ways() {
				if words == "fault=failed" && w.name != "responses" || strings.Contains(words, "giant") && !w.streams {
					continue // nothing there can be so
				}
				got := r.in(t).post(w.path, w.body("[[sim "+words+"]] hi"))
				p := got.wantsV1(t, want.status, want.code)
				if p.Message != issue || p.Type != "server_error" {
					t.Errorf("%s: got %+v", w.name, p)
				}
				tooMuch := want.status == http.StatusGatewayTimeout && w.streams || strings.Contains(words, "64MiB") // again, it would take as much
				failed := w.name == "responses" && (words == "fault=failed" || words == "fault=error_chunk")         // and billed again
				wantsHeaders(t, w.name, got, "", tooMuch || failed)
				nothingOfTheirsButTypes(t, w.name, got.body)
			}
		})
	}
}

// TestWhatTheModelSaysIsNotOursToJudgeOnV1: an answer cut by its limit, filtered, or
// refused by the model is an answer, and the SDKs know what to make of it.
func TestWhatTheModelSaysIsNotOursToJudgeOnV1(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for words, want := range map[string][2]string{
		"finish=length": {`"finish_reason":"length"`, `"reason":"max_output_tokens"`}, "finish=content_filter": {`"finish_reason":"content_filter"`, `"reason":"content_filter"`},
		"fault=reasoning_only": {`"finish_reason":"length"`, `"reason":"max_output_tokens"`}, "refusal": {`"refusal":"`, `"refusal":"`}, "fault=null_content": {`"finish_reason":"stop"`, `"status":"completed"`},
	} {
		for i, w := range ways()[:2] {
			for _, more := range []string{`"stream":false`, streaming} {
				got := r.post(w.path, w.body("[[sim "+words+"]] hi", more)).wantsAnswer(t)
				if !strings.Contains(strings.ReplaceAll(got.body, `": `, `":`), want[i]) {
					t.Errorf("%s, %s, %s: no %s in\n%s", words, w.name, more, want[i], got.body)
				}
				if strings.Contains(got.body, "upstream") || strings.Contains(got.body, "event: error") {
					t.Errorf("%s, %s, %s: this passes for broken:\n%s", words, w.name, more, got.body)
				}
			}
		}
	}
}
