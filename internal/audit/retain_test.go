package audit_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/audit"
)

const day = 24 * time.Hour

var firstDay = time.Date(2025, 8, 1, 12, 0, 0, 0, time.UTC)

// daily makes a log of n days from start, a start, a request and a stop on each.
func daily(t *testing.T, start time.Time, n int, keep time.Duration) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i := range n {
		visitOn(t, dir, start.AddDate(0, 0, i), keep)
	}
	return dir
}

func visitOn(t *testing.T, dir string, at time.Time, keep time.Duration) {
	t.Helper()
	l := open(t, audit.Options{Dir: dir, Now: newClock(at).Now, Keep: keep})
	l.Request(&audit.Record{ID: at.Format(time.DateOnly)}, false)
	shut(t, l)
}

func names(t *testing.T, dir string) (bases []string) {
	t.Helper()
	for _, path := range files(t, dir) {
		bases = append(bases, strings.TrimSuffix(filepath.Base(path), ".jsonl"))
	}
	return bases
}

func TestOldFilesAreRemovedAndTheLogSaysSo(t *testing.T) {
	dir := t.TempDir()
	for i := range 12 {
		visitOn(t, dir, firstDay.AddDate(0, 0, i), 4*day)
		if report := sound(t, dir); report.Retention != (i >= 7) {
			t.Errorf("day %d: retention %v", i, report.Retention)
		}
	}
	// The twelfth start goes by what the tenth day saw, and keeps four days before that.
	if got := names(t, dir); len(got) != 7 || got[0] != "2025-08-06" {
		t.Errorf("kept %v", got)
	}
	report := sound(t, dir)
	for _, want := range []string{
		fmt.Sprintf("begins at number %d of 2025-08-06; older files were removed by retention", report.First.Seq),
		"from before 2025-08-06: the log keeps 4 days",
	} {
		if say := report.String(); !strings.Contains(say, want) {
			t.Errorf("it is said as %q, want %q in it", say, want)
		}
	}
	if a := verify(t, dir, audit.Anchor{Seq: 1, Head: strings.Repeat("0", 64)}); !a.OK() || !a.Anchors[0].Gone {
		t.Errorf("an anchor of a removed file: %+v", a)
	}
	// The same from somebody else's hand is no retention.
	if err := os.Remove(files(t, dir)[0]); err != nil {
		t.Fatal(err)
	}
	if f := verify(t, dir).Fault; f == nil || f.Wrong != audit.Missing || f.Seq != 1 {
		t.Errorf("the oldest file removed by hand: %v", f)
	}
}

func TestOldFilesAreRemovedAtMidnightToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, audit.Options{Dir: dir, Keep: day})
		for range 4 {
			l.Request(&audit.Record{}, true)
			time.Sleep(day)
		}
		synctest.Wait()
		if got := names(t, dir); len(got) > 3 {
			t.Errorf("after four days it keeps %v", got)
		}
		shut(t, l)
		if r := sound(t, dir); !r.Retention {
			t.Errorf("%+v", r)
		}
	})
}

// A step of the clock that somebody took back at once took the whole log with it.
func TestAClockThatLeapsRemovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := daily(t, time.Now().AddDate(0, 0, -5), 5, 90*day)
		var ahead atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		l := open(t, audit.Options{Dir: dir, Keep: 90 * day, Now: now})
		before := names(t, dir)
		time.Sleep(25 * time.Hour) // the clock is believed by now
		for _, leap := range []time.Duration{0, 400 * day, 0, -400 * day, 800 * day, 0} {
			ahead.Store(int64(leap))
			time.Sleep(30 * time.Second)
			l.Request(&audit.Record{ID: fmt.Sprint("ahead ", leap)}, true)
			time.Sleep(30 * time.Second)
		}
		time.Sleep(time.Hour)
		shut(t, l)
		if diff := cmp.Diff(before, names(t, dir)[:len(before)]); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if r := sound(t, dir); r.Retention || r.First.Seq != 1 {
			t.Errorf("it was retention: %+v", r)
		}
		if n := len(ids(t, dir)); n != 5+4 {
			t.Errorf("%d ids are there", n)
		}
	})
}

func TestStartsWithAWrongClockRemoveNothing(t *testing.T) {
	dir := daily(t, firstDay, 5, 90*day)
	before := names(t, dir)
	for i := range 6 {
		visitOn(t, dir, firstDay.AddDate(0, 0, 400).Add(time.Duration(i)*time.Minute), 90*day)
	}
	visitOn(t, dir, firstDay.AddDate(0, 0, 5), 90*day)
	visitOn(t, dir, firstDay.AddDate(0, 0, 6), 90*day)
	want := append(before, firstDay.AddDate(0, 0, 400).Format(time.DateOnly)) // where lines go on
	if diff := cmp.Diff(want, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	sound(t, dir)
}

func TestFewFilesAreRemovedAtOnceAndTheRestIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		dir := daily(t, now.AddDate(0, 0, -50), 12, 0) // all of them too old
		visitOn(t, dir, now.AddDate(0, 0, -2), 0)
		visitOn(t, dir, now.AddDate(0, 0, -1), 0)
		var logged bytes.Buffer
		l := open(t, audit.Options{Dir: dir, Keep: 30 * day, Log: slog.New(slog.NewTextHandler(&logged, nil))})
		left := func(want int) {
			t.Helper()
			synctest.Wait()
			old := 0
			for _, name := range names(t, dir) {
				if strings.HasPrefix(name, "1999-11") {
					old++
				}
			}
			if old != want {
				t.Errorf("after %v %d old files are left, want %d", time.Since(now), old, want)
			}
		}
		left(11)
		time.Sleep(23 * time.Hour)
		left(11)
		time.Sleep(2 * time.Hour)
		left(9)
		shut(t, l)
		if text := logged.String(); !strings.Contains(text, "stay=11") || !strings.Contains(text, "level=WARN") {
			t.Errorf("logged %q", text)
		}
		sound(t, dir)
	})
}

func TestAClockThatIsSteadyForADayIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := daily(t, time.Now().AddDate(0, 0, -400), 5, 90*day) // and then it was off for a year
		l := open(t, audit.Options{Dir: dir, Keep: 90 * day})
		for hour := range 2*24 + 1 {
			time.Sleep(time.Hour)
			synctest.Wait()
			got := len(names(t, dir))
			if uptime := time.Duration(hour+1) * time.Hour; uptime < day && got != 6 {
				t.Fatalf("after %v %d files are left", uptime, got)
			}
		}
		if got := names(t, dir); len(got) > 4 {
			t.Errorf("after two days it keeps %v", got)
		}
		l.Request(&audit.Record{}, true)
		shut(t, l)
		sound(t, dir)
	})
}

func TestTheNewestFileStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := daily(t, time.Now(), 1, 0)
		before := names(t, dir)
		l := open(t, audit.Options{Dir: dir, Keep: day})
		time.Sleep(50 * time.Hour)
		synctest.Wait()
		if diff := cmp.Diff(before, names(t, dir)); diff != "" {
			t.Errorf("what an idle server keeps (-want +got):\n%s", diff)
		}
		shut(t, l)
		sound(t, dir)
	})
}
