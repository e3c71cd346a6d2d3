package audit_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/audit"
)

func refusal(user, code string) *audit.Record {
	return &audit.Record{
		ID: "one", User: user, Issuer: "https://issuer.example/", UserKey: "u_" + user, Plan: "free", IP: "203.0.113.9",
		Endpoint: "/v1/responses", Status: 403, Outcome: audit.Denied, Code: code,
	}
}

// counted sums what the log says of refusals, by user and code.
func counted(t *testing.T, dir string) (lines int, sums map[string]int64) {
	t.Helper()
	sums = map[string]int64{}
	for _, r := range search(t, dir, audit.Query{Kind: audit.Request}) {
		lines++
		sums[r.User+" "+r.Code] += max(1, r.Count)
	}
	return lines, sums
}

// A disabled user with a valid token wrote 49 MB in five seconds.
func TestAFloodOfAKnownUserIsCountedByTheMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, audit.Options{Dir: dir}.WithOwnLines(20))
		begin := time.Now().Truncate(time.Minute).UTC()
		for range 1000 {
			l.Turned(refusal("ana", "disabled"))
		}
		l.Turned(refusal("ana", "rate_limited"))
		for range 20 {
			l.Turned(refusal("bo", "disabled"))
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if lines, _ := counted(t, dir); lines != 41 {
			t.Errorf("%d lines before the minute is over, want the 41 of their own", lines)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		got := search(t, dir, audit.Query{Kind: audit.Request, Limit: 1})
		want := []audit.Record{{
			Seq: 43, Time: begin, Kind: audit.Request, User: "ana", Issuer: "https://issuer.example/", UserKey: "u_ana", Plan: "free",
			Status: 403, Outcome: audit.Denied, Code: "disabled", Count: 980,
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the others of the minute (-want +got):\n%s", diff)
		}
		for range 25 { // a minute of its own
			l.Turned(refusal("ana", "disabled"))
		}
		shut(t, l)
		lines, sums := counted(t, dir)
		if diff := cmp.Diff(map[string]int64{"ana disabled": 1025, "ana rate_limited": 1, "bo disabled": 20}, sums); diff != "" || lines != 41+1+21 {
			t.Errorf("%d lines count (-want +got):\n%s", lines, diff)
		}
		sound(t, dir)
	})
}

func TestAMinuteThatIsOverIsWrittenByTheNextRefusal(t *testing.T) {
	dir := t.TempDir()
	c := newClock(firstDay)
	l := open(t, audit.Options{Dir: dir, Now: c.Now}.WithOwnLines(20))
	for range 30 {
		l.Turned(refusal("ana", "disabled"))
	}
	c.set(firstDay.Add(time.Minute))
	l.Turned(refusal("ana", "disabled"))
	shut(t, l)
	lines, sums := counted(t, dir)
	if lines != 22 || sums["ana disabled"] != 31 {
		t.Errorf("%d lines for %v", lines, sums)
	}
}

// TestWhoGoesOnHasFewerLines: a thousand at once, and then so many as a person makes.
func TestWhoGoesOnHasFewerLines(t *testing.T) {
	dir := t.TempDir()
	c := newClock(firstDay)
	l := open(t, audit.Options{Dir: dir, Now: c.Now}.WithRoom(20_000))
	var want int64
	for _, step := range []struct {
		after time.Duration
		sends int64
		lines int64 // of their own, and the one for the rest
	}{{0, 1500, 1000 + 1}, {time.Minute, 500, 60 + 1}, {time.Minute, 30, 30}, {time.Minute, 500, 90 + 1}, {17 * time.Minute, 1000, 1000}, {time.Minute, 61, 60 + 1}} {
		c.set(c.Now().Add(step.after))
		for range step.sends {
			l.Turned(refusal("ana", "disabled"))
		}
		l.Turned(refusal("bob", "disabled")) // nobody else has fewer for it
		want += step.lines + 1
	}
	shut(t, l)
	lines, sums := counted(t, dir)
	if int64(lines) != want || sums["ana disabled"] != 1500+500+30+500+1000+61 || sums["bob disabled"] != 6 {
		t.Errorf("%d lines for %v, want %d", lines, sums, want)
	}
}

func TestManyUsersCannotFillTheTable(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir, Now: newClock(firstDay).Now}.WithRoom(20_000).WithOwnLines(20))
	for i := range 12_000 {
		l.Turned(refusal(fmt.Sprint("user-", i), "disabled"))
	}
	for i := range 100 {
		l.Turned(refusal("late", fmt.Sprint("code-", i)))
	}
	shut(t, l)
	lines, sums := counted(t, dir)
	if lines != 10_000+64+1 || sums[" disabled"] != 2000 || sums[" other"] != 100-63 || sums["user-0 disabled"] != 1 {
		t.Errorf("%d lines; %d disabled and %d others without a name", lines, sums[" disabled"], sums[" other"])
	}
}

