package audit_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keyshield/internal/audit"
)

// forge seals records behind the last line, as anybody can who can write there.
func forge(t *testing.T, dir string, records ...audit.Record) {
	t.Helper()
	path := files(t, dir)[len(files(t, dir))-1]
	for _, r := range records {
		last := verify(t, dir).Last
		r.Seq = last.Seq + 1
		line := bytes.Replace(audit.AppendLine(nil, &r), []byte(strings.Repeat("0", 64)), []byte(last.Hash), 1)
		put(t, path, append(content(t, path), reseal(t, line)...))
	}
}

// retained is the line that retention writes.
func retained(at time.Time, begin, why string) audit.Record {
	return audit.Record{
		Time: at, Kind: audit.Operator, Outcome: audit.Done, Action: "retention", By: "audit", Target: "seq:" + begin, Why: why,
	}
}

func TestARetentionThatSomebodyMadeUpIsNotBelieved(t *testing.T) {
	const why = "keeps 90 days; removed 2025-01-01 to 2025-01-02"
	at := firstDay.AddDate(0, 0, 4)
	for _, c := range []struct {
		name   string
		keep   time.Duration
		forged []audit.Record
		says   string // empty: it is retention
	}{
		{"nothing said so", 90 * day, nil, "no retention said so"},
		{"the days were young", 90 * day, []audit.Record{retained(at, "7", why)}, "keeps 90 days, and 2025-08-02 was not that old"},
		{"the line promises less than the start", 90 * day, []audit.Record{retained(at, "7", "keeps 1 day")}, "2025-08-02 was not that old"},
		{"no start promised any", 0, []audit.Record{retained(at, "7", why)}, "does not say that anything is removed"},
		{"it comes from the future", 90 * day, []audit.Record{retained(time.Now().AddDate(1, 0, 0), "7", why)}, "written in the future"},
		{"more is missing than it says", 1 * day, []audit.Record{retained(at, "4", why)}, "no retention said so"},
		{"it may be", 1 * day, []audit.Record{retained(at, "7", "")}, ""},
		{"a made-up start, too, for days as old as that", 90 * day, []audit.Record{{Time: at, Kind: audit.Start, Why: "keeps 1 day"}, retained(at, "7", "")}, ""},
		{"a made-up start, for younger days", 90 * day, []audit.Record{{Time: at, Kind: audit.Start, Why: "keeps 3 days"}, retained(at, "7", "")}, "keeps 3 days, and 2025-08-02"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := daily(t, firstDay, 4, c.keep)
			if c.keep == day { // which removes nothing yet
				dir = daily(t, firstDay, 3, c.keep)
			}
			for _, path := range files(t, dir)[:2] {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			forge(t, dir, c.forged...)
			report := verify(t, dir)
			switch f := report.Fault; {
			case c.says == "" && (f != nil || !report.Retention):
				t.Errorf("found %v", f)
			case c.says != "" && (f == nil || f.Wrong != audit.Missing || !strings.Contains(f.Text, c.says) || report.Retention):
				t.Errorf("found %v, want %q", f, c.says)
			}
		})
	}
}

// A server that runs for longer than files are kept outlives the line of its start.
func TestRetentionIsBelievedWithoutAStart(t *testing.T) {
	dir := t.TempDir()
	c := newClock(firstDay)
	l := open(t, audit.Options{Dir: dir, Now: c.Now, Keep: 2 * day})
	for i := range 5 {
		c.set(firstDay.AddDate(0, 0, i))
		l.Request(&audit.Record{}, true)
	}
	shut(t, l)
	for _, path := range files(t, dir)[:2] {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	forge(t, dir, retained(firstDay.AddDate(0, 0, 4), "4", "keeps 2 days; removed 2025-08-01 to 2025-08-02"))
	if r := sound(t, dir); !r.Retention || r.Kept != 2*day {
		t.Errorf("%+v", r)
	}
}

// What the first line says of the file before it cannot be taken out of the chain.
func TestTheFirstLineOfEachFileNamesTheDayBefore(t *testing.T) {
	dir := days(t)
	for i, path := range files(t, dir) {
		for j, line := range linesOf(content(t, path)) {
			var got struct{ After string }
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatal(err)
			}
			want := ""
			if i > 0 && j == 0 {
				want = strings.TrimSuffix(filepath.Base(files(t, dir)[i-1]), ".jsonl")
			}
			if got.After != want {
				t.Errorf("line %d of %s is after %q, want %q", j+1, path, got.After, want)
			}
		}
	}
	// A text that looks like it is none.
	r := audit.Record{Seq: 1, Kind: audit.Operator, By: `cli","after":"2025-08-01`}
	if got, err := audit.Read(bytes.TrimSuffix(audit.AppendLine(nil, &r), []byte{'\n'})); err != nil || got.By != r.By {
		t.Errorf("read as %+v, %v", got, err)
	}
}

