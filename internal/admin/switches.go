package admin

import (
	"context"
	"time"

	"keyshield/internal/ledger"
)

// longestDisable is more than anybody means to wait; who means for ever says nothing.
const longestDisable = 366 * 24 * time.Hour

// maxWhy bounds a reason, in bytes.
const maxWhy = 1 << 10

// Check says what is wrong with a request.
func (r DisableRequest) Check() error {
	switch {
	case (r.User == "") == !r.Everything:
		return badRequest("say what: a user, or everything")
	case r.Everything && r.Issuer != "":
		return badRequest("an issuer belongs to a user, and not to everything")
	}
	if err := checkWhy(r.Why); err != nil {
		return err
	}
	_, err := r.lasts()
	return err
}

// lasts is for how long; 0 is until enabled.
func (r DisableRequest) lasts() (time.Duration, error) {
	if r.For == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(r.For)
	if err != nil || d < time.Second || d > longestDisable {
		return 0, badRequest("%q is no time to stay disabled: write 90m or 24h, from 1s to %dh, or leave it out: until enabled", r.For, int(longestDisable.Hours()))
	}
	return d, nil
}

func checkWhy(why string) error {
	if len(why) > maxWhy || unfit(why) {
		return badRequest("why must be text of at most %d bytes", maxWhy)
	}
	return nil
}

// Disable stops a user, or everything. A user need not have asked anything yet.
func (d *Desk) Disable(ctx context.Context, what DisableRequest) (DisableAnswer, error) {
	if err := what.Check(); err != nil {
		return DisableAnswer{}, err
	}
	lasts, err := what.lasts()
	if err != nil {
		return DisableAnswer{}, err
	}
	request := ledger.DisableRequest{Everything: what.Everything, For: lasts, By: d.by, Why: what.Why}
	answer := DisableAnswer{}
	if !what.Everything {
		who, err := d.whom(ctx, what, &answer)
		if err != nil || answer.Several != nil {
			return answer, err
		}
		request.User = ledger.User{Key: who.Key, Issuer: who.Issuer, ID: who.ID}
	}
	if err := d.Ledger.Disable(ctx, request); err != nil {
		return DisableAnswer{}, err
	}
	target := "everything"
	if !what.Everything {
		target = "user:" + request.User.ID
	}
	d.note("disable", target, what.Why)
	all, err := d.stopped(ctx)
	for _, s := range all {
		if s.Model == "" && s.Key == request.User.Key {
			answer.Disabled = &s
		}
	}
	return answer, err
}

// whom finds the one who is meant. Somebody who was never seen has a pseudonym, too.
func (d *Desk) whom(ctx context.Context, what DisableRequest, answer *DisableAnswer) (Person, error) {
	found, err := d.find(ctx, what.User, what.Issuer)
	switch {
	case err != nil:
		return Person{}, err
	case len(found) > 1:
		answer.Several = found
		return Person{}, nil
	case len(found) == 1:
		answer.Seen = true
		return found[0], nil
	case d.Pseudonym == nil:
		return Person{}, badRequest("nobody called %q has asked anything here", what.User)
	}
	issuer := what.Issuer
	if issuer == "" {
		issuer = d.Issuer
	}
	return Person{ID: what.User, Issuer: issuer, Key: d.Pseudonym(issuer, what.User)}, nil
}

// Check says what is wrong with a request.
func (r EnableRequest) Check() error {
	said := 0
	for _, yes := range []bool{r.User != "", r.Model != "", r.Everything} {
		if yes {
			said++
		}
	}
	switch {
	case said != 1:
		return badRequest("say what: --model <model>, --user <id> or --everything; keyshield usage lists what is stopped")
	case r.Issuer != "" && r.User == "":
		return badRequest("an issuer belongs to a user")
	}
	return checkWhy(r.Why)
}

// means says whether a stop is what the request is about.
func (r EnableRequest) means(s Stop) bool {
	switch {
	case r.Everything:
		return s.Everything
	case r.Model != "":
		return s.Model == r.Model
	}
	return s.Key != "" && s.Is(r.User) && (r.Issuer == "" || r.Issuer == s.Issuer)
}

// Enable lets a user, a model or everything in again, whoever stopped it.
func (d *Desk) Enable(ctx context.Context, what EnableRequest) (EnableAnswer, error) {
	if err := what.Check(); err != nil {
		return EnableAnswer{}, err
	}
	answer := EnableAnswer{Known: what.Model != "" && d.Knows(what.Model)}
	stopped, err := d.stopped(ctx)
	if err != nil {
		return EnableAnswer{}, err
	}
	var meant []Stop
	for _, s := range stopped {
		if what.means(s) {
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
	was, err := d.Ledger.Enable(ctx, ledger.EnableRequest{
		User: meant[0].Key, Model: meant[0].Model, Everything: meant[0].Everything, By: d.by, Why: what.Why,
	})
	if was {
		answer.Enabled = &meant[0]
		d.note("enable", meant[0].target(), what.Why)
		if d.Live != nil && d.Live.Forgive != nil && meant[0].Model == "" {
			d.Live.Forgive(meant[0].Key) // "" is everything
		}
	}
	return answer, err
}

// target names what is stopped as the audit log does.
func (s Stop) target() string {
	switch {
	case s.Everything:
		return "everything"
	case s.Model != "":
		return "model:" + s.Model
	case s.ID != "":
		return "user:" + s.ID
	}
	return "user:" + s.Key
}

// Switches lists who and what is stopped.
func (d *Desk) Switches(ctx context.Context) (SwitchList, error) {
	all, err := d.stopped(ctx)
	return SwitchList{all}, err
}

func (d *Desk) stopped(ctx context.Context) ([]Stop, error) {
	stops, err := d.Ledger.Stops(ctx)
	all := make([]Stop, 0, len(stops))
	for _, s := range stops {
		all = append(all, stopOf(s))
	}
	return all, err
}

func stopOf(s ledger.Stop) Stop {
	return Stop{
		Person: Person{ID: s.ID, Issuer: s.Issuer, Key: s.User}, Model: s.Model, Everything: s.Everything,
		Since: s.Since, Until: timeOrNone(s.Until), By: s.By, Why: s.Why, Over: NanoUSD(s.Over),
	}
}
