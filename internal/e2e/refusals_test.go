package e2e

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
)

// refusal is what an SDK must make of one.
type refusal struct {
	status int
	code   string
	says   string // a part of the message
	param  string
	long   bool // the wait is longer than an SDK sits out
}

func refusals() []testCase {
	waits := func(s *seat) bool { return s.waits }
	responds := func(s *seat) bool { return s.responds }
	all := []testCase{
		{"400: a field that we do not take", "answer", refusesTheField, nil},
		{"400: a field that nobody knows", "answer", refusesTheUnknown, func(s *seat) bool { return s.free }},
		{"400: a second turn that refers to the provider's memory", "turns", refusesReferences, func(s *seat) bool { return s.name == "ai responses" }},
		{"401: a bad token", "answer", refusesTheToken, nil},
		{"403: a plan without the endpoint", "answer", refusesThePlan, nil},
		{"403: a user who is suspended", "answer", refusesTheSuspended, func(s *seat) bool { return s.where != "Chromium" }},
		{"404: a model that is not there", "answer", refusesTheModel, nil},
		{"429: too often", "answer", refusesTheRate, nil},
		{"429: too often, and once more after the wait", "answer", waitsItsTurn, waits},
		{"429: the budget is spent, and nobody asks again", "answer", refusesTheBudget, nil},
		{"429: the budget is spent before a stream begins", "stream", refusesTheBudgetOfStreams, nil},
		{"429: the provider is asked too often", "answer", passesOnTheWait, nil},
		{"500: our fault", "answer", admitsItsFault, nil},
		{"502: the provider's fault", "answer", admitsTheirFault, nil},
		{"502: the provider's fault, and once more", "answer", triesAgain, waits},
		{"502: before a stream begins", "stream", refusesTheStream, nil},
	}
	for _, fault := range []string{"cut", "eof", "error_chunk", "malformed", "failed"} {
		c := testCase{"a stream broken by " + fault, "stream", func(t *testing.T, s *seat) { s.raisesAtTheBreak(t, fault) }, nil}
		if fault == "failed" {
			c.fits = responds // only there is an event for it
		}
		all = append(all, c)
	}
	return all
}

// raises checks an SDK's error.
func (s *seat) raises(t *testing.T, got reply, want refusal) {
	t.Helper()
	e := got.Error
	if e == nil {
		t.Fatalf("%s raises nothing: %+v; want %d %s", s.name, got.Value, want.status, want.code)
	}
	if class := s.class(want); e.Class != class || e.Status != want.status {
		t.Errorf("%s raises %v\nwant %s with status %d", s.name, e, class, want.status)
	}
	if e.Code != want.code || e.Type == "" {
		t.Errorf("%s raises the code %q of type %q, want %q of some type", s.name, e.Code, e.Type, want.code)
	}
	if !strings.Contains(e.Message, want.says) {
		t.Errorf("%s raises %q, which does not say %q", s.name, e.Message, want.says)
	}
	if want.param != "" && e.Param != want.param {
		t.Errorf("%s: the param is %q, want %q", s.name, e.Param, want.param)
	}
	s.keepsSecrets(t, e.Message)
}

func (s *seat) keepsSecrets(t *testing.T, message string) {
	t.Helper()
	for _, secret := range []string{s.key, s.key[len(s.key)-4:], s.secret.Reveal(), "simulated-org"} {
		if strings.Contains(message, secret) {
			t.Errorf("%s: the message %q holds a secret", s.name, message)
		}
	}
}

func refusesTheField(t *testing.T, s *seat) {
	got := s.ask(t, "", call{Op: "answer", Prompt: "Hello", Extra: s.bad})
	s.raises(t, got, refusal{status: 400, code: "invalid_field", says: s.param, param: s.param})
	s.asksOnce(t, got)
}

func refusesTheUnknown(t *testing.T, s *seat) {
	got := s.ask(t, "", call{Op: "answer", Prompt: "Hello", Extra: map[string]any{"max_tokns": 5}})
	s.raises(t, got, refusal{status: 400, code: "unknown_field", says: "max_tokns", param: "max_tokns"})
	s.asksOnce(t, got)
}

// asksOnce checks that one request of the test's user arrived: what cannot help
// is not tried again.
func (s *seat) asksOnce(t *testing.T, got reply) {
	t.Helper()
	if lines := s.arrived(t, user(t), 1); len(lines) != 1 || posts(got) != 1 {
		t.Errorf("%s asks %d times, and %d arrive; want one: asking again does not help here", s.name, posts(got), len(lines))
	}
}

