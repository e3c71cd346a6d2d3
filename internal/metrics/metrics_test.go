package metrics_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"keyshield/internal/metrics"
	"keyshield/internal/money"
)

// answered is an answer of a stream that went well.
func answered() metrics.Seen {
	return metrics.Seen{
		Route: "/api/generate-text", Status: 200, Outcome: metrics.OK,
		Model: "gpt-6-luna", Tokens: metrics.Tokens{Input: 100, Cached: 40, Output: 30, Reasoning: 10},
		Cost: 25 * money.Dollar / 1000,
		Took: 1500 * time.Millisecond, FirstToken: 400 * time.Millisecond, Upstream: 1499 * time.Millisecond, Stream: true,
	}
}

func refused(code string) metrics.Seen {
	return metrics.Seen{Route: "/api/generate-text", Status: 429, Outcome: metrics.Refused, Code: code, Took: time.Millisecond}
}

func TestARequestIsCountedOnce(t *testing.T) {
	m := metrics.New(options())
	m.Request(answered())
	m.Request(refused("rate_limited"))
	unproven := answered()
	unproven.Status, unproven.Outcome, unproven.Code = 502, metrics.Failed, "upstream_error"
	unproven.Tokens, unproven.Cost, unproven.AtCeiling = metrics.Tokens{}, 0, money.Dollar/10
	m.Request(unproven)
	m.Alarm("dollars")

	scrape(t, m).want(t, series{
		`keyshield_requests_total{class="2xx",outcome="ok",route="/api/generate-text"}`:      1,
		`keyshield_requests_total{class="4xx",outcome="refused",route="/api/generate-text"}`: 1,
		`keyshield_requests_total{class="5xx",outcome="failed",route="/api/generate-text"}`:  1,
		`keyshield_requests_total{class="2xx",outcome="ok",route="/v1/chat/completions"}`:    0, // there from the start
		`keyshield_refusals_total{code="rate_limited"}`:                                      1,
		`keyshield_refusals_total{code="upstream_error"}`:                                    1,
		`keyshield_refusals_total{code="disabled"}`:                                          0,
		`keyshield_request_seconds_count{route="/api/generate-text"}`:                        3,
		`keyshield_request_seconds_sum{route="/api/generate-text"}`:                          3.001,
		`keyshield_first_token_seconds_count`:                                                2,
		`keyshield_added_seconds_count`:                                                      2,
		`keyshield_added_seconds_sum`:                                                        0.002,
		`keyshield_tokens_total{kind="input",model="gpt-6-luna"}`:                            60,
		`keyshield_tokens_total{kind="cached",model="gpt-6-luna"}`:                           40,
		`keyshield_tokens_total{kind="output",model="gpt-6-luna"}`:                           20,
		`keyshield_tokens_total{kind="reasoning",model="gpt-6-luna"}`:                        10,
		`keyshield_cost_dollars_total{model="gpt-6-luna",proof="proven"}`:                    0.025,
		`keyshield_cost_dollars_total{model="gpt-6-luna",proof="ceiling"}`:                   0.1,
		`keyshield_alarms_total{signal="dollars"}`:                                           1,
		`keyshield_alarms_total{signal="requests"}`:                                          0,
		`keyshield_build_info{version="v1.2.3"}`:                                             1,
	})
}

func TestOnlyAStreamHasAFirstToken(t *testing.T) {
	m := metrics.New(options())
	whole := answered()
	whole.Stream = false
	m.Request(whole)
	scrape(t, m).want(t, series{`keyshield_first_token_seconds_count`: 0, `keyshield_added_seconds_count`: 1})
}

func TestAClientThatLeftIsNoRefusal(t *testing.T) {
	m := metrics.New(options())
	left := answered()
	left.Status, left.Outcome, left.Code = 499, metrics.ClientGone, "client_gone"
	m.Request(left)
	found := scrape(t, m)
	found.want(t, series{`keyshield_requests_total{class="4xx",outcome="client_gone",route="/api/generate-text"}`: 1})
	for name, value := range found {
		if strings.HasPrefix(name, "keyshield_refusals_total") && value != 0 {
			t.Errorf("%s = %v, want no refusal", name, value)
		}
	}
}

