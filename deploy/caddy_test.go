package deploy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// caddyBefore runs the real Caddy with our Caddyfile in front of upstream, on
// loopback and without TLS, and returns its address.
func caddyBefore(t *testing.T, upstream string) string {
	t.Helper()
	return caddyWith(t, "Caddyfile", upstream)
}

// caddyWith is caddyBefore with another configuration.
func caddyWith(t *testing.T, config, upstream string) string {
	t.Helper()
	binary, err := exec.LookPath("caddy")
	if err != nil {
		skipUnlessRequired(t, "caddy", "caddy is not installed")
	}
	site := fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	home := t.TempDir()
	var said strings.Builder
	caddy := exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	caddy.Env = []string{"DOMAIN=" + site, "UPSTREAM=" + upstream, "HOME=" + home, "XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home}
	caddy.Stdout, caddy.Stderr = &said, &said
	if err := caddy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = caddy.Process.Signal(syscall.SIGKILL)
		_ = caddy.Wait()
		if t.Failed() {
			t.Logf("caddy said:\n%s", said.String())
		}
	})
	waitFor(t, "caddy to listen", func() bool { return listens(site) })
	return site
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func listens(site string) bool {
	where, err := url.Parse(site)
	if err != nil {
		return false
	}
	c, err := net.DialTimeout("tcp", where.Host, time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// waitFor asks a process of its own, which no bubble's clock can hurry.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

func TestCaddyReplacesForwardingHeadersOfClients(t *testing.T) {
	seen := make(chan http.Header, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	defer upstream.Close()
	site := caddyBefore(t, upstream.Listener.Addr().String())

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "198.51.100.7")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := (<-seen).Get("X-Forwarded-For"); got != "127.0.0.1" {
		t.Errorf("X-Forwarded-For arrives as %q, want Caddy's own 127.0.0.1: a client could choose its address, and with it its limit", got)
	}
	if server := answer.Header.Get("Server"); server != "" {
		t.Errorf("Server: %s", server)
	}
}

// TestCaddyKeepsTheOperatorsPagesIn with the lines that README.md has for it, and
// everything else comes through.
func TestCaddyKeepsTheOperatorsPagesIn(t *testing.T) {
	lines := regexp.MustCompile(`(?ms)^    @inside \{\n.*?^    respond @inside 404\n`).FindString(read(t, "README.md"))
	const before = "\treverse_proxy "
	whole, proxy, found := strings.Cut(read(t, "Caddyfile"), before)
	if lines == "" || !found {
		t.Fatalf("the lines are %q; does the Caddyfile have a reverse_proxy: %v", lines, found)
	}
	config := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(config, []byte(whole+lines+before+proxy), 0o600); err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	site := caddyWith(t, config, upstream.Listener.Addr().String())
	for path, want := range map[string]int{
		"/admin": 404, "/admin/": 404, "/admin/api/overview": 404, "/%61dmin/api/overview": 404, "/metrics": 404,
		"/": 200, "/livez": 200, "/api/generate-text": 200, "/v1/models": 200,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, want)
		}
	}
}

// TestCaddyPassesStreamsOnAndHangUpsBack: words arrive as they are written, in
// both kinds of stream, and the upstream learns at once that a client has gone.
func TestCaddyPassesStreamsOnAndHangUpsBack(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "text/plain; charset=utf-8"} {
		t.Run(kind, func(t *testing.T) {
			gone := make(chan time.Time, 1)
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", kind)
				_, _ = io.WriteString(w, "first\n")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done() // nothing more until the client leaves
				gone <- time.Now()
			}))
			t.Cleanup(upstream.Close) // after Caddy, which else keeps a connection open
			site := caddyBefore(t, upstream.Listener.Addr().String())

			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, site, strings.NewReader(`{"message":"hi"}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept-Encoding", "gzip, br")
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if line, err := bufio.NewReader(answer.Body).ReadString('\n'); line != "first\n" || err != nil {
				t.Fatalf("the first words arrived as %q, %v", line, err)
			}
			left := time.Now()
			leave()
			select {
			case at := <-gone:
				if took := at.Sub(left); took > time.Second {
					t.Errorf("the upstream learnt after %v that the client had gone", took)
				}
			case <-time.After(5 * time.Second):
				t.Error("the client has gone and the upstream goes on: OpenAI would bill an answer that nobody reads")
				upstream.CloseClientConnections()
			}
		})
	}
}

func TestCaddyfileIsFormatted(t *testing.T) {
	binary, err := exec.LookPath("caddy")
	if err != nil {
		skipUnlessRequired(t, "caddy", "caddy is not installed")
	}
	formatted, err := exec.CommandContext(t.Context(), binary, "fmt", "Caddyfile").Output()
	file, _ := os.ReadFile("Caddyfile")
	if err != nil && len(formatted) == 0 || string(formatted) != string(file) {
		t.Errorf("caddy fmt would change the Caddyfile (%v)", err)
	}
}
