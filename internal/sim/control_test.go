package sim_test

import (
	"strings"
	"testing"
	"time"

	"keyshield/internal/sim"
)

func TestDefaultIsSetOverHTTP(t *testing.T) {
	w := start(t, sim.Options{Behaviour: sim.Behaviour{Text: "as built"}})
	if got := w.control(t, "GET", "behaviour", "", 200); !strings.Contains(got, `"text=\"as built\""`) {
		t.Errorf("got %s", got)
	}
	w.control(t, "POST", "behaviour", `{"status": 503, "retry_after": "Wed, 21 Oct 2026 07:28:00 GMT", "html": true, "latency": "1ms"}`, 200)
	if got := w.ask(t, "hi", false); got.status != 503 || got.header.Get("Retry-After") != "Wed, 21 Oct 2026 07:28:00 GMT" || !strings.Contains(got.body, "<html>") {
		t.Errorf("got %d %v %s", got.status, got.header, got.body)
	}
	if got := w.ask(t, "[[sim status=0 html=false retry_after=\"\"]]", false); got.status != 400 {
		t.Errorf("got %d for an empty value, want 400", got.status)
	}
	w.control(t, "POST", "behaviour", `{}`, 200)
	if got := read(t, w.ask(t, "hi", false), false); !strings.Contains(got.text(), "simulator") {
		t.Errorf("got %q after {}, want the usual text", got.text())
	}
	w.control(t, "POST", "reset", "", 200)
	if got := read(t, w.ask(t, "hi", false), false); got.text() != "as built" {
		t.Errorf("got %q after a reset, want the default as built", got.text())
	}
	if r := w.Report(); r.Calls != 1 || len(w.Requests()) != 1 {
		t.Errorf("got %+v after a reset, want one call", r)
	}
}

func TestDirectiveStandsOnTheDefault(t *testing.T) {
	w := start(t, sim.Options{Behaviour: sim.Behaviour{Text: "default words here", Status: 500}})
	if got := read(t, w.ask(t, "[[sim status=0 chunks=2]]", true), true); got.text() != "default words here" || len(got.pieces) != 2 {
		t.Errorf("got %q, want the default's text in two pieces", got.pieces)
	}
}

func TestNonsenseIsNamed(t *testing.T) {
	w := start(t, sim.Options{})
	for _, c := range []struct{ body, want string }{
		{`{"staus": 500}`, `no word \"staus\"`},
		{`{"status": "many"}`, "status: want a whole number"},
		{`{"status": 5.5}`, "status: want a whole number"},
		{`{"status": null}`, "status: want a text, a number"},
		{`{"status": 200}`, "only 400 to 599"},
		{`{"html": "yes"}`, "html: want true or false"},
		{`{"latency": 3}`, "latency: want a duration"},
		{`{"redirect": "a\nb"}`, "redirect: want printable ASCII"},
		{`{"fault": "cut", "status": 500}`, "fault does not go with status"},
		{`[]`, "want a JSON object"},
		{`null`, "want a JSON object"},
		{`{"status": 500`, "want a JSON object"},
	} {
		if got := w.control(t, "POST", "behaviour", c.body, 400); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.body, got, c.want)
		}
	}
	for _, path := range []string{"report?wait=long", "report?calls=-1", "report?call=1"} {
		w.control(t, "GET", path, "", 400)
	}
	w.control(t, "GET", "nothing", "", 404)
	w.control(t, "DELETE", "report", "", 404)
	if got := w.ask(t, "hi", false); got.status != 200 {
		t.Errorf("got %d, want the default untouched", got.status)
	}
}

func TestNewRefusesContradictions(t *testing.T) {
	for name, b := range map[string]sim.Behaviour{
		"fault and status":     {Fault: sim.Cut, Status: 500},
		"unknown fault":        {Fault: "typo"},
		"unknown leak":         {Leak: "typo"},
		"negative latency":     {Latency: -time.Second},
		"status out of range":  {Status: 99},
		"split without leak":   {Split: 3},
		"at without a fault":   {At: 3},
		"amount without flood": {Fault: sim.Cut, Amount: 3},
		"fail_times alone":     {FailTimes: 1},
		"chunks and bytes":     {Chunks: 1, Bytes: 1},
		"retry_after alone":    {RetryAfter: "1"},
		"bill alone":           {Bill: true},
		"quota with 500":       {Quota: true, Status: 500},
		"redirect with 500":    {Redirect: "/", Status: 500},
		"a header broken":      {ContentType: "a\r\nb"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("New took %+v", b)
				}
			}()
			sim.New(sim.Options{Behaviour: b})
		})
	}
}

func TestDirectivesCanBeSwitchedOff(t *testing.T) {
	w := start(t, sim.Options{NoDirectives: true})
	got := read(t, w.ask(t, "[[sim status=500]] hi", false), false)
	if !strings.Contains(got.text(), "[[sim status=500]] hi") {
		t.Errorf("got %q, want the directive taken for a prompt", got.text())
	}
}
