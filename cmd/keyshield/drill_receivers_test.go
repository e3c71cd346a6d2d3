package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/secret"
)

func secretOf(text string) secret.String { return secret.New(text) }

// drillAlert is what the signed webhook gets.
type drillAlert struct {
	ID       string                         `json:"id"`
	Kind     string                         `json:"kind"`
	Severity string                         `json:"severity"`
	Title    string                         `json:"title"`
	Text     string                         `json:"text"`
	Fields   []struct{ Name, Value string } `json:"fields"`
	Service  string                         `json:"service"`
	At       time.Time                      `json:"at"`
	header   http.Header
	body     []byte
}

// field is the value of one of its fields.
func (a drillAlert) field(name string) string {
	for _, f := range a.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// drillTold are three receivers: something like Slack, a webhook of one's own, and a
// mail server.
type drillTold struct {
	t        *testing.T
	settings []string
	secrets  []string
	sign     string // the webhook's secret
	password string // for the mail server

	mu    sync.Mutex
	hook  []drillAlert
	slack []string // texts
	mail  []*drillMail
	raw   [][]byte // all that came, but for what the mail server is shown as a password
}

// drillMail is one message as it arrived.
type drillMail struct {
	*mail.Message
	to, text string
}

func listenForAlerts(t *testing.T) *drillTold {
	t.Helper()
	told := &drillTold{t: t, sign: "test-sign-" + rand.Text() + rand.Text(), password: "test-pass-" + rand.Text()}
	room := "/services/" + rand.Text()
	slack := httptest.NewServer(http.HandlerFunc(told.slackPost))
	hook := httptest.NewServer(http.HandlerFunc(told.hookPost))
	t.Cleanup(func() { slack.Close(); hook.Close() })
	told.secrets = []string{told.sign, told.password, room}
	told.settings = []string{
		"ALERT_SLACK_URL=" + slack.URL + room,
		"ALERT_WEBHOOK_URL=" + hook.URL, "ALERT_WEBHOOK_SECRET=" + told.sign,
		"ALERT_SMTP_URL=smtp://keyshield:" + told.password + "@" + told.listenMail(), "ALERT_EMAIL_FROM=keyshield@example.com", "ALERT_EMAIL_TO=ops@example.com",
	}
	return told
}

func (told *drillTold) slackPost(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var said struct{ Text string }
	if err := json.Unmarshal(body, &said); err != nil || r.Method != http.MethodPost {
		told.t.Errorf("%s to Slack: %v", r.Method, err)
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	told.slack, told.raw = append(told.slack, said.Text), append(told.raw, body)
}

func (told *drillTold) hookPost(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a := drillAlert{header: r.Header, body: body}
	if err := json.Unmarshal(body, &a); err != nil || r.Method != http.MethodPost {
		told.t.Errorf("%s to the webhook: %v", r.Method, err)
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	told.hook, told.raw = append(told.hook, a), append(told.raw, body)
}

// signed is how a receiver verifies a signature, after the words of the README.
func (a drillAlert) signed(key string) bool {
	at, sum, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Keyshield-Signature"), "t="), ",v1=")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, []byte(key))
	io.WriteString(mac, at+"."+string(a.body))
	got, err := hex.DecodeString(sum)
	return err == nil && hmac.Equal(got, mac.Sum(nil))
}

// listenMail is a mail server that takes all, from whoever knows the password.
func (told *drillTold) listenMail() (address string) {
	told.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		told.t.Fatal(err)
	}
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			talks.Go(func() { told.talkMail(c) })
		}
	})
	told.t.Cleanup(func() { l.Close(); talks.Wait() })
	return l.Addr().String()
}

