package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/secret"
	"keyshield/internal/sim"
	"keyshield/internal/upstream"
)

// newKey is a key like the simulator's, and no other test's.
func newKey() string { return "test-key-" + rand.Text() }

// provider is a simulator that takes these keys.
func provider(t testing.TB, keys ...string) (*sim.Sim, *httptest.Server) {
	t.Helper()
	s := sim.New(sim.Options{})
	s.Accept(keys...)
	back := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); back.Close() })
	return s, back
}

// revoke makes the simulator take these keys alone, as its users do.
func revoke(t testing.TB, back *httptest.Server, left ...string) {
	t.Helper()
	body, err := json.Marshal(map[string][]string{"accept": left})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(back.URL+"/_sim/keys", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Fatalf("/_sim/keys answers %d", resp.StatusCode)
	}
}

// withKeys runs serve before back, with an operator's door and no OPENAI_API_KEY but
// what extra says.
func withKeys(t testing.TB, s *sim.Sim, back *httptest.Server, extra ...string) *operated {
	t.Helper()
	o := &operated{data: t.TempDir()}
	env := with(settings(back.URL), append([]string{"OPENAI_API_KEY", "ADMIN_TOKEN=" + adminToken, "DATA_DIR=" + o.data}, extra...)...)
	o.rig = launch(t, t.TempDir(), env, "serve")
	o.sim, o.back = s, back
	return o
}

// keyUsed is the key of the last prompt that reached the simulator; keys are tried
// with other calls.
func (r *rig) keyUsed() string {
	r.t.Helper()
	for _, q := range slices.Backward(r.sim.Requests()) {
		if q.Method == http.MethodPost {
			return strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer ")
		}
	}
	r.t.Fatal("nothing reached OpenAI")
	return ""
}

// answeredUnder asks, and must be answered under this key.
func (r *rig) answeredUnder(key string) {
	r.t.Helper()
	r.ask("hi").wants200(r.t, jsonForm)
	if r.keyUsed() != key {
		r.t.Errorf("OpenAI was asked under another key")
	}
}

// severalKeysTakeTurns: the first is used, and the next one when it is revoked,
// without a request that fails. Neither is ever shown.
func severalKeysTakeTurns(t *testing.T) {
	for _, between := range []string{",", " , ", "\n"} {
		first, second := newKey(), newKey()
		s, back := provider(t, first, second)
		o := withKeys(t, s, back, "OPENAI_API_KEYS="+first+between+second)
		o.answeredUnder(first)
		revoke(t, back, second)
		o.answeredUnder(second)
		o.answeredUnder(second)
		// A refused key is asked about once more, aside, before it is put away.
		var keys []admin.Key
		if !eventually(t, 10*time.Second, func() bool {
			keys = told[admin.KeyList](o, "keys").Keys
			return len(keys) == 2 && keys[0].State == upstream.Quarantined && keys[1].State == upstream.Active && keys[1].Fingerprint == upstream.Fingerprint(secret.New(second))
		}) {
			t.Errorf("the keys are told as %+v", keys)
		}
		if shown := o.log.String() + fmt.Sprint(keys); strings.Contains(shown, first) || strings.Contains(shown, second) {
			t.Error("a key is shown")
		}
		o.log.wait(t, "the line about the refused key", func(text string) bool { return strings.Contains(text, `"event":"rejected"`) })
	}
	// Besides OPENAI_API_KEY, which comes first.
	own, other := newKey(), newKey()
	s, back := provider(t, own, other)
	o := withKeys(t, s, back, "OPENAI_API_KEY="+own, "OPENAI_API_KEYS="+other+","+own)
	o.answeredUnder(own)
	if keys := told[admin.KeyList](o, "keys").Keys; len(keys) != 2 {
		t.Errorf("a key named twice makes %d", len(keys))
	}
}

// fakeDoppler gives one config's secrets to whoever has its token.
type fakeDoppler struct {
	*httptest.Server
	token string

	mu    sync.Mutex
	gives string // the whole answer
	asked int
}

func newFakeDoppler(t testing.TB, key string) *fakeDoppler {
	t.Helper()
	v := &fakeDoppler{token: "test-doppler-" + rand.Text()}
	v.give(key)
	v.Server = httptest.NewServer(http.HandlerFunc(v.answer))
	t.Cleanup(v.Close)
	return v
}

