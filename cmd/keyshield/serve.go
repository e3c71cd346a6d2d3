package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"

	"keyshield/internal/auth"
	"keyshield/internal/config"
	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
	"keyshield/internal/server"
	"keyshield/internal/upstream"
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
	log := newLogger(p.stderr, cfg)
	for _, warning := range loaded.Warnings {
		log.Warn(warning)
	}
	l, err := listen(ctx, cfg.Server.Host, cfg.Server.Port)
	if err != nil {
		fmt.Fprintf(p.stderr, "keyshield serve: %v\n", err)
		return exitFailed
	}
	if err := answer(ctx, cfg, l, log); err != nil {
		log.Error("the server ended", "error", err.Error())
		return exitFailed
	}
	return exitOK
}

// answer puts the program together and runs it on l until ctx ends. It is the
// one place where the parts meet.
func answer(ctx context.Context, cfg config.Config, l net.Listener, log *slog.Logger) error {
	books, err := openLedger(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() {
		if err := books.Close(); err != nil {
			log.Error("the ledger did not close cleanly", "error", err.Error())
		}
	}()
	stopOperator, err := serveOperator(ctx, cfg.Money.DataDir, newOperator(cfg, books), log)
	if err != nil {
		return err
	}
	defer stopOperator()

	cfg.Auth.PseudonymKey = books.HMACKey()
	verifier, err := auth.New(ctx, cfg.Auth, log)
	if err != nil {
		return err
	}
	defer verifier.Close()

	client, err := upstream.New(upstreamConfig(cfg))
	if err != nil {
		return err
	}
	defer client.Close()
	defer watchClock(ctx, books, client, log)()

	s := server.New(serverConfig(cfg), verifier, books, client, secret.NewDetector(cfg.OpenAI.Key, cfg.Auth.Secret), log)
	log.Info("listening", "address", l.Addr().String(), "version", versionText(), "model", cfg.Text.Model)
	return s.Serve(ctx, l, cfg.Server.ShutdownGrace)
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
	}
}

func drainTokens(m config.Money) int {
	if m.Hangup == "drain" {
		return m.DrainTokens
	}
	return 0
}

func upstreamConfig(cfg config.Config) upstream.Config {
	return upstream.Config{
		BaseURL:      cfg.OpenAI.BaseURL,
		Key:          cfg.OpenAI.Key,
		Organization: cfg.OpenAI.Organization,
		Project:      cfg.OpenAI.Project,
		Timeout:      cfg.OpenAI.UpstreamTimeout,
		StreamIdle:   cfg.OpenAI.StreamIdleTimeout,
		StreamMax:    cfg.OpenAI.StreamMax,
	}
}

// newLogger logs to w with every secret masked, whoever wrote the line.
func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Server.LogLevel}
	w = secret.Redactor(w, cfg.OpenAI.Key, cfg.Auth.Secret)
	if cfg.Server.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
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
