package audit_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"keyshield/internal/audit"
)

func TestNoRecordIsLostUnderLoad(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir})
	const workers, each = 16, 625
	var requests, drainer sync.WaitGroup
	stop := make(chan struct{})
	drainer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				l.Drain()
			}
		}
	})
	for w := range workers {
		requests.Go(func() {
			for i := range each {
				l.Request(&audit.Record{ID: fmt.Sprintf("%d-%d", w, i)}, i%5 == 0)
			}
		})
	}
	requests.Wait()
	close(stop)
	drainer.Wait()
	shut(t, l)
	got := ids(t, dir)
	if len(got) != workers*each {
		t.Errorf("%d of %d records are there", len(got), workers*each)
	}
	for id, n := range got {
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	sound(t, dir)
}

func TestWhatWasWaitedForOrDrainedIsInTheFile(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir})
	l.Request(&audit.Record{ID: "waited"}, true)
	if ids(t, dir)["waited"] != 1 {
		t.Error("a record that was waited for is not there")
	}
	for i := range 100 {
		id := fmt.Sprint("drained-", i)
		l.Request(&audit.Record{ID: id}, false)
		l.Drain()
		if ids(t, dir)[id] != 1 {
			t.Fatalf("%s is not there", id)
		}
	}
	l.Operator("disable", "user:ana", "too loud", "cli")
	got := search(t, dir, audit.Query{Kind: audit.Operator})
	if len(got) != 1 || got[0].Action != "disable" || got[0].Target != "user:ana" || got[0].Why != "too loud" || got[0].By != "cli" || got[0].Outcome != audit.Done {
		t.Errorf("the operator's act: %+v", got)
	}
}

func TestReadersWorkBesideAWriter(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range 3000 {
			l.Request(&audit.Record{ID: fmt.Sprint(i)}, true)
		}
	})
	for range 8 {
		sound(t, dir)
		for _, oldest := range []bool{false, true} {
			found := search(t, dir, audit.Query{Oldest: oldest, Limit: 50})
			for i := 1; i < len(found); i++ {
				if d := found[i].Seq - found[i-1].Seq; d != 1 && oldest || d != -1 && !oldest {
					t.Errorf("number %d follows %d", found[i].Seq, found[i-1].Seq)
				}
			}
		}
	}
	writer.Wait()
	if n, lost := l.Counts(); n != 3001 || lost != 0 {
		t.Errorf("%d written and %d lost", n, lost)
	}
	shut(t, l)
	sound(t, dir)
}

func TestNobodyNeedsToDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, audit.Options{Dir: dir})
		l.Request(&audit.Record{ID: "slow"}, false)
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if ids(t, dir)["slow"] != 1 {
			t.Error("a record that nobody waits for is not written by itself")
		}
		shut(t, l)
	})
}

func TestStrangersAreCountedByTheMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, audit.Options{Dir: dir})
		begin := time.Now().Truncate(time.Minute)
		for range 1000 {
			l.Refused("token_invalid")
		}
		l.Refused("rate_limited")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for i := range 100 {
			l.Refused(fmt.Sprint("code-", i))
		}
		minute := time.Now().Truncate(time.Minute)
		shut(t, l)

		got := search(t, dir, audit.Query{Kind: audit.Refused, Oldest: true})
		want := []audit.Record{
			{Kind: audit.Refused, Time: begin.UTC(), Outcome: audit.Denied, Code: "rate_limited", Count: 1},
			{Kind: audit.Refused, Time: begin.UTC(), Outcome: audit.Denied, Code: "token_invalid", Count: 1000},
		}
		for i := range want {
			want[i].Seq = got[i].Seq
		}
		if diff := cmp.Diff(want, got[:2]); diff != "" {
			t.Errorf("the first minute (-want +got):\n%s", diff)
		}
		if len(got) != 2+65 {
			t.Errorf("100 codes made %d records, want 64 and one for the rest", len(got)-2)
		}
		for _, r := range got[2:] {
			if !r.Time.Equal(minute) || r.Code == "other" && r.Count != 36 {
				t.Errorf("the last minute: %+v", r)
			}
		}
	})
}

