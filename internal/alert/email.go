package alert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"sync/atomic"

	gomail "github.com/wneessen/go-mail"

	"keyshield/internal/secret"
)

// Email says how mail is sent, and to whom. Each address is a receiver of its own:
// one that the server refuses does not keep the alert from the others.
type Email struct {
	Host     string
	Port     int // 0: 587, and 465 with TLS
	Security Security
	Username string // empty: the server asks for none
	Password secret.String
	From     string // "alerts@example.com" or "Alerts <alerts@example.com>"
	To       []string
}

// Security is how the connection to the mail server is protected. STARTTLS is
// required, not tried: else whoever sits in between could turn it off.
type Security string

// What Security can be; empty is STARTTLS.
const (
	STARTTLS Security = "starttls"
	TLS      Security = "tls"  // from the first byte on
	NoTLS    Security = "none" // to loopback alone
)

const (
	maxTo      = 10
	maxReplies = 256 << 10 // bytes that are read of a mail server in one conversation
)

func (e *Email) problems() (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if e.Host == "" || strings.ContainsAny(e.Host, " \t\r\n/@") || strings.Contains(e.Host, ":") && net.ParseIP(e.Host) == nil {
		bad("e-mail: %q is not a mail server's name: write it like smtp.example.com, the port apart", e.Host)
	}
	if e.Port < 0 || e.Port > 65535 {
		bad("e-mail: there is no port %d", e.Port)
	}
	switch e.Security {
	case "", STARTTLS, TLS:
	case NoTLS:
		if !loopback(e.Host) {
			bad("e-mail: without TLS only to this machine: use starttls or tls with %s", e.Host)
		}
	default:
		bad("e-mail: %q is not a way to protect the connection: starttls, tls or none", e.Security)
	}
	if (e.Username == "") != e.Password.IsZero() {
		bad("e-mail: a user name and a password come together, or neither")
	}
	if _, err := mail.ParseAddress(e.From); err != nil {
		bad("e-mail: %q is not an address to send from: write it like alerts@example.com", e.From)
	}
	if len(e.To) == 0 || len(e.To) > maxTo {
		bad("e-mail: name 1 to %d addresses to send to, not %d", maxTo, len(e.To))
	}
	seen := make(map[string]bool)
	for _, to := range e.To {
		address, err := mail.ParseAddress(to)
		switch {
		case err != nil:
			bad("e-mail: %q is not an address to send to: write it like ops@example.com", to)
		case seen[address.Address]:
			bad("e-mail: %s is named twice", address.Address)
		default:
			seen[address.Address] = true
		}
	}
	return problems
}

func (e *Email) port() int {
	switch {
	case e.Port != 0:
		return e.Port
	case e.Security == TLS:
		return 465
	}
	return 587
}

// mailer sends to one address.
type mailer struct {
	*Email
	to      string
	service string
	redact  func([]byte) []byte
	roots   *x509.CertPool
}

func (m mailer) deliver(ctx context.Context, n *notice) error {
	message, err := m.message(n)
	if err != nil {
		return err
	}
	client, err := m.client(ctx)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, message)
	if message.IsDelivered() {
		return nil // a goodbye that fails does not take the message back
	}
	return err
}

// message has the same id at each try, by which mail servers know a repetition.
func (m mailer) message(n *notice) (*gomail.Msg, error) {
	e := n.Event
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(msg.From(m.From), msg.To(m.to)); err != nil {
		return nil, err
	}
	from, err := mail.ParseAddress(m.From)
	if err != nil {
		return nil, err
	}
	msg.SetMessageIDWithValue(n.ID + from.Address[strings.LastIndexByte(from.Address, '@'):])
	msg.SetDateWithValue(e.At)
	msg.Subject(m.redacted("[" + m.service + "] " + e.Title))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday notes in answer
	msg.SetGenHeader("Keyshield-Event-Id", n.ID)
	if e.Severity == Critical {
		msg.SetImportance(gomail.ImportanceHigh)
	}
	// Quoted-printable breaks lines, so that a secret could hide: redact before it.
	msg.SetBodyString(gomail.TypeTextPlain, m.redacted(mailText(e, m.service)))
	return msg, nil
}

func (m mailer) redacted(s string) string { return string(m.redact([]byte(s))) }

func mailText(e Event, service string) string {
	var b strings.Builder
	b.WriteString(e.Title + "\n\n")
	if e.Text != "" {
		b.WriteString(e.Text + "\n\n")
	}
	for _, f := range e.Fields {
		b.WriteString(f[0] + ": " + f[1] + "\n")
	}
	fmt.Fprintf(&b, "Severity: %s\nKind: %s\nTime: %s\n\n-- \n%s\n", e.Severity, e.Kind, e.At.UTC().Format("2006-01-02 15:04:05 UTC"), service)
	return b.String()
}

func (m mailer) client(ctx context.Context) (*gomail.Client, error) {
	secured := &tls.Config{ServerName: m.Host, RootCAs: m.roots, MinVersion: tls.VersionTLS12}
	options := []gomail.Option{
		gomail.WithPort(m.port()), gomail.WithTimeout(tryTimeout), gomail.WithHELO("localhost"),
		gomail.WithTLSConfig(secured), gomail.WithoutNoop(), gomail.WithDialContextFunc(m.dial(ctx, secured)),
	}
	switch m.Security {
	case TLS:
		options = append(options, gomail.WithSSL())
	case NoTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if m.Username != "" {
		options = append(options,
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthPlain, gomail.SMTPAuthLogin),
			gomail.WithUsername(m.Username), gomail.WithPassword(m.Password.Reveal()))
	}
	return gomail.NewClient(m.Host, options...)
}

// dial bounds a conversation in time and bytes: go-mail prolongs its deadline with
// each command, and reads lines of any length. The connection ends with the whole
// try, and so with it; the context that go-mail passes is that of the dialling alone.
func (m mailer) dial(try context.Context, secured *tls.Config) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		plain, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(try, func() { plain.Close() })
		conn := net.Conn(&boundedConn{Conn: plain})
		if m.Security != TLS {
			return conn, nil
		}
		secure := tls.Client(conn, secured)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return secure, nil
	}
}

// boundedConn reads so many bytes and no more.
type boundedConn struct {
	net.Conn
	read atomic.Int64
}

func (c *boundedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.read.Add(int64(n)) > maxReplies {
		return 0, fmt.Errorf("the mail server said more than %s bytes: %w", strconv.Itoa(maxReplies), io.ErrShortBuffer)
	}
	return n, err
}
