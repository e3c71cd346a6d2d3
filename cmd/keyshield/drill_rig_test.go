package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/sim"
)

// drill is a server as an operator has it: with a door for him, and with everyone
// told of what goes wrong.
type drill struct {
	*rig
	t      *testing.T
	dir    string // of the operator's commands
	env    map[string]string
	told   *drillTold
	secret []string // that must not be seen anywhere
	desk   *admin.Client
}

// usual takes away what settings has for tests that are about something else.
func usual() []string {
	return []string{"RATE_LIMIT_IP", "RATE_LIMIT_USER", "BREAKER", "BUDGET_MONTH", "BUDGET_DAY", "BUDGET_USER_DAY"}
}

// openDrill runs serve with these settings before a fresh simulator.
func openDrill(t *testing.T, extra ...string) *drill {
	t.Helper()
	return openDrillOf(t, nil, extra...)
}

// openDrillOf is openDrill with more keys than one that OpenAI takes.
func openDrillOf(t *testing.T, more []string, extra ...string) *drill {
	t.Helper()
	d := newDrill(t, extra...)
	d.secret = append(d.secret, more...)
	d.simulate()
	d.sim.Accept(append([]string{canary}, more...)...)
	d.launch()
	return d
}

// simulate puts a simulator behind the server, which keeps what arrives.
func (d *drill) simulate() {
	s := sim.New(sim.Options{Key: canary, Record: 20_000})
	back := httptest.NewServer(s)
	d.t.Cleanup(func() { s.Close(); back.Close() })
	d.rig = &rig{t: d.t, sim: s, back: back}
	d.env["OPENAI_BASE_URL"] = back.URL + "/v1"
}

// newDrill readies everything but the server.
func newDrill(t *testing.T, extra ...string) *drill {
	t.Helper()
	d := &drill{t: t, dir: t.TempDir(), told: listenForAlerts(t)}
	token := "test-token-" + rand.Text() + rand.Text()
	d.secret = append([]string{canary, jwtSecret, token}, d.told.secrets...)
	own := append([]string{"DATA_DIR=" + t.TempDir(), "ADMIN_TOKEN=" + token, "TRUSTED_PROXY=1", "ENDPOINTS=text,chat,responses", "MAX_STREAMS_PER_USER=off"}, d.told.settings...)
	d.env = with(with(settings(""), own...), extra...)
	return d
}

// launch starts the server: once more on the same books, after a stop.
func (d *drill) launch() {
	d.t.Helper()
	before := d.rig
	d.rig = launch(d.t, d.dir, d.env, "serve")
	d.reach()
	d.sim, d.back = before.sim, before.back
	log := d.rig.log
	d.t.Cleanup(func() { d.hides("the log", log.String()) })
}

// answered waits for the simulator to have given so many answers.
func (d *drill) answered(n int64) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	if r := d.sim.Await(ctx, func(r sim.Report) bool { return r.Completed >= n }); r.Completed < n {
		d.t.Fatalf("of %d answers there are %d", n, r.Completed)
	}
}

// reach readies the way in through the operator's door, watched as everything else.
func (d *drill) reach() {
	d.desk = admin.NewClient(admin.ClientOptions{Base: d.url, Version: versionText(), Token: secretOf(d.env["ADMIN_TOKEN"]), Transport: d.web.Transport})
}

// hides fails if a secret stands in text.
func (d *drill) hides(where, text string) {
	d.t.Helper()
	for _, s := range d.secret {
		if i := strings.Index(text, s); i >= 0 {
			d.t.Errorf("%s holds a secret after %.300q", where, text[max(0, i-200):i])
		}
	}
}

// command runs an operator's command beside the server, as a shell does.
func (d *drill) command(args ...string) (code int, said string) {
	d.t.Helper()
	out := newLogbook("the output of " + strings.Join(args, " ") + " in " + d.t.Name())
	p := process{args: args, dir: d.dir, stdout: out, stderr: out}
	for name, value := range d.env {
		p.environ = append(p.environ, name+"="+value)
	}
	code = run(d.t.Context(), p)
	d.hides("what "+args[0]+" prints", out.String())
	return code, out.String()
}

// ok is a command that must do what it is told.
func (d *drill) ok(args ...string) string {
	d.t.Helper()
	code, said := d.command(args...)
	if code != exitOK {
		d.t.Fatalf("keyshield %s: exit code %d\n%s", strings.Join(args, " "), code, said)
	}
	return said
}

