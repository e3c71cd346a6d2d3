package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/auth"
	"keyshield/internal/secret"
)

// without is m less some members.
func without(m map[string]any, names ...string) map[string]any {
	for _, name := range names {
		delete(m, name)
	}
	return m
}

func messages(system, user string) []any {
	all := []any{map[string]any{"role": "user", "content": user}}
	if system == "" {
		return all
	}
	return append([]any{map[string]any{"role": "system", "content": system}}, all...)
}

// TestWhatIsSentIsTheOperatorsChoice holds the whole body, member by member:
// whatever else stood in it could cost something or tell something.
func TestWhatIsSentIsTheOperatorsChoice(t *testing.T) {
	t.Parallel()
	const helpful = "You are a helpful assistant."
	for name, c := range map[string]struct {
		settings []string
		want     map[string]any
	}{
		"as it comes": {nil, map[string]any{"model": "gpt-6-luna", "max_completion_tokens": 150.0, "reasoning_effort": "none", "messages": messages(helpful, "hi")}},
		"another limit and voice": {
			[]string{"MAX_OUTPUT_TOKENS=77", "SYSTEM_PROMPT=Talk like a \"pirate\"."},
			map[string]any{"model": "gpt-6-luna", "max_completion_tokens": 77.0, "reasoning_effort": "none", "messages": messages(`Talk like a "pirate".`, "hi")},
		},
		"the coolest head": {
			[]string{"TEMPERATURE=0"},
			map[string]any{"model": "gpt-6-luna", "max_completion_tokens": 150.0, "reasoning_effort": "none", "temperature": 0.0, "messages": messages(helpful, "hi")},
		},
		"a warmer one": {
			[]string{"TEMPERATURE=1.25"},
			map[string]any{"model": "gpt-6-luna", "max_completion_tokens": 150.0, "reasoning_effort": "none", "temperature": 1.25, "messages": messages(helpful, "hi")},
		},
		"a model that thinks": {
			[]string{"REASONING_EFFORT=high", "MAX_OUTPUT_TOKENS=2048"},
			map[string]any{"model": "gpt-6-luna", "max_completion_tokens": 2048.0, "reasoning_effort": "high", "messages": messages(helpful, "hi")},
		},
		"a model that cannot": {
			[]string{"OPENAI_MODEL=gpt-4o-mini", "TEMPERATURE=0.5"},
			map[string]any{"model": "gpt-4o-mini", "max_completion_tokens": 150.0, "temperature": 0.5, "messages": messages(helpful, "hi")},
		},
		"a model of old": {
			[]string{"OPENAI_MODEL=gpt-3.5-turbo"},
			map[string]any{"model": "gpt-3.5-turbo", "max_tokens": 150.0, "messages": messages(helpful, "hi")},
		},
		"a model that only the operator knows": {
			[]string{"OPENAI_MODEL=gpt-99-mystery", acmePrices(t, "gpt-99-mystery")},
			map[string]any{"model": "gpt-99-mystery", "max_completion_tokens": 150.0, "messages": messages(helpful, "hi")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, c.settings...)
			c.want["service_tier"], c.want["store"] = "default", false
			for _, accept := range []string{"application/json", "text/event-stream", "text/plain"} {
				if got := r.ask("hi", "Accept:"+accept); got.status != http.StatusOK {
					t.Fatalf("%d %s", got.status, got.body)
				}
				c.want["stream"] = false
				delete(c.want, "stream_options")
				if accept != "application/json" {
					c.want["stream"], c.want["stream_options"] = true, map[string]any{"include_usage": true}
				}
				if diff := cmp.Diff(c.want, without(lastCall(t, r), "safety_identifier")); diff != "" {
					t.Errorf("%s: what went to OpenAI (-want +got):\n%s", accept, diff)
				}
			}
		})
	}
}

