package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/admin"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

var update = flag.Bool("update", false, "write the golden files anew")

// noon is a clock that stands still.
func noon() ledger.Clock {
	at := time.Date(2026, 11, 21, 12, 30, 0, 0, time.UTC)
	return func() (time.Time, time.Duration) { return at, 0 }
}

// busyDay is an office with every kind of call in its books.
func busyDay(t *testing.T, clock ledger.Clock) *office {
	t.Helper()
	o := openOffice(t, clock)
	o.settle(person("ana"), "gpt-6-luna", 250*money.Dollar/1000)
	o.settle(person("ana"), "gpt-6-luna", 123_456_789)
	o.settle(person("ana"), "gpt-4.1-mini", 1)
	o.settle(person("auth0|bob"), "gpt-6-luna", money.Dollar/2)
	o.reserve(person("auth0|bob"), "gpt-6-luna").Close() // no proof
	o.settle(person("eve"), "gpt-6-luna", money.Dollar*3/2)
	t.Cleanup(o.reserve(person("ana"), "gpt-6-luna").Close) // still under way
	return o
}

// moment is what differs from run to run.
var moment = regexp.MustCompile(`("version": )"[^"]*"|("at": )"[^"]*"|^\d{4}-\d\d-\d\d \d\d:\d\d UTC`)

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = moment.ReplaceAllString(got, `$1$2"…"`)
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (want -, got +; -update if it is right):\n%s", name, diff)
	}
}

// TestUsageKeepsItsShape: scripts read the JSON, so its names and units stay.
func TestUsageKeepsItsShape(t *testing.T) {
	o := busyDay(t, noon())
	asJSON := o.ok("usage", "--json", "--by", "hour", "--by", "user,model", "--user", "")
	golden(t, "usage.json", asJSON)
	golden(t, "usage.txt", o.ok("usage"))
	golden(t, "usage-user.txt", o.ok("usage", "--user", "auth0|bob", "--day", "--by", "model,hour"))
	if strings.Contains(asJSON, o.ledger.HMACKey().Reveal()) {
		t.Error("the key of the pseudonyms is in the report")
	}
}

func TestUsageAddsUp(t *testing.T) {
	o := busyDay(t, nil)
	r := o.report("--by", "user,model,hour")
	if r.Day.Used != r.Day.Proven+r.Day.AtCeiling+r.Day.Open {
		t.Errorf("used %v is not proven %v + at the ceiling %v + held %v", r.Day.Used, r.Day.Proven, r.Day.AtCeiling, r.Day.Open)
	}
	if r.Month.Used != r.Day.Used { // unless the tests run at midnight of a month's last day
		t.Errorf("the month has %v, its only day %v", r.Month.Used, r.Day.Used)
	}
	if want := nanoUSD(5*money.Dollar) - r.Day.Used; r.Day.Left == nil || *r.Day.Left != want {
		t.Errorf("of a $5 day %v is left, want %v", r.Day.Left, want)
	}
	for name, list := range map[string][]admin.Row{"user": r.ByUser, "model": r.ByModel, "hour": r.ByHour} {
		var total admin.Tally
		for _, row := range list {
			total.Add(row.Tally)
		}
		if total != r.Month.Tally {
			t.Errorf("the list by %s comes to %+v, the month to %+v", name, total, r.Month.Tally)
		}
	}
}

func TestUsageOfTheFileIsThatOfTheServer(t *testing.T) {
	o := busyDay(t, nil)
	running := o.report()
	o.close()
	alone := o.report()
	if !running.Running || alone.Running {
		t.Errorf("running is %v beside the server and %v without", running.Running, alone.Running)
	}
	// What was under way when the server ended will not come back.
	for _, a := range []*admin.Account{&running.Day, &running.Month} {
		a.AtCeiling, a.Open = a.AtCeiling+a.Open, 0
	}
	// Whether it is in the lists yet depends on how far the books were closed.
	alone.Running, alone.At, running.At = true, time.Time{}, time.Time{}
	for _, r := range []*usageReport{&running, &alone} {
		for _, a := range []*admin.Account{&r.Day, &r.Month} {
			a.Requests, a.Unproven = 0, 0
		}
		r.ByUser, r.ByModel = nil, nil
	}
	if diff := cmp.Diff(running, alone); diff != "" {
		t.Errorf("the server (-) and the file (+) differ:\n%s", diff)
	}
}

