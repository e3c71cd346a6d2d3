package alert_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/alert"
	"keyshield/internal/secret"
)

// eventually waits for what comes over a real network.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestEachEventArrivesOnceEverywhere(t *testing.T) {
	var in, out inbox
	record := func(b *inbox) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if ct := r.Header.Get("Content-Type"); ct != "application/json" || r.Method != "POST" {
				t.Errorf("%s of %q", r.Method, ct)
			}
			b.add(r, body)
			io.WriteString(w, "ok")
		}))
		t.Cleanup(server.Close)
		return server
	}
	slack, hook := record(&in), record(&out)
	mail := newMailServer(t, mailOptions{})
	o := alert.Options{
		Slack:   secret.New(slack.URL + "/services/test-path-9fQ2mZ7xW4bT"),
		Webhook: hook.URL + "/hook", WebhookSecret: secret.New(webhookSecret),
		Email: mail.email(), Service: "shop", Dir: t.TempDir(),
	}
	alert.Trusting(&o, mail.roots)
	a := start(t, o)
	events := everyKind()
	for _, s := range []alert.Severity{alert.Info, alert.Warning, alert.Critical} { // as many as an hour has room for
		for _, e := range events {
			if e.Severity == s {
				a.Send(e)
			}
		}
	}
	eventually(t, "every event at every receiver", func() bool {
		for _, s := range a.State() {
			if s.Sent < int64(len(events)) {
				return false
			}
		}
		return true
	})
	if err := a.Close(); err != nil {
		t.Error(err)
	}

	if len(in.posts) != len(events) || len(out.posts) != len(events) || len(mail.messages()) != 2*len(events) {
		t.Fatalf("%d events: %d at Slack, %d at the webhook, %d at two addresses", len(events), len(in.posts), len(out.posts), len(mail.messages()))
	}
	texts := ""
	for _, p := range in.posts {
		texts += p.Text + "\n"
	}
	ids := map[string]bool{}
	for _, p := range out.posts {
		e, ok := events[p.Kind]
		if !ok {
			t.Errorf("a second or a strange %s", p.Kind)
		}
		delete(events, p.Kind)
		if err := verify(webhookSecret, p.Signature, p.Body, time.Now()); err != nil {
			t.Errorf("%s: %v", p.Kind, err)
		}
		if p.Title != e.Title || p.Text != e.Text || p.Severity != e.Severity.String() || p.Service != "shop" || len(p.Fields) != len(e.Fields) {
			t.Errorf("sent %+v, want what %+v says", p, e)
		}
		ids[p.ID] = true
		if !strings.Contains(texts, "*"+e.Title+"*") {
			t.Errorf("Slack was not told: %s", e.Title)
		}
	}
	if len(ids) != len(out.posts) {
		t.Errorf("%d ids for %d events", len(ids), len(out.posts))
	}
}

func TestSlackShowsTheEvent(t *testing.T) {
	e := alert.UserDisabled(alice, "watch", "412 requests in a minute", time.Time{})
	e.At = time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	want := "🚨 *alice is disabled until you enable it again*\n" +
		"Nobody else is affected. If this user's token was stolen, it still works elsewhere: revoke it at your identity provider. Undo: `keyshield enable --user alice`\n" +
		"• User: `alice`\n• Issuer: `https:\u200b//id.example.com`\n• By: `watch`\n• Why: `412 requests in a minute`\n" +
		"_keyshield · 2026-11-22 05:00:00 UTC_"
	if diff := cmp.Diff(want, alert.SlackText(e)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

const hostile = "<!channel> @everyone eve@here [pay](https://evil.example) `x` *b* a&b\r\n• By: root\u2028\u202e\x00\x1b[31m"

// A user chooses their own id, and it is what the operator reads.
func TestHostileNamesCallNobodyAndForgeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, both(&in))
		a.Send(alert.UserDisabled(alert.User{Key: hostile, Issuer: hostile, ID: hostile}, hostile, hostile, time.Time{}))
		synctest.Wait()

		text := in.at("hooks.")[0].Text
		for _, live := range []string{"<", ">", "@everyone", "@here", "](", "://", "\r", "\u2028", "\u202e", "\x00", "\x1b"} {
			if strings.Contains(text, live) {
				t.Errorf("Slack is sent %q: %q", live, text)
			}
		}
		if !strings.Contains(text, "&lt;!channel&gt;") || !strings.Contains(text, "a&amp;b") {
			t.Errorf("the id is not readable: %q", text)
		}
		if n := strings.Count(text, "\n• By: "); n != 1 {
			t.Errorf("%d fields By, want one: %q", n, text)
		}
		hook := in.at("ops.")[0]
		if len(hook.Fields) != 4 || strings.ContainsAny(hook.Title+hook.Fields[0].Value, "\r\n\x00\x1b\u2028\u202e") {
			t.Errorf("the webhook is sent %q", hook.Body)
		}
	})
}

func TestNothingIsLongerThanItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, both(&in))
		long := strings.Repeat("ü<", 100_000)
		e := alert.Event{Kind: long, Severity: 99, Title: long, Text: long, Key: long, At: time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC)}
		for range 50 {
			e.Fields = append(e.Fields, [2]string{long, long})
		}
		a.Send(e)
		synctest.Wait()
		hook := in.at("ops.")[0]
		if n := len([]rune(hook.Title)); n != 200 {
			t.Errorf("title of %d", n)
		}
		if n := len([]rune(hook.Text)); n != 2000 {
			t.Errorf("text of %d", n)
		}
		if len(hook.Fields) != 12 || len([]rune(hook.Fields[0].Value)) != 500 {
			t.Errorf("%d fields of %d", len(hook.Fields), len([]rune(hook.Fields[0].Value)))
		}
		if n := len([]rune(in.at("hooks.")[0].Text)); n > 1900 {
			t.Errorf("Discord would refuse a message of %d characters", n)
		}
	})
}

const apiKey = "test-key-9fQ2mZ7xW4bT1kLs8VdR3nYp6HcJ0aGu5EoXiB"

func redactor(p []byte) []byte { return bytes.ReplaceAll(p, []byte(apiKey), []byte("[redacted]")) }

// Nothing should ever send one; the answer of a broken library might.
func TestNoSecretLeaves(t *testing.T) {
	mail := newMailServer(t, mailOptions{})
	var in inbox
	var log bytes.Buffer
	o := both(&in)
	o.Email, o.Redact, o.Dir, o.Log = mail.email(), redactor, t.TempDir(), slog.New(slog.NewTextHandler(&log, nil))
	alert.Trusting(&o, mail.roots)
	a := start(t, o)
	around := strings.Repeat("x", 150)
	for i, secret := range []string{apiKey, apiKey[:10] + "\u200b" + apiKey[10:], slackURL, webhookSecret, mailPassword} {
		a.Send(alert.Event{
			Kind: "spike", Key: fmt.Sprint(i, secret), Title: "got " + secret, Text: around + secret + "\n" + secret,
			Fields: [][2]string{{"error", secret}, {secret, "x"}},
		})
	}
	eventually(t, "five messages each", func() bool {
		for _, s := range a.State() {
			if s.Sent < 5 {
				return false
			}
		}
		return true
	})
	a.Close()
	said := log.String()
	for _, p := range in.at("") {
		said += p.Body
	}
	for _, m := range mail.messages() {
		said += m.subject + m.body + m.raw
	}
	for _, part := range []string{apiKey[:20], apiKey[20:], "test-path-9fQ2", webhookSecret[:20], mailPassword} {
		if i := strings.Index(said, part); i >= 0 {
			t.Errorf("%q left: …%s…", part, said[max(0, i-80):i+80])
		}
	}
}

func TestAddressesAreInNoError(t *testing.T) {
	reflect := func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("malformed answer %q from %s", r.URL.String(), r.URL.Path)
	}
	for name, network := range map[string]transport{
		"refused": refused, "reflecting": reflect,
		"status": func(r *http.Request) (*http.Response, error) { return answer(r, 404, r.URL.String()), nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				o := both(network)
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
				a := start(t, o)
				a.Send(critical(1))
				synctest.Wait()
				said := fmt.Sprintf("%+v %+v", a.State(), a.Test(t.Context()))
				a.Close()
				said += log.String()
				for _, part := range []string{"test-path-9fQ2", "test-token-kLs8VdR3", webhookSecret} {
					if strings.Contains(said, part) {
						t.Errorf("%q in %s", part, said)
					}
				}
			})
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var elsewhere inbox
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		elsewhere.add(r, body)
	}))
	t.Cleanup(other.Close)
	for _, code := range []int{301, 302, 303, 307, 308} {
		first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, code)
		}))
		a := start(t, alert.Options{Slack: secret.New(first.URL)})
		err := a.Test(t.Context())[0].Err
		if err == nil || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("%d: %v", code, err)
		}
		a.Close()
		first.Close()
	}
	if len(elsewhere.posts) != 0 {
		t.Errorf("%d alerts went to where the answer pointed", len(elsewhere.posts))
	}
}

