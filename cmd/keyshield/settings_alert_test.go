package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// posted is what an alert's receiver got.
type posted struct {
	header http.Header
	body   string
}

// inbox takes what is posted to it.
type inbox struct {
	*httptest.Server
	mu  sync.Mutex
	got []posted
}

func newInbox(t testing.TB) *inbox {
	t.Helper()
	in := new(inbox)
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.RequestURI() != "/hooks/T0/B0?thread=1" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		in.mu.Lock()
		defer in.mu.Unlock()
		in.got = append(in.got, posted{r.Header.Clone(), string(body)})
	}))
	t.Cleanup(in.Close)
	return in
}

// address is a credential as a whole.
func (in *inbox) address() string { return in.URL + "/hooks/T0/B0?thread=1" }

func (in *inbox) all() []posted {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]posted(nil), in.got...)
}

// wait returns the only thing that arrives within reason.
func (in *inbox) wait(t testing.TB) posted {
	t.Helper()
	if !eventually(t, 15*time.Second, func() bool { return len(in.all()) > 0 }) {
		t.Fatal("nothing arrived")
	}
	all := in.all()
	if len(all) != 1 {
		t.Errorf("%d things arrived: %v", len(all), all)
	}
	return all[0]
}

// disableEve is what alerts are about in these tests: she has an id that calls
// everybody in a chat.
func (o *operated) disableEve() {
	o.t.Helper()
	o.does("disable", `{"user":"eve@everyone","for":"1h","why":"a drill & no <more>"}`)
}

func slackIsTold(t *testing.T) {
	in := newInbox(t)
	o := operate(t, "ALERT_SLACK_URL="+in.address())
	o.disableEve()
	var said struct{ Text string }
	got := in.wait(t)
	if err := json.Unmarshal([]byte(got.body), &said); err != nil || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v: %v %s", err, got.header, got.body)
	}
	for _, want := range []string{"eve", "disabled", "a drill &amp; no &lt;more&gt;"} {
		if !strings.Contains(said.Text, want) {
			t.Errorf("the message does not say %q:\n%s", want, said.Text)
		}
	}
	for i, part := range strings.Split(said.Text, "`") { // every other is a command, in which nothing calls anybody
		if i%2 == 1 || !strings.Contains(part, "@everyone") {
			continue
		}
		t.Errorf("a user's id calls everybody: %s", said.Text)
	}
	o.untold(in.address())
	if got := start(t).visit("GET", "/livez", ""); got.status != 200 {
		t.Error("without an alert there is no server")
	}
}

// untold fails if a credential stands in the log or among the settings.
func (o *operated) untold(secret string) {
	o.t.Helper()
	if text := o.log.String() + o.admin("GET", "settings", "").body + o.admin("GET", "overview", "").body; strings.Contains(text, secret) || strings.Contains(text, "/hooks/T0") {
		o.t.Error("the address, which is a credential, is shown")
	}
}

