package policy_test

import (
	"slices"
	"testing"
	"time"

	"keyshield/internal/policy"
)

func TestLookupKnowsExactIDsAndDatedSnapshotsOnly(t *testing.T) {
	known := []string{
		"gpt-3.5-turbo", "gpt-4o", "gpt-4o-2024-11-20", "gpt-4o-mini-2024-07-18", "gpt-4.1-2025-04-14",
		"o3", "o3-2025-04-16", "gpt-5-mini", "gpt-5.4-nano-2026-03-17", "gpt-5.6", "gpt-6-luna", "gpt-6-luna-2026-09-22",
	}
	for _, id := range known {
		m, ok := policy.Lookup(id)
		if !ok || m.ID != id {
			t.Errorf("Lookup(%q) = %q, %v; want it found under its own id", id, m.ID, ok)
		}
	}

	unknown := []string{
		"", "gpt", "GPT-4o", "gpt-4o ", "-2024-11-20", "2024-11-20",
		"gpt-4o-2024-13-20", "gpt-4o-2024-02-30", "gpt-4o-20241120", "gpt-4o-2024-11-20-x", "gpt-4o-2024-11-20-2024-11-20",
		"gpt-4o-latest", "chatgpt-4o-latest", "gpt-5-chat-latest", "gpt-5-pro", "o1-pro", "o3-deep-research",
		"gpt-4o-search-preview", "gpt-4o-audio-preview", "gpt-realtime", "gpt-image-1", "gpt-5.1-codex",
		"ft:gpt-4o-2024-08-06:acme::x", "omni-moderation-latest", "gpt-6.1-sol", "claude-opus",
	}
	for _, id := range unknown {
		if m, ok := policy.Lookup(id); ok {
			t.Errorf("Lookup(%q) found %q; a model must never be guessed from its name", id, m.ID)
		}
	}
}

// TestOwnEntryOfASnapshotWins: gpt-4o's first snapshot is gone, gpt-4o is not.
func TestOwnEntryOfASnapshotWins(t *testing.T) {
	first, _ := policy.Lookup("gpt-4o-2024-05-13")
	second, _ := policy.Lookup("gpt-4o-2024-11-20")
	november := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	if !first.RetiredBy(november) || second.RetiredBy(november) {
		t.Errorf("retired in November 2026: gpt-4o-2024-05-13 %v (want true), gpt-4o-2024-11-20 %v (want false)",
			first.RetiredBy(november), second.RetiredBy(november))
	}
}

func TestEffortIsSentOnlyWhereTaken(t *testing.T) {
	for _, tc := range []struct {
		id     string
		takes  []string
		others []string
	}{
		{"gpt-4o", nil, []string{"", "none", "low"}},
		{"o3", []string{"low", "medium", "high"}, []string{"none", "minimal", "xhigh", "max"}},
		{"gpt-5", []string{"minimal", "low", "medium", "high"}, []string{"none", "xhigh"}},
		{"gpt-5.1", []string{"none", "low", "medium", "high"}, []string{"minimal", "xhigh"}},
		{"gpt-6-luna", []string{"none", "low", "medium", "high", "xhigh"}, []string{"", "minimal", "max", "None"}},
		{"gpt-6-astra", []string{"low", "medium", "high", "xhigh"}, []string{"none", "minimal", "max"}},
	} {
		m, _ := policy.Lookup(tc.id)
		for _, e := range tc.takes {
			if !m.TakesEffort(e) {
				t.Errorf("%s.TakesEffort(%q) = false, want true", tc.id, e)
			}
		}
		for _, e := range tc.others {
			if m.TakesEffort(e) {
				t.Errorf("%s.TakesEffort(%q) = true, want false: OpenAI answers 400", tc.id, e)
			}
		}
	}
	if (policy.Model{}).TakesEffort("none") {
		t.Error("a model nobody knows takes an effort")
	}
}

// TestMaxEffortIsForResponsesOnly: on chat completions OpenAI answers 400.
func TestMaxEffortIsForResponsesOnly(t *testing.T) {
	for id, want := range map[string][]string{
		"gpt-4o": nil, "o3": {"low", "medium", "high"}, "gpt-5.5": {"none", "low", "medium", "high", "xhigh"},
		"gpt-5.6-terra": {"none", "low", "medium", "high", "xhigh", "max"},
		"gpt-6-luna":    {"none", "low", "medium", "high", "xhigh", "max"},
		"gpt-6-astra":   {"low", "medium", "high", "xhigh", "max"},
	} {
		m, _ := policy.Lookup(id)
		if got := m.EffortsOn(policy.Responses); !slices.Equal(got, want) {
			t.Errorf("%s on responses takes %q, want %q", id, got, want)
		}
		if got := m.EffortsOn(policy.Chat); !slices.Equal(got, m.Efforts) || slices.Contains(got, "max") {
			t.Errorf("%s on chat takes %q, want %q without max", id, got, m.Efforts)
		}
	}
}

