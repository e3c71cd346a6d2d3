package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/sim"
)

// noProof is a prompt whose answer does not say what it cost: the ceiling stays.
const noProof = "[[sim usage=missing]] hi"

// ceilingOfLast is what the latest call was charged: the reviewed price of what
// arrived.
func (r *rig) ceilingOfLast(prices *policy.Table, by policy.Multiplier) money.USD {
	r.t.Helper()
	calls := r.sim.Requests()
	if len(calls) == 0 {
		r.t.Fatal("nothing reached the provider")
	}
	sent := calls[len(calls)-1].Body
	var body struct {
		Model  string `json:"model"`
		Output int64  `json:"max_completion_tokens"`
	}
	if err := json.Unmarshal([]byte(sent), &body); err != nil {
		r.t.Fatal(err)
	}
	c, err := prices.Ceiling(body.Model, policy.Chat, policy.Bounds{BodyBytes: len(sent), OutputLimit: body.Output}, by, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// ceilingFor is what a prompt is charged under these settings.
func ceilingFor(t *testing.T, prompt string, set ...string) money.USD {
	t.Helper()
	r := start(t, set...)
	r.ask(prompt).wants200(t, jsonForm)
	defer r.stop()
	return r.ceilingOfLast(policy.Reviewed(), policy.Same)
}

// times is n times a, as a setting's value.
func times(n int64, a money.USD) string { return amountOf(money.USD(n) * a) }

// amountOf is how /api/usage/me writes an amount, and a setting reads it.
func amountOf(a money.USD) string { return strings.TrimPrefix(a.String(), "$") }

// wantsExhausted: told to wait until the window ends, and not to retry by itself.
func (r reply) wantsExhausted(t *testing.T, end time.Time) {
	t.Helper()
	r.wants(t, 429, "budget_exhausted")
	wait, err := strconv.Atoi(r.header.Get("Retry-After"))
	if left := int(time.Until(end).Seconds()); err != nil || wait < left-5 || wait > left+5 {
		t.Errorf("Retry-After is %q, want about %d, the end of the window", r.header.Get("Retry-After"), left)
	}
	if r.header.Get("X-Should-Retry") != "false" {
		t.Errorf("x-should-retry is %q, want false", r.header.Get("X-Should-Retry"))
	}
}

func endOfDay() time.Time { return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1) }

func endOfMonth() time.Time {
	now := time.Now().UTC()
	return time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
}

// budgetIs shows a budget for three: three without proof use it up, and any number
// whose cost is proven to be less does not.
func budgetIs(name string, end func() time.Time, everyones bool) func(*testing.T) {
	return func(t *testing.T) {
		notAtTheTurn(t)
		c := ceilingFor(t, noProof)
		r := start(t, name+"="+times(3, c))
		bob := "Authorization: Bearer " + r.token("bob")
		for range 3 {
			r.ask(noProof).wants200(t, jsonForm)
		}
		r.settled("ana")
		r.ask(noProof).wantsExhausted(t, end())
		if n := r.asked(); n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
		if everyones {
			r.ask(noProof, bob).wantsExhausted(t, end())
		} else {
			r.ask(noProof, bob).wants200(t, jsonForm)
		}

		refunded := start(t, name+"="+times(2, c))
		for range 4 {
			refunded.ask("hi").wants200(t, jsonForm)
			refunded.settled("ana")
		}
		if name == "BUDGET_MONTH" {
			return // a server without it has none
		}
		free := start(t, name+"=off")
		for range 4 {
			free.ask(noProof).wants200(t, jsonForm)
		}
	}
}

// dayIsAFifth of the month, unless it is set.
func dayIsAFifth(t *testing.T) {
	budgetIs("BUDGET_DAY", endOfDay, true)(t)
	c := ceilingFor(t, noProof)
	r := start(t, "BUDGET_DAY", "BUDGET_MONTH="+times(10, c))
	r.ask(noProof).wants200(t, jsonForm)
	r.ask(noProof).wants200(t, jsonForm)
	r.settled("ana")
	r.ask(noProof).wantsExhausted(t, endOfDay())
}

// monthIsTwenty dollars, unless it is set.
func monthIsTwenty(t *testing.T) {
	budgetIs("BUDGET_MONTH", endOfMonth, true)(t)
	r := start(t, "BUDGET_MONTH", "BUDGET_DAY=off", "BUDGET_USER_DAY=off", "EXPOSE_BUDGET=true")
	got := r.ask("hi")
	if left := amountOf(20*money.Dollar - r.ceilingOfLast(policy.Reviewed(), policy.Same)); got.header.Get("X-Budget-Remaining") != left {
		t.Errorf("%q is left of the month, want %s", got.header.Get("X-Budget-Remaining"), left)
	}
}

// userDayIsADollar, unless it is set.
func userDayIsADollar(t *testing.T) {
	budgetIs("BUDGET_USER_DAY", endOfDay, false)(t)
	if most := start(t, "BUDGET_USER_DAY").mine("ana").Day.Cap; most == nil || *most != "1" {
		t.Errorf("a user's cap for a day is %v, want 1", most)
	}
}

// softLimitsAreTold once each, in a log that an operator reads.
func softLimitsAreTold(t *testing.T) {
	notAtTheTurn(t)
	c := ceilingFor(t, noProof)
	told := func(setting string) (said []string) {
		r := start(t, setting, "BUDGET_USER_DAY="+times(4, c))
		for range 4 {
			r.ask(noProof).wants200(t, jsonForm)
			r.settled("ana")
		}
		r.ask(noProof).wantsExhausted(t, endOfDay())
		r.ask(noProof).wantsExhausted(t, endOfDay())
		r.settled("ana")
		for _, line := range r.log.records() {
			if line["event"] != "soft_limit" {
				continue
			}
			if line["user"] != "ana" || line["limit"] != (4*c).String() || line["level"] != "WARN" {
				t.Errorf("%s: got %v, want a warning about ana's %v", setting, line, 4*c)
			}
			said = append(said, fmt.Sprint(line["msg"], ": ", line["amount"]))
		}
		return said
	}
	const text = "%d%% of a budget is spent: %v"
	for setting, want := range map[string][]string{
		"BUDGET_SOFT=off":     nil,
		"BUDGET_SOFT=25%,75%": {fmt.Sprintf(text, 25, c), fmt.Sprintf(text, 75, 3*c)},
		"BUDGET_SOFT":         {fmt.Sprintf(text, 50, 2*c), fmt.Sprintf(text, 80, 4*c), fmt.Sprintf(text, 100, 4*c)},
	} {
		if got := told(setting); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: told %q, want %q", setting, got, want)
		}
	}
}