func TestRetentionDoesNotExcuseAnAnchorThatIsTooYoung(t *testing.T) {
	dir := t.TempDir()
	var told []audit.Anchor
	for i := range 12 {
		at := firstDay.AddDate(0, 0, i)
		l := open(t, audit.Options{Dir: dir, Now: newClock(at).Now, Keep: 4 * day, Anchor: func(seq int64, head string) {
			told = append(told, audit.Anchor{Seq: seq, Head: head, At: at})
		}})
		l.Request(&audit.Record{}, true)
		shut(t, l)
	}
	report := sound(t, dir, told...)
	if !report.Retention || !report.Anchors[0].Gone || !report.Anchors[len(told)-1].Found {
		t.Fatalf("the true anchors: %+v", report)
	}
	last := slices.IndexFunc(told, func(a audit.Anchor) bool { return a.Seq == report.First.Seq-1 })
	if last < 0 || !report.Anchors[last].Gone {
		t.Fatalf("no anchor names the last line that was removed: %+v", told)
	}
	forged := audit.Anchor{Seq: told[last].Seq, Head: told[0].Head}
	if f := verify(t, dir, forged).Fault; f == nil || f.Wrong != audit.Rewritten {
		t.Errorf("another hash than the first line follows: %v", f)
	}
	young := told[0]
	young.At = firstDay.AddDate(0, 0, 8)
	if f := verify(t, dir, young).Fault; f == nil || f.Wrong != audit.Rewritten {
		t.Errorf("an anchor that was told later than what retention removed: %v", f)
	}
	young.At = time.Time{}
	if say := sound(t, dir, young).String(); !strings.Contains(say, "If it was told on 2025-08-07 or later, lines were taken away") {
		t.Errorf("an anchor of unknown age: %q", say)
	}
}

func TestAnchorsAreReadWithTheirTime(t *testing.T) {
	anchor := "12:" + strings.Repeat("ab", 32)
	for told, want := range map[string]time.Time{
		"":                               {},
		"@2026-11-22":                    time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
		"@2026-11-22T04:54:10.5Z":        time.Date(2026, 11, 22, 4, 54, 10, 5e8, time.UTC),
		"@2026-11-22t04:54:10.25-01:00 ": time.Date(2026, 11, 22, 5, 54, 10, 25e7, time.UTC),
	} {
		got, err := audit.ParseAnchor(anchor + told)
		if err != nil || !got.At.Equal(want) || got.String() != anchor {
			t.Errorf("%q: %v at %v, %v", told, got, got.At, err)
		}
	}
	for _, told := range []string{"@", "@yesterday", "@2026-13-01", "@2026-11-22@2026-11-22"} {
		if a, err := audit.ParseAnchor(anchor + told); err == nil {
			t.Errorf("%q was read as %v", told, a.At)
		}
	}
	if _, err := audit.ParseAnchor("seq=12 head=" + strings.Repeat("ab", 32)); err == nil || !strings.Contains(err.Error(), "9f86d081…@2026-11-22") {
		t.Errorf("what is no anchor: %v, want the form with the day, without which a line that was taken away passes for an old one", err)
	}
}

// TestAnchorIsReadAsItIsLogged, whatever the zone of the clock.
func TestAnchorIsReadAsItIsLogged(t *testing.T) {
	at := time.Date(2026, 11, 21, 23, 30, 0, 0, time.FixedZone("", -3600))
	a := audit.Anchor{Seq: 12, Head: strings.Repeat("ab", 32), At: at}
	if want := a.String() + "@2026-11-22"; a.Dated() != want {
		t.Errorf("logged as %s, want %s", a.Dated(), want)
	}
	got, err := audit.ParseAnchor(a.Dated())
	if err != nil || got.String() != a.String() || !got.At.Equal(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%s is read as %v at %v, %v", a.Dated(), got, got.At, err)
	}
}
