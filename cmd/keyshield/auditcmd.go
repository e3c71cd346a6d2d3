package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/money"
)

// defaultRecords is how many records a person wants to see.
const defaultRecords = 100

// auditing is what `keyshield audit` was asked for.
type auditing struct {
	what    string // verify, export, or "": look
	server  string
	query   admin.AuditQuery
	since   time.Duration
	json    bool
	summary bool
	anchors []string
}

// auditLog shows what happened: `keyshield audit`.
func auditLog(ctx context.Context, p process) int {
	a := auditing{what: leading(&p, "verify", "export")}
	name := strings.TrimSpace("audit " + a.what)
	if a.what == "" && len(p.args) > 0 && !strings.HasPrefix(p.args[0], "-") {
		fmt.Fprintf(p.stderr, "keyshield audit: there is no %q: write keyshield audit, keyshield audit verify or keyshield audit export\n", p.args[0])
		return exitUsage
	}
	if exit, ok := flags(p, name, a.flags); !ok {
		return exit
	}
	if err := a.settle(time.Now()); err != nil {
		fmt.Fprintf(p.stderr, "keyshield %s: %v\n", name, err)
		return exitUsage
	}
	d, done, err := reach(ctx, p, a.server)
	if err != nil {
		return unable(p, name, err)
	}
	defer done()
	exit := exitOK
	switch {
	case a.what == "verify":
		exit, err = a.verify(ctx, d, p)
	case a.summary:
		exit, err = a.tell(ctx, d, p)
	case a.what == "export" || a.json:
		a.query.Look = a.what != "export"
		err = d.ExportAudit(ctx, a.query, p.stdout)
	default:
		exit, err = a.show(ctx, d, p)
	}
	if err != nil {
		return unable(p, name, err)
	}
	return exit
}

const auditUsage = `usage: keyshield audit [flags]          what happened: the newest records, or with --summary one screen
       keyshield audit verify [flags]   whether every record is the one that was written; exit 1 if not
       keyshield audit export [flags]   all of it as JSON, a record a line, the oldest first

The flags of keyshield %s:
`

func (a *auditing) flags(f *flag.FlagSet) {
	f.Usage = func() {
		fmt.Fprintf(f.Output(), auditUsage, strings.TrimSpace("audit "+a.what))
		f.PrintDefaults()
	}
	serverFlag(f, &a.server)
	if a.what == "verify" {
		f.BoolVar(&a.json, "json", false, "print JSON")
		f.Func("anchor", "seq:hash@day, the anchor of a line of the server's log with the event audit_anchor, which must be in the chain; without @day nobody can say whether it is only too old; may be given more than once", func(s string) error {
			_, err := audit.ParseAnchor(s)
			a.anchors = append(a.anchors, s)
			return err
		})
		return
	}
	q := &a.query
	f.Func("since", "only the last 24h or 7d, say; with --summary 24h if nothing is said", back(&a.since))
	f.Func("from", "only from this time on, such as 2026-11-21, '2026-11-21 10:00' or 2026-11-21T10:00:00Z (UTC)", instant(&q.From))
	f.Func("to", "only before this time", instant(&q.To))
	f.StringVar(&q.User, "user", "", "only of this user, by id or by the key that usage --json shows")
	f.StringVar(&q.Outcome, "outcome", "", "only requests that were ok, refused, failed, client_gone, or unknown after a crash")
	f.StringVar(&q.Code, "code", "", "only with this code, such as budget_exhausted")
	f.StringVar(&q.Endpoint, "endpoint", "", "only of this endpoint, such as /v1/responses")
	f.StringVar(&q.Model, "model", "", "only of this model")
	f.StringVar(&q.ID, "id", "", "only the request with this id, which clients have as X-Request-Id")
	f.StringVar(&q.Kind, "kind", "", "only request, operator, refused (of strangers, counted), start, stop or lost")
	if a.what == "export" {
		f.Func("limit", "how many at most, the oldest; 0 is all (default all)", atMost(&q.Limit))
		return
	}
	q.Limit = notSaid
	f.Func("limit", fmt.Sprintf("how many at most, the newest; 0 is all (default %d; with --json all)", defaultRecords), atMost(&q.Limit))
	f.BoolVar(&a.json, "json", false, "print JSON, a record a line, the oldest first (with --limit the newest first); with --summary one object")
	f.BoolVar(&a.summary, "summary", false, "say on one screen what happened")
}

