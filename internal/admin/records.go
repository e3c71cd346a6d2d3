package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyshield/internal/audit"
)

// AuditQuery says which records of the audit log are wanted; what is empty is not
// asked about.
type AuditQuery struct {
	From, To                            time.Time
	User, Outcome, Code, Endpoint, Kind string // User: id or pseudonym
	Model, ID                           string // ID: of a request
	Limit                               int    // of a page; 0 is 100, at most 1000. An export has no limit where none is said
	Before                              int64  // only those with a smaller seq: the next page
	Oldest                              bool   // the oldest first; else the newest

	// Look is of an export that is read and thrown away, as a summary's: it leaves no
	// record of itself.
	Look bool
}

const (
	usualRecords = 100
	mostRecords  = 1000
)

func (q AuditQuery) values() url.Values {
	v := url.Values{"oldest": {strconv.FormatBool(q.Oldest)}}
	for name, text := range map[string]string{
		"user": q.User, "outcome": q.Outcome, "code": q.Code, "endpoint": q.Endpoint, "kind": q.Kind, "model": q.Model, "id": q.ID,
	} {
		if text != "" {
			v.Set(name, text)
		}
	}
	for name, at := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Look {
		v.Set("look", "true")
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Before != 0 {
		v.Set("before", strconv.FormatInt(q.Before, 10))
	}
	return v
}

func parseAuditQuery(v url.Values) (AuditQuery, error) {
	r := reading(v, "from", "to", "user", "outcome", "code", "endpoint", "kind", "model", "id", "limit", "before", "oldest", "look")
	q := AuditQuery{
		From: r.time("from"), To: r.time("to"),
		User: r.text("user"), Outcome: r.text("outcome"), Code: r.text("code"), Endpoint: r.text("endpoint"),
		Kind: r.text("kind"), Model: r.text("model"), ID: r.text("id"),
		Limit: r.int("limit"), Before: r.number("before", 1<<62), Oldest: r.bool("oldest"), Look: r.bool("look"),
	}
	return q, cmp.Or(r.err, q.Check())
}

// parsePage is of a page, which is never noted.
func parsePage(v url.Values) (AuditQuery, error) {
	q, err := parseAuditQuery(v)
	if err == nil && v.Has("look") {
		err = badRequest("look is of an export: leave it out")
	}
	return q, err
}

// Check says what is wrong with a query.
func (q AuditQuery) Check() error {
	kinds := map[string]bool{
		"": true, string(audit.Request): true, string(audit.Operator): true, string(audit.Refused): true,
		string(audit.Start): true, string(audit.Stop): true, string(audit.Lost): true,
	}
	outcomes := []string{"", audit.OK, audit.Denied, audit.Failed, audit.ClientGone, audit.Unknown, audit.Done}
	switch {
	case !slices.Contains(outcomes, q.Outcome):
		return badRequest("there is no outcome %q: say ok, refused, failed, client_gone, unknown (cut off by a crash) or done (an operator's)", q.Outcome)
	case !kinds[q.Kind]:
		return badRequest("there are no records of kind %q: say request, operator, refused, start, stop or lost", q.Kind)
	case !q.From.IsZero() && !q.To.IsZero() && !q.To.After(q.From):
		return badRequest("from must be before to")
	case q.Limit < 0 || q.Before < 0:
		return badRequest("limit and before are whole numbers from 0 on")
	case q.Before > 0 && q.Oldest:
		return badRequest("before pages through the newest first: leave oldest out")
	}
	return nil
}

func (q AuditQuery) search() audit.Query {
	return audit.Query{
		From: q.From, To: q.To, User: q.User, Outcome: q.Outcome, Code: q.Code, Endpoint: q.Endpoint, Model: q.Model, ID: q.ID,
		Kind: audit.Kind(q.Kind), Before: q.Before, Oldest: q.Oldest,
	}
}

// AuditPage is GET audit: some records, and where the next ones are.
type AuditPage struct {
	Records    []audit.Record `json:"records"`
	Next       int64          `json:"next,omitempty"`       // the next page's "before"; absent: there is none
	Unreadable int            `json:"unreadable,omitempty"` // lines that were damaged, and left out: verify
}

// Audit is a page of the audit log.
func (d *Desk) Audit(ctx context.Context, q AuditQuery) (AuditPage, error) {
	if err := q.Check(); err != nil {
		return AuditPage{}, err
	}
	if q.Limit > mostRecords {
		return AuditPage{}, badRequest("a page has at most %d records: ask for the next one, or export", mostRecords)
	}
	page := AuditPage{Records: []audit.Record{}}
	limit := cmp.Or(q.Limit, usualRecords)
	unreadable, err := d.visit(ctx, q, limit+1, func(r audit.Record) error {
		page.Records = append(page.Records, r)
		return nil
	})
	page.Unreadable = unreadable
	if len(page.Records) > limit {
		page.Records = page.Records[:limit]
		if !q.Oldest {
			page.Next = page.Records[limit-1].Seq
		}
	}
	return page, err
}

// visit gives to each at most so many of the records, all for 0. It counts the damaged
// lines that it met, for which nobody shall miss the others.
func (d *Desk) visit(ctx context.Context, q AuditQuery, most int, each func(audit.Record) error) (unreadable int, err error) {
	search, key := q.search(), ""
	if q.User != "" {
		found, err := d.find(ctx, q.User, "")
		if err != nil {
			return 0, err
		}
		for _, p := range found {
			if p.Key == q.User { // the log is searched by ids, which two issuers can have in common
				search.User, key = p.ID, p.Key
			}
		}
	}
	seen := 0
	err = audit.Search(ctx, d.auditDir(), search, func(r audit.Record) error {
		if key != "" && r.UserKey != key {
			return nil
		}
		if err := each(r); err != nil {
			return err
		}
		if seen++; seen == most {
			return audit.ErrEnough
		}
		return nil
	})
	if damaged, ok := errors.AsType[*audit.Unreadable](err); ok {
		return damaged.Lines, nil
	}
	return 0, d.noLog(err)
}

// noLog explains an audit log that is not there: it begins with a server's start.
func (d *Desk) noLog(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return refusal(http.StatusNotFound, "no_audit_log", "there is no audit log in %s yet: a server that runs writes one", d.auditDir())
	}
	return err
}