// acmePrices is a PRICES_FILE with a model of the operator's own.
func acmePrices(t *testing.T, id string) (setting string) {
	t.Helper()
	return "PRICES_FILE=" + writeFile(t, "prices.json",
		fmt.Sprintf(`{"version": "test", "models": {%q: {"kind": ["chat"], "input": "1", "output": "2"}}}`, id))
}

func writeFile(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = t.TempDir() + string(os.PathSeparator) + name
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pricesAreTheFiles: a model that only the file knows is asked, at the file's price.
func pricesAreTheFiles(t *testing.T) {
	r := start(t, acmePrices(t, "acme-7b"), "OPENAI_MODEL=acme-7b")
	r.ask("hi").wants200(t, jsonForm)
	r.settled("ana")
	report := r.sim.Report()
	if want := amountOf(money.USD(report.TokensIn*1000 + report.TokensOut*2000)); r.mine("ana").Day.Spent != want {
		t.Errorf("spent %s, want %s: $1 and $2 for a million of %d and %d tokens", r.mine("ana").Day.Spent, want, report.TokensIn, report.TokensOut)
	}
	r.ask(noProof).wants200(t, jsonForm)
	r.settled("ana")
	calls := r.sim.Requests()
	if want := amountOf(money.USD((len(calls[1].Body)+256)*1000 + (150+16)*2000)); r.mine("ana").Day.ChargedAtCeiling != want {
		t.Errorf("charged %s without proof, want %s", r.mine("ana").Day.ChargedAtCeiling, want)
	}
	code, stdout, _ := once(t, t.TempDir(), nil, "check", "OPENAI_MODEL=acme-7b")
	if code != exitFailed || !strings.Contains(stdout, "OPENAI_MODEL: acme-7b has no reviewed price") {
		t.Errorf("without the file: exit code %d\n%s", code, stdout)
	}
}

func multiplierMultiplies(t *testing.T) {
	for setting, by := range map[string]policy.Multiplier{"PRICE_MULTIPLIER": policy.Same, "PRICE_MULTIPLIER=1.1": 1100, "PRICE_MULTIPLIER=3": 3000} {
		r := start(t, setting)
		r.ask(noProof).wants200(t, jsonForm)
		r.settled("ana")
		want := amountOf(r.ceilingOfLast(policy.Reviewed(), by))
		if got := r.mine("ana").Day.ChargedAtCeiling; got != want {
			t.Errorf("%s: charged %s, want %s", setting, got, want)
		}
		r.ask("hi").wants200(t, jsonForm)
	}
}

// hangUp leaves in the middle of a stream, and returns when the books are closed.
func (r *rig) hangUp() sim.Report {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	req := r.request("/api/generate-text", promptBody("[[sim pace=60ms chunks=12]] hi"), "Accept: text/event-stream").WithContext(ctx)
	resp, err := r.web.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		r.t.Fatalf("the stream did not begin: %d", resp.StatusCode)
	}
	heard, some := "", make([]byte, 512)
	for !strings.Contains(heard, "delta") {
		n, err := resp.Body.Read(some)
		if heard += string(some[:n]); err != nil {
			r.t.Fatalf("no word came: %v, %q", err, heard)
		}
	}
	cancel()
	report := r.calm()
	r.settled("ana")
	return report
}

