package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"keyshield/internal/audit"
)

func seqs(found []audit.Record) []int64 {
	var out []int64
	for _, r := range found {
		out = append(out, r.Seq)
	}
	return out
}

func TestSearchGoesBackwardsAndForwards(t *testing.T) {
	dir := days(t)
	for _, c := range []struct {
		name string
		q    audit.Query
		want []int64
	}{
		{"all", audit.Query{}, []int64{8, 7, 6, 5, 4, 3, 2, 1}},
		{"oldest", audit.Query{Oldest: true}, []int64{1, 2, 3, 4, 5, 6, 7, 8}},
		{"a page", audit.Query{Limit: 3}, []int64{8, 7, 6}},
		{"the next page", audit.Query{Limit: 3, Before: 6}, []int64{5, 4, 3}},
		{"oldest, two", audit.Query{Oldest: true, Limit: 2}, []int64{1, 2}},
		{"kind", audit.Query{Kind: audit.Stop}, []int64{8}},
		{"id", audit.Query{ID: "1-1"}, []int64{5}},
		{"since", audit.Query{From: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}, []int64{8, 7, 6}},
		{"until", audit.Query{To: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)}, []int64{3, 2, 1}},
		{"from is in, to is out", audit.Query{
			From: time.Date(2026, 11, 21, 23, 30, 0, 0, time.UTC), To: time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC),
		}, []int64{5, 4}},
		{"nobody", audit.Query{User: "nobody"}, nil},
	} {
		if diff := cmp.Diff(c.want, seqs(search(t, dir, c.q))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestSearchFiltersEachMemberExactly(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir})
	base := audit.Record{User: "ana", Outcome: audit.OK, Code: "c1", Endpoint: "/e1", Model: "m1", ID: "base"}
	l.Request(&base, false)
	for i, change := range []func(*audit.Record){
		func(r *audit.Record) { r.User = "ana\"\n" }, func(r *audit.Record) { r.Outcome = audit.Failed },
		func(r *audit.Record) { r.Code = "c10" }, func(r *audit.Record) { r.Endpoint = "/e1/" }, func(r *audit.Record) { r.Model = "m" },
	} {
		r := base
		r.ID = fmt.Sprint(i)
		change(&r)
		l.Request(&r, false)
	}
	shut(t, l)
	for i, q := range []audit.Query{{User: "ana"}, {Outcome: audit.OK}, {Code: "c1"}, {Endpoint: "/e1"}, {Model: "m1"}} {
		q.Kind = audit.Request
		var got, want []string
		for _, r := range search(t, dir, q) {
			got = append(got, r.ID)
		}
		for j := 4; j >= 0; j-- {
			if j != i {
				want = append(want, fmt.Sprint(j))
			}
		}
		want = append(want, "base")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("filter %d (-want +got):\n%s", i, diff)
		}
	}
	if got := search(t, dir, audit.Query{User: "ana\"\n"}); len(got) != 1 || got[0].ID != "0" {
		t.Errorf("a name that is escaped in the line: %+v", got)
	}
}

func TestSearchPassesOverWhatItCannotRead(t *testing.T) {
	dir := written(t, 3)
	path := theFile(t, dir)
	text := string(content(t, path))
	text = strings.Replace(text, `"id":"id-1"`, `"id":"id-1`, 1)
	text = strings.Repeat("x", 300_000) + "\n\n" + text + strings.Repeat("y", 200_000) + "\n" + `{"seq":99,"half`
	put(t, path, []byte(text))
	for _, oldest := range []bool{false, true} {
		var got []string
		err := audit.Search(t.Context(), dir, audit.Query{Oldest: oldest}, func(r audit.Record) error {
			got = append(got, string(r.Kind)+r.ID)
			return nil
		})
		want := []string{"start", "requestid-0", "requestid-2", "stop"}
		if !oldest {
			slices.Reverse(want)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("oldest %v (-want +got):\n%s", oldest, diff)
		}
		var unread *audit.Unreadable
		if !errors.As(err, &unread) || unread.Lines != 4 {
			t.Errorf("oldest %v: %v, want 4 lines that cannot be read", oldest, err)
		}
	}
}