// Whatever clients invent has no series of its own, or they could fill the memory
// of this server and of every Prometheus that reads it.
func TestOddRequestsAddNoSeries(t *testing.T) {
	m := metrics.New(options())
	odd := func(i int) metrics.Seen {
		return metrics.Seen{
			Route: fmt.Sprintf("/api/odd-%d", i), Status: 400 + i%100, Outcome: metrics.Refused, Code: fmt.Sprintf("their_code_%d", i),
			Model: fmt.Sprintf("gpt-%d", i), Tokens: metrics.Tokens{Input: 1, Output: 1}, Took: time.Duration(i), Upstream: 1,
		}
	}
	m.Request(odd(0))
	before := scrape(t, m)
	const many = 10_000
	for i := range many {
		m.Request(odd(i))
		m.Alarm(fmt.Sprint("signal ", i))
	}
	after := scrape(t, m)
	for name := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("new series: %s", name)
		}
	}
	after.want(t, series{
		`keyshield_requests_total{class="4xx",outcome="refused",route="other"}`: many + 1,
		`keyshield_refusals_total{code="other"}`:                                many + 1,
		`keyshield_tokens_total{kind="input",model="other"}`:                    many + 1,
		`keyshield_alarms_total{signal="other"}`:                                many,
	})
}

// Even if all statuses and outcomes were met, the number of series has an end that
// is known beforehand.
func TestTheNumberOfSeriesHasAnEnd(t *testing.T) {
	m := metrics.New(options())
	for _, route := range append(routes, "/odd") {
		for status := -200; status < 1200; status++ {
			for _, outcome := range []string{metrics.OK, metrics.Refused, metrics.Failed, metrics.ClientGone, "odd", ""} {
				m.Request(metrics.Seen{Route: route, Status: status, Outcome: outcome})
			}
		}
	}
	requests := 0
	for name := range scrape(t, m) {
		if strings.HasPrefix(name, "keyshield_requests_total") {
			requests++
		}
	}
	if most := (len(routes) + 1) * 5 * 5; requests > most {
		t.Errorf("%d series of requests, want at most %d", requests, most)
	}
}

func TestNumbersThatCannotBeDoNotPanic(t *testing.T) {
	m := metrics.New(options())
	for _, n := range []int64{-1, math.MinInt64, math.MaxInt64} {
		m.Request(metrics.Seen{
			Status: int(n), Model: "gpt-6-luna", Tokens: metrics.Tokens{Input: n, Cached: -n, Output: n, Reasoning: math.MinInt64},
			Cost: money.USD(n), AtCeiling: money.USD(n), Took: time.Duration(n), FirstToken: time.Duration(n), Upstream: time.Duration(n), Stream: true,
		})
	}
	scrape(t, m).want(t, series{`keyshield_request_seconds_count{route="other"}`: 3})
}

func TestBothFormatsAreSpoken(t *testing.T) {
	m := metrics.New(options())
	m.Request(answered())
	for accept, want := range map[string]string{
		"":           "text/plain; version=0.0.4",
		"text/plain": "text/plain; version=0.0.4",
		"application/openmetrics-text; version=1.0.0": "application/openmetrics-text; version=1.0.0",
	} {
		body, contentType := get(t, m, accept)
		if !strings.HasPrefix(contentType, want) {
			t.Errorf("Accept %q: Content-Type %q, want %q", accept, contentType, want)
		}
		if eof := strings.HasSuffix(body, "# EOF\n"); eof != strings.HasPrefix(want, "application/openmetrics") {
			t.Errorf("Accept %q: ends with # EOF: %v", accept, eof)
		}
		if !strings.Contains(body, `keyshield_requests_total{class="2xx",outcome="ok",route="/api/generate-text"} 1`) {
			t.Errorf("Accept %q: the request is not in\n%s", accept, body)
		}
	}
}

