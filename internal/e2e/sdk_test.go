package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sdk is what is different about one of them.
type sdk struct {
	name     string
	class    func(refusal) string // of what it raises
	broken   string               // class of what it raises in a stream; "": that of a status
	bad      map[string]any       // what it would send that we do not take
	param    string               // the member at fault
	effort   map[string]any       // how a low effort is asked for; nil: not tried
	free     bool                 // it sends any member that it is given
	lacks    []string             // ops
	waits    bool                 // tries again when told to wait
	obeys    bool                 // heeds x-should-retry: false
	asks     bool                 // must ask for the usage of a stream
	responds bool                 // asks /v1/responses
}

func sdks() []sdk {
	web := map[string]any{"web_search_options": map[string]any{}}
	background := map[string]any{"background": true}
	aside := []string{"models", "model", "moderate", "custom"}
	return []sdk{
		{name: "openai chat", effort: map[string]any{"reasoning_effort": "low"}, class: openaiClass, broken: "APIError", bad: web, param: "web_search_options", free: true, waits: true, obeys: true, asks: true},
		{name: "openai responses", effort: map[string]any{"reasoning": map[string]any{"effort": "low", "summary": "auto"}}, class: openaiClass, broken: "APIError", bad: background, param: "background", free: true, waits: true, obeys: true, responds: true},
		{name: "ai responses", effort: map[string]any{"reasoningEffort": "low"}, class: aiClass, broken: "AI_StreamProviderError", bad: map[string]any{"previousResponseId": "resp_1"}, param: "previous_response_id", lacks: aside, waits: true, responds: true},
		{name: "ai chat", effort: map[string]any{"reasoningEffort": "low"}, class: aiClass, broken: "AI_StreamProviderError", bad: map[string]any{"prediction": map[string]any{"type": "content", "content": "a"}}, param: "prediction", lacks: aside, waits: true},
		{name: "ai compatible", effort: map[string]any{"reasoningEffort": "low"}, class: aiClass, broken: "AI_StreamProviderError", bad: web, param: "web_search_options", free: true, lacks: aside, waits: true, asks: true},
		{name: "langchain chat", class: langchainClass, broken: "APIError", bad: web, param: "web_search_options", free: true, lacks: aside, waits: true, obeys: true},
		{name: "langchain responses", class: langchainClass, broken: "APIError", bad: background, param: "background", free: true, lacks: append([]string{"embed"}, aside...), waits: true, obeys: true, responds: true},
		{name: "fetch", class: plainClass, bad: web, param: "web_search_options", free: true, asks: true, obeys: true,
			lacks: append([]string{"turns", "tools", "toolStream", "object", "embed", "usage"}, aside...)},
		{name: "go chat", class: goClass, broken: "*ssestream.StreamError", bad: web, param: "web_search_options", free: true, waits: true, obeys: true, asks: true},
		{name: "go responses", class: goClass, broken: "*ssestream.StreamError", bad: background, param: "background", free: true, waits: true, obeys: true, responds: true},
	}
}

func openaiClass(r refusal) string {
	switch r.status {
	case http.StatusBadRequest:
		return "BadRequestError"
	case http.StatusUnauthorized:
		return "AuthenticationError"
	case http.StatusForbidden:
		return "PermissionDeniedError"
	case http.StatusNotFound:
		return "NotFoundError"
	case http.StatusTooManyRequests:
		return "RateLimitError"
	}
	return "InternalServerError"
}

// langchainClass: it tells apart what openai-node does not.
func langchainClass(r refusal) string {
	switch {
	case r.code == "insufficient_quota":
		return "InsufficientQuotaError"
	case r.code == "rate_limit_exceeded" && r.long:
		return "RateLimitCapacityError"
	}
	return openaiClass(r)
}

func aiClass(refusal) string    { return "AI_APICallError" }
func goClass(refusal) string    { return "openai.Error" }
func plainClass(refusal) string { return "Error" }

// seat is one SDK at one driver before one program.
type seat struct {
	sdk
	*rig
	driver *driver
	where  string // in words
	page   string
}

// ask does a call as a user of the test's own, on a plan.
func (s *seat) ask(t *testing.T, plan string, c call) reply {
	t.Helper()
	c.SDK, c.Page = s.name, s.page
	c.At.URL, c.At.Embedding, c.At.Moderation = s.url, embedding, moderation
	if c.At.Model == "" {
		c.At.Model = model
	}
	if c.At.Token == "" {
		c.At.Token = s.token(t, user(t), plan)
	}
	c.At.Headers = map[string]string{"X-App-Secret": "of-the-caller", "X-Trace": "of-the-caller", "Idempotency-Key": "of-the-caller"}
	if s.where != "Chromium" { // which lets no page send these
		c.At.Headers["Cookie"] = "session=of-the-caller"
		c.At.Headers["Via"] = "1.1 of-the-caller"
	}
	for tries := 0; ; tries++ {
		got := s.driver.ask(t, c)
		for _, e := range got.HTTP {
			noneOfOurAccount(t, e)
		}
		// The machine was too slow: that leaves no trace, and is asked again.
		if tries == 5 || got.Error == nil || got.Error.Status != http.StatusServiceUnavailable {
			return got
		}
	}
}