// TestTheUserGoesUpstreamAsAPseudonym: the same for one user, another for
// another, and telling nothing.
func TestTheUserGoesUpstreamAsAPseudonym(t *testing.T) {
	t.Parallel()
	r := start(t)
	names := map[string]string{}
	for _, user := range []string{"ana@example.com", "bob", "ana@example.com", "user-1", "1"} {
		token := r.token(user)
		for _, accept := range []string{"application/json", "text/event-stream"} {
			r.ask("hi", "Accept:"+accept, "Authorization: Bearer "+token)
			calls := r.sim.Requests()
			last := calls[len(calls)-1]
			if user != "1" && strings.Contains(last.Body, user) || strings.Contains(last.Body, token) || strings.Contains(last.Body, jwtSecret) {
				t.Errorf("%s goes to OpenAI in plain: %s", user, last.Body)
			}
			name, _ := lastCall(t, r)["safety_identifier"].(string)
			if name == "" || len(name) > 64 {
				t.Errorf("safety_identifier is %q, want 1 to 64 characters", name)
			}
			if known, ok := names[user]; ok && known != name {
				t.Errorf("%s is %q and then %q", user, known, name)
			}
			for other, taken := range names {
				if other != user && taken == name {
					t.Errorf("%s and %s are both %q", user, other, name)
				}
			}
			names[user] = name
		}
	}
}

// TestTwoIssuersUsersAreTwoPeople with the same id.
func TestTwoIssuersUsersAreTwoPeople(t *testing.T) {
	t.Parallel()
	r := start(t)
	seen := map[any]bool{}
	for _, issuer := range []string{"", "https://a.example", "https://b.example"} {
		r.ask("hi", "Authorization: Bearer "+mintFor(t, auth.Claims{Subject: "1", Issuer: issuer}))
		seen[lastCall(t, r)["safety_identifier"]] = true
	}
	if len(seen) != 3 {
		t.Errorf("three issuers' user 1 are %d people, want 3", len(seen))
	}
}

// mintFor is a token of the tests' secret with these claims, for an hour unless
// they say otherwise.
func mintFor(t testing.TB, c auth.Claims) string {
	t.Helper()
	return mintWith(t, jwtSecret, c)
}

func mintWith(t testing.TB, key string, c auth.Claims) string {
	t.Helper()
	if c.TTL == 0 {
		c.TTL = time.Hour
	}
	token, err := auth.Mint(secret.New(key), c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestNoHeaderOfTheClientsGoesUpstream: what is sent is an allow-list.
func TestNoHeaderOfTheClientsGoesUpstream(t *testing.T) {
	t.Parallel()
	r := start(t)
	theirs := []string{
		"Cookie: session=1", "X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4", "Via: 1.1 proxy", "User-Agent: mine/1", "Accept-Language: de",
		"OpenAI-Organization: org-mine", "OpenAI-Project: proj_mine", "OpenAI-Beta: assistants=v2", "Idempotency-Key: 1", "X-Request-Id: mine",
		"X-Stainless-Lang: js", "Traceparent: 00-1-1-01", "Referer: https://app.example.com/secret", "Origin: " + origin, "X-Api-Key: mine", "Connection: Authorization",
	}
	for _, accept := range []string{"application/json", "text/event-stream"} {
		if got := r.ask("hi", append(theirs, "Accept:"+accept)...); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		calls := r.sim.Requests()
		got := calls[len(calls)-1].Header
		want := http.Header{
			"Accept":         {"application/json, text/event-stream"},
			"Authorization":  {"Bearer " + canary},
			"Content-Type":   {"application/json"},
			"User-Agent":     {"keyshield"},
			"Content-Length": got["Content-Length"],
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("the headers that went to OpenAI are not the five of ours (-want +got), values withheld:", headerNames(want), headerNames(got))
		}
	}
}

func headerNames(h http.Header) (names []string) {
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestHarmlessTextArrivesByteForByte, apart from the cleaning.
func TestHarmlessTextArrivesByteForByte(t *testing.T) {
	t.Parallel()
	r := start(t)
	for sent, arrives := range map[string]string{
		"a < b and c > d":                     "a < b and c > d",
		"List<String> x = new ArrayList<>();": "List<String> x = new ArrayList<>();",
		"&lt;b&gt; \\ \"\u2028 /":             "&lt;b&gt; \\ \"\u2028 /",
		"e\u0301 is not é":                    "e\u0301 is not é",
		"👩\u200d👩\u200d👧 \U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F": "👩\u200d👩\u200d👧 \U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F",
		"one\r\ntwo\tthree": "one\ntwo\tthree",
		"  trimmed  ":       "trimmed",
		"be<b>ll</b>a<script>alert(1)</script><br/>": "bella",
		"zero\u200bwidth\u202eflip\x00\x1b":          "zerowidthflip",
	} {
		if got := r.ask(sent); got.status != http.StatusOK {
			t.Errorf("%q: %d %s", sent, got.status, got.body)
		} else if got := lastPrompt(t, r); got != arrives {
			t.Errorf("%q arrives as %q, want %q", sent, got, arrives)
		}
	}
}