func (v *fakeDoppler) answer(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	q := r.URL.Query()
	switch {
	case r.URL.Path != "/v3/configs/config/secrets/download", r.Method != http.MethodGet:
		w.WriteHeader(http.StatusNotFound)
	case r.Header.Get("Authorization") != "Bearer "+v.token, q.Get("project") != "backend", q.Get("config") != "prd":
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, v.gives)
	}
}

func (v *fakeDoppler) give(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gives = fmt.Sprintf(`{"OPENAI_API_KEY":%q,"SOMETHING_ELSE":"x"}`, key)
}

func (v *fakeDoppler) times() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked
}

// settings for a server whose keys come from here.
func (v *fakeDoppler) settings(more ...string) []string {
	return append([]string{"OPENAI_KEY_SOURCE=doppler:backend/prd", "OPENAI_KEY_SOURCE_URL=" + v.URL, "DOPPLER_TOKEN=" + v.token}, more...)
}

// keysComeFromTheSource, at its address, with its token; without the right ones
// there is no server.
func keysComeFromTheSource(t *testing.T) {
	key := newKey()
	s, back := provider(t, key)
	v := newFakeDoppler(t, key)
	o := withKeys(t, s, back, v.settings()...)
	o.answeredUnder(key)
	if keys := told[admin.KeyList](o, "keys").Keys; len(keys) != 1 || keys[0].Source != "doppler:backend/prd" {
		t.Errorf("the keys are told as %+v", keys)
	}
	for name, wrong := range map[string]string{
		"another token":   "DOPPLER_TOKEN=test-doppler-" + rand.Text(),
		"another config":  "OPENAI_KEY_SOURCE=doppler:backend/stg",
		"another address": "OPENAI_KEY_SOURCE_URL=" + back.URL,
	} {
		env := with(settings(back.URL), append(v.settings("OPENAI_API_KEY", "DATA_DIR="+t.TempDir()), wrong)...)
		var environ []string
		for name, value := range env {
			environ = append(environ, name+"="+value)
		}
		log := newLogbook("a log of " + t.Name())
		if code := run(t.Context(), process{args: []string{"serve"}, dir: t.TempDir(), environ: environ, stdout: log, stderr: log}); code != exitFailed || !strings.Contains(log.String(), "the keys for OpenAI: doppler:backend/") {
			t.Errorf("%s: exit code %d:\n%s", name, code, log)
		}
		if strings.Contains(log.String(), v.token) || strings.Contains(log.String(), strings.TrimPrefix(wrong, "DOPPLER_TOKEN=test-")) && strings.HasPrefix(wrong, "DOPPLER") {
			t.Errorf("%s: the log holds the token:\n%s", name, log)
		}
	}
}

// keysAreReadAgain as often as KEY_REFRESH says, and a new one is taken up then.
func keysAreReadAgain(t *testing.T) {
	old, fresh := newKey(), newKey()
	s, back := provider(t, old, fresh)
	often, seldom := newFakeDoppler(t, old), newFakeDoppler(t, old)
	o := withKeys(t, s, back, often.settings("KEY_REFRESH=1s")...)
	other := withKeys(t, s, back, seldom.settings("KEY_REFRESH=1h")...)
	o.answeredUnder(old)
	often.give(fresh)
	seldom.give(fresh)
	o.log.wait(t, "the new key", func(text string) bool { return strings.Contains(text, `"event":"rotated"`) })
	o.answeredUnder(fresh)
	eventually(t, 10*time.Second, func() bool { return often.times() >= 3 })
	if often.times() < 3 || seldom.times() != 1 {
		t.Errorf("asked %d times each second, and %d times each hour", often.times(), seldom.times())
	}
	other.answeredUnder(old)
	other.does("keys/reload", "{}") // at once, when the operator says so
	other.answeredUnder(fresh)
	if text := o.log.String() + other.log.String(); strings.Contains(text, old) || strings.Contains(text, fresh) || strings.Contains(text, often.token) {
		t.Error("a log holds a secret")
	}
}

