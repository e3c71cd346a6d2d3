package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/config"
)

const (
	testToken = "Rt5Wq8Zx1Lm4Nb7Vc2Kj9Hg6Fd3Sa0Pe"
	slackURL  = "https://hooks.slack.com/services/T00000000/B00000000/" + canary
	mailURL   = "smtp://mailer:" + canary + "@smtp.example.com:587"
	freshLine = "=<at least 32 random characters; openssl rand -hex 32 prints some>"
)

// wantProblem checks what is said of a name: part of the text, and the line to write.
func wantProblem(t *testing.T, l *config.Loaded, name, text, fix string) {
	t.Helper()
	gotText, gotFix := problemOf(l, name)
	if gotText == "" || !strings.Contains(gotText, text) || gotFix != fix {
		t.Errorf("%s: told %q, %q; want %q in it, and the line %q; all problems: %q", name, gotText, gotFix, text, fix, names(l))
	}
}

func TestBadAdminTokensAreRefused(t *testing.T) {
	for value, text := range map[string]string{
		canary[:31]:                      "is too short: it must have at least 32",
		"x":                              "is too short",
		strings.Repeat("a", 40):          "is still the example's placeholder",
		"your-token-here-" + canary:      "is still the example's placeholder",
		"<" + canary + ">":               "is still the example's placeholder",
		`"` + canary + `"`:               "is in quotes",
		"'" + canary + "'":               "is in quotes",
		canary + " ":                     "cannot carry",
		canary[:16] + " " + canary[16:]:  "cannot carry",
		canary[:16] + "\n" + canary[16:]: "cannot carry",
		canary + "ü":                     "cannot carry",
		canary + "\u200b":                "cannot carry",
		canary + "\x00":                  "cannot carry",
		strings.Repeat(canary, 40):       "is too long",
		testSecret:                       "is the same as another secret",
	} {
		l := serve(t, "ADMIN_TOKEN="+value)
		wantProblem(t, l, "ADMIN_TOKEN", text, "ADMIN_TOKEN"+freshLine)
		if piece := shows(told(l)); piece != "" {
			t.Errorf("ADMIN_TOKEN: %q is shown", piece)
		}
	}
	long := "test-key-" + testToken
	for _, env := range [][]string{{"OPENAI_API_KEY=" + long, "ADMIN_TOKEN=" + long}, {"OPENAI_API_KEYS=" + testKey + "," + long, "ADMIN_TOKEN=" + long}} {
		wantProblem(t, serve(t, env...), "ADMIN_TOKEN", "is the same as another secret", "ADMIN_TOKEN"+freshLine)
	}
	for _, good := range []string{testToken, strings.Repeat("0f", 32), "!#$%&*+-=?^_`{|}~" + testToken} {
		if l := serve(t, "ADMIN_TOKEN="+good); len(l.Problems) > 0 || l.Config.Operator.AdminToken.Reveal() != good {
			t.Errorf("%q: %+v", good, l.Problems)
		}
	}
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, testToken+"\n")
	if l := serve(t, "ADMIN_TOKEN_FILE="+file); len(l.Problems) > 0 || l.Config.Operator.AdminToken.Reveal() != testToken {
		t.Errorf("from a file: %+v", l.Problems)
	}
}

func TestBadValuesForTheOperatorAreRefused(t *testing.T) {
	for line, fix := range map[string]string{
		"AUDIT_IP=none": "AUDIT_IP=plain", "AUDIT_IP=HASH": "AUDIT_IP=plain", "AUDIT_IP=hash,plain": "AUDIT_IP=plain",
		"AUDIT_DAYS=0": "AUDIT_DAYS=90", "AUDIT_DAYS=-1": "AUDIT_DAYS=90", "AUDIT_DAYS=3651": "AUDIT_DAYS=90", "AUDIT_DAYS=90d": "AUDIT_DAYS=90", "AUDIT_DAYS=1e3": "AUDIT_DAYS=90", "AUDIT_DAYS=99999999999999999999": "AUDIT_DAYS=90",
		"AUDIT_REQUIRED=yes": "AUDIT_REQUIRED=false", "AUDIT_REQUIRED=1": "AUDIT_REQUIRED=false", "AUDIT_REQUIRED=True": "AUDIT_REQUIRED=false",
		"AUTO_DISABLE=true": "AUTO_DISABLE=1h", "AUTO_DISABLE=0": "AUTO_DISABLE=1h", "AUTO_DISABLE=30s": "AUTO_DISABLE=1h", "AUTO_DISABLE=-1h": "AUTO_DISABLE=1h", "AUTO_DISABLE=169h": "AUTO_DISABLE=1h", "AUTO_DISABLE=60": "AUTO_DISABLE=1h", "AUTO_DISABLE=OFF": "AUTO_DISABLE=1h",
	} {
		name, _, _ := strings.Cut(line, "=")
		l := serve(t, line)
		if text, got := problemOf(l, name); text == "" || got != fix {
			t.Errorf("%s: %q, %q; want the line %q", line, text, got, fix)
		}
		if again := serve(t, fix); len(again.Problems) > 0 {
			t.Errorf("after writing %s: %+v", fix, again.Problems)
		}
	}
}

