package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/sim"
)

// station is a server that can be restarted on its books, and the operator's
// commands beside it and from afar.
type station struct {
	*rig
	t     *testing.T
	env   map[string]string
	token string // ADMIN_TOKEN
	admin string // the key that opens the simulator's books
	dir   string // of the commands
}

func openStation(t *testing.T, extra ...string) *station {
	t.Helper()
	s := &station{t: t, token: "test-door-" + rand.Text() + rand.Text(), admin: "test-books-" + rand.Text(), dir: t.TempDir()}
	fake := sim.New(sim.Options{Key: canary, AdminKey: s.admin})
	back := httptest.NewServer(fake)
	t.Cleanup(func() { fake.Close(); back.Close() })
	s.env = with(with(settings(back.URL), "DATA_DIR="+t.TempDir(), "ADMIN_TOKEN="+s.token, "AUTO_DISABLE=off"), extra...)
	s.rig = launch(t, s.dir, s.env, "serve")
	s.sim, s.back = fake, back
	return s
}

// restart ends the server, if it still runs, and starts another on the same books.
func (s *station) restart() {
	s.t.Helper()
	s.stop()
	before := s.rig
	s.rig = launch(s.t, s.dir, s.env, "serve")
	s.sim, s.back = before.sim, before.back
}

// command runs one beside the server. Each name=value before the command is put into
// its environment.
func (s *station) command(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	env := maps.Clone(s.env)
	for strings.Contains(args[0], "=") {
		env, args = with(env, args[0]), args[1:]
	}
	var set []string
	for name, value := range env {
		set = append(set, name+"="+value)
	}
	code, stdout, stderr = once(s.t, s.dir, args[1:], args[0], set...)
	for _, hidden := range []string{s.token, s.admin} {
		if strings.Contains(stdout+stderr, hidden) {
			s.t.Errorf("keyshield %s shows a secret:\n%s%s", strings.Join(args, " "), stdout, stderr)
		}
	}
	return code, stdout, stderr
}

