package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/secret"
	"keyshield/internal/sim"
)

// rig is the program under test, run as the shell would, before a simulator.
type rig struct {
	t    testing.TB
	url  string
	addr string
	log  *logbook // standard error
	out  *logbook // standard output
	sim  *sim.Sim
	back *httptest.Server
	web  *http.Client
	stop func() int // SIGTERM; returns the exit code
}

// settings for serve that let a test through; a test's own come on top.
func settings(base string) map[string]string {
	return map[string]string{
		"PORT":            "0",
		"HOST":            "127.0.0.1",
		"OPENAI_API_KEY":  canary,
		"OPENAI_BASE_URL": base + "/v1",
		"JWT_SECRET":      jwtSecret,
		"ALLOWED_ORIGINS": origin,
		"RATE_LIMIT_IP":   "off",
		"RATE_LIMIT_USER": "off",
		"BREAKER":         "off", // faults are what most tests are about
		"BUDGET_MONTH":    "100000",
		"BUDGET_DAY":      "100000",
		"BUDGET_USER_DAY": "100000",
	}
}

// start runs serve before a fresh simulator. Each extra is NAME=value.
func start(t testing.TB, extra ...string) *rig {
	t.Helper()
	s := sim.New(sim.Options{Key: canary})
	back := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); back.Close() })
	r := startBefore(t, back.URL, extra...)
	r.sim, r.back = s, back
	return r
}

// startBefore runs serve before whatever answers at base.
func startBefore(t testing.TB, base string, extra ...string) *rig {
	t.Helper()
	return launch(t, t.TempDir(), with(settings(base), extra...), "serve")
}

// with is env with changes on top. Each is NAME=value; NAME alone takes it away.
func with(env map[string]string, changes ...string) map[string]string {
	for _, line := range changes {
		name, value, set := strings.Cut(line, "=")
		if env[name] = value; !set {
			delete(env, name)
		}
	}
	return env
}

// launch runs a command that listens, with this environment, in dir.
func launch(t testing.TB, dir string, env map[string]string, args ...string) *rig {
	t.Helper()
	p := process{args: args, dir: dir}
	if _, set := env["DATA_DIR"]; !set && args[0] == "serve" {
		p.environ = append(p.environ, "DATA_DIR="+t.TempDir())
	}
	for name, value := range env {
		p.environ = append(p.environ, name+"="+value)
	}
	log := newLogbook("a log of " + t.Name())
	out := newLogbook("the output of " + t.Name())
	p.stderr, p.stdout = log, out

	ctx, cancel := context.WithCancel(context.Background())
	exit := make(chan int, 1)
	go func() { exit <- run(ctx, p); close(exit) }()
	r := &rig{t: t, log: log, out: out, web: newWeb(t)}
	var once sync.Once
	var code int
	r.stop = func() int { once.Do(func() { cancel(); code = <-exit }); return code }
	t.Cleanup(func() { r.web.CloseIdleConnections(); r.stop() })

	if r.addr = r.known(env); r.addr == "" {
		r.addr = r.listening(exit)
	}
	r.url = "http://" + r.addr
	return r
}

// known waits for an address that the settings give: a server that logs only
// warnings does not tell it.
func (r *rig) known(env map[string]string) string {
	r.t.Helper()
	if level := env["LOG_LEVEL"]; level != "warn" && level != "error" {
		return ""
	}
	address := net.JoinHostPort(env["HOST"], env["PORT"])
	for range 500 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address
		}
		<-time.After(10 * time.Millisecond)
	}
	r.t.Fatalf("nobody listens on %s:\n%s", address, r.log)
	return ""
}

// listening waits for the address.
func (r *rig) listening(exit <-chan int) string {
	r.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		r.log.mu.Lock()
		text, more := r.log.text.String(), r.log.more
		r.log.mu.Unlock()
		if said := listensAt.FindStringSubmatch(text); said != nil {
			return said[1]
		}
		select {
		case <-more:
		case code := <-exit:
			r.t.Fatalf("%s ended with %d:\n%s", r.t.Name(), code, r.log)
		case <-deadline:
			r.t.Fatalf("%s does not listen:\n%s", r.t.Name(), r.log)
		}
	}
}

