package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"regexp"
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
	b.WriteString(mark(e.Severity) + " *" + prose(e.Title) + "*\n")
	if e.Text != "" {
		b.WriteString(withCommands(e.Text) + "\n")
	}
	for _, f := range e.Fields {
		b.WriteString("• " + prose(f[0]) + ": `" + field(f[1]) + "`\n")
	}
	last := "_" + prose(service) + " · " + e.At.UTC().Format("2006-01-02 15:04:05 UTC") + "_"
	shown := cut(strings.TrimSpace(b.String()), maxSlack-len(last)-2)
	if strings.Count(shown, "`")%2 != 0 {
		shown += "`" // else what was cut off in its midst would be live
	}
	return shown + "\n" + last
}

// prose is text without a backtick: an odd one would turn around what is code.
func prose(s string) string { return strings.ReplaceAll(inert(s), "`", "'") }

// command is "keyshield" and its words, quoted or plain (see word): to the end of the
// line, or of the sentence.
var command = regexp.MustCompile(`\bkeyshield(?: (?:[A-Za-z0-9_@%+=:,./-]|'[^'\n]*'|\\')*(?:[A-Za-z0-9_@%+=/-]|'[^'\n]*'|\\'))+`)

// withCommands shows commands as code, so that they can be pasted as they are: in
// code nobody is called and nothing is a link. What would not survive in code either
// is prose.
func withCommands(s string) string { return eachCommand(s, prose, "`") }

// field is shown as code anyway.
func field(s string) string { return eachCommand(s, prose, "") }

func eachCommand(s string, prose func(string) string, quote string) string {
	var b strings.Builder
	from := 0
	for _, at := range command.FindAllStringIndex(s, -1) {
		if said := s[at[0]:at[1]]; survives(said) {
			b.WriteString(prose(s[from:at[0]]) + quote + escape(said) + quote)
			from = at[1]
		}
	}
	b.WriteString(prose(s[from:]))
	return b.String()
}

// survives reports whether s is the same, and calls nobody, when it is shown as code.
// Not every receiver leaves @everyone alone there.
func survives(s string) bool {
	return clean(s, false) == s && !strings.Contains(s, "`") && !everyone.MatchString(s)
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
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

// callsAll reports whether rest, which follows an @, begins with the word that calls
// everyone. bob@allianz.example is a name.
func callsAll(rest string) bool { return calls.MatchString(rest) }

var (
	calls    = regexp.MustCompile(`(?i)^(?:everyone|here|channel|all)(?:[^\pL\pN_]|$)`)
	everyone = regexp.MustCompile(`(?i)(?:^|[^\pL\pN_])@(?:everyone|here|channel|all)(?:[^\pL\pN_]|$)`)
)

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
