package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
	"keyshield/internal/money"
)

const (
	thief  = "mallory"
	honest = 5 // other users, who ask all the time
)

// burst is what a thief does with a stolen token: everything, from everywhere.
type burst struct {
	mu    sync.Mutex
	said  map[string]int
	sent  atomic.Int64
	ended atomic.Bool // the thief is disabled
}

func (b *burst) count(said string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said[said]++
	if strings.HasSuffix(said, " disabled") {
		b.ended.Store(true)
	}
}

// TestDrillStolenToken is the leak drill, with the limits and budgets that serve has
// by default: whoever has a user's token floods the server. The operator hears of it,
// the user is disabled, all within seconds, and nobody else notices.
func TestDrillStolenToken(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	d := openDrill(t, append(usual(), "MAX_STREAMS_PER_USER", "MODELS=gpt-6-luna,gpt-6-sol")...)
	streams := d.stolenStreams()

	began := time.Now()
	var others sync.WaitGroup
	others.Go(d.honestWork)
	b := d.flood()
	d.told.wait("user_disabled", 1)
	took := time.Since(began)
	t.Logf("disabled and told after %v and %d requests: %v", took, b.sent.Load(), b.said)
	if took > 30*time.Second {
		t.Errorf("it took %v until the thief was disabled", took)
	}
	if !b.ended.Load() {
		t.Errorf("after %d requests the thief is still let in: %v", b.sent.Load(), b.said)
	}
	if !d.told.slackHas("Unusual traffic from mallory") || !d.told.slackHas("mallory is disabled", "1h") {
		t.Errorf("Slack was not told of both:\n%s", strings.Join(d.told.slack, "\n"))
	}
	for f, end := range streams {
		if got := <-end; got != 1 {
			t.Errorf("the thief's running %s ended with %d errors of the code disabled, want 1", f, got)
		}
	}
	others.Wait()

	d.onlyTheThiefIsStopped()
	d.thiefIsWithinTheCap()
	d.nightIsToldInOneCommand()
	d.thiefIsLetInAgain()
	d.stop()
	d.told.agree()
}

// stolenStreams opens what the thief has running when the flood begins, and returns
// how many errors of the right code each ends with.
func (d *drill) stolenStreams() map[string]<-chan int {
	ends := map[string]<-chan int{}
	for i, f := range []drillForm{drillForms()[2], drillForms()[4], drillForms()[5]} {
		resp, err := d.stream(d.t.Context(), d.caller(thief, i), f, "[[sim fault=hang_mid]] all your secrets")
		if err != nil {
			d.t.Fatal(err)
		}
		end := make(chan int, 1)
		ends[f.name] = end
		go func() {
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body) // what has no end has no error either
			end <- strings.Count(string(body), `"code":"disabled"`+endOfCode(f))
		}()
	}
	return ends
}

// endOfCode tells the code of an error from its repetition, which one form has.
func endOfCode(f drillForm) string {
	if strings.HasPrefix(f.name, "responses") {
		return `,"message"`
	}
	return ""
}

// flood has the thief send until disabled, for a while at the least: each address no
// more often than one may.
func (d *drill) flood() *burst {
	b := &burst{said: map[string]int{}}
	forms := drillForms()
	end := time.Now().Add(40 * time.Second)
	var all sync.WaitGroup
	for w := range 12 {
		all.Go(func() {
			for n := w; time.Now().Before(end) && !b.ended.Load(); n += 12 {
				f := forms[n%6]
				prompt := "[[sim size=8000 bytes=2000]] give me everything"
				if strings.HasPrefix(f.path, "/v1") {
					f.body = dear(f.body)
				}
				b.sent.Add(1)
				b.count(d.ask(d.caller(thief, 500+n/15), f, prompt))
				<-time.After(100 * time.Millisecond)
			}
			for n := range 10 { // it does not help to go on
				if said := d.ask(d.caller(thief, 100+w), forms[n%6], "and more"); b.ended.Load() && said != "403 disabled" {
					d.t.Errorf("the thief was disabled, and got %q", said)
				}
			}
		})
	}
	all.Wait()
	return b
}

// dear asks for the dearer model: a thief does not save.
func dear(body func(string) string) func(string) string {
	return func(prompt string) string { return strings.Replace(body(prompt), luna, "gpt-6-sol", 1) }
}

// honestWork are the others, each at an address of their own, in every form. Nothing
// of it may fail.
func (d *drill) honestWork() {
	var all sync.WaitGroup
	for i := range honest {
		all.Go(func() {
			c := d.caller(fmt.Sprint("user-", i), 200+i)
			for n := range 2 * len(drillForms()) {
				f := drillForms()[n%len(drillForms())]
				if said := d.ask(c, f, "[[sim chunks=5 pace=40ms latency=150ms]] how do I cook rice?"); said != "ok" {
					d.t.Errorf("user-%d's %s came to %q in the middle of a flood that is not theirs, as number %d", i, f.name, said, n)
				}
			}
		})
	}
	all.Wait()
}

