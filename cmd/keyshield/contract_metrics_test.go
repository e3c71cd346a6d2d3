package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scrape is what Prometheus reads: the value of each series.
func (o *operated) scrape() map[string]string {
	o.t.Helper()
	got := o.visit("GET", "/metrics", "", "Authorization: Bearer "+adminToken)
	if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
		o.t.Fatalf("/metrics answers %d %s: %.300s", got.status, got.header.Get("Content-Type"), got.body)
	}
	all := map[string]string{}
	for line := range strings.Lines(got.body) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok {
			all[series+"}"] = value
		} else if series, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && series != "#" {
			all[series] = value
		}
	}
	return all
}

func TestMetricsAreForTheOperatorAlone(t *testing.T) {
	t.Parallel()
	o := operate(t)
	o.ask("hi").wants200(t, jsonForm)
	for _, headers := range [][]string{nil, {"Authorization: Bearer " + o.token("ana")}, {"Accept: application/openmetrics-text"}, {"X-Forwarded-For: 127.0.0.1"}} {
		o.visit("GET", "/metrics", "", headers...).wants(t, 404, "not_found")
	}
	series := o.scrape()
	for name, want := range map[string]string{
		`keyshield_requests_total{class="2xx",outcome="ok",route="/api/generate-text"}`: "1",
		`keyshield_refusals_total{code="not_found"}`:                                    "4",
		`keyshield_refusals_total{code="rate_limited"}`:                                 "0",
	} {
		if series[name] != want {
			t.Errorf("%s is %q, want %s", name, series[name], want)
		}
	}
	if series[`keyshield_cost_dollars_total{model="gpt-6-luna",proof="proven"}`] == "0" {
		t.Error("a call that was paid for counts nothing")
	}
}

// TestWhatIsStoppedIsScraped: the rule KeyshieldPaused goes by it.
func TestWhatIsStoppedIsScraped(t *testing.T) {
	t.Parallel()
	o := operate(t)
	o.ask("hi").wants200(t, jsonForm)
	o.does("disable", `{"user":"ana"}`)
	o.does("disable", `{"everything":true}`)
	series := o.scrape()
	for what, want := range map[string]string{"users": "1", "models": "0", "everything": "1"} {
		if got := series[`keyshield_switches{what="`+what+`"}`]; got != want {
			t.Errorf("of %s %q are stopped, want %s", what, got, want)
		}
	}
}

// TestDrillNothingAClientSendsMakesASeries: 10,000 odd paths, methods, users, models and
// codes, each of them another one.
func TestDrillNothingAClientSendsMakesASeries(t *testing.T) {
	t.Parallel()
	o := operate(t, append(openV1(), "LOG_LEVEL=error", "HOST=127.0.0.1", "PORT="+freePort(t), "AUTO_DISABLE=off")...)
	before := o.askOddly(64)
	after := o.askOddly(many(10_000))
	grown := 0
	for series := range after {
		if _, there := before[series]; there {
			continue
		}
		if grown++; strings.Contains(strings.ToLower(series), "zzq") {
			t.Errorf("a client has made the series %s", series)
		}
	}
	if grown > 20 { // of a machine that is too slow for the ledger, say
		t.Errorf("%d series became %d", len(before), len(after))
	}
	if refused := after[`keyshield_refusals_total{code="unknown_field"}`]; len(after) < 100 || len(refused) < 3 {
		t.Errorf("of %d series, that of unknown members is at %q: this shows nothing", len(after), refused)
	}
}

// askOddly asks n times, each time for something else, and reads the series then.
func (o *operated) askOddly(n int) map[string]string {
	o.t.Helper()
	get := func(path string, headers ...string) string {
		return "GET " + path + " HTTP/1.1\r\n" + strings.Join(append(headers, "Host: x"), "\r\n") + "\r\n\r\n"
	}
	o.inLines(n, 8, func(i int) string {
		mark := fmt.Sprintf("zzq%d-%d", n, i)
		user := "Authorization: Bearer " + o.token(mark)
		switch i / 8 % 8 { // each line of requests has them all
		case 0:
			return get("/" + mark)
		case 1:
			return strings.Replace(get("/api/generate-text"), "GET", "ZZQ"+strings.Repeat("X", i%500), 1)
		case 2:
			return get("/v1/models/"+mark, user)
		case 3:
			return rawPost("/v1/chat/completions", `{"model":"`+mark+`","messages":[{"role":"user","content":"hi"}]}`, user)
		case 4:
			return rawPost("/v1/chat/completions", `{"`+mark+`":1}`, user)
		case 5:
			return get("/api/usage/me?"+mark+"=1", user, "X-Request-Id: "+mark)
		case 6:
			return rawPost("/api/generate-text/"+mark, promptBody("hi"), user, "Origin: https://"+mark+".example")
		}
		return rawPost("/api/generate-text", `{"userPrompt":""}`, user, "User-Agent: "+mark, "X-Forwarded-For: "+mark)
	}, func(i int, got reply) {
		if got.status >= 500 {
			o.t.Errorf("request %d: %d %s", i, got.status, got.body)
		}
	})
	return o.scrape()
}

// TestDeployedNamesAreThere: each series that the dashboard or a rule names exists
// once a server has done something.
func TestDeployedNamesAreThere(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	o := operate(t, "ALERT_SLACK_URL="+in.address())
	o.ask("hi").wants200(t, jsonForm)
	o.ask("hi", "Accept: text/event-stream")
	there := map[string]bool{}
	for series := range o.scrape() {
		name, _, _ := strings.Cut(series, "{")
		there[name] = true
	}
	name := regexp.MustCompile(`\b(keyshield|go|process)_[a-z_]+[a-z]\b`)
	for _, file := range []string{"grafana/keyshield.json", "prometheus/alerts.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		named := name.FindAllString(string(text), -1)
		if len(named) < 10 {
			t.Errorf("%s names %d series: does this test still understand it?", file, len(named))
		}
		slices.Sort(named)
		for _, series := range slices.Compact(named) {
			if !there[series] {
				t.Errorf("%s names %s, which is not there", file, series)
			}
		}
	}
}
