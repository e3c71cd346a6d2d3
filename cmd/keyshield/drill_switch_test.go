package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/sim"
)

// held is an answer that never ends by itself.
type held struct {
	form   drillForm
	user   string
	status int
	body   string
	err    error
	at     time.Time // when it ended
}

// hold asks in every form and waits until all of it is under way, the streams so far
// that their heads are here.
func (d *drill) hold(users ...string) <-chan held {
	d.t.Helper()
	ends, begun := make(chan held, 100), make(chan bool, 100)
	calls, streams := int64(0), 0
	for i, user := range users {
		for _, f := range drillForms() {
			c := d.caller(user, 400+i)
			fault, stream := "hang_before", f.end != "" || f.accept == "text/plain"
			if calls++; stream {
				fault, streams = "hang_mid", streams+1
			}
			go func() {
				h := held{form: f, user: user}
				ask := d.begin
				if stream {
					ask = d.stream
				}
				resp, err := ask(context.Background(), c, f, "[[sim fault="+fault+"]] hello")
				if stream {
					begun <- err == nil
				}
				if h.err = err; err == nil {
					defer resp.Body.Close()
					var body []byte
					body, h.err = io.ReadAll(resp.Body)
					h.status, h.body = resp.StatusCode, string(body)
				}
				h.at = time.Now()
				ends <- h
			}()
		}
	}
	for range streams {
		if !<-begun {
			d.t.Fatal("a stream did not begin")
		}
	}
	d.await(d.t, "all that is to be stopped", func(r sim.Report) bool { return r.Open >= calls })
	return ends
}

// stopped wants an answer ended by a switch: a stream by the one error event of its own
// form, plain text by a cut, what had not begun by a refusal.
func (h held) stopped(t *testing.T, status int, words string) {
	t.Helper()
	if h.err != nil && h.form.name != "plain stream" {
		t.Errorf("%s of %s ended with %v", h.form.name, h.user, h.err)
	}
	errors, mark := 0, ""
	switch h.form.name {
	case "text stream":
		errors, mark = strings.Count(h.body, "event: error\n"), `"code":"disabled"`
	case "plain stream":
		if h.err == nil {
			t.Errorf("plain text ended cleanly, as if it were whole: %q", h.body)
		}
		return
	case "chat stream":
		errors, mark = strings.Count(h.body, `data: {"error":{`), `"code":"disabled"`
	case "responses stream":
		errors, mark = strings.Count(h.body, "event: error\n"), `"code":"disabled"`
	case "UI stream":
		errors, mark = strings.Count(h.body, `{"type":"error","errorText":`), words
		if !strings.HasSuffix(h.body, "data: [DONE]\n\n") {
			t.Errorf("the frames end with %q", h.body)
		}
	default:
		if h.status != status || drillCode(h.body) != "disabled" || !strings.Contains(h.body, words) {
			t.Errorf("%s: %d %s, want %d disabled", h.form.name, h.status, h.body, status)
		}
		return
	}
	all, _, err := events(strings.NewReader(h.body))
	if h.form.name == "UI stream" && len(all) > 0 {
		all = all[:len(all)-1] // the mark of the end
	}
	if err != nil || len(all) == 0 || errors != 1 || h.status != http.StatusOK {
		t.Errorf("%s: %d with %d errors, want one:\n%s", h.form.name, h.status, errors, h.body)
		return
	}
	if last := all[len(all)-1].data; !strings.Contains(last, mark) || !strings.Contains(last, words) || !json.Valid([]byte(last)) {
		t.Errorf("%s: the last event is %s, want %q and %q", h.form.name, last, mark, words)
	}
	if h.form.end != "" && strings.Contains(h.body, h.form.end) {
		t.Errorf("%s: a stream that was stopped says that it is complete:\n%s", h.form.name, h.body)
	}
}

// soonEnough is what is promised of a switch.
const soonEnough = 2 * time.Second

// swept waits for n answers that a switch ended at the time thrown.
func (d *drill) swept(ends <-chan held, n int, thrown time.Time, status int, words string) {
	d.t.Helper()
	for range n {
		select {
		case h := <-ends:
			if took := h.at.Sub(thrown); took > soonEnough {
				d.t.Errorf("%s went on for %v after the switch was thrown", h.form.name, took)
			}
			h.stopped(d.t, status, words)
		case <-time.After(20 * time.Second):
			d.t.Fatal("what is stopped goes on")
		}
	}
}

const (
	accountDisabled = "This account is disabled."
	servicePaused   = "The service is paused."
)

// TestDrillDisableUser: by a command beside the server and by the admin API from afar,
// in the middle of every form of stream; others go on; after a restart still.
func TestDrillDisableUser(t *testing.T) {
	t.Parallel()
	for way, throw := range map[string]func(*drill) error{
		"the command": func(d *drill) error {
			d.ok("disable", "--user", "eve", "--why", "drill")
			return nil
		},
		"the API": func(d *drill) error {
			_, err := d.desk.Disable(t.Context(), admin.DisableRequest{User: "eve", Why: "drill"})
			return err
		},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			d := openDrill(t, "BREAKER")
			eve, bob := d.caller("eve", 1), d.caller("bob", 2)
			bobs := make(chan string, 7)
			ends := d.hold("eve")
			for _, f := range drillForms() {
				go func() { bobs <- d.ask(bob, f, "[[sim chunks=15 pace=100ms latency=500ms]] hello") }()
			}
			if err := throw(d); err != nil {
				t.Fatal(err)
			}
			thrown := time.Now()
			for _, f := range drillForms() {
				if said := d.ask(eve, f, "hello"); said != "403 disabled" {
					t.Errorf("%s after the switch was thrown: %q", f.name, said)
				}
			}
			d.swept(ends, 7, thrown, http.StatusForbidden, accountDisabled)
			for range 7 {
				if said := <-bobs; said != "ok" {
					t.Errorf("somebody else's request comes to %q", said)
				}
			}
			d.costsItsCeiling("eve", 7)

			d.stop()
			d.launch()
			if said := d.ask(eve, drillForms()[0], "hello"); said != "403 disabled" {
				t.Errorf("after a restart: %q", said)
			}
			d.ok("enable", "--user", "eve")
			if said := d.ask(eve, drillForms()[2], "hello"); said != "ok" {
				t.Errorf("enabled: %q", said)
			}
			d.over(map[string]int{"user_disabled": 1, "user_enabled": 1})
		})
	}
}

