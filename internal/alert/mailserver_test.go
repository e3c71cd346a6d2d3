package alert_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/alert"
	"keyshield/internal/secret"
)

const (
	mailUser     = "mailer"
	mailPassword = "test-password-1kLs8VdR3"
)

type mailOptions struct {
	implicit   bool // TLS from the first byte on
	noStartTLS bool
	auth       string // what AUTH offers; "PLAIN LOGIN" if empty, "-" for nothing
	stranger   bool   // a certificate that nobody trusts
	refuse     string // an address that is not known here
	greeting   func(net.Conn)
	hangUp     bool // after a message was accepted, without a goodbye
}

// mailServer is a little SMTP server (RFC 5321, 3207, 4954), as strict as it needs
// to be to notice what a client does wrong.
type mailServer struct {
	opts     mailOptions
	listener net.Listener
	roots    *x509.CertPool
	config   *tls.Config

	mu       sync.Mutex
	received []message
	commands []string
	conns    []net.Conn
	work     sync.WaitGroup
}

type message struct {
	from, to, raw string
	secure        bool
	user          string
	header        mail.Header
	subject, body string
}

func newMailServer(t *testing.T, opts mailOptions) *mailServer {
	t.Helper()
	s := &mailServer{opts: opts, roots: x509.NewCertPool()}
	certificate, leaf := selfSigned(t)
	if !opts.stranger {
		s.roots.AddCert(leaf)
	}
	s.config = &tls.Config{Certificates: []tls.Certificate{certificate}}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.work.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.work.Go(func() {
				defer conn.Close()
				s.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		s.listener.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.work.Wait()
	})
	return s
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, leaf
}

// email are the settings for this server, with two addresses.
func (s *mailServer) email() *alert.Email {
	e := &alert.Email{
		Host: "127.0.0.1", Port: s.listener.Addr().(*net.TCPAddr).Port,
		Username: mailUser, Password: secret.New(mailPassword),
		From: "Keyshield <alerts@example.com>", To: []string{"ana@example.com", "Bob <bob@example.com>"},
	}
	if s.opts.implicit {
		e.Security = alert.TLS
	}
	return e
}

func (s *mailServer) messages() []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

func (s *mailServer) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.commands, "\n")
}

// session is one conversation.
type session struct {
	*mailServer
	conn   net.Conn
	r      *bufio.Reader
	secure bool
	user   string
	from   string
	to     []string
}

func (s *mailServer) serve(conn net.Conn) {
	if s.opts.greeting != nil {
		s.opts.greeting(conn)
		return
	}
	c := &session{mailServer: s, conn: conn, secure: s.opts.implicit}
	if s.opts.implicit {
		c.conn = tls.Server(conn, s.config)
	}
	c.r = bufio.NewReader(c.conn)
	c.say("220 mail.example.com ESMTP")
	for {
		line, ok := c.read()
		if !ok || !c.obey(line) {
			return
		}
	}
}

func (c *session) say(lines ...string) {
	fmt.Fprint(c.conn, strings.Join(lines, "\r\n")+"\r\n")
}

func (c *session) read() (string, bool) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", false
	}
	line = strings.TrimSuffix(line, "\r\n")
	c.mu.Lock()
	c.commands = append(c.commands, line)
	c.mu.Unlock()
	return line, true
}

func (c *session) obey(line string) (more bool) {
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		c.hello()
	case "STARTTLS":
		c.say("220 go ahead")
		c.conn = tls.Server(c.conn, c.config)
		c.r, c.secure = bufio.NewReader(c.conn), true
	case "AUTH":
		return c.authenticate(rest)
	case "MAIL":
		c.from, c.to = address(rest), nil
		c.say("250 ok")
	case "RCPT":
		if to := address(rest); to == c.opts.refuse {
			c.say("550 5.1.1 no such user here: " + base64.StdEncoding.EncodeToString([]byte(mailPassword)) + " " + mailPassword)
		} else {
			c.to = append(c.to, to)
			c.say("250 ok")
		}
	case "DATA":
		return c.data()
	case "RSET", "NOOP":
		c.say("250 ok")
	case "QUIT":
		c.say("221 bye")
		return false
	default:
		c.say("500 what?")
	}
	return true
}

func (c *session) hello() {
	lines := []string{"250-mail.example.com", "250-8BITMIME", "250-ENHANCEDSTATUSCODES"}
	if !c.secure && !c.opts.noStartTLS {
		lines = append(lines, "250-STARTTLS")
	}
	if offered := c.opts.auth; offered != "-" {
		if offered == "" {
			offered = "PLAIN LOGIN"
		}
		lines = append(lines, "250-AUTH "+offered)
	}
	c.say(append(lines, "250 SIZE 1000000")...)
}

func (c *session) authenticate(rest string) bool {
	mechanism, initial, _ := strings.Cut(rest, " ")
	var user, password string
	switch mechanism {
	case "PLAIN":
		raw, _ := base64.StdEncoding.DecodeString(initial)
		if parts := strings.Split(string(raw), "\x00"); len(parts) == 3 {
			user, password = parts[1], parts[2]
		}
	case "LOGIN":
		for _, into := range []*string{&user, &password} {
			c.say("334 " + base64.StdEncoding.EncodeToString([]byte(map[bool]string{true: "Username:", false: "Password:"}[into == &user])))
			line, ok := c.read()
			if !ok {
				return false
			}
			raw, _ := base64.StdEncoding.DecodeString(line)
			*into = string(raw)
		}
	}
	if user != mailUser || password != mailPassword {
		c.say("535 5.7.8 wrong password " + password)
		return true
	}
	c.user = user
	c.say("235 welcome")
	return true
}

func (c *session) data() bool {
	if c.from == "" || len(c.to) == 0 {
		c.say("503 whom?")
		return true
	}
	c.say("354 go on")
	var raw strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		raw.WriteString(strings.TrimPrefix(line, "."))
	}
	m := message{from: c.from, to: strings.Join(c.to, ","), raw: raw.String(), secure: c.secure, user: c.user}
	parsed, err := mail.ReadMessage(strings.NewReader(m.raw))
	if err != nil {
		c.say("554 not a message")
		return true
	}
	m.header = parsed.Header
	m.subject, _ = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	body := io.Reader(parsed.Body)
	if parsed.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	text, _ := io.ReadAll(body)
	m.body = strings.ReplaceAll(string(text), "\r\n", "\n")
	c.mu.Lock()
	c.received = append(c.received, m)
	c.mu.Unlock()
	c.say("250 2.0.0 accepted")
	return !c.opts.hangUp
}

func address(rest string) string {
	_, rest, _ = strings.Cut(rest, "<")
	address, _, _ := strings.Cut(rest, ">")
	return address
}
