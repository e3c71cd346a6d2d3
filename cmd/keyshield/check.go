package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"flag"
	"fmt"
	"slices"

	"keyshield/internal/config"
	"keyshield/internal/upstream"
)

// check loads the configuration as serve would and says what came of it.
func check(ctx context.Context, p process) int {
	online := false
	if exit, ok := flags(p, "check", func(f *flag.FlagSet) {
		f.BoolVar(&online, "online", false, "also ask OpenAI whether the key works and may use the model; this costs nothing")
	}); !ok {
		return exit
	}
	loaded := config.Load(config.Serve, p.environ, p.dir)
	loaded.Print(p.stdout)
	fmt.Fprintln(p.stdout)
	for _, warning := range loaded.Warnings {
		fmt.Fprintln(p.stdout, "warning:", warning)
	}
	cfg := loaded.Config
	fmt.Fprintln(p.stdout, keysSaid(loaded))
	if len(loaded.Problems) > 0 {
		fmt.Fprintf(p.stdout, "\n`keyshield serve` would not start, because of %s:\n\n", count(len(loaded.Problems), "problem"))
		printProblems(p.stdout, loaded.Problems)
		if selfSigned(cfg.Auth) && about(loaded.Problems, "JWT_SECRET") {
			fmt.Fprintf(p.stdout, "A fresh random secret, made just now and kept nowhere; the server that signs your users' tokens needs the same:\n\n      JWT_SECRET=%s\n", freshSecret())
		}
		return exitFailed
	}
	if online && !tryKeys(ctx, p, newProgram(p, loaded, cfg)) {
		return exitFailed
	}
	fmt.Fprintln(p.stdout, "`keyshield serve` would start.")
	return exitOK
}

// keysSaid says which keys are there, without a byte of any.
func keysSaid(loaded *config.Loaded) string {
	c := loaded.Config.OpenAI
	switch n := len(c.AllKeys()); {
	case about(loaded.Problems, "OPENAI_API_KEY"), about(loaded.Problems, "OPENAI_API_KEYS"):
		if n == 0 {
			return "No API key is loaded."
		}
		return "What is set as API key is none."
	case c.Source.Kind != "":
		return "Your API keys are fetched from " + c.Source.String() + "."
	case n == 0:
		return "No API key is loaded."
	case n == 1:
		return "Your API key is loaded."
	default:
		return count(n, "API key") + " are loaded."
	}
}

// tryKeys asks OpenAI with each key.
func tryKeys(ctx context.Context, p process, g program) bool {
	src, _, err := keySource(ctx, g)
	var keys []upstream.Key
	if err == nil {
		keys, err = src.Read(ctx)
	}
	if err != nil {
		fmt.Fprintf(p.stdout, "The keys for OpenAI: %v\n", err)
		return false
	}
	good := true
	for _, k := range keys {
		which := ""
		if len(keys) > 1 {
			which = " (" + upstream.Fingerprint(k.Secret) + ")"
		}
		if err := upstream.TryKey(ctx, upstreamConfig(g.cfg), k.Secret, g.cfg.Text.Model); err != nil {
			fmt.Fprintf(p.stdout, "OpenAI%s: %v\n", which, err)
			good = false
			continue
		}
		fmt.Fprintf(p.stdout, "OpenAI accepts the key%s and lists %s.\n", which, g.cfg.Text.Model)
	}
	return good
}

func about(problems []config.Problem, name string) bool {
	return slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Name == name })
}

func freshSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