// listensAt finds the address in both formats of the log.
var listensAt = regexp.MustCompile(`msg"?[:=]"?listening"?[ ,]"?address"?[:=]"?([^" \n]+)`)

// newWeb is an HTTP client whose connections are watched.
func newWeb(t testing.TB) *http.Client {
	web := &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &wiretap{Conn: c, scanner: scanner{where: "an answer in " + t.Name()}}, nil
			},
			MaxIdleConnsPerHost: 100,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(web.CloseIdleConnections)
	return web
}

// dial opens a raw, watched connection.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(60 * time.Second))
	return &wiretap{Conn: c, scanner: scanner{where: "a raw answer in " + r.t.Name()}}
}

// token is a good one of the user.
func (r *rig) token(user string) string {
	r.t.Helper()
	token, err := auth.Mint(secret.New(jwtSecret), auth.Claims{Subject: user, TTL: time.Hour}, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// request builds a POST of JSON by the user "ana". Each header is "Name: value";
// "Name:" takes one away.
func (r *rig) request(path, body string, headers ...string) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+r.token("ana"))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Del(name)
		if value = strings.TrimSpace(value); value != "" {
			req.Header.Set(name, value)
		}
	}
	return req
}

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// do sends req. A loaded machine may sync its disk more slowly than a reservation
// waits: that refusal leaves no trace, and is asked again.
func (r *rig) do(req *http.Request) (got reply) {
	r.t.Helper()
	for range 10 {
		got = r.doOnce(req)
		slow := got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "2" && strings.Contains(got.body, `"code":"unavailable"`)
		if !slow || req.Body != nil && req.GetBody == nil {
			return got
		}
		if req.GetBody != nil {
			req.Body, _ = req.GetBody() // of a string: it cannot fail
		}
	}
	return got
}

func (r *rig) doOnce(req *http.Request) reply {
	r.t.Helper()
	resp, err := r.web.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body), err}
}

func (r *rig) post(path, body string, headers ...string) reply {
	r.t.Helper()
	return r.do(r.request(path, body, headers...))
}

func (r *rig) get(path string, headers ...string) reply {
	r.t.Helper()
	req := r.request(path, "", append(headers, "Authorization:", "Content-Type:")...)
	req.Method, req.Body, req.ContentLength = http.MethodGet, nil, 0
	return r.do(req)
}

// ask posts a prompt to the first endpoint.
func (r *rig) ask(prompt string, headers ...string) reply {
	r.t.Helper()
	return r.post("/api/generate-text", promptBody(prompt), headers...)
}

func promptBody(prompt string) string {
	b, err := json.Marshal(map[string]string{"userPrompt": prompt})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// problem is the text API's error.
type problem struct {
	Error     string `json:"error"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
}

func (r reply) problem(t testing.TB) problem {
	t.Helper()
	var p problem
	d := json.NewDecoder(strings.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatalf("%d: the error is not in the text API's shape: %v\n%s", r.status, err, r.body)
	}
	return p
}

// wants checks the status and the code of a refusal.
func (r reply) wants(t testing.TB, status int, code string) problem {
	t.Helper()
	p := r.problem(t)
	if r.status != status || p.Code != code {
		t.Errorf("got %d %s (%q), want %d %s", r.status, p.Code, p.Error, status, code)
	}
	return p
}

// event is one server-sent event as a browser sees it.
type event struct{ name, data string }

// events reads server-sent events until the end; err is how it ended.
func events(body io.Reader) (all []event, comments []string, err error) {
	lines := bufio.NewReader(body)
	var e event
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return all, comments, nil
		}
		if err != nil {
			return all, comments, err
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" && e != event{}:
			all, e = append(all, e), event{}
		case strings.HasPrefix(line, ":"):
			comments = append(comments, line)
		case strings.HasPrefix(line, "event: "):
			e.name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			e.data += line[len("data: "):]
		}
	}
}

// textOf joins the deltas.
func textOf(t testing.TB, all []event) string {
	t.Helper()
	var text strings.Builder
	for _, e := range all {
		if e.name != "" {
			continue
		}
		var d struct{ Delta string }
		if err := json.Unmarshal([]byte(e.data), &d); err != nil {
			t.Fatalf("the event %q is no JSON: %v", e.data, err)
		}
		text.WriteString(d.Delta)
	}
	return text.String()
}