// TestUsageOfNoLedgerIsNoZero: a mistyped DATA_DIR must not look like a budget
// that nobody touched, and asking must not make one.
func TestUsageOfNoLedgerIsNoZero(t *testing.T) {
	dir := t.TempDir()
	o := &office{t: t, dir: dir}
	for _, args := range [][]string{{"usage"}, {"enable", "--user", "ana"}, {"backup", "copy.db"}} {
		code, stdout, stderr := o.run(args...)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, "there is no ledger in "+filepath.Join(dir, "data")) {
			t.Errorf("%v: %d %q %q", args, code, stdout, stderr)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("asking left %v (%v)", left, err)
	}
}

func TestUsageIsFiltered(t *testing.T) {
	o := busyDay(t, nil)
	ids := func(rows []admin.Row) (all []string) {
		for _, row := range rows {
			all = append(all, nameOf(row))
		}
		return all
	}
	r := o.report("--user", "auth0|bob")
	if got := ids(r.ByUser); !slices.Equal(got, []string{"auth0|bob"}) {
		t.Errorf("asked for one user, got %v", got)
	}
	if len(r.Users) != 1 || r.Users[0].Day.Used != nanoUSD(money.Dollar*3/2) {
		t.Errorf("the user stands at %+v, want a dollar and a half", r.Users)
	}
	if by := o.report("--user", r.Users[0].Key).Users; len(by) != 1 || by[0].ID != "auth0|bob" {
		t.Errorf("by the pseudonym: %+v", by)
	}
	if r.Month.Requests != 6 {
		t.Errorf("everything has %d calls, want 6: the filter is for the lists", r.Month.Requests)
	}
	if r = o.report("--user", "nobody"); len(r.Users)+len(r.ByUser)+len(r.ByModel) > 0 || r.Users == nil || r.ByUser == nil {
		t.Errorf("nobody spent something, or a list that was asked for is missing: %+v", r)
	}
	if got := ids(o.report("--by", "user", "--top", "1").ByUser); !slices.Equal(got, []string{"auth0|bob", "(others)"}) && !slices.Equal(got, []string{"eve", "(others)"}) {
		t.Errorf("the top of the list is %v, want whom was charged $1.50 and the others", got)
	}
	if r = o.report("--by", "model"); r.ByUser != nil || r.ByHour != nil || len(r.ByModel) != 2 {
		t.Errorf("a list that was not asked for, or none: %+v", r)
	}
}

func TestUsageLooksBackWholeHours(t *testing.T) {
	o := openOffice(t, func() func() (time.Time, time.Duration) {
		ago := time.Now().Add(-3 * time.Hour)
		return func() (time.Time, time.Duration) { return ago, 0 }
	}())
	o.settle(person("ana"), "gpt-6-luna", 7)
	for since, want := range map[string]int{"1h": 0, "3h": 1, "24h": 1, "9600h": 1} {
		r := o.report("--since", since)
		if len(r.ByUser) != want {
			t.Errorf("--since %s lists %d users, want %d", since, len(r.ByUser), want)
		}
		if r.From.Minute() != 0 || r.To.Before(r.At) {
			t.Errorf("--since %s covers %v to %v: not whole hours up to now", since, r.From, r.To)
		}
	}
}

// TestNamesCannotPaintTheTerminal: ids come from tokens.
func TestNamesCannotPaintTheTerminal(t *testing.T) {
	for name, want := range map[string]string{
		"ana@example.com":        "ana@example.com",
		"Zoë 雪":                  "Zoë 雪",
		"a\x1b[31mb":             "a\uFFFD[31mb",
		"a\u202eb\nc":            "a\uFFFDb\uFFFDc",
		strings.Repeat("x", 300): strings.Repeat("x", longestName-1) + "…",
	} {
		if got := printable(name); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
	}
}

func TestDaysAreATimeToLookBack(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 7 * aDay, "0d": 0, "90m": 90 * time.Minute, "-1h": -time.Hour} {
		var got time.Duration
		if err := back(&got)(text); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"d", "-7d", "1.5d", "10001d", "a week", ""} {
		if err := back(new(time.Duration))(text); err == nil {
			t.Errorf("%q is a time", text)
		}
	}
	o := openOffice(t, nil)
	o.ok("usage", "--since", "7d")
}
