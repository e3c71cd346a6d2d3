package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// loadModel loads settings of the text API alone, at a time.
func loadModel(t *testing.T, now time.Time, env ...string) *Loaded {
	t.Helper()
	l := &Loaded{Sources: map[string]Source{}, mode: Serve}
	in := l.gather(env, t.TempDir())
	l.parse(in)
	l.checkText()
	l.checkModel(now)
	return l
}

func TestModelIsAskedOnlyForWhatItTakes(t *testing.T) {
	for _, tc := range []struct {
		env  string
		want []string
	}{
		{"", nil},
		{"TEMPERATURE=0.5", nil},
		{"OPENAI_MODEL=gpt-4o TEMPERATURE=2 MAX_OUTPUT_TOKENS=1", nil},
		{"OPENAI_MODEL=gpt-4o REASONING_EFFORT=low", []string{"REASONING_EFFORT"}},
		{"REASONING_EFFORT=low MAX_OUTPUT_TOKENS=1024", nil},
		{"REASONING_EFFORT=low MAX_OUTPUT_TOKENS=1023", []string{"MAX_OUTPUT_TOKENS"}},
		{"REASONING_EFFORT=low MAX_OUTPUT_TOKENS=1024 TEMPERATURE=0", []string{"TEMPERATURE"}},
		{"REASONING_EFFORT=xhigh TEMPERATURE=1", []string{"TEMPERATURE", "MAX_OUTPUT_TOKENS"}},
		{"REASONING_EFFORT=minimal MAX_OUTPUT_TOKENS=2000", []string{"REASONING_EFFORT"}},
		{"OPENAI_MODEL=gpt-5", []string{"REASONING_EFFORT", "MAX_OUTPUT_TOKENS"}},
		{"OPENAI_MODEL=gpt-5 REASONING_EFFORT=minimal MAX_OUTPUT_TOKENS=2000", nil},
		{"OPENAI_MODEL=gpt-6-astra TEMPERATURE=1 MAX_OUTPUT_TOKENS=2000", []string{"REASONING_EFFORT", "TEMPERATURE"}},
		{"OPENAI_MODEL=gpt-6-luna-2026-09-22 REASONING_EFFORT=high", []string{"MAX_OUTPUT_TOKENS"}},
		{"OPENAI_MODEL=my-own TEMPERATURE=1", nil},
		{"OPENAI_MODEL=my-own REASONING_EFFORT=low", []string{"REASONING_EFFORT"}},
	} {
		l := loadModel(t, time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), strings.Fields(tc.env)...)
		var got []string
		for _, p := range l.Problems {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%q: problems with %v, want %v: %+v", tc.env, got, tc.want, l.Problems)
		}
		mended := strings.Fields(tc.env)
		for _, p := range l.Problems {
			mended = append([]string{p.Fix}, mended...) // the first of a name counts
		}
		if again := loadModel(t, time.Now(), mended...); len(again.Problems) > 0 {
			t.Errorf("%q: after writing what was proposed, %q: %+v", tc.env, mended, again.Problems)
		}
	}
}

func TestRetiringAndUnknownModelsAreWarnedOf(t *testing.T) {
	before := time.Date(2027, 1, 13, 23, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		model string
		now   time.Time
		want  string
	}{
		{"gpt-6-luna", before, ""},
		{"gpt-4o", before, "will be retired by OpenAI on 2027-01-14"},
		{"gpt-4o", before.Add(time.Hour), "was retired by OpenAI on 2027-01-14"},
		{"gpt-3.5-turbo", before, "was retired by OpenAI on 2026-10-23"},
		{"gpt-7-unheard-of", before, "not among the models known here"},
	} {
		l := loadModel(t, tc.now, "OPENAI_MODEL="+tc.model)
		if len(l.Problems) > 0 {
			t.Errorf("%s: %+v", tc.model, l.Problems)
		}
		if (tc.want == "") != (len(l.Warnings) == 0) || tc.want != "" && !strings.Contains(l.Warnings[0], tc.want) {
			t.Errorf("%s on %s: warnings %q, want %q", tc.model, tc.now.Format(time.DateOnly), l.Warnings, tc.want)
		}
	}
}

func TestModelThatLooksLikeAKeyIsNotShown(t *testing.T) {
	const pasted = "sk-" + "Qm4vXk27Qm4vXk27Qm4vXk27"
	l := loadModel(t, time.Now(), "OPENAI_MODEL="+pasted)
	if len(l.Problems) != 1 || len(l.Warnings) != 0 || strings.Contains(l.Problems[0].Text, pasted) {
		t.Errorf("%+v %v", l.Problems, l.Warnings)
	}
}