// wantsHangUp: drained, it costs what it costs; cancelled, the ceiling.
func wantsHangUp(t *testing.T, drained bool, set ...string) {
	t.Helper()
	r := start(t, set...)
	report, now := r.hangUp(), r.mine("ana").Day
	if drained {
		if report.Completed != 1 || now.Spent != amountOf(money.USD(report.BillNano)) || now.ChargedAtCeiling != "0" {
			t.Errorf("%v: %d calls were read to their end, %+v; want the bill, %s, and no more", set, report.Completed, now, amountOf(money.USD(report.BillNano)))
		}
		return
	}
	if c := amountOf(r.ceilingOfLast(policy.Reviewed(), policy.Same)); report.Cancelled != 1 || now.ChargedAtCeiling != c || now.Spent != "0" {
		t.Errorf("%v: %d calls were cancelled, %+v; want the ceiling, %s", set, report.Cancelled, now, c)
	}
}

func hangUpIsCancelledOrDrained(t *testing.T) {
	wantsHangUp(t, false, "HANGUP")
	wantsHangUp(t, false, "HANGUP=cancel")
	wantsHangUp(t, true, "HANGUP=drain")
}

func drainTokensBoundTheRest(t *testing.T) {
	wantsHangUp(t, false, "HANGUP=drain", "DRAIN_TOKENS=10")
	wantsHangUp(t, true, "HANGUP=drain", "DRAIN_TOKENS=149")
	wantsHangUp(t, false, "HANGUP=drain", "MAX_OUTPUT_TOKENS=2000") // 1024
}

// dataOutlivesAStart: what was spent, and what users are called at OpenAI.
func dataOutlivesAStart(t *testing.T) {
	notAtTheTurn(t)
	dir := t.TempDir() + "/books"
	first := start(t, "DATA_DIR="+dir)
	first.ask(noProof).wants200(t, jsonForm)
	first.settled("ana")
	spent, name := first.mine("ana"), lastCall(t, first)["safety_identifier"]
	if code := first.stop(); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, first.log)
	}
	for place, same := range map[string]bool{dir: true, t.TempDir(): false} {
		again := startBefore(t, first.back.URL, "DATA_DIR="+place)
		if got := again.mine("ana").Day.ChargedAtCeiling; (got == spent.Day.ChargedAtCeiling) != same {
			t.Errorf("the same folder: %t: charged %s, and %s before", same, got, spent.Day.ChargedAtCeiling)
		}
		again.ask("hi").wants200(t, jsonForm)
		if got := lastCall(t, first)["safety_identifier"]; (got == name) != same {
			t.Errorf("the same folder: %t: the user is %v, and %v before", same, got, name)
		}
	}
}

// forgettingIsAccepted in so many words, where a disk does not last.
func forgettingIsAccepted(t *testing.T) {
	dir := t.TempDir()
	if shm, err := os.MkdirTemp("/dev/shm", "keyshield-test-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(shm) })
		dir = shm
	}
	var set []string
	for name, value := range settings("http://127.0.0.1:9") {
		set = append(set, name+"="+value)
	}
	set = append(set, "RENDER=true", "TRUSTED_PROXY=render", "DATA_DIR="+dir)
	code, stdout, _ := once(t, t.TempDir(), nil, "check", set...)
	if code == exitOK {
		t.Skipf("%s lies on a volume", dir)
	}
	if !strings.Contains(stdout, "DATA_DIR") || !strings.Contains(stdout, "LEDGER_EPHEMERAL=accept") {
		t.Errorf("the refusal does not name the ways out:\n%s", stdout)
	}
	r := start(t, "RENDER=true", "TRUSTED_PROXY=render", "DATA_DIR="+dir, "LEDGER_EPHEMERAL=accept")
	r.ask("hi").wants200(t, jsonForm)
	if !strings.Contains(r.log.String(), "WHAT WAS SPENT MAY BE FORGOTTEN WITH EVERY START") {
		t.Errorf("the log does not repeat it:\n%s", r.log)
	}
}

func budgetIsExposed(t *testing.T) {
	for setting, told := range map[string]bool{"EXPOSE_BUDGET": false, "EXPOSE_BUDGET=false": false, "EXPOSE_BUDGET=true": true} {
		r := start(t, setting, "BUDGET_USER_DAY=3")
		for _, accept := range []string{"application/json", "text/event-stream", "text/plain"} {
			before := 3*money.Dollar - parsed(r.settled("ana").Day.Used)
			answer := r.ask("hi", "Accept: "+accept, "Origin: "+origin)
			if slices.Contains(listed(answer, "Access-Control-Expose-Headers"), "x-budget-remaining") != told {
				t.Errorf("%s: a website may read %v", setting, listed(answer, "Access-Control-Expose-Headers"))
			}
			got, want := answer.header.Get("X-Budget-Remaining"), ""
			if told {
				want = amountOf(before - r.ceilingOfLast(policy.Reviewed(), policy.Same))
			}
			if got != want {
				t.Errorf("%s, %s: X-Budget-Remaining is %q, want %q", setting, accept, got, want)
			}
		}
	}
}

// parsed is an amount of /api/usage/me.
func parsed(text string) money.USD {
	a, err := money.Parse(text)
	if err != nil {
		panic(err)
	}
	return a
}
