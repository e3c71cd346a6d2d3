package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/admin"
)

// TestDashboardSignsIn: with the right token only, into a cookie that no script
// reads, and out again.
func TestDashboardSignsIn(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.open(t, "/admin/")
	v.do(t, move{Do: "seen", Role: "heading", Name: "Sign in"}, nil)

	const session = "/admin/api/session)"
	for range 10 {
		v.fill(t, "Admin token", "test-token-that-is-wrong-"+strings.Repeat("x", 20))
		v.click(t, "button", "Sign in")
		v.sees(t, "That is not the token of this server")
	}
	v.click(t, "button", "Sign in")
	v.sees(t, "Too many wrong tokens")
	v.enter(t, h) // whatever was tried before
	v.keepsNothing(t, h.token)
	v.quiet(t, noSession, session)

	var cookies []struct {
		Name, SameSite, Path string
		HTTPOnly             bool
	}
	if v.do(t, move{Do: "keys"}, &cookies); len(cookies) != 1 || !cookies[0].HTTPOnly || cookies[0].SameSite != "Strict" || cookies[0].Path != "/admin" {
		t.Errorf("the cookies are %+v, want one, HttpOnly and Strict", cookies)
	}
	var status int
	const look = `async () => (await fetch('/admin/api/overview')).status`
	if v.runs(t, look, nil, &status); status != http.StatusOK {
		t.Errorf("the session is answered %d", status)
	}
	v.quiet(t)
	v.click(t, "button", "Sign out")
	v.sees(t, "You are signed out.")
	if v.runs(t, look, nil, &status); status != http.StatusNotFound {
		t.Errorf("after signing out the API answers %d, want 404", status)
	}
	v.quiet(t, noSession)
}

// remember keeps what the page itself was told, and all that it showed since.
const remember = `() => {
	const real = window.fetch
	window.fetch = async (...args) => {
		const response = await real(...args)
		if (String(args[0]).endsWith('/overview') && response.ok) response.clone().json().then((o) => { window.told = o })
		return response
	}
	window.shown = new Set()
	const tile = document.querySelector('.tiles dd')
	new MutationObserver(() => shown.add(tile.textContent)).observe(tile, { childList: true, characterData: true, subtree: true })
}`

