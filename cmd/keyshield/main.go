// Command keyshield stands between a front end and OpenAI: the key stays on the
// server, the front end sends a prompt with its user's JWT.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	harden()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	ballast := make([]byte, ballastSize)
	exit := run(ctx, process{
		args:    os.Args[1:],
		environ: os.Environ(),
		dir:     ".",
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		typed:   typed(os.Stdin),
	})
	runtime.KeepAlive(ballast)
	os.Exit(exit)
}

// ballastSize is memory that is never touched, so it takes none; but the garbage
// collector counts it, and so waits for as much garbage before it works. What
// lives here between two requests is a few megabytes: without it the collector
// would run a hundred times a second under load, at a fifth of the CPU time of a
// request. Raising GOGC would do the same for short requests, and let
// thousands of streams take several times their memory.
const ballastSize = 32 << 20

// process is all that a command gets from the world, so that tests run commands
// as a shell does.
type process struct {
	args           []string // without the program's name
	environ        []string // "NAME=value"
	dir            string   // where .env lies
	stdout, stderr io.Writer
	typed          io.Reader // what a person types; nil where standard input is no terminal
}

// typed is a terminal that somebody sits at, or nil.
func typed(in *os.File) io.Reader {
	if isTerminal(in) {
		return in
	}
	return nil
}

// command is what the first argument names.
type command struct {
	name, purpose string
	run           func(context.Context, process) int
}

func commands() []command {
	return []command{
		{"serve", "answer front ends; refuses to start on any unsafe or missing setting", serve},
		{"dev", "try it on this machine: a simulated OpenAI, a ready token, no set-up", dev},
		{"token", "mint a development token with JWT_SECRET", token},
		{"check", "say what is in force, where it came from, and what is missing", check},
		{"usage", "what was spent, by whom, and what is left of the budgets", spending},
		{"audit", "what happened: each request, a summary, and whether the log is as it was written", auditLog},
		{"disable", "stop a user or everything, at once", disable},
		{"enable", "let a user, a model or everything in again", enable},
		{"keys", "which keys for OpenAI are in use, by fingerprint and age", listKeys},
		{"rotate", "change the key, step by step; --incident if somebody else has it", rotate},
		{"reconcile", "compare OpenAI's own books with these: is the key used elsewhere?", compareBooks},
		{"alert", "send a test to whoever is told when something is wrong", alerting},
		{"whoami", "as whom a server sees you: which TRUSTED_PROXY is right", whoami},
		{"backup", "copy the ledger to a file, also while a server uses it", backup},
		{"healthcheck", "exit 0 if the server on this machine is alive", healthcheck},
		{"version", "say which version this is", version},
	}
}

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func run(ctx context.Context, p process) int {
	if len(p.args) == 0 {
		usage(p.stderr)
		return exitUsage
	}
	name := p.args[0]
	for _, c := range commands() {
		if c.name == name {
			p.args = p.args[1:]
			return c.run(ctx, p)
		}
	}
	if name == "help" && len(p.args) > 1 {
		p.args = []string{p.args[1], "--help"}
		return run(ctx, p)
	}
	if name == "help" || name == "-h" || name == "--help" {
		usage(p.stdout)
		return exitOK
	}
	fmt.Fprintf(p.stderr, "keyshield: there is no command %q\n\n", name)
	usage(p.stderr)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "keyshield keeps your OpenAI key on the server.\n\nusage: keyshield <command> [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.purpose)
	}
	fmt.Fprint(w, "\nSettings come from the environment and from .env; see .env.example.\n")
}