// TestPlaygroundNeedsToKnowItsOwnAddress: else its page would be refused as a foreign
// website's.
func TestPlaygroundNeedsToKnowItsOwnAddress(t *testing.T) {
	const own = "PUBLIC_URL=https://api.example.com"
	wantProblem(t, serve(t, "PLAYGROUND=true"), "PUBLIC_URL", "is missing", own)
	if l := serve(t, "PLAYGROUND=true", own); len(l.Problems) > 0 || !l.Config.Operator.Playground {
		t.Errorf("%+v", l.Problems)
	}
	if text, fix := problemOf(serve(t, "PLAYGROUND=on", own), "PLAYGROUND"); text == "" || fix != "PLAYGROUND=false" {
		t.Errorf("PLAYGROUND=on: %q, %q", text, fix)
	}
}

func TestOperatorsValuesArrive(t *testing.T) {
	usual := serve(t).Config.Operator
	if usual.AuditIP != "plain" || usual.AuditDays != 90 || usual.AuditRequired || time.Duration(usual.AutoDisable) != time.Hour || !usual.AdminToken.IsZero() {
		t.Errorf("the defaults are %+v", usual)
	}
	l := serve(t, "AUDIT_IP=hash", "AUDIT_DAYS=7", "AUDIT_REQUIRED=true", "AUTO_DISABLE=off")
	if o := l.Config.Operator; len(l.Problems) > 0 || o.AuditIP != "hash" || o.AuditDays != 7 || !o.AuditRequired || o.AutoDisable != 0 || o.AutoDisable.String() != "off" {
		t.Errorf("%+v %+v", o, l.Problems)
	}
	for _, text := range []string{"1m", "90m", "168h"} {
		want, err := time.ParseDuration(text)
		if got := serve(t, "AUTO_DISABLE="+text); err != nil || len(got.Problems) > 0 || time.Duration(got.Config.Operator.AutoDisable) != want {
			t.Errorf("AUTO_DISABLE=%s: %v %+v", text, got.Config.Operator.AutoDisable, got.Problems)
		}
	}
}

