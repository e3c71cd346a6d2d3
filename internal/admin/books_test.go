package admin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"

	"keyshield/internal/admin"
)

// theFirst of the days that are compared here is some weeks ago.
func theFirst() time.Time { return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -40) }

// daysOf is a report about some days, with so much more on OpenAI's side.
func daysOf(project string, from, to int, more admin.NanoUSD) admin.ReconcileReport {
	first := theFirst().AddDate(0, 0, from-1)
	return admin.ReconcileReport{Project: project, From: first, To: first.AddDate(0, 0, to-from+1).Add(-time.Second), Ours: 5e9, Theirs: 5e9 + more, Tolerance: 1e7}
}

func TestOnlyTheSameBooksTakeBackWhatWasFound(t *testing.T) {
	longAgo, reaching := daysOf("proj_a", 10, 12, 1e9), daysOf("proj_a", 10, 12, 1e9)
	longAgo.From, longAgo.To = time.Now().AddDate(0, 0, -190), time.Now().AddDate(0, 0, -185)
	reaching.From, reaching.To = time.Now().AddDate(0, 0, -190), time.Now().AddDate(0, 0, -100)
	longest := daysOf("proj_a", 1, 20, 0)
	longest.From = time.Now().AddDate(0, 0, -179)
	for name, c := range map[string]struct {
		found, agrees admin.ReconcileReport
		taken         bool
	}{
		"the same days":              {daysOf("proj_a", 10, 12, 1e9), daysOf("proj_a", 10, 12, 0), true},
		"more days":                  {daysOf("proj_a", 10, 12, 1e9), daysOf("proj_a", 1, 20, 0), true},
		"all but the first":          {daysOf("proj_a", 10, 12, 1e9), daysOf("proj_a", 11, 20, 0), false},
		"all but the last":           {daysOf("proj_a", 10, 12, 1e9), daysOf("proj_a", 1, 11, 0), false},
		"another project":            {daysOf("proj_a", 10, 12, 1e9), daysOf("proj_b", 1, 20, 0), false},
		"a project that is not said": {daysOf("proj_a", 10, 12, 1e9), daysOf("", 1, 20, 0), false},
		"found without a project":    {daysOf("", 10, 12, 1e9), daysOf("proj_a", 1, 20, 0), true},
		"another agreement":          {daysOf("proj_a", 10, 12, 0), daysOf("proj_b", 20, 20, 0), true},
		"found later":                {daysOf("proj_a", 10, 12, 1e9), daysOf("proj_b", 20, 20, 2e9), true},
		"too long ago to compare":    {longAgo, daysOf("proj_a", 20, 20, 0), true},
		"in part too long ago":       {reaching, longest, true},
		"of them not all":            {reaching, daysOf("proj_a", 1, 20, 0), false},
	} {
		o := openOffice(t)
		found := must[admin.ReconcileSummary](t)(o.far().Reconcile(t.Context(), c.found))
		s := must[admin.ReconcileSummary](t)(o.far().Reconcile(t.Context(), c.agrees))
		want, told := found, 1
		if c.taken {
			want, told = s, 2
		}
		if last := must[admin.LastReconcile](t)(o.far().LastReconcile(t.Context())); !cmp.Equal(*last.Last, want) {
			t.Errorf("%s: the last one is %+v, want %+v", name, last.Last, want)
		}
		if len(o.reconciled) != told {
			t.Errorf("%s: the alerts are told %d times, want %d", name, len(o.reconciled), told)
		}
		if acts := o.acts(); len(acts) != 2 || strings.Contains(acts[1], "stands") == c.taken {
			t.Errorf("%s: the audit log has %q", name, acts)
		}
	}
}

