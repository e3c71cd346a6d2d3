package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/config"
)

// token mints a development token. It prints the token alone, so that
// TOKEN=$(keyshield token) works.
func token(_ context.Context, p process) int {
	var sub, plan string
	var ttl time.Duration
	given := false // --ttl
	if exit, ok := flags(p, "token", func(f *flag.FlagSet) {
		f.StringVar(&sub, "sub", "dev-user", "the user's id")
		f.StringVar(&plan, "plan", "", "the user's plan")
		f.Func("ttl", "how long it is valid, such as 30m (an hour, or JWT_MAX_LIFETIME if that is less)", func(text string) (err error) {
			given = true
			ttl, err = time.ParseDuration(text)
			return err
		})
	}); !ok {
		return exit
	}
	loaded := config.Load(config.Dev, p.environ, p.dir)
	problems := slices.DeleteFunc(loaded.Problems, func(problem config.Problem) bool {
		return !strings.HasPrefix(problem.Name, "JWT_") && problem.Name != "AUTH_PROVIDER" && problem.Name != ".env"
	})
	id := loaded.Config.Auth
	if len(problems) == 0 && id.Secret.IsZero() {
		problems = []config.Problem{{Name: "JWT_SECRET", Text: "is missing; only tokens signed with it can be minted here. `keyshield check` prints a fresh one", Fix: "JWT_SECRET=<at least 32 random bytes>"}}
	}
	if len(problems) > 0 {
		fmt.Fprint(p.stderr, "keyshield token: no token, because of\n\n")
		printProblems(p.stderr, problems)
		return exitFailed
	}
	if sub == "" {
		fmt.Fprintln(p.stderr, "keyshield token: --sub must not be empty")
		return exitUsage
	}
	if !given {
		ttl = min(time.Hour, id.MaxLifetime)
	}
	if ttl <= 0 || ttl > id.MaxLifetime {
		fmt.Fprintf(p.stderr, "keyshield token: --ttl must be more than 0 and at most JWT_MAX_LIFETIME (%s)\n", id.MaxLifetime)
		return exitUsage
	}
	minted, err := auth.Mint(id.Secret, claims(id, sub, plan, ttl), time.Now())
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield token: %v\n", err)
		return exitFailed
	}
	fmt.Fprintln(p.stdout, minted)
	return exitOK
}

// claims are those that this server itself would accept.
func claims(id auth.Config, sub, plan string, ttl time.Duration) auth.Claims {
	return auth.Claims{Subject: sub, Plan: plan, Issuer: id.Issuer, Audience: id.Audience, TTL: ttl, UserClaim: id.UserClaim}
}
