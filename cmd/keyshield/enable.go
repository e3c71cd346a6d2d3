package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"

	"keyshield/internal/admin"
)

// enable lets somebody or something in again: whom an operator or the watch has
// disabled, and what an overshoot has stopped. A call that cost more than its
// ceiling suspends its user, and several stop the model.
func enable(ctx context.Context, p process) int {
	var what admin.EnableRequest
	server := ""
	if exit, ok := flags(p, "enable", func(f *flag.FlagSet) {
		serverFlag(f, &server)
		f.StringVar(&what.Model, "model", "", "the model that may be used again")
		f.StringVar(&what.User, "user", "", "the user who may spend again, by id or by the key that usage --json shows")
		f.StringVar(&what.Issuer, "issuer", "", "whose user it is, by the iss of their tokens ("+admin.NoIssuer+": tokens without one), if several have that id")
		f.BoolVar(&what.Everything, "everything", false, "all may spend again; users who are disabled stay so")
		f.StringVar(&what.Why, "why", "", "the reason, for the audit log")
	}); !ok {
		return exit
	}
	if err := what.Check(); err != nil {
		if what == (admin.EnableRequest{Why: what.Why}) {
			err = errors.New("say what: --user <id>, --model <model> or --everything; keyshield usage lists what is stopped")
		}
		fmt.Fprintf(p.stderr, "keyshield enable: %v\n", err)
		return exitUsage
	}
	d, done, err := reach(ctx, p, server)
	if err != nil {
		return unable(p, "enable", err)
	}
	defer done()
	answer, err := d.Enable(ctx, what)
	if told, ok := errors.AsType[*admin.Refusal](err); ok {
		return tellNotEnabled(ctx, p, d, what, told, server)
	}
	if err != nil {
		return unable(p, "enable", err)
	}
	fmt.Fprintln(p.stdout, enabledText(answer.Enabled, what))
	return exitOK
}

// tellNotEnabled says why nothing was done, and what could be meant. That something
// runs already is what was wanted, but for a user: there a name may be mistyped.
func tellNotEnabled(ctx context.Context, p process, d desk, what admin.EnableRequest, told *admin.Refusal, server string) int {
	w, exit := p.stderr, exitFailed
	switch {
	case told.Code == "several_users":
		fmt.Fprintf(w, "keyshield enable: %s is the name of several who are disabled; say whom you mean:\n", printable(what.User))
		for _, person := range told.Several {
			fmt.Fprintf(w, "  keyshield enable --user %s%s   (%s)\n", shellWord(person.Key), afar(server), issuerOf(person))
		}
		return exit
	case told.Code == "not_stopped" && what.User == "":
		w, exit = p.stdout, exitOK
		subject := "Everything runs"
		if what.Model != "" {
			subject = "The model " + printable(what.Model) + " is not stopped"
		}
		fmt.Fprintf(w, "%s; nothing to do.\n", subject)
		if what.Model != "" {
			return exit
		}
	default:
		unable(p, "enable", told)
	}
	if list, err := d.Switches(ctx); err == nil && told.Status == http.StatusNotFound {
		tellStopped(w, list.Stopped, server)
	}
	return exit
}

func enabledText(s admin.Stop, what admin.EnableRequest) string {
	text := ""
	switch {
	case s.Everything:
		return "Everything runs again."
	case s.Model != "":
		return fmt.Sprintf("The model %s may be used again. Its ceilings were passed by %s: find out by which requests before it happens again.", printable(s.Model), s.Over)
	default:
		text = fmt.Sprintf("The user %s may spend again.", printable(what.User))
	}
	if s.Over > 0 {
		text += fmt.Sprintf(" Ceilings were passed by %s.", s.Over)
	}
	return text
}

// tellStopped lists what is stopped, each with the command that lifts it.
func tellStopped(w io.Writer, stopped []admin.Stop, server string) {
	if len(stopped) == 0 {
		fmt.Fprintln(w, "Nothing is stopped.")
		return
	}
	names := map[string]int{}
	for _, s := range stopped {
		names[s.ID]++
		names[s.Key]++
	}
	fmt.Fprintln(w, "Stopped:")
	rows := [][]string{}
	for _, s := range stopped {
		rows = append(rows, []string{"  " + enableCommand(s, names[s.ID] == 1) + afar(server), s.Since.Format("2006-01-02 15:04 UTC"), reasonOf(s)})
	}
	writeTable(w, rows)
}

// reasonOf says who stopped it, until when and why.
func reasonOf(s admin.Stop) string {
	var parts []string
	if s.Over > 0 {
		parts = append(parts, s.Over.String()+" over the ceilings")
	}
	if s.By != "" && s.By != "overshoot" {
		parts = append(parts, "by "+printable(s.By))
	}
	if s.Until != nil {
		parts = append(parts, "until "+s.Until.Format("2006-01-02 15:04 UTC"))
	}
	if s.Why != "" && s.By != "overshoot" {
		parts = append(parts, printable(s.Why))
	}
	return strings.Join(parts, ", ")
}

// enableCommand lifts a stop. alone says that nobody else has the user's id.
func enableCommand(s admin.Stop, alone bool) string {
	switch {
	case s.Everything:
		return "keyshield enable --everything"
	case s.Model != "":
		return "keyshield enable --model " + shellWord(s.Model)
	}
	return "keyshield enable --user " + userWord(s.Person, alone)
}

// userWord names a user in a command: by the id, if nobody else has it and it is
// shown as it is; else by the pseudonym.
func userWord(p admin.Person, alone bool) string {
	if p.Key != "" && (!alone || p.ID == "" || printable(p.ID) != p.ID || strings.HasPrefix(p.ID, "-")) {
		return shellWord(p.Key)
	}
	return shellWord(p.ID)
}

// shellWord is s as one word for a shell: an id may well have a | in it.
func shellWord(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-@:") == ""
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