// TestAFindingErasesNoOther: neither of the same project nor of another one.
func TestAFindingErasesNoOther(t *testing.T) {
	o := openOffice(t)
	report := func(r admin.ReconcileReport) { must[admin.ReconcileSummary](t)(o.far().Reconcile(t.Context(), r)) }
	stands := func(project string, from, to int) {
		t.Helper()
		last := must[admin.LastReconcile](t)(o.far().LastReconcile(t.Context())).Last
		want := daysOf(project, from, to, 0)
		if last.Verdict != admin.KeyUsedElsewhere || last.Project != project || !last.From.Equal(want.From) || !last.To.Equal(want.To) {
			t.Errorf("%s from %v to %v in project %q stands, want days %d to %d of %q", last.Verdict, last.From, last.To, last.Project, from, to, project)
		}
	}
	report(daysOf("proj_a", 10, 12, 5e9))
	report(daysOf("proj_a", 20, 20, 1e9))
	stands("proj_a", 10, 20)
	report(daysOf("proj_a", 15, 30, 0))
	stands("proj_a", 10, 20)
	report(daysOf("proj_b", 20, 20, 1e9))
	stands("proj_b", 20, 20)
	report(daysOf("proj_b", 15, 30, 0))
	stands("proj_a", 10, 20)
	report(daysOf("proj_a", 10, 20, 0))
	if last := must[admin.LastReconcile](t)(o.far().LastReconcile(t.Context())).Last; last.Verdict != admin.Agrees {
		t.Errorf("when all was taken back: %+v", last)
	}
	report(daysOf("proj_a", 10, 12, 5e9))
	must[admin.SeedAnswer](t)(o.far().Seed(t.Context(), admin.SeedRequest{At: time.Now(), Month: 8e9}))
	if last := must[admin.LastReconcile](t)(o.far().LastReconcile(t.Context())).Last; last != nil {
		t.Errorf("what was seeded still stands: %+v", last)
	}
}

func TestTheProjectIsInTheAuditLog(t *testing.T) {
	o := openOffice(t)
	must[admin.ReconcileSummary](t)(o.far().Reconcile(t.Context(), daysOf("proj_a", 10, 12, 1e9)))
	if diff := cmp.Diff([]string{"reconcile project:proj_a " + theFirst().AddDate(0, 0, 9).Format(time.DateOnly) + " to " + theFirst().AddDate(0, 0, 11).Format(time.DateOnly) + " (key_used_elsewhere: OpenAI counted $6, we $5) by admin 127.0.0.1"}, o.acts()); diff != "" {
		t.Errorf("the audit log (-want +got):\n%s", diff)
	}
	for _, project := range []string{"a b", "$(reboot)", "proj\n", strings.Repeat("x", 129)} {
		if err := daysOf(project, 1, 2, 0).Check(); codeOf(err) != "invalid_request" {
			t.Errorf("%q is taken for a project: %v", project, err)
		}
	}
}

// TestDamageIsNotPaperedOver: what is damaged may have been a key that is used elsewhere.
func TestDamageIsNotPaperedOver(t *testing.T) {
	o := openOffice(t)
	if err := os.WriteFile(filepath.Join(o.dir, "reconcile.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.far().Reconcile(t.Context(), daysOf("proj_a", 1, 2, 0)); codeOf(err) != "damaged" || len(o.reconciled) > 0 {
		t.Errorf("an agreement: %v, and the alerts are told %v", err, o.reconciled)
	}
	s := must[admin.ReconcileSummary](t)(o.far().Reconcile(t.Context(), daysOf("proj_a", 1, 2, 1e9)))
	if last := must[admin.LastReconcile](t)(o.far().LastReconcile(t.Context())); !cmp.Equal(*last.Last, s) {
		t.Errorf("what was found is not kept: %+v", last.Last)
	}
}

func TestDescriptionKnowsTheProject(t *testing.T) {
	o := openOffice(t)
	router, err := gorillamux.NewRouter(description(t))
	if err != nil {
		t.Fatal(err)
	}
	o.conforms(router, "POST", "reconcile", `{"project":"proj_a","from":"2026-11-01T00:00:00Z","to":"2026-11-21T00:00:00Z","ours_nanousd":1,"theirs_nanousd":9,"tolerance_nanousd":2}`, 200)
	o.conforms(router, "GET", "reconcile", "", 200)
}
