package main

import (
	"context"
	"flag"
	"fmt"
	"io"
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
		f.StringVar(&what.Issuer, "issuer", "", "whose user it is, if several have that id")
		f.BoolVar(&what.Everything, "everything", false, "all may spend again; users who are disabled stay so")
		f.StringVar(&what.Why, "why", "", "the reason, for the audit log")
	}); !ok {
		return exit
	}
	if err := what.Check(); err != nil {
		fmt.Fprintf(p.stderr, "keyshield enable: %v\n", err)
		return exitUsage
	}
	d, done, err := reach(ctx, p, server)
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield enable: %v\n", err)
		return exitFailed
	}
	defer done()
	answer, err := d.Enable(ctx, what)
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield enable: %v\n", err)
		return exitFailed
	}
	return tellEnabled(p, what, answer)
}

// tellEnabled says what came of it, and what to do next.
func tellEnabled(p process, what admin.EnableRequest, a admin.EnableAnswer) int {
	switch {
	case a.Enabled != nil:
		fmt.Fprintln(p.stdout, enabledText(*a.Enabled, what))
		return exitOK
	case a.Several != nil:
		fmt.Fprintf(p.stderr, "keyshield enable: %s is the name of several who are disabled; say whom you mean:\n", printable(what.User))
		for _, s := range a.Several {
			fmt.Fprintf(p.stderr, "  keyshield enable --user %s   (of %s)\n", shellWord(s.Key), printable(s.Issuer))
		}
		return exitFailed
	case what.Everything:
		fmt.Fprintln(p.stdout, "Everything runs; nothing to do.")
		tellStopped(p.stdout, a.Stopped)
		return exitOK
	case a.Known:
		fmt.Fprintf(p.stdout, "The model %s is not stopped; nothing to do.\n", printable(what.Model))
		return exitOK
	case what.Model != "":
		fmt.Fprintf(p.stderr, "keyshield enable: there is no model %q with a price here\n", what.Model)
	default:
		fmt.Fprintf(p.stderr, "keyshield enable: no user %q is disabled\n", what.User)
	}
	tellStopped(p.stderr, a.Stopped)
	return exitFailed
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
func tellStopped(w io.Writer, stopped []admin.Stop) {
	if len(stopped) == 0 {
		fmt.Fprintln(w, "Nothing is stopped.")
		return
	}
	fmt.Fprintln(w, "Stopped:")
	rows := [][]string{}
	for _, s := range stopped {
		rows = append(rows, []string{"  " + enableCommand(s), s.Since.Format("2006-01-02 15:04 UTC"), reasonOf(s)})
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

// enableCommand lifts a stop.
func enableCommand(s admin.Stop) string {
	switch {
	case s.Everything:
		return "keyshield enable --everything"
	case s.Model != "":
		return "keyshield enable --model " + shellWord(s.Model)
	case s.ID == "":
		return "keyshield enable --user " + shellWord(s.Key)
	}
	return "keyshield enable --user " + shellWord(s.ID)
}

// shellWord is s as one word for a shell: an id may well have a | in it.
func shellWord(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-@:") == ""
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
