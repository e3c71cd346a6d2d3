package main

import (
	"io"
	"log/slog"

	"keyshield/internal/config"
	"keyshield/internal/secret"
)

// program is what everything is made from: the settings, how they may be shown, and
// a log in which no secret stands.
type program struct {
	cfg   config.Config
	shown []config.Shown
	hide  hidden
	log   *slog.Logger

	// Of dev: on this machine only, over plain http.
	dev       bool
	simulated bool
	behind    string // who answers
	token     string // a user's

	getenv func(string) string // of what is no setting of ours: a vault's own tools have theirs
}

// newProgram takes cfg instead of loaded's own, which dev changes.
func newProgram(p process, loaded *config.Loaded, cfg config.Config) program {
	hide := hide(cfg)
	return program{cfg: cfg, shown: loaded.Settings(), hide: hide, log: newLogger(p.stderr, cfg, hide), getenv: loaded.Variable}
}

// hidden knows every secret. Spoken is for generated text, logged for our own words:
// an address that is a credential begins as honest ones do, and a mail server's
// password may be a word, so they are looked for only where they would stand whole.
type hidden struct{ spoken, logged *secret.Detector }

func hide(cfg config.Config) hidden {
	secrets := append(cfg.OpenAI.AllKeys(), cfg.OpenAI.DopplerToken, cfg.Auth.Secret, cfg.Operator.AdminToken, cfg.Alerts.WebhookSecret)
	whole := []secret.String{cfg.Alerts.SlackURL, cfg.Alerts.WebhookURL, cfg.Alerts.SMTPURL, smtpPassword(cfg)}
	return hidden{spoken: secret.NewDetector(secrets...), logged: secret.NewDetector(append(secrets, whole...)...)}
}

// learn is told of keys that come while the program runs.
func (h hidden) learn(keys ...secret.String) {
	h.spoken.Learn(keys...)
	h.logged.Learn(keys...)
}

// newLogger logs to w with every secret masked, whoever wrote the line.
func newLogger(w io.Writer, cfg config.Config, hide hidden) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Server.LogLevel}
	w = hide.logged.Redactor(w)
	if cfg.Server.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
