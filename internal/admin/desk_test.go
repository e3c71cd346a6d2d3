package admin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/admin"
	"keyshield/internal/alert"
	"keyshield/internal/audit"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
	"keyshield/internal/upstream"
)

func TestRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	day := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]interface{ Check() error }{
		"nobody":                  admin.DisableRequest{},
		"both":                    admin.DisableRequest{User: "a", Everything: true},
		"an issuer of everything": admin.DisableRequest{Everything: true, Issuer: "x"},
		"no time":                 admin.DisableRequest{User: "a", For: "soon"},
		"less than nothing":       admin.DisableRequest{User: "a", For: "-1h"},
		"a moment":                admin.DisableRequest{User: "a", For: "1ms"},
		"for ever in numbers":     admin.DisableRequest{User: "a", For: "100000h"},
		"for ever in days":        admin.DisableRequest{User: "a", For: "99999999999999999999d"},
		"half a day":              admin.DisableRequest{User: "a", For: "1.5d"},
		"a novel":                 admin.DisableRequest{User: "a", Why: strings.Repeat("x", 1025)},
		"no text":                 admin.DisableRequest{User: "a", Why: "\xff"},
		"enable nothing":          admin.EnableRequest{},
		"enable two things":       admin.EnableRequest{User: "a", Model: "b"},
		"enable all and one":      admin.EnableRequest{Everything: true, Model: "b"},
		"an issuer of a model":    admin.EnableRequest{Model: "b", Issuer: "x"},
		"seed nothing":            admin.SeedRequest{},
		"seed less":               admin.SeedRequest{At: time.Now(), Month: -1},
		"a day beyond its month":  admin.SeedRequest{At: time.Now(), Month: 1, Day: 2},
		"more than anybody has":   admin.SeedRequest{At: time.Now(), Month: admin.NanoUSD(money.Max) + 1},
		"no days":                 admin.ReconcileReport{},
		"backwards":               admin.ReconcileReport{From: day, To: day},
		"negative books":          admin.ReconcileReport{From: day, To: day.Add(hour), Theirs: -1},
		"a day that is none":      admin.ReconcileReport{From: day, To: day.Add(hour), Days: []admin.ReconcileDay{{Day: "2026-13-01"}}},
		"too many days":           admin.ReconcileReport{From: day, To: day.Add(hour), Days: make([]admin.ReconcileDay, 401)},
		"an order that is none":   admin.UsersQuery{Sort: "colour"},
		"a page too long":         admin.UsersQuery{Limit: 1001},
		"a kind that is none":     admin.AuditQuery{Kind: "colour"},
		"an outcome that is none": admin.AuditQuery{Outcome: "colour"},
		"to before from":          admin.AuditQuery{From: day, To: day},
		"before with oldest":      admin.AuditQuery{Before: 3, Oldest: true},
		"no list":                 admin.UsageQuery{By: []string{"colour"}},
		"too far back":            admin.UsageQuery{Since: 402 * 24 * hour},
	} {
		if err := c.Check(); codeOf(err) != "invalid_request" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSeedCountsForTheCap(t *testing.T) {
	o := openOffice(t)
	o.settle(person("ana"), "gpt-6-luna", money.Dollar)
	a := must[admin.SeedAnswer](t)(o.far().Seed(t.Context(), admin.SeedRequest{At: time.Now(), Month: 8e9, Day: 3e9, Why: "the disk was lost"}))
	if a.Month.Used != 8e9 || a.Month.Seeded != 7e9 || *a.Month.Left != 12e9 || a.Day.Used != 3e9 || a.Day.Seeded != 2e9 {
		t.Errorf("%+v", a)
	}
	if _, err := o.far().Seed(t.Context(), admin.SeedRequest{At: time.Now(), Month: 1e9}); codeOf(err) != "counted_more" {
		t.Errorf("less than was counted: %v", err)
	}
	if diff := cmp.Diff([]string{"seed month:$8 day:$3 (the disk was lost) by admin 127.0.0.1"}, o.acts()); diff != "" {
		t.Errorf("the audit log (-want +got):\n%s", diff)
	}
}

func TestKeyUsedElsewhereIsTold(t *testing.T) {
	o := openOffice(t)
	if last := must[admin.LastReconcile](t)(o.far().LastReconcile(t.Context())); last.Last != nil {
		t.Errorf("before the first: %+v", last)
	}
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		theirs  admin.NanoUSD
		verdict string
		more    admin.NanoUSD
	}{{0, admin.Agrees, 0}, {5e9, admin.Agrees, 0}, {55e8, admin.Agrees, 0}, {55e8 + 1, admin.KeyUsedElsewhere, 5e8 + 1}, {9e9, admin.KeyUsedElsewhere, 4e9}} {
		sent := admin.ReconcileReport{From: from, To: from.AddDate(0, 0, 20), Ours: 5e9, Theirs: c.theirs, Tolerance: 5e8,
			Days: []admin.ReconcileDay{{Day: "2026-11-01", Ours: 5e9, Theirs: c.theirs}}}
		s := must[admin.ReconcileSummary](t)(o.far().Reconcile(t.Context(), sent))
		if s.Verdict != c.verdict || s.Elsewhere != c.more || s.By != "admin 127.0.0.1" || !cmp.Equal(s.ReconcileReport, sent) {
			t.Errorf("%v: %+v", c.theirs, s)
		}
		if told := o.reconciled[len(o.reconciled)-1]; !cmp.Equal(told, s) {
			t.Errorf("the alerts are told %+v", told)
		}
		// It outlives this desk.
		if last := must[admin.LastReconcile](t)(admin.NewDesk(o.parts).LastReconcile(t.Context())); !cmp.Equal(*last.Last, s) {
			t.Errorf("the last one is %+v, want %+v", last.Last, s)
		}
	}
	path := filepath.Join(o.dir, "reconcile.json")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("its file: %v %v", info, err)
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.far().LastReconcile(t.Context()); codeOf(err) != "damaged" {
		t.Errorf("damaged: %v", err)
	}
}

