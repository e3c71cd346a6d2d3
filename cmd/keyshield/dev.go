package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/config"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
	"keyshield/internal/sim"
)

const (
	devTokenLife = 12 * time.Hour
	devPorts     = 100 // how many are tried from the first on
)

// dev is for trying it: on this machine only, with a simulated OpenAI unless
// the operator means the real one. Nothing that makes it convenient can be
// switched on in serve.
func dev(ctx context.Context, p process) int {
	live := false
	if exit, ok := flags(p, "dev", func(f *flag.FlagSet) {
		f.BoolVar(&live, "live", false, "ask OpenAI itself with the OPENAI_API_KEY of the environment; this costs money")
	}); !ok {
		return exit
	}
	loaded := config.Load(config.Dev, p.environ, p.dir)
	for _, warning := range loaded.Warnings {
		fmt.Fprintln(p.stdout, "warning:", warning)
	}
	if err := onThisMachine(ctx, p, loaded, live); err != nil {
		if err != errRefused {
			fmt.Fprintf(p.stderr, "keyshield dev: %v\n", err)
		}
		return exitFailed
	}
	return exitOK
}

// errRefused is a start whose problems have been printed.
var errRefused = errors.New("not started")

// onThisMachine runs a server for whoever sits there.
func onThisMachine(ctx context.Context, p process, loaded *config.Loaded, live bool) error {
	cfg, problems := loaded.Config, loaded.Problems
	hasKey := len(cfg.OpenAI.AllKeys()) > 0 || cfg.OpenAI.Source.Kind != ""
	if live && !hasKey {
		problems = append(problems, config.Problem{Name: "OPENAI_API_KEY", Text: "--live needs a key to ask OpenAI with", Fix: "OPENAI_API_KEY=<your key>"})
	}
	if refused(p.stderr, "dev", problems) {
		return errRefused
	}

	// A key that happens to be in the shell must not spend money.
	real := hasKey && (live || !slices.ContainsFunc(keyNames(), loaded.FromShell))
	if !real {
		stop, err := simulate(&cfg)
		if err != nil {
			return err
		}
		defer stop()
		if hasKey {
			fmt.Fprintln(p.stdout, "The OPENAI_API_KEY of your shell is not used. To spend money with it: keyshield dev --live")
		}
	}
	if selfSigned(cfg.Auth) && cfg.Auth.Secret.IsZero() {
		cfg.Auth.Secret = freshRandom()
	}
	adminToken := "your ADMIN_TOKEN"
	if cfg.Operator.AdminToken.IsZero() {
		cfg.Operator.AdminToken = freshRandom()
		adminToken = cfg.Operator.AdminToken.Reveal() // it lasts as long as this process
	}
	forget, err := keepNothing(loaded, &cfg)
	if err != nil {
		return err
	}
	defer forget()
	l, err := listenDev(ctx, cfg.Server, loaded.Sources["PORT"] == config.FromDefault)
	if err != nil {
		return err
	}
	token, err := devToken(cfg.Auth)
	if err != nil {
		return err
	}
	g := newProgram(p, loaded, cfg)
	g.dev, g.simulated, g.behind, g.token = true, !real, behind(cfg, real), token
	return answer(ctx, g, l, func() { // what is pasted before would hang, or fail
		welcome(p.stdout, cfg, "http://"+l.Addr().String(), token, adminToken, g.behind)
	})
}

// freshRandom is a secret that lasts as long as the process.
func freshRandom() secret.String { return secret.New(rand.Text() + rand.Text()) }

// keyNames are the settings that say where keys for OpenAI are.
func keyNames() []string {
	return []string{"OPENAI_API_KEY", "OPENAI_API_KEYS", "OPENAI_KEY_SOURCE"}
}

// keepNothing puts what is spent into a folder that forget removes, unless DATA_DIR
// says where to keep it.
func keepNothing(loaded *config.Loaded, cfg *config.Config) (forget func(), err error) {
	if loaded.Sources["DATA_DIR"] != config.FromDefault {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "keyshield-dev-")
	if err != nil {
		return nil, fmt.Errorf("a temporary folder for what is spent: %w; or set DATA_DIR", err)
	}
	cfg.Money.DataDir = dir
	return func() { os.RemoveAll(dir) }, nil
}