func TestAnchorsAreToldAtTheStartEachHourAndAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	var anchors []audit.Anchor
	synctest.Test(t, func(t *testing.T) {
		l := open(t, audit.Options{Dir: dir, Anchor: func(seq int64, head string) {
			anchors = append(anchors, audit.Anchor{Seq: seq, Head: head})
		}})
		for range 3 {
			l.Request(&audit.Record{}, true)
			time.Sleep(time.Hour + time.Second)
		}
		synctest.Wait()
		shut(t, l)
	})
	var numbers []int64
	for _, a := range anchors {
		numbers = append(numbers, a.Seq)
	}
	if diff := cmp.Diff([]int64{1, 2, 3, 4, 5}, numbers); diff != "" {
		t.Errorf("anchors (-want +got):\n%s", diff)
	}
	for _, a := range sound(t, dir, anchors...).Anchors {
		if !a.Found {
			t.Errorf("%v is not in the chain", a)
		}
	}
}

func TestTheLogGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		l := open(t, audit.Options{Dir: dir, Version: fmt.Sprint("1.", i)})
		l.Request(&audit.Record{ID: fmt.Sprint(i)}, false)
		shut(t, l)
	}
	if r := sound(t, dir); r.Records != 9 {
		t.Errorf("%d records, want 9", r.Records)
	}
	starts := search(t, dir, audit.Query{Kind: audit.Start})
	if len(starts) != 3 || starts[0].Why != "version 1.2" {
		t.Errorf("the starts: %+v", starts)
	}
	for _, path := range append(files(t, dir), filepath.Join(dir, "head")) {
		if id, err := os.Stat(path); err != nil || id.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, id.Mode(), err)
		}
	}
}

func TestAfterCloseNothingIsTaken(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir})
	shut(t, l)
	l.Request(&audit.Record{ID: "late"}, true)
	l.Drain()
	shut(t, l)
	if l.Healthy() == nil {
		t.Error("a closed log that refused a record calls itself healthy")
	}
	if len(ids(t, dir)) != 0 {
		t.Error("a record was written after the end")
	}
}

func TestAddressesAreHidden(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir, Now: aroundNoon, HashIP: func(a netip.Addr) string { return "hmac:" + sum(a.AsSlice())[:8] }})
	for _, ip := range []string{"203.0.113.9", "2001:db8::1", "not an address", "hmac:00ff", ""} {
		l.Request(&audit.Record{IP: ip}, false)
	}
	shut(t, l)
	var got []string
	for _, r := range search(t, dir, audit.Query{Kind: audit.Request, Oldest: true}) {
		got = append(got, r.IP)
	}
	four, six := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8::1")
	want := []string{"hmac:" + sum(four.AsSlice())[:8], "hmac:" + sum(six.AsSlice())[:8], "", "hmac:00ff", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if strings.Contains(string(content(t, theFile(t, dir))), "203.0.113.9") {
		t.Error("the address itself is in the file")
	}
}

func TestTwoWritersAreOneTooMany(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir})
	_, err := audit.Open(audit.Options{Dir: dir}.WithLockWait(100 * time.Millisecond))
	if !errors.Is(err, audit.ErrLocked) {
		t.Errorf("the second: %v", err)
	}
	shut(t, l)
	shut(t, open(t, audit.Options{Dir: dir}.WithLockWait(time.Millisecond)))
	sound(t, dir)
}

func TestAClockSetBackDoesNotReorderFiles(t *testing.T) {
	dir := t.TempDir()
	c := newClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	l := open(t, audit.Options{Dir: dir, Now: c.Now})
	c.set(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	l.Request(&audit.Record{ID: "earlier"}, true)
	shut(t, l)
	l = open(t, audit.Options{Dir: dir, Now: c.Now})
	shut(t, l)
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("files %v", got)
	}
	sound(t, dir)
}