func TestUsersArePaged(t *testing.T) {
	o := openOffice(t)
	for i, id := range []string{"ana", "bob", "eve", "zoe"} {
		o.settle(person(id), "gpt-6-luna", money.USD(i+1))
	}
	must[admin.DisableAnswer](t)(o.desk.Disable(t.Context(), admin.DisableRequest{User: "eve"}))
	var ids []string
	for offset := 0; offset < 4; offset += 2 {
		list := must[admin.UserList](t)(o.far().Users(t.Context(), admin.UsersQuery{Sort: "used_day", Desc: true, Offset: offset, Limit: 2}))
		if list.Total != 4 || list.Offset != offset || len(list.Users) != 2 {
			t.Errorf("from %d on: %d of %d, offset %d", offset, len(list.Users), list.Total, list.Offset)
		}
		for _, u := range list.Users {
			ids = append(ids, u.ID)
			if (u.Stop != nil) != (u.ID == "eve") || u.Month.Requests != 1 || u.Day.Cap != nil {
				t.Errorf("%+v", u)
			}
		}
	}
	if !slices.Equal(ids, []string{"zoe", "eve", "bob", "ana"}) {
		t.Errorf("the order is %v", ids)
	}
	if list := must[admin.UserList](t)(o.far().Users(t.Context(), admin.UsersQuery{Search: "nobody"})); list.Total != 0 || list.Users == nil {
		t.Errorf("nobody: %+v", list)
	}
	if list := must[admin.UserList](t)(o.far().Users(t.Context(), admin.UsersQuery{Search: "Z"})); list.Total != 1 || list.Users[0].ID != "zoe" {
		t.Errorf("by a part of the name: %+v", list)
	}
}

