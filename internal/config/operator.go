package config

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyshield/internal/secret"
)

// Operator is what whoever runs the server sees and stops it with.
type Operator struct {
	AdminToken    secret.String `env:"ADMIN_TOKEN" desc:"opens /admin and /metrics to whoever has it, and lets the commands reach this server from afar; at least 32 characters; unset means that there is no such door"`
	Playground    bool          `env:"PLAYGROUND" envDefault:"false" dev:"true" oneof:"true false" desc:"a page at / on which visitors try the server with a token of their own; needs PUBLIC_URL"`
	AuditIP       string        `env:"AUDIT_IP" envDefault:"plain" oneof:"plain hash" desc:"how the audit log names addresses: plain, or hash (an HMAC: the same address has the same name, and nobody reads it off)"`
	AuditDays     int           `env:"AUDIT_DAYS" envDefault:"90" min:"1" max:"3650" desc:"how many days the audit log is kept"`
	AuditRequired bool          `env:"AUDIT_REQUIRED" envDefault:"false" oneof:"true false" desc:"whether nothing is answered while the audit log cannot be written; else calls go on, with an alarm"`
	AutoDisable   Pause         `env:"AUTO_DISABLE" envDefault:"1h" dev:"off" desc:"for how long a user is disabled who floods, or whose requests, addresses or spending are far beyond what is usual, and everything if the month's budget would be gone within minutes; a duration, or off (alerts only)"`
}

// Alerts says who is told when something is wrong. All of them are, at once.
type Alerts struct {
	SlackURL      secret.String `env:"ALERT_SLACK_URL" desc:"an incoming webhook of Slack, or of what takes the same (Mattermost, Discord with /slack)"`
	WebhookURL    secret.String `env:"ALERT_WEBHOOK_URL" desc:"an address of yours that takes alerts as JSON, signed with ALERT_WEBHOOK_SECRET"`
	WebhookSecret secret.String `env:"ALERT_WEBHOOK_SECRET" desc:"the secret that Keyshield-Signature is made with (HMAC-SHA256); at least 32 characters"`
	SMTPURL       secret.String `env:"ALERT_SMTP_URL" desc:"the server that takes e-mail: smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465"`
	EmailFrom     string        `env:"ALERT_EMAIL_FROM" eg:"keyshield@example.com" desc:"the sender of e-mails"`
	EmailTo       []string      `env:"ALERT_EMAIL_TO" eg:"ops@example.com" desc:"who gets e-mails; of several, separated by commas"`
}

// Pause is how long something stays disabled, or off.
type Pause time.Duration

const (
	shortestPause = time.Minute
	longestPause  = 7 * 24 * time.Hour
)

// UnmarshalText reads a duration, or off.
func (p *Pause) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*p = 0
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < shortestPause || d > longestPause {
		return errors.New("not a pause")
	}
	*p = Pause(d)
	return nil
}

func (p Pause) String() string {
	if p == 0 {
		return "off"
	}
	return short(time.Duration(p))
}

// minToken is how long what opens the operator's door must be.
const minToken = 32

func (l *Loaded) checkOperator() {
	if l.mode == Serve && l.Config.Operator.Playground && l.Config.Server.PublicURL == "" && l.sound("PUBLIC_URL") {
		l.problem("PUBLIC_URL", "PUBLIC_URL is missing: the page that PLAYGROUND shows asks this server, which lets in only the websites that it knows", "PUBLIC_URL=https://api.example.com")
	}
	const name = "ADMIN_TOKEN"
	token := l.Config.Operator.AdminToken.Reveal()
	if token == "" || !l.sound(name) {
		return
	}
	var why string
	switch {
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > 0x7e }):
		why = "contains a character that a header cannot carry (white space, a line break, an accent)"
	case unquoted(token) != token:
		why = "is in quotes, which are taken for a part of it here: remove them"
	case len(token) < minToken:
		why = fmt.Sprintf("is too short: it must have at least %d characters", minToken)
	case len(token) > maxKey:
		why = "is too long for a header"
	case placeholder(token) || oneLetter(token):
		why = "is still the example's placeholder: make one of your own"
	case l.Config.Identity.Secret.Equal(token), l.isKey(token):
		why = "is the same as another secret: whoever has one would have both"
	default:
		return
	}
	l.problem(name, name+" "+why, name+"=<at least 32 random characters; openssl rand -hex 32 prints some>")
}

func oneLetter(token string) bool { return strings.Trim(token, token[:1]) == "" }

func (l *Loaded) isKey(v string) bool {
	return l.Config.OpenAI.Key.Equal(v) || slices.Contains(splitKeys(l.Config.OpenAI.Keys.Reveal()), v)
}

