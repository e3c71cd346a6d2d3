package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/alert"
	"keyshield/internal/apierr"
	"keyshield/internal/audit"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
	"keyshield/internal/secret"
	"keyshield/internal/upstream"
)

const token = "test-token-0123456789-0123456789-0123456789"

// office is a desk with a real ledger and a real audit log, as a server has it, and
// both of its doors.
type office struct {
	t      *testing.T
	dir    string
	ledger *ledger.Ledger
	audit  *audit.Log
	desk   *admin.Desk
	door   *admin.Door
	live   admin.Live
	parts  admin.Parts

	forgiven   []string
	reconciled []admin.ReconcileSummary
	receivers  receivers
	state      admin.State
	keys       []upstream.KeyState
	reload     error
	retried    int
	revives    bool // a retry finds a key that was refused

	tcp, socket *httptest.Server
	calls       int
}

// receivers stand for those of alerts.
type receivers struct {
	results []alert.Result
	states  []alert.ReceiverState
}

func (r *receivers) Test(context.Context) []alert.Result { return r.results }
func (r *receivers) State() []alert.ReceiverState        { return r.states }

func openOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, dir: t.TempDir()}
	var err error
	if o.ledger, err = ledger.Open(t.Context(), ledger.Options{Dir: o.dir}); err != nil {
		t.Fatal(err)
	}
	if o.audit, err = audit.Open(audit.Options{Dir: filepath.Join(o.dir, audit.Folder), Version: "v1.2.3"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(o.audit.Close(), o.ledger.Close()); err != nil {
			t.Error(err)
		}
	})
	o.live = admin.Live{
		State:      func() admin.State { return o.state },
		AuditState: o.audit.Healthy,
		Keys:       func() []upstream.KeyState { return o.keys },
		ReloadKeys: func(context.Context) error { return o.reload },
		RetryKeys:  func(context.Context) bool { o.retried++; return o.revives },
		Alerts:     &o.receivers,
		Settings:   []admin.Setting{{Group: "Operator", Name: "ADMIN_TOKEN", Value: "(set)", Source: "environment"}},
		Forgive:    func(key string) { o.forgiven = append(o.forgiven, key) },
		Reconciled: func(s admin.ReconcileSummary) { o.reconciled = append(o.reconciled, s) },
	}
	o.parts = admin.Parts{
		Ledger: o.ledger, Dir: o.dir, Version: "v1.2.3",
		Caps:      ledger.Caps{Day: ledger.UpTo(5 * money.Dollar), Month: ledger.UpTo(20 * money.Dollar)},
		Knows:     func(model string) bool { return model == "gpt-6-luna" },
		Pseudonym: func(issuer, id string) string { return "pseudonym-of-" + id + "-of-" + issuer },
		Issuer:    "https://id.example",
		Note:      o.audit.Operator,
		Live:      &o.live,
	}
	o.keys = []upstream.KeyState{{Fingerprint: "sha256:0a1b2c3d", Source: "env OPENAI_API_KEY", State: upstream.Active}}
	o.desk = admin.NewDesk(o.parts)
	if o.door, err = admin.NewDoor(secret.New(token), admin.DoorOptions{PlainHTTP: true}); err != nil {
		t.Fatal(err)
	}
	o.socket = o.serve(admin.NewHandler(o.desk, nil))
	o.tcp = o.serve(behind(o.door, admin.NewHandler(o.desk, &admin.Remote{Door: o.door, Address: peer})))
	return o
}

func (o *office) serve(h http.Handler) *httptest.Server {
	s := httptest.NewServer(h)
	o.t.Cleanup(s.Close)
	return s
}

// peer is whom a request comes from, as a server without a proxy counts it.
func peer(r *http.Request) netip.Addr { return netip.MustParseAddrPort(r.RemoteAddr).Addr() }

// behind stands before the handler as a server does.
func behind(d *admin.Door, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch d.Admits(r, peer(r)) {
		case admin.Admitted:
			h.ServeHTTP(w, r)
		case admin.TooMany:
			w.WriteHeader(http.StatusTooManyRequests)
		case admin.Denied:
			http.NotFound(w, r)
		}
	})
}

// near asks over the socket, far over TCP with the token.
func (o *office) near() *admin.Client {
	return admin.NewClient(admin.ClientOptions{Base: o.socket.URL, Version: "v1.2.3"})
}

func (o *office) far() *admin.Client {
	return admin.NewClient(admin.ClientOptions{Base: o.tcp.URL, Token: secret.New(token), Version: "v1.2.3"})
}

// answered is what came back.
type answered struct {
	status int
	header http.Header
	body   string
	code   string // of a refusal
}

// raw asks over the socket what the Client would not.
func (o *office) raw(method, path, body string, headers ...string) answered {
	o.t.Helper()
	return send(o.t, method, o.socket.URL+path, body, headers...)
}

func send(t *testing.T, method, url, body string, headers ...string) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answered{status: resp.StatusCode, header: resp.Header, body: string(text)}
	var told struct{ Error, Code string }
	if json.Unmarshal(bytes.TrimSpace(text), &told) == nil && told.Error != "" {
		a.code = told.Code
	}
	return a
}

func person(id string) ledger.User {
	return ledger.User{Key: "pseudonym-of-" + id + "-of-https://id.example", Issuer: "https://id.example", ID: id}
}

// settle is a call of a user's that cost so much. The machine may be slow, which is
// not what these tests are about.
func (o *office) settle(u ledger.User, model string, cost money.USD) {
	o.t.Helper()
	o.calls++
	free := ledger.NoCap()
	r := ledger.Request{
		ID: fmt.Sprint("request-", o.calls), User: u, Model: model, Ceiling: money.Dollar, Prices: "2026-11-21",
		Caps: ledger.Caps{Day: free, Month: free, UserDay: free, UserMonth: free},
	}
	h, err := o.ledger.Reserve(o.t.Context(), r)
	for busy(err) && o.ledger.Healthy() == nil {
		r.ID += "-again"
		h, err = o.ledger.Reserve(o.t.Context(), r)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	err = errors.Join(h.Use(), h.Settle(ledger.Usage{Input: 1000, Output: 50, Cost: cost}), o.ledger.Flush(o.t.Context()))
	if err != nil {
		o.t.Fatal(err)
	}
}

func busy(err error) bool {
	refusal, ok := errors.AsType[*apierr.Error](err)
	return ok && refusal.Code == "unavailable"
}

// acts are what the audit log says of operators, the oldest first.
func (o *office) acts() (all []string) {
	o.t.Helper()
	o.audit.Drain()
	q := audit.Query{Kind: audit.Operator, Oldest: true}
	err := audit.Search(o.t.Context(), filepath.Join(o.dir, audit.Folder), q, func(r audit.Record) error {
		all = append(all, fmt.Sprintf("%s %s (%s) by %s", r.Action, r.Target, r.Why, r.By))
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return all
}

// must is the answer to a question that must have one.
func must[A any](t *testing.T) func(A, error) A {
	t.Helper()
	return func(a A, err error) A {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

// codeOf is that of a refusal, "" of anything else.
func codeOf(err error) string {
	if told, ok := errors.AsType[*admin.Refusal](err); ok {
		return told.Code
	}
	return ""
}

const hour = time.Hour
