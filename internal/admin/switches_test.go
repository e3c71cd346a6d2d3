package admin_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/admin"
	"keyshield/internal/ledger"
)

// personTarget is how the audit log names a user of the office.
func personTarget(id string) string { return "user:" + id + " (key " + person(id).Key + ")" }

// asksBetween says whether a refusal names both of these keys.
func asksBetween(err error, keys ...string) bool {
	told, ok := errors.AsType[*admin.Refusal](err)
	if !ok || len(told.Several) != len(keys) {
		return false
	}
	for _, key := range keys {
		if !slices.ContainsFunc(told.Several, func(p admin.Person) bool { return p.Key == key }) || !strings.Contains(told.Text, key) {
			return false
		}
	}
	return true
}

func TestDaysAreCountedAsDays(t *testing.T) {
	o := openOffice(t)
	a := must[admin.DisableAnswer](t)(o.far().Disable(t.Context(), admin.DisableRequest{User: "ana", For: "7d"}))
	if a.Disabled == nil || a.Disabled.Until == nil || a.Disabled.Until.Sub(a.Disabled.Since).Round(time.Minute) != 7*24*time.Hour {
		t.Errorf("the answer is %+v", a)
	}
}

func TestDisabledUserIsRefusedAndEnabledAgain(t *testing.T) {
	o := openOffice(t)
	o.settle(person("ana"), "gpt-6-luna", 7)
	a := must[admin.DisableAnswer](t)(o.far().Disable(t.Context(), admin.DisableRequest{User: "ana", For: "90m", Why: "stolen phone"}))
	if a.Disabled == nil || !a.Seen || a.Disabled.Until == nil || a.Disabled.Until.Sub(a.Disabled.Since).Round(time.Minute) != 90*time.Minute ||
		a.Disabled.By != "admin 127.0.0.1" || a.Disabled.Why != "stolen phone" || a.Disabled.Key != person("ana").Key {
		t.Errorf("the answer is %+v", a)
	}
	if o.ledger.Stopped(person("ana").Key) == nil {
		t.Error("disabled, and not refused")
	}
	list := must[admin.SwitchList](t)(o.near().Switches(t.Context()))
	if diff := cmp.Diff([]admin.Stop{*a.Disabled}, list.Stopped); diff != "" {
		t.Errorf("the list of switches (-answer +list):\n%s", diff)
	}
	e := must[admin.EnableAnswer](t)(o.near().Enable(t.Context(), admin.EnableRequest{User: "ana", Why: "found it"}))
	if e.Enabled.Key != person("ana").Key || len(e.Stopped) != 0 || o.ledger.Stopped(person("ana").Key) != nil {
		t.Errorf("enabled: %+v", e)
	}
	if !slices.Equal(o.forgiven, []string{person("ana").Key}) {
		t.Errorf("the watch forgives %v", o.forgiven)
	}
	if diff := cmp.Diff([]string{"disable " + personTarget("ana") + " (stolen phone) by admin 127.0.0.1", "enable " + personTarget("ana") + " (found it) by cli"}, o.acts()); diff != "" {
		t.Errorf("the audit log (-want +got):\n%s", diff)
	}
}

// TestStrangerCanBeDisabled: a token that was stolen may not have been used yet.
func TestStrangerCanBeDisabled(t *testing.T) {
	o := openOffice(t)
	a := must[admin.DisableAnswer](t)(o.desk.Disable(t.Context(), admin.DisableRequest{User: "eve"}))
	if a.Seen || a.Disabled == nil || a.Disabled.Until != nil || a.Disabled.Key != person("eve").Key {
		t.Errorf("%+v", a)
	}
	if o.ledger.Stopped(person("eve").Key) == nil {
		t.Error("a stranger who was disabled is let in")
	}
	must[admin.DisableAnswer](t)(o.desk.Disable(t.Context(), admin.DisableRequest{User: "eve", Issuer: "https://other.example"}))
	if o.ledger.Stopped("pseudonym-of-eve-of-https://other.example") == nil {
		t.Error("the other issuer's is let in")
	}
}