// user is the test's own.
func user(t *testing.T) string { return t.Name() }

// ok is ask for a call that must work.
func (s *seat) ok(t *testing.T, c call) value {
	t.Helper()
	got := s.ask(t, "", c)
	if got.Error != nil {
		t.Fatalf("%s, %s of %.200q raises %v", s.name, c.Op, c.Prompt, got.Error)
	}
	return got.Value
}

// without retries shows what an SDK raises, whatever it would try again.
func without(retries int, c call) call {
	c.At.Retries = &retries
	return c
}

func TestSDKsInNode(t *testing.T) {
	for _, one := range sdks() {
		if strings.HasPrefix(one.name, "go ") {
			continue
		}
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			s := &seat{sdk: one, rig: start(t), driver: node(t, "sdk/node.mjs"), where: "Node"}
			s.everything(t)
		})
	}
}

func TestSDKsInGo(t *testing.T) {
	for _, one := range sdks() {
		if !strings.HasPrefix(one.name, "go ") {
			continue
		}
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			s := &seat{sdk: one, rig: start(t), driver: drive(t, "openaigo", nil, built.openaigo), where: "Go"}
			s.everything(t)
		})
	}
}

// TestSDKsInChromium: from a page of another origin, so that every call but the
// plainest is preceded by a preflight for all the headers that the SDK sends.
func TestSDKsInChromium(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, foreign := site(t, dir), site(t, dir)
	r := start(t, "ALLOWED_ORIGINS="+home)
	fromAPage(t, r, dir, home, func(t *testing.T, s *seat) {
		s.everything(t)
		t.Run("a page of a foreign origin is refused", func(t *testing.T) {
			stranger := *s
			stranger.page = foreign
			stranger.refusesThePage(t)
		})
	})
}

// fromAPage checks every SDK that a page of home can have, whose bundle is in dir.
func fromAPage(t *testing.T, r *rig, dir, home string, check func(*testing.T, *seat)) {
	d := chromium(t, "sdk/chromium.mjs", dir)
	for _, one := range sdks() {
		if strings.HasPrefix(one.name, "go ") {
			continue
		}
		t.Run(one.name, func(t *testing.T) {
			check(t, &seat{sdk: one, rig: r, driver: d, where: "Chromium", page: home})
		})
	}
}

// site serves a page with the bundle that will be in dir, on an origin of its own.
func site(t *testing.T, dir string) (origin string) {
	t.Helper()
	page := `<!doctype html><meta charset="utf-8"><title>An application</title><link rel="icon" href="data:,"><main></main><script src="app.js"></script>`
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	return server.URL
}

// everything is what each SDK must be able to do.
func (s *seat) everything(t *testing.T) {
	for _, c := range cases() {
		if c.concerns(s) {
			t.Run(c.name, func(t *testing.T) { c.check(t, s) })
		}
	}
	t.Run("nothing of the caller reaches the provider", func(t *testing.T) { s.keepsTheCaller(t) })
}

// ours are the headers that the provider may see.
var ours = []string{"Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "User-Agent", "X-Client-Request-Id"}

// keepsTheCaller looks at every request of the test at the provider.
func (s *seat) keepsTheCaller(t *testing.T) {
	requests := s.sim.Requests()
	if len(requests) < 10 {
		t.Fatalf("only %d requests reached the provider", len(requests))
	}
	for _, q := range requests {
		for name, values := range q.Header {
			if !slices.Contains(ours, name) {
				t.Errorf("%s %s: the provider sees %s: %q", q.Method, q.Path, name, values)
			}
		}
		if got := q.Header.Values("Authorization"); len(got) != 1 || got[0] != "Bearer "+s.key {
			t.Errorf("%s %s: Authorization is not the provider's key alone", q.Method, q.Path)
		}
		all := fmt.Sprint(q.Header, q.Body)
		for _, mark := range []string{"of-the-caller", "stainless", "langchain", "ai-sdk", "Mozilla", "TestSDKs", s.secret.Reveal()} {
			if strings.Contains(all, mark) {
				t.Errorf("%s %s: the provider sees %q:\n%.2000s", q.Method, q.Path, mark, all)
			}
		}
	}
}

// noneOfOurAccount looks at an answer's headers for the provider's.
func noneOfOurAccount(t *testing.T, e exchange) {
	t.Helper()
	for name := range maps.Keys(e.Headers) {
		lower := strings.ToLower(name)
		for _, prefix := range []string{"openai-organization", "openai-project", "x-ratelimit-", "cf-", "set-cookie", "server"} {
			if strings.HasPrefix(lower, prefix) {
				t.Errorf("%s %s: the caller sees the provider's %s: %q", e.Method, e.URL, name, e.Headers[name])
			}
		}
	}
}
