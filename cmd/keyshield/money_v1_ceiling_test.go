package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"keyshield/internal/money"
	"keyshield/internal/sim"
)

// definitionsV1 are tools and forms of answers of every shape, as members.
func definitionsV1(endpoint string) []string {
	long := strings.Repeat("describe ", 300)
	odd := strings.Repeat(`é😀\n\"\u0001`, 60)
	deep := strings.Repeat(`{"type":"object","properties":{"a":`, 7) + `{"description":"` + long + `"}` + strings.Repeat("}}", 7)
	schemas := []string{`{}`, `{"type":"object"}`, `{"type":"object","properties":{"é":{"type":"string","description":"` + odd + `"}}}`, deep,
		`{"enum":[` + strings.TrimSuffix(strings.Repeat(`"x",`, 500), ",") + `]}`, `{"$defs":{"n":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/n"}]}},"$ref":"#/$defs/n"}`, "{ \n\t \"a\" : 1e2 }"}
	function, grammar, form := `{"type":"function","function":{"name":"f%d","description":"%s","parameters":%s}}`, `{"type":"custom","custom":{"name":"c","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"%s"}}}}`, `"response_format":{"type":"json_schema","json_schema":{"name":"s","description":"%s","schema":%s}}`
	if endpoint == "responses" {
		function, grammar, form = `{"type":"function","name":"f%d","description":"%s","parameters":%s}`, `{"type":"custom","name":"c","format":{"type":"grammar","syntax":"lark","definition":"%s"}}`, `"text":{"format":{"type":"json_schema","name":"s","description":"%s","schema":%s}}`
	}
	var all []string
	for i, s := range schemas {
		all = append(all, `"tools":[`+fmt.Sprintf(function, 0, odd, s)+`]`)
		if i < 5 { // the simulator writes JSON that fits these
			all = append(all, fmt.Sprintf(form, odd, s))
		}
	}
	var many []string
	for i := range 128 {
		many = append(many, fmt.Sprintf(function, i, "d", schemas[2]))
	}
	all = append(all, `"tools":[`+strings.Join(many, ",")+`]`, `"tools":[`+fmt.Sprintf(grammar, odd)+`]`)
	if endpoint == "chat" {
		all = append(all, `"functions":[{"name":"f","description":"`+long+`","parameters":`+deep+`}]`, `"response_format":{"type":"json_object"},"seed":1`, `"response_format":{"type":"text"}`)
	} else {
		all = append(all, `"text":{"format":{"type":"json_object"},"verbosity":"low"}`, `"text":{"format":{"type":"text"}}`)
	}
	return append(all, all[0]+","+all[1], all[6]+","+all[7])
}

// TestDefinitionsNeverCostMoreThanTheCeiling, though the simulator counts a token for
// each of their bytes, twice.
func TestDefinitionsNeverCostMoreThanTheCeiling(t *testing.T) {
	p := openPurseV1(t)
	for _, name := range []string{"chat", "responses"} {
		w := wayTo(name)
		for i, d := range definitionsV1(name) {
			body := w.body("[[sim harsh size=9000 extra_tokens=16]] JSON, please", d, []string{streaming, `"stream":false`}[i%2])
			s := p.during(func() {
				if v := p.tell(t.Context(), p.token(fmt.Sprint("u", i)), w.path, body, 0); v.said != "200" {
					t.Errorf("%s %.100s: %s %.300s", name, d, v.said, v.body)
				}
			})
			ceiling := nanoUSD(ceilingOfCall(t, p.lastArrived(t)))
			if s.bill == 0 || s.bill > ceiling || s.used != s.bill {
				t.Errorf("%s %.100s: billed %v, used %v, the ceiling is %v", name, d, s.bill, s.used, ceiling)
			}
		}
	}
}

// leftAfter is what a budget has left once a request has been charged its ceiling.
func leftAfter(t *testing.T, v v1Verdict) money.USD {
	t.Helper()
	left, err := money.Parse(v.header.Get("X-Budget-Remaining"))
	if v.said != "200" || err != nil {
		t.Fatalf("%s %.300s: %v", v.said, v.body, err)
	}
	return left
}