func TestNamesAndHelpAreAsPrometheusWantsThem(t *testing.T) {
	text, _ := get(t, metrics.New(options()), "text/plain")
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The names are read by other people's dashboards: changing one is a change that
// operators must hear of.
func TestEverySeriesKeepsItsName(t *testing.T) {
	text, _ := get(t, metrics.New(options()), "text/plain")
	got := map[string]string{}
	for name, family := range families(t, text) {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			var labels []string
			for _, l := range family.Metric[0].Label {
				labels = append(labels, l.GetName())
			}
			got[name] = strings.ToLower(family.GetType().String()) + " " + strings.Join(labels, ",")
		}
	}
	want := map[string]string{
		"keyshield_requests_total":      "counter class,outcome,route",
		"keyshield_refusals_total":      "counter code",
		"keyshield_request_seconds":     "histogram route",
		"keyshield_first_token_seconds": "histogram ",
		"keyshield_added_seconds":       "histogram ",
		"keyshield_tokens_total":        "counter kind,model",
		"keyshield_cost_dollars_total":  "counter model,proof",
		"keyshield_alarms_total":        "counter signal",
		"keyshield_build_info":          "gauge version",

		"keyshield_budget_dollars":      "gauge what,window",
		"keyshield_holds_open":          "gauge ",
		"keyshield_scrape_ok":           "gauge part",
		"keyshield_streams_open":        "gauge ",
		"keyshield_requests_in_flight":  "gauge ",
		"keyshield_limiter_keys":        "gauge limiter",
		"keyshield_breaker_state":       "gauge ",
		"keyshield_keys":                "gauge state",
		"keyshield_key_age_seconds":     "gauge ",
		"keyshield_keys_info":           "gauge fingerprint,source,state",
		"keyshield_ledger_healthy":      "gauge ",
		"keyshield_audit_healthy":       "gauge ",
		"keyshield_audit_records_total": "counter ",
		"keyshield_audit_lost_total":    "counter ",
		"keyshield_alerts_sent_total":   "counter receiver,result",
		"keyshield_switches":            "gauge what",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestOtherServersShareNothing(t *testing.T) {
	a, b := metrics.New(options()), metrics.New(options()) // with a common registry the second would panic
	a.Request(answered())
	scrape(t, b).want(t, series{`keyshield_requests_total{class="2xx",outcome="ok",route="/api/generate-text"}`: 0})
}

func TestManyCountAtOnce(t *testing.T) {
	m := metrics.New(options())
	const each = 500
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := range each {
				s := answered()
				s.Status = 200 + i%400 // makes series while others make them too
				m.Request(s)
			}
		})
	}
	all.Go(func() { scrape(t, m) })
	all.Wait()
	found := scrape(t, m)
	found.want(t, series{`keyshield_cost_dollars_total{model="gpt-6-luna",proof="proven"}`: 16 * each * 0.025})
	var sum float64
	for name, value := range found {
		if strings.HasPrefix(name, "keyshield_requests_total") {
			sum += value
		}
	}
	if sum != 16*each {
		t.Errorf("%v requests counted, want %d", sum, 16*each)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := metrics.New(options())
	for name, s := range map[string]metrics.Seen{"answered": answered(), "refused": refused("rate_limited"), "odd": {Route: "/odd", Code: "odd", Model: "odd"}} {
		if n := testing.AllocsPerRun(100, func() { m.Request(s) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	m := metrics.New(options())
	s := answered()
	b.ReportAllocs()
	for b.Loop() {
		m.Request(s)
	}
}

func BenchmarkRequestInParallel(b *testing.B) {
	m := metrics.New(options())
	s := answered()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Request(s)
		}
	})
}
