package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
)

// adminToken opens the operator's door in these tests. It may be in nothing that a
// server writes.
var adminToken = "test-admin-" + rand.Text() + rand.Text()

// operated is a server with an operator's door.
type operated struct {
	*rig
	data string
}

// operate runs serve with a door and a DATA_DIR of its own.
func operate(t testing.TB, extra ...string) *operated {
	t.Helper()
	return operateIn(t, t.TempDir(), extra...)
}

func operateIn(t testing.TB, data string, extra ...string) *operated {
	t.Helper()
	o := &operated{data: data}
	t.Cleanup(func() { // runs after the server has stopped
		if o.rig != nil && strings.Contains(o.log.String(), adminToken) {
			t.Error("the log holds the operator's token")
		}
	})
	o.rig = start(t, append([]string{"ADMIN_TOKEN=" + adminToken, "DATA_DIR=" + data}, extra...)...)
	return o
}

// visit asks as somebody who has no more than the headers say.
func (r *rig) visit(method, path, body string, headers ...string) reply {
	r.t.Helper()
	return r.doOnce(r.visiting(method, path, body, headers...))
}

func (r *rig) visiting(method, path, body string, headers ...string) *http.Request {
	r.t.Helper()
	req := r.request("/", body, append([]string{"Authorization:"}, headers...)...)
	req.Method = method
	if body == "" {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
		req.Header.Del("Content-Type")
	}
	at, err := req.URL.Parse(r.url + path)
	if err != nil {
		r.t.Fatal(err)
	}
	req.URL = at
	return req
}

// admin asks as the operator.
func (o *operated) admin(method, path, body string) reply {
	o.t.Helper()
	got := o.visit(method, admin.Prefix+path, body, "Authorization: Bearer "+adminToken)
	if strings.Contains(got.body+fmt.Sprint(got.header), adminToken) {
		o.t.Errorf("%s %s: the answer holds the operator's token", method, path)
	}
	return got
}

// told is what the operator is told.
func told[A any](o *operated, path string) (a A) {
	o.t.Helper()
	got := o.admin(http.MethodGet, path, "")
	if got.status != http.StatusOK {
		o.t.Fatalf("GET %s: %d %s", path, got.status, got.body)
	}
	if err := json.Unmarshal([]byte(got.body), &a); err != nil {
		o.t.Fatalf("GET %s: %v\n%s", path, err, got.body)
	}
	return a
}

// does changes something, and must be let.
func (o *operated) does(path, body string) reply {
	o.t.Helper()
	got := o.admin(http.MethodPost, path, body)
	if got.status != http.StatusOK {
		o.t.Fatalf("POST %s %s: %d %s", path, body, got.status, got.body)
	}
	return got
}

