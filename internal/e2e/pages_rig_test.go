package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/secret"
)

// house is the program as `keyshield dev` runs it, with its pages.
type house struct {
	*rig
	token string // the operator's
	dir   string // DATA_DIR
}

// startDev runs it. Each extra is NAME=value.
func startDev(t *testing.T, extra ...string) *house {
	t.Helper()
	return startDevWith(t, func(string) {}, extra...)
}

// startDevWith runs it with what prepare left in DATA_DIR.
func startDevWith(t *testing.T, prepare func(dir string), extra ...string) *house {
	t.Helper()
	h := &house{rig: &rig{secret: secret.New(rand.Text() + rand.Text()), seen: map[string][]line{}}, token: rand.Text() + rand.Text(), dir: memory(t)}
	prepare(h.dir)
	return h.run(t, extra...)
}

func (h *house) run(t *testing.T, extra ...string) *house {
	t.Helper()
	cmd := exec.Command(built.keyshield, "dev")
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{
		"PORT=0", "HOST=127.0.0.1", "LOG_FORMAT=json", "DATA_DIR=" + h.dir, "JWT_SECRET=" + h.secret.Reveal(), "ADMIN_TOKEN=" + h.token,
		"ENDPOINTS=text,chat", "RATE_LIMIT_IP=off", "RATE_LIMIT_USER=off", "BREAKER=off", "AUTO_DISABLE=off",
		"BUDGET_MONTH=100", "BUDGET_DAY=50", "BUDGET_USER_DAY=40",
	}, extra...)
	h.rig.run(t, cmd)
	return h
}

// admin asks the API as the operator, past the pages.
func (h *house) admin(t *testing.T, method, path string, send, into any) {
	t.Helper()
	content := h.raw(t, method, path, send)
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, content)
	}
}

func (h *house) raw(t *testing.T, method, path string, send any) []byte {
	t.Helper()
	var body io.Reader
	if send != nil {
		text, err := json.Marshal(send)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+"/admin/api/"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d, %v: %s", method, path, resp.StatusCode, err, content)
	}
	return content
}

// ask asks the text API as a user, and returns the answer with its body still to be
// read. Whoever is told to come back later does: the machine may be busy.
func (h *house) ask(t *testing.T, user, prompt string, stream bool) *http.Response {
	t.Helper()
	resp, err := h.insist(t, user, prompt, stream)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (h *house) insist(t *testing.T, user, prompt string, stream bool) (*http.Response, error) {
	t.Helper()
	for tries := 1; ; tries++ {
		resp, err := h.try(t, h.rig.token(t, user, ""), prompt, stream)
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || tries == 10 {
			return resp, err
		}
		resp.Body.Close()
		<-time.After(200 * time.Millisecond)
	}
}

func (h *house) try(t *testing.T, token, prompt string, stream bool) (*http.Response, error) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"userPrompt": prompt, "stream": stream})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/api/generate-text", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	return http.DefaultClient.Do(req)
}

// crowd asks as each of the users, several at once.
func (h *house) crowd(t *testing.T, users []string, prompt string) {
	t.Helper()
	var all sync.WaitGroup
	next := make(chan string)
	for range 8 {
		all.Go(func() {
			for user := range next {
				resp, err := h.insist(t, user, prompt, false)
				if err != nil {
					t.Error(err)
					continue
				}
				if resp.Body.Close(); resp.StatusCode >= http.StatusInternalServerError {
					t.Errorf("%q is answered %d", user, resp.StatusCode)
				}
			}
		})
	}
	for _, user := range users {
		next <- user
	}
	close(next)
	all.Wait()
}

// move is what a person does at a page; how something is found, pages/chromium.mjs
// says.
type move struct {
	Do      string `json:"do"`
	Address string `json:"address,omitempty"`
	Role    string `json:"role,omitempty"`
	Name    string `json:"name,omitempty"`
	Label   string `json:"label,omitempty"`
	Text    string `json:"text,omitempty"`
	CSS     string `json:"css,omitempty"`
	Within  string `json:"within,omitempty"`
	Value   any    `json:"value,omitempty"`
	Script  string `json:"script,omitempty"`
	Key     string `json:"key,omitempty"`
	Path    string `json:"path,omitempty"`
	Body    string `json:"body,omitempty"`
	Status  int    `json:"status,omitempty"`
	By      int    `json:"by,omitempty"` // milliseconds
	Width   int    `json:"width,omitempty"`
	Height  int    `json:"height,omitempty"`
	Dark    bool   `json:"dark"`
	Hidden  bool   `json:"hidden,omitempty"`
	Clock   bool   `json:"clock,omitempty"`
}

// visitor is somebody with a browser.
type visitor struct {
	*driver
	origin string
}

func visit(t *testing.T, h *house) *visitor {
	t.Helper()
	d := node(t, "pages/chromium.mjs", "CHROMIUM="+installed(t, "/usr/bin/chromium"))
	var ready struct{ Ready bool }
	if d.next(t, &ready); !ready.Ready {
		t.Fatal("the browser is not ready")
	}
	return &visitor{d, h.url}
}