func (d *Desk) auditDir() string { return filepath.Join(d.Dir, audit.Folder) }

// filters says what an export was narrowed down to.
func (q AuditQuery) filters() string {
	var all []string
	for name, values := range q.values() {
		if name != "oldest" {
			all = append(all, name+"="+values[0])
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// ExportAudit writes records as JSON lines. That they were taken away is noted once
// there is something to take, also if it broke off. It writes all that can be read
// and then, if something could not, returns the Refusal audit_unreadable: an export
// that lacks a record must not pass for the whole log.
func (d *Desk) ExportAudit(ctx context.Context, q AuditQuery, w io.Writer) error {
	if err := q.Check(); err != nil {
		return err
	}
	if !d.shared.reading.TryLock() {
		return errReads()
	}
	defer d.shared.reading.Unlock()
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	taken := false
	unreadable, err := d.visit(ctx, q, q.Limit, func(r audit.Record) error {
		taken = true
		return encoder.Encode(r)
	})
	if (taken || err == nil) && !q.Look {
		d.note("export_audit", "audit", q.filters())
	}
	if unreadable > 0 {
		d.Log.Error("an export of the audit log lacks what cannot be read: keyshield audit verify", "lines", unreadable)
		return errUnreadable(unreadable)
	}
	return err
}

// CodeUnreadable is that of the Refusal after an export that lacks damaged lines.
const CodeUnreadable = "audit_unreadable"

func errUnreadable(lines int) error {
	noun := "lines"
	if lines == 1 {
		noun = "line"
	}
	told := refusal(http.StatusInternalServerError, CodeUnreadable, "%d %s of the audit log cannot be read and may be missing here: keyshield audit verify names the first", lines, noun)
	told.Unreadable = lines
	return told
}

func errReads() error {
	return refusal(http.StatusConflict, "audit_is_read", "somebody else is reading all of the audit log: wait for it")
}

// AuditReport is GET audit/verify: whether every record is the one that was written.
type AuditReport struct {
	OK   bool   `json:"ok"`
	Text string `json:"text"` // in words, a sentence a line
	audit.Report
}

// VerifyAudit looks for records that were changed, left out or moved. Anchors are
// "seq:hash@day", as the server's own log has them.
func (d *Desk) VerifyAudit(ctx context.Context, anchors []string) (AuditReport, error) {
	var given []audit.Anchor
	for _, text := range anchors {
		a, err := audit.ParseAnchor(text)
		if err != nil {
			return AuditReport{}, badRequest("%v", err)
		}
		given = append(given, a)
	}
	if !d.shared.reading.TryLock() {
		return AuditReport{}, errReads()
	}
	defer d.shared.reading.Unlock()
	found, err := audit.Verify(ctx, d.auditDir(), given...)
	return AuditReport{OK: found.OK(), Text: found.String(), Report: found}, d.noLog(err)
}
