package alert_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/alert"
)

func TestTheSameIsToldOnceAndThenWithACount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, both(&in))
		for range 38 {
			a.Send(warning(1))
			time.Sleep(time.Minute)
		}
		if got := in.titles(); len(got) != 1 {
			t.Fatalf("told %d times within the hour: %q", len(got), got)
		}
		time.Sleep(time.Hour)
		a.Send(warning(1))
		a.Send(warning(2)) // about something else
		synctest.Wait()
		posts := in.at("ops.")
		if len(posts) != 3 {
			t.Fatalf("%d messages after the hour, want 3: %q", len(posts), in.titles())
		}
		if want := "text\nAnd 37 more in the meantime."; posts[1].Text != want {
			t.Errorf("text %q, want %q", posts[1].Text, want)
		}
		if posts[2].Text != "text" {
			t.Errorf("another's text %q has a count", posts[2].Text)
		}
		if slack := in.at("hooks."); len(slack) != 3 || !strings.Contains(slack[1].Text, "And 37 more") {
			t.Errorf("Slack was sent %d messages, want the same 3", len(slack))
		}
	})
}

// Else "works again" would be the last word on what is broken.
func TestWhatReturnsAfterItsEndIsToldAgain(t *testing.T) {
	for name, pair := range map[string][2]alert.Event{
		"ledger": {alert.LedgerUnwritable(), alert.LedgerWritable()},
		"audit":  {alert.AuditBroken("disk full"), alert.AuditWorks(3)},
		"source": {alert.SourceFailed("aws-sm", "timeout"), alert.SourceBack("aws-sm")},
		"key":    {alert.KeyRejected("sha256:12345678", "env", "401"), alert.KeyRecovered("sha256:12345678", "env")},
		"keys":   {alert.NoKeyLeft("401"), alert.KeyRecovered("sha256:12345678", "env")},
		"user":   {alert.UserDisabled(alice, "cli", "", time.Time{}), alert.UserEnabled(alice, "cli", "")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var in inbox
				a := start(t, webhookOnly(&in))
				var want []string
				for range 3 {
					for _, e := range pair {
						a.Send(e)
						want = append(want, e.Title)
						time.Sleep(time.Second)
					}
				}
				if diff := cmp.Diff(want, in.titles()); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		})
	}
}

func TestWhatGetsWorseIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, webhookOnly(&in))
		for _, s := range []alert.Severity{alert.Info, alert.Warning, alert.Info, alert.Critical, alert.Warning} {
			e := warning(1)
			e.Severity, e.Title = s, s.String()
			a.Send(e)
			time.Sleep(time.Second)
		}
		if diff := cmp.Diff([]string{"info", "warning", "critical"}, in.titles()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestRemindersAreToldOncePerStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, webhookOnly(&in))
		retires := time.Now().Add(40 * 24 * time.Hour)
		var when []int
		for day := range 45 {
			left := int(time.Until(retires).Hours() / 24)
			if left < 30 {
				a.Send(alert.ModelRetiring("gpt-4o", retires, time.Now(), "gpt-6-luna"))
			}
			synctest.Wait()
			if n := len(in.titles()); n > len(when) {
				when = append(when, day)
			}
			time.Sleep(24 * time.Hour)
		}
		if diff := cmp.Diff([]int{11, 27, 34, 38, 40}, when); diff != "" {
			t.Errorf("told on other days (-want +got)\n%s", diff)
		}
		if posts := in.at("ops."); strings.Contains(posts[1].Text, "in the meantime") {
			t.Errorf("a reminder counts what nobody missed: %q", posts[1].Text)
		}
	})
}

func TestLesserEventsLeaveRoomForCriticalOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, webhookOnly(&in))
		for i := range 100 {
			a.Send(warning(i))
			time.Sleep(time.Second)
		}
		for i := range 10 {
			e := critical(i)
			e.Kind = []string{alert.KindOvershoot, alert.KindKeyRejected}[i%2]
			a.Send(e)
			time.Sleep(time.Second)
		}
		got := in.titles()
		if len(got) != 30 || got[19] != "warning 19" || got[20] != "critical 0" || got[29] != "critical 9" {
			t.Fatalf("%d messages: %q, want 20 warnings and then all of the critical ones", len(got), got)
		}

		time.Sleep(2 * time.Hour)
		last := in.at("ops.")[30:]
		if len(last) != 1 {
			t.Fatalf("%d digests, want one", len(last))
		}
		if last[0].Title != "80 more alerts" || last[0].Severity != "warning" {
			t.Errorf("digest %q (%s), want 80 more alerts", last[0].Title, last[0].Severity)
		}
		if !strings.Contains(last[0].Text, "- warning 20\n") || strings.Count(last[0].Text, "- warning ") != 20 {
			t.Errorf("the digest does not name the first 20: %q", last[0].Text)
		}
		if f := last[0].Fields; len(f) != 1 || f[0].Name != "spike" || f[0].Value != "80" {
			t.Errorf("fields %v, want 80 of spike", f)
		}
	})
}

// Users who use up their budgets, all day long, must not take the warnings' places.
func TestWhatIsGoodToKnowLeavesRoomForWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, webhookOnly(&in))
		for i := range 40 {
			a.Send(alert.CapReached(alert.User{Key: fmt.Sprint(i), ID: fmt.Sprint("user-", i)}, "today", dollars("$1"), dollars("$1")))
			time.Sleep(time.Second)
		}
		if got := in.titles(); len(got) != 8 || !strings.Contains(got[7], "user-7") {
			t.Fatalf("%d of 40 were told one by one, want 8: %q", len(got), got)
		}
		for i := range 13 {
			a.Send(warning(i))
			time.Sleep(time.Second)
		}
		if got := in.titles(); len(got) != 20 || got[8] != "warning 0" || got[19] != "warning 11" {
			t.Fatalf("%d messages: %q, want the 8 and 12 warnings", len(got), got)
		}
		time.Sleep(time.Hour)
		digests := in.at("ops.")[20:]
		if len(digests) != 1 || digests[0].Title != "33 more alerts" || !strings.Contains(digests[0].Text, "- warning 12") {
			t.Fatalf("digests %+v, want one of the other 33", digests)
		}
		a.Send(alert.UserEnabled(alice, "cli", ""))
		synctest.Wait()
		if n := len(in.titles()); n != 22 {
			t.Errorf("%d messages, want one more: the hour is over", n)
		}
	})
}

func TestAFloodOfCriticalOnesIsToldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, webhookOnly(&in))
		for i := range 200 {
			a.Send(warning(i)) // must not push a critical one out of the digest
			a.Send(critical(i))
		}
		synctest.Wait()
		single := len(in.titles())
		if single != 20 {
			t.Fatalf("%d messages at once, want 20: the other places are for what else is critical", single)
		}
		time.Sleep(time.Minute + time.Second)
		digests := in.at("ops.")[single:]
		if len(digests) != 1 || digests[0].Severity != "critical" {
			t.Fatalf("%d digests after a minute, want a critical one", len(digests))
		}
		if strings.Count(digests[0].Text, "- critical ") != 19 || strings.Count(digests[0].Text, "- warning ") != 1 {
			t.Errorf("the digest tells of lesser things than there are: %q", digests[0].Text)
		}
		total := single
		for _, f := range digests[0].Fields {
			var n int
			fmt.Sscan(f.Value, &n)
			total += n
		}
		if total != 400 {
			t.Errorf("told of %d events, want all 400", total)
		}

		for i := range 100 { // a flood that goes on for 100 minutes
			a.Send(critical(1000 + i))
			time.Sleep(time.Minute)
		}
		if n := len(in.titles()); n > 30+30+12 {
			t.Errorf("%d messages in 100 minutes", n)
		}
	})
}

// Users who are disabled, one after the other, must not hide the key that leaked: not
// among what is told one by one, nor in the digest.
func TestACrowdOfUsersLeavesRoomForTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, webhookOnly(&in))
		disabled := func(from, to int) {
			for i := from; i < to; i++ {
				a.Send(alert.UserDisabled(alert.User{Key: fmt.Sprint(i), ID: fmt.Sprint("user-", i)}, "watch", "flood", time.Time{}))
			}
			synctest.Wait()
		}
		about := []alert.Event{alert.KeyRejected("sha256:12345678", "env", "401"), alert.NoKeyLeft("401"), alert.KeyUsedElsewhere("today", dollars("$14"), dollars("$4"), dollars("$10"))}
		for i := range 20 {
			a.Send(warning(i))
		}
		disabled(0, 10)
		for _, e := range about {
			a.Send(e)
		}
		synctest.Wait()
		got := in.titles()
		if len(got) != 28 {
			t.Fatalf("%d messages, want 20 warnings, 5 users and what there is about keys: %q", len(got), got)
		}
		for i, e := range about {
			if got[25+i] != e.Title {
				t.Errorf("%q was told, want %q", got[25+i], e.Title)
			}
		}

		// The hour is full now, and what comes is told together.
		a.Send(alert.LedgerUnwritable())
		a.Send(alert.AuditBroken("disk full"))
		synctest.Wait()
		a.Send(alert.KeyRejected("sha256:87654321", "env", "401"))
		a.Send(alert.ModelStopped("gpt-4o"))
		a.Send(alert.SourceFailed("aws-sm", "timeout"))
		disabled(10, 35)
		time.Sleep(time.Minute + time.Second)
		posts := in.at("ops.")
		if len(posts) != 31 || posts[30].Title != "33 more alerts" {
			t.Fatalf("%d messages, want 30 and a digest of 33: %q", len(posts), in.titles())
		}
		for _, want := range []string{about[0].Title, alert.ModelStopped("gpt-4o").Title, alert.SourceFailed("aws-sm", "").Title, "user-5 is disabled"} {
			if !strings.Contains(posts[30].Text, "- "+want) {
				t.Errorf("the digest does not name %q:\n%s", want, posts[30].Text)
			}
		}
		if lines := strings.Count(posts[30].Text, "\n- "); lines != 20 {
			t.Errorf("the digest has %d lines, want 20", lines)
		}
	})
}

func TestEachHourHasRoomAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, webhookOnly(&in))
		for i := range 20 {
			a.Send(warning(i))
		}
		time.Sleep(time.Hour)
		for i := range 20 {
			a.Send(warning(100 + i))
		}
		synctest.Wait()
		if n := len(in.titles()); n != 40 {
			t.Errorf("%d messages in two hours of 20 events, want 40", n)
		}
	})
}

func TestMemoryOfWhatWasToldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		o := webhookOnly(&in)
		o.Dir = t.TempDir()
		a := start(t, o)
		a.Send(critical(0))
		for i := range 20_000 {
			a.Send(warning(i))
		}
		time.Sleep(2 * time.Minute)
		if size := fileSize(t, o.Dir); size > 512<<10 {
			t.Errorf("20,000 events make a file of %d bytes", size)
		}
	})
}

func BenchmarkSendOfSomethingNew(b *testing.B) {
	var in inbox
	a, err := alert.New(webhookOnly(&in))
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	for n := 0; b.Loop(); n++ {
		a.Send(warning(n))
	}
}

func BenchmarkSend(b *testing.B) {
	var in inbox
	a, err := alert.New(webhookOnly(&in))
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	e := alert.Spike(alice, "requests", "alice made 412 requests in the last minute; usually it is 3.")
	for b.Loop() {
		a.Send(e)
	}
}