// do is one move. What comes of it goes to into, if that is not nil.
func (v *visitor) do(t *testing.T, m move, into any) {
	t.Helper()
	var came struct {
		Value         json.RawMessage
		Failed, Shown string
	}
	if err := v.in.Encode(m); err != nil {
		t.Fatal(err)
	}
	if v.next(t, &came); came.Failed != "" {
		t.Fatalf("%+v: %s\nto be seen:\n%s", m, came.Failed, came.Shown)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(came.Value, into); err != nil {
		t.Fatalf("%+v: %v in %s", m, err, came.Value)
	}
}

func (v *visitor) open(t *testing.T, path string) {
	t.Helper()
	v.do(t, move{Do: "open", Address: v.origin + path}, nil)
}

func (v *visitor) click(t *testing.T, role, name string) {
	t.Helper()
	v.do(t, move{Do: "click", Role: role, Name: name}, nil)
}

func (v *visitor) fill(t *testing.T, label, value string) {
	t.Helper()
	v.do(t, move{Do: "fill", Label: label, Value: value}, nil)
}

func (v *visitor) sees(t *testing.T, text string) {
	t.Helper()
	v.do(t, move{Do: "seen", Text: text}, nil)
}

func (v *visitor) text(t *testing.T, css string) (text string) {
	t.Helper()
	v.do(t, move{Do: "text", CSS: css}, &text)
	return text
}

// until waits for a script, a function of value, to say true.
func (v *visitor) until(t *testing.T, script string, value any) {
	t.Helper()
	v.do(t, move{Do: "until", Script: script, Value: value}, nil)
}

// runs a script, a function of value, in the page.
func (v *visitor) runs(t *testing.T, script string, value, into any) {
	t.Helper()
	v.do(t, move{Do: "run", Script: script, Value: value}, into)
}

// signIn leads to *Now*.
func (v *visitor) signIn(t *testing.T, h *house) {
	t.Helper()
	v.open(t, "/admin/")
	v.enter(t, h)
}

func (v *visitor) enter(t *testing.T, h *house) {
	t.Helper()
	v.fill(t, "Admin token", h.token)
	v.click(t, "button", "Sign in")
	v.do(t, move{Do: "seen", Role: "heading", Name: "Now"}, nil)
}

// goes to another page of the dashboard.
func (v *visitor) goes(t *testing.T, name string) {
	t.Helper()
	v.do(t, move{Do: "click", Role: "link", Name: name, Within: "#nav"}, nil)
	v.do(t, move{Do: "seen", Role: "heading", Name: name}, nil)
}

// noSession is what the console says of the first look, which finds no session.
const noSession = "/admin/api/overview)"

// quiet checks that nothing went wrong in the page since it was opened: no error in
// the console, no broken policy, nobody else asked. What is expected ends in one of
// the given texts, and is a refusal that the console tells.
func (v *visitor) quiet(t *testing.T, expected ...string) {
	t.Helper()
	var report struct{ Wrong, Asked []string }
	v.do(t, move{Do: "report"}, &report)
	for _, wrong := range report.Wrong {
		told := strings.HasPrefix(wrong, "console: Failed to load resource")
		if !told || !slices.ContainsFunc(expected, func(end string) bool { return strings.HasSuffix(wrong, end) }) {
			t.Errorf("in the page: %s", wrong)
		}
	}
	for _, asked := range report.Asked {
		if u, err := url.Parse(asked); err != nil || u.Scheme+"://"+u.Host != v.origin && u.Scheme != "data" {
			t.Errorf("the page asks %s, want nobody but %s", asked, v.origin)
		}
	}
}

// keepsNothing checks that the page has stored nothing, and does not show the secret.
func (v *visitor) keepsNothing(t *testing.T, hidden string) {
	t.Helper()
	var kept []string
	v.runs(t, `async (hidden) => [
		...Object.keys(localStorage), ...Object.keys(sessionStorage), document.cookie, ...(await indexedDB.databases()).map((d) => d.name),
		document.documentElement.outerHTML.includes(hidden) ? 'the secret in the page' : '',
		[...document.querySelectorAll('input')].some((i) => i.value.includes(hidden)) ? 'the secret in a field' : '',
	].filter(Boolean)`, hidden, &kept)
	if len(kept) > 0 {
		t.Errorf("the page keeps %q, want nothing", kept)
	}
}

// shot takes a picture of the whole page, where KEYSHIELD_SCREENSHOTS says where to,
// and tells by how many pixels the page is too wide for its window.
func (v *visitor) shot(t *testing.T, name string) (tooWide int) {
	t.Helper()
	dir := os.Getenv("KEYSHIELD_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	v.do(t, move{Do: "shot", Path: filepath.Join(dir, name+".png")}, &tooWide)
	return tooWide
}
