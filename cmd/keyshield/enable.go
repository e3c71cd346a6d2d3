package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"keyshield/internal/ledger"
)

// enable lifts what an overshoot has stopped: a call that cost more than its
// ceiling suspends its user, and several stop the model.
func enable(ctx context.Context, p process) int {
	var what enableRequest
	if exit, ok := flags(p, "enable", func(f *flag.FlagSet) {
		f.StringVar(&what.Model, "model", "", "the model that may be used again")
		f.StringVar(&what.User, "user", "", "the user who may spend again, by id or by the key that usage --json shows")
	}); !ok {
		return exit
	}
	if err := what.check(); err != nil {
		fmt.Fprintf(p.stderr, "keyshield enable: %v\n", err)
		return exitUsage
	}
	d, done, err := reach(ctx, p)
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield enable: %v\n", err)
		return exitFailed
	}
	defer done()
	answer, err := d.enable(ctx, what)
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield enable: %v\n", err)
		return exitFailed
	}
	return answer.tell(p, what)
}

// enableRequest names one of the two.
type enableRequest struct {
	Model string `json:"model,omitempty"`
	User  string `json:"user,omitempty"`
}

func (r enableRequest) check() error {
	if (r.Model == "") == (r.User == "") {
		return errors.New("say what: --model <model> or --user <id>; keyshield usage lists what is stopped")
	}
	return nil
}

// enableAnswer is what came of it. Neither Enabled nor Several: it was not stopped.
type enableAnswer struct {
	Enabled *stoppedItem  `json:"enabled"`
	Several []stoppedItem `json:"several"` // the name is that of more than one
	Known   bool          `json:"known"`   // a model with a price
	Stopped []stoppedItem `json:"stopped"` // still
}

// stoppedItem is a user or a model that overshoots have stopped.
type stoppedItem struct {
	usagePerson
	Model string    `json:"model,omitempty"`
	Since time.Time `json:"since"`
	Over  nanoUSD   `json:"over_nanousd"` // by how much the ceilings were passed
}

func (o operator) enable(ctx context.Context, what enableRequest) (enableAnswer, error) {
	if err := what.check(); err != nil {
		return enableAnswer{}, badRequest{err}
	}
	answer := enableAnswer{Known: what.Model != "" && o.knows(what.Model)}
	stopped, err := o.stopped(ctx)
	if err != nil {
		return enableAnswer{}, err
	}
	var meant []stoppedItem
	for _, s := range stopped {
		if what.Model != "" && s.Model == what.Model || what.User != "" && s.Model == "" && s.is(what.User) {
			meant = append(meant, s)
		} else {
			answer.Stopped = append(answer.Stopped, s)
		}
	}
	if len(meant) > 1 {
		answer.Several = meant
		return answer, nil
	}
	if len(meant) == 0 {
		return answer, nil
	}
	was := false
	if what.Model != "" {
		was, err = o.ledger.EnableModel(ctx, what.Model)
	} else {
		was, err = o.ledger.EnableUser(ctx, meant[0].Key)
	}
	if was {
		answer.Enabled = &meant[0]
	}
	return answer, err
}

// stopped lists who and what is stopped, by name.
func (o operator) stopped(ctx context.Context) ([]stoppedItem, error) {
	stops, err := o.ledger.Stops(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]stoppedItem, 0, len(stops))
	nameless := map[string]usagePerson{}
	for _, s := range stops {
		all = append(all, stoppedItem{usagePerson: usagePerson{Key: s.User}, Model: s.Model, Since: s.Since, Over: nanoUSD(s.Over)})
		if s.User != "" {
			nameless[s.User] = usagePerson{Key: s.User}
		}
	}
	if len(nameless) == 0 {
		return all, nil
	}
	names, err := o.names(ctx, nameless, all[0].Since, all[len(all)-1].Since)
	for i, s := range all {
		if s.Key != "" {
			all[i].usagePerson = names[s.Key]
		}
	}
	return all, err
}

// longestCall is more than a call lasts between its reservation, in whose hour the
// history has it, and the end that stopped its user.
const longestCall = 24 * time.Hour

var errAllFound = errors.New("found")

// names finds the users of these pseudonyms, who were stopped between two times.
func (o operator) names(ctx context.Context, of map[string]usagePerson, first, last time.Time) (map[string]usagePerson, error) {
	missing := len(of)
	err := o.ledger.History(ctx, first.Add(-longestCall), last.Add(time.Hour), func(e ledger.Entry) error {
		if known, asked := of[e.User.Key]; asked && known.ID == "" {
			of[e.User.Key] = personOf(e.User)
			if missing--; missing == 0 {
				return errAllFound
			}
		}
		return nil
	})
	if errors.Is(err, errAllFound) {
		err = nil
	}
	return of, err
}

// tell says what came of it, and what to do next.
func (a enableAnswer) tell(p process, what enableRequest) int {
	name, kind := what.Model, "model"
	if what.User != "" {
		name, kind = what.User, "user"
	}
	switch {
	case a.Enabled != nil && what.Model != "":
		fmt.Fprintf(p.stdout, "The model %s may be used again. Its ceilings were passed by %s: find out by which requests before it happens again.\n", printable(name), a.Enabled.Over)
		return exitOK
	case a.Enabled != nil:
		fmt.Fprintf(p.stdout, "The user %s may spend again. Ceilings were passed by %s.\n", printable(name), a.Enabled.Over)
		return exitOK
	case a.Several != nil:
		fmt.Fprintf(p.stderr, "keyshield enable: %s is the name of several suspended users; say whom you mean:\n", printable(name))
		for _, s := range a.Several {
			fmt.Fprintf(p.stderr, "  keyshield enable --user %s   (of %s)\n", shellWord(s.Key), printable(s.Issuer))
		}
		return exitFailed
	case a.Known:
		fmt.Fprintf(p.stdout, "The model %s is not stopped; nothing to do.\n", printable(name))
		return exitOK
	case kind == "model":
		fmt.Fprintf(p.stderr, "keyshield enable: there is no model %q with a price here\n", name)
	default:
		fmt.Fprintf(p.stderr, "keyshield enable: no user %q is suspended\n", name)
	}
	tellStopped(p.stderr, a.Stopped)
	return exitFailed
}

// tellStopped lists what is stopped, each with the command that lifts it.
func tellStopped(w io.Writer, stopped []stoppedItem) {
	if len(stopped) == 0 {
		fmt.Fprintln(w, "Nothing is stopped.")
		return
	}
	fmt.Fprintln(w, "Stopped, because calls cost more than their ceilings:")
	rows := [][]string{}
	for _, s := range stopped {
		rows = append(rows, []string{"  " + s.command(), s.Since.Format("2006-01-02 15:04 UTC"), s.Over.String() + " over"})
	}
	writeTable(w, rows)
}

func (s stoppedItem) command() string {
	if s.Model != "" {
		return "keyshield enable --model " + shellWord(s.Model)
	}
	if s.ID == "" {
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