// simulate starts a simulated OpenAI on loopback and points cfg to it.
func simulate(cfg *config.Config) (stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the simulator: %w", err)
	}
	simulator := sim.New(sim.Options{Behaviour: sim.Behaviour{Latency: 300 * time.Millisecond, Pace: 40 * time.Millisecond}})
	web := &http.Server{Handler: simulator, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); web.Serve(l) }()

	cfg.OpenAI.BaseURL = "http://" + l.Addr().String() + "/v1"
	cfg.OpenAI.Key, cfg.OpenAI.Keys = secret.New("simulated-"+rand.Text()), secret.String{}
	cfg.OpenAI.Source, cfg.KeyFiles = config.KeySource{}, nil
	return func() {
		simulator.Close()
		web.Close()
		<-done
	}, nil
}

// listenDev takes PORT, or the next free port from the default on.
func listenDev(ctx context.Context, s config.Server, search bool) (net.Listener, error) {
	if !search {
		return listen(ctx, s.Host, s.Port)
	}
	for port := s.Port; ; port++ {
		l, err := listen(ctx, s.Host, port)
		if !errors.Is(err, syscall.EADDRINUSE) || port == s.Port+devPorts {
			return l, err
		}
	}
}

// devToken is a ready token, or "" when a provider signs them and we cannot.
func devToken(id auth.Config) (string, error) {
	if !selfSigned(id) {
		return "", nil
	}
	return auth.Mint(id.Secret, claims(id, "dev-user", "", tokenLife(id)), time.Now())
}

func tokenLife(id auth.Config) time.Duration { return min(devTokenLife, id.MaxLifetime) }

// selfSigned reports whether tokens are signed with a secret that we share, and
// not by a provider.
func selfSigned(id auth.Config) bool { return id.Provider == "" && id.JWKSURL == "" }

// behind says who answers.
func behind(cfg config.Config, real bool) string {
	switch {
	case !real:
		return "a SIMULATOR is answering, not OpenAI: no key is used, nothing is spent."
	case strings.HasPrefix(cfg.OpenAI.BaseURL, "https://api.openai.com/"):
		return "OpenAI ITSELF is answering with your key: every prompt costs money."
	default:
		return cfg.OpenAI.BaseURL + " is answering with your key (OPENAI_BASE_URL)."
	}
}

// welcome prints what to paste.
func welcome(w io.Writer, cfg config.Config, url, token, adminToken, behind string) {
	fmt.Fprintf(w, "\nkeyshield dev  —  %s\n\n", behind)
	note := ""
	if token == "" {
		token = "<a token of your identity provider>"
	} else {
		note = fmt.Sprintf(" (the token is valid for %s)", tokenLife(cfg.Auth))
	}
	fmt.Fprintf(w, "Listening on %s\n\n", url)
	if cfg.Operator.Playground {
		fmt.Fprintf(w, "Try it in a browser:\n\n  %s/\n\n", url)
	}
	fmt.Fprintf(w, "See and stop (sign in with %s):\n\n  %s/admin/\n\n", adminToken, url)
	if slices.Contains(cfg.Server.Endpoints, policy.TextEndpoint) {
		fmt.Fprintf(w, "Ask for a text%s:\n\n%s\n\nThe same as a stream, word by word:\n\n%s\n\nFrom a web page on localhost:\n\n%s\n\n",
			note, curl(url, token, false), curl(url, token, true), fetch(url, token))
	}
	if slices.Contains(cfg.Server.Endpoints, string(policy.Chat)) {
		fmt.Fprintf(w, "With OpenAI's own SDK, and with whatever else takes a base URL:\n\n%s\n\n", sdk(url, token))
	}
	fmt.Fprint(w, "Stop with Ctrl-C.\n\n")
}

func sdk(url, token string) string {
	return fmt.Sprintf("  const openai = new OpenAI({\n    baseURL: \"%s/v1\",\n    apiKey: \"%s\", // the user's, so it may be in a browser\n    dangerouslyAllowBrowser: true,\n  });", url, token)
}

func curl(url, token string, stream bool) string {
	flag, body := "", `{"userPrompt": "Say hello in three words"}`
	if stream {
		flag, body = "-N ", `{"userPrompt": "Tell me a short story", "stream": true}`
	}
	return fmt.Sprintf("  curl %s%s/api/generate-text \\\n    -H 'Authorization: Bearer %s' \\\n    -H 'Content-Type: application/json' \\\n    -d '%s'",
		flag, url, token, body)
}

func fetch(url, token string) string {
	snippet := `const res = await fetch("{url}/api/generate-text", {
  method: "POST",
  headers: { Authorization: "Bearer {token}", "Content-Type": "application/json" },
  body: JSON.stringify({ userPrompt: "Say hello in three words" }),
});
console.log(res.status, await res.json());`
	return "  " + strings.NewReplacer("{url}", url, "{token}", token, "\n", "\n  ").Replace(snippet)
}