// notSaid is a limit that nobody can write.
const notSaid = -1

// atMost reads a limit.
func atMost(to *int) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return errors.New("write a whole number from 0 on")
		}
		*to = n
		return nil
	}
}

// instant reads a time, in UTC where it names no other zone.
func instant(to *time.Time) func(string) error {
	return func(s string) error {
		for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
			if at, err := time.Parse(layout, s); err == nil {
				*to = at.UTC()
				return nil
			}
		}
		return errors.New("write it as 2026-11-21, 2026-11-21 10:00 or 2026-11-21T10:00:00Z")
	}
}

const usualSummary = 24 * time.Hour

// settle checks the flags together, and fills in what was left out.
func (a *auditing) settle(now time.Time) error {
	q := &a.query
	switch {
	case a.since < 0:
		return errors.New("--since looks back: write 24h")
	case a.since > 0 && !q.From.IsZero():
		return errors.New("--since and --from exclude each other")
	case a.summary && (q.User+q.Outcome+q.Code+q.Endpoint+q.Model+q.ID+q.Kind != "" || q.Limit >= 0):
		return errors.New("--summary is about everything in a time: only --since, --from and --to go with it")
	case a.summary && a.since == 0 && q.From.IsZero():
		a.since = usualSummary
	}
	if a.since > 0 {
		q.From = now.Add(-a.since).UTC()
	}
	newest := q.Limit > 0 && a.what != "export" // the newest so many: they come first, then
	if q.Limit == notSaid {
		q.Limit = defaultRecords
		if a.json || a.summary {
			q.Limit = 0
		}
	}
	q.Oldest = (a.what == "export" || a.json || a.summary) && !newest
	return q.Check()
}

// verify says whether every record is the one that was written.
func (a *auditing) verify(ctx context.Context, d desk, p process) (int, error) {
	report, err := d.VerifyAudit(ctx, a.anchors)
	if err != nil {
		return exitFailed, err
	}
	if a.json {
		err = printJSON(p.stdout, report)
	} else {
		_, err = io.WriteString(p.stdout, report.Text)
	}
	if err == nil && !report.OK {
		return exitFailed, nil
	}
	return exitOK, err
}

// page is how many records are asked for at once.
const page = 1000

// show is a table of the newest, the newest last, where a terminal's eye is.
func (a *auditing) show(ctx context.Context, d desk, p process) (int, error) {
	var found []audit.Record
	unreadable := 0
	for q, left := a.query, a.query.Limit; ; {
		all := a.query.Limit == 0
		if q.Limit = page; !all {
			q.Limit = min(page, left)
		}
		got, err := d.Audit(ctx, q)
		if err != nil {
			return exitFailed, err
		}
		found = append(found, got.Records...)
		unreadable = max(unreadable, got.Unreadable) // each page is looked for from the newest line on
		left -= len(got.Records)
		if q.Before = got.Next; got.Next == 0 || !all && left <= 0 {
			break
		}
	}
	if len(found) == 0 && unreadable == 0 {
		fmt.Fprintln(p.stdout, "The audit log has no such record.")
		return exitOK, nil
	}
	slices.Reverse(found)
	rows := [][]string{{"When (UTC)", "What", "Who", "Where", "Model", "Cost", "Details"}}
	for _, r := range found {
		rows = append(rows, recordRow(r))
	}
	if err := writeColumns(p.stdout, rows); err != nil {
		return exitFailed, err
	}
	if slices.ContainsFunc(found, func(r audit.Record) bool { return r.AtCeiling > 0 }) {
		fmt.Fprintln(p.stdout, "* nobody has proved this cost: it is the most that the call can have cost")
	}
	if unreadable > 0 {
		fmt.Fprintf(p.stderr, "keyshield audit: %s of the audit log cannot be read and may be missing here: keyshield audit verify names the first\n", count(unreadable, "line"))
		return exitFailed, nil
	}
	return exitOK, nil
}

