package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"keyshield/internal/auth"
)

// tryOut runs dev in an empty folder, with nothing set but what the test sets.
func tryOut(t testing.TB, args []string, set ...string) *rig {
	t.Helper()
	return launch(t, t.TempDir(), with(map[string]string{"PATH": os.Getenv("PATH")}, set...), append([]string{"dev"}, args...)...)
}

// printed is a command of the welcome, as it would be pasted.
func (r *rig) printed(t testing.TB, begin string) string {
	t.Helper()
	var command []string
	for line := range strings.Lines(r.out.String()) {
		line = strings.TrimRight(strings.TrimPrefix(line, "  "), "\n")
		if strings.HasPrefix(line, begin) || len(command) > 0 && line != "" {
			command = append(command, line)
		} else if len(command) > 0 {
			break
		}
	}
	if len(command) == 0 {
		t.Fatalf("dev prints no %q:\n%s", begin, r.out)
	}
	return strings.Join(command, "\n")
}

var (
	curlURL    = regexp.MustCompile(`curl (?:-N )?(http://\S+)`)
	curlHeader = regexp.MustCompile(`-H '([^']*)'`)
	curlBody   = regexp.MustCompile(`-d '([^']*)'`)
)

// do sends what a printed curl would.
func (r *rig) doCurl(t testing.TB, command string) reply {
	t.Helper()
	url, body := curlURL.FindStringSubmatch(command), curlBody.FindStringSubmatch(command)
	if url == nil || body == nil {
		t.Fatalf("this is no curl that posts: %s", command)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url[1], strings.NewReader(body[1]))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range curlHeader.FindAllStringSubmatch(command, -1) {
		name, value, _ := strings.Cut(h[1], ": ")
		req.Header.Set(name, value)
	}
	return r.do(req)
}

func TestWhatDevPrintsWorksWhenPasted(t *testing.T) {
	t.Parallel()
	r := tryOut(t, nil)
	for _, want := range []string{"a SIMULATOR is answering, not OpenAI: no key is used, nothing is spent", "Listening on " + r.url + "\n"} {
		if !strings.Contains(r.out.String(), want) {
			t.Errorf("dev does not say %q:\n%s", want, r.out)
		}
	}
	if said, _, _ := strings.Cut(r.log.String(), `"listening"`); strings.Contains(said, "audit_anchor") {
		t.Errorf("before it, dev says what nobody needs who tries it:\n%s", said)
	}
	text := r.doCurl(t, r.printed(t, "curl http"))
	text.wants200(t, jsonForm)
	if !strings.Contains(text.body, "I am the simulator") {
		t.Errorf("the answer is %s", text.body)
	}
	stream := r.doCurl(t, r.printed(t, "curl -N http"))
	stream.wants200(t, eventForm)
	if n := strings.Count(stream.body, `data: {"delta":`); n < 5 {
		t.Errorf("the stream comes in %d pieces, want word by word:\n%s", n, stream.body)
	}
}

// TestDevPromisesNothingBeforeItIsReady: what is pasted would hang, and the one line that
// matters would stand below a page of commands.
func TestDevPromisesNothingBeforeItIsReady(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, ledgerFile), 0o700); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := once(t, t.TempDir(), nil, "dev", "DATA_DIR="+data)
	if code != exitFailed || strings.Contains(stdout, "curl") || strings.Contains(stdout, "Listening on") || !strings.Contains(stderr, "keyshield dev: ") {
		t.Errorf("without a ledger: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// TestTheShellAgreesAboutWhatDevPrints, where there are curl and node.
func TestTheShellAgreesAboutWhatDevPrints(t *testing.T) {
	t.Parallel()
	r := tryOut(t, nil)
	for begin, want := range map[string]string{"curl http": `{"result":"Hello! `, "curl -N http": ": open\n\ndata: {\"delta\":", "const res": "Hello! I am the simulator"} {
		t.Run(begin, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "sh", "-c", r.printed(t, begin))
			if strings.HasPrefix(begin, "const") {
				cmd = exec.CommandContext(t.Context(), "node", "--input-type=module", "-e", r.printed(t, begin))
			}
			if tool, _, _ := strings.Cut(begin, " "); cmd.Err != nil || tool == "curl" && missing("curl") {
				t.Skip("this machine lacks the tool")
			}
			out, err := cmd.Output()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("got %v:\n%s\nwant %s", err, out, want)
			}
		})
	}
}

func missing(tool string) bool {
	_, err := exec.LookPath(tool)
	return err != nil
}