func refusesTheToken(t *testing.T, s *seat) {
	c := call{Op: "answer", Prompt: "Hello"}
	c.At.Token = "not-a-token"
	got := s.ask(t, "", c)
	s.raises(t, got, refusal{status: 401, code: "invalid_api_key", says: "Invalid or expired security token."})
	if n := posts(got); n != 1 {
		t.Errorf("%s asks %d times with a bad token, want once", s.name, n)
	}
}

// posts counts what an SDK has sent, but for what was told to come back.
func posts(r reply) (n int) {
	for _, e := range r.HTTP {
		if e.Method == http.MethodPost && e.Status != http.StatusServiceUnavailable {
			n++
		}
	}
	return n
}

func refusesThePlan(t *testing.T, s *seat) {
	got := s.ask(t, "closed", call{Op: "answer", Prompt: "Hello"})
	s.raises(t, got, refusal{status: 403, code: "endpoint_not_allowed", says: "plan"})
	s.asksOnce(t, got)
}

// refusesTheSuspended: who was billed more than could be charged is stopped. In
// Chromium all share a program, and so many would stop the model itself.
func refusesTheSuspended(t *testing.T, s *seat) {
	hello := without(0, call{Op: "answer", Prompt: "[[sim extra_tokens=100000]] Hello"})
	if got := s.ask(t, "", hello); got.Error != nil {
		t.Fatalf("%s, the answer that costs too much: %v", s.name, got.Error)
	}
	s.arrived(t, user(t), 1) // and is settled
	s.raises(t, s.ask(t, "", hello), refusal{status: 403, code: "disabled", says: "This account is disabled. Please contact the operator."})
}

func refusesTheModel(t *testing.T, s *seat) {
	c := call{Op: "answer", Prompt: "Hello"}
	c.At.Model = "gpt-6-astra"
	got := s.ask(t, "", c)
	s.raises(t, got, refusal{status: 404, code: "model_not_found", says: "gpt-6-astra", param: "model"})
	s.asksOnce(t, got)
}

func refusesTheRate(t *testing.T, s *seat) {
	hello := without(0, call{Op: "answer", Prompt: "Hello"})
	if got := s.ask(t, "once", hello); got.Error != nil {
		t.Fatalf("%s, the first answer: %v", s.name, got.Error)
	}
	s.raises(t, s.ask(t, "once", hello), refusal{status: 429, code: "rate_limit_exceeded", says: "Too many requests. Please try again after ", long: true})
}

// waitsItsTurn: the wait that we tell is the one after which it works.
func waitsItsTurn(t *testing.T, s *seat) {
	asked := 0
	for range 2 {
		got := s.ask(t, "brisk", call{Op: "answer", Prompt: "Hello"})
		if got.Error != nil {
			t.Fatalf("%s raises %v, though it was told when to try again", s.name, got.Error)
		}
		asked += posts(got)
	}
	// A window may end between the two; then nobody has to wait.
	if asked > 4 {
		t.Errorf("%s asks %d times for two answers, want at most two waits", s.name, asked)
	}
}

// refusesTheBudget: the plan's day has room for one call, and what that cost
// nobody has proven.
func refusesTheBudget(t *testing.T, s *seat) {
	spent := s.ask(t, "poor", without(0, call{Op: "answer", Prompt: "[[sim status=500]] Hello"}))
	if spent.Error == nil || spent.Error.Status != http.StatusBadGateway {
		t.Fatalf("%s, the call that spends the budget: %v", s.name, spent.Error)
	}
	s.arrived(t, user(t), 1)
	c := call{Op: "answer", Prompt: "Hello"}
	if !s.obeys {
		c = without(0, c) // it knows no way to be told
	}
	got := s.ask(t, "poor", c)
	s.raises(t, got, refusal{status: 429, code: "insufficient_quota", says: "budget"})
	if lines := s.arrived(t, user(t), 2); len(lines) != 2 || posts(got) != 1 {
		t.Errorf("%s asks %d times when the budget is spent, and %d arrive; want one: seconds do not help", s.name, posts(got), len(lines)-1)
	}
}

func passesOnTheWait(t *testing.T, s *seat) {
	got := s.ask(t, "", without(0, call{Op: "answer", Prompt: "[[sim status=429 retry_after=7]] Hello"}))
	s.raises(t, got, refusal{status: 429, code: "rate_limit_exceeded"})
	if len(got.HTTP) > 0 {
		if wait, _ := plainly(got.HTTP[len(got.HTTP)-1].Headers, "Retry-After"); wait != "7" {
			t.Errorf("%s is told to wait %q seconds, want the provider's 7", s.name, wait)
		}
	}
}