const second = "2006-01-02 15:04:05"

// recordRow is a record for a person.
func recordRow(r audit.Record) []string {
	at := r.Time.UTC().Format(second)
	switch r.Kind {
	case audit.Operator:
		return []string{at, "operator", printable(r.By), "", "", "", act(r)}
	case audit.Refused:
		return []string{at, "refused", "strangers", "", "", "", fmt.Sprintf("%s within a minute: %s", count64s(r.Count, "request"), plainLine(r.Code))}
	case audit.Lost:
		return []string{at, "LOST", "", "", "", "", fmt.Sprintf("%s could not be written: %s", count64s(r.Count, "record"), plainLine(r.Why))}
	case audit.Start, audit.Stop:
		return []string{at, string(r.Kind), "", "", "", "", plainLine(r.Why)}
	}
	return []string{at, printable(r.Outcome), whoOf(r), printable(r.Endpoint), printable(r.Model), costOf(r.Cost, r.AtCeiling), details(r)}
}

func whoOf(r audit.Record) string {
	if r.User == "" {
		return printable(r.UserKey)
	}
	return printable(r.User)
}

// costOf is what was charged. An asterisk marks what nobody proved.
func costOf(proven, ceiling money.USD) string {
	switch {
	case ceiling > 0:
		return (proven + ceiling).String() + "*"
	case proven == 0:
		return ""
	}
	return proven.String()
}

func details(r audit.Record) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if r.Code != "" {
		add("%s", plainLine(r.Code))
	}
	if r.Status != 0 && r.Status != 200 {
		add("%d", r.Status)
	}
	if r.Input+r.Output > 0 {
		add("%d in, %d out", r.Input, r.Output)
	}
	if r.Took > 0 {
		add("%s", r.Took.Round(time.Millisecond))
	}
	if r.IP != "" {
		add("from %s", plainLine(r.IP))
	}
	if r.Count > 0 {
		add("%s of that minute", count(int(r.Count), "request"))
	} else {
		add("%s", plainLine(r.ID))
	}
	return strings.Join(parts, ", ")
}

// act is what an operator did, or a part of the program in his place.
func act(r audit.Record) string {
	text := plainLine(r.Action)
	if r.Target != "" {
		text += " " + plainLine(r.Target)
	}
	if r.Why != "" {
		text += ": " + plainLine(r.Why)
	}
	return text
}

func count64s(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count64(n) + " " + noun + "s"
}

// eachRecord gives visit the records that q asks for, as they come. Lines that cannot
// be read are passed over: it is for what must go on also beside a damaged log.
func eachRecord(ctx context.Context, d desk, q admin.AuditQuery, visit func(audit.Record)) error {
	_, err := readRecords(ctx, d, q, visit)
	return err
}

// readRecords is eachRecord, and says how many lines were passed over.
func readRecords(ctx context.Context, d desk, q admin.AuditQuery, visit func(audit.Record)) (unreadable int, err error) {
	q.Look = true
	from, to := io.Pipe()
	exported := make(chan struct{})
	go func() {
		defer close(exported)
		to.CloseWithError(d.ExportAudit(ctx, q, to))
	}()
	defer func() { _ = from.Close(); <-exported }() // it cannot write any more, and so it ends
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r audit.Record
		if err := r.UnmarshalJSON(lines.Bytes()); err != nil {
			return 0, fmt.Errorf("a record of the server's cannot be read: %w", err)
		}
		visit(r)
	}
	if told, ok := errors.AsType[*admin.Refusal](lines.Err()); ok && told.Code == admin.CodeUnreadable {
		return told.Unreadable, nil
	}
	return 0, lines.Err()
}

// plainLine is a text of somebody else's on one line, with nothing that turns a
// terminal's text around.
func plainLine(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return '\uFFFD'
	}, text)
}

// writeColumns aligns all of them to the left.
func writeColumns(w io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += fmt.Sprintf("%-*s  ", widths[i], cell)
		}
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}
