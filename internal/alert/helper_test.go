package alert_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"keyshield/internal/alert"
	"keyshield/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	slackURL      = "https://hooks.example.com/services/test-path-9fQ2mZ7xW4bT"
	webhookURL    = "https://ops.example.com/hook?token=test-token-kLs8VdR3"
	webhookSecret = "test-secret-9fQ2mZ7xW4bT1kLs8VdR3nYp6HcJ0"
)

// transport answers in place of the network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// post is what a receiver was sent.
type post struct {
	Host, ID  string
	At        time.Time
	Text      string // of Slack
	Kind      string // of the webhook, as the rest
	Title     string
	Body      string
	Severity  string
	Service   string
	Signature string
	Fields    []struct{ Name, Value string }
}

// inbox is a working Slack and webhook.
type inbox struct {
	mu    sync.Mutex
	posts []post
}

func (b *inbox) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	b.add(r, body)
	return answer(r, 200, "ok"), nil
}

func (b *inbox) add(r *http.Request, body []byte) {
	p := post{Host: r.Host, ID: r.Header.Get("Keyshield-Event-Id"), Signature: r.Header.Get("Keyshield-Signature"), At: time.Now()}
	if p.Host == "" {
		p.Host = r.URL.Host
	}
	var v struct {
		ID, Kind, Severity, Title, Text, Service string
		Fields                                   []struct{ Name, Value string }
	}
	if err := json.Unmarshal(body, &v); err != nil {
		panic(fmt.Sprintf("not JSON: %s", body))
	}
	p.Kind, p.Title, p.Text, p.Severity, p.Service, p.Fields = v.Kind, v.Title, v.Text, v.Severity, v.Service, v.Fields
	p.Body = string(body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posts = append(b.posts, p)
}

// at returns what one host was sent so far.
func (b *inbox) at(host string) (posts []post) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.posts {
		if strings.HasPrefix(p.Host, host) {
			posts = append(posts, p)
		}
	}
	return posts
}

// titles returns those that the webhook was sent.
func (b *inbox) titles() (titles []string) {
	for _, p := range b.at("ops.") {
		titles = append(titles, p.Title)
	}
	return titles
}

func both(t http.RoundTripper) alert.Options {
	o := alert.Options{Slack: secret.New(slackURL), Webhook: webhookURL, WebhookSecret: secret.New(webhookSecret)}
	alert.Through(&o, t)
	return o
}

func webhookOnly(t http.RoundTripper) alert.Options {
	o := both(t)
	o.Slack = secret.String{}
	return o
}

func start(t *testing.T, o alert.Options) *alert.Alerts {
	t.Helper()
	a, err := alert.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// verify is the receiver's side, written as the documentation of the signature says.
func verify(key, header, body string, now time.Time) error {
	var stamp, signature string
	for part := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			stamp = value
		case "v1":
			signature = value
		}
	}
	var seconds int64
	if _, err := fmt.Sscan(stamp, &seconds); err != nil {
		return fmt.Errorf("time %q: %w", stamp, err)
	}
	if age := now.Sub(time.Unix(seconds, 0)).Abs(); age > 5*time.Minute {
		return fmt.Errorf("signed %v ago", age)
	}
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s.%s", stamp, body)
	if got, err := hex.DecodeString(signature); err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return fmt.Errorf("signature %q does not fit", signature)
	}
	return nil
}

func warning(n int) alert.Event {
	return alert.Event{Kind: "spike", Severity: alert.Warning, Title: fmt.Sprintf("warning %d", n), Text: "text", Key: fmt.Sprint(n)}
}

func critical(n int) alert.Event {
	return alert.Event{Kind: "overshoot", Severity: alert.Critical, Title: fmt.Sprintf("critical %d", n), Text: "text", Key: fmt.Sprint(n)}
}
