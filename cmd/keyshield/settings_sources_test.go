package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTheEnvironmentWinsOverDotEnv, setting by setting; an empty value is none.
func TestTheEnvironmentWinsOverDotEnv(t *testing.T) {
	t.Parallel()
	back := start(t).back // a provider
	dir := t.TempDir()
	write(t, dir, ".env", strings.Join([]string{
		"# a comment", "MAX_PROMPT_CHARS=5", "SYSTEM_PROMPT='Say \"$5\", not ${HOME}.' # and why", "export RATE_LIMIT_USER=7/1h",
		"ALLOWED_ORIGINS=https://dotenv.example", "LOG_LEVEL=", "JWT_SECRET=" + jwtSecret, "",
	}, "\n"))
	r := launch(t, dir, with(settings(back.URL), "JWT_SECRET", "RATE_LIMIT_USER=", "MAX_PROMPT_CHARS=7"), "serve")
	got := r.ask("1234567")
	if got.status != http.StatusOK || got.header.Get("RateLimit-Limit") != "7" {
		t.Errorf("got %d with a limit of %s, want 200 with 7: the environment says how long, .env how often", got.status, got.header.Get("RateLimit-Limit"))
	}
	r.ask("12345678").wants(t, 400, "prompt_too_long")
	if got := r.ask("hi", "Origin: "+origin); got.status != http.StatusOK {
		t.Errorf("the environment's origin got %d", got.status)
	}
	r.ask("hi", "Origin: https://dotenv.example").wants(t, 403, "origin_not_allowed")
}

// TestDotEnvAloneIsEnough, with the copy of .env.example that people make.
func TestDotEnvAloneIsEnough(t *testing.T) {
	t.Parallel()
	back := start(t)
	example, err := os.ReadFile(filepath.Join("..", "..", ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer(
		"\nOPENAI_API_KEY=\n", "\nOPENAI_API_KEY="+canary+"\n",
		"\nJWT_SECRET=\n", "\nJWT_SECRET="+jwtSecret+"\n",
		"\nALLOWED_ORIGINS=\n", "\nALLOWED_ORIGINS="+origin+"\n",
		"\n#OPENAI_BASE_URL=", "\nOPENAI_BASE_URL="+back.back.URL+"/v1\n#",
		"\n#PORT=3000\n", "\nPORT=0\n",
		"\n#HOST=\n", "\nHOST=127.0.0.1\n",
	).Replace(string(example))
	dir := t.TempDir()
	write(t, dir, ".env", filled)
	r := launch(t, dir, nil, "serve")
	got := r.ask("hi", "Origin: "+origin)
	if got.status != http.StatusOK || got.header.Get("RateLimit-Limit") != "20" {
		t.Errorf("got %d %s with a limit of %s, want 200 with the default of 20", got.status, got.body, got.header.Get("RateLimit-Limit"))
	}
	if _, set := os.LookupEnv("JWT_SECRET"); set {
		t.Error("what stands in .env has got into the environment of the process")
	}
}

// TestSecretsMayStandInFiles, with the line end that every editor leaves.
func TestSecretsMayStandInFiles(t *testing.T) {
	t.Parallel()
	back := start(t).back
	dir := t.TempDir()
	key := write(t, dir, "key", canary+"\n")
	write(t, dir, "secret", "  "+jwtSecret+"\r\n")
	for _, dotEnv := range []string{"", "OPENAI_API_KEY_FILE=" + key + "\nJWT_SECRET_FILE=secret\n"} {
		env := with(settings(back.URL), "OPENAI_API_KEY", "JWT_SECRET")
		if dotEnv == "" {
			env = with(env, "OPENAI_API_KEY_FILE="+key, "JWT_SECRET_FILE=secret")
		}
		write(t, dir, ".env", dotEnv)
		launch(t, dir, env, "serve").ask("hi").wants200(t, jsonForm)
	}
}

// TestWarningsAreInTheLog of serve, for nobody runs check every day.
func TestWarningsAreInTheLog(t *testing.T) {
	t.Parallel()
	back := start(t).back
	dir := t.TempDir()
	if err := os.Chmod(write(t, dir, ".env", "LOG_FORMAT=json\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := launch(t, dir, with(settings(back.URL), "OPENAI_MODEL=gpt-3.5-turbo", "RATE_LIMT_IP=1/1h"), "serve")
	told := map[string]bool{}
	for _, line := range r.log.records() {
		if line["level"] == "WARN" {
			told[line["msg"].(string)] = true
		}
	}
	for _, want := range []string{
		".env can be read by other users of this machine. Run: chmod 600 .env",
		"OPENAI_MODEL gpt-3.5-turbo was retired by OpenAI on 2026-10-23 and answers no more. Set OPENAI_MODEL=gpt-6-luna, or another.",
		"RATE_LIMT_IP is set and has no effect. Did you mean RATE_LIMIT_IP?",
		"RATE_LIMIT_IP is off: nothing here limits how often that may be.",
	} {
		if !told[want] {
			t.Errorf("the log does not warn: %s\n%s", want, r.log)
		}
	}
}
