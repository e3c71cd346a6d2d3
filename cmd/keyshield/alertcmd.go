package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"keyshield/internal/admin"
)

// alerting sends a test to whoever is told when something is wrong:
// `keyshield alert test`.
func alerting(ctx context.Context, p process) int {
	var asJSON bool
	server := ""
	test := leading(&p, "test") != ""
	if exit, ok := flags(p, "alert test", func(f *flag.FlagSet) {
		serverFlag(f, &server)
		jsonFlag(f, &asJSON)
		f.Usage = func() {
			fmt.Fprint(f.Output(), "usage: keyshield alert test [--json] [--server https://…]\nThe running server sends a test to each receiver of its ALERT_ settings. It ends with 1 if one of them does not take it.\n")
		}
	}); !ok {
		return exit
	}
	if !test {
		fmt.Fprintln(p.stderr, "keyshield alert: say keyshield alert test")
		return exitUsage
	}
	d, done, err := reach(ctx, p, server)
	if err != nil {
		return unable(p, "alert test", err)
	}
	defer done()
	answer, err := d.TestAlerts(ctx)
	if err != nil {
		return unable(p, "alert test", err)
	}
	if asJSON {
		if err := printJSON(p.stdout, answer); err != nil {
			return unable(p, "alert test", err)
		}
	} else if len(answer.Alerts) > 0 {
		showTest(p.stdout, answer)
	}
	if len(answer.Alerts) == 0 {
		fmt.Fprint(p.stderr, noReceiver)
		return exitFailed
	}
	for _, a := range answer.Alerts {
		if !a.OK {
			return exitFailed
		}
	}
	return exitOK
}

const noReceiver = `keyshield alert test: nobody is told when something is wrong. Set one of these or more, and restart the server:
  ALERT_SLACK_URL=…                                an incoming webhook of Slack, Mattermost or Discord
  ALERT_WEBHOOK_URL=… ALERT_WEBHOOK_SECRET=…       an address of yours, with signed JSON
  ALERT_SMTP_URL=… ALERT_EMAIL_FROM=… ALERT_EMAIL_TO=…   e-mail
`

func showTest(w io.Writer, t admin.AlertTest) {
	failed := 0
	for _, a := range t.Alerts {
		name := printable(a.Receiver)
		if a.Address != "" && !strings.Contains(a.Receiver, a.Address) {
			name += " (" + printable(a.Address) + ")"
		}
		if a.OK {
			fmt.Fprintf(w, "ok      %s, in %.0f ms\n", name, a.Took)
			continue
		}
		failed++
		fmt.Fprintf(w, "FAILED  %s: %s\n", name, plainLine(a.Why))
	}
	if failed > 0 {
		fmt.Fprintf(w, "%s cannot be told. Correct the ALERT_ settings, restart the server, and test again.\n", count(failed, "receiver"))
		return
	}
	fmt.Fprintln(w, "Look whether the test has arrived: a receiver that takes a message need not show it.")
}