func TestDevTakesTheNextFreePort(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "127.0.0.1:3000"); err == nil {
		defer l.Close() // otherwise somebody else has it, which is as good
	}
	first, second := tryOut(t, nil), tryOut(t, nil)
	for _, r := range []*rig{first, second} {
		host, port, _ := strings.Cut(r.addr, ":")
		if n, _ := strconv.Atoi(port); host != "127.0.0.1" || n <= 3000 || n > 3100 {
			t.Errorf("dev listens on %s, want 127.0.0.1 and the next free port from 3000 on", r.addr)
		}
		if got := r.get("/livez"); got.status != http.StatusOK {
			t.Errorf("%s: livez is %d", r.addr, got.status)
		}
	}
	if first.addr == second.addr {
		t.Errorf("both listen on %s", first.addr)
	}
}

func TestDevRespectsThePort(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	r := tryOut(t, nil, "PORT="+port)
	if r.addr != "127.0.0.1:"+port {
		t.Errorf("dev listens on %s, want port %s", r.addr, port)
	}
	code, _, stderr := once(t, t.TempDir(), nil, "dev", "PORT="+port)
	if code != exitFailed || !strings.Contains(stderr, "choose another PORT") {
		t.Errorf("a port that is taken: exit code %d, %s", code, stderr)
	}
}

// once runs a command that ends. The last arguments are settings.
func once(t testing.TB, dir string, args []string, command string, set ...string) (code int, stdout, stderr string) {
	t.Helper()
	out, log := newLogbook("the output of "+t.Name()), newLogbook("a log of "+t.Name())
	code = run(t.Context(), process{args: append([]string{command}, args...), environ: set, dir: dir, stdout: out, stderr: log})
	return code, out.String(), log.String()
}

// TestAKeyInTheShellSpendsNothing: it happens to be there for something else.
func TestAKeyInTheShellSpendsNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"OPENAI_API_KEY=" + canary, "OPENAI_API_KEY_FILE=" + file} {
		rec := newRecorder(t)
		r := tryOut(t, nil, set, "OPENAI_BASE_URL="+rec.url+"/v1")
		if !strings.Contains(r.out.String(), "The OPENAI_API_KEY of your shell is not used. To spend money with it: keyshield dev --live") {
			t.Errorf("dev does not say that the key is not used:\n%s", r.out)
		}
		if got := r.doCurl(t, r.printed(t, "curl http")); !strings.Contains(got.body, "I am the simulator") {
			t.Errorf("the answer is %s", got.body)
		}
		if rec.count() > 0 {
			t.Error("OpenAI was asked with a key that happened to be in the shell")
		}
	}
}

// TestOnlyAKeyThatIsMeantSpends: in .env, or with --live.
func TestOnlyAKeyThatIsMeantSpends(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t)
	live := tryOut(t, []string{"--live"}, "OPENAI_API_KEY="+canary, "OPENAI_BASE_URL="+rec.url+"/v1")

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("OPENAI_API_KEY="+canary+"\nOPENAI_BASE_URL="+rec.url+"/v1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dotEnv := launch(t, dir, map[string]string{}, "dev")
	for name, r := range map[string]*rig{"--live": live, ".env": dotEnv} {
		before := rec.count()
		r.doCurl(t, r.printed(t, "curl http")).wants200(t, jsonForm)
		if rec.count() != before+1 || rec.last(t).Header.Get("Authorization") != "Bearer "+canary {
			t.Errorf("%s: OpenAI was not asked with the key", name)
		}
		if !strings.Contains(r.out.String(), rec.url+"/v1 is answering with your key (OPENAI_BASE_URL).") || strings.Contains(r.out.String(), "SIMULATOR") {
			t.Errorf("%s: dev does not say loudly who answers:\n%s", name, r.out)
		}
	}

	code, _, stderr := once(t, t.TempDir(), []string{"--live"}, "dev")
	if code != exitFailed || !strings.Contains(stderr, "OPENAI_API_KEY: --live needs a key") {
		t.Errorf("--live without a key: exit code %d, %s", code, stderr)
	}
}

func TestDevIsForThisMachine(t *testing.T) {
	t.Parallel()
	r := tryOut(t, nil, "JWT_SECRET="+jwtSecret)
	for from, status := range map[string]int{
		"http://localhost:5173": 200, "http://localhost": 200, "http://127.0.0.1:8080": 200, "http://[::1]:4321": 200,
		"https://app.example.com": 403, "http://localhost.evil.example": 403, "http://evil.example:3000": 403, "null": 403,
		"http://localhost:5173/": 403, "http://user@localhost": 403, "http://127.0.0.1.evil.example": 403,
	} {
		if got := r.ask("hi", "Origin: "+from); got.status != status {
			t.Errorf("from %s: got %d, want %d", from, got.status, status)
		}
	}
	if said := rates(r.ask("hi")); said[0] != "600" && said[0] != "100" || r.ask("hi", "Authorization:").header.Get("RateLimit-Limit") != "600" {
		t.Errorf("the limits are %v, want 600/15m by address", said)
	}
}

