package admin_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/admin"
)

func TestWhatNobodyAsksIsRefused(t *testing.T) {
	o := openOffice(t)
	big := `{"why":"` + strings.Repeat("x", 64<<10) + `"}`
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "enable", `{"model":"gpt-6-luna","user":"ana"}`, 400, "invalid_request"},
		{"POST", "enable", `{}`, 400, "invalid_request"},
		{"POST", "enable", ``, 400, "invalid_json"},
		{"POST", "enable", `[]`, 400, "invalid_json"},
		{"POST", "enable", `{"model":`, 400, "invalid_json"},
		{"POST", "enable", `{"model":"a"} {}`, 400, "invalid_json"},
		{"POST", "enable", "{\"model\":\"\xff\"}", 400, "invalid_utf8"},
		{"POST", "enable", `{"everyone":true}`, 400, "unknown_field"},
		{"POST", "enable", `{"Model":"a"}`, 400, "duplicate_field"},
		{"POST", "enable", `{"model":"a","model":"b"}`, 400, "duplicate_field"},
		{"POST", "enable", `{"model":7}`, 400, "invalid_field"},
		{"POST", "enable", `{"model":null}`, 400, "invalid_field"},
		{"POST", "enable", big, 413, "body_too_large"},
		{"POST", "disable", `{"everything":"yes"}`, 400, "invalid_field"},
		{"POST", "disable", `{"user":"ana","until":"2027-01-01"}`, 400, "unknown_field"},
		{"POST", "disable?dry=true", `{"everything":true}`, 400, "invalid_request"},
		{"POST", "seed", `{"month_nanousd":1}`, 400, "invalid_request"},
		{"POST", "seed", `{"at":"yesterday","month_nanousd":1}`, 400, "invalid_field"},
		{"POST", "seed", `{"at":"2000-01-01T00:00:00Z","month_nanousd":1}`, 400, "invalid_field"},
		{"POST", "seed", `{"month_nanousd":1.5}`, 400, "invalid_field"},
		{"POST", "seed", `{"month_nanousd":-1}`, 400, "invalid_field"},
		{"POST", "seed", `{"month_nanousd":9223372036854775808}`, 400, "invalid_field"},
		{"POST", "reconcile", `{"from":"yesterday"}`, 400, "invalid_field"},
		{"POST", "reconcile", `{"days":{}}`, 400, "invalid_field"},
		{"POST", "reconcile", `{"days":[{"day":"2026-11-21","spent":1}]}`, 400, "unknown_field"},
		{"POST", "keys/reload", `{"now":true}`, 400, "invalid_request"},
		{"POST", "alerts/test", `[]`, 400, "invalid_request"},
		{"GET", "overview?by=user", "", 400, "invalid_request"},
		{"GET", "usage?by=colour", "", 400, "invalid_request"},
		{"GET", "usage?since=-1h", "", 400, "invalid_request"},
		{"GET", "usage?since=1h&day=true", "", 400, "invalid_request"},
		{"GET", "usage?since=yesterday", "", 400, "invalid_request"},
		{"GET", "usage?top=-1", "", 400, "invalid_request"},
		{"GET", "usage?top=1e99", "", 400, "invalid_request"},
		{"GET", "usage?usr=ana", "", 400, "invalid_request"},
		{"GET", "usage?user=ana&user=bob", "", 400, "invalid_request"},
		{"GET", "usage?user=%ff", "", 400, "invalid_request"},
		{"GET", "usage?user=%zz", "", 400, "invalid_request"},
		{"GET", "usage?a=1;b=2", "", 400, "invalid_request"},
		{"GET", "users?sort=colour", "", 400, "invalid_request"},
		{"GET", "users?limit=1001", "", 400, "invalid_request"},
		{"GET", "users/ana?by=user", "", 400, "invalid_request"},
		{"GET", "users/nobody", "", 404, "no_such_user"},
		{"GET", "audit?limit=1001", "", 400, "invalid_request"},
		{"GET", "audit?from=yesterday", "", 400, "invalid_request"},
		{"GET", "audit?kind=colour", "", 400, "invalid_request"},
		{"GET", "audit/export?before=x", "", 400, "invalid_request"},
		{"GET", "audit/verify?anchor=1", "", 400, "invalid_request"},
		{"GET", "whoami?me=1", "", 400, "invalid_request"},
		{"GET", "backup?to=/tmp", "", 400, "invalid_request"},
		{"DELETE", "usage", "", 405, "method_not_allowed"},
		{"GET", "disable", "", 405, "method_not_allowed"},
		{"POST", "session", `{"token":"` + token + `"}`, 404, "not_found"}, // on the socket nobody signs in
		{"GET", "", "", 404, "not_found"},
		{"GET", "../../debug/pprof/", "", 404, "not_found"},
		{"GET", "debug/pprof/", "", 404, "not_found"},
	} {
		got := o.raw(c.method, admin.Prefix+c.path, c.body)
		if got.status == http.StatusMovedPermanently || got.status == http.StatusTemporaryRedirect {
			got = o.raw(c.method, got.header.Get("Location"), c.body)
		}
		if got.status != c.status || got.code != c.code {
			t.Errorf("%s %s %.40s: %d %s, want %d %s", c.method, c.path, c.body, got.status, got.body, c.status, c.code)
		}
		if got.header.Get(admin.ProtocolHeader) != admin.Protocol {
			t.Errorf("%s %s: the answer does not say which protocol it follows", c.method, c.path)
		}
		if c.status == 405 && got.header.Get("Allow") == "" {
			t.Errorf("%s %s: nothing is said to be allowed", c.method, c.path)
		}
	}
	if acts := o.acts(); len(acts) > 0 {
		t.Errorf("what was refused was done: %v", acts)
	}
}

