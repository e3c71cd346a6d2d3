package sim_test

import (
	"strings"
	"testing"

	openai "github.com/sashabaranov/go-openai"

	"keyshield/internal/sim"
)

func TestModerationsAreGolden(t *testing.T) {
	w := start(t, sim.Options{})
	golden(t, w, "moderation", "/v1/moderations", `{"input":[{"type":"text","text":"[[sim flagged=self-harm/intent]]"},{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}`)
}

func TestModerationsFlagAsToldAndAreFree(t *testing.T) {
	w := start(t, sim.Options{})
	ask := func(body string) answer {
		t.Helper()
		a := w.post(t, "/v1/moderations", body)
		if a.status != 200 {
			t.Fatalf("%s: got %d %s", body, a.status, a.body)
		}
		return a
	}
	if got := ask(`{"input":"harmless"}`).body; strings.Contains(got, ": true") || !strings.Contains(got, `"model": "omni-moderation-latest"`) {
		t.Errorf("got %s, want nothing flagged", got)
	}
	got := ask(`{"model":"omni-moderation-2024-09-26","input":["[[sim flagged=hate/threatening]] x","y"]}`).body
	if strings.Count(got, `"flagged"`) != 2 || strings.Count(got, `"flagged": true`) != 1 || strings.Count(got, `"hate/threatening": true`) != 1 || strings.Count(got, ": true") != 2 {
		t.Errorf("got %s, want one category of the first of two results flagged", got)
	}
	if r := w.Report(); r.BillNano != 0 || r.TokensIn != 0 || r.Completed != 2 {
		t.Errorf("got %+v, want two calls that cost nothing", r)
	}
	result, err := client(w).Moderations(t.Context(), openai.ModerationRequest{Input: "[[sim flagged=violence]]", Model: openai.ModerationOmniLatest})
	if err != nil || len(result.Results) != 1 || !result.Results[0].Flagged || !result.Results[0].Categories.Violence || result.Results[0].CategoryScores.Violence < 0.9 {
		t.Errorf("go-openai got %+v, %v; want violence", result, err)
	}
}

func TestModerationsRefuseWhatOpenAIRefuses(t *testing.T) {
	w := start(t, sim.Options{})
	for _, c := range []struct {
		body  string
		param any
		want  string
	}{
		{`{}`, "input", "Missing"},
		{`{"input":3}`, "input", "array of objects"},
		{`{"input":[]}`, "input", "empty array"},
		{`{"input":["a",{"type":"text","text":"b"}]}`, "input[0]", "an object"},
		{`{"input":[{"type":"text","txt":"b"}]}`, "input[0].txt", "Unknown"},
		{`{"input":[{"type":"image_url"}]}`, "input[0].type", "'image_url'"},
		{`{"input":"a","user":"b"}`, "user", "Unknown"},
		{`{"input":"a","model":"gpt-4o"}`, "model", "'model' = gpt-4o"},
		{`{"input":"[[sim flagged=boredom]]"}`, "input", "flagged=boredom"},
		{`{"input":"[[sim usage=null]]"}`, "input", "usage needs"},
	} {
		got := w.post(t, "/v1/moderations", c.body)
		if e := envelope(t, got.body); got.status != 400 || e["param"] != c.param || !strings.Contains(e["message"].(string), c.want) {
			t.Errorf("%s: got %d %v, want param %v and %q", c.body, got.status, e, c.param, c.want)
		}
	}
}