// TestTokensOfTheTokenCommandWork in dev and in serve, with any settings they
// share.
func TestTokensOfTheTokenCommandWork(t *testing.T) {
	t.Parallel()
	for _, set := range [][]string{
		{},
		{"JWT_ISSUER=https://login.example.com/", "JWT_AUDIENCE=my-api,my-app"},
		{"JWT_USER_CLAIM=app_metadata.customer", "JWT_MAX_LIFETIME=2h"},
	} {
		set = append(set, "JWT_SECRET="+jwtSecret)
		for _, r := range []*rig{tryOut(t, nil, set...), start(t, set...)} {
			code, token, stderr := once(t, t.TempDir(), []string{"--sub", "eve", "--ttl", "90m"}, "token", set...)
			if code != exitOK {
				t.Fatalf("token: exit code %d, %s", code, stderr)
			}
			got := r.ask("hi", "Authorization: Bearer "+strings.TrimSpace(token))
			if got.status != http.StatusOK {
				t.Errorf("%v: a minted token got %d %s", set[:len(set)-1], got.status, got.body)
			}
		}
	}
}

// TestDevSaysTheTruthAboutItsToken: how long it lives.
func TestDevSaysTheTruthAboutItsToken(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"24h", "12h0m0s"}, {"1h", "1h0m0s"}} {
		r := tryOut(t, nil, "JWT_MAX_LIFETIME="+c[0])
		if want := "Ask for a text (the token is valid for " + c[1] + "):"; !strings.Contains(r.out.String(), want) {
			t.Errorf("JWT_MAX_LIFETIME=%s: dev does not say %q:\n%s", c[0], want, r.out)
		}
		r.doCurl(t, r.printed(t, "curl http")).wants200(t, jsonForm)
	}
}

// TestDevWithAProviderHasNoTokenToGive, and says so.
func TestDevWithAProviderHasNoTokenToGive(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t)
	r := tryOut(t, nil, "JWT_JWKS_URL="+keys.url+"/keys", "JWT_ISSUER="+keys.url)
	if !strings.Contains(r.printed(t, "curl http"), "Bearer <a token of your identity provider>") {
		t.Errorf("dev prints\n%s", r.out)
	}
	soon(t, "the key set", func() bool { return r.get("/readyz").status == http.StatusOK })
	r.ask("hi", "Authorization: Bearer "+mintFor(t, auth.Claims{Subject: "ana", Issuer: keys.url})).wants(t, 403, "token_invalid")
	r.ask("hi", "Authorization: Bearer "+keys.token(t, map[string]any{"iss": keys.url})).wants200(t, jsonForm)
}

// TestCheckAsksOpenAIOnline for the list of models, which costs nothing.
func TestCheckAsksOpenAIOnline(t *testing.T) {
	t.Parallel()
	r := start(t) // for its simulator
	set := func(changes ...string) (all []string) {
		for name, value := range with(settings(r.back.URL), changes...) {
			all = append(all, name+"="+value)
		}
		return all
	}
	for _, c := range []struct {
		changes []string
		code    int
		says    string
	}{
		{nil, exitOK, "OpenAI accepts the key and lists gpt-6-luna."},
		{[]string{"OPENAI_API_KEY=test-wrong-0123456789abcdef"}, exitFailed, "OpenAI refuses the key (401)"},
		{[]string{"OPENAI_MODEL=gpt-99-mystery", acmePrices(t, "gpt-99-mystery")}, exitFailed, `does not list the model "gpt-99-mystery"`},
		{[]string{"OPENAI_BASE_URL=http://127.0.0.1:9/v1"}, exitFailed, "no usable answer: is OPENAI_BASE_URL right"},
	} {
		code, stdout, stderr := once(t, t.TempDir(), []string{"--online"}, "check", set(c.changes...)...)
		if code != c.code || !strings.Contains(stdout, c.says) || stderr != "" {
			t.Errorf("%v: exit code %d, want %d and %q:\n%s%s", c.changes, code, c.code, c.says, stdout, stderr)
		}
		if strings.Contains(stdout, "Incorrect API key") || strings.Contains(stdout, "test-wro") {
			t.Errorf("%v: OpenAI's own words, which repeat the key, are shown:\n%s", c.changes, stdout)
		}
	}
	if n := r.sim.Report().Calls; n != 0 {
		t.Errorf("check asked for %d completions", n)
	}
}