// TestKeyFilesAreReadAgain when they change, without a restart; and a file that is no
// key any more changes nothing.
func TestKeyFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"OPENAI_API_KEY_FILE", "OPENAI_API_KEYS_FILE"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, fresh := newKey(), newKey()
			s, back := provider(t, old, fresh)
			dir := t.TempDir()
			path := write(t, dir, "key", old+"\n")
			o := withKeys(t, s, back, name+"="+path, "KEY_REFRESH=1s")
			o.answeredUnder(old)
			if err := os.Rename(write(t, dir, "next", fresh+"\n"), path); err != nil {
				t.Fatal(err)
			}
			o.log.wait(t, "the new key", func(text string) bool { return strings.Contains(text, `"event":"rotated"`) })
			revoke(t, back, fresh)
			o.answeredUnder(fresh)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if got := o.admin("POST", "keys/reload", "{}"); got.status != 502 || !strings.Contains(got.body, "keys_unchanged") {
				t.Errorf("without the file: %d %s", got.status, got.body)
			}
			o.answeredUnder(fresh)
			if text := o.log.String(); strings.Contains(text, old) || strings.Contains(text, fresh) {
				t.Error("the log holds a key")
			}
		})
	}
}

// TestKeysInTheEnvironmentCannotBeReadAgain, and whoever asks for it is told so.
func TestKeysInTheEnvironmentCannotBeReadAgain(t *testing.T) {
	t.Parallel()
	o := operate(t)
	if got := o.admin("POST", "keys/reload", "{}"); got.status != 409 || !strings.Contains(got.body, "fixed_keys") {
		t.Errorf("%d %s, want 409 fixed_keys: a new key in .env would seem to be in force", got.status, got.body)
	}
}

// TestAReloadTriesRefusedKeys at once, also where they never change: OpenAI takes them
// again, and nobody waits for the next try.
func TestAReloadTriesRefusedKeys(t *testing.T) {
	// Else a signal that no server listens for yet would end the tests. Those beside this
	// one would hear it, too: it runs alone.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for from, setting := range map[string]func(key string) string{
		"environment": func(key string) string { return "OPENAI_API_KEY=" + key },
		"file":        func(key string) string { return "OPENAI_API_KEY_FILE=" + write(t, t.TempDir(), "key", key) },
	} {
		for how, reload := range map[string]func(*operated){
			"admin": func(o *operated) { o.does("keys/reload", "{}") },
			"SIGHUP": func(o *operated) {
				self, err := os.FindProcess(os.Getpid())
				if err == nil {
					err = self.Signal(syscall.SIGHUP)
				}
				if err != nil {
					o.t.Fatal(err)
				}
			},
		} {
			t.Run(from+" "+how, func(t *testing.T) {
				key := newKey()
				s, back := provider(t, key)
				o := withKeys(t, s, back, setting(key))
				is := func(state string) bool {
					return eventually(t, 10*time.Second, func() bool { return told[admin.KeyList](o, "keys").Keys[0].State == state })
				}
				revoke(t, back, newKey())
				o.ask("hi")
				if !is(upstream.Quarantined) {
					t.Fatal("a key that OpenAI refuses stays in use")
				}
				reload(o)
				if !is(upstream.Quarantined) {
					t.Error("a key that OpenAI still refuses is in use")
				}
				revoke(t, back, key)
				reload(o)
				if !is(upstream.Active) {
					t.Error("a key that OpenAI takes again is not tried")
				}
				o.answeredUnder(key)
			})
		}
	}
}

// TestKeysOfAVaultAreKnownByTheirAge over restarts: most vaults do not tell it.
func TestKeysOfAVaultAreKnownByTheirAge(t *testing.T) {
	t.Parallel()
	key := newKey()
	s, back := provider(t, key)
	data := t.TempDir()
	const made = "2026-01-02T03:04:05Z"
	write(t, data, keyAges, fmt.Sprintf(`{%q:%q}`, upstream.Fingerprint(secret.New(key)), made))
	o := withKeys(t, s, back, "DATA_DIR="+data, "OPENAI_API_KEY_FILE="+write(t, t.TempDir(), "key", key))
	keys := told[admin.KeyList](o, "keys").Keys
	if len(keys) != 1 || keys[0].Since == nil || keys[0].Since.Format(time.RFC3339) != made {
		t.Errorf("the keys are told as %+v", keys)
	}
	if kept, err := os.ReadFile(filepath.Join(data, keyAges)); err != nil || strings.Contains(string(kept), key) {
		t.Errorf("%s: %v %s", keyAges, err, kept)
	}
}
