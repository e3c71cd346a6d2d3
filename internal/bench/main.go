// Command bench says what keyshield costs: `make bench`.
//
// It measures, in one run and round after round in turn, the same load over
// loopback against the project's simulator of OpenAI in four ways:
//
//   - no proxy: the client asks the simulator;
//   - reverse proxy: httputil.ReverseProxy as it comes, adding the key, no more;
//   - reverse proxy, warm pool: the same with a transport that keeps enough idle
//     connections (Go keeps two), for short requests only;
//   - keyshield serve: JWT, both rate limits, budgets (a ledger on disk), CORS,
//     validation, cleaning and logging (to a file) on.
//
// The scenario "ledger" measures the ledger alone, in a process of its own.
//
// The figure to look at is the CPU time of the proxy's process per request and
// per chunk: it is what a machine runs out of, and other work on the machine
// hardly moves it. Latencies over loopback are mostly scheduling. The proxy is
// pinned to a core of its own; simulator and load generator share the others.
// Every round starts fresh processes: this program again, in another role (see
// roles), and the keyshield binary it has built.
//
// What is measured is reported and never asserted. The exit code is 1 only if
// something broke: a request failed, a stream did not end as it should. Errors
// of the two reverse proxies are shown and do not count.
//
// A new row is an entry in scenarios; another way to answer is an entry in
// targets.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 3 && os.Args[1] == roleArgument {
		err = play(ctx, os.Args[2], os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// run measures and reports.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	short := flags.Bool("short", false, "a minute instead of ten: shows that it works, its figures are rough")
	file := flags.String("json", "bench.json", "where to write every figure")
	only := flags.String("only", "", "measure this scenario alone")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see bench -h", flags.Arg(0))
	}
	chosen, err := choose(scenarios(*short), *only)
	if err != nil {
		return err
	}

	rig, err := newRig(ctx)
	if err != nil {
		return err
	}
	defer rig.close()
	report := newReport(ctx)
	for _, s := range chosen {
		outcome, err := rig.measure(ctx, s, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		report.Scenarios = append(report.Scenarios, outcome)
		outcome.print(stdout)
	}
	report.print(stdout)
	if err := report.write(*file); err != nil {
		return err
	}
	if n := report.errors(); n > 0 {
		return fmt.Errorf("%d errors; the first ones are in %s", n, *file)
	}
	return nil
}

// choose keeps the scenario that was asked for.
func choose(all []scenario, name string) ([]scenario, error) {
	if name == "" {
		return all, nil
	}
	var names []string
	for _, s := range all {
		if s.Name == name {
			return []scenario{s}, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("there is no scenario %q; there are %s", name, strings.Join(names, ", "))
}
