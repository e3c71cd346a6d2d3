package metrics_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/metrics"
	"keyshield/internal/money"
)

func TestStateIsShownAsItIs(t *testing.T) {
	found := scrape(t, metrics.New(options()))
	found.want(t, series{
		`keyshield_budget_dollars{what="cap",window="day"}`:    4,
		`keyshield_budget_dollars{what="used",window="day"}`:   5,
		`keyshield_budget_dollars{what="left",window="day"}`:   0, // never below
		`keyshield_budget_dollars{what="used",window="month"}`: 12.000000001,
		`keyshield_budget_dollars{what="open",window="month"}`: 0.5,
		`keyshield_budget_dollars{what="left",window="month"}`: 7.999999999,
		`keyshield_holds_open`:                                 3,
		`keyshield_requests_in_flight`:                         7,
		`keyshield_streams_open`:                               2,
		`keyshield_breaker_state`:                              2,
		`keyshield_limiter_keys{limiter="address"}`:            11,
		`keyshield_limiter_keys{limiter="user"}`:               5,
		`keyshield_keys{state="active"}`:                       1,
		`keyshield_keys{state="standby"}`:                      0,
		`keyshield_keys{state="quarantined"}`:                  1,
		`keyshield_ledger_healthy`:                             1,
		`keyshield_audit_healthy`:                              0,
		`keyshield_audit_records_total`:                        100,
		`keyshield_audit_lost_total`:                           4,
		`keyshield_switches{what="users"}`:                     2,
		`keyshield_switches{what="models"}`:                    0,
		`keyshield_switches{what="everything"}`:                1,
		`keyshield_scrape_ok{part="books"}`:                    1,
		`keyshield_scrape_ok{part="state"}`:                    1,

		`keyshield_keys_info{fingerprint="sha256:0a1b2c3d",source="env OPENAI_API_KEYS",state="active"}`: 1,
		`keyshield_alerts_sent_total{receiver="slack",result="delivered"}`:                               3,
		`keyshield_alerts_sent_total{receiver="slack",result="failed"}`:                                  1,
		`keyshield_alerts_sent_total{receiver="slack",result="dropped"}`:                                 0,
	})
	if age := found[`keyshield_key_age_seconds`]; age < 3600 || age > 3700 {
		t.Errorf("the active key is %v s old, want an hour", age)
	}
}

// A cap of infinity or of 0 would both raise the wrong alert.
func TestNoCapHasNoSeries(t *testing.T) {
	opts := options()
	opts.Books = func(context.Context) (metrics.Books, error) {
		return metrics.Books{Day: metrics.Account{Cap: -1, Used: money.Dollar}}, nil
	}
	found := scrape(t, metrics.New(opts))
	for _, what := range []string{"cap", "left"} {
		name := `keyshield_budget_dollars{what="` + what + `",window="day"}`
		if value, ok := found[name]; ok {
			t.Errorf("%s = %v, want no such series", name, value)
		}
	}
	found.want(t, series{
		`keyshield_budget_dollars{what="used",window="day"}`:   1,
		`keyshield_budget_dollars{what="left",window="month"}`: 0, // its cap is $0
	})
}

func TestAnAgeThatNobodyKnowsIsNotShown(t *testing.T) {
	opts := options()
	opts.State = func() metrics.State {
		return metrics.State{Keys: []metrics.Key{{Fingerprint: "sha256:00000000", State: "active"}, {State: "standby", Since: time.Unix(0, 0)}}}
	}
	if age, ok := scrape(t, metrics.New(opts))[`keyshield_key_age_seconds`]; ok {
		t.Errorf("age %v, want none", age)
	}
}

func TestServersWithoutSourcesAreScrapedToo(t *testing.T) {
	opts := options()
	opts.Sources = metrics.Sources{}
	found := scrape(t, metrics.New(opts))
	found.want(t, series{`keyshield_build_info{version="v1.2.3"}`: 1})
	if _, ok := found[`keyshield_ledger_healthy`]; ok {
		t.Error("a ledger that nobody asked is said to be healthy or not")
	}
}

