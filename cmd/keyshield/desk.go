package main

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"golang.org/x/sync/errgroup"

	"keyshield/internal/admin"
	"keyshield/internal/alert"
	"keyshield/internal/auth"
	"keyshield/internal/config"
	"keyshield/internal/ledger"
	"keyshield/internal/metrics"
	"keyshield/internal/money"
	"keyshield/internal/pages"
	"keyshield/internal/secret"
	"keyshield/internal/server"
)

// newDesk is where the operator of a running server asks.
func newDesk(g program, p parts) *admin.Desk {
	desk := deskOf(g.cfg, p.ledger)
	desk.Log, desk.Note = g.log, p.note
	desk.Live = &admin.Live{
		State:      func() admin.State { return adminState(p) },
		AuditState: p.audit.Healthy,
		Keys:       p.client.Keys,
		RetryKeys:  p.client.Retry,
		Alerts:     p.alerts,
		Settings:   settingsOf(g.shown),
		Trust:      g.cfg.Server.TrustedProxy,
		Forgive:    p.eye.Forgive,
		Reconciled: p.reconciled,
	}
	if p.poll != nil {
		desk.Live.ReloadKeys = p.poll.now
	}
	return admin.NewDesk(desk)
}

// deskOf is what of a desk works without a server too.
func deskOf(cfg config.Config, books *ledger.Ledger) admin.Parts {
	key := books.HMACKey()
	return admin.Parts{
		Ledger:    books,
		Caps:      ledger.Caps{Day: capOf(cfg.Money.BudgetDay), Month: capOf(cfg.Money.BudgetMonth)},
		Knows:     pricedBy(cfg.Prices),
		Dir:       cfg.Money.DataDir,
		Version:   versionText(),
		Pseudonym: func(issuer, id string) string { return auth.Pseudonym(key, issuer, id) },
		Issuer:    cfg.Auth.Issuer,
	}
}

// reconciled tells what a comparison with OpenAI's books came to.
func (b *bell) reconciled(s admin.ReconcileSummary) {
	window := s.From.Format(time.DateOnly) + " to " + s.To.Format(time.DateOnly)
	if s.Verdict == admin.KeyUsedElsewhere {
		b.log.Error("the key is used elsewhere: OpenAI counts more than went through here", "event", alert.KindKeyElsewhere, "amount", s.Elsewhere.String(), "window", window)
		b.alerts.Send(alert.KeyUsedElsewhere(window, s.Theirs, s.Ours, s.Elsewhere))
		return
	}
	b.log.Info("OpenAI's books agree with ours", "event", alert.KindReconciled, "window", window)
	b.alerts.Send(alert.Reconciled(window, s.Theirs, s.Ours))
}

func settingsOf(shown []config.Shown) []admin.Setting {
	all := make([]admin.Setting, len(shown))
	for i, s := range shown {
		all[i] = admin.Setting{Group: s.Group, Name: s.Name, Value: s.Value, Source: string(s.Source), Note: s.Note}
	}
	return all
}

// adminState is what the server says of itself.
func adminState(p parts) admin.State {
	s := p.server.State()
	return admin.State{
		Since: s.Since, Requests: s.Requests, Refusals: s.Refusals, InFlight: s.InFlight, Streams: s.Streams,
		Added:   admin.Latency(s.Added),
		Breaker: s.Breaker, Refuses: string(s.Refuses),
	}
}

// stateNow is the same for a scrape.
func stateNow(p parts) metrics.State {
	s := p.server.State()
	state := metrics.State{
		InFlight: int(s.InFlight), Streams: int(s.Streams),
		Breaker: breakerState(s.Breaker),
		Ledger:  p.ledger.Healthy(), Audit: p.audit.Healthy(),
	}
	state.AuditRecords, state.AuditLost = p.audit.Counts()
	for _, name := range []string{"ip", "ip_others", "user"} {
		state.Limiters = append(state.Limiters, metrics.Limiter{Name: name, Keys: s.Limiters[name]})
	}
	for _, k := range p.client.Keys() {
		state.Keys = append(state.Keys, metrics.Key{Fingerprint: k.Fingerprint, Source: k.Source, State: k.State, Since: k.Since})
	}
	for _, r := range p.alerts.State() {
		state.Receivers = append(state.Receivers, metrics.Receiver{Name: r.Name, Delivered: r.Sent, Failed: r.Failed, Dropped: r.Dropped})
	}
	return state
}

func breakerState(name string) metrics.Breaker {
	return metrics.Breaker(max(0, slices.Index([]string{"closed", "half-open", "open"}, name)))
}

// booksNow is what the ledger says for a scrape.
func booksNow(ctx context.Context, cfg config.Config, p parts) (metrics.Books, error) {
	var standing ledger.Standing
	var stops []ledger.Stop
	both, ctx := errgroup.WithContext(ctx) // at once, so that a slow disk is waited for once
	both.Go(func() (err error) { standing, err = p.ledger.Standing(ctx, ledger.User{}); return err })
	both.Go(func() (err error) { stops, err = p.ledger.Stops(ctx); return err })
	if err := both.Wait(); err != nil {
		return metrics.Books{}, err // to say that nothing is stopped would be a guess
	}
	account := func(b ledger.Balance, limit config.Budget) metrics.Account {
		a := metrics.Account{Cap: money.USD(limit), Used: b.Used, Open: b.Open}
		if limit.Off() {
			a.Cap = -1
		}
		return a
	}
	return metrics.Books{
		Day:   account(standing.Day, cfg.Money.BudgetDay),
		Month: account(standing.Month, cfg.Money.BudgetMonth),
		Holds: int(p.server.Holds()), Stopped: stoppedOf(stops),
	}, nil
}

func stoppedOf(stops []ledger.Stop) (s metrics.Stopped) {
	for _, stop := range stops {
		switch {
		case stop.Everything:
			s.Everything = true
		case stop.Model != "":
			s.Models++
		default:
			s.Users++
		}
	}
	return s
}

// operatorsDoor is nil without an ADMIN_TOKEN: then there is none.
func operatorsDoor(g program, desk *admin.Desk, key secret.String, m *metrics.Metrics) (*server.Operator, error) {
	if g.cfg.Operator.AdminToken.IsZero() {
		return nil, nil
	}
	door, err := admin.NewDoor(g.cfg.Operator.AdminToken, admin.DoorOptions{Origin: g.cfg.Server.PublicURL, PlainHTTP: g.dev})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", m.Handler())
	dashboard := pages.Dashboard(pages.DashboardOptions{KeyAge: oldKey})
	mux.Handle("/", admin.NewHandler(desk, &admin.Remote{
		Door:    door,
		Address: func(r *http.Request) netip.Addr { return middleware.GetClientIPAddr(r.Context()) },
		Named:   addressName(g.cfg, key),
	}))
	return &server.Operator{
		Admits: func(r *http.Request, from netip.Addr) (bool, time.Duration) {
			switch door.Admits(r, from) {
			case admin.Admitted:
				return true, 0
			case admin.TooMany:
				return false, max(time.Second, door.Wait(from))
			}
			return false, 0
		},
		Behind: mux,
		Pages:  dashboard, HasPage: dashboard.Has,
	}, nil
}