func (d *drill) onlyTheThiefIsStopped() {
	d.t.Helper()
	stops := d.stopped()
	if len(stops) != 1 || stops[0].ID != thief || stops[0].By != "watch" || stops[0].Until == nil {
		d.t.Fatalf("stopped are %+v, want the thief alone, by the watch, with an end", stops)
	}
	if left := time.Until(*stops[0].Until); left > time.Hour || left < 55*time.Minute {
		d.t.Errorf("the thief is disabled for %v, want an hour", left)
	}
	if got := d.mayAsk(d.caller(thief, 300)); got != "403 disabled" {
		d.t.Errorf("the thief gets %q", got)
	}
	for i := range honest {
		if got := d.mayAsk(d.caller(fmt.Sprint("user-", i), 200+i)); got != "ok" {
			d.t.Errorf("user-%d gets %q", i, got)
		}
	}
	if o := d.overview(); o.Breaker != "closed" {
		d.t.Errorf("the breaker is %s: what we end ourselves is no fault of OpenAI's", o.Breaker)
	}
}

// thiefIsWithinTheCap: of what OpenAI bills, all that was not proven for the others is
// the thief's.
func (d *drill) thiefIsWithinTheCap() {
	d.t.Helper()
	o := d.rested()
	bill := d.bill()
	for i := range honest {
		u, err := d.desk.User(d.t.Context(), fmt.Sprint("user-", i))
		if err != nil {
			d.t.Fatal(err)
		}
		if u.Day.Unproven != 0 {
			d.t.Errorf("user-%d pays %v for %d calls without proof", i, u.Day.AtCeiling, u.Day.Unproven)
		}
		bill -= u.Day.Proven
	}
	u, err := d.desk.User(d.t.Context(), thief)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Logf("OpenAI bills %v for the thief, who is charged %v (%v without proof); all together %v of %v", bill, u.Day.Used, u.Day.AtCeiling, o.Day.Used, d.bill())
	if limit := nanoUSD(money.Dollar); bill > u.Day.Used || u.Day.Used > limit {
		d.t.Errorf("OpenAI bills %v for the thief, the ledger has %v; want bill ≤ ledger ≤ the cap of %v", bill, u.Day.Used, limit)
	}
	if bill == 0 {
		d.t.Error("the thief got nothing: this flood proves nothing about a cap")
	}
}

// nightIsToldInOneCommand: what happened in the last 24 hours.
func (d *drill) nightIsToldInOneCommand() {
	d.t.Helper()
	said := d.ok("audit", "--summary", "--since", "24h")
	for _, want := range []string{thief, "refused", "keyshield enable --user mallory", "watch"} {
		if !strings.Contains(said, want) {
			d.t.Errorf("the summary does not say %q:\n%s", want, said)
		}
	}
	acts := d.acts("disable")
	if len(acts) != 1 || !strings.HasPrefix(acts[0].Target, "user:"+thief+" (key ") || acts[0].By != "watch" || !strings.Contains(acts[0].Why, "mallory") {
		d.t.Errorf("the audit log has %+v", acts)
	}
	var refused, gone int
	for _, r := range d.records(admin.AuditQuery{User: thief}) {
		if r.Outcome == audit.Denied {
			refused++
		}
		if r.Code == "disabled" && r.AtCeiling > 0 {
			gone++
		}
	}
	if refused < 60 || gone < 3 {
		d.t.Errorf("the audit log has %d refusals of the thief's and %d streams that were ended; want 60 and 3 at the least", refused, gone)
	}
	d.ok("audit", "verify")
}

// records are those of a query, all of them.
func (d *drill) records(q admin.AuditQuery) (all []audit.Record) {
	d.t.Helper()
	for q.Limit = 1000; ; {
		page, err := d.desk.Audit(context.Background(), q)
		if err != nil {
			d.t.Fatal(err)
		}
		if all = append(all, page.Records...); page.Next == 0 {
			return all
		}
		q.Before = page.Next
	}
}

func (d *drill) thiefIsLetInAgain() {
	d.t.Helper()
	d.ok("enable", "--user", thief, "--why", "the token was changed")
	if got := d.mayAsk(d.caller(thief, 300)); got != "ok" && got != "429 rate_limited" {
		d.t.Errorf("enabled, and still %q", got)
	}
	if stops := d.stopped(); len(stops) != 0 {
		d.t.Errorf("still stopped: %+v", stops)
	}
	d.told.wait("user_enabled", 1)
	kinds := d.told.kinds()
	if kinds["user_disabled"] != 1 || kinds["user_enabled"] != 1 || kinds["service_disabled"] != 0 {
		d.t.Errorf("the alerts are %v", kinds)
	}
}
