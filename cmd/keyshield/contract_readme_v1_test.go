package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/secret"
)

// TestTheREADMEsFetchOfV1Works: it prints the answer, and throws what a refusal
// says. What needs a package of npm's is tried in internal/e2e.
func TestTheREADMEsFetchOfV1Works(t *testing.T) {
	t.Parallel()
	r := openAll(t)
	code := strings.ReplaceAll(snippet(t, "/v1/chat/completions\", {"), "https://api.example.com", r.url)
	for token, want := range map[string]string{
		r.token("ana"): "Hello there, you.\n",
		"not-a-token":  "invalid_api_key: Invalid or expired security token.\n",
	} {
		program := fmt.Sprintf(`const getToken = async () => %q;
try {
%s
} catch (e) { console.log(e.code + ": " + e.message); }
`, token, strings.Replace(code, `"Say hello in three words"`, `'[[sim text="Hello there, you."]]'`, 1))
		if got := node(t, program); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// plansShown is the README's PLANS_FILE.
func plansShown(t *testing.T) string {
	t.Helper()
	for _, block := range blocks(readme(t), "json") {
		if strings.Contains(block, `"suspended"`) {
			return block
		}
	}
	t.Fatal("the README shows no plans")
	return ""
}

// TestTheREADMEsSamplesGoTogether: who copies ENDPOINTS, MODELS and the plans is
// not warned of what the README itself has made wrong. Its plans alone, with /v1
// closed, are in order too.
func TestTheREADMEsSamplesGoTogether(t *testing.T) {
	t.Parallel()
	opened := regexp.MustCompile(`(?m)^(?:ENDPOINTS|MODELS)=\S+`).FindAllString(strings.Join(blocks(readme(t), "sh"), ""), -1)
	if len(opened) != 2 {
		t.Fatalf("the README opens /v1 with %q, want a line for ENDPOINTS and one for MODELS", opened)
	}
	for _, lines := range [][]string{opened, nil} {
		set := append(lines, "PLANS_FILE="+write(t, t.TempDir(), "plans.json", plansShown(t)), "DATA_DIR="+t.TempDir())
		for name, value := range with(settings("http://127.0.0.1:9"), "RATE_LIMIT_IP=20/15m", "RATE_LIMIT_USER=100/1h") {
			set = append(set, name+"="+value)
		}
		code, stdout, stderr := once(t, t.TempDir(), nil, "check", set...)
		if code != exitOK || strings.Contains(stdout+stderr, "warning") {
			t.Errorf("%q: exit code %d\n%s%s", lines, code, stdout, stderr)
		}
	}
}

// TestTheREADMEsCurlOfV1Works, with the token in the variable that it names.
func TestTheREADMEsCurlOfV1Works(t *testing.T) {
	t.Parallel()
	r := openAll(t)
	for _, block := range blocks(readme(t), "sh") {
		if !strings.Contains(block, "curl https://api.example.com/v1/") {
			continue
		}
		command := strings.NewReplacer("https://api.example.com", r.url, "$TOKEN", r.token("ana"), `"Authorization: Bearer `, `'Authorization: Bearer `, `" -H "`, `' -H '`, `json" \`, `json' \`).Replace(block)
		if got := r.doCurl(t, command); got.status != http.StatusOK || !strings.Contains(got.body, `"output_text"`) {
			t.Errorf("%s: %d %s", command, got.status, got.body)
		}
		return
	}
	t.Error("the README has no curl of /v1")
}

// TestTheREADMEsPlansDoWhatItSays, with everything open.
func TestTheREADMEsPlansDoWhatItSays(t *testing.T) {
	t.Parallel()
	r := openAll(t, "PLANS_FILE="+write(t, t.TempDir(), "plans.json", plansShown(t)))
	on := func(plan string) string {
		token, err := auth.Mint(secret.New(jwtSecret), auth.Claims{Subject: "ana", Plan: plan, TTL: time.Hour}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + token
	}
	for _, c := range []struct {
		plan, path string
		status     int
	}{
		{"", "/api/generate-text", 200}, {"", "/v1/chat/completions", 403},
		{"pro", "/api/generate-text", 200}, {"pro", "/v1/chat/completions", 200}, {"pro", "/v1/embeddings", 200}, {"pro", "/api/chat", 200},
		{"suspended", "/api/generate-text", 403}, {"suspended", "/v1/responses", 403},
	} {
		body := promptBody("hi")
		if of, ok := clientsOwn()[c.path]; ok {
			body = of("hi")
		}
		if got := r.post(c.path, body, on(c.plan)); got.status != c.status {
			t.Errorf("%s on the plan %q: got %d %s, want %d", c.path, c.plan, got.status, got.body, c.status)
		}
	}
	var offered struct{ Data []struct{ ID string } }
	got := r.do(asGet(r.request("/v1/models", "", on("pro"))))
	if err := json.Unmarshal([]byte(got.body), &offered); err != nil || got.status != http.StatusOK {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	if !slices.ContainsFunc(offered.Data, func(m struct{ ID string }) bool { return m.ID == "gpt-6-sol" }) {
		t.Errorf("the plan pro has gpt-6-sol, and is offered %v", offered.Data)
	}
}
