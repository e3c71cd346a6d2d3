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
