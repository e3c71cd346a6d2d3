package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"keyshield/internal/metrics"
	"keyshield/internal/money"
)

var (
	routes = []string{"/api/generate-text", "/api/ai/chat", "/v1/chat/completions", "/api/usage/me", "/livez"}
	models = []string{"gpt-6-luna", "gpt-6-sol"}
)

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func options() metrics.Options {
	return metrics.Options{
		Version: "v1.2.3", Routes: routes, Models: models, Log: silent(),
		Sources: metrics.Sources{
			Books: func(context.Context) (metrics.Books, error) { return someBooks, nil },
			State: someState,
		},
	}
}

var someBooks = metrics.Books{
	Day:   metrics.Account{Cap: 4 * money.Dollar, Used: 5 * money.Dollar, Open: money.Dollar / 2},
	Month: metrics.Account{Cap: 20 * money.Dollar, Used: 12*money.Dollar + 1, Open: money.Dollar / 2},
	Holds: 3, Stopped: metrics.Stopped{Users: 2, Everything: true},
}

func someState() metrics.State {
	return metrics.State{
		InFlight: 7, Streams: 2, Breaker: metrics.Open,
		Limiters: []metrics.Limiter{{Name: "address", Keys: 11}, {Name: "user", Keys: 5}},
		Keys: []metrics.Key{
			{Fingerprint: "sha256:0a1b2c3d", Source: "env OPENAI_API_KEYS", State: "active", Since: time.Now().Add(-time.Hour)},
			{Fingerprint: "sha256:ffffffff", Source: "env OPENAI_API_KEYS", State: "quarantined"},
		},
		Audit: errors.New("disk full"), AuditRecords: 100, AuditLost: 4,
		Receivers: []metrics.Receiver{{Name: "slack", Delivered: 3, Failed: 1}},
	}
}

// get scrapes m over HTTP.
func get(t *testing.T, m *metrics.Metrics, accept string) (body, contentType string) {
	t.Helper()
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("scrape: %d %v\n%s", resp.StatusCode, err, all)
	}
	return string(all), resp.Header.Get("Content-Type")
}

// series is what one scrape shows: `name{label="value",…}` → value, a histogram
// as its count and sum.
type series map[string]float64

func scrape(t *testing.T, m *metrics.Metrics) series {
	t.Helper()
	text, _ := get(t, m, "text/plain")
	found := series{}
	for _, family := range families(t, text) {
		for _, metric := range family.Metric {
			name, suffix := family.GetName(), labelsOf(metric)
			if h := metric.Histogram; h != nil {
				found[name+"_count"+suffix], found[name+"_sum"+suffix] = float64(h.GetSampleCount()), h.GetSampleSum()
				continue
			}
			found[name+suffix] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetUntyped().GetValue()
		}
	}
	return found
}

func families(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("the scrape does not parse: %v\n%s", err, text)
	}
	return all
}

func labelsOf(metric *dto.Metric) string {
	var pairs []string
	for _, l := range metric.Label {
		pairs = append(pairs, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if pairs == nil {
		return ""
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// want compares some series of found.
func (found series) want(t *testing.T, want series) {
	t.Helper()
	for name, value := range want {
		if got, ok := found[name]; !ok || !near(got, value) {
			t.Errorf("%s = %v (there: %v), want %v", name, got, ok, value)
		}
	}
}

func near(a, b float64) bool { return a-b < 1e-10 && b-a < 1e-10 }