// Reading what is left costs nothing, and so is as good for filling the disk as being
// refused is: 2,500 of them made a megabyte in a second.
func TestWhatAUserReadsForNothingIsCountedByTheMinute(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir, Now: newClock(firstDay).Now})
	read := func(user string) *audit.Record {
		return &audit.Record{User: user, UserKey: "u_" + user, Endpoint: "/api/usage/me", Status: 200, Outcome: audit.OK}
	}
	for range 2_500 {
		l.Turned(read("ana"))
		l.Turned(refusal("ana", "invalid_prompt"))
	}
	shut(t, l)
	lines, sums := counted(t, dir)
	if diff := cmp.Diff(map[string]int64{"ana ": 2_500, "ana invalid_prompt": 2_500}, sums); diff != "" || lines != 2*1001 {
		t.Errorf("%d lines, want 1,000 and one with the count of each; they count (-want +got):\n%s", lines, diff)
	}
	for _, r := range search(t, dir, audit.Query{Kind: audit.Request}) {
		if r.Code == "" && (r.Outcome != audit.OK || r.Status != 200) {
			t.Errorf("what was answered stands as %+v", r)
		}
	}
}

func TestWhatFurtherUsersReadIsNoRefusal(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir, Now: newClock(firstDay).Now}.WithRoom(20_000))
	for i := range 10_000 {
		l.Turned(refusal(fmt.Sprint("user-", i), "disabled"))
	}
	for range 3 {
		l.Turned(&audit.Record{User: "late", Status: 200, Outcome: audit.OK})
		l.Turned(refusal("late", "disabled"))
	}
	shut(t, l)
	got := map[string]int64{}
	for _, r := range search(t, dir, audit.Query{Kind: audit.Request}) {
		if r.Why != "" {
			got[r.Outcome+" "+r.Code] += r.Count
		}
	}
	if diff := cmp.Diff(map[string]int64{"ok ": 3, "refused disabled": 3}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoRefusalGoesUncounted(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir}.WithOwnLines(20))
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for range 2000 {
				l.Turned(refusal(fmt.Sprint("user-", w%3), "overloaded"))
			}
		})
	}
	all.Wait()
	shut(t, l)
	_, sums := counted(t, dir)
	if diff := cmp.Diff(map[string]int64{"user-0 overloaded": 6000, "user-1 overloaded": 6000, "user-2 overloaded": 4000}, sums); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for range 30 {
		l.Turned(refusal("late", "disabled"))
	}
	if _, lost := l.Counts(); lost != 30 || l.Healthy() == nil {
		t.Errorf("after the end %d are lost, healthy: %v", lost, l.Healthy())
	}
}

func TestAVisitIsNoStart(t *testing.T) {
	dir := daily(t, firstDay, 5, 0)
	now := newClock(firstDay.AddDate(1, 0, 0)).Now
	before := verify(t, dir).Records
	var told []audit.Anchor
	visit := audit.Options{Dir: dir, Now: now, Keep: day, Visit: true, Anchor: func(seq int64, head string) {
		told = append(told, audit.Anchor{Seq: seq, Head: head})
	}}
	shut(t, open(t, visit))
	if r := sound(t, dir); r.Records != before || len(told) > 0 {
		t.Errorf("a visit that did nothing wrote %d lines and told %v", r.Records-before, told)
	}
	l := open(t, visit)
	l.Operator("disable", "user:ana", "too loud", "cli")
	shut(t, l)
	report := sound(t, dir, told...)
	if report.Records != before+1 || report.First.Seq != 1 || len(told) != 1 || !report.Anchors[0].Found {
		t.Errorf("a visit that did one thing: %+v", report)
	}

	path := files(t, dir)[len(files(t, dir))-1]
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(`{"seq":9`)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	shut(t, open(t, visit))
	got := search(t, dir, audit.Query{Limit: 1})
	if len(got) != 1 || got[0].Kind != audit.Operator || got[0].Action != "repair" || !strings.Contains(got[0].Why, "half-written (8 bytes)") {
		t.Errorf("a visit that cut off half a line says %+v", got)
	}
	empty := t.TempDir()
	visit.Dir = empty
	shut(t, open(t, visit))
	sound(t, empty)
}