// TestDashboardShowsWhatTheAPISays: it moves while requests are made, and then its
// figures are the API's.
func TestDashboardShowsWhatTheAPISays(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.signIn(t, h)
	v.sees(t, "Nobody has asked anything yet")
	v.runs(t, remember, nil, nil)
	users := make([]string, 80)
	for i := range users {
		users[i] = []string{"ana", "bo", "cy"}[i%3]
	}
	h.crowd(t, users, `[[sim latency=500ms text="Hello there"]] Hi`)
	h.ask(t, "ana", "[[sim fault=eof]] Break", false)
	h.ask(t, "ana", " ", false)
	if resp, err := h.try(t, "test-no-token", "Hi", false); err != nil || resp.Body.Close() != nil {
		t.Fatal(err)
	}
	v.until(t, `() => window.told?.traffic.refusals.token_invalid === 1 && window.told?.traffic.refusals.prompt_empty === 1`, nil)

	var o admin.Overview
	h.admin(t, http.MethodGet, "overview", nil, &o)
	var page struct {
		Moved   int
		Amounts []string
		Answers []string
		Told    []int64
		Codes   map[string]string
	}
	v.until(t, `(n) => document.querySelector('.page-now article').innerText.includes(n + ' requests ended')`, o.Day.Requests)
	v.runs(t, `() => ({
		moved: window.shown.size,
		amounts: [...document.querySelectorAll('.page-now .big > data')].map((d) => d.value),
		answers: [...document.querySelectorAll('.tiles dd.big')].slice(0, 4).map((d) => d.textContent),
		told: ['ok', 'refused', 'failed', 'client_gone'].map((name) => window.told.traffic.requests[name] ?? 0),
		codes: Object.fromEntries([...document.querySelectorAll('[aria-label="Refusals by reason"] tbody tr')].map((r) => [r.children[0].textContent, r.children[1].textContent])),
	})`, nil, &page)
	if page.Moved < 2 {
		t.Errorf("while requests were made the figures changed %d times, want them to move", page.Moved)
	}
	if diff := cmp.Diff([]string{jsonText(t, o.Day.Used), jsonText(t, o.Month.Used)}, page.Amounts); diff != "" {
		t.Errorf("amounts in nano-dollars (-API +page):\n%s", diff)
	}
	for i, n := range page.Told {
		if want := jsonText(t, n); page.Answers[i] != want {
			t.Errorf("figure %d is %s, and the API said %s", i, page.Answers[i], want)
		}
	}
	if page.Codes["token_invalid"] != "1" || page.Codes["prompt_empty"] != "1" {
		t.Errorf("refusals are shown as %v, and the API says %v", page.Codes, o.Traffic.Refusals)
	}
	if o.Day.Requests < 80 {
		t.Errorf("%d requests were counted", o.Day.Requests)
	}
	v.quiet(t, noSession)
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDashboardStopsAUserInTheMiddle: the stream that runs ends with an error, and
// whoever is let in again is answered again.
func TestDashboardStopsAUserInTheMiddle(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	ended := watchStream(t, h, "ana")
	v.signIn(t, h)
	v.goes(t, "Users")
	v.click(t, "link", "ana")
	v.sees(t, "May ask.")
	v.click(t, "button", "Disable…")
	v.fill(t, "Why", "<b>too</b> much")
	v.do(t, move{Do: "choose", Label: "How long", Value: "15m"}, nil)
	v.do(t, move{Do: "click", Role: "button", Name: "Disable", Within: "dialog"}, nil)
	v.sees(t, "Disabled since")
	if got := v.text(t, ".page .bar p"); !strings.Contains(got, "<b>too</b> much") || !strings.Contains(got, "until") || !strings.Contains(got, "by admin") {
		t.Errorf("the page says %q", got)
	}
	select {
	case event := <-ended:
		if !strings.Contains(event, `"code":"disabled"`) {
			t.Errorf("the stream ends with %q, want an error event that says disabled", event)
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream goes on")
	}
	if resp := h.ask(t, "ana", "Hi", false); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a disabled user is answered %d", resp.StatusCode)
	}
	if resp := h.ask(t, "bo", `[[sim latency=1ms]] Hi`, false); resp.StatusCode != http.StatusOK {
		t.Errorf("another user is answered %d", resp.StatusCode)
	}

	v.goes(t, "Now")
	v.click(t, "button", "Enable…")
	v.do(t, move{Do: "click", Role: "button", Name: "Enable", Within: "dialog"}, nil)
	v.sees(t, "Nobody and nothing.")
	if resp := h.ask(t, "ana", `[[sim latency=1ms]] Hi`, false); resp.StatusCode != http.StatusOK {
		t.Errorf("a user who was enabled again is answered %d", resp.StatusCode)
	}
	v.quiet(t, noSession)
}

// TestDashboardStopsWhoWasNeverSeen: by the name that is typed.
func TestDashboardStopsWhoWasNeverSeen(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.signIn(t, h)
	v.goes(t, "Users")
	v.click(t, "button", "Disable by name…")
	v.do(t, move{Do: "fill", CSS: "dialog input", Value: "nobody yet"}, nil)
	v.fill(t, "Why", "foreseen")
	v.do(t, move{Do: "click", Role: "button", Name: "Disable", Within: "dialog"}, nil)
	v.do(t, move{Do: "gone", CSS: "dialog"}, nil)
	if resp := h.ask(t, "nobody yet", "Hi", false); resp.StatusCode != http.StatusForbidden {
		t.Errorf("who is disabled by name is answered %d", resp.StatusCode)
	}
	v.goes(t, "Now")
	v.sees(t, "nobody yet")
	v.quiet(t, noSession)
}

// watchStream opens a long stream, and tells the data of the event that ends it.
func watchStream(t *testing.T, h *house, user string) <-chan string {
	t.Helper()
	resp := h.ask(t, user, "[[sim chunks=2000 pace=50ms size=8000]] Go on", true)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: ") {
	}
	ended := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		last := ""
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data: ") {
				last = lines.Text()
			}
		}
		ended <- last
	})
	t.Cleanup(func() { resp.Body.Close(); reading.Wait() })
	return ended
}

// TestDashboardStopsEverything: with a reason only, and on every page it is seen.
func TestDashboardStopsEverything(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.signIn(t, h)
	v.click(t, "button", "Stop everything…")
	v.do(t, move{Do: "click", Role: "button", Name: "Stop everything", Within: "dialog"}, nil) // without a reason nothing happens
	if resp := h.ask(t, "ana", `[[sim latency=1ms]] Hi`, false); resp.StatusCode != http.StatusOK {
		t.Errorf("everything is stopped without a reason: %d", resp.StatusCode)
	}
	v.do(t, move{Do: "press", Key: "Escape"}, nil)
	v.do(t, move{Do: "gone", CSS: "dialog"}, nil)

	v.click(t, "button", "Stop everything…")
	v.fill(t, "Why", "a leak")
	v.do(t, move{Do: "press", Key: "Enter"}, nil)
	for _, page := range []string{"Users", "Log", "Keys", "Settings", "Where am I", "Now"} {
		v.goes(t, page)
		if band := v.text(t, "#stopped-band"); !strings.Contains(band, "Everything is stopped") || !strings.Contains(band, "a leak") {
			t.Errorf("on %s the band says %q", page, band)
		}
	}
	if resp, err := h.try(t, h.rig.token(t, "ana", ""), "Hi", false); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("while everything is stopped ana is answered %+v (%v)", resp, err)
	}
	v.click(t, "button", "Resume…")
	v.do(t, move{Do: "click", Role: "button", Name: "Resume", Within: "dialog"}, nil)
	v.do(t, move{Do: "gone", CSS: "#stopped-band"}, nil)
	if resp := h.ask(t, "ana", `[[sim latency=1ms]] Hi`, false); resp.StatusCode != http.StatusOK {
		t.Errorf("after that ana is answered %d", resp.StatusCode)
	}
	v.quiet(t, noSession)
}