// TestSearchThatHasEnoughTellsWhatItPassedOver, and not what lies beyond.
func TestSearchThatHasEnoughTellsWhatItPassedOver(t *testing.T) {
	dir := written(t, 4)
	path := theFile(t, dir)
	text := string(content(t, path))
	for _, id := range []string{"id-1", "id-3"} {
		text = strings.Replace(text, `"id":"`+id+`"`, `"id":"`+id, 1)
	}
	put(t, path, []byte(text))
	for enough, want := range map[string]string{"id-0": "<nil>", "id-2": "1 lines cannot be read", "": "2 lines cannot be read"} {
		err := audit.Search(t.Context(), dir, audit.Query{Oldest: true, Kind: audit.Request}, func(r audit.Record) error {
			if r.ID == enough {
				return audit.ErrEnough
			}
			return nil
		})
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("enough at %q: %v, want %s", enough, err, want)
		}
	}
}

// Lines of any length, in files of any size, come back the same from both ends.
func TestBothDirectionsSeeTheSameLines(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		var text []byte
		for i := range rapid.IntRange(0, 60).Draw(rt, "lines") {
			r := audit.Record{Seq: int64(i + 1), Kind: audit.Request}
			switch size := rapid.IntRange(0, 1024).Draw(rt, "size"); rapid.IntRange(0, 5).Draw(rt, "sort") {
			case 0: // no line of ours
				text = append(text, strings.Repeat("z", size*rapid.IntRange(1, 200).Draw(rt, "times"))...)
				text = append(text, '\n')
			case 1: // the longest
				r.Why, r.User, r.ID = strings.Repeat("\x01", size), strings.Repeat("\x02", 256), strings.Repeat("\x03", 256)
				fallthrough
			default:
				r.Model = strings.Repeat("m", size/4)
				text = audit.AppendLine(text, &r)
			}
		}
		if rapid.Bool().Draw(rt, "torn") {
			text = append(text, strings.Repeat("t", rapid.IntRange(1, 200_000).Draw(rt, "tail"))...)
		}
		put(t, dir+"/2026-11-22.jsonl", text)
		collect := func(oldest bool) (found []audit.Record, err error) {
			err = audit.Search(t.Context(), dir, audit.Query{Oldest: oldest}, func(r audit.Record) error {
				found = append(found, r)
				return nil
			})
			return found, err
		}
		up, err1 := collect(true)
		down, err2 := collect(false)
		slices.Reverse(down)
		if diff := cmp.Diff(up, down); diff != "" || fmt.Sprint(err1) != fmt.Sprint(err2) {
			rt.Errorf("forwards and backwards differ (%v, %v):\n%s", err1, err2, diff)
		}
		os.RemoveAll(dir)
	})
}

func TestSearchEndsWhenItIsTold(t *testing.T) {
	dir := written(t, 3)
	enough := errors.New("enough")
	if err := audit.Search(t.Context(), dir, audit.Query{}, func(audit.Record) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the visitor's error: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := audit.Search(ctx, dir, audit.Query{}, func(audit.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left: %v", err)
	}
	if err := audit.Search(t.Context(), dir+"/none", audit.Query{}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
}

func BenchmarkSearch(b *testing.B) {
	dir := b.TempDir()
	var text []byte
	r := full()
	for i := range 100_000 {
		r.Seq, r.User = int64(i+1), fmt.Sprint("user-", i%100)
		text = audit.AppendLine(text, &r)
	}
	if err := os.WriteFile(dir+"/2026-11-22.jsonl", text, 0o600); err != nil {
		b.Fatal(err)
	}
	for name, q := range map[string]audit.Query{"all": {}, "user": {User: "user-7"}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := audit.Search(b.Context(), dir, q, func(audit.Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