// TestAnotherSitesFormIsNoBody: a form can be sent without asking first, JSON cannot.
func TestAnotherSitesFormIsNoBody(t *testing.T) {
	o := openOffice(t)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.socket.URL+admin.Prefix+"disable", strings.NewReader(`{"everything":true}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("%s: %d", kind, resp.StatusCode)
		}
	}
	if o.ledger.Stopped("anybody") != nil {
		t.Error("a form stopped everything")
	}
}

// TestNothingAnswersWithoutTheToken: every operation there is, asked by strangers.
func TestNothingAnswersWithoutTheToken(t *testing.T) {
	o := openOffice(t)
	for _, operation := range admin.Routes() {
		method, path, _ := strings.Cut(operation, " ")
		path = strings.ReplaceAll(path, "{name}", "ana")
		for _, header := range []string{"X-Nothing: 1", "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl", "Cookie: keyshield=x"} {
			got := send(t, method, o.tcp.URL+path, "", header)
			if got.status != http.StatusNotFound && got.status != http.StatusTooManyRequests || got.header.Get(admin.ProtocolHeader) != "" {
				t.Errorf("%s with %s: %d %s", operation, header, got.status, got.body)
			}
		}
	}
	if got := send(t, http.MethodGet, o.tcp.URL+admin.Prefix+"switches", "", "Authorization: Bearer "+token); got.status != http.StatusOK {
		t.Errorf("after all that the right token gets %d", got.status)
	}
}

func TestSignedInBrowserCanDoAll(t *testing.T) {
	o := openOffice(t)
	in := send(t, http.MethodPost, o.tcp.URL+admin.Prefix+"session", `{"token":"`+token+`"}`, "Origin: "+o.tcp.URL)
	if in.status != http.StatusOK || !strings.Contains(in.body, `"until"`) {
		t.Fatalf("signing in: %d %s", in.status, in.body)
	}
	cookie, _, _ := strings.Cut(in.header.Get("Set-Cookie"), ";")
	for _, c := range []struct {
		method, path, body string
		status             int
	}{{"GET", "switches", "", 200}, {"POST", "disable", `{"everything":true}`, 200}, {"POST", "enable", `{"everything":true}`, 200}, {"DELETE", "session", "", 204}, {"GET", "switches", "", 404}} {
		if got := send(t, c.method, o.tcp.URL+admin.Prefix+c.path, c.body, "Cookie: "+cookie, "Origin: "+o.tcp.URL); got.status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, got.status, got.body)
		}
	}
	if acts := strings.Join(o.acts(), "\n"); !strings.HasPrefix(acts, "sign_in pages () by admin 127.0.0.1\ndisable everything () by admin 127.0.0.1") {
		t.Errorf("the audit log has:\n%s", acts)
	}
}

func TestStateThatCannotBeReadIsToldAsSuch(t *testing.T) {
	o := openOffice(t)
	if err := o.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	if got := o.raw("GET", admin.Prefix+"usage", ""); got.status != 503 || got.code != "unavailable" || !strings.Contains(got.body, "the ledger is closed") {
		t.Errorf("%d %s: want the cause", got.status, got.body)
	}
}

// TestHeadTakesNothingAway: a copy that nobody got is not in the audit log.
func TestHeadTakesNothingAway(t *testing.T) {
	o := openOffice(t)
	for _, path := range []string{"backup", "audit/export"} {
		if got := o.raw(http.MethodHead, admin.Prefix+path, ""); got.status != http.StatusOK || got.header.Get("Content-Disposition") == "" {
			t.Errorf("%s: %d %v", path, got.status, got.header)
		}
	}
	if acts := o.acts(); len(acts) > 0 {
		t.Errorf("the audit log has %v", acts)
	}
}

// slowReader is the other side of a copy that does not read on before it is let.
type slowReader struct {
	*httptest.ResponseRecorder
	once        sync.Once
	begun, goOn chan struct{}
}

func (s *slowReader) SetWriteDeadline(time.Time) error { return nil }

func (s *slowReader) Write(b []byte) (int, error) {
	s.once.Do(func() { close(s.begun); <-s.goOn })
	return s.ResponseRecorder.Write(b)
}

func TestOneBackupAtATime(t *testing.T) {
	o := openOffice(t)
	h := admin.NewHandler(o.desk, nil)
	ask := func(w http.ResponseWriter) {
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, admin.Prefix+"backup", nil))
	}
	slow := &slowReader{ResponseRecorder: httptest.NewRecorder(), begun: make(chan struct{}), goOn: make(chan struct{})}
	done := make(chan struct{})
	go func() { defer close(done); ask(slow) }()
	<-slow.begun
	second := httptest.NewRecorder()
	ask(second)
	close(slow.goOn)
	<-done
	if second.Code != http.StatusConflict || !strings.Contains(second.Body.String(), "another backup") || second.Header().Get("Content-Disposition") != "" {
		t.Errorf("the second got %d %s, want 409", second.Code, second.Body)
	}
	if slow.Code != http.StatusOK || !bytes.Contains(slow.Body.Bytes(), []byte("charge")) {
		t.Errorf("the first got %d and %d bytes that are no ledger", slow.Code, slow.Body.Len())
	}
}

// stalled is a connection that takes nothing more.
type stalled struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (s *stalled) SetWriteDeadline(at time.Time) error {
	s.deadlines = append(s.deadlines, at)
	return nil
}

func (s *stalled) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestStalledBackupEndsInTime(t *testing.T) {
	o := openOffice(t)
	w := &stalled{ResponseRecorder: httptest.NewRecorder()}
	func() {
		defer func() {
			if r := recover(); r != http.ErrAbortHandler {
				t.Errorf("the answer was not cut off but ended with %v: half a copy would pass for a whole one", r)
			}
		}()
		admin.NewHandler(o.desk, nil).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, admin.Prefix+"backup", nil))
	}()
	if len(w.deadlines) != 1 || time.Until(w.deadlines[0]) > 30*time.Second {
		t.Errorf("the deadlines of the writes were %v, want one within half a minute", w.deadlines)
	}
}

// patient is a connection that remembers until when it may be read.
type patient struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (p *patient) SetReadDeadline(at time.Time) error {
	p.until = at
	return nil
}

// TestAnswersMayTakeTheirTime: net/http takes the end of the time that a body has for
// the end of the connection, and would end what is being answered.
func TestAnswersMayTakeTheirTime(t *testing.T) {
	o := openOffice(t)
	w := &patient{}
	o.live.ReloadKeys = func(context.Context) error {
		if !w.until.IsZero() {
			t.Errorf("the connection may be read until %v", w.until)
		}
		return nil
	}
	for _, body := range []string{"", "{}"} {
		*w = patient{httptest.NewRecorder(), time.Now()}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, admin.Prefix+"keys/reload", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		admin.NewHandler(o.desk, nil).ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
	*w = patient{httptest.NewRecorder(), time.Now()}
	admin.NewHandler(o.desk, nil).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, admin.Prefix+"audit/verify", nil))
	if !w.until.IsZero() {
		t.Error("without a body there is a time for it")
	}
}