// TestDashboardReadsTheLog: filters, pages, the export and the chain.
func TestDashboardReadsTheLog(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	users := make([]string, 240)
	for i := range users {
		users[i] = []string{"ana", "bo"}[i%2]
	}
	h.crowd(t, users, `[[sim latency=1ms text="Hi"]] Hi`)
	v.signIn(t, h)
	v.goes(t, "Log")
	v.sees(t, "100 records, the newest first; there are older ones")
	v.click(t, "button", "Older")
	v.sees(t, "200 records, the newest first; there are older ones")
	v.click(t, "button", "Older")
	v.until(t, `() => document.querySelector('.bar p').textContent.endsWith('the newest first.')`, nil)
	var numbers []int64
	const seqs = `() => [...document.querySelectorAll('.when small')].map((s) => Number(s.textContent))`
	v.runs(t, seqs, nil, &numbers)
	for i, n := range numbers {
		if n != int64(len(numbers)-i) {
			t.Fatalf("record %d stands at place %d of %d: some are missing or twice", n, i, len(numbers))
		}
	}

	v.do(t, move{Do: "fill", Label: "User", Value: "bo"}, nil)
	v.do(t, move{Do: "fill", Label: "Code", Value: "none_such"}, nil)
	v.click(t, "button", "Apply")
	v.sees(t, "No records match.")
	v.do(t, move{Do: "fill", Label: "Code", Value: ""}, nil)
	v.click(t, "button", "Apply")
	v.sees(t, "100 records, the newest first; there are older ones")
	var file struct{ Name, Text string }
	v.do(t, move{Do: "download", Role: "link", Name: "Export"}, &file)
	if want := string(h.raw(t, http.MethodGet, "audit/export?user=bo", nil)); file.Text != want || file.Name != "audit.jsonl" || strings.Count(want, "\n") != 120 {
		t.Errorf("the export %s has %d lines, and the API's %d", file.Name, strings.Count(file.Text, "\n"), strings.Count(want, "\n"))
	}
	v.do(t, move{Do: "fill", Label: "From (UTC)", Value: time.Now().UTC().Add(time.Hour).Format("2006-01-02T15:04:05")}, nil)
	v.click(t, "button", "Apply")
	v.sees(t, "No records match.")
	v.click(t, "button", "Clear")
	v.sees(t, "100 records, the newest first; there are older ones")
	v.click(t, "button", "Check the chain")
	v.sees(t, "The audit log is as it was written")
	v.quiet(t, noSession)
}

// TestDashboardTellsTheRest: keys, settings and where one is, as the API has them.
func TestDashboardTellsTheRest(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.signIn(t, h)

	v.goes(t, "Keys")
	var keys admin.KeyList
	h.admin(t, http.MethodGet, "keys", nil, &keys)
	if got := v.text(t, ".page-keys table"); len(keys.Keys) != 1 || !strings.Contains(got, keys.Keys[0].Fingerprint) || !strings.Contains(got, "active") {
		t.Errorf("keys are shown as %q, and the API says %+v", got, keys)
	}
	v.click(t, "button", "Read again")
	v.until(t, `() => !/^$|^Reading/.test(document.querySelector('.page-keys [role=status]').textContent)`, nil)

	v.goes(t, "Settings")
	var settings admin.SettingList
	h.admin(t, http.MethodGet, "settings", nil, &settings)
	var rows [][]string
	v.until(t, `() => document.querySelectorAll('.page-settings tbody tr').length > 10`, nil)
	v.runs(t, `() => [...document.querySelectorAll('.page-settings tbody tr')].map((r) => [...r.children].map((c) => (c.querySelector('.value') ?? c).textContent))`, nil, &rows)
	if len(rows) != len(settings.Settings) {
		t.Errorf("%d settings are shown, and the API has %d", len(rows), len(settings.Settings))
	}
	for i, s := range settings.Settings {
		if want := []string{s.Name, s.Value, s.Source}; cmp.Diff(want, rows[i]) != "" && s.Value != "" {
			t.Errorf("setting %q is shown as %q", want, rows[i])
		}
	}
	v.fill(t, "Search settings", "ADMIN_TOKEN")
	v.sees(t, "1 setting")
	v.keepsNothing(t, h.token)

	v.goes(t, "Where am I")
	v.sees(t, "TRUSTED_PROXY=none")
	var me admin.WhoAmI
	h.admin(t, http.MethodGet, "whoami", nil, &me)
	if got := v.text(t, ".page-whoami"); !strings.Contains(got, me.Address) || !strings.Contains(got, "in force") {
		t.Errorf("where one is, is shown as %q, and the API says %+v", got, me)
	}
	v.quiet(t, noSession, "/admin/api/keys/reload)")
}