// TestACeilingIsThatOfWhatIsSent: by the service tier, the output limit of the plan or
// the smaller one of the client, and the length.
func TestACeilingIsThatOfWhatIsSent(t *testing.T) {
	const budget = 100 * money.Dollar
	plans := plansAre(t, `{"default":{"budget_day":"$100"},"pro":{"budget_day":"$100","service_tiers":["flex","priority","fast"],"output_tokens_v1":5000}}`)
	p := openPurseV1(t, "EXPOSE_BUDGET=true", plans)
	for i, c := range []struct {
		plan, endpoint, members string
		limit                   int64
		tier                    string
	}{
		{"default", "chat", `"n":1`, 100, "default"}, {"default", "chat", `"max_tokens":7`, 7, "default"}, {"default", "chat", `"max_completion_tokens":9000000000000000000`, 100, "default"}, {"default", "chat", `"max_tokens":100,"max_completion_tokens":100`, 100, "default"},
		{"default", "chat", `"model":"gpt-3.5-turbo","max_completion_tokens":50`, 50, "default"}, {"default", "chat", `"service_tier":"auto"`, 100, "default"}, {"default", "chat", `"service_tier":null`, 100, "default"},
		{"pro", "chat", `"max_tokens":4999`, 4999, "default"}, {"pro", "chat", `"max_tokens":5001`, 5000, "default"}, {"pro", "chat", `"service_tier":"priority"`, 5000, "priority"}, {"pro", "chat", `"service_tier":"fast"`, 5000, "fast"}, {"pro", "chat", `"service_tier":"flex"`, 5000, "flex"},
		{"default", "responses", `"store":true`, 100, "default"}, {"default", "responses", `"max_output_tokens":16`, 16, "default"}, {"default", "responses", `"max_output_tokens":2147483647`, 100, "default"}, {"pro", "responses", `"service_tier":"priority","max_output_tokens":600`, 600, "priority"}, {"pro", "responses", `"service_tier":"auto"`, 5000, "default"},
	} {
		form := []string{streaming, `"stream":false`}[i%2]
		w := wayTo(c.endpoint)
		var v v1Verdict
		s := p.during(func() {
			v = p.tell(t.Context(), onPlanV1(t, fmt.Sprint(c.plan, i), c.plan), w.path, w.body("[[sim harsh size=90000]]", c.members, form), 0)
		})
		sent := lastCall(t, p.rig)
		limit, _ := firstOf(sent, "max_tokens", "max_completion_tokens", "max_output_tokens").(float64)
		ceiling := ceilingOfCall(t, p.lastArrived(t))
		if int64(limit) != c.limit || sent["service_tier"] != c.tier {
			t.Errorf("%s on %s: sent with a limit of %v and tier %v, want %d and %s", c.members, c.plan, limit, sent["service_tier"], c.limit, c.tier)
		}
		if got := budget - leftAfter(t, v); got != ceiling || nanoUSD(ceiling) < s.bill || s.used < s.bill {
			t.Errorf("%s on %s: charged %v, want %v; billed %v, used %v", c.members, c.plan, got, ceiling, s.bill, s.used)
		}
	}
	p.untouched(func() {
		for _, tier := range []string{"priority", "fast", "flex", "scale", "batch", "ultrafast", "Default", "default ", ""} {
			for _, name := range []string{"chat", "responses"} {
				w := wayTo(name)
				p.in(t).post(w.path, w.body("hi", fmt.Sprintf(`"service_tier":%q`, tier))).wantsV1(t, 400, "invalid_field")
			}
		}
	})
}

func firstOf(o map[string]any, names ...string) any {
	for _, name := range names {
		if v, there := o[name]; there {
			return v
		}
	}
	return nil
}

