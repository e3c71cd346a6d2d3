package limit_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/limit"
)

func cidrs(list ...string) (peers []netip.Prefix) {
	for _, s := range list {
		peers = append(peers, netip.MustParsePrefix(s))
	}
	return peers
}

func TestTrustReads(t *testing.T) {
	for text, want := range map[string]limit.Trust{
		"none":                           {},
		"1":                              {Hops: 1},
		"10":                             {Hops: 10},
		"10.0.0.0/8":                     {Peers: cidrs("10.0.0.0/8")},
		"127.0.0.1/32, fd00::/8":         {Peers: cidrs("127.0.0.1/32", "fd00::/8")},
		"header:x-real-ip,10.0.0.0/8":    {Header: "X-Real-Ip", Peers: cidrs("10.0.0.0/8")},
		"header:X-A,::1/128,10.1.0.0/16": {Header: "X-A", Peers: cidrs("::1/128", "10.1.0.0/16")},
	} {
		got, err := limit.ParseTrust(text)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestPlatformsAreBelievedOnlyAsDocumented(t *testing.T) {
	type believed struct {
		Header string
		Hops   int
		Peers  string
	}
	got := map[string]believed{}
	for _, name := range []string{"render", "railway", "fly", "heroku", "cloudrun"} {
		trust, err := limit.ParseTrust(name)
		if err != nil || trust.String() != name {
			t.Errorf("%s = %v, %v", name, trust, err)
		}
		var peers []string
		for _, p := range trust.Peers {
			peers = append(peers, p.String())
		}
		got[name] = believed{trust.Header, trust.Hops, strings.Join(peers, ",")}
	}
	want := map[string]believed{
		"render":   {"Cf-Connecting-Ip", 0, "10.0.0.0/8"},
		"railway":  {"X-Real-Ip", 0, "100.64.0.0/10"},
		"fly":      {"Fly-Client-Ip", 0, "172.16.0.0/12"},
		"heroku":   {"", 1, ""},
		"cloudrun": {"", 1, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	trust, _ := limit.ParseTrust("cloudflare")
	if trust.Header != "Cf-Connecting-Ip" || len(trust.Peers) != 22 {
		t.Errorf("cloudflare = %q from %d networks, want Cf-Connecting-Ip from the 22 published", trust.Header, len(trust.Peers))
	}
}

func TestATrustThatIsNoneSaysWhatToWrite(t *testing.T) {
	for text, advice := range map[string]string{
		"":                               "write none",
		"yes":                            "write none",
		"Render":                         "write none",
		" render":                        "write none",
		"*":                              "write none",
		"0":                              "write none",
		"01":                             "must be 1 to 10",
		"11":                             "must be 1 to 10",
		"99999999999999999999":           "must be 1 to 10",
		"-1":                             "write none",
		"10.0.0.1":                       "write 10.0.0.1/32",
		"::1":                            "write ::1/128",
		"fe80::1%eth0":                   "write fe80::1/128",
		"10.1.2.3/8":                     "write 10.0.0.0/8",
		"0.0.0.0/0":                      "everybody",
		"::/0":                           "everybody",
		"::ffff:0.0.0.0/96":              "everybody",
		"::ffff:10.0.0.0/104":            "write it as 10.0.0.0/8",
		"10.0.0.0/33":                    "write a network such as",
		"10.0.0.0/8,":                    "write a network such as",
		"10.0.0.0/8,render":              "write a network such as",
		"header:X-Real-IP":               "write header:X-Real-IP,10.0.0.0/8",
		"header:,10.0.0.0/8":             "write header:X-Real-IP,10.0.0.0/8",
		"header:X Real,10.0.0.0/8":       "write header:X-Real-IP,10.0.0.0/8",
		"header:X-Réal,10.0.0.0/8":       "write header:X-Real-IP,10.0.0.0/8",
		"header:X-Real-IP,":              "write a network such as",
		"header:X-Real-IP,10.0.0.1":      "write 10.0.0.1/32",
		"header:x-forwarded-for,::1/128": "write the number of proxies",
		"header:forwarded,10.0.0.0/8":    "write the number of proxies",
	} {
		trust, err := limit.ParseTrust(text)
		if err == nil {
			t.Errorf("%q is taken for %v", text, trust)
		} else if !strings.Contains(err.Error(), advice) {
			t.Errorf("%q: %q, want it to say %q", text, err, advice)
		}
	}
}

func FuzzParseTrust(f *testing.F) {
	for _, s := range []string{
		"none", "render", "cloudflare", "1", "10.0.0.0/8,::1/128", "header:X-Real-IP,10.0.0.0/8", "0.0.0.0/0", "::ffff:1.2.3.4/128", "::fffe:0:0/90", "fe80::%a/64",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		trust, err := limit.ParseTrust(s)
		if err != nil {
			return
		}
		if trust.Header != "" && len(trust.Peers) == 0 {
			t.Errorf("%q believes a header from everybody", s)
		}
		for _, p := range trust.Peers {
			if !p.IsValid() || p.Bits() == 0 || p != p.Masked() || p.Addr().Is4In6() && p.Bits() >= 96 {
				t.Errorf("%q trusts %v", s, p)
			}
		}
		again, err := limit.ParseTrust(trust.String())
		if err != nil || !again.Equal(trust) {
			t.Errorf("%q = %v, read again: %v, %v", s, trust, again, err)
		}
	})
}
