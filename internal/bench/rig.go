package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
)

const (
	origin    = "https://app.example.com"
	maxTokens = 1000 // of an answer: enough for the longest stream
	maxUsers  = 1000
)

// rig is what all rounds share.
type rig struct {
	dir    string // for the binary and its log
	self   string // this program
	binary string // keyshield
	key    string // OpenAI's
	secret secret.String
	tokens []string // one per user
	text   *policy.Text
}

// newRig builds keyshield and mints the users' tokens.
func newRig(ctx context.Context) (_ *rig, err error) {
	r := &rig{
		key:    "test-key-of-the-benchmark",
		secret: secret.New("the secret of the benchmark, long enough for HS256"),
	}
	if r.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp("", "keyshield-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	r.binary = filepath.Join(r.dir, "keyshield")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", r.binary, "keyshield/cmd/keyshield")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build keyshield: %w\n%s", err, out)
	}
	for user := range maxUsers {
		token, err := auth.Mint(r.secret, auth.Claims{Subject: fmt.Sprintf("user-%d", user), TTL: 12 * time.Hour}, time.Now())
		if err != nil {
			return nil, err
		}
		r.tokens = append(r.tokens, token)
	}
	r.text, err = policy.NewText(policy.TextSettings{
		Model:           "gpt-6-luna",
		SystemPrompt:    "You are a helpful assistant.",
		MaxOutputTokens: maxTokens,
		ReasoningEffort: "none",
	})
	return r, err
}

func (r *rig) close() { os.RemoveAll(r.dir) }

// measure runs a scenario: in every round each target once.
func (r *rig) measure(ctx context.Context, s scenario, progress io.Writer) (*outcome, error) {
	o := newOutcome(s)
	if reason := tooManyStreams(s.load.Streams); reason != "" {
		o.Skipped = reason
		return o, nil
	}
	for round := range s.Rounds {
		for i := range s.targets {
			t := &s.targets[i]
			fmt.Fprintf(progress, "%s: round %d of %d, %s\n", s.Name, round+1, s.Rounds, t.Name)
			got, err := r.once(ctx, s, t)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.Name, err)
			}
			o.Targets[i].add(got)
		}
	}
	o.conclude()
	return o, nil
}

// once is one round of one target, with processes of its own.
func (r *rig) once(ctx context.Context, s scenario, t *target) (*result, error) {
	if t.alone != nil {
		return t.alone(ctx, r, s)
	}
	simulator, err := r.startRole(ctx, roleSim, otherCores, simPlan{Key: r.key, Behaviour: s.behaviour})
	if err != nil {
		return nil, fmt.Errorf("start the simulator: %w", err)
	}
	defer simulator.stop()

	p := s.load
	p.Whole, p.Token, p.End = t.whole, t.token, t.end
	if p.Streams > 0 {
		p.Whole = placeholder[:8] // stamped, or not: an answer that is not streamed is only a warm-up here
	}
	p.Address, p.Simulator = simulator.address, simulator.pid()
	for user := range p.Users {
		p.Requests = append(p.Requests, t.request(r, s.prompt, user, false))
		if p.Streams > 0 {
			p.StreamRequests = append(p.StreamRequests, t.request(r, s.prompt, user, true))
		}
	}
	var proxy *process
	if t.start != nil {
		if proxy, err = t.start(ctx, r, simulator.address); err != nil {
			return nil, fmt.Errorf("start it: %w", err)
		}
		defer proxy.stop()
		p.Address, p.Proxy = proxy.address, proxy.pid()
	}

	load, err := r.startRole(ctx, roleLoad, otherCores, p)
	if err != nil {
		return nil, fmt.Errorf("start the load generator: %w", err)
	}
	defer load.stop()
	var got result
	if err := load.answer.Decode(&got); err != nil {
		return nil, fmt.Errorf("the load generator ended without a result: %w", err)
	}
	if proxy != nil {
		if err := proxy.stop(); err != nil {
			got.fail(err)
		}
		if proxy.log != "" {
			got.failAll(checkLog(proxy.log, p.total()))
		}
	}
	got.Figures["errors"] = float64(got.Errors)
	return &got, nil
}

// total is how many requests a plan sends at least.
func (p *plan) total() int { return p.Warm + p.Count + p.Streams }

// settings are keyshield's: everything on, and limits and budgets that are
// counted and never reached.
func (r *rig) settings(simulator, books string) []string {
	set := map[string]string{
		"HOST":                 "127.0.0.1",
		"PORT":                 "0",
		"OPENAI_API_KEY":       r.key,
		"OPENAI_BASE_URL":      "http://" + simulator + "/v1",
		"JWT_SECRET":           r.secret.Reveal(),
		"ALLOWED_ORIGINS":      origin,
		"RATE_LIMIT_IP":        "1000000000/1h",
		"RATE_LIMIT_USER":      "1000000000/1h",
		"MAX_OUTPUT_TOKENS":    itoa(maxTokens),
		"MAX_OUTPUT_TOKENS_V1": itoa(maxTokens),
		"ENDPOINTS":            "text,chat",
		"BUDGET_MONTH":         "1000000",
		"BUDGET_DAY":           "1000000",
		"BUDGET_USER_DAY":      "1000000",
		"DATA_DIR":             books,
		"SHUTDOWN_GRACE":       "5s",
	}
	var environ []string
	for name := range maps.Keys(set) {
		environ = append(environ, name+"="+set[name])
	}
	return environ
}
