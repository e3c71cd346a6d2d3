package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"

	"keyshield/internal/admin"
	"keyshield/internal/auth"
	"keyshield/internal/config"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/server"
	"keyshield/internal/upstream"
	"keyshield/internal/watch"
)

// serve is production.
func serve(ctx context.Context, p process) int {
	if exit, ok := flags(p, "serve", nil); !ok {
		return exit
	}
	loaded := config.Load(config.Serve, p.environ, p.dir)
	if refused(p.stderr, "serve", loaded.Problems) {
		return exitFailed
	}
	cfg := loaded.Config
	g := newProgram(p, loaded, cfg)
	for _, warning := range loaded.Warnings {
		g.log.Warn(warning)
	}
	l, err := listen(ctx, cfg.Server.Host, cfg.Server.Port)
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield serve: %v\n", err)
		return exitFailed
	}
	if err := answer(ctx, g, l, func() {}); err != nil {
		g.log.Error("the server ended", "error", err.Error())
		return exitFailed
	}
	return exitOK
}

// answer runs the program on l until ctx ends. It calls ready when requests are answered.
func answer(ctx context.Context, g program, l net.Listener, ready func()) error {
	alerts, err := newAlerts(g)
	if err != nil {
		return err
	}
	defer g.close("the alerts", alerts.Close)
	bell := newBell(ctx, alerts, g)
	books, err := openLedger(ctx, g.cfg, bell, g.log)
	if err != nil {
		return err
	}
	defer g.closeBooks(books, bell)
	bell.ledger = books
	if err := openAudit(g, books, bell); err != nil {
		return err
	}

	g.cfg.Auth.PseudonymKey = books.HMACKey()
	verifier, err := auth.New(ctx, g.cfg.Auth, g.log)
	if err != nil {
		return err
	}
	defer verifier.Close()
	client, poll, err := openKeys(ctx, g, bell)
	if err != nil {
		return err
	}
	defer client.Close()
	defer watchClock(ctx, books, client, g.log)()

	eye, err := openWatch(g.cfg, bell, g.log)
	if err != nil {
		return err
	}
	defer g.close("the watch", eye.Close)
	return g.serve(ctx, l, parts{bell, verifier, client, poll, eye}, ready)
}

// parts are what is there when requests can be answered.
type parts struct {
	*bell
	verifier *auth.Verifier
	client   *upstream.Client
	poll     *poller // nil where keys do not change
	eye      *watch.Watch
}

// serve opens the doors: the clients', the operator's, and the one in DATA_DIR.
func (g program) serve(ctx context.Context, l net.Listener, p parts, ready func()) error {
	p.metrics = newMetrics(g, p)
	desk := newDesk(g, p)
	door, err := operatorsDoor(g, desk, p.ledger.HMACKey(), p.metrics)
	if err != nil {
		return err
	}
	p.server = server.New(serverConfig(g.cfg), server.Parts{
		Verifier: p.verifier, Ledger: p.ledger, Upstream: p.client, Detector: g.hide.spoken,
		Audit: p.audit, Metrics: p.metrics, Watch: p.eye, Operator: door, Playground: newPlayground(g), ProviderRefuses: p.providerRefuses, Log: g.log,
	})
	close(p.ready)
	stopOperator, err := serveOperator(ctx, g.cfg.Money.DataDir, admin.NewHandler(desk, nil), g.log)
	if err != nil {
		return err
	}
	defer stopOperator()
	defer runChores(ctx, g, p)()
	ready()
	g.log.Info("listening", "address", l.Addr().String(), "version", versionText(), "model", g.cfg.Text.Model)
	return p.server.Serve(ctx, l, g.cfg.Server.ShutdownGrace)
}

// closeBooks ends what acts, then the ledger, then the audit log, which has a line of
// all that the ledger does until its end.
func (g program) closeBooks(books *ledger.Ledger, b *bell) {
	b.end()
	g.close("the ledger", books.Close)
	if b.audit != nil {
		g.close("the audit log", b.audit.Close)
	}
}

func (g program) close(what string, closing func() error) {
	if err := closing(); err != nil {
		g.log.Error(what+" did not close cleanly", "error", err.Error())
	}
}

func serverConfig(cfg config.Config) server.Config {
	return server.Config{
		Origins:     server.Origins(cfg.Server.Origins),
		Trust:       cfg.Server.TrustedProxy,
		RateIP:      cfg.Limits.RateIP,
		MaxBody:     int64(cfg.Server.MaxBody),
		MaxBodyV1:   int64(cfg.Server.MaxBodyV1),
		MaxInFlight: cfg.Server.MaxInFlight,
		Text: policy.TextSettings{
			Model:           cfg.Text.Model,
			SystemPrompt:    cfg.Text.SystemPrompt,
			Temperature:     cfg.Text.Temperature,
			ReasoningEffort: cfg.Text.ReasoningEffort,
		},
		StripHTML:      cfg.Text.StripHTML,
		Endpoints:      cfg.Server.Endpoints,
		SystemPromptV1: cfg.V1.SystemPromptV1,

		Plans:        cfg.Plans,
		Prices:       cfg.Prices,
		Multiplier:   cfg.Multiplier,
		Day:          money.USD(cfg.Money.BudgetDay),
		Month:        money.USD(cfg.Money.BudgetMonth),
		ExposeBudget: cfg.Money.ExposeBudget,
		Breaker:      server.BreakerSettings{Failures: cfg.Limits.Breaker.Count, Within: cfg.Limits.Breaker.Period},
		DrainTokens:  drainTokens(cfg.Money),

		AuditRequired: cfg.Operator.AuditRequired,
	}
}

func drainTokens(m config.Money) int {
	if m.Hangup == "drain" {
		return m.DrainTokens
	}
	return 0
}

func listen(ctx context.Context, host string, port int) (net.Listener, error) {
	network := "tcp"
	if ip := net.ParseIP(host); ip != nil && ip.To4() != nil {
		network = "tcp4" // else 0.0.0.0 opens IPv6 too
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w; choose another PORT, or stop what uses it", err)
	}
	return l, nil
}

// refused prints every problem at once, each with the line to add.
func refused(w io.Writer, command string, problems []config.Problem) bool {
	if len(problems) == 0 {
		return false
	}
	fmt.Fprintf(w, "keyshield %s: not started, because of %s\n\n", command, count(len(problems), "problem"))
	printProblems(w, problems)
	fmt.Fprintln(w, "Set these in the environment or in .env (see .env.example); `keyshield check` looks again.\nTo try it without any settings: keyshield dev")
	return true
}

func printProblems(w io.Writer, problems []config.Problem) {
	for _, problem := range problems {
		fmt.Fprintf(w, "  %s: %s\n", problem.Name, problem.Text)
		if problem.Fix != "" {
			fmt.Fprintf(w, "      %s\n", problem.Fix)
		}
		fmt.Fprintln(w)
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
