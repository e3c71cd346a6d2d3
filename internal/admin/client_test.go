package admin_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/admin"
	"keyshield/internal/money"
	"keyshield/internal/secret"
)

// TestClientSaysWhatTheDeskSays, over both doors.
func TestClientSaysWhatTheDeskSays(t *testing.T) {
	o := openOffice(t)
	o.settle(person("ana"), "gpt-6-luna", money.Dollar/3)
	o.settle(person("bob"), "gpt-4.1-mini", 7)
	query := admin.UsageQuery{By: []string{admin.ByUser, admin.ByModel, admin.ByHour}, User: "ana", Top: 5, Since: 24 * hour}
	want := must[admin.UsageReport](t)(o.desk.Usage(t.Context(), query))
	for name, c := range map[string]*admin.Client{"near": o.near(), "far": o.far()} {
		got := must[admin.UsageReport](t)(c.Usage(t.Context(), query))
		want.At, got.At = time.Time{}, time.Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: usage (-desk +client):\n%s", name, diff)
		}
		users := must[admin.UserList](t)(o.desk.Users(t.Context(), admin.UsersQuery{}))
		if diff := cmp.Diff(users, must[admin.UserList](t)(c.Users(t.Context(), admin.UsersQuery{}))); diff != "" {
			t.Errorf("%s: users (-desk +client):\n%s", name, diff)
		}
		var backup bytes.Buffer
		if err := c.Backup(t.Context(), &backup); err != nil || !bytes.Contains(backup.Bytes(), []byte("charge")) {
			t.Errorf("%s: a backup of %d bytes (%v)", name, backup.Len(), err)
		}
		if me := must[admin.WhoAmI](t)(c.WhoAmI(t.Context())); (name == "far") != (me.Address == "127.0.0.1") {
			t.Errorf("%s: %+v", name, me)
		}
		c.Close()
	}
}

// TestTokenIsNotSentElsewhere: wherever a redirect leads to.
func TestTokenIsNotSentElsewhere(t *testing.T) {
	sent := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent++ }))
	defer elsewhere.Close()
	here := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer here.Close()
	c := admin.NewClient(admin.ClientOptions{Base: here.URL, Token: secret.New(token)})
	if _, err := c.Keys(t.Context()); err == nil || sent > 0 || !strings.Contains(err.Error(), "leads elsewhere") {
		t.Errorf("%d requests went elsewhere; %v", sent, err)
	}
}

func TestClientExplainsWhoAnswers(t *testing.T) {
	o := openOffice(t)
	wrong := func(base string) *admin.Client {
		return admin.NewClient(admin.ClientOptions{Base: base, Token: secret.New("another-token-0123456789-0123456789"), Version: "v1"})
	}
	another := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(admin.ProtocolHeader, "99")
		w.Header().Set(admin.VersionHeader, "v99.0.0")
		w.Write([]byte(`{}`))
	}))
	defer another.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }))
	defer page.Close()
	for base, want := range map[string]string{
		o.tcp.URL:            "no door for this ADMIN_TOKEN",
		another.URL:          `keyshield "v99.0.0"`,
		page.URL:             "not as a keyshield does",
		"http://[::1":        "missing ']'",
		"http://127.0.0.1:1": "http://127.0.0.1:1 does not answer: dial tcp",
	} {
		_, err := wrong(base).Switches(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "another-token") {
			t.Errorf("%s: %v, want %q", base, err, want)
		}
	}
	for range 12 {
		_, _ = wrong(o.tcp.URL).Switches(t.Context())
	}
	if _, err := wrong(o.tcp.URL).Switches(t.Context()); err == nil || !strings.Contains(err.Error(), "too many wrong tokens") {
		t.Errorf("after many: %v", err)
	}
	must[admin.SwitchList](t)(o.far().Switches(t.Context()))
}
