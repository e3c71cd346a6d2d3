package alert

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// How long things may be, in characters.
const (
	maxTitle  = 200
	maxText   = 2000
	maxField  = 500
	maxName   = 60 // of a field, a kind, the service
	maxKey    = 300
	maxFields = 12
	maxError  = 200

	maxRaw = 64 << 10 // bytes that are looked at
)

// tidy makes an event fit to be kept and sent, whatever is in it.
func (a *Alerts) tidy(e Event, now time.Time) Event {
	e.Kind = a.text(e.Kind, maxName, false)
	e.Key = a.text(e.Key, maxKey, false)
	e.Title = a.text(e.Title, maxTitle, false)
	e.Text = a.text(e.Text, maxText, true)
	e.Severity = min(max(e.Severity, Info), Critical)
	e.At = e.At.UTC().Round(0)
	if e.At.IsZero() || e.At.Year() < 1 || e.At.Year() > 9999 {
		e.At = now.UTC().Round(0) // JSON has no words for other years
	}
	fields := make([][2]string, 0, len(e.Fields))
	for _, f := range e.Fields[:min(len(e.Fields), maxFields)] {
		name, value := a.text(f[0], maxName, false), a.text(f[1], maxField, false)
		if name != "" && value != "" {
			fields = append(fields, [2]string{name, value})
		}
	}
	e.Fields = fields
	return e
}

// text cleans, redacts and cuts, in this order: cleaning might put a secret
// together, and cutting might leave a part of one that is not known as such.
func (a *Alerts) text(s string, limit int, lines bool) string {
	s = clean(s, lines)
	s = string(a.opts.Redact([]byte(s)))
	s = a.hide.text(s)
	return cut(s, limit)
}

// clean removes what does not print, so that nothing a user chose can begin a line
// or a header or turn the text around.
func clean(s string, lines bool) string {
	if len(s) > maxRaw {
		s = s[:maxRaw]
	}
	if lines {
		s = strings.ReplaceAll(s, "\r\n", "\n")
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines:
			return r
		case unicode.Is(unicode.Cf, r): // invisible, or turns the direction of writing
			return -1
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.TrimSpace(s)
}

// cut keeps at most limit characters, and shows that there were more.
func cut(s string, limit int) string {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n++; n == limit {
			return strings.TrimSpace(s[:i]) + "…"
		}
	}
	return s
}

// mask knows what gives access to the receivers, and removes it from errors: what
// a server answers may repeat what it was told.
type mask struct{ secrets *[]string }

const (
	masked    = "[redacted]"
	minMasked = 6 // what is shorter may be a word
)

func maskOf(opts Options) mask {
	var secrets []string
	add := func(s string) {
		if len(s) >= minMasked {
			secrets = append(secrets, s)
		}
	}
	for _, address := range []string{opts.Slack.Reveal(), opts.Webhook} {
		add(address)
		if u, err := url.Parse(address); err == nil {
			add(u.RawQuery)
		}
	}
	if u, err := url.Parse(opts.Slack.Reveal()); err == nil {
		add(u.Path) // a server that has not got it may say so
	}
	add(opts.WebhookSecret.Reveal())
	if e := opts.Email; e != nil && !e.Password.IsZero() {
		password := e.Password.Reveal()
		add(password)
		add(base64.StdEncoding.EncodeToString([]byte(password)))
		add(base64.StdEncoding.EncodeToString([]byte("\x00" + e.Username + "\x00" + password)))
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // the whole before its part
	return mask{&secrets}
}

func (m mask) text(s string) string {
	for _, secret := range *m.secrets {
		s = strings.ReplaceAll(s, secret, masked)
	}
	return s
}

// error is err in words that can be shown. ctx is that of the try.
func (m mask) error(ctx context.Context, err error, redact func([]byte) []byte) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // its text would begin with the address
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	text := cut(m.text(string(redact([]byte(clean(err.Error(), false))))), maxError)
	if later, ok := errors.AsType[*laterError](err); ok {
		return &laterError{text, later.after}
	}
	return errors.New(text)
}