func TestBadReceiversOfAlertsAreRefused(t *testing.T) {
	hook := "ALERT_WEBHOOK_SECRET=" + testToken
	mail := []string{"ALERT_EMAIL_FROM=shield@example.com", "ALERT_EMAIL_TO=ops@example.com"}
	for _, c := range []struct {
		name      string
		lines     []string
		text, fix string
	}{
		{"ALERT_SLACK_URL", []string{"ALERT_SLACK_URL=" + canary}, "is not an address", "ALERT_SLACK_URL=https://…"},
		{"ALERT_SLACK_URL", []string{"ALERT_SLACK_URL=http://hooks.slack.com/services/" + canary}, "http is for this machine only", "ALERT_SLACK_URL=https://…"},
		{"ALERT_SLACK_URL", []string{"ALERT_SLACK_URL=ftp://hooks.slack.com/" + canary}, "must begin with https://", "ALERT_SLACK_URL=https://…"},
		{"ALERT_SLACK_URL", []string{"ALERT_SLACK_URL=https:///" + canary}, "is not an address", "ALERT_SLACK_URL=https://…"},
		{"ALERT_SLACK_URL", []string{"ALERT_SLACK_URL=" + slackURL + "#x"}, "is not an address", "ALERT_SLACK_URL=https://…"},
		{"ALERT_SLACK_URL", []string{"ALERT_SLACK_URL=https://hooks.slack.com/%zz" + canary}, "is not an address", "ALERT_SLACK_URL=https://…"},
		{"ALERT_SLACK_URL", []string{"ALERT_SLACK_URL=https://hooks.slack.com/ \t" + canary}, "is not an address", "ALERT_SLACK_URL=https://…"},
		{"ALERT_WEBHOOK_URL", []string{"ALERT_WEBHOOK_URL=http://alerts.example.com/" + canary, hook}, "http is for this machine only", "ALERT_WEBHOOK_URL=https://…"},
		{"ALERT_WEBHOOK_SECRET", []string{"ALERT_WEBHOOK_URL=https://alerts.example.com/" + canary}, "go together", "ALERT_WEBHOOK_SECRET" + freshLine},
		{"ALERT_WEBHOOK_SECRET", []string{"ALERT_WEBHOOK_SECRET=" + canary}, "go together", "ALERT_WEBHOOK_SECRET" + freshLine},
		{"ALERT_WEBHOOK_SECRET", []string{"ALERT_WEBHOOK_URL=https://alerts.example.com", "ALERT_WEBHOOK_SECRET=" + canary[:31]}, "is too short", "ALERT_WEBHOOK_SECRET" + freshLine},
		{"ALERT_SMTP_URL", append(mail, "ALERT_SMTP_URL=smtp.example.com:587"), "is not an address", "ALERT_SMTP_URL=smtps://…"},
		{"ALERT_SMTP_URL", append(mail, "ALERT_SMTP_URL=https://mailer:"+canary+"@smtp.example.com"), "must begin with smtps://", "ALERT_SMTP_URL=smtps://…"},
		{"ALERT_SMTP_URL", append(mail, "ALERT_SMTP_URL="+mailURL+"/inbox"), "nothing after the port", "ALERT_SMTP_URL=smtp://user:password@smtp.example.com:587"},
		{"ALERT_SMTP_URL", append(mail, "ALERT_SMTP_URL="+mailURL+"?tls=off"), "nothing after the port", "ALERT_SMTP_URL=smtp://user:password@smtp.example.com:587"},
		{"ALERT_SMTP_URL", append(mail, "ALERT_SMTP_URL=smtp://mailer:"+canary+"@"), "is not an address", "ALERT_SMTP_URL=smtps://…"},
		{"ALERT_SLACK_URL", []string{"ALERT_SLACK_URL=https://mailer:" + canary + "@hooks.slack.com/services"}, "no user and no password", "ALERT_SLACK_URL=https://…"},
		{"ALERT_SLACK_URL", []string{"ALERT_SLACK_URL=https://hooks.slack.com:99999/" + canary}, "a port that there is not", "ALERT_SLACK_URL=https://…"},
		{"ALERT_SMTP_URL", append(mail, "ALERT_SMTP_URL=smtp://"+canary+"@smtp.example.com"), "a user and a password, or neither", "ALERT_SMTP_URL=smtp://user:password@smtp.example.com:587"},
		{"ALERT_SMTP_URL", append(mail, "ALERT_SMTP_URL=smtp://:"+canary+"@smtp.example.com"), "a user and a password, or neither", "ALERT_SMTP_URL=smtp://user:password@smtp.example.com:587"},
		{"ALERT_SMTP_URL", append(mail, "ALERT_SMTP_URL=smtp://mailer:"+canary+"@smtp.example.com:0"), "a port that there is not", "ALERT_SMTP_URL=smtps://…"},
		{"ALERT_EMAIL_TO", []string{"ALERT_SMTP_URL=" + mailURL, mail[0], "ALERT_EMAIL_TO=ops@example.com,ops@example.com"}, "each of them once", "ALERT_EMAIL_TO=ops@example.com,me@example.com"},
		{"ALERT_EMAIL_TO", []string{"ALERT_SMTP_URL=" + mailURL, mail[0], "ALERT_EMAIL_TO=" + elevenAddresses()}, "at most 10", "ALERT_EMAIL_TO=ops@example.com,me@example.com"},
		{"ALERT_SMTP_URL", mail, "is missing", "ALERT_SMTP_URL=smtp://user:password@smtp.example.com:587"},
		{"ALERT_EMAIL_FROM", []string{"ALERT_SMTP_URL=" + mailURL, mail[1]}, "is missing", "ALERT_EMAIL_FROM=keyshield@example.com"},
		{"ALERT_EMAIL_TO", []string{"ALERT_SMTP_URL=" + mailURL, mail[0]}, "is missing", "ALERT_EMAIL_TO=ops@example.com"},
		{"ALERT_EMAIL_FROM", []string{"ALERT_SMTP_URL=" + mailURL, mail[1], "ALERT_EMAIL_FROM=shield"}, "must be one e-mail address", "ALERT_EMAIL_FROM=keyshield@example.com"},
		{"ALERT_EMAIL_FROM", []string{"ALERT_SMTP_URL=" + mailURL, mail[1], "ALERT_EMAIL_FROM=a@example.com,b@example.com"}, "must be one e-mail address", "ALERT_EMAIL_FROM=keyshield@example.com"},
		{"ALERT_EMAIL_TO", []string{"ALERT_SMTP_URL=" + mailURL, mail[0], "ALERT_EMAIL_TO=ops@example.com,ops"}, "must be e-mail addresses", "ALERT_EMAIL_TO=ops@example.com,me@example.com"},
		{"ALERT_EMAIL_TO", []string{"ALERT_SMTP_URL=" + mailURL, mail[0], "ALERT_EMAIL_TO=ops@example.com\nBcc: all@example.com"}, "must be e-mail addresses", "ALERT_EMAIL_TO=ops@example.com,me@example.com"},
	} {
		l := serve(t, c.lines...)
		wantProblem(t, l, c.name, c.text, c.fix)
		if piece := shows(told(l)); piece != "" {
			t.Errorf("%s, %s: %q is shown", c.name, c.text, piece)
		}
	}
}

