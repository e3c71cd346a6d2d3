package server

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5/middleware"

	"keyshield/internal/limit"
)

func mustTrust(t testing.TB, text string) limit.Trust {
	t.Helper()
	trust, err := limit.ParseTrust(text)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

// keyed answers with the key that a request counts under. peer takes the place of
// the connection's own address, which is always loopback here.
func keyed(t testing.TB, trust, peer string) http.Handler {
	answer := clientIP(mustTrust(t, trust))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, wide := limit.AddrKeys(middleware.GetClientIPAddr(r.Context()))
		io.WriteString(w, strings.TrimSpace(key+" "+wide))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer != "" {
			r.RemoteAddr = peer
		}
		answer.ServeHTTP(w, r)
	})
}

// askKey sends headers over a real connection and returns the key they count under.
func askKey(t *testing.T, client *http.Client, url string, headers http.Header) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headers
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%v: %v", headers, err)
	}
	defer resp.Body.Close()
	key, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v: %s %v", headers, resp.Status, err)
	}
	return string(key)
}

// spoofs are the forwarding headers of a client that would be someone else.
func spoofs() []http.Header {
	values := []string{
		"", " ", ",", "198.51.100.7", "127.0.0.1", "10.0.0.1", "100.64.0.1", "172.16.0.1", "173.245.48.1", "::1", "2001:db8::7", "::ffff:10.0.0.1", "::ffff:198.51.100.7",
		"198.51.100.7, 10.0.0.1", "10.0.0.1,10.0.0.2,10.0.0.3", ",,,198.51.100.7,,,", "198.51.100.7:1234", "[2001:db8::7]:443", "[2001:db8::7]", "fe80::1%eth0", "10.0.0.1%0",
		"unknown", "_hidden", "for=198.51.100.7", "localhost", "0x0a000001", "167772161", "010.000.000.001", "10.0.0.1/8", "198.51.100.7;10.0.0.1", "\"10.0.0.1\"", "198.51.100.7\t",
		"999.1.1.1", "1.2.3", "é", strings.Repeat("10.0.0.1, ", 500), strings.Repeat(",", 2000), strings.Repeat("a", 4000),
	}
	names := []string{"X-Forwarded-For", "X-Real-Ip", "Cf-Connecting-Ip", "Fly-Client-Ip", "True-Client-Ip", "X-Client-Ip", "Forwarded", "X-Forwarded", "X-Forwarded-Host", "X-Cluster-Client-Ip", "X_Forwarded_For", "X-Original-Forwarded-For"}
	var all []http.Header
	for _, v := range values {
		every, twice := http.Header{}, http.Header{}
		for _, name := range names {
			all = append(all, http.Header{name: {v}})
			every[name] = []string{v}
			twice[name] = []string{"198.51.100.8", v, v}
		}
		all = append(all, every, twice)
	}
	return all
}

// viaProxy is what a proxy makes of a client's headers: it sets one of its own, or
// appends to X-Forwarded-For as each hop does.
func viaProxy(headers http.Header, set, client string, hops ...string) http.Header {
	out := maps.Clone(headers)
	if set != "" {
		out[set] = []string{client}
	}
	for _, hop := range append([]string{client}, hops...) {
		out["X-Forwarded-For"] = append(out["X-Forwarded-For"][:len(out["X-Forwarded-For"]):len(out["X-Forwarded-For"])], hop)
	}
	return out
}

