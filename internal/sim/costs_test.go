package sim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// costs asks for the costs of an organisation, page by page.
func costs(t *testing.T, url, key, query string) (days []map[string]float64) {
	t.Helper()
	page := ""
	for {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/organization/costs?"+query+page, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Data []struct {
				Results []struct {
					Amount struct {
						Value    float64
						Currency string
					}
					Project *string `json:"project_id"`
				}
			}
			Next *string `json:"next_page"`
		}
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("costs?%s: %s", query+page, resp.Status)
		}
		err = json.NewDecoder(resp.Body).Decode(&got)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, bucket := range got.Data {
			day := map[string]float64{}
			for _, r := range bucket.Results {
				name := "all"
				if r.Project != nil {
					name = *r.Project
				}
				day[name] += r.Amount.Value
			}
			days = append(days, day)
		}
		if got.Next == nil {
			return days
		}
		page = "&page=" + *got.Next
	}
}

func TestCostsAreTheBillByDayAndProject(t *testing.T) {
	t.Parallel()
	s := sim.New(sim.Options{AdminKey: "the-admins"})
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	post := func(path, body, project string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL+path, strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer any")
		req.Header.Set("OpenAI-Project", project)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", path, resp.Status)
		}
	}
	const ask = `{"model":"gpt-6-luna","messages":[{"role":"user","content":"hello"}]}`
	post("/v1/chat/completions", ask, "proj_a")
	post("/v1/chat/completions", ask, "proj_a")
	post("/v1/chat/completions", ask, "")
	today := time.Now().UTC()
	post("/_sim/costs", fmt.Sprintf(`[{"day":%q,"project":"proj_a","nano":2500000000}]`, today.AddDate(0, 0, -9).Format(time.DateOnly)), "")
	bill := float64(s.Report().BillNano) / 1e9

	from := fmt.Sprintf("start_time=%d", today.AddDate(0, 0, -9).Unix())
	days := costs(t, web.URL, "the-admins", from+"&limit=4")
	if len(days) != 10 || days[0]["all"] != 2.5 || len(days[1]) != 0 || days[9]["all"] != bill {
		t.Errorf("in pages: %v, want 2.5 on the first of ten days and %v on the last", days, bill)
	}
	if one := costs(t, web.URL, "the-admins", from+"&limit=180&project_ids[]=proj_a&group_by[]=project_id"); one[0]["proj_a"] != 2.5 || one[9]["proj_a"] <= 0 || one[9]["proj_a"] >= bill {
		t.Errorf("of one project: %v", one)
	}
	for query, key := range map[string]string{from: "another", "limit=1": "the-admins", from + "&limit=0": "the-admins", from + "&bucket_width=1h": "the-admins"} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/v1/organization/costs?"+query, nil)
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("costs?%s with %s: %s", query, key, resp.Status)
		}
	}
}

func TestKeysAreRevokedAndCome(t *testing.T) {
	t.Parallel()
	s := sim.New(sim.Options{Key: "first"})
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	status := func(key string) int {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/v1/models", nil)
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if status("first") != 200 || status("second") != 401 {
		t.Error("the first key is not the only one")
	}
	resp, err := http.Post(web.URL+"/_sim/keys", "application/json", strings.NewReader(`{"accept":["second","third"]}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if status("first") != 401 || status("second") != 200 || status("third") != 200 {
		t.Error("the keys were not exchanged")
	}
	if s.Accept(); status("whatever") != 200 {
		t.Error("no list means any key")
	}
}