// record is a scrape without a network, for bubbles.
func record(m *metrics.Metrics) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w
}

func TestAStuckLedgerHidesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options()
		var calls atomic.Int32
		stuck := make(chan struct{})
		opts.Books = func(context.Context) (metrics.Books, error) { // deaf to its context, as a system call is
			calls.Add(1)
			<-stuck
			return someBooks, nil
		}
		m := metrics.New(opts)
		m.Request(answered())
		for range 100 {
			began := time.Now()
			w := record(m)
			if took := time.Since(began); took >= time.Second {
				t.Fatalf("the scrape took %v, want less than a second", took)
			}
			body := w.Body.String()
			for _, want := range []string{
				`keyshield_ledger_healthy 0`, `keyshield_scrape_ok{part="books"} 0`, `keyshield_scrape_ok{part="state"} 1`,
				`keyshield_streams_open 2`, `keyshield_requests_total{class="2xx",outcome="ok",route="/api/generate-text"} 1`,
			} {
				if !strings.Contains(body, want+"\n") {
					t.Fatalf("%d: no %s in\n%s", w.Code, want, body)
				}
			}
			if strings.Contains(body, "keyshield_budget_dollars{") {
				t.Fatal("a budget is shown that nobody read")
			}
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls are stuck, want 1", n)
		}
		close(stuck)
		synctest.Wait()
		if body := record(m).Body.String(); !strings.Contains(body, "keyshield_ledger_healthy 1\n") || !strings.Contains(body, "keyshield_holds_open 3\n") {
			t.Errorf("the ledger is back, and the scrape does not know:\n%s", body)
		}
	})
}

func TestAStuckStateHidesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options()
		stuck := make(chan struct{})
		opts.State = func() metrics.State { <-stuck; return metrics.State{} }
		body := record(metrics.New(opts)).Body.String()
		if !strings.Contains(body, `keyshield_scrape_ok{part="state"} 0`) || !strings.Contains(body, "keyshield_holds_open 3\n") {
			t.Errorf("want the books and a state that was not read in\n%s", body)
		}
		close(stuck)
	})
}

func TestBooksThatCannotBeReadAreNoHealthyLedger(t *testing.T) {
	for name, books := range map[string]func(context.Context) (metrics.Books, error){
		"error": func(context.Context) (metrics.Books, error) { return metrics.Books{}, errors.New("closed") },
		"panic": func(context.Context) (metrics.Books, error) { panic("bug") },
	} {
		opts := options()
		opts.Books = books
		found := scrape(t, metrics.New(opts))
		found.want(t, series{`keyshield_ledger_healthy`: 0, `keyshield_scrape_ok{part="books"}`: 0})
		for _, unread := range []string{`keyshield_holds_open`, `keyshield_switches{what="everything"}`, `keyshield_switches{what="users"}`} {
			if value, ok := found[unread]; ok {
				t.Errorf("%s: %s is %v, which nobody read", name, unread, value)
			}
		}
	}
}

// A source is a path that an operator wrote; it may hold anything.
func TestHostileLabelsBreakNoScrape(t *testing.T) {
	opts := options()
	opts.Version = "v1\"\n# TYPE x counter\nx 1\n\xff"
	opts.State = func() metrics.State {
		keys := []metrics.Key{
			{Fingerprint: "a\nb 1", Source: strings.Repeat("x", 5000) + "\xff", State: "active"},
			{Fingerprint: "same", State: "active"}, {Fingerprint: "same", State: "active"},
		}
		for range 1000 {
			keys = append(keys, metrics.Key{Fingerprint: "many", State: "standby"})
		}
		return metrics.State{Keys: keys, Limiters: []metrics.Limiter{{Name: "\x00\"}"}}}
	}
	found := scrape(t, metrics.New(opts))
	found.want(t, series{`keyshield_keys{state="standby"}`: 1000, `keyshield_audit_healthy`: 1})
	if _, ok := found["x"]; ok {
		t.Error("a label became a series")
	}
}