func TestSpoofedForwardingHeadersNeverChangeTheKey(t *testing.T) {
	const v4, v6, v6keys = "203.0.113.9", "2001:db8:1:2:3::9", "2001:db8:1:2::/64 2001:db8:1::/48"
	for _, tt := range []struct {
		trust, peer, set string // "": the proxy appends to X-Forwarded-For alone
		client, key      string
		hops             []string
		direct           bool // the client is the peer: nothing stands between
	}{
		{trust: "none", peer: "203.0.113.9:5", key: v4, direct: true},
		{trust: "none", peer: "[2001:db8:1:2:3::9]:5", key: v6keys, direct: true},
		{trust: "none", peer: "[::ffff:203.0.113.9]:5", key: v4, direct: true},
		{trust: "none", peer: "[fe80::1%eth0]:5", key: "fe80::/64 fe80::/48", direct: true},
		{trust: "none", peer: "10.0.0.9:5", set: "Cf-Connecting-Ip", client: v4, key: "10.0.0.9"},

		{trust: "render", peer: "10.0.0.9:5", set: "Cf-Connecting-Ip", client: v4, hops: []string{"172.70.1.1"}, key: v4},
		{trust: "render", peer: "10.0.0.9:5", set: "Cf-Connecting-Ip", client: v6, hops: []string{"172.70.1.1"}, key: v6keys},
		{trust: "render", peer: "203.0.113.9:5", key: v4, direct: true},
		{trust: "railway", peer: "100.64.0.3:5", set: "X-Real-Ip", client: v4, key: v4},
		{trust: "railway", peer: "[fd12::9]:5", key: "fd12::/64 fd12::/48", direct: true},
		{trust: "fly", peer: "172.16.3.2:5", set: "Fly-Client-Ip", client: v6, hops: []string{"66.241.124.230"}, key: v6keys},
		{trust: "fly", peer: "[fdaa:0:1::3]:5", key: "fdaa:0:1::/64 fdaa:0:1::/48", direct: true},
		{trust: "cloudflare", peer: "172.70.1.1:5", set: "Cf-Connecting-Ip", client: v4, key: v4},
		{trust: "cloudflare", peer: "[2606:4700::5]:5", set: "Cf-Connecting-Ip", client: v4, key: v4},
		{trust: "cloudflare", peer: "203.0.113.9:5", key: v4, direct: true},
		{trust: "header:X-Client-IP,127.0.0.0/8", set: "X-Client-Ip", client: v4, key: v4}, // the true peer
		{trust: "header:X-Client-IP,192.0.2.0/24", key: "127.0.0.1", direct: true},

		{trust: "heroku", peer: "10.1.2.3:5", client: v4, key: v4},
		{trust: "cloudrun", peer: "169.254.1.1:5", client: v6, key: v6keys},
		{trust: "2", peer: "10.1.2.3:5", client: v4, hops: []string{"172.70.1.1"}, key: v4},
		{trust: "3", peer: "10.1.2.3:5", client: v4, hops: []string{"172.70.1.1", "10.0.0.7"}, key: v4},
		{trust: "10.0.0.0/8,::1/128", peer: "10.1.2.3:5", client: v4, key: v4},
		{trust: "10.0.0.0/8,::1/128", peer: "[::1]:5", client: v6, hops: []string{"10.0.0.7", "::ffff:10.0.0.8"}, key: v6keys},
		{trust: "127.0.0.0/8", client: v4, key: v4}, // the true peer
		{trust: "10.0.0.0/8", peer: "203.0.113.9:5", key: v4, direct: true},
	} {
		t.Run(fmt.Sprint(tt.trust, " from ", tt.peer), func(t *testing.T) {
			srv := httptest.NewServer(keyed(t, tt.trust, tt.peer))
			defer srv.Close()
			for _, spoof := range append(spoofs(), http.Header{}) {
				headers := spoof
				if !tt.direct {
					headers = viaProxy(spoof, tt.set, tt.client, tt.hops...)
				}
				if got := askKey(t, srv.Client(), srv.URL, headers); got != tt.key {
					t.Fatalf("%.300v counts as %q, want %q", headers, got, tt.key)
				}
			}
		})
	}
}