func TestToolsGoWithEffortNoneOnChat(t *testing.T) {
	for _, tc := range []struct {
		id, effort string
		chat       bool
	}{
		{"gpt-4o", "", true}, {"o3", "high", true}, {"gpt-5", "low", true}, {"gpt-5.4", "none", true}, {"gpt-5.4-mini", "low", false},
		{"gpt-6-luna", "none", true}, {"gpt-6-luna", "low", false}, {"gpt-6-sol", "", false}, {"gpt-6-astra", "low", false},
	} {
		m, _ := policy.Lookup(tc.id)
		if got := m.TakesTools(policy.Chat, tc.effort); got != tc.chat {
			t.Errorf("%s with effort %q takes tools on chat: %v, want %v", tc.id, tc.effort, got, tc.chat)
		}
		if !m.TakesTools(policy.Responses, tc.effort) {
			t.Errorf("%s with effort %q takes no tools on responses", tc.id, tc.effort)
		}
	}
}

// TestEveryEmbeddingHasItsLength: what bounds an answer must not be missing for a
// model that may be asked.
func TestEveryEmbeddingHasItsLength(t *testing.T) {
	for id, want := range map[string]int{
		"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536, "text-embedding-ada-002-v2": 1536,
	} {
		if got, ok := policy.Dimensions(id); !ok || got != want {
			t.Errorf("%s: %d, %v; want %d", id, got, ok, want)
		}
	}
	reviewed := policy.Priced(policy.Reviewed(), policy.Embeddings)
	if len(reviewed) == 0 {
		t.Fatal("no model has a price for embeddings")
	}
	for _, id := range reviewed {
		if _, ok := policy.Dimensions(id); !ok {
			t.Errorf("%s has a price and no length", id)
		}
	}
	for _, id := range []string{"", "gpt-6-luna", "text-embedding-3-small-2024-01-25", "text-embedding-4"} {
		if n, ok := policy.Dimensions(id); ok || n != 0 {
			t.Errorf("the length of %q is guessed: %d", id, n)
		}
	}
}

// TestDefaultModelNeedNotReason: what the defaults promise stands on this.
func TestDefaultModelNeedNotReason(t *testing.T) {
	m, ok := policy.Lookup("gpt-6-luna")
	if !ok || !m.Reasons || !m.TakesEffort("none") || m.MaxTokens || !m.Retires.IsZero() {
		t.Errorf("gpt-6-luna = %+v, want a reasoning model that can be told not to, and no retirement", m)
	}
}

func TestTableIsConsistent(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range policy.Models() {
		if seen[m.ID] {
			t.Errorf("%s is listed twice", m.ID)
		}
		seen[m.ID] = true
		if m.Reasons != (len(m.Efforts) > 0) {
			t.Errorf("%s: reasons %v, but efforts %v", m.ID, m.Reasons, m.Efforts)
		}
		if m.Reasons && m.Temperature != m.TakesEffort("none") {
			t.Errorf("%s takes temperature %v, and effort none %v: temperature goes with not reasoning", m.ID, m.Temperature, m.TakesEffort("none"))
		}
		if m.Reasons && m.MaxTokens {
			t.Errorf("%s reasons and wants max_tokens; no reasoning model takes that", m.ID)
		}
		if (m.Max || m.ToolsNeedNone) && !m.TakesEffort("xhigh") {
			t.Errorf("%s is older than xhigh, and has max %v, tools only with none %v", m.ID, m.Max, m.ToolsNeedNone)
		}
	}
}

func TestTableCannotBeChangedThroughAModel(t *testing.T) {
	m, _ := policy.Lookup("gpt-6-luna")
	m.Efforts[0] = "changed"
	again, _ := policy.Lookup("gpt-6-luna")
	if slices.Contains(again.Efforts, "changed") {
		t.Error("a caller changed everyone's table")
	}
}

func TestRetiresAtTheStartOfItsDay(t *testing.T) {
	m, _ := policy.Lookup("gpt-5")
	midnight := time.Date(2026, 12, 11, 0, 0, 0, 0, time.UTC)
	if m.RetiredBy(midnight.Add(-time.Second)) || !m.RetiredBy(midnight) {
		t.Error("gpt-5 must count as retired from 2026-12-11 00:00 UTC on")
	}
	if luna, _ := policy.Lookup("gpt-6-luna"); luna.RetiredBy(midnight.AddDate(50, 0, 0)) {
		t.Error("no announced retirement must never be a retirement")
	}
}
