package alert

import (
	"crypto/x509"
	"net/http"
)

// Through has webhooks posted by t.
func Through(o *Options, t http.RoundTripper) { o.transport = t }

// Trusting has mail servers verified by roots.
func Trusting(o *Options, roots *x509.CertPool) { o.roots = roots }

// On has the file that is kept replaced by f.
func On(o *Options, f func(path string, data []byte) error) { o.replace = f }

// Word is what stands in a command for s.
func Word(s string) string { return word(s) }

// SlackText is what Slack shows.
func SlackText(e Event) string { return slackText(e, "keyshield") }