// TestWhatIsNoAddressIsUnresolved is about proxies that do not do what they are
// trusted to: their clients share one bucket.
func TestWhatIsNoAddressIsUnresolved(t *testing.T) {
	for _, trust := range []string{"header:X-Real-IP,127.0.0.0/8", "1", "127.0.0.0/8"} {
		srv := httptest.NewServer(keyed(t, trust, ""))
		defer srv.Close()
		name := "X-Forwarded-For"
		if strings.HasPrefix(trust, "header:") {
			name = "X-Real-Ip"
		}
		for _, values := range [][]string{
			nil, {""}, {" "}, {"unknown"}, {"203.0.113.9:80"}, {"[2001:db8::9]"}, {"[2001:db8::9]:80"}, {"203.0.113.9, x"}, {"203.0.113.9 198.51.100.7"}, {"203.0.113.0/24"},
			{"203.0.113.09"}, {"203.0.113.999"}, {"2001:db8::g"}, {"203.0.113.9", "x"}, {`"203.0.113.9"`}, {"::ffff:203.0.113.9:80"}, {strings.Repeat("1", 5000)},
		} {
			if got := askKey(t, srv.Client(), srv.URL, http.Header{name: values}); got != "unresolved" {
				t.Errorf("%s: %.80q counts as %q, want unresolved", trust, values, got)
			}
		}
	}
	for trust, headers := range map[string]http.Header{
		"header:X-Real-IP,127.0.0.0/8": {"X-Real-Ip": {"203.0.113.9", "203.0.113.9"}}, // said twice
		"2":                            {"X-Forwarded-For": {"203.0.113.9"}},          // fewer hops than there are
		"127.0.0.0/8":                  {"X-Forwarded-For": {"127.0.0.5, 127.0.0.6"}}, // proxies alone
	} {
		srv := httptest.NewServer(keyed(t, trust, ""))
		defer srv.Close()
		if got := askKey(t, srv.Client(), srv.URL, headers); got != "unresolved" {
			t.Errorf("%s: %v counts as %q, want unresolved", trust, headers, got)
		}
	}
	for _, peer := range []string{"@", "pipe", "/run/keyshield.sock"} {
		srv := httptest.NewServer(keyed(t, "none", peer))
		defer srv.Close()
		if got := askKey(t, srv.Client(), srv.URL, http.Header{"X-Real-Ip": {"203.0.113.9"}}); got != "unresolved" {
			t.Errorf("a peer %q counts as %q, want unresolved", peer, got)
		}
	}
}

// TestOnlyTrustedPeersAreBelieved connects from two loopback addresses, of which
// one is a proxy's.
func TestOnlyTrustedPeersAreBelieved(t *testing.T) {
	for trust, name := range map[string]string{"header:X-Real-IP,127.0.0.1/32": "X-Real-Ip", "127.0.0.1/32": "X-Forwarded-For"} {
		srv := httptest.NewServer(keyed(t, trust, ""))
		defer srv.Close()
		for from, want := range map[string]string{"127.0.0.1": "203.0.113.9", "127.0.0.2": "127.0.0.2"} {
			dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			transport := &http.Transport{DialContext: dialer.DialContext}
			if got := askKey(t, &http.Client{Transport: transport}, srv.URL, http.Header{name: {"203.0.113.9"}}); got != want {
				t.Errorf("%s: from %s counts as %q, want %q", trust, from, got, want)
			}
			transport.CloseIdleConnections()
		}
	}
}

// FuzzForwardedFor puts anything left of what a trusted proxy appended.
func FuzzForwardedFor(f *testing.F) {
	for _, v := range []string{"", "10.0.0.1", "198.51.100.7, 10.0.0.1", ",,", "x", "fe80::1%eth0,", "::ffff:10.0.0.1"} {
		f.Add(v, v)
	}
	walk, count, direct := keyed(f, "10.0.0.0/8", "10.1.2.3:5"), keyed(f, "2", "10.1.2.3:5"), keyed(f, "10.0.0.0/8", "203.0.113.9:5")
	f.Fuzz(func(t *testing.T, first, second string) {
		check := func(h http.Handler, values ...string) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["X-Forwarded-For"] = values
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Body.String(); got != "203.0.113.9" {
				t.Errorf("%q counts as %q", values, got)
			}
		}
		check(walk, first, second+", 203.0.113.9")
		check(walk, first, second, "203.0.113.9,10.0.0.7", "10.0.0.8")
		check(count, first, second, "203.0.113.9", "10.0.0.7")
		check(count, first+","+second+",203.0.113.9 , 10.0.0.7")
		check(direct, first, second)
	})
}
