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
	if cfg.OpenAI.Key.IsZero() {
		fmt.Fprintln(p.stdout, "No API key is loaded.")
	} else if about(loaded.Problems, "OPENAI_API_KEY") {
		fmt.Fprintln(p.stdout, "What is set as API key is none.")
	} else {
		fmt.Fprintln(p.stdout, "Your API key is loaded.")
	}
	if len(loaded.Problems) > 0 {
		fmt.Fprintf(p.stdout, "\n`keyshield serve` would not start, because of %s:\n\n", count(len(loaded.Problems), "problem"))
		printProblems(p.stdout, loaded.Problems)
		if selfSigned(cfg.Auth) && about(loaded.Problems, "JWT_SECRET") {
			fmt.Fprintf(p.stdout, "A fresh random secret, made just now and kept nowhere; the server that signs your users' tokens needs the same:\n\n      JWT_SECRET=%s\n", freshSecret())
		}
		return exitFailed
	}
	if online {
		if err := upstream.Try(ctx, upstreamConfig(cfg), cfg.Text.Model); err != nil {
			fmt.Fprintf(p.stdout, "OpenAI: %v\n", err)
			return exitFailed
		}
		fmt.Fprintf(p.stdout, "OpenAI accepts the key and lists %s.\n", cfg.Text.Model)
	}
	fmt.Fprintln(p.stdout, "`keyshield serve` would start.")
	return exitOK
}

func about(problems []config.Problem, name string) bool {
	return slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Name == name })
}

func freshSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