func TestOneNameOfTwoUsersIsAskedBack(t *testing.T) {
	o := openOffice(t)
	theirs := ledger.User{Key: "pseudonym-of-theirs", Issuer: "https://two.example", ID: "1"}
	o.settle(person("1"), "gpt-6-luna", 7)
	o.settle(theirs, "gpt-6-luna", 7)
	_, err := o.far().Disable(t.Context(), admin.DisableRequest{User: "1"})
	if codeOf(err) != "several_users" || !asksBetween(err, person("1").Key, theirs.Key) || len(must[admin.SwitchList](t)(o.desk.Switches(t.Context())).Stopped) != 0 {
		t.Fatalf("%+v", err)
	}
	for _, what := range []admin.DisableRequest{{User: "1", Issuer: "https://two.example"}, {User: person("1").Key}} {
		if a := must[admin.DisableAnswer](t)(o.desk.Disable(t.Context(), what)); a.Disabled == nil {
			t.Errorf("%+v: %+v", what, a)
		}
	}
	if _, err := o.far().Enable(t.Context(), admin.EnableRequest{User: "1"}); codeOf(err) != "several_users" || !asksBetween(err, person("1").Key, theirs.Key) {
		t.Errorf("enable: %+v", err)
	}
	e := must[admin.EnableAnswer](t)(o.desk.Enable(t.Context(), admin.EnableRequest{User: "1", Issuer: "https://two.example"}))
	if e.Enabled.Key != theirs.Key {
		t.Errorf("enable by issuer: %+v", e)
	}
	if _, err := o.desk.User(t.Context(), "1"); codeOf(err) != "several_users" || !strings.Contains(err.Error(), theirs.Key) {
		t.Errorf("looking at one of two: %v", err)
	}
}

func TestEverythingStopsAndRunsAgain(t *testing.T) {
	o := openOffice(t)
	a := must[admin.DisableAnswer](t)(o.desk.Disable(t.Context(), admin.DisableRequest{Everything: true, Why: "drill"}))
	if a.Disabled == nil || !a.Disabled.Everything || o.ledger.Stopped("anybody") == nil {
		t.Errorf("%+v", a)
	}
	must[admin.DisableAnswer](t)(o.desk.Disable(t.Context(), admin.DisableRequest{User: "eve"}))
	e := must[admin.EnableAnswer](t)(o.desk.Enable(t.Context(), admin.EnableRequest{Everything: true}))
	if !e.Enabled.Everything || len(e.Stopped) != 1 || !slices.Equal(o.forgiven, []string{""}) {
		t.Errorf("%+v, forgiven %v", e, o.forgiven)
	}
	if o.ledger.Stopped("anybody") != nil || o.ledger.Stopped(person("eve").Key) == nil {
		t.Error("everything runs, and whoever was disabled is not: that is what should be")
	}
}

// TestChangeOutlivesWhoAskedForIt: whoever hangs up at once must not leave a change
// that the audit log does not tell of.
func TestChangeOutlivesWhoAskedForIt(t *testing.T) {
	o := openOffice(t)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	_, err := o.desk.Disable(gone, admin.DisableRequest{User: "ana"})
	_, err2 := o.desk.Enable(gone, admin.EnableRequest{User: "ana"})
	_, err3 := o.desk.Seed(gone, admin.SeedRequest{At: time.Now(), Month: 1e9})
	if err := errors.Join(err, err2, err3); err != nil {
		t.Error(err)
	}
	want := []string{"disable " + personTarget("ana") + " () by cli", "enable " + personTarget("ana") + " () by cli", "seed month:$1 day:$0 () by cli"}
	if diff := cmp.Diff(want, o.acts()); diff != "" {
		t.Errorf("the audit log (-want +got):\n%s", diff)
	}
	if !slices.Equal(o.forgiven, []string{person("ana").Key}) {
		t.Errorf("the watch forgives %v", o.forgiven)
	}
}

// TestStrangerOfAnUnknownIssuerIsStoppedWhoeverMadeTheToken: to stop the wrong pseudonym
// is to stop nobody, with an answer that says otherwise.
func TestStrangerOfAnUnknownIssuerIsStoppedWhoeverMadeTheToken(t *testing.T) {
	o := openOffice(t)
	o.parts.Issuer = ""
	d := admin.NewDesk(o.parts)
	must[admin.DisableAnswer](t)(d.Disable(t.Context(), admin.DisableRequest{User: "eve"}))
	for _, issuer := range []string{"", "https://two.example"} {
		if o.ledger.StoppedUser("pseudonym-of-eve-of-"+issuer, "eve") == nil || o.ledger.StoppedUser("pseudonym-of-bob-of-"+issuer, "bob") != nil {
			t.Errorf("tokens of %q: eve is let in, or bob is not", issuer)
		}
	}
	must[admin.EnableAnswer](t)(d.Enable(t.Context(), admin.EnableRequest{User: "eve"}))
	if o.ledger.StoppedUser("pseudonym-of-eve-of-", "eve") != nil {
		t.Error("eve is enabled, and not let in")
	}
	for issuer, key := range map[string]string{admin.NoIssuer: "pseudonym-of-mia-of-", "https://two.example": "pseudonym-of-mia-of-https://two.example"} {
		a := must[admin.DisableAnswer](t)(d.Disable(t.Context(), admin.DisableRequest{User: "mia", Issuer: issuer}))
		if a.Disabled == nil || a.Disabled.Key != key || o.ledger.Stopped(key) == nil {
			t.Errorf("of %s: %+v", issuer, a)
		}
	}
	if _, err := d.Disable(t.Context(), admin.DisableRequest{User: strings.Repeat("x", 201)}); codeOf(err) != "issuer_needed" || !strings.Contains(err.Error(), "JWT_ISSUER") {
		t.Errorf("an id that is too long for that: %v", err)
	}
}

