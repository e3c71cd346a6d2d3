package config_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"keyshield/internal/config"
)

func TestOriginsAreTakenOnlyAsBrowsersWriteThem(t *testing.T) {
	for value, want := range map[string][]string{
		"none":                    nil,
		"https://app.example.com": {"https://app.example.com"},
		"https://a.example.com, http://localhost:5173,": {"https://a.example.com", "http://localhost:5173"},
		"https://a.example.com,https://a.example.com":   {"https://a.example.com"},
		"capacitor://localhost,ionic://localhost":       {"capacitor://localhost", "ionic://localhost"},
		"chrome-extension://abcdefghijklmnop":           {"chrome-extension://abcdefghijklmnop"},
		"https://xn--bcher-kva.example":                 {"https://xn--bcher-kva.example"},
		"http://[::1]:3000,http://192.168.0.7:8080":     {"http://[::1]:3000", "http://192.168.0.7:8080"},
		"https://my_app.example.com:8443":               {"https://my_app.example.com:8443"},
		"https://task-app.example.com":                  {"https://task-app.example.com"},
	} {
		var o config.Origins
		if err := o.UnmarshalText([]byte(value)); err != nil || !slices.Equal(o.Exact, want) || o.Localhost {
			t.Errorf("%q = %v, %v; want %v", value, o.Exact, err, want)
		}
	}
}

func TestOriginMistakesAreCorrected(t *testing.T) {
	for value, want := range map[string]string{
		"https://app.example.com/":                     "https://app.example.com",
		"https://App.Example.com":                      "https://app.example.com",
		"HTTPS://app.example.com":                      "https://app.example.com",
		"app.example.com":                              "https://app.example.com",
		"localhost:3000":                               "http://localhost:3000",
		"//app.example.com":                            "https://app.example.com",
		"https://app.example.com/login?x=1#y":          "https://app.example.com",
		"https://app.example.com:443":                  "https://app.example.com",
		"http://app.example.com:80/":                   "http://app.example.com",
		"https://app.example.com:08443":                "https://app.example.com:8443",
		`"https://app.example.com"`:                    "https://app.example.com",
		"http://[0:0::1]:3000":                         "http://[::1]:3000",
		"https://a.example.com,https://b.example.com/": "https://a.example.com,https://b.example.com",
		"*,https://b.example.com":                      "https://b.example.com",
	} {
		if _, fix := problemOf(serve(t, "ALLOWED_ORIGINS="+value), "ALLOWED_ORIGINS"); fix != "ALLOWED_ORIGINS="+want {
			t.Errorf("%s: corrected to %q, want %s", value, fix, want)
		}
	}
}

func TestOriginsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, value := range []string{
		"*", "https://*.example.com", "https://*", "null", "none,https://a.example.com", ",", " , ",
		"https://a.example.com https://b.example.com", "https://a.example.com;https://b.example.com",
		"https://", "https:///x", "https://user@app.example.com", "https://app.example.com:", "https://app.example.com:0", "https://app.example.com:65536",
		"https://bücher.example", "https://a..example.com", "https://127.1", "https://1.2.3.4.5", "https://[::1", "https://[fe80::1%25eth0]",
		"https://https://app.example.com", "https://app.example.com\u200b", "https://a%2eexample.com", "ftp//x", "file:///etc/passwd",
	} {
		l := serve(t, "ALLOWED_ORIGINS="+value)
		if text, _ := problemOf(l, "ALLOWED_ORIGINS"); text == "" {
			t.Errorf("%q is accepted as %v", value, l.Config.Server.Origins)
		}
	}
}

// FuzzOrigins: what is accepted is exactly what a browser could send, and what
// is proposed instead of a mistake is accepted.
func FuzzOrigins(f *testing.F) {
	for _, seed := range []string{
		"none", "https://app.example.com", "HTTPS://App.Example.com:443/", "a,b", "localhost:3000", "http://[0::1]:08", "*", "null", `"x"`,
		"https://a.example.com, capacitor://localhost", "https://127.1", "x://y:1", "https://a:b@c", "https://é.example", "a://b,c://d/", "://", "https://a:\n",
	} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, value string) {
		var o config.Origins
		err := o.UnmarshalText([]byte(value))
		if err == nil {
			for _, origin := range o.Exact {
				u, parseErr := url.Parse(origin)
				if parseErr != nil || u.Scheme+"://"+u.Host != origin || u.User != nil || u.Hostname() == "" {
					t.Fatalf("%q let %q in, which is not scheme://host[:port]", value, origin)
				}
				if strings.ToLower(origin) != origin || strings.ContainsAny(origin, "*, \t\r\n;'\"\\%") || strings.HasSuffix(origin, ":") {
					t.Fatalf("%q let %q in, which no browser sends", value, origin)
				}
			}
			if o.Localhost {
				t.Fatalf("%q allowed all of localhost", value)
			}
			var again config.Origins
			if err := again.UnmarshalText([]byte(o.String())); err != nil || !slices.Equal(again.Exact, o.Exact) {
				t.Fatalf("%q: what is printed, %q, is read as %v (%v)", value, o.String(), again.Exact, err)
			}
			return
		}
		if value == "" || strings.ContainsRune(value, 0) {
			return // no environment holds these
		}
		_, fix := problemOf(config.Load(config.Serve, right("ALLOWED_ORIGINS="+value), dir), "ALLOWED_ORIGINS")
		if again := config.Load(config.Serve, right(fix), dir); len(again.Problems) > 0 {
			t.Fatalf("%q: the line to write, %q, is refused too: %+v", value, fix, again.Problems)
		}
	})
}