// costsItsCeiling: what was cut keeps its charge, as with every call whose cost nobody
// proves; and it is no fault of OpenAI's.
func (d *drill) costsItsCeiling(user string, calls int64) {
	d.t.Helper()
	o := d.rested()
	u, err := d.desk.User(d.t.Context(), user)
	if err != nil {
		d.t.Fatal(err)
	}
	if u.Day.Unproven != calls || u.Day.AtCeiling == 0 || o.Day.Unproven != calls {
		d.t.Errorf("%d calls were cut; %d of theirs and %d of all are charged at the ceiling, %v", calls, u.Day.Unproven, o.Day.Unproven, u.Day.AtCeiling)
	}
	if bill := d.bill(); o.Day.Used < bill {
		d.t.Errorf("charged %v, billed %v", o.Day.Used, bill)
	}
	if o.Breaker != "closed" {
		d.t.Errorf("the breaker is %s", o.Breaker)
	}
}

// TestDrillDisableForAWhile: who is disabled for two seconds is let in again after them.
func TestDrillDisableForAWhile(t *testing.T) {
	t.Parallel()
	d := openDrill(t)
	eve := d.caller("eve", 1)
	d.ok("disable", "--user", "eve", "--for", "2s", "--why", "drill")
	thrown := time.Now()
	if said := d.ask(eve, drillForms()[0], "hello"); said != "403 disabled" && time.Since(thrown) < soonEnough {
		t.Errorf("disabled: %q", said)
	}
	if !eventually(t, 15*time.Second, func() bool { return d.ask(eve, drillForms()[0], "hello") == "ok" }) {
		t.Error("the time is up, and still disabled")
	}
	if took := time.Since(thrown); took < 1900*time.Millisecond {
		t.Errorf("let in after %v, want 2s", took)
	}
	d.told.wait("user_enabled", 1)
	if acts := d.acts("enable"); len(acts) != 1 || !strings.HasPrefix(acts[0].Target, "user:eve (") {
		t.Errorf("the audit log has %+v", acts)
	}
	d.over(map[string]int{"user_disabled": 1, "user_enabled": 1})
}

// TestDrillDisableEverything: nobody is let in, SDKs do not hammer, and only the
// operator turns it back on.
func TestDrillDisableEverything(t *testing.T) {
	t.Parallel()
	d := openDrill(t, "BREAKER")
	ends := d.hold("eve", "bob")
	if _, err := d.desk.Disable(t.Context(), admin.DisableRequest{Everything: true, Why: "drill"}); err != nil {
		t.Fatal(err)
	}
	thrown := time.Now()
	d.everythingIsRefused()
	d.swept(ends, 14, thrown, http.StatusServiceUnavailable, servicePaused)
	o := d.rested()
	if o.Day.Unproven != 14 || o.Day.Used < d.bill() || o.Breaker != "closed" {
		t.Errorf("14 calls were cut; %d are charged at the ceiling, %v for a bill of %v, and the breaker is %s", o.Day.Unproven, o.Day.Used, d.bill(), o.Breaker)
	}
	if len(o.Stopped) != 1 || !o.Stopped[0].Everything || len(o.Degraded) == 0 {
		t.Errorf("the overview says %+v, degraded: %v", o.Stopped, o.Degraded)
	}

	d.stop()
	d.launch()
	d.everythingIsRefused()
	d.ok("enable", "--everything")
	for _, f := range drillForms() {
		if said := d.ask(d.caller("ana", 3), f, "hello"); said != "ok" {
			t.Errorf("%s, enabled: %q", f.name, said)
		}
	}
	d.over(map[string]int{"service_disabled": 1, "service_enabled": 1})
}

func (d *drill) everythingIsRefused() {
	d.t.Helper()
	d.untouched(func() {
		got := d.rig.ask("hello")
		if p := got.wants(d.t, http.StatusServiceUnavailable, "disabled"); !strings.Contains(p.Error, servicePaused) {
			d.t.Errorf("said %q", p.Error)
		}
		sdk := d.chat("hello")
		if p := sdk.wantsV1(d.t, http.StatusServiceUnavailable, "disabled"); !strings.Contains(p.Message, servicePaused) || p.Type != "server_error" {
			d.t.Errorf("said %+v", p)
		}
		for path, r := range map[string]reply{"/api": got, "/v1": sdk} {
			if again := r.header.Get("X-Should-Retry"); again != "false" {
				d.t.Errorf("%s: x-should-retry is %q: SDKs would hammer a server that is stopped", path, again)
			}
		}
		for _, f := range drillForms() {
			if said := d.ask(d.caller("bob", 2), f, "hello"); said != "503 disabled" {
				d.t.Errorf("%s: %q", f.name, said)
			}
		}
	})
	if got := d.get("/livez"); got.status != http.StatusOK {
		d.t.Errorf("livez: %d: a restart would not help", got.status)
	}
}
