package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
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
	d, err := Span(r.For)
	if err != nil || d < time.Second || d > longestDisable {
		return 0, badRequest("%q is no time to stay disabled: write 90m, 24h or 7d, from 1s to %dh, or leave it out: until enabled", r.For, int(longestDisable.Hours()))
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
	ctx, done := finish(ctx)
	defer done()
	request := ledger.DisableRequest{Everything: what.Everything, For: lasts, By: d.by, Why: what.Why}
	answer, target := DisableAnswer{}, "everything"
	if !what.Everything {
		who, seen, err := d.whom(ctx, what)
		if err != nil {
			return DisableAnswer{}, err
		}
		request.User = ledger.User{Key: who.Key, Issuer: who.Issuer, ID: who.ID}
		answer.Seen, target = seen, who.Target()
	}
	if err := d.Ledger.Disable(ctx, request); err != nil {
		return DisableAnswer{}, err
	}
	d.changed("disable", target, what.Why)
	all, err := d.stopped(ctx)
	for _, s := range all {
		if s.Model == "" && s.Key == request.User.Key {
			answer.Disabled = &s
		}
	}
	return answer, err
}

// whom finds the one who is meant. Somebody who was never seen has a pseudonym, too,
// if it is known what the iss of their tokens is; else everybody of that id is meant,
// whoever made their tokens: guessing wrong would stop nobody.
func (d *Desk) whom(ctx context.Context, what DisableRequest) (who Person, seen bool, err error) {
	found, err := d.find(ctx, what.User, what.Issuer)
	found = slices.DeleteFunc(found, func(p Person) bool { return p.Key == ledger.AnyIssuer(p.ID) }) // nobody in particular
	switch {
	case err != nil:
		return Person{}, false, err
	case len(found) > 1:
		return Person{}, false, several(what.User, found)
	case len(found) == 1:
		return found[0], true, nil
	case d.Pseudonym == nil:
		return Person{}, false, refusal(http.StatusNotFound, "no_such_user", "nobody called %q has asked anything here", what.User)
	}
	issuer := cmp.Or(what.Issuer, d.Issuer)
	switch {
	case issuer == "" && len(what.User) <= ledger.MaxAnyIssuer:
		return Person{ID: what.User, Key: ledger.AnyIssuer(what.User)}, false, nil
	case issuer == "":
		return Person{}, false, refusal(http.StatusConflict, "issuer_needed",
			"nobody called %q has asked anything here, and nobody is stopped: say the issuer, the iss of their tokens, or %s if those have no iss; or set JWT_ISSUER", what.User, NoIssuer)
	case issuer == NoIssuer:
		issuer = ""
	}
	return Person{ID: what.User, Issuer: issuer, Key: d.Pseudonym(issuer, what.User)}, false, nil
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
		return badRequest("say what: a user, a model or everything, one of them")
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
	return s.Key != "" && s.Is(r.User) && s.issuedBy(r.Issuer)
}

// Enable lets a user, a model or everything in again, whoever stopped it.
func (d *Desk) Enable(ctx context.Context, what EnableRequest) (EnableAnswer, error) {
	if err := what.Check(); err != nil {
		return EnableAnswer{}, err
	}
	ctx, done := finish(ctx)
	defer done()
	stopped, err := d.stopped(ctx)
	if err != nil {
		return EnableAnswer{}, err
	}
	meant := what.among(stopped)
	switch {
	case len(meant) > 1:
		var people []Person
		for _, s := range meant {
			people = append(people, s.Person)
		}
		return EnableAnswer{}, several(what.User, people)
	case len(meant) == 0:
		return EnableAnswer{}, d.notStopped(what)
	}
	one := meant[0]
	was, err := d.Ledger.Enable(ctx, ledger.EnableRequest{User: one.Key, Model: one.Model, Everything: one.Everything, By: d.by, Why: what.Why})
	if err != nil {
		return EnableAnswer{}, err
	}
	if !was { // its time was up, or somebody was faster
		return EnableAnswer{}, d.notStopped(what)
	}
	d.changed("enable", one.target(), what.Why)
	if d.Live != nil && d.Live.Forgive != nil && one.Model == "" {
		d.Live.Forgive(one.Key) // "" is everything
	}
	still := slices.DeleteFunc(stopped, func(s Stop) bool {
		return s.Key == one.Key && s.Model == one.Model && s.Everything == one.Everything
	})
	return EnableAnswer{Enabled: one, Stopped: still}, nil
}

// among are the stops that the request is about. A pseudonym goes before an id that
// somebody chose to be the same.
func (r EnableRequest) among(stopped []Stop) (meant []Stop) {
	for _, s := range stopped {
		if !r.means(s) {
			continue
		}
		if r.User != "" && s.Key == r.User {
			return []Stop{s}
		}
		meant = append(meant, s)
	}
	return meant
}

func (d *Desk) notStopped(what EnableRequest) *Refusal {
	switch {
	case what.Everything:
		return refusal(http.StatusNotFound, "not_stopped", "everything runs: there is nothing to do")
	case what.Model == "":
		return refusal(http.StatusNotFound, "not_stopped", "no user %q is disabled", what.User)
	case d.Knows(what.Model):
		return refusal(http.StatusNotFound, "not_stopped", "the model %q is not stopped: there is nothing to do", what.Model)
	}
	return refusal(http.StatusNotFound, "no_such_model", "there is no model %q with a price here", what.Model)
}

// target names what is stopped as the audit log does.
func (s Stop) target() string {
	switch {
	case s.Everything:
		return "everything"
	case s.Model != "":
		return "model:" + s.Model
	}
	return s.Person.Target()
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
