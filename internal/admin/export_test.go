package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
)

// damage makes the lines that have these texts unreadable, and nothing else.
func (o *office) damage(texts ...string) {
	o.t.Helper()
	o.audit.Drain()
	all, err := filepath.Glob(filepath.Join(o.dir, audit.Folder, "*.jsonl"))
	if err != nil || len(all) != 1 {
		o.t.Fatalf("not one file: %v %v", all, err)
	}
	log, err := os.ReadFile(all[0])
	if err != nil {
		o.t.Fatal(err)
	}
	for _, text := range texts {
		i := bytes.Index(log, []byte(text))
		if i < 0 {
			o.t.Fatalf("%s is not in the log:\n%s", text, log)
		}
		begin := bytes.LastIndexByte(log[:i], '\n') + 1
		log[begin] = '['
	}
	if err := os.WriteFile(all[0], log, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

type exporter interface {
	ExportAudit(context.Context, admin.AuditQuery, io.Writer) error
}

// taken is what an export has, and how it ended.
func taken(t *testing.T, d exporter, q admin.AuditQuery) (ids string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = d.ExportAudit(t.Context(), q, &out)
	for line := range strings.Lines(out.String()) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil || !strings.HasSuffix(line, "\n") {
			t.Errorf("a line of an export is no record: %q (%v)", line, err)
		}
		ids += r.ID + " "
	}
	return strings.TrimSuffix(ids, " "), err
}

// TestExportOfADamagedLogIsNotWhole: it has all that can be read, and then says how
// much could not, to whoever asks and however far away.
func TestExportOfADamagedLogIsNotWhole(t *testing.T) {
	o := openOffice(t)
	for i := range 5 {
		o.audit.Request(&audit.Record{ID: fmt.Sprint("r", i), User: "ana", Outcome: audit.OK, Status: 200}, true)
	}
	o.audit.Request(&audit.Record{ID: "r5", User: "bob", Outcome: audit.OK, Status: 200}, true)
	q := admin.AuditQuery{User: "ana", Kind: "request", Oldest: true, Look: true}
	desks := map[string]exporter{"desk": o.desk, "near": o.near(), "far": o.far()}
	for name, d := range desks {
		if ids, err := taken(t, d, q); ids != "r0 r1 r2 r3 r4" || err != nil {
			t.Errorf("%s: %q, %v of a sound log", name, ids, err)
		}
	}
	o.damage(`"id":"r1"`, `"id":"r3"`, `"id":"r5"`)
	for name, d := range desks {
		for limit, want := range map[int]struct {
			ids  string
			lost int
		}{0: {"r0 r2 r4", 2}, 3: {"r0 r2 r4", 2}, 2: {"r0 r2", 1}, 1: {"r0", 0}} {
			q.Limit = limit
			ids, err := taken(t, d, q)
			lost := 0
			if told, ok := errors.AsType[*admin.Refusal](err); ok && told.Code == admin.CodeUnreadable {
				lost, err = told.Unreadable, nil
				if !strings.HasPrefix(told.Text, fmt.Sprint(lost, " line")) || !strings.Contains(told.Text, "keyshield audit verify names the first") {
					t.Errorf("%s: it is told as %q", name, told.Text)
				}
			}
			if ids != want.ids || lost != want.lost || err != nil {
				t.Errorf("%s, at most %d: %q without %d lines (%v), want %q without %d", name, limit, ids, lost, err, want.ids, want.lost)
			}
		}
	}
	q.User, q.Limit = "bob", 0
	for name, d := range desks {
		if ids, err := taken(t, d, q); ids != "" || codeOf(err) != admin.CodeUnreadable {
			t.Errorf("%s: nothing that can be read: %q, %v", name, ids, err)
		}
	}
	if got := o.raw("GET", admin.Prefix+"audit/export?user=bob&kind=request", ""); got.status != 500 || got.code != admin.CodeUnreadable || !strings.Contains(got.body, `"unreadable":1`) {
		t.Errorf("nothing that can be read: %d %s", got.status, got.body)
	}
	page := must[admin.AuditPage](t)(o.far().Audit(t.Context(), admin.AuditQuery{User: "ana", Kind: "request", Limit: 1}))
	if len(page.Records) != 1 || page.Unreadable != 1 || page.Next == 0 {
		t.Errorf("a page before the last: %+v, want the line that was passed over", page)
	}
}

// TestDamagedExportIsCutOff: a program that knows nothing of us must not take it for
// whole either.
func TestDamagedExportIsCutOff(t *testing.T) {
	o := openOffice(t)
	for i := range 3 {
		o.audit.Request(&audit.Record{ID: fmt.Sprint("r", i), User: "ana", Outcome: audit.OK, Status: 200}, true)
	}
	o.damage(`"id":"r1"`)
	resp, err := http.Get(o.socket.URL + admin.Prefix + "audit/export?kind=request&oldest=true")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the answer ended with %v: what lacks a line passes for a whole log", err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], `"id":"r2"`) || !strings.Contains(lines[2], admin.CodeUnreadable) {
		t.Errorf("it has %q, want two records and the reason", lines)
	}
}

// TestClientKnowsAnExportThatIsNotWhole also where something in between has made a
// proper end of the cut.
func TestClientKnowsAnExportThatIsNotWhole(t *testing.T) {
	const record = `{"seq":1,"time":"2026-11-22T00:00:00.000000Z","kind":"stop","prev":"","hash":""}` + "\n"
	for sent, want := range map[string]string{
		record + `{"error":"2 lines cannot be read","code":"audit_unreadable","unreadable":2}`: "2 lines cannot be read",
		record + "cut off": "broke off",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(admin.ProtocolHeader, admin.Protocol)
			io.WriteString(w, sent)
			if want == "broke off" {
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
		}))
		defer s.Close()
		var out bytes.Buffer
		err := admin.NewClient(admin.ClientOptions{Base: s.URL}).ExportAudit(t.Context(), admin.AuditQuery{}, &out)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(out.String(), record) || strings.Contains(out.String(), "audit_unreadable") {
			t.Errorf("%q: %v and %q, want %s", sent, err, out.String(), want)
		}
	}
}
