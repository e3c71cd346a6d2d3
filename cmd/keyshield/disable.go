package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"keyshield/internal/admin"
)

// disable stops a user, or everything, at once: `keyshield disable`. It asks
// nothing back: whoever needs it is in a hurry, and enable undoes it.
func disable(ctx context.Context, p process) int {
	var what admin.DisableRequest
	var asJSON bool
	server := ""
	if exit, ok := flags(p, "disable", func(f *flag.FlagSet) {
		serverFlag(f, &server)
		f.StringVar(&what.User, "user", "", "who may not ask any more, by id or by the key that usage --json shows; somebody who has asked nothing yet, too")
		f.StringVar(&what.Issuer, "issuer", "", "whose user it is, by the iss of their tokens ("+admin.NoIssuer+": tokens without one); needed if several have that id, or nobody of that name has asked anything and JWT_ISSUER is not set")
		f.BoolVar(&what.Everything, "everything", false, "nobody may ask any more")
		f.StringVar(&what.For, "for", "", "for how long, such as 90m, 24h or 7d; unset: until enabled")
		f.StringVar(&what.Why, "why", "", "the reason, for the audit log and whoever finds it")
		jsonFlag(f, &asJSON)
	}); !ok {
		return exit
	}
	err := what.Check()
	if (what.User == "") == !what.Everything {
		err = errors.New("say whom: --user <id>, or --everything")
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield disable: %v\n", err)
		return exitUsage
	}
	d, done, err := reach(ctx, p, server)
	if err != nil {
		return unable(p, "disable", err)
	}
	defer done()
	answer, err := d.Disable(ctx, what)
	if told, ok := errors.AsType[*admin.Refusal](err); ok && !asJSON {
		return tellUnclear(p, what, told, server)
	}
	if err == nil && asJSON {
		err = printJSON(p.stdout, answer)
	}
	if err != nil {
		return unable(p, "disable", err)
	}
	if answer.Disabled == nil { // it was lifted, or its time was up, before it could be listed
		return unable(p, "disable", errors.New("it is not in force any more: somebody enabled it meanwhile"))
	}
	if !asJSON {
		tellDisabled(p.stdout, what, answer, server, runs(d))
	}
	return exitOK
}

// tellUnclear says how to say whom is meant.
func tellUnclear(p process, what admin.DisableRequest, told *admin.Refusal, server string) int {
	if cfg, err := serversSettings(p); err == nil {
		what.Why = string(hide(cfg).logged.Mask([]byte(what.Why))) // said again, but not a secret in it
	}
	again := repeated(what) + afar(server)
	switch told.Code {
	case "several_users":
		fmt.Fprintf(p.stderr, "keyshield disable: %s is the name of several, and nobody is disabled; say whom you mean:\n", printable(what.User))
		for _, person := range told.Several {
			fmt.Fprintf(p.stderr, "  keyshield disable --user %s%s   (%s)\n", shellWord(person.Key), again, issuerOf(person))
		}
	case "issuer_needed":
		fmt.Fprintf(p.stderr, `keyshield disable: nobody called %s has asked anything here, and nobody is disabled. Look whether it is spelt as in the token, and say whose tokens are meant:
  keyshield disable --user %[2]s --issuer %[3]s%[4]s   (tokens without an iss, as keyshield token makes them)
  keyshield disable --user %[2]s --issuer <iss>%[4]s   (the iss that stands in the tokens)
With JWT_ISSUER it need not be said.
`, printable(what.User), shellWord(what.User), admin.NoIssuer, again)
	default:
		return unable(p, "disable", told)
	}
	return exitFailed
}

func issuerOf(person admin.Person) string {
	if person.Issuer == "" {
		return "of tokens without an iss"
	}
	return "of " + printable(person.Issuer)
}

// tellDisabled says what came of it, what that means for whoever is asking just now,
// and how to undo it.
func tellDisabled(w io.Writer, what admin.DisableRequest, a admin.DisableAnswer, server string, running bool) {
	until := "until you enable it"
	if a.Disabled.Until != nil {
		until = "until " + a.Disabled.Until.Format("2006-01-02 15:04:05 UTC")
	}
	subject, refusal := "Everything", "Every request gets a 503 (disabled)"
	if !what.Everything {
		subject, refusal = "The user "+printable(what.User), "Every request of theirs gets a 403 (disabled)"
	}
	fmt.Fprintf(w, "%s is disabled %s.\n", subject, until)
	if running {
		fmt.Fprintf(w, "%s from now on. Streams under way end within two seconds, with an error event of the same code; what they have cost stays charged.\n", refusal)
	} else {
		fmt.Fprintf(w, "%s from the next start of the server on; none runs here.\n", refusal)
	}
	if !what.Everything && !a.Seen {
		fmt.Fprintf(w, "Nobody of that name has asked anything here yet%s: look whether it is spelt as in the token.\n", ofIssuer(a.Disabled.Issuer))
	}
	alone := what.Issuer == "" && what.User == a.Disabled.ID // else several would have been found
	fmt.Fprintf(w, "To undo it: %s%s\n", enableCommand(*a.Disabled, alone), afar(server))
}

func ofIssuer(issuer string) string {
	if issuer == "" {
		return ""
	}
	return " (as a user of " + printable(issuer) + ")"
}

// repeated are the flags that a second try needs again.
func repeated(what admin.DisableRequest) string {
	text := ""
	if what.For != "" {
		text += " --for " + shellWord(what.For)
	}
	if what.Why != "" {
		text += " --why " + shellWord(what.Why)
	}
	return text
}

// afar is the flag that makes a suggested command ask the same server.
func afar(server string) string {
	if server == "" {
		return ""
	}
	return " --server " + shellWord(server)
}

// runs says whether the desk is a server's; else it is a file's.
func runs(d desk) bool {
	_, file := d.(*admin.Desk)
	return !file
}

func jsonFlag(f *flag.FlagSet, asJSON *bool) {
	f.BoolVar(asJSON, "json", false, "print JSON; amounts are whole nano-dollars (1000000000 is $1)")
}

// unable says why a command did not do what it was asked for.
func unable(p process, command string, err error) int {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = plainLine(lines[i]) // a server elsewhere said it, or a user's id is in it
	}
	fmt.Fprintf(p.stderr, "keyshield %s: %s\n", command, strings.Join(lines, "\n"))
	return exitFailed
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// leading takes the word before the flags off the arguments: what a command is to do.
func leading(p *process, words ...string) string {
	for _, word := range words {
		if len(p.args) > 0 && p.args[0] == word {
			p.args = p.args[1:]
			return word
		}
	}
	return ""
}