// talkMail is as much of SMTP (RFC 5321) as it takes.
func (told *drillTold) talkMail(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(c)
	say := func(lines ...string) { io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n") }
	say("220 drill ESMTP")
	to, known := "", false
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-drill", "250-8BITMIME", "250 AUTH PLAIN")
		case "AUTH":
			_, word, _ := strings.Cut(rest, " ")
			plain, _ := base64.StdEncoding.DecodeString(word)
			if known = string(plain) == "\x00keyshield\x00"+told.password; known {
				say("235 welcome")
			} else {
				say("535 who are you?")
			}
		case "RCPT":
			to = rest
			say("250 ok")
		case "DATA":
			if !known {
				say("530 who are you?")
				continue
			}
			say("354 go on")
			told.takeMail(to, in)
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (told *drillTold) takeMail(to string, in *bufio.Reader) {
	var raw bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		if err != nil || strings.TrimRight(line, "\r\n") == "." {
			break
		}
		raw.WriteString(strings.TrimPrefix(line, "."))
	}
	message, err := mail.ReadMessage(bytes.NewReader(raw.Bytes()))
	if err != nil {
		told.t.Errorf("this is no e-mail: %v\n%s", err, raw.Bytes())
		return
	}
	body := message.Body
	if strings.EqualFold(message.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		told.t.Errorf("an e-mail's text: %v", err)
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	told.mail = append(told.mail, &drillMail{message, to, string(text)})
	told.raw = append(told.raw, raw.Bytes(), text)
}

// kinds counts what the webhook got.
func (told *drillTold) kinds() map[string]int {
	told.mu.Lock()
	defer told.mu.Unlock()
	counts := map[string]int{}
	for _, a := range told.hook {
		counts[a.Kind]++
	}
	return counts
}

// of are the alerts of one kind.
func (told *drillTold) of(kind string) (all []drillAlert) {
	told.mu.Lock()
	defer told.mu.Unlock()
	for _, a := range told.hook {
		if a.Kind == kind {
			all = append(all, a)
		}
	}
	return all
}

// mails counts the messages that came.
func (told *drillTold) mails() int {
	told.mu.Lock()
	defer told.mu.Unlock()
	return len(told.mail)
}

// delivered reports whether what is wanted came, and came to all alike.
func (told *drillTold) delivered(want map[string]int) bool {
	kinds := told.kinds()
	for kind, n := range want {
		if kinds[kind] < n {
			return false
		}
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	return len(told.slack) == len(told.hook) && len(told.mail) == len(told.hook)
}

// slackHas reports whether something like Slack was told words.
func (told *drillTold) slackHas(words ...string) bool {
	told.mu.Lock()
	defer told.mu.Unlock()
	return slices.ContainsFunc(told.slack, func(text string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	})
}

// wait returns once the webhook was told of a kind n times.
func (told *drillTold) wait(kind string, n int) {
	told.t.Helper()
	if !eventually(told.t, 20*time.Second, func() bool { return told.kinds()[kind] >= n }) {
		told.t.Errorf("%s was told %d times, want %d; in all %v", kind, told.kinds()[kind], n, told.kinds())
	}
}

// over ends the server, which delivers what is left, and wants these alerts and no
// others: each of them once with each receiver, signed, and without a secret.
func (d *drill) over(want map[string]int) {
	d.t.Helper()
	eventually(d.t, 30*time.Second, func() bool { return d.told.delivered(want) })
	if code := d.stop(); code != exitOK {
		d.t.Errorf("the server ended with %d", code)
	}
	kinds := d.told.kinds()
	if want["spike"] == 0 {
		delete(kinds, "spike") // a drill is one
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		d.t.Errorf("the alerts (-want +got):\n%s", diff)
	}
	d.told.agree()
	d.told.mu.Lock()
	defer d.told.mu.Unlock()
	for _, raw := range d.told.raw {
		d.hides("an alert", string(raw))
	}
}

// agree wants the same alerts with all three.
func (told *drillTold) agree() {
	told.t.Helper()
	told.mu.Lock()
	defer told.mu.Unlock()
	titles, ids := map[string]int{}, map[string]int{}
	for _, a := range told.hook {
		if !a.signed(told.sign) || a.header.Get("Keyshield-Event-Id") != a.ID {
			told.t.Errorf("%s: the signature %q of %s is not right", a.Kind, a.header.Get("Keyshield-Signature"), a.body)
		}
		if a.signed(told.sign[1:]) {
			told.t.Fatal("any secret would do")
		}
		titles[a.Title]++
		ids[a.ID]++
	}
	if len(ids) != len(told.hook) {
		told.t.Errorf("%d alerts with %d ids: some came twice", len(told.hook), len(ids))
	}
	inSlack := map[string]int{}
	for _, text := range told.slack {
		_, rest, _ := strings.Cut(text, " *")
		title, _, _ := strings.Cut(rest, "*\n")
		inSlack[strings.NewReplacer("\u200b", "", "&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(title)]++
	}
	if diff := cmp.Diff(titles, inSlack); diff != "" {
		told.t.Errorf("the titles with the webhook and with Slack (-hook +slack):\n%s", diff)
	}
	inMail, subjects := map[string]int{}, map[string]int{}
	for _, m := range told.mail {
		inMail[m.Header.Get("Keyshield-Event-Id")]++
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		_, title, _ := strings.Cut(subject, "] ")
		if subjects[title]++; err != nil || !strings.Contains(m.to, "<ops@example.com>") {
			told.t.Errorf("an e-mail to %q about %q (%v)", m.to, subject, err)
		}
	}
	if diff := cmp.Diff(ids, inMail); diff != "" {
		told.t.Errorf("the ids with the webhook and by e-mail (-hook +mail), kinds %v:\n%s", slices.Sorted(maps.Keys(titles)), diff)
	}
	if diff := cmp.Diff(titles, subjects); diff != "" {
		told.t.Errorf("the titles with the webhook and by e-mail (-hook +mail):\n%s", diff)
	}
}