// stopped are those who may not ask now.
func (d *drill) stopped() []admin.Stop {
	d.t.Helper()
	list, err := d.desk.Switches(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return list.Stopped
}

// overview is everything at a glance.
func (d *drill) overview() admin.Overview {
	d.t.Helper()
	o, err := d.desk.Overview(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return o
}

// rested is the overview once no call holds anything.
func (d *drill) rested() (o admin.Overview) {
	d.t.Helper()
	d.calm()
	if !eventually(d.t, 15*time.Second, func() bool { o = d.overview(); return o.Day.Open == 0 }) {
		d.t.Errorf("%v is still held, and no call is open", o.Day.Open)
	}
	return o
}

// bill is what the simulator would send.
func (d *drill) bill() nanoUSD { return nanoUSD(d.sim.Report().BillNano) }

// acts are the operator's records of the audit log, the oldest first.
func (d *drill) acts(action string) (all []audit.Record) {
	d.t.Helper()
	page, err := d.desk.Audit(d.t.Context(), admin.AuditQuery{Kind: string(audit.Operator), Oldest: true, Limit: 1000})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, r := range page.Records {
		if r.Action == action {
			all = append(all, r)
		}
	}
	return all
}

// drillForm is a way to be answered.
type drillForm struct {
	name, path, accept string
	body               func(prompt string) string
	end                string // in a stream's last event; "" where the end of the connection is all
}

func drillForms() []drillForm {
	chat, responses := wayTo("chat"), wayTo("responses")
	streamed := func(w way) func(string) string { return func(p string) string { return w.body(p, streaming) } }
	return []drillForm{
		{"text", "/api/generate-text", "application/json", promptBody, ""},
		{"chat", chat.path, "", func(p string) string { return chat.body(p) }, ""},
		{"text stream", "/api/generate-text", "text/event-stream", promptBody, "event: done"},
		{"plain stream", "/api/generate-text", "text/plain", promptBody, ""},
		{"chat stream", chat.path, "", streamed(chat), "data: [DONE]"},
		{"responses stream", responses.path, "", streamed(responses), "response.completed"},
		{"UI stream", "/api/chat", "", hookSays, `"type":"finish"`},
	}
}

// caller is a user at an address.
type caller struct{ token, from string }

func (d *drill) caller(user string, address int) caller {
	ip := netip.AddrFrom4([4]byte{203, 0, byte(113 + address/250), byte(1 + address%250)})
	return caller{d.token(user), ip.String()}
}

// begin sends a prompt and returns the beginning of the answer.
func (d *drill) begin(ctx context.Context, c caller, f drillForm, prompt string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+f.path, strings.NewReader(f.body(prompt)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("X-Forwarded-For", c.from)
	if f.accept != "" {
		req.Header.Set("Accept", f.accept)
	}
	return d.web.Do(req)
}

// stream begins one, which must begin.
func (d *drill) stream(ctx context.Context, c caller, f drillForm, prompt string) (*http.Response, error) {
	for range 100 {
		resp, err := d.begin(ctx, c, f, prompt)
		if err != nil || resp.StatusCode == http.StatusOK {
			return resp, err
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if drillCode(string(body)) != "unavailable" {
			return nil, fmt.Errorf("%s: %d %s", f.name, resp.StatusCode, body)
		}
		<-time.After(100 * time.Millisecond)
	}
	return nil, errors.New("the ledger is too slow for any stream")
}

// ask says how a prompt ended: "ok", or the status and code of the refusal. A ledger
// whose disk was slow for a moment is asked again, as SDKs do.
func (d *drill) ask(c caller, f drillForm, prompt string) (said string) {
	for range 100 {
		if said = d.askOnce(c, f, prompt); said != "503 unavailable" {
			return said
		}
		<-time.After(100 * time.Millisecond) // a slow disk is not helped by haste
	}
	return said
}

func (d *drill) askOnce(c caller, f drillForm, prompt string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	resp, err := d.begin(ctx, c, f, prompt)
	if err != nil {
		return "no answer: " + err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Sprint(resp.StatusCode, " ", drillCode(string(body)))
	case err != nil:
		return "200, then cut"
	case !strings.Contains(string(body), f.end):
		return "200, then " + drillCode(string(body))
	}
	return "ok"
}

var drillCodeMember = regexp.MustCompile(`"code":"([a-z_]+)"`)

// drillCode is the code of an error, in either shape.
func drillCode(body string) string {
	if found := drillCodeMember.FindStringSubmatch(body); found != nil {
		return found[1]
	}
	return ""
}

// mayAsk says whether a user may ask at all, without asking anything.
func (d *drill) mayAsk(c caller) string {
	d.t.Helper()
	got := d.do(d.request("/api/generate-text", "{}", "Authorization: Bearer "+c.token, "X-Forwarded-For: "+c.from))
	if got.status == http.StatusBadRequest {
		return "ok" // and nothing is spent
	}
	return fmt.Sprint(got.status, " ", drillCode(got.body))
}