// ok is what a command says that must succeed.
func (s *station) ok(args ...string) string {
	s.t.Helper()
	code, stdout, stderr := s.command(args...)
	if code != exitOK {
		s.t.Fatalf("keyshield %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// afar runs a command that has nothing of the server's but its address and a token.
func (s *station) afar(token string, args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	return once(s.t, s.t.TempDir(), append(args[1:], "--server", s.url), args[0], "ADMIN_TOKEN="+token)
}

// asks is what a user's request comes to.
func (s *station) asks(user string) string {
	s.t.Helper()
	got := s.ask("hello", "Authorization: Bearer "+s.rig.token(user))
	if got.status == http.StatusOK {
		return ""
	}
	return got.problem(s.t).Code
}

// refusedWithin fails unless a user is refused in time.
func (s *station) refusedWithin(user string, patience time.Duration) {
	s.t.Helper()
	if !eventually(s.t, patience, func() bool { return s.asks(user) == "disabled" }) {
		s.t.Errorf("%s may still ask after %v", user, patience)
	}
}

// streaming opens a long stream of a user's, and returns what comes of it once it
// has begun.
func (s *station) streaming(user string) (ended <-chan []event) {
	s.t.Helper()
	req := s.request("/api/generate-text", promptBody(`[[sim chunks=5000 pace=20ms]] count`), "Authorization: Bearer "+s.rig.token(user), "Accept: text/event-stream")
	ctx, cancel := context.WithTimeout(req.Context(), time.Minute)
	s.t.Cleanup(cancel)
	resp, err := s.web.Do(req.WithContext(ctx))
	if err != nil {
		s.t.Fatal(err)
	}
	first := make([]byte, len(": open\n\ndata: "))
	if _, err := io.ReadFull(resp.Body, first); err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("the stream begins with %d %q (%v)", resp.StatusCode, first, err)
	}
	end := make(chan []event, 1)
	go func() {
		defer resp.Body.Close()
		all, _, _ := events(io.MultiReader(strings.NewReader("data: "), resp.Body))
		end <- all
	}()
	return end
}

const promised = 2 * time.Second

// endsDisabled fails unless a stream ends in time, with an error event.
func (s *station) endsDisabled(stream <-chan []event) {
	s.t.Helper()
	select {
	case all := <-stream:
		var told problem
		last := all[len(all)-1]
		if err := json.Unmarshal([]byte(last.data), &told); err != nil || last.name != "error" || told.Code != "disabled" {
			s.t.Errorf("the stream ends with %+v, want an error event with the code disabled", last)
		}
	case <-time.After(promised):
		s.t.Errorf("the stream goes on after %v", promised)
	}
}

func TestDrillDisabledUserIsRefusedAtOnceAndAfterARestart(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	if s.asks("bob") != "" || s.asks("ana") != "" {
		t.Fatal("somebody is refused before anybody was disabled")
	}
	stream, others := s.streaming("bob"), s.streaming("ana")
	said := s.ok("disable", "--user", "bob", "--why", "a stolen token")
	for _, want := range []string{"The user bob is disabled until you enable it.", "Streams under way end within two seconds", "To undo it: keyshield enable --user bob\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("disable does not say %q:\n%s", want, said)
		}
	}
	s.endsDisabled(stream)
	s.refusedWithin("bob", promised)
	if got := s.asks("ana"); got != "" {
		t.Errorf("another user gets %q", got)
	}
	select {
	case all := <-others:
		t.Errorf("another user's stream ended with %+v", all[len(all)-1])
	default:
	}
	s.restart()
	if got := s.asks("bob"); got != "disabled" {
		t.Errorf("after a restart the user gets %q, want disabled", got)
	}
	s.ok("enable", "--user", "bob")
	if got := s.asks("bob"); got != "" {
		t.Errorf("enabled, and still %q", got)
	}
	for _, want := range []string{"disable user:bob (key ", "): a stolen token", "enable user:bob (key "} {
		if log := s.ok("audit", "--kind", "operator"); !strings.Contains(log, want) {
			t.Errorf("the audit log does not tell %q:\n%s", want, log)
		}
	}
}

func TestEverythingIsStoppedAndGoesOn(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	stream := s.streaming("bob")
	if said := s.ok("disable", "--everything", "--for", "1h", "--why", "a test"); !strings.Contains(said, "Everything is disabled until 2") || !strings.Contains(said, "enable --everything") {
		t.Errorf("said %q", said)
	}
	s.endsDisabled(stream)
	s.ask("hello").wants(t, http.StatusServiceUnavailable, "disabled")
	s.ok("enable", "--everything")
	if got := s.asks("bob"); got != "" {
		t.Errorf("everything runs, and bob gets %q", got)
	}
}

func TestDisableWithoutAServerHoldsWhenItStarts(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	if got := s.asks("bob"); got != "" {
		t.Fatalf("bob gets %q", got)
	}
	s.stop()
	if said := s.ok("disable", "--user", "bob"); !strings.Contains(said, "from the next start of the server on") {
		t.Errorf("it does not say that no server runs:\n%s", said)
	}
	if code, _, stderr := s.command("disable", "--user", strings.Repeat("x", 201)); code != exitFailed || !strings.Contains(stderr, " --issuer none") || !strings.Contains(stderr, " --issuer <iss>") {
		t.Errorf("of whose tokens so long an id is nobody knows: %d %s", code, stderr)
	}
	if said := s.ok("disable", "--user", "eve"); !strings.Contains(said, "Nobody of that name has asked anything here yet") {
		t.Errorf("it does not say that nobody has seen eve:\n%s", said)
	}
	s.restart()
	for _, user := range []string{"bob", "eve"} {
		if got := s.asks(user); got != "disabled" {
			t.Errorf("%s gets %q, want disabled", user, got)
		}
	}
}

func TestDisableEndsByItself(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	s.ok("disable", "--user", "bob", "--issuer", "none", "--for", "2s")
	s.refusedWithin("bob", promised)
	if !eventually(t, 10*time.Second, func() bool { return s.asks("bob") == "" }) {
		t.Error("a disable for two seconds goes on after ten")
	}
}

func TestDisableFromAfar(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	code, stdout, stderr := s.afar(strings.Repeat("wrong-", 8), "disable", "--user", "bob")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "no door for this ADMIN_TOKEN") {
		t.Errorf("with a wrong token: %d %q %q", code, stdout, stderr)
	}
	if got := s.asks("bob"); got != "" {
		t.Errorf("a wrong token stopped bob (%s)", got)
	}
	code, stdout, stderr = s.afar(s.token, "disable", "--user", "bob")
	if undo := "keyshield enable --user bob --server " + shellWord(s.url); code != exitOK || !strings.Contains(stdout, undo) {
		t.Errorf("%d %q %q, want to be told %q", code, stdout, stderr, undo)
	}
	s.refusedWithin("bob", promised)
	code, stdout, stderr = s.afar(s.token, "disable", "--user", "bob", "--json")
	var answer admin.DisableAnswer
	if err := json.Unmarshal([]byte(stdout), &answer); code != exitOK || err != nil || answer.Disabled == nil || !answer.Seen {
		t.Errorf("%d %v %s%s", code, err, stdout, stderr)
	}
}

func TestDisableAsksForOneOfSeveral(t *testing.T) {
	o := openOffice(t, nil)
	for _, issuer := range []string{"https://one.example", "https://two.example"} {
		u := person("1")
		u.Key, u.Issuer = "pseudonym-at-"+issuer[8:11], issuer
		o.settle(u, "gpt-6-luna", 1)
	}
	code, _, stderr := o.run("disable", "--user", "1", "--for", "1h", "--why", "two of them")
	if want := "keyshield disable --user pseudonym-at-two --for 1h --why 'two of them'   (of https://two.example)"; code != exitFailed || !strings.Contains(stderr, want) {
		t.Errorf("%d %q, want %q", code, stderr, want)
	}
	if said := o.ok("disable", "--user", "1", "--issuer", "https://one.example"); !strings.Contains(said, "is disabled") {
		t.Errorf("said %q", said)
	}
}

func TestDisableOfNothingSaysSo(t *testing.T) {
	o := openOffice(t, nil)
	for _, c := range []struct {
		args []string
		told string
	}{
		{nil, "say whom"},
		{[]string{"--user", ""}, "say whom"},
		{[]string{"--user", "bob", "--everything"}, "say whom"},
		{[]string{"--everything", "--issuer", "x"}, "an issuer belongs to a user"},
		{[]string{"--user", "bob", "--for", "soon"}, "no time to stay disabled"},
		{[]string{"--user", "bob", "--for", "-1h"}, "no time to stay disabled"},
		{[]string{"bob"}, "unexpected argument"},
	} {
		code, stdout, stderr := o.run(append([]string{"disable"}, c.args...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.told) {
			t.Errorf("disable %v: %d %q %q, want %q", c.args, code, stdout, stderr, c.told)
		}
	}
	if said := o.ok("usage"); strings.Contains(said, "Stopped:") {
		t.Errorf("something is stopped:\n%s", said)
	}
}