// TestPseudonymGoesBeforeAnIDThatIsTheSame: ids are chosen by users.
func TestPseudonymGoesBeforeAnIDThatIsTheSame(t *testing.T) {
	o := openOffice(t)
	mallory := ledger.User{Key: "pseudonym-of-mallory", Issuer: "https://id.example", ID: person("ana").Key}
	o.settle(person("ana"), "gpt-6-luna", 7)
	o.settle(mallory, "gpt-6-luna", 7)
	a := must[admin.DisableAnswer](t)(o.desk.Disable(t.Context(), admin.DisableRequest{User: person("ana").Key}))
	if a.Disabled == nil || a.Disabled.ID != "ana" {
		t.Errorf("%+v", a)
	}
	must[admin.DisableAnswer](t)(o.desk.Disable(t.Context(), admin.DisableRequest{User: mallory.Key}))
	if e := must[admin.EnableAnswer](t)(o.desk.Enable(t.Context(), admin.EnableRequest{User: person("ana").Key})); e.Enabled.ID != "ana" {
		t.Errorf("%+v", e)
	}
}

func TestWhatIsNotStoppedIsNoSuccess(t *testing.T) {
	o := openOffice(t)
	for body, code := range map[string]string{
		`{"everything":true}`: "not_stopped", `{"user":"ana"}`: "not_stopped", `{"model":"gpt-6-luna"}`: "not_stopped", `{"model":"gpt-6-lana"}`: "no_such_model",
	} {
		if got := o.raw("POST", admin.Prefix+"enable", body); got.status != 404 || got.code != code || strings.Contains(got.body, "--") {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if got := o.raw("POST", admin.Prefix+"enable", "{}"); got.status != 400 || strings.Contains(got.body, "--") {
		t.Errorf("nothing: %d %s speaks of flags", got.status, got.body)
	}
}

// TestLookingIsNoChange in the program's own log; the audit log has who took what.
func TestLookingIsNoChange(t *testing.T) {
	o := openOffice(t)
	var log, out bytes.Buffer
	o.parts.Log = slog.New(slog.NewTextHandler(&log, nil))
	d := admin.NewDesk(o.parts)
	must[admin.DisableAnswer](t)(d.Disable(t.Context(), admin.DisableRequest{User: "ana"}))
	if !strings.Contains(log.String(), "the operator changed something") {
		t.Errorf("a change is not logged: %s", log.String())
	}
	log.Reset()
	at := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for _, q := range []admin.AuditQuery{{Look: true}, {User: "auth0|ana", From: at, Limit: 3}} {
		if err := d.ExportAudit(t.Context(), q, &out); err != nil {
			t.Fatal(err)
		}
	}
	acts := o.acts()
	if want := "export_audit audit (from=2026-11-21T00:00:00Z limit=3 user=auth0|ana) by cli"; len(acts) != 2 || acts[1] != want {
		t.Errorf("the audit log has %q, want one export, %s", acts, want)
	}
	if log.Len() > 0 {
		t.Errorf("looking is logged as a change: %s", log.String())
	}
	if got := o.raw("GET", admin.Prefix+"audit?look=true", ""); got.status != 400 {
		t.Errorf("a page is noted never: %d", got.status)
	}
}

func TestTargetFitsTheAuditLog(t *testing.T) {
	long := admin.Person{ID: strings.Repeat("ü", 500), Key: "the-key"}
	for want, p := range map[string]admin.Person{
		"user:ana": {ID: "ana"}, "user:k": {Key: "k"}, "user:ana (key k)": {ID: "ana", Key: "k"},
		"user:" + strings.Repeat("ü", 75) + "… (key the-key)": long,
	} {
		if got := p.Target(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