func admitsItsFault(t *testing.T, s *seat) {
	got := s.ask(t, "", without(0, call{Op: "answer", Prompt: "[[sim leak=whole]] Hello"}))
	s.raises(t, got, refusal{status: 500, code: "internal", says: "Our server encountered an issue."})
}

func admitsTheirFault(t *testing.T, s *seat) {
	for _, how := range []string{"status=500", "status=401", "html status=503"} {
		got := s.ask(t, "", without(0, call{Op: "answer", Prompt: "[[sim " + how + "]] Hello"}))
		s.raises(t, got, refusal{status: 502, code: "upstream_error", says: "Our server encountered an issue."})
	}
}

func triesAgain(t *testing.T, s *seat) {
	got := s.ask(t, "", call{Op: "answer", Prompt: "[[sim status=500 fail_times=1 tag=" + rand.Text() + "]] Hello"})
	if got.Error != nil {
		t.Fatalf("%s raises %v, want its second try to succeed", s.name, got.Error)
	}
	if n := posts(got); n != 2 {
		t.Errorf("%s asks %d times, want a 502 and a 200", s.name, n)
	}
}

func refusesTheStream(t *testing.T, s *seat) {
	got := s.ask(t, "", without(0, call{Op: "stream", Prompt: "[[sim status=500]] Hello"}))
	s.raises(t, got, refusal{status: 502, code: "upstream_error", says: "Our server encountered an issue."})
}

func refusesTheBudgetOfStreams(t *testing.T, s *seat) {
	if spent := s.ask(t, "poor", without(0, call{Op: "stream", Prompt: "[[sim fault=cut]] Tell me a story"})); spent.Error == nil {
		t.Fatalf("%s, the stream that spends the budget: %+v", s.name, spent.Value)
	}
	s.arrived(t, user(t), 1)
	got := s.ask(t, "poor", without(0, call{Op: "stream", Prompt: "Hello"}))
	s.raises(t, got, refusal{status: 429, code: "insufficient_quota", says: "budget"})
}

// refusesReferences: of a model that does not reason this SDK refers to the answer
// that OpenAI has stored, unless it is told not to.
func refusesReferences(t *testing.T, s *seat) {
	c := call{Op: "turns", Prompts: []string{"Hello", "And now?"}, Extra: map[string]any{"store": true}}
	c.At.Model = unreasoning
	got := s.ask(t, "", c)
	e := got.Error
	if e == nil || e.Status != http.StatusBadRequest || !strings.Contains(e.Message, "item_reference") || !strings.Contains(e.Message, "store") {
		t.Errorf("%s: a second turn without store: false raises %v\nwant a 400 that names item_reference and says how to do without", s.name, e)
	}
}

// raisesAtTheBreak: an answer that is not whole never looks as if it were.
func (s *seat) raisesAtTheBreak(t *testing.T, fault string) {
	got := s.ask(t, "", without(0, call{Op: "stream", Prompt: "[[sim chunks=40 pace=10ms size=400 at=3 fault=" + fault + "]] Tell me a story"}))
	e := got.Error
	if e == nil {
		t.Fatalf("%s takes a broken stream for a whole one: %+v", s.name, got.Value)
	}
	if s.broken != "" && e.Class != s.broken {
		t.Errorf("%s raises %v\nwant %s", s.name, e, s.broken)
	}
	if !strings.Contains(e.Message, "stopped answering") {
		t.Errorf("%s raises %v\nwhich does not say that the provider stopped answering", s.name, e)
	}
	if e.Told == nil || e.Told.Pieces == 0 {
		t.Errorf("%s raises before it tells what came: %v", s.name, e)
	}
	s.keepsSecrets(t, e.Message)
}

// refusesThePage: a browser gets no further than the preflight.
func (s *seat) refusesThePage(t *testing.T) {
	before := s.reported(t, "calls=0").Calls
	got := s.ask(t, "", without(0, call{Op: "answer", Prompt: "Hello"}))
	if got.Error == nil {
		t.Fatalf("%s answers a page of a foreign origin: %+v", s.name, got.Value)
	}
	if after := s.reported(t, "calls=0").Calls; after != before {
		t.Errorf("%s: %d calls for a page of a foreign origin reached the provider", s.name, after-before)
	}
	for _, l := range s.arrived(t, "", 1) {
		if l.Code == "origin_not_allowed" && l.Status == http.StatusForbidden {
			return
		}
	}
	t.Error("the log has no origin_not_allowed")
}