func elevenAddresses() string {
	var all []string
	for i := range 11 {
		all = append(all, fmt.Sprintf("ops%d@example.com", i))
	}
	return strings.Join(all, ",")
}

func TestGoodReceiversOfAlertsArrive(t *testing.T) {
	for _, lines := range [][]string{
		{"ALERT_SLACK_URL=" + slackURL},
		{"ALERT_SLACK_URL=http://127.0.0.1:8065/hooks/x"},
		{"ALERT_WEBHOOK_URL=https://alerts.example.com/in?team=1", "ALERT_WEBHOOK_SECRET=" + testToken},
		{"ALERT_WEBHOOK_URL=http://localhost:9/", "ALERT_WEBHOOK_SECRET=" + testToken},
		{"ALERT_SMTP_URL=" + mailURL, "ALERT_EMAIL_FROM=shield@example.com", "ALERT_EMAIL_TO=ops@example.com, me@example.org"},
		{"ALERT_SMTP_URL=smtps://smtp.example.com", "ALERT_EMAIL_FROM=shield@example.com", "ALERT_EMAIL_TO=ops@example.com"},
	} {
		l := serve(t, lines...)
		if len(l.Problems) > 0 {
			t.Errorf("%q: %+v", lines, l.Problems)
		}
		if piece := shows(told(l)); piece != "" {
			t.Errorf("%.20q: %q is shown", lines, piece)
		}
	}
	l := serve(t, "ALERT_SMTP_URL="+mailURL, "ALERT_EMAIL_FROM=shield@example.com", "ALERT_EMAIL_TO=ops@example.com, me@example.org")
	if diff := cmp.Diff([]string{"ops@example.com", "me@example.org"}, l.Config.Alerts.EmailTo); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	file := filepath.Join(t.TempDir(), "slack")
	write(t, file, slackURL+"\n")
	if l := serve(t, "ALERT_SLACK_URL_FILE="+file); len(l.Problems) > 0 || l.Config.Alerts.SlackURL.Reveal() != slackURL {
		t.Errorf("from a file: %+v", l.Problems)
	}
}

// TestEveryProblemOfTheOperatorIsToldAtOnce: nobody starts a server six times to learn
// what is wrong.
func TestEveryProblemOfTheOperatorIsToldAtOnce(t *testing.T) {
	l := serve(t, "ADMIN_TOKEN=short", "AUDIT_IP=no", "AUDIT_DAYS=no", "AUDIT_REQUIRED=no", "AUTO_DISABLE=no", "ALERT_SLACK_URL=no", "ALERT_WEBHOOK_URL=http://x.example", "ALERT_EMAIL_FROM=no", "KEY_REFRESH=no", "OPENAI_KEY_SOURCE=no")
	got := fmt.Sprint(names(l))
	for _, name := range []string{"ADMIN_TOKEN", "AUDIT_IP", "AUDIT_DAYS", "AUDIT_REQUIRED", "AUTO_DISABLE", "ALERT_SLACK_URL", "ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET", "ALERT_SMTP_URL", "ALERT_EMAIL_FROM", "ALERT_EMAIL_TO", "KEY_REFRESH", "OPENAI_KEY_SOURCE"} {
		if !strings.Contains(got, name) {
			t.Errorf("%s is not among %s", name, got)
		}
	}
}