func (l *Loaded) checkAlerts() {
	a := &l.Config.Alerts
	l.checkAlertURL("ALERT_SLACK_URL", a.SlackURL, "https", "http")
	l.checkAlertURL("ALERT_WEBHOOK_URL", a.WebhookURL, "https", "http")
	l.checkAlertURL("ALERT_SMTP_URL", a.SMTPURL, "smtps", "smtp")
	switch {
	case a.WebhookURL.IsZero() != a.WebhookSecret.IsZero():
		l.problem("ALERT_WEBHOOK_SECRET", "ALERT_WEBHOOK_URL and ALERT_WEBHOOK_SECRET go together: without a signature anyone could raise an alert", "ALERT_WEBHOOK_SECRET=<at least 32 random characters; openssl rand -hex 32 prints some>")
	case !a.WebhookSecret.IsZero() && len(a.WebhookSecret.Reveal()) < minToken:
		l.problem("ALERT_WEBHOOK_SECRET", fmt.Sprintf("ALERT_WEBHOOK_SECRET is too short: it must have at least %d characters", minToken), "ALERT_WEBHOOK_SECRET=<at least 32 random characters; openssl rand -hex 32 prints some>")
	}
	l.checkEmail()
}

// checkAlertURL does not quote: the address itself is a credential.
func (l *Loaded) checkAlertURL(name string, value secret.String, safe, plain string) {
	if value.IsZero() || !l.sound(name) {
		return
	}
	u, err := url.Parse(value.Reveal())
	switch {
	case err != nil || u.Hostname() == "" || u.Fragment != "" || strings.ContainsFunc(value.Reveal(), notGraphic):
		l.problem(name, name+" is not an address (not shown: it may hold a secret)", name+"="+safe+"://…")
	case u.Scheme != safe && u.Scheme != plain:
		l.problem(name, fmt.Sprintf("%s must begin with %s://", name, safe), name+"="+safe+"://…")
	case !isPort(u.Port()):
		l.problem(name, name+" has a port that there is not", name+"="+safe+"://…")
	case safe == "https" && u.Scheme == plain && !isLoopback(u.Hostname()):
		l.problem(name, name+" must begin with https://: http is for this machine only", name+"=https://…")
	case safe == "https" && u.User != nil:
		l.problem(name, name+" must have no user and no password", name+"=https://…")
	case safe == "smtps" && !isLogin(u.User):
		l.problem(name, name+" must have a user and a password, or neither", name+"=smtp://user:password@smtp.example.com:587")
	case safe == "smtps" && (u.Path != "" && u.Path != "/" || u.RawQuery != ""):
		l.problem(name, name+" must have nothing after the port", name+"=smtp://user:password@smtp.example.com:587")
	}
}

func (l *Loaded) checkEmail() {
	a := &l.Config.Alerts
	some := !a.SMTPURL.IsZero() || a.EmailFrom != "" || len(a.EmailTo) > 0
	if !some {
		return
	}
	for name, missing := range map[string]bool{"ALERT_SMTP_URL": a.SMTPURL.IsZero(), "ALERT_EMAIL_FROM": a.EmailFrom == "", "ALERT_EMAIL_TO": len(a.EmailTo) == 0} {
		if missing {
			l.problem(name, name+" is missing: for e-mails ALERT_SMTP_URL, ALERT_EMAIL_FROM and ALERT_EMAIL_TO go together", name+"="+map[string]string{
				"ALERT_SMTP_URL": "smtp://user:password@smtp.example.com:587", "ALERT_EMAIL_FROM": "keyshield@example.com", "ALERT_EMAIL_TO": "ops@example.com"}[name])
		}
	}
	if a.EmailFrom != "" && !isAddress(a.EmailFrom) {
		l.problem("ALERT_EMAIL_FROM", "ALERT_EMAIL_FROM must be one e-mail address, not "+quote(a.EmailFrom), "ALERT_EMAIL_FROM=keyshield@example.com")
	}
	for i, to := range a.EmailTo {
		if a.EmailTo[i] = strings.TrimSpace(to); !isAddress(a.EmailTo[i]) {
			l.problem("ALERT_EMAIL_TO", "ALERT_EMAIL_TO must be e-mail addresses, separated by commas; "+quote(to)+" is none", "ALERT_EMAIL_TO=ops@example.com,me@example.com")
			return
		}
	}
	if once := slices.Compact(slices.Sorted(slices.Values(a.EmailTo))); len(once) != len(a.EmailTo) || len(once) > maxEmailTo {
		l.problem("ALERT_EMAIL_TO", fmt.Sprintf("ALERT_EMAIL_TO must be at most %d addresses, each of them once", maxEmailTo), "ALERT_EMAIL_TO=ops@example.com,me@example.com")
	}
}

// maxEmailTo is how many there can be: each gets an e-mail of its own.
const maxEmailTo = 10

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// isLogin says that there is nobody, or somebody with a password.
func isLogin(u *url.Userinfo) bool {
	password, _ := u.Password()
	return (u.Username() == "") == (password == "")
}

func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}
