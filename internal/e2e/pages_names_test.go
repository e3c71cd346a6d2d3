package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/admin"
	"keyshield/internal/auth"
)

// payloads are names of users who mean ill: each would call pwned, if it could.
func payloads() []string {
	return []string{
		`<img src=x onerror=pwned()>`,
		`<script>pwned()</script>`,
		`</script><script>pwned()</script>`,
		`"><svg onload=pwned()>`,
		`'"--><iframe srcdoc="<script>parent.pwned()</script>">`,
		`javascript:pwned()`,
		`#/now`,
		`../../admin/api/session`,
		`<a href="javascript:pwned()">ana</a>`,
		`<style>body{display:none}</style>`,
		`<base href=//example.com>`,
		`{{constructor.constructor('pwned()')()}}`,
		`${pwned()}`,
		`__proto__`, `constructor`, `toString`, `hasOwnProperty`,
		`%3Cscript%3Epwned()%3C%2Fscript%3E`, `%`, `a/b`, `a?b#c&d=e`, `..`, `.`,
		"\u202eevil\u202c", `Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮`, strings.Repeat("W", 256),
	}
}

// names are those, and the naughty strings that a token can have as its user.
func names(t *testing.T, h *house) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../prompt/testdata/blns/blns.json")
	if err != nil {
		t.Fatal(err)
	}
	var naughty []string
	if err := json.Unmarshal(text, &naughty); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(payloads(), naughty...) {
		_, err := auth.Mint(h.secret, auth.Claims{Subject: name, TTL: time.Hour}, time.Now())
		if err == nil && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	if len(all) < 400 {
		t.Fatalf("%d names only", len(all))
	}
	return all
}

// TestNamesAreText: whatever a user is called, the pages show it as it is, and run
// nothing of it.
func TestNamesAreText(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	all := names(t, h)
	h.crowd(t, all, `[[sim latency=1ms text="Hi"]] Hi`)
	for _, name := range payloads()[:6] {
		h.admin(t, http.MethodPost, "disable", admin.DisableRequest{User: name, Why: name, For: "1h"}, &admin.DisableAnswer{})
	}
	v.signIn(t, h)
	n := &named{v, h, all}
	t.Run("now", n.now)
	t.Run("the list of users", n.list)
	t.Run("each user who means ill", n.each)
	t.Run("a search for each", n.search)
	t.Run("the log", n.log)
	t.Run("the switches", n.switches)
	v.quiet(t, noSession)
}

type named struct {
	*visitor
	h   *house
	all []string
}

func (n *named) now(t *testing.T) {
	var shown []string
	n.until(t, `() => document.querySelectorAll('.page-now .plain .name').length === 6`, nil)
	n.runs(t, `() => [...document.querySelectorAll('.page-now .plain .name')].map((a) => a.textContent)`, nil, &shown)
	same(t, payloads()[:6], shown)
	n.quiet(t, noSession)
}

// same compares two lists whose order does not matter.
func same(t *testing.T, want, got []string) {
	t.Helper()
	want, got = slices.Clone(want), slices.Clone(got)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-there are +shown):\n%s", diff)
	}
}

// list pages through all of them.
func (n *named) list(t *testing.T) {
	n.goes(t, "Users")
	var shown []string
	for at := 1; at <= len(n.all); at += 50 {
		n.until(t, `(at) => document.querySelector('nav[aria-label="Pages of users"] p').textContent.startsWith(at + ' to ')`, at)
		var page []string
		n.runs(t, `() => [...document.querySelectorAll('.page-users tbody a.name')].map((a) => a.textContent)`, nil, &page)
		shown = append(shown, page...)
		if at+50 <= len(n.all) {
			n.click(t, "button", "Next")
		}
	}
	same(t, n.all, shown)
	n.quiet(t)
}

func (n *named) keys(t *testing.T) map[string]string {
	t.Helper()
	var list admin.UserList
	n.h.admin(t, http.MethodGet, "users?limit=1000", nil, &list)
	keys := map[string]string{}
	for _, u := range list.Users {
		keys[u.ID] = u.Key
	}
	return keys
}

func (n *named) each(t *testing.T) {
	keys := n.keys(t)
	for _, name := range payloads() {
		n.runs(t, `(key) => { location.hash = '#/users/' + key }`, keys[name], nil)
		n.until(t, `(name) => document.querySelector('h1').textContent === name && document.querySelectorAll('.page-user .when').length > 0`, name)
	}
	n.quiet(t)
}

func (n *named) search(t *testing.T) {
	n.goes(t, "Users")
	for _, name := range payloads() {
		n.fill(t, "Search users", name)
		n.until(t, `(name) => [...document.querySelectorAll('.page-users tbody a.name')].some((a) => a.textContent === name)`, name)
		n.until(t, `(name) => location.hash.includes('search=')`, name)
	}
	n.fill(t, "Search users", "<img src=y onerror=pwned()> nobody")
	n.sees(t, "Nobody matches “<img src=y onerror=pwned()> nobody”.")
	n.quiet(t)
}

func (n *named) log(t *testing.T) {
	n.goes(t, "Log")
	n.sees(t, "there are older ones")
	var more bool
	for range 10 {
		n.runs(t, `() => !document.querySelector('.page-log > .actions button').hidden`, nil, &more)
		if !more {
			break
		}
		var before int
		n.runs(t, `() => document.querySelectorAll('.when').length`, nil, &before)
		n.click(t, "button", "Older")
		n.until(t, `(n) => document.querySelectorAll('.when').length > n`, before)
	}
	var shown []string
	n.runs(t, `() => [...document.querySelectorAll('.page-log tbody a.name')].map((a) => a.textContent)`, nil, &shown)
	slices.Sort(shown)
	same(t, n.all, slices.Compact(shown))
	n.quiet(t)
}

// switches lets one go again, by the name's own button.
func (n *named) switches(t *testing.T) {
	n.goes(t, "Now")
	n.do(t, move{Do: "click", Role: "button", Name: "Enable…"}, nil)
	n.do(t, move{Do: "seen", CSS: "dialog .name"}, nil)
	n.do(t, move{Do: "click", Role: "button", Name: "Enable", Within: "dialog"}, nil)
	n.until(t, `() => document.querySelectorAll('.page-now .plain .name').length === 5`, nil)
	n.quiet(t)
}
