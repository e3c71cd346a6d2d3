package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/config"
	"keyshield/internal/upstream"
)

// rotation walks an operator through a change of keys. It never asks for a key, and
// never shows one: what it checks, it checks by fingerprints.
type rotation struct {
	incident bool
	server   string
	place    storage
	project  string
	before   []admin.Key // when it began; nil where no server could be asked
	began    time.Time
	p        process
	answers  *bufio.Reader // what is typed; nil where nobody types
}

// step is one thing to do. check, if there is one, says whether it worked.
type step struct {
	title, text string
	check       func(context.Context) (string, error)
}

// rotate is `keyshield rotate`: the quarterly change, or with --incident that of a
// key that somebody else has.
func rotate(ctx context.Context, p process) int {
	r := rotation{p: p, began: time.Now()}
	if exit, ok := flags(p, "rotate", func(f *flag.FlagSet) {
		serverFlag(f, &r.server)
		f.BoolVar(&r.incident, "incident", false, "somebody else has the key, or may have it: the quick way")
	}); !ok {
		return exit
	}
	if p.typed != nil {
		r.answers = bufio.NewReader(p.typed)
	}
	if err := r.look(ctx); err != nil {
		return unable(p, "rotate", err)
	}
	steps := r.quarterly()
	if r.incident {
		steps = r.urgent()
	}
	return r.walk(ctx, steps)
}

// look finds out what is in force: from the server, or, if none was named and none
// answers, from the settings here. Those say nothing of a server elsewhere.
func (r *rotation) look(ctx context.Context) error {
	w := r.p.stdout
	fmt.Fprintln(w, "Never paste a key in here: nothing of this needs to see one.")
	err := r.ask(ctx, func(d desk) error {
		keys, err := d.Keys(ctx)
		if err != nil {
			return err
		}
		settings, err := d.Settings(ctx)
		r.before = keys.Keys
		r.place, r.project = placeOf(settings.Settings, keys.Keys)
		return err
	})
	fmt.Fprintln(w)
	if err != nil && r.server != "" {
		return err
	}
	if err != nil {
		fmt.Fprintf(w, "No running server could be asked (%s). These steps go by the settings here.\n\n", plainLine(err.Error()))
		loaded := config.Load(config.Serve, r.p.environ, r.p.dir)
		r.before = nil
		r.place, r.project = placeOf(settingsOf(loaded.Settings()), nil)
		return nil
	}
	_ = showKeys(w, r.before, time.Now()) // a terminal that is gone shows nothing further either
	fmt.Fprintln(w)
	return nil
}

// ask asks the server anew each time: in between it may have been restarted.
func (r *rotation) ask(ctx context.Context, about func(desk) error) error {
	d, done, err := reach(ctx, r.p, r.server)
	if err != nil {
		return err
	}
	defer done()
	return about(d)
}

// walk goes from step to step: where somebody types, with a pause after each.
func (r *rotation) walk(ctx context.Context, steps []step) int {
	for i, s := range steps {
		fmt.Fprintf(r.p.stdout, "%d of %d: %s\n%s\n", i+1, len(steps), s.title, indented(s.text))
		switch err := r.settled(ctx, s); {
		case errors.Is(err, errLeft):
			fmt.Fprintln(r.p.stdout, "Left. keyshield rotate shows all steps again; what is done stays done.")
			return exitFailed
		case err != nil:
			return unable(r.p, "rotate", err)
		}
		fmt.Fprintln(r.p.stdout)
	}
	if r.answers != nil {
		fmt.Fprintln(r.p.stdout, "Done.")
	}
	return exitOK
}

var errLeft = errors.New("left")

// settled waits until the step is done, or is to be skipped.
func (r *rotation) settled(ctx context.Context, s step) error {
	for r.answers != nil {
		fmt.Fprint(r.p.stdout, "   Enter when it is done, s to skip it, q to leave: ")
		line, err := r.answers.ReadString('\n')
		if err != nil {
			r.answers = nil // nobody types any more: the rest is shown without waiting
			fmt.Fprintln(r.p.stdout)
			return ctx.Err()
		}
		switch strings.TrimSpace(line) {
		case "":
		case "s":
			return nil
		case "q":
			return errLeft
		default: // not repeated: it may be a key after all
			fmt.Fprintln(r.p.stdout, "   Press Enter alone, or s, or q. If that was a key: it stands on your screen now, so make another one.")
			continue
		}
		if s.check == nil {
			return nil
		}
		said, err := s.check(ctx)
		if err == nil {
			fmt.Fprintf(r.p.stdout, "   %s\n", said)
			return nil
		}
		fmt.Fprintf(r.p.stdout, "   Not yet: %v\n", err)
	}
	return nil
}