func TestAnswersAreReadToABound(t *testing.T) {
	var written int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		chunk := bytes.Repeat([]byte("x"), 1<<20)
		for range 256 {
			n, err := w.Write(chunk)
			written += int64(n)
			if err != nil {
				return
			}
		}
	}))
	a := start(t, alert.Options{Slack: secret.New(server.URL)})
	if err := a.Test(t.Context())[0].Err; err == nil || err.Error() != "it answered 500" {
		t.Errorf("error %v", err)
	}
	a.Close()
	server.Close()
	if written > 64<<20 {
		t.Errorf("%d bytes were taken of an answer", written)
	}
}

func TestWrongSettingsAreSaidTogether(t *testing.T) {
	good := func() alert.Options {
		return alert.Options{
			Slack: secret.New(slackURL), Webhook: webhookURL, WebhookSecret: secret.New(webhookSecret),
			Email: &alert.Email{Host: "smtp.example.com", From: "Alerts <a@example.com>", To: []string{"ops@example.com"}},
		}
	}
	for name, c := range map[string]struct {
		change func(*alert.Options)
		want   string // empty: it is right
	}{
		"all":                {func(o *alert.Options) {}, ""},
		"none":               {func(o *alert.Options) { *o = alert.Options{} }, ""},
		"http to loopback":   {func(o *alert.Options) { o.Webhook = "http://127.0.0.1:9/x" }, ""},
		"http to localhost":  {func(o *alert.Options) { o.Slack = secret.New("http://localhost:9/x") }, ""},
		"http":               {func(o *alert.Options) { o.Slack = secret.New("http://hooks.example.com/x") }, "https"},
		"http to a private":  {func(o *alert.Options) { o.Webhook = "http://10.0.0.7/x" }, "https"},
		"like loopback":      {func(o *alert.Options) { o.Webhook = "http://localhost.example.com/x" }, "https"},
		"another scheme":     {func(o *alert.Options) { o.Webhook = "file:///etc/passwd" }, "not a URL"},
		"ftp":                {func(o *alert.Options) { o.Webhook = "ftp://example.com/" }, "https"},
		"no URL":             {func(o *alert.Options) { o.Slack = secret.New("test-path-9fQ2mZ7xW4bT") }, "not a URL"},
		"a password":         {func(o *alert.Options) { o.Webhook = "https://u:test-pass-1@example.com/" }, "name and password"},
		"short secret":       {func(o *alert.Options) { o.WebhookSecret = secret.New("test-short") }, "32 characters"},
		"no secret":          {func(o *alert.Options) { o.WebhookSecret = secret.String{} }, "32 characters"},
		"secret alone":       {func(o *alert.Options) { o.Webhook = "" }, "no address"},
		"no TLS":             {func(o *alert.Options) { o.Email.Security = alert.NoTLS }, "only to this machine"},
		"no TLS to loopback": {func(o *alert.Options) { o.Email.Security, o.Email.Host = alert.NoTLS, "::1" }, ""},
		"odd security":       {func(o *alert.Options) { o.Email.Security = "ssl" }, "starttls, tls or none"},
		"no host":            {func(o *alert.Options) { o.Email.Host = "" }, "mail server's name"},
		"host and port":      {func(o *alert.Options) { o.Email.Host = "smtp.example.com:587" }, "the port apart"},
		"port":               {func(o *alert.Options) { o.Email.Port = 70000 }, "no port 70000"},
		"user alone":         {func(o *alert.Options) { o.Email.Username = "a" }, "come together"},
		"from":               {func(o *alert.Options) { o.Email.From = "a@b\r\nBcc: x@y" }, "send from"},
		"to":                 {func(o *alert.Options) { o.Email.To = []string{"a@b\r\nBcc: x@y"} }, "send to"},
		"to nobody":          {func(o *alert.Options) { o.Email.To = nil }, "1 to 10"},
		"to one twice":       {func(o *alert.Options) { o.Email.To = []string{"a@example.com", "A <a@example.com>"} }, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good()
			c.change(&o)
			a, err := alert.New(o)
			if err == nil {
				a.Close()
			}
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one that says %q", err, c.want)
			case err != nil && strings.Contains(err.Error(), "test-"):
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}

	o := good()
	o.Slack, o.WebhookSecret, o.Email.Port = secret.New("x"), secret.String{}, -1
	if _, err := alert.New(o); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three faults in one: %v", err)
	}
}