// audits are the records of a DATA_DIR.
func audits(t testing.TB, data string, q audit.Query) (all []audit.Record) {
	t.Helper()
	q.Oldest = true
	err := audit.Search(context.Background(), filepath.Join(data, audit.Folder), q, func(r audit.Record) error {
		all = append(all, r)
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// audited waits for the record of a request.
func (o *operated) audited(id string) (r audit.Record) {
	o.t.Helper()
	if !eventually(o.t, 10*time.Second, func() bool {
		all := audits(o.t, o.data, audit.Query{ID: id})
		if len(all) == 1 {
			r = all[0]
		}
		return len(all) > 0
	}) {
		o.t.Fatalf("the audit log has no record of %s", id)
	}
	return r
}

// verified fails unless the audit log is whole.
func verified(t testing.TB, data string) audit.Report {
	t.Helper()
	report, err := audit.Verify(context.Background(), filepath.Join(data, audit.Folder))
	if err != nil || !report.OK() {
		t.Errorf("the audit log is not whole: %v %+v", err, report)
	}
	return report
}

func adminTokenOpensTheDoor(t *testing.T) {
	o := operate(t)
	for _, path := range []string{"/metrics", "/admin/api/overview"} {
		if got := o.visit("GET", path, "", "Authorization: Bearer "+adminToken); got.status != 200 {
			t.Errorf("%s with the token: %d", path, got.status)
		}
		o.visit("GET", path, "").wants(t, 404, "not_found")
		o.visit("GET", path, "", "Authorization: Bearer "+adminToken[1:]).wants(t, 404, "not_found")
		start(t).visit("GET", path, "", "Authorization: Bearer "+adminToken).wants(t, 404, "not_found")
	}
}

// playgroundIsShown: a page at /, which knows what is open and no secret; and nothing
// without it.
func playgroundIsShown(t *testing.T) {
	const own = "https://api.example.com"
	for setting, shown := range map[string]bool{"PLAYGROUND=true": true, "PLAYGROUND=false": false, "PLAYGROUND": false} {
		r := start(t, append(openV1(), setting, "PUBLIC_URL="+own, "MAX_PROMPT_CHARS=123")...)
		page, known := r.visit("GET", "/", ""), r.visit("GET", "/playground/config.json", "")
		if !shown {
			page.wants(t, 404, "not_found")
			known.wants(t, 404, "not_found")
			continue
		}
		if page.status != 200 || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("/ is %d %v", page.status, page.header)
		}
		said := object(t, known.body)
		if said["url"] != own || said["max_prompt"] != 123.0 || said["token"] != "" || len(said["endpoints"].([]any)) != 5 {
			t.Errorf("the page knows %s", known.body)
		}
		r.ask("hi", "Origin: "+own).wants200(t, jsonForm)
	}
}

// auditIPNamesAddresses: in records of requests and in those of the operator.
func auditIPNamesAddresses(t *testing.T) {
	const first, second = "203.0.113.9", "203.0.113.10"
	for _, setting := range []string{"AUDIT_IP", "AUDIT_IP=plain", "AUDIT_IP=hash"} {
		o := operate(t, "TRUSTED_PROXY=1", setting)
		ip := func(from string) string {
			return o.audited(o.ask("hi", "X-Forwarded-For: "+from).header.Get("X-Request-Id")).IP
		}
		one, again, other := ip(first), ip(first), ip(second)
		o.visit("POST", "/admin/api/disable", `{"user":"eve"}`, "Authorization: Bearer "+adminToken, "X-Forwarded-For: "+first)
		var by string
		if acts := audits(t, o.data, audit.Query{Kind: audit.Operator}); len(acts) > 0 {
			by = acts[0].By
		}
		if one != again || one == other || one == "" {
			t.Errorf("%s: the same address is %q and %q, another one %q", setting, one, again, other)
		}
		hidden := setting == "AUDIT_IP=hash"
		if hidden != strings.HasPrefix(one, "hmac:") || !hidden && one != first || by != "admin "+one {
			t.Errorf("%s: the address is %q, the operator %q", setting, one, by)
		}
		if hidden && strings.Contains(allOf(t, filepath.Join(o.data, audit.Folder)), "203.0.113.") {
			t.Errorf("%s: an address stands in the files in plain", setting)
		}
	}
}

// allOf is what a folder's files hold.
func allOf(t testing.TB, dir string) string {
	t.Helper()
	var all strings.Builder
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// auditDaysAreKept: a file that is older is gone after a start, and nothing else is.
func auditDaysAreKept(t *testing.T) {
	for setting, want := range map[string]bool{"AUDIT_DAYS=30": false, "AUDIT_DAYS=50": true, "AUDIT_DAYS": true} {
		data := t.TempDir()
		then := time.Now().AddDate(0, 0, -40)
		old, err := audit.Open(audit.Options{Dir: filepath.Join(data, audit.Folder), Now: func() time.Time { return then }})
		if err != nil {
			t.Fatal(err)
		}
		old.Request(&audit.Record{ID: "forty-days-ago", User: "ana", Outcome: audit.OK}, true)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		for _, ago := range []int{-2, -1} { // the newest files are never removed
			later, err := audit.Open(audit.Options{Dir: filepath.Join(data, audit.Folder), Now: func() time.Time { return time.Now().AddDate(0, 0, ago) }})
			if err != nil {
				t.Fatal(err)
			}
			if err := later.Close(); err != nil {
				t.Fatal(err)
			}
		}
		o := operateIn(t, data, setting)
		o.ask("hi").wants200(t, jsonForm)
		if kept := len(audits(t, data, audit.Query{ID: "forty-days-ago"})) == 1; kept != want {
			t.Errorf("%s: a record of 40 days ago is there: %t, want %t", setting, kept, want)
		}
		_, err = os.Stat(filepath.Join(data, audit.Folder, then.UTC().Format(time.DateOnly)+".jsonl"))
		if errors.Is(err, fs.ErrNotExist) == want {
			t.Errorf("%s: its file: %v", setting, err)
		}
		o.stop()
		verified(t, data)
	}
}

// operateOnALink is operate with an audit log that lies elsewhere, so that its place
// can be taken away and given back in one step. The server notices with the next line.
func operateOnALink(t testing.TB, extra ...string) (o *operated, lead func(to string), there string) {
	t.Helper()
	data, there := t.TempDir(), t.TempDir()
	lead = func(to string) {
		t.Helper()
		next := filepath.Join(data, "next")
		if err := errors.Join(os.Symlink(to, next), os.Rename(next, filepath.Join(data, audit.Folder))); err != nil {
			t.Fatal(err)
		}
	}
	lead(there)
	return operateIn(t, data, extra...), lead, there
}

// auditIsRequired, or not: what happens while it cannot be written; it is told, and
// goes on by itself.
func auditIsRequired(t *testing.T) {
	for setting, required := range map[string]bool{"AUDIT_REQUIRED=true": true, "AUDIT_REQUIRED=false": false, "AUDIT_REQUIRED": false} {
		o, lead, there := operateOnALink(t, setting)
		before := o.ask("hi").header.Get("X-Request-Id")
		o.audited(before)
		lead(write(t, t.TempDir(), "no-folder", ""))
		last := o.ask("hi") // nobody knew
		o.log.wait(t, "the alarm", func(text string) bool { return strings.Contains(text, `"event":"audit_broken"`) })
		if required {
			o.untouched(func() {
				for range 3 {
					if got := o.doOnce(o.request("/api/generate-text", promptBody("hi"))); got.wants(t, 503, "unavailable").Error != busy || got.header.Get("Retry-After") == "" {
						t.Errorf("%s: refused with %q and Retry-After %q", setting, got.body, got.header.Get("Retry-After"))
					}
				}
				if got := o.visit("GET", "/api/usage/me", "", "Authorization: Bearer "+o.token("ana")); got.status != 503 {
					t.Errorf("%s: /api/usage/me answers %d", setting, got.status)
				}
			})
		} else {
			for range 3 {
				last = o.ask("hi")
				last.wants200(t, jsonForm)
			}
		}
		lead(there)
		o.log.wait(t, "the all-clear", func(text string) bool { return strings.Contains(text, `"event":"audit_works"`) })
		after := o.ask("hi")
		after.wants200(t, jsonForm)
		for what, id := range map[string]string{"before": before, "while it was broken": last.header.Get("X-Request-Id"), "after": after.header.Get("X-Request-Id")} {
			if o.audited(id); len(audits(t, o.data, audit.Query{ID: id})) != 1 {
				t.Errorf("%s: a request %s has several records", setting, what)
			}
		}
		o.stop()
		verified(t, o.data)
	}
}

// autoDisableDisables whoever goes on although the limits refuse them, for so long;
// off tells it only.
func autoDisableDisables(t *testing.T) {
	for setting, pause := range map[string]time.Duration{"AUTO_DISABLE": time.Hour, "AUTO_DISABLE=2m": 2 * time.Minute, "AUTO_DISABLE=off": 0} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			o := operate(t, setting, "RATE_LIMIT_USER=5/1h")
			disabled := func() bool { got := o.ask("hi"); return got.status == 403 && got.problem(t).Code == "disabled" }
			if pause == 0 {
				if eventually(t, 6*time.Second, disabled) || len(told[admin.SwitchList](o, "switches").Stopped) > 0 {
					t.Error("somebody is disabled")
				}
				o.log.wait(t, "the alarm", func(text string) bool { return strings.Contains(text, `"event":"spike"`) })
				return
			}
			if !eventually(t, 40*time.Second, disabled) {
				t.Fatalf("after a flood nobody is disabled:\n%s", o.log)
			}
			stopped := told[admin.SwitchList](o, "switches").Stopped
			if len(stopped) != 1 || stopped[0].ID != "ana" || stopped[0].By != "watch" || stopped[0].Until == nil {
				t.Fatalf("the switches say %+v", stopped)
			}
			if left := time.Until(*stopped[0].Until); left > pause || left < pause-time.Minute {
				t.Errorf("disabled for another %v", left)
			}
			o.ask("hi", "Authorization: Bearer "+o.token("bob")).wants200(t, jsonForm)
			o.does("enable", `{"user":"ana"}`)
			o.ask("hi").wants(t, 429, "rate_limited")
		})
	}
}