func webhookIsTold(t *testing.T) {
	in := newInbox(t)
	o := operate(t, "ALERT_WEBHOOK_URL="+in.address(), "ALERT_WEBHOOK_SECRET="+rand.Text()+rand.Text(), "PUBLIC_URL=https://api.example.com")
	o.disableEve()
	got := in.wait(t)
	var e struct {
		ID, Kind, Severity, Title, Text, Service string
		Fields                                   []struct{ Name, Value string }
		At                                       time.Time
	}
	d := json.NewDecoder(strings.NewReader(got.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatalf("%v: %s", err, got.body)
	}
	if e.Kind != "user_disabled" || e.ID == "" || e.ID != got.header.Get("Keyshield-Event-Id") || e.Title == "" || time.Since(e.At) > time.Minute {
		t.Errorf("arrived: %+v", e)
	}
	o.untold(in.address())
}

// webhookSecretSigns: verified as the documentation of the webhook says it in Python.
func webhookSecretSigns(t *testing.T) {
	secret := rand.Text() + rand.Text()
	in := newInbox(t)
	o := operate(t, "ALERT_WEBHOOK_URL="+in.address(), "ALERT_WEBHOOK_SECRET="+secret)
	o.does("alerts/test", "{}")
	got := in.wait(t)
	parts := map[string]string{}
	for part := range strings.SplitSeq(got.header.Get("Keyshield-Signature"), ",") {
		name, value, _ := strings.Cut(part, "=")
		parts[name] = value
	}
	right := func(key string) string {
		mac := hmac.New(sha256.New, []byte(key))
		io.WriteString(mac, parts["t"]+"."+got.body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	if parts["v1"] != right(secret) || parts["v1"] == right(secret+"x") {
		t.Errorf("the signature %q is not that of the body", got.header.Get("Keyshield-Signature"))
	}
	at, err := strconv.ParseInt(parts["t"], 10, 64)
	if age := time.Since(time.Unix(at, 0)); err != nil || age > time.Minute || age < -time.Minute {
		t.Errorf("signed at %q: %v", parts["t"], err)
	}
	if strings.Contains(o.log.String()+got.body+fmt.Sprint(got.header), secret) {
		t.Error("the secret is shown")
	}
}

// postOffice is a mail server that takes mail from one user (RFC 5321, 4954).
type postOffice struct {
	net.Listener
	user, password string

	mu   sync.Mutex
	mail []letter
}

type letter struct{ from, to, subject, text string }

func openPostOffice(t testing.TB) *postOffice {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{Listener: l, user: "mailer", password: "test-" + rand.Text()}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(time.Minute))
				p.serve(c)
			}()
		}
	}()
	return p
}

func (p *postOffice) serve(c net.Conn) {
	in := bufio.NewReader(c)
	say := func(line string) { io.WriteString(c, line+"\r\n") }
	welcome := base64.StdEncoding.EncodeToString([]byte("\x00" + p.user + "\x00" + p.password))
	known, m := false, letter{}
	say("220 here")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "EHLO":
			say("250-here\r\n250 AUTH PLAIN")
		case "AUTH":
			if known = rest == "PLAIN "+welcome; !known {
				say("535 no")
				return
			}
			say("235 welcome")
		case "MAIL", "RCPT":
			if !known {
				say("530 who?")
				return
			}
			_, address, _ := strings.Cut(rest, "<")
			address, _, _ = strings.Cut(address, ">")
			if verb == "MAIL" {
				m = letter{from: address}
			} else {
				m.to = address
			}
			say("250 ok")
		case "DATA":
			say("354 go on")
			p.keep(m, in)
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (p *postOffice) keep(m letter, in *bufio.Reader) {
	var raw strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == ".\r\n" {
			break
		}
		raw.WriteString(line)
	}
	if parsed, err := mail.ReadMessage(strings.NewReader(raw.String())); err == nil {
		m.subject = parsed.Header.Get("Subject")
		text, _ := io.ReadAll(quotedprintable.NewReader(parsed.Body))
		m.text = string(text)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mail = append(p.mail, m)
}

func (p *postOffice) letters() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]letter(nil), p.mail...)
}

// mailIsSent through the server of ALERT_SMTP_URL, from ALERT_EMAIL_FROM, to each of
// ALERT_EMAIL_TO.
func mailIsSent(t *testing.T) {
	p := openPostOffice(t)
	o := operate(t, fmt.Sprintf("ALERT_SMTP_URL=smtp://%s:%s@%s", p.user, p.password, p.Addr()),
		"ALERT_EMAIL_FROM=shield@example.com", "ALERT_EMAIL_TO=ops@example.com, me@example.org")
	o.disableEve()
	if !eventually(t, 15*time.Second, func() bool { return len(p.letters()) >= 2 }) {
		t.Fatalf("%d letters arrived; the log has\n%s", len(p.letters()), o.log)
	}
	to := map[string]bool{}
	for _, m := range p.letters() {
		to[m.to] = true
		if m.from != "shield@example.com" || !strings.Contains(m.subject, "eve") || !strings.Contains(m.text, "Kind: user_disabled") {
			t.Errorf("arrived: %+v", m)
		}
	}
	if len(p.letters()) != 2 || !to["ops@example.com"] || !to["me@example.org"] {
		t.Errorf("%d letters, to %v", len(p.letters()), to)
	}
	o.untold(p.password)
}
