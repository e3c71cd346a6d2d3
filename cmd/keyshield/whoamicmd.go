package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"

	"keyshield/internal/admin"
)

// whoami shows as whom a server sees who asks it: `keyshield whoami`. It is how to
// find the right TRUSTED_PROXY.
func whoami(ctx context.Context, p process) int {
	var asJSON bool
	server := ""
	if exit, ok := flags(p, "whoami", func(f *flag.FlagSet) {
		serverFlag(f, &server)
		jsonFlag(f, &asJSON)
	}); !ok {
		return exit
	}
	d, done, err := reach(ctx, p, server)
	if err != nil {
		return unable(p, "whoami", err)
	}
	defer done()
	over, ok := d.(interface {
		WhoAmI(context.Context) (admin.WhoAmI, error)
	})
	if !ok {
		return unable(p, "whoami", errors.New("no server runs here that could see you: ask one elsewhere with --server https://…"))
	}
	me, err := over.WhoAmI(ctx)
	if err != nil {
		return unable(p, "whoami", err)
	}
	if asJSON {
		err = printJSON(p.stdout, me)
	} else {
		err = showMe(p.stdout, me)
	}
	if err != nil {
		return unable(p, "whoami", err)
	}
	return exitOK
}

func showMe(w io.Writer, me admin.WhoAmI) error {
	if me.Peer != "" {
		fmt.Fprintf(w, "The connection comes from %s.\n", me.Peer)
	}
	for _, name := range slices.Sorted(maps.Keys(me.Headers)) {
		for _, value := range me.Headers[name] {
			fmt.Fprintf(w, "  %s: %s\n", printable(name), plainLine(value))
		}
	}
	fmt.Fprintf(w, "%s\n", plainLine(me.Advice))
	if len(me.Fits) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	rows := [][]string{{"With", "you count as", ""}}
	for _, fit := range me.Fits {
		note := ""
		if fit.InForce {
			note = "in force"
		}
		rows = append(rows, []string{"TRUSTED_PROXY=" + fit.TrustedProxy, fit.Address, note})
	}
	return writeColumns(w, rows)
}
