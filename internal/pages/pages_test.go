package pages

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestOthersFilesAreTheirs: what we did not write is what its authors published,
// byte for byte, and its licence stands beside it.
func TestOthersFilesAreTheirs(t *testing.T) {
	sums := map[string]string{ // of the npm packages @picocss/pico 2.1.1 and uplot 1.6.32
		"assets/pico.classless.min.css": "61207a40ffc02a42d1e50143651c121beab70ed413c934c1ff84fa263ba436b0",
		"assets/uPlot.iife.min.js":      "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
		"assets/uPlot.min.css":          "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
		"licences/pico.md":              "afaff063e044233f917b7807dccab022f09dca474f92b642846bee4850655bbf",
		"licences/uplot.txt":            "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
	}
	for name, want := range sums {
		sum := sha256.Sum256(read("static/" + name))
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s has the checksum %s, want %s: it was changed, or is of another version", name, got, want)
		}
	}
}

func ours(name string) bool {
	return !strings.Contains(name, "uPlot.") && !strings.Contains(name, "pico.") && !strings.Contains(name, "licences/")
}

func eachFile(t *testing.T, look func(name, content string)) {
	t.Helper()
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			look(name, string(read(name)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoWayToMakeMarkupOfText: what the server says can only become text.
func TestNoWayToMakeMarkupOfText(t *testing.T) {
	ways := regexp.MustCompile(`(?i)innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|setHTML|DOMParser|document\.write|\beval\b|new Function|` +
		`setTimeout\(\s*['"` + "`" + `]|\.on[a-z]+\s*=[^=]|\son[a-z]+\s*=|javascript:|srcdoc|localStorage|sessionStorage|indexedDB|document\.cookie`)
	eachFile(t, func(name, content string) {
		if !ours(name) {
			return
		}
		for i, line := range strings.Split(content, "\n") {
			if found := ways.FindString(line); found != "" && !strings.HasPrefix(strings.TrimSpace(line), "//") {
				t.Errorf("%s:%d has %q: text from the server must stay text, and no token is stored", name, i+1, found)
			}
		}
	})
}

// TestNothingComesFromElsewhere: no file names another host, but in a licence or in
// what is only said.
func TestNothingComesFromElsewhere(t *testing.T) {
	hosts := regexp.MustCompile(`https?://[a-z0-9.-]+`)
	eachFile(t, func(name, content string) {
		if !ours(name) {
			return
		}
		for _, found := range hosts.FindAllString(content, -1) {
			if found != "http://www.w3.org" { // a namespace
				t.Errorf("%s names %s: the pages ask nobody but this server", name, found)
			}
		}
	})
}

// TestHTMLHasNothingInline: the policy would stop it, and the page would not work.
func TestHTMLHasNothingInline(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<style|\sstyle\s*=|<script(\s[^>]*)?>[^<]`)
	eachFile(t, func(name, content string) {
		if path.Ext(name) == ".html" && inline.MatchString(content) {
			t.Errorf("%s has %q inline", name, inline.FindString(content))
		}
	})
}

// TestPagesAreSmall: all that both of them can load, as it goes over the wire.
func TestPagesAreSmall(t *testing.T) {
	const most = 120 << 10
	all := len(newSite("/playground/", "playground.html").page.zipped()) + len(newSite("/admin/", "dashboard.html").page.zipped())
	files, _ := assets()
	for _, f := range files {
		all += len(f.zipped())
	}
	if all >= most {
		t.Errorf("the pages have %d bytes, compressed; want less than %d", all, most)
	}
	t.Logf("%d bytes", all)
}

func TestFilesStayReadable(t *testing.T) {
	eachFile(t, func(name, content string) {
		if lines := strings.Count(content, "\n"); ours(name) && lines > 400 {
			t.Errorf("%s has %d lines, want 400 at most", name, lines)
		}
	})
}

func get(t *testing.T, h http.Handler, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestEachPageFindsItsFiles: whatever a page or a script names is there, of the right
// kind, and every answer carries the policy.
func TestEachPageFindsItsFiles(t *testing.T) {
	named := regexp.MustCompile(`(?:src|href)="(/[^"#]+)"|from '\./([^']+)'`)
	for start, h := range map[string]http.Handler{"/": Playground(PlaygroundOptions{}), "/admin/": Dashboard(DashboardOptions{})} {
		seen := map[string]bool{}
		for next := []string{start}; len(next) > 0; {
			target := next[0]
			next = next[1:]
			if seen[target] {
				continue
			}
			seen[target] = true
			resp := get(t, h, target)
			content := body(t, resp)
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", target, resp.StatusCode)
			}
			if got := resp.Header.Get("Content-Security-Policy"); got != policy {
				t.Errorf("%s has the policy %q", target, got)
			}
			for _, m := range named.FindAllStringSubmatch(content, -1) {
				if m[1] != "" {
					next = append(next, m[1])
				} else {
					next = append(next, path.Join(path.Dir(target), m[2]))
				}
			}
		}
		if len(seen) < 8 {
			t.Errorf("%s needs %d files only: %v", start, len(seen), seen)
		}
	}
}

// TestBrowsersKeepFilesForEverAndAskForPages: a page is asked for each time, and is
// not sent again when it is the same.
func TestBrowsersKeepFilesForEverAndAskForPages(t *testing.T) {
	h := Dashboard(DashboardOptions{})
	page := get(t, h, "/admin/")
	if got := page.Header.Get("Cache-Control"); got != "private, no-cache" {
		t.Errorf("a page may be kept: %q", got)
	}
	if again := get(t, h, "/admin/", "If-None-Match", `"x", `+page.Header.Get("ETag")); again.StatusCode != http.StatusNotModified || body(t, again) != "" {
		t.Errorf("a page that the browser has is answered with %d", again.StatusCode)
	}
	script := regexp.MustCompile(`/admin/assets/[0-9a-f]{16}/dashboard\.js`).FindString(body(t, page))
	files := get(t, h, script).Header
	if got := files.Get("Cache-Control"); !strings.HasPrefix(got, "private,") || !strings.Contains(got, "immutable") {
		t.Errorf("%s is kept %q: a cache in between would give it to those for whom there is none", script, got)
	}
	if got := files.Values("Vary"); !slices.Contains(got, "Sec-Fetch-Dest") {
		t.Errorf("%s varies with %q", script, got)
	}
}

func TestFilesAreCompressedForWhoTakesIt(t *testing.T) {
	h := Playground(PlaygroundOptions{})
	plain := body(t, get(t, h, "/"))
	for accept, want := range map[string]bool{"": false, "gzip": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0": false, "identity": false, "GZIP": true} {
		resp := get(t, h, "/", "Accept-Encoding", accept)
		if got := resp.Header.Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("Accept-Encoding %q: compressed %v, want %v", accept, got, want)
			continue
		}
		if !want {
			continue
		}
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if content, err := io.ReadAll(z); err != nil || string(content) != plain {
			t.Errorf("Accept-Encoding %q: not the page (%v)", accept, err)
		}
	}
}

func TestWhatIsNotThereIsRefusedLikeEverywhere(t *testing.T) {
	for _, target := range []string{"/admin/x", "/admin/assets/", "/admin/assets/0000000000000000/dashboard.js", "/admin/../etc/passwd", "/admin/static/dashboard.html", "/"} {
		resp := get(t, Dashboard(DashboardOptions{}), target)
		var told struct{ Error, Code string }
		if err := json.Unmarshal([]byte(body(t, resp)), &told); err != nil || resp.StatusCode != http.StatusNotFound || told.Code != "not_found" || told.Error == "" {
			t.Errorf("%s: %d %+v (%v)", target, resp.StatusCode, told, err)
		}
	}
	w := httptest.NewRecorder()
	Dashboard(DashboardOptions{}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/admin/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("a POST to a page: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestTheDashboardIsFoundWithoutItsSlash(t *testing.T) {
	resp := get(t, Dashboard(DashboardOptions{}), "/admin")
	if resp.StatusCode != http.StatusPermanentRedirect || resp.Header.Get("Location") != "/admin/" {
		t.Errorf("%d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
}

func TestHeadHasNoBody(t *testing.T) {
	w := httptest.NewRecorder()
	Playground(PlaygroundOptions{}).ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/", nil))
	if w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("%d, %d bytes, Content-Length %q", w.Code, w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

func TestThePlaygroundIsToldWhatItNeeds(t *testing.T) {
	h := Playground(PlaygroundOptions{
		URL: "https://api.example.com", Simulated: true, Behind: "a simulator </script> answers", Endpoints: []string{"text"}, Model: "gpt-6-luna", MaxPrompt: 300,
		Rules: TokenRules{Algorithms: []string{"HS256"}, MaxLifetime: 24 * time.Hour, Leeway: 30 * time.Second, UserClaim: "sub", PlanClaim: "plan"},
	})
	var got map[string]any
	if err := json.Unmarshal([]byte(body(t, get(t, h, "/playground/config.json"))), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"url": "https://api.example.com", "simulated": true, "behind": "a simulator </script> answers", "token": "", "endpoints": []any{"text"}, "model": "gpt-6-luna", "max_prompt": 300.0,
		"rules": map[string]any{
			"algorithms": []any{"HS256"}, "key_id": false, "issuer": "", "audience": []any{}, "max_lifetime_ms": 86_400_000.0, "leeway_ms": 30_000.0,
			"user_claim": "sub", "plan_claim": "plan",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config.json (-want +got):\n%s", diff)
	}
}

func TestTheDashboardSignsOutAfterHalfAnHourUnlessTold(t *testing.T) {
	for options, want := range map[DashboardOptions]string{
		{}:                                     `{"idle_ms":1800000,"key_age_ms":7776000000}`,
		{Idle: time.Minute, KeyAge: time.Hour}: `{"idle_ms":60000,"key_age_ms":3600000}`,
	} {
		if got := body(t, get(t, Dashboard(options), "/admin/config.json")); got != want {
			t.Errorf("%+v: %s, want %s", options, got, want)
		}
	}
}