func TestOneUserIsShownWhole(t *testing.T) {
	o := openOffice(t)
	odd := person("auth0|a/b?c d%2f..")
	o.settle(odd, "gpt-6-luna", 5)
	o.settle(odd, "gpt-4.1-mini", 6)
	o.settle(person("ana"), "gpt-6-luna", 7)
	for _, u := range []ledger.User{odd, person("ana"), {Key: "another", Issuer: "https://two.example", ID: odd.ID}} {
		o.audit.Request(&audit.Record{ID: "request-of-" + u.Key, User: u.ID, Issuer: u.Issuer, UserKey: u.Key, Status: 200, Outcome: audit.OK}, true)
	}
	for _, name := range []string{odd.ID, odd.Key} {
		u := must[admin.UserDetail](t)(o.far().User(t.Context(), name))
		if u.Person != (admin.Person{ID: odd.ID, Issuer: odd.Issuer, Key: odd.Key}) || u.Month.Used != 11 || u.Stop != nil ||
			len(u.ByHour) == 0 || len(u.ByModel) != 2 || u.ByModel[0].Model != "gpt-4.1-mini" {
			t.Errorf("%s: %+v", name, u)
		}
		if len(u.Records) != 1 || u.Records[0].UserKey != odd.Key {
			t.Errorf("%s: the records are %+v, want the one of this user", name, u.Records)
		}
	}
	if _, err := o.far().User(t.Context(), "nobody"); codeOf(err) != "no_such_user" {
		t.Errorf("nobody: %v", err)
	}
}

func TestAuditIsPagedAndExported(t *testing.T) {
	o := openOffice(t)
	for i := range 7 {
		o.audit.Request(&audit.Record{ID: "r" + string(rune('0'+i)), User: "ana", Outcome: audit.OK, Status: 200}, true)
	}
	o.audit.Request(&audit.Record{ID: "r7", User: "bob", Outcome: audit.Denied, Code: "rate_limited", Status: 429}, true)
	var ids []string
	q := admin.AuditQuery{User: "ana", Limit: 3}
	for range 4 {
		page := must[admin.AuditPage](t)(o.far().Audit(t.Context(), q))
		for _, r := range page.Records {
			ids = append(ids, r.ID)
		}
		if q.Before = page.Next; q.Before == 0 {
			break
		}
	}
	if got := strings.Join(ids, " "); got != "r6 r5 r4 r3 r2 r1 r0" {
		t.Errorf("the pages have %s", got)
	}
	var out bytes.Buffer
	if err := o.far().ExportAudit(t.Context(), admin.AuditQuery{Kind: "request", Oldest: true}, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	var last audit.Record
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 8 || last.Code != "rate_limited" {
		t.Errorf("%d lines, the last %+v (%v)", len(lines), last, err)
	}
	if acts := o.acts(); len(acts) != 1 || !strings.HasPrefix(acts[0], "export_audit audit") {
		t.Errorf("that somebody took the log away is not in it: %v", acts)
	}
	v := must[admin.AuditReport](t)(o.far().VerifyAudit(t.Context(), nil))
	if !v.OK || v.Records < 9 || v.Text == "" {
		t.Errorf("verified: %+v", v)
	}
	anchor := "3:" + strings.Repeat("0", 64)
	if v := must[admin.AuditReport](t)(o.far().VerifyAudit(t.Context(), []string{anchor})); v.OK || !strings.Contains(v.Text, anchor) {
		t.Errorf("an anchor that is not in the chain: %+v", v)
	}
	if _, err := o.far().VerifyAudit(t.Context(), []string{"colour"}); codeOf(err) != "invalid_request" {
		t.Errorf("no anchor: %v", err)
	}
}

func TestNoAuditLogIsNoEmptyOne(t *testing.T) {
	o := openOffice(t)
	o.settle(person("ana"), "gpt-6-luna", 7)
	parts := o.parts
	parts.Dir = t.TempDir()
	d := admin.NewDesk(parts)
	if _, err := d.Audit(t.Context(), admin.AuditQuery{}); codeOf(err) != "no_audit_log" {
		t.Errorf("got %v", err)
	}
	if _, err := d.VerifyAudit(t.Context(), nil); codeOf(err) != "no_audit_log" {
		t.Errorf("verify: %v", err)
	}
	if u, err := d.User(t.Context(), "ana"); err != nil || u.Records == nil {
		t.Errorf("a user is not shown for it: %v %+v", err, u.Records)
	}
}

func TestWithoutAServerItSaysSo(t *testing.T) {
	o := openOffice(t)
	parts := o.parts
	parts.Live = nil
	d := admin.NewDesk(parts)
	ask := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"overview": ask(d.Overview(t.Context())),
		"keys":     ask(d.Keys(t.Context())),
		"reload":   ask(d.ReloadKeys(t.Context())),
		"settings": ask(d.Settings(t.Context())),
		"alerts":   ask(d.TestAlerts(t.Context())),
	} {
		if codeOf(err) != "not_running" || !strings.Contains(err.Error(), "--server") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"usage":    ask(d.Usage(t.Context(), admin.UsageQuery{})),
		"users":    ask(d.Users(t.Context(), admin.UsersQuery{})),
		"switches": ask(d.Switches(t.Context())),
		"disable":  ask(d.Disable(t.Context(), admin.DisableRequest{Everything: true})),
		"enable":   ask(d.Enable(t.Context(), admin.EnableRequest{Everything: true})),
		"audit":    ask(d.Audit(t.Context(), admin.AuditQuery{})),
		"compare":  ask(d.Reconcile(t.Context(), admin.ReconcileReport{From: time.Unix(1, 0), To: time.Unix(2, 0)})),
		"last":     ask(d.LastReconcile(t.Context())),
	} {
		if err != nil {
			t.Errorf("%s needs no server: %v", name, err)
		}
	}
}

