package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// drillVault is somebody's vault, as Doppler's API is one.
type drillVault struct {
	url    string
	answer atomic.Pointer[http.HandlerFunc]
}

const vaultToken = "test-doppler-token-of-the-drill"

func openVault(t *testing.T, key string) *drillVault {
	t.Helper()
	v := &drillVault{}
	v.holds(key)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+vaultToken || r.FormValue("project") != "backend" || r.FormValue("config") != "prd" {
			t.Errorf("the vault was asked for %s", r.URL)
		}
		(*v.answer.Load())(w, r)
	}))
	t.Cleanup(web.Close)
	v.url = web.URL
	return v
}

// does has the vault answer so from now on.
func (v *drillVault) does(h http.HandlerFunc) { v.answer.Store(&h) }

func (v *drillVault) says(status int, text string) {
	v.does(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, text)
	})
}

func (v *drillVault) holds(key string) {
	text, err := json.Marshal(map[string]string{"OPENAI_API_KEY": key})
	if err != nil {
		panic(err)
	}
	v.says(http.StatusOK, string(text))
}

// settings are a server's that has its keys from the vault.
func (v *drillVault) settings(more ...string) []string {
	return append([]string{"BREAKER", "OPENAI_API_KEY", "OPENAI_KEY_SOURCE=doppler:backend/prd", "OPENAI_KEY_SOURCE_URL=" + v.url, "DOPPLER_TOKEN=" + vaultToken}, more...)
}

// trouble is a way in which a vault fails.
type trouble struct {
	name string
	does func(*drillVault)
	why  string // in the alert
}

func troubles() []trouble {
	const rubbish = "test-key-1-in-the-middle-of-rubbish"
	says := func(status int, text string) func(*drillVault) {
		return func(v *drillVault) { v.says(status, text) }
	}
	return []trouble{
		{"down", says(http.StatusInternalServerError, rubbish), "500"},
		{"locked", says(http.StatusForbidden, rubbish), "403"},
		{"rubbish", says(http.StatusOK, "<html>"+rubbish), "not what it should be"},
		{"half", says(http.StatusOK, `{"OPENAI_API_KEY":"`+rubbish), "JSON"},
		{"empty", says(http.StatusOK, `{}`), "no key"},
		{"empty list", says(http.StatusOK, `{"OPENAI_API_KEYS":[]}`), "no key"},
		{"a key that OpenAI refuses", func(v *drillVault) { v.holds(rubbish) }, "401"},
		{"hangs up", func(v *drillVault) {
			v.does(func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
		}, "broke off"},
	}
}

// TestDrillKeySourceInTrouble: whatever a vault does, the last good key stays in use,
// and the operator is told once; and once when it is good again.
func TestDrillKeySourceInTrouble(t *testing.T) {
	t.Parallel()
	vault := openVault(t, canary)
	d := openDrill(t, vault.settings("KEY_REFRESH=1h")...)
	d.secret = append(d.secret, "test-key-1-in-the-middle-of-rubbish")
	for i, w := range troubles() {
		w.does(vault)
		for range 3 {
			if list, err := d.desk.ReloadKeys(t.Context()); err == nil {
				t.Errorf("%s: read again, the keys are %+v", w.name, list)
			}
			if said := d.ask(d.caller(fmt.Sprint("user-", i), 1), drillForms()[i%7], "hello"); said != "ok" {
				t.Errorf("%s: a request comes to %q", w.name, said)
			}
		}
		d.told.wait("source_failed", i+1)
		if a := d.told.of("source_failed")[i]; a.field("Source") != "doppler:backend/prd" || !strings.Contains(a.field("Why"), w.why) {
			t.Errorf("%s: told %s; want %q", w.name, a.body, w.why)
		}
		vault.holds(canary)
		for range 2 {
			if _, err := d.desk.ReloadKeys(t.Context()); err != nil {
				t.Errorf("%s is over: %v", w.name, err)
			}
		}
		d.told.wait("source_back", i+1)
	}
	d.over(map[string]int{"source_failed": len(troubles()), "source_back": len(troubles())})
}

// TestDrillKeySourceHangs: nobody waits for a vault that does not answer; and that the
// operator lost his patience is not its fault.
func TestDrillKeySourceHangs(t *testing.T) {
	if testing.Short() {
		t.Skip("a vault has fifteen seconds to answer")
	}
	t.Parallel()
	vault := openVault(t, canary)
	d := openDrill(t, vault.settings("KEY_REFRESH=1h")...)
	vault.does(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })

	hasty, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := d.desk.ReloadKeys(hasty); err == nil {
		t.Error("a vault that hangs gave keys")
	}
	failed := make(chan error, 1)
	go func() { _, err := d.desk.ReloadKeys(t.Context()); failed <- err }()
	asked := 0
	for waiting := true; waiting; asked++ {
		select {
		case err := <-failed:
			waiting = false
			if err == nil || !strings.Contains(err.Error(), "in time") {
				t.Errorf("a vault that hangs: %v", err)
			}
		case <-time.After(500 * time.Millisecond):
			if said := d.ask(d.caller(fmt.Sprint("user-", asked), asked), drillForms()[asked%7], "hello"); said != "ok" {
				t.Errorf("meanwhile a request comes to %q", said)
			}
			if asked == 4 && d.told.kinds()["source_failed"] > 0 {
				t.Error("an operator who does not wait for an answer is told that there was none")
			}
		}
	}
	d.told.wait("source_failed", 1)
	vault.holds(canary)
	if _, err := d.desk.ReloadKeys(t.Context()); err != nil {
		t.Error(err)
	}
	d.over(map[string]int{"source_failed": 1, "source_back": 1})
}

// TestDrillTwoKeyFilesInTrouble: of two files one is gone, is back, and is gone again.
// Each is news.
func TestDrillTwoKeyFilesInTrouble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, more := filepath.Join(dir, "one"), filepath.Join(dir, "more")
	second := "test-key-" + rand.Text() + rand.Text()
	replaceFile(t, one, canary)
	replaceFile(t, more, second)
	d := openDrillOf(t, []string{second}, "BREAKER", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE="+one, "OPENAI_API_KEYS_FILE="+more, "KEY_REFRESH=1h")
	for i := range 2 {
		if err := os.Remove(more); err != nil {
			t.Fatal(err)
		}
		if _, err := d.desk.ReloadKeys(t.Context()); err == nil {
			t.Error("a file is gone, and nobody says so")
		}
		d.told.wait("source_failed", i+1)
		if said := d.ask(d.caller("ana", 1), drillForms()[0], "hello"); said != "ok" {
			t.Errorf("a request comes to %q", said)
		}
		replaceFile(t, more, second)
		if _, err := d.desk.ReloadKeys(t.Context()); err != nil {
			t.Error(err)
		}
		d.told.wait("source_back", i+1)
	}
	d.over(map[string]int{"source_failed": 2, "source_back": 2})
}
