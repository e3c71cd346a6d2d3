package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
)

// flags parses p's arguments. ok is false when the command is over: asked for
// help, or misused.
func flags(p process, name string, define func(*flag.FlagSet)) (exit int, ok bool) {
	set := flag.NewFlagSet("keyshield "+name, flag.ContinueOnError)
	var said bytes.Buffer // help that was asked for is an answer, else it is part of an error
	set.SetOutput(&said)
	if define != nil {
		define(set)
	}
	if err := set.Parse(p.args); errors.Is(err, flag.ErrHelp) {
		_, _ = said.WriteTo(p.stdout)
		return exitOK, false
	} else if err != nil {
		_, _ = said.WriteTo(p.stderr)
		return exitUsage, false
	}
	if set.NArg() > 0 {
		fmt.Fprintf(p.stderr, "keyshield %s: unexpected argument %q\n", name, set.Arg(0))
		return exitUsage, false
	}
	return exitOK, true
}
