package admin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/alert"
	"keyshield/internal/money"
	"keyshield/internal/upstream"
)

func TestOverviewOfAHealthyServer(t *testing.T) {
	o := openOffice(t)
	o.settle(person("ana"), "gpt-6-luna", money.Dollar)
	o.state = admin.State{
		Since: time.Now().Add(-hour), Requests: map[string]int64{"ok": 3, "refused": 2}, Refusals: map[string]int64{"rate_limited": 2},
		InFlight: 4, Streams: 1, Added: admin.Latency{Count: 5, P50: 250 * time.Microsecond, P99: time.Millisecond}, Breaker: "closed",
	}
	o.receivers.states = []alert.ReceiverState{{Name: "slack", Pending: 1, Held: 2}}
	v := must[admin.Overview](t)(o.far().Overview(t.Context()))
	if v.Month.Used != 1e9 || *v.Month.Left != 19e9 || v.Day.Requests != 1 || v.Version != "v1.2.3" || time.Since(v.Since) < hour {
		t.Errorf("%+v", v)
	}
	if v.Traffic.Requests["ok"] != 3 || v.Traffic.Refusals["rate_limited"] != 2 || v.Traffic.InFlight != 4 || v.Traffic.Streams != 1 ||
		v.Traffic.Added.P50 != 0.25 || v.Traffic.Added.P99 != 1 || v.Breaker != "closed" {
		t.Errorf("the traffic is %+v", v.Traffic)
	}
	if !v.Ledger.OK || !v.Audit.OK || len(v.Keys) != 1 || len(v.Alerts) != 1 || !v.Alerts[0].OK || v.Alerts[0].Pending != 3 {
		t.Errorf("%+v", v)
	}
	for _, sentence := range v.Degraded {
		if !strings.HasPrefix(sentence, "At this pace") { // the first of a month is what it is
			t.Errorf("a healthy server says %q", sentence)
		}
	}
}

func TestOverviewSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	o := openOffice(t)
	for i := range 5 {
		o.settle(person(string(rune('a'+i))), "gpt-6-luna", money.Dollar)
	}
	o.state = admin.State{Breaker: "open", Refuses: "key"}
	o.live.AuditState = func() error { return errors.New("no space left on device") }
	o.keys[0].State, o.keys[0].Why = upstream.Quarantined, "OpenAI answered 401"
	o.receivers.states = []alert.ReceiverState{{Name: "slack", Failing: time.Now(), Error: "404"}}
	must[admin.DisableAnswer](t)(o.desk.Disable(t.Context(), admin.DisableRequest{Everything: true, For: "1h", Why: "drill"}))
	v := must[admin.Overview](t)(o.near().Overview(t.Context()))
	all := strings.Join(v.Degraded, "\n")
	for _, want := range []string{
		"no space left on device", "by cli until", "(drill)", "keyshield enable --everything", "No key for OpenAI works", "keyshield rotate",
		"breaker is open", "although it knows the key", "do not reach slack: 404", "is used up until",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not said:\n%s", want, all)
		}
	}
	o.keys = append(o.keys, upstream.KeyState{State: upstream.Active})
	if all := strings.Join(must[admin.Overview](t)(o.near().Overview(t.Context())).Degraded, "\n"); !strings.Contains(all, "refuses the key sha256:0a1b2c3d") || strings.Contains(all, "No key") {
		t.Errorf("one of two keys is refused:\n%s", all)
	}
}
