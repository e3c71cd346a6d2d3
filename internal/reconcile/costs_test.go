package reconcile_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/reconcile"
	"keyshield/internal/secret"
)

const adminKey = "test-admin-key-Zq8fT3mWx1"

func TestCostsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	asked := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		q := r.URL.Query()
		if r.URL.Path != "/v1/organization/costs" || r.Header.Get("Authorization") != "Bearer "+adminKey || q.Get("project_ids[]") != "proj_a" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if q.Get("page") == "" {
			fmt.Fprintf(w, `{"object":"page","data":[{"object":"bucket","start_time":%s,"results":[{"amount":{"value":0.5,"currency":"usd"}},{"amount":{"value":0.25,"currency":"usd"}}]}],"has_more":true,"next_page":"2"}`, q.Get("start_time"))
			return
		}
		fmt.Fprint(w, `{"object":"page","data":[{"start_time":1764028800,"results":[]}],"has_more":false,"next_page":null}`)
	}))
	t.Cleanup(web.Close)
	from := time.Date(2025, 11, 24, 13, 0, 0, 0, time.UTC)
	days, err := reconcile.Books{BaseURL: web.URL + "/v1/", AdminKey: secret.New(adminKey), Project: "proj_a"}.Costs(t.Context(), from)
	if err != nil || len(days) != 2 || asked != 2 || days[0].Amount != money.Dollar*3/4 || !days[0].Start.Equal(from.Truncate(24*time.Hour)) {
		t.Errorf("after %d questions: %+v, %v", asked, days, err)
	}
}

// No error holds the key, or a byte that OpenAI said: its 401 repeats the key's ends.
func TestErrorsTellNothing(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the key followed a redirect") }))
	t.Cleanup(elsewhere.Close)
	for name, answer := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			fmt.Fprint(w, "wrong key: "+adminKey)
		},
		"broken":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, "oops "+adminKey) },
		"rubbish":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>"+adminKey) },
		"huge":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(adminKey, 1<<18)) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"another sum": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"object":"page","data":[{"results":[{"amount":{"value":1,"currency":"eur"}}]}]}`)
		},
		"no end": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"object":"page","data":[],"has_more":true,"next_page":"again"}`)
		},
		"no such project": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			fmt.Fprint(w, "not with "+adminKey)
		},
	} {
		web := httptest.NewServer(answer)
		days, err := reconcile.Books{BaseURL: web.URL, AdminKey: secret.New(adminKey), Project: "p"}.Costs(context.Background(), time.Now())
		web.Close()
		if err == nil || strings.Contains(err.Error(), "test-admin") {
			t.Errorf("%s: %v, %v", name, days, err)
		}
	}
}

// A page that breaks off must not be taken for the end of the books: what is missing
// would look as if nothing had been billed.
func TestBooksThatBreakOffAreNoEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ page, told string }{
		"more, at no page":      {`{"object":"page","data":[],"has_more":true,"next_page":null}`, "break off"},
		"more, at an empty one": {`{"object":"page","data":[],"has_more":true,"next_page":""}`, "break off"},
		"more, unsaid where":    {`{"object":"page","data":[],"has_more":true}`, "break off"},
		"unsaid whether more":   {`{"object":"page","data":[]}`, "cannot be read"},
		"no days":               {`{"object":"page","has_more":false,"next_page":null}`, "cannot be read"},
		"no days but null":      {`{"object":"page","data":null,"has_more":false}`, "cannot be read"},
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.page) }))
		days, err := reconcile.Books{BaseURL: web.URL, AdminKey: secret.New(adminKey), Project: "p"}.Costs(t.Context(), time.Now())
		web.Close()
		if err == nil || !strings.Contains(err.Error(), c.told) {
			t.Errorf("%s: %v, %v; want an error with %q", name, days, err, c.told)
		}
	}
}

// Waiting helps against an outage, and not against a question that is wrong.
func TestOnlyWhatPassesIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	for status, told := range map[int]string{
		400: `project "proj_typo": is --project (or OPENAI_PROJECT) right`, 404: "and OPENAI_BASE_URL?",
		429: "try again later", 500: "try again later", 503: "try again later", 401: "admin key",
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		_, err := reconcile.Books{BaseURL: web.URL, AdminKey: secret.New(adminKey), Project: "proj_typo"}.Costs(t.Context(), time.Now())
		web.Close()
		if err == nil || !strings.Contains(err.Error(), told) || strings.Contains(err.Error(), "later") != (told == "try again later") {
			t.Errorf("%d: %v, want %q", status, err, told)
		}
	}
}
