package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/limit"
)

func from(peer string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/admin/api/whoami", nil)
	r.RemoteAddr = peer
	r.Header.Set("Authorization", "Bearer operators-own-token")
	r.Header.Set("Cookie", "__Secure-keyshield=operators-own-session")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func TestWhoAmIListsTheLinesThatWouldFit(t *testing.T) {
	const me = "203.0.113.7"
	for name, c := range map[string]struct {
		peer    string
		headers []string
		want    string // "mode=address" in their order
	}{
		"nobody in front":    {me + ":1234", nil, "none=" + me},
		"fly":                {"172.16.3.2:1", []string{"Fly-Client-Ip: " + me}, "fly=" + me + " none=172.16.3.2"},
		"railway":            {"100.64.0.5:1", []string{"X-Real-Ip: " + me, "X-Forwarded-For: " + me}, "railway=" + me + " 1=" + me + " none=100.64.0.5"},
		"render":             {"10.1.2.3:1", []string{"Cf-Connecting-Ip: " + me, "X-Forwarded-For: " + me + ", 162.158.1.1"}, "render=" + me + " 1=162.158.1.1 2=" + me + " none=10.1.2.3"},
		"cloudflare":         {"162.158.1.1:1", []string{"Cf-Connecting-Ip: " + me}, "cloudflare=" + me + " none=162.158.1.1"},
		"caddy":              {"172.20.0.2:1", []string{"X-Forwarded-For: " + me}, "1=" + me + " none=172.20.0.2"},
		"a forged beginning": {"172.20.0.2:1", []string{"X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: " + me}, "1=" + me + " 2=1.2.3.4 none=172.20.0.2"},
		"an own header":      {"192.0.2.1:1", []string{"X-Real-Ip: " + me}, "header:X-Real-Ip,192.0.2.1/32=" + me + " none=192.0.2.1"},
		"twice":              {"172.16.3.2:1", []string{"Fly-Client-Ip: " + me, "Fly-Client-Ip: 1.2.3.4"}, "none=172.16.3.2"},
		"rubbish":            {"[2001:db8::1]:1", []string{"X-Forwarded-For: unknown, <script>"}, "none=2001:db8::1"},
		"mapped":             {"[::ffff:203.0.113.7]:1", nil, "none=" + me},
	} {
		got := whoAmI(from(c.peer, c.headers...), netip.Addr{}, limit.Trust{})
		var all []string
		for _, f := range got.Fits {
			all = append(all, f.TrustedProxy+"="+f.Address)
			if _, err := limit.ParseTrust(f.TrustedProxy); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if f.InForce != (f.TrustedProxy == "none") {
				t.Errorf("%s: %s is in force: %t", name, f.TrustedProxy, f.InForce)
			}
		}
		if diff := cmp.Diff(c.want, strings.Join(all, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWhoAmIShowsNoCredential(t *testing.T) {
	got := whoAmI(from("203.0.113.7:1", "X-Forwarded-For: "+strings.Repeat("x", 5000), "Proxy-Authorization: Basic c2VjcmV0", "X-Api-Key: secret"), netip.MustParseAddr("203.0.113.7"), limit.Trust{})
	text := fmt.Sprintf("%+v", got)
	for _, hidden := range []string{"operators-own", "c2VjcmV0", "secret"} {
		if strings.Contains(text, hidden) {
			t.Errorf("%q is shown: %.300s", hidden, text)
		}
	}
	if len(text) > 2000 || got.Address != "203.0.113.7" || got.Peer != "203.0.113.7" || got.TrustedProxy != "none" {
		t.Errorf("%d bytes: %.300s", len(text), text)
	}
}