// TestALongContextIsPaidFor: beyond 272,000 tokens the input costs double; at the
// border itself the dearer counts.
func TestALongContextIsPaidFor(t *testing.T) {
	p := openPurseV1(t)
	const frame = 4 + 3 // what the simulator adds to one message
	for _, name := range []string{"chat", "responses"} {
		for _, tokens := range []int{200_000, 272_000, 272_001, 300_000} {
			w := wayTo(name)
			words := "[[sim harsh]]"
			var v v1Verdict
			s := p.during(func() {
				v = p.tell(t.Context(), p.token("ana"), w.path, w.body(words+strings.Repeat("x", tokens-frame-len(words))), 0)
			})
			ceiling := nanoUSD(ceilingOfCall(t, p.lastArrived(t)))
			border := tokens <= 272_001 && tokens >= 272_000
			if v.said != "200" || s.bill == 0 || s.used < s.bill || s.used > ceiling || !border && s.used != s.bill {
				t.Errorf("%s with %d tokens: %s; billed %v, used %v, the ceiling is %v", name, tokens, v.said, s.bill, s.used, ceiling)
			}
		}
	}
}

// TestWhatCostsNothingNeedsNoBudget: moderations pass when it is used up, or has been
// lowered since, and are counted.
func TestWhatCostsNothingNeedsNoBudget(t *testing.T) {
	data := t.TempDir()
	w, chat := wayTo("moderations"), wayTo("chat")
	const noProof = "[[sim usage=missing]] hello"
	p := openPurseV1In(t, data, "BUDGET_USER_DAY=0.001")
	for range 100 {
		if v := p.tell(t.Context(), p.token("ana"), chat.path, chat.body(noProof), 0); v.said != "200" {
			break
		}
	}
	exhausted, _ := quotaSaid(chat.path)
	if v := p.tell(t.Context(), p.token("ana"), chat.path, chat.body(noProof), 0); v.said != exhausted {
		t.Fatalf("the budget is not used up: %s", v.said)
	}
	asked := func(p *purse, what string) {
		t.Helper()
		s := p.during(func() {
			for range 3 {
				if v := p.tell(t.Context(), p.token("ana"), w.path, w.body("hello"), 0); v.said != "200" {
					t.Errorf("%s: moderations get %s %s", what, v.said, v.body)
				}
			}
		})
		for _, row := range s.books.ByModel {
			if row.Model == w.model && row.Requests%3 == 0 && row.Requests > 0 && s.used == 0 {
				return
			}
		}
		t.Errorf("%s: the books do not have three moderations for nothing: used %v, %+v", what, s.used, s.books.ByModel)
	}
	asked(p, "used up")
	p.stop()
	asked(openPurseV1In(t, data, "BUDGET_USER_DAY=0.0002"), "lowered")
}

// TestADrainedAnswerIsProven: with HANGUP=drain and little left to be written, who
// hangs up is charged what it cost; else, and always without it, the ceiling.
func TestADrainedAnswerIsProven(t *testing.T) {
	for _, drain := range []bool{true, false} {
		p := openPurseV1(t, "HANGUP="+map[bool]string{true: "drain", false: "cancel"}[drain])
		for _, a := range v1Asks() {
			words := "harsh pace=10ms chunks=8 size=80"
			if !a.stream {
				words = "harsh latency=150ms"
			}
			s := p.during(func() {
				open := p.sim.Report().Open
				c := p.connect()
				body := a.body("[[sim " + words + "]] hello")
				fmt.Fprintf(c, "%s\r\n%s", p.head(a.path, fmt.Sprintf("Content-Length: %d", len(body))), body)
				p.await(t, "the call", func(r sim.Report) bool { return r.Open > open })
				if a.stream {
					_, _ = c.Read(make([]byte, 100))
				}
				c.(*wiretap).Conn.(*net.TCPConn).SetLinger(0)
				c.Close()
			})
			ceiling := nanoUSD(ceilingOfCall(t, p.lastArrived(t)))
			if want := map[bool]nanoUSD{true: s.bill, false: ceiling}[drain]; s.used != want || s.used < s.bill || s.bill == 0 {
				t.Errorf("%s, drained %v: used %v, want %v; billed %v, the ceiling is %v", a.name, drain, s.used, want, s.bill, ceiling)
			}
		}
	}
}
