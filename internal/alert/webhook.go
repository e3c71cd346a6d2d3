package alert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"keyshield/internal/secret"
)

// webhook posts
//
//	{"id": "…", "kind": "user_disabled", "severity": "critical", "title": "…", "text": "…",
//	 "fields": [{"name": "User", "value": "alice"}], "service": "keyshield", "at": "2026-11-22T05:00:00Z"}
//
// with two headers. Keyshield-Event-Id repeats the id: an event may arrive twice, after a
// crash or a lost answer, and then has the same id. Keyshield-Signature is
//
//	t=<unix seconds>,v1=<HMAC-SHA256 of "<t>.<body>" under the secret, in hexadecimal>
//
// Verify the body as it arrived, before it is parsed, and refuse what is older than five
// minutes; else whoever once saw an alert could send it again. In Python:
//
//	parts = dict(p.split("=", 1) for p in request.headers["Keyshield-Signature"].split(","))
//	signed = parts["t"].encode() + b"." + request.body
//	right = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
//	if not hmac.compare_digest(parts["v1"], right) or abs(time.time() - int(parts["t"])) > 300:
//	    refuse()
type webhook struct {
	poster
	secret  secret.String
	service string
	redact  func([]byte) []byte
}

type webhookBody struct {
	ID       string         `json:"id"`
	Kind     string         `json:"kind"`
	Severity string         `json:"severity"`
	Title    string         `json:"title"`
	Text     string         `json:"text"`
	Fields   []webhookField `json:"fields"`
	Service  string         `json:"service"`
	At       time.Time      `json:"at"`
}

type webhookField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (w webhook) deliver(ctx context.Context, n *notice) error {
	e := n.Event
	fields := make([]webhookField, len(e.Fields))
	for i, f := range e.Fields {
		fields[i] = webhookField{f[0], f[1]}
	}
	body, err := encodeJSON(webhookBody{n.ID, e.Kind, e.Severity.String(), e.Title, e.Text, fields, w.service, e.At})
	if err != nil {
		return err
	}
	body = w.redact(body)
	header := http.Header{}
	header.Set("Keyshield-Event-Id", n.ID)
	header.Set("Keyshield-Signature", sign(w.secret, w.now(), body))
	return w.post(ctx, body, header)
}

func sign(key secret.String, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