func TestKeysAndAlertsAreShown(t *testing.T) {
	o := openOffice(t)
	gone := time.Date(2026, 11, 20, 1, 2, 3, 0, time.UTC)
	o.keys = append(o.keys, upstream.KeyState{Fingerprint: "sha256:ffffffff", State: upstream.Quarantined, QuarantinedAt: gone, Why: "OpenAI answered 401"})
	list := must[admin.KeyList](t)(o.far().Keys(t.Context()))
	if len(list.Keys) != 2 || list.Keys[0].Since != nil || !list.Keys[1].QuarantinedAt.Equal(gone) || list.Keys[1].Why == "" {
		t.Errorf("%+v", list)
	}
	if again := must[admin.KeyList](t)(o.far().ReloadKeys(t.Context())); len(again.Keys) != 2 {
		t.Errorf("%+v", again)
	}
	o.reload = errors.New("the source answered 503")
	if _, err := o.far().ReloadKeys(t.Context()); codeOf(err) != "keys_unchanged" || !strings.Contains(err.Error(), "503") {
		t.Errorf("a source that fails: %v", err)
	}
	if o.retried != 2 {
		t.Errorf("after two reloads, of which one found no source, the refused keys were tried %d times", o.retried)
	}
	o.live.ReloadKeys = nil
	if _, err := o.far().ReloadKeys(t.Context()); codeOf(err) != "fixed_keys" {
		t.Errorf("keys that never change: %v", err)
	}
	o.revives = true
	if again := must[admin.KeyList](t)(o.far().ReloadKeys(t.Context())); len(again.Keys) != 2 || o.retried != 4 {
		t.Errorf("a refused key that never changes: %+v, tried %d times", again, o.retried)
	}
	o.receivers.results = []alert.Result{{Receiver: "slack", Took: 1500 * time.Microsecond}, {Receiver: "webhook", Err: errors.New("refused")}}
	tested := must[admin.AlertTest](t)(o.far().TestAlerts(t.Context()))
	if len(tested.Alerts) != 2 || !tested.Alerts[0].OK || tested.Alerts[0].Took != 1.5 || tested.Alerts[1].OK || tested.Alerts[1].Why != "refused" {
		t.Errorf("%+v", tested)
	}
	if s := must[admin.SettingList](t)(o.far().Settings(t.Context())); len(s.Settings) != 1 || s.Settings[0].Value != "(set)" {
		t.Errorf("%+v", s)
	}
}