func indented(text string) string { return "   " + strings.ReplaceAll(text, "\n", "\n   ") }

// takenOver checks that a key is in use which was not there before.
func (r *rotation) takenOver(ctx context.Context) (said string, err error) {
	err = r.ask(ctx, func(d desk) error {
		ask := d.Keys
		if r.place.reloads {
			ask = d.ReloadKeys
		}
		list, err := ask(ctx)
		if err != nil {
			return err
		}
		for _, k := range list.Keys {
			if k.State != upstream.Active {
				continue
			}
			if r.before == nil {
				said = fmt.Sprintf("%s is in use, from %s. Whether that is the new one, the first characters of its SHA-256 tell.", k.Fingerprint, plainLine(k.Source))
				return nil
			}
			if known(r.before, k.Fingerprint) {
				return fmt.Errorf("%s is in use, as before. Does the new one stand first, and %s?", k.Fingerprint, r.place.again)
			}
			said = fmt.Sprintf("The new key %s is in use, from %s.", k.Fingerprint, plainLine(k.Source))
			return nil
		}
		return errors.New("OpenAI refuses every key that the server has. Look at the new one's permissions (keyshield keys shows why)")
	})
	return said, err
}

// takenOut checks that none of the keys from before is left.
func (r *rotation) takenOut(ctx context.Context) (said string, err error) {
	err = r.ask(ctx, func(d desk) error {
		ask := d.Keys
		if r.place.reloads {
			ask = d.ReloadKeys
		}
		list, err := ask(ctx)
		if err != nil {
			return err
		}
		if r.before == nil {
			said = fmt.Sprintf("The server has %s. Which keys it had before is not known here, so whether the old one is among them you must tell: by the first characters of its SHA-256.", namesOf(list.Keys))
			return nil
		}
		for _, k := range list.Keys {
			if known(r.before, k.Fingerprint) {
				return fmt.Errorf("the server still has %s, from %s (s skips this: a key that is kept on purpose, or until the next restart)", k.Fingerprint, plainLine(k.Source))
			}
		}
		said = "The server has only new keys."
		return nil
	})
	return said, err
}

// namesOf lists keys as a sentence does.
func namesOf(keys []admin.Key) string {
	if len(keys) == 0 {
		return "no key"
	}
	var names []string
	for _, k := range keys {
		names = append(names, fmt.Sprintf("%s from %s", k.Fingerprint, plainLine(k.Source)))
	}
	return strings.Join(names, ", ")
}

func known(keys []admin.Key, fingerprint string) bool {
	for _, k := range keys {
		if k.Fingerprint == fingerprint {
			return true
		}
	}
	return false
}

// unharmed checks that no caller has noticed.
func (r *rotation) unharmed(ctx context.Context) (said string, err error) {
	err = r.ask(ctx, func(d desk) error {
		keys, err := d.Keys(ctx)
		if err != nil {
			return err
		}
		for _, k := range keys.Keys {
			if k.State == upstream.Active && !known(r.before, k.Fingerprint) {
				said = fmt.Sprintf("%s is in use. ", k.Fingerprint)
			}
		}
		var answered, failed int64
		err = eachRecord(ctx, d, admin.AuditQuery{From: r.began, Kind: string(audit.Request), Oldest: true}, func(rec audit.Record) {
			switch rec.Outcome {
			case audit.OK:
				answered++
			case audit.Failed:
				failed++
			}
		})
		if err != nil {
			return err
		}
		said += fmt.Sprintf("Since %s %s answered, %s.", r.began.UTC().Format("15:04 UTC"), were(answered), failures(failed))
		return nil
	})
	return said, err
}

func were(n int64) string {
	if n == 1 {
		return "1 request was"
	}
	return count64(n) + " requests were"
}

func failures(n int64) string {
	if n == 0 {
		return "none failed"
	}
	return count64(n) + " failed: keyshield audit --since 1h --outcome failed"
}
