package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/upstream"
)

// listKeys shows OpenAI's keys by fingerprint and age, and has them read again:
// `keyshield keys`.
func listKeys(ctx context.Context, p process) int {
	var asJSON, reload bool
	server := ""
	if exit, ok := flags(p, "keys", func(f *flag.FlagSet) {
		serverFlag(f, &server)
		jsonFlag(f, &asJSON)
		f.BoolVar(&reload, "reload", false, "have the server read its keys again first, now; a new one is tried before it takes over, and one that OpenAI refused is tried again")
	}); !ok {
		return exit
	}
	d, done, err := reach(ctx, p, server)
	if err != nil {
		return unable(p, "keys", err)
	}
	defer done()
	ask := d.Keys
	if reload {
		ask = d.ReloadKeys
	}
	list, err := ask(ctx)
	if err != nil {
		return unable(p, "keys", err)
	}
	if asJSON {
		err = printJSON(p.stdout, list)
	} else {
		err = showKeys(p.stdout, list.Keys, time.Now())
	}
	if err != nil {
		return unable(p, "keys", err)
	}
	return exitOK
}

// showKeys is a table of them, and what to do about it.
func showKeys(w io.Writer, keys []admin.Key, now time.Time) error {
	rows := [][]string{{"Key", "State", "Source", "Age", "Last used", "Rotation due"}}
	overdue, refused := false, false
	for _, k := range keys {
		age, due := "not known", "not known"
		if k.Since != nil {
			age = ago(now, *k.Since)
			due = k.Since.Add(oldKey).Format(time.DateOnly)
			if now.Sub(*k.Since) > oldKey {
				due, overdue = due+", overdue", true
			}
		}
		used := "never"
		if k.LastUsed != nil {
			used = ago(now, *k.LastUsed) + " ago"
		}
		state := k.State
		if k.State == upstream.Quarantined {
			refused = true
			state += " (" + plainLine(k.Why) + ")"
		}
		rows = append(rows, []string{k.Fingerprint, state, plainLine(k.Source), age, used, due})
	}
	if err := writeColumns(w, rows); err != nil {
		return err
	}
	switch {
	case len(keys) == 0:
		fmt.Fprintln(w, "There is no key.")
	case refused:
		fmt.Fprintln(w, "\nOpenAI refuses a key. If nobody revoked it on purpose, treat it as leaked: keyshield rotate --incident")
	case overdue:
		fmt.Fprintln(w, "\nA key is older than 90 days: keyshield rotate walks you through its change.")
	}
	return nil
}

// ago is a time that has passed, as people say it.
func ago(now, then time.Time) string {
	switch d := now.Sub(then); {
	case d < time.Minute:
		return count(max(0, int(d.Seconds())), "second")
	case d < 2*time.Hour:
		return count(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return count(int(d.Hours()), "hour")
	default:
		return count(int(d.Hours()/24), "day")
	}
}
