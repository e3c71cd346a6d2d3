package main

import (
	"errors"
	"flag"
	"fmt"
)

// flags parses p's arguments. ok is false when the command is over: asked for
// help, or misused.
func flags(p process, name string, define func(*flag.FlagSet)) (exit int, ok bool) {
	set := flag.NewFlagSet("keyshield "+name, flag.ContinueOnError)
	set.SetOutput(p.stderr)
	if define != nil {
		define(set)
	}
	if err := set.Parse(p.args); errors.Is(err, flag.ErrHelp) {
		return exitOK, false
	} else if err != nil {
		return exitUsage, false
	}
	if set.NArg() > 0 {
		fmt.Fprintf(p.stderr, "keyshield %s: unexpected argument %q\n", name, set.Arg(0))
		return exitUsage, false
	}
	return exitOK, true
}
