package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"unicode"
)

// maxSlack is what fits everywhere: Discord refuses a message of more than 2,000
// characters, and a short one is better read than a long one refused.
const maxSlack = 1900

// slack posts {"text": …}, which Slack, Mattermost, Rocket.Chat and Discord (with
// /slack at the end of its webhook's address) all understand. Blocks would be seen by
// Slack alone, which then shows nothing else.
type slack struct {
	poster
	service string
	redact  func([]byte) []byte
}

func (s slack) deliver(ctx context.Context, n *notice) error {
	body, err := encodeJSON(struct {
		Text string `json:"text"`
	}{slackText(n.Event, s.service)})
	if err != nil {
		return err
	}
	return s.post(ctx, s.redact(body), http.Header{})
}

func slackText(e Event, service string) string {
	var b strings.Builder
	b.WriteString(mark(e.Severity) + " *" + inert(e.Title) + "*\n")
	if e.Text != "" {
		b.WriteString(inert(e.Text) + "\n")
	}
	for _, f := range e.Fields {
		b.WriteString("• " + inert(f[0]) + ": `" + strings.ReplaceAll(inert(f[1]), "`", "'") + "`\n")
	}
	last := "_" + inert(service) + " · " + e.At.UTC().Format("2006-01-02 15:04:05 UTC") + "_"
	return cut(strings.TrimSpace(b.String()), maxSlack-len(last)-1) + "\n" + last
}

func mark(s Severity) string {
	switch s {
	case Critical:
		return "🚨"
	case Warning:
		return "⚠️"
	default:
		return "ℹ️"
	}
}

// inert makes text of what users may have chosen: it calls nobody and links to
// nothing. & < > are escaped as Slack asks for; @everyone, links and [text](address)
// are what Mattermost and Discord would see, so that an invisible space goes in between.
func inert(s string) string {
	const gap = "\u200b"
	var b strings.Builder
	before := ' '
	for i, r := range s {
		rest := s[i+len(string(r)):]
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '@' && (!alphanumeric(before) || callsAll(rest)):
			b.WriteString("@" + gap)
		case r == ':' && strings.HasPrefix(rest, "//"), r == ']' && strings.HasPrefix(rest, "("):
			b.WriteString(string(r) + gap)
		default:
			b.WriteRune(r)
		}
		before = r
	}
	return b.String()
}

func alphanumeric(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func callsAll(rest string) bool {
	for _, name := range []string{"everyone", "here", "channel", "all"} {
		if len(rest) >= len(name) && strings.EqualFold(rest[:len(name)], name) {
			return true
		}
	}
	return false
}

// encodeJSON leaves & < > alone, so that what is redacted is what is sent.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
