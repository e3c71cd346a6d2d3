package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"keyshield/internal/alert"
	"keyshield/internal/audit"
	"keyshield/internal/config"
	"keyshield/internal/ledger"
	"keyshield/internal/metrics"
	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
	"keyshield/internal/server"
	"keyshield/internal/watch"
)

// newAlerts tells whoever the settings name.
func newAlerts(g program) (*alert.Alerts, error) {
	a := g.cfg.Alerts
	return alert.New(alert.Options{
		Slack:         a.SlackURL,
		Webhook:       a.WebhookURL.Reveal(),
		WebhookSecret: a.WebhookSecret,
		Email:         emailOf(a),
		Service:       g.cfg.Server.PublicURL,
		Redact:        g.hide.logged.Mask,
		Dir:           g.cfg.Money.DataDir,
		Log:           g.log,
	})
}

// emailOf reads ALERT_SMTP_URL, which config has checked; nil is no e-mail.
func emailOf(a config.Alerts) *alert.Email {
	u, err := url.Parse(a.SMTPURL.Reveal())
	if a.SMTPURL.IsZero() || err != nil {
		return nil
	}
	password, _ := u.User.Password()
	port, _ := strconv.Atoi(u.Port())
	e := &alert.Email{
		Host: u.Hostname(), Port: port, Security: alert.STARTTLS,
		Username: u.User.Username(), Password: secret.New(password),
		From: a.EmailFrom, To: a.EmailTo,
	}
	switch ip, err := netip.ParseAddr(e.Host); {
	case u.Scheme == "smtps":
		e.Security = alert.TLS
	case e.Host == "localhost", err == nil && ip.IsLoopback():
		e.Security = alert.NoTLS // to this machine, where nobody is in between
	}
	return e
}

func smtpPassword(cfg config.Config) secret.String {
	if e := emailOf(cfg.Alerts); e != nil {
		return e.Password
	}
	return secret.String{}
}

// openAudit opens the audit log beside the ledger, whose lock guards it.
func openAudit(g program, books *ledger.Ledger, b *bell) (err error) {
	cfg, level := g.cfg, slog.LevelInfo
	if g.dev { // whose log nobody keeps: the first screen is for what to try
		level = slog.LevelDebug
	}
	b.auditDir = filepath.Join(cfg.Money.DataDir, audit.Folder)
	opts := audit.Options{
		Dir:     b.auditDir,
		Keep:    time.Duration(cfg.Operator.AuditDays) * 24 * time.Hour,
		Version: versionText(),
		Broken:  b.auditBroken,
		Anchor: func(seq int64, head string) {
			told := audit.Anchor{Seq: seq, Head: head, At: time.Now()}
			g.log.Log(context.Background(), level, "the audit log's anchor: keyshield audit verify --anchor checks it", "event", "audit_anchor", "seq", seq, "head", head, "anchor", told.Dated())
		},
		Log: g.log,
	}
	opts.HashIP = addressName(cfg, books.HMACKey())
	if b.audit, err = audit.Open(opts); err == nil {
		close(b.writes)
	}
	return err
}

// addressName names addresses by an HMAC if AUDIT_IP says so, under the ledger's key
// and apart from the users' pseudonyms. Nil: they are named as they are.
func addressName(cfg config.Config, key secret.String) func(netip.Addr) string {
	if cfg.Operator.AuditIP != "hash" {
		return nil
	}
	return func(ip netip.Addr) string {
		mac := hmac.New(sha256.New, []byte(key.Reveal()))
		mac.Write([]byte("keyshield address\x00"))
		mac.Write(ip.Unmap().AsSlice())
		return "hmac:" + hex.EncodeToString(mac.Sum(nil)[:12])
	}
}

// openWatch begins to compare everyone with their own past.
func openWatch(cfg config.Config, b *bell, log *slog.Logger) (*watch.Watch, error) {
	month := money.USD(cfg.Money.BudgetMonth)
	if month == policy.NoCap {
		month = -1
	}
	return watch.New(watch.Options{
		Path:       filepath.Join(cfg.Money.DataDir, "watch.json"),
		Month:      month,
		DisableFor: time.Duration(cfg.Operator.AutoDisable),
		Act:        b.alarm,
		Log:        log,
	})
}

// newMetrics makes the series. What they say of the server, it says once it is there.
func newMetrics(g program, p parts) *metrics.Metrics {
	return metrics.New(metrics.Options{
		Version: versionText(),
		Routes:  server.Patterns(),
		Models:  g.cfg.Plans.AskedModels(),
		Sources: metrics.Sources{
			Books: func(ctx context.Context) (metrics.Books, error) { return booksNow(ctx, g.cfg, p) },
			State: func() metrics.State { return stateNow(p) },
		},
		Log: g.log,
	})
}
