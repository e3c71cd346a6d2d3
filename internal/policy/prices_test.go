package policy_test

import (
	"errors"
	"testing"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/wire"
)

// today is long after every change of prices in the table.
var today = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestEveryModelThatCanBeAskedHasAPrice(t *testing.T) {
	prices := policy.Reviewed()
	for _, m := range policy.Models() {
		for _, kind := range []policy.Kind{policy.Chat, policy.Responses} {
			if !prices.Knows(m.ID, kind) {
				t.Errorf("%s has no price for %s", m.ID, kind)
			}
		}
	}
}

func TestOnlyReviewedModelsHaveAPrice(t *testing.T) {
	prices := policy.Reviewed()
	for _, k := range []struct {
		kind policy.Kind
		ids  []string
	}{
		{policy.Chat, []string{"gpt-6-luna", "gpt-6-luna-2026-09-22", "gpt-5.6-sol-2026-07-09", "gpt-4o-2024-08-06", "gpt-4-0613", "gpt-3.5-turbo-0125", "o3-2025-04-16"}},
		{policy.Responses, []string{"gpt-6-luna", "gpt-4o", "o3"}},
		{policy.Embeddings, []string{"text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"}},
		{policy.Moderations, []string{"omni-moderation-latest", "omni-moderation-2024-09-26"}},
	} {
		for _, id := range k.ids {
			if !prices.Knows(id, k.kind) {
				t.Errorf("%s has no price for %s", id, k.kind)
			}
		}
	}

	none := []string{
		"", "gpt", "GPT-4o", "gpt-4o ", "gpt-4o-2027-01-01", "gpt-6-luna-2026-13-01", "gpt-6-luna-0922", "gpt-6-luna-2026-09-22-x",
		"gpt-6-luna-2026-09-22-2026-09-22", "gpt-6.1-luna", "gpt-4o-latest", "chatgpt-4o-latest", "gpt-5-chat-latest", "gpt-chat-latest",
		"gpt-4o-search-preview", "gpt-4o-mini-search-preview", "o3-deep-research", "gpt-4o-audio-preview", "gpt-realtime", "gpt-image-1",
		"gpt-5-image", "computer-use-preview", "gpt-5-pro", "gpt-5.4-pro", "o1-pro-2025-03-19", "o3-pro", "gpt-5.1-codex", "gpt-oss-120b",
		"ft:gpt-4o-2024-08-06:acme::x", "ft:gpt-4o-mini-2024-07-18:acme:moderation:x", "gpt-4o:extended", "gpt-5-1", "gpt-35-turbo",
		"text-moderation-latest", "my-moderation", "omni-moderation-latest-2026-01-01", "text-embedding-4", "whisper-1",
		"gpt-5-nano-2025-08-07", // the data has it by its beginning only
	}
	for _, kind := range []policy.Kind{policy.Chat, policy.Responses, policy.Embeddings, policy.Moderations, "", "text"} {
		for _, id := range none {
			if prices.Knows(id, kind) {
				t.Errorf("%q has a price for %q: nobody reviewed it", id, kind)
			}
			if c, err := prices.Ceiling(id, kind, policy.Bounds{BodyBytes: 1, OutputLimit: 1}, policy.Same, today); !errors.Is(err, policy.ErrUnpriced) {
				t.Errorf("Ceiling(%q, %q) = %v, %v; want ErrUnpriced", id, kind, c, err)
			}
		}
	}
}

// TestOnlyModerationIsFree: a model that could be asked for nothing elsewhere
// would have no cap.
func TestOnlyModerationIsFree(t *testing.T) {
	prices := policy.Reviewed()
	for _, kind := range []policy.Kind{policy.Chat, policy.Responses, policy.Embeddings} {
		for _, id := range []string{"omni-moderation-latest", "omni-moderation-2024-09-26"} {
			if prices.Knows(id, kind) {
				t.Errorf("%s is free for %s", id, kind)
			}
		}
	}
	c, err := prices.Ceiling("omni-moderation-latest", policy.Moderations, policy.Bounds{BodyBytes: 1 << 20}, policy.Same, today)
	if c != 0 || err != nil {
		t.Errorf("moderation costs %v, %v", c, err)
	}
}

// once is the cost of a million fresh tokens of prompt and a million of answer,
// asked of one model and answered by another.
func once(t *testing.T, prices *policy.Table, asked, answered string, at time.Time) money.USD {
	t.Helper()
	in := cost(t, prices, asked, at, policy.Answer{Model: answered, Usage: wire.Usage{Prompt: 1000}})
	out := cost(t, prices, asked, at, policy.Answer{Model: answered, Usage: wire.Usage{Prompt: 1000, Completion: 1000}}) - in
	return 1000 * (in + out)
}

func cost(t *testing.T, prices *policy.Table, asked string, at time.Time, a policy.Answer) money.USD {
	t.Helper()
	c, err := prices.Cost(asked, policy.Chat, a, policy.Same, at)
	if err != nil {
		t.Fatalf("%s, answered %+v: %v", asked, a, err)
	}
	return c
}

func TestWhoAnsweredDecidesThePrice(t *testing.T) {
	prices := policy.Reviewed()
	for _, tc := range []struct {
		asked, answered string
		cents           money.USD // input and output, per million tokens
	}{
		{"gpt-6-luna", "gpt-6-luna", 60},
		{"gpt-6-luna", "", 60},
		{"gpt-6-luna", "gpt-6-luna-2026-09-22", 60},
		{"gpt-6-luna-2026-09-22", "gpt-6-luna-2026-09-22", 60},
		{"gpt-6-luna", "gpt-6-sol", 1200}, // the dearer of the two
		{"gpt-6-sol", "gpt-6-luna", 1200},
		{"gpt-4o", "gpt-4o-2024-08-06", 1250}, // alias plus date: the snapshot itself
		{"gpt-4o", "gpt-4o-2024-05-13", 2000},
		{"gpt-4o", "gpt-4o-2027-01-01", 2000}, // an unknown snapshot: the dearest known
		{"gpt-4o", "gpt-4o", 2000},            // which one, it did not say
		{"gpt-4o-2024-08-06", "gpt-4o-2024-08-06", 1250},
		{"gpt-4o-2024-08-06", "gpt-4o-2024-05-13", 2000},
		{"gpt-4o-2024-08-06", "gpt-4o", 2000},
		{"gpt-3.5-turbo", "gpt-3.5-turbo-0125", 200},
		{"gpt-3.5-turbo", "gpt-3.5-turbo-0613", 350},
		{"gpt-3.5-turbo", "gpt-3.5-turbo", 350},
		{"gpt-5-nano", "gpt-5-nano-2025-08-07", 45},
	} {
		if got := once(t, prices, tc.asked, tc.answered, today); got != tc.cents*money.Dollar/100 {
			t.Errorf("asked %s, answered %q: %v, want %v cents", tc.asked, tc.answered, got, int64(tc.cents))
		}
	}
	for _, unknown := range []string{"gpt-7", "gpt-6-luna-x", "gpt-4o-audio-preview", "text-embedding-3-small", "omni-moderation-latest"} {
		_, err := prices.Cost("gpt-6-luna", policy.Chat, policy.Answer{Model: unknown, Usage: wire.Usage{Prompt: 1}}, policy.Same, today)
		if !errors.Is(err, policy.ErrUnproven) {
			t.Errorf("an answer by %s proves a cost: %v", unknown, err)
		}
	}
}

// TestBothPricesCountAroundAChange: the data names a day, and days begin at
// another hour elsewhere.
func TestBothPricesCountAroundAChange(t *testing.T) {
	change := time.Date(2026, 7, 30, 0, 0, 0, 0, time.UTC) // gpt-5.6-luna, from $1 + $6 to $0.20 + $1.20
	before, after := 7*money.Dollar, 140*money.Dollar/100
	for _, tc := range []struct {
		at   time.Time
		want money.USD
	}{
		{time.Time{}, before},
		{change.AddDate(0, -1, 0), before},
		{change.Add(-24*time.Hour - 1), before},
		{change.Add(-24 * time.Hour), before},
		{change, before},
		{change.Add(24 * time.Hour), before},
		{change.Add(24*time.Hour + 1), after},
		{change.Add(24*time.Hour + 1).In(time.FixedZone("", -12*3600)), after},
		{today, after},
	} {
		if got := once(t, policy.Reviewed(), "gpt-5.6-luna", "gpt-5.6-luna-2026-06-30", tc.at); got != tc.want {
			t.Errorf("at %v: %v, want %v", tc.at, got, tc.want)
		}
	}
}

func TestLongContextCostsMoreFromTheBoundaryOn(t *testing.T) {
	prices := policy.Reviewed()
	for prompt, want := range map[int64]money.USD{
		1:       100 + 500,
		271_999: 271_999*100 + 500,
		272_000: 272_000*200 + 750,
		272_001: 272_001*200 + 750,
	} {
		if got := cost(t, prices, "gpt-6-luna", today, policy.Answer{Usage: wire.Usage{Prompt: prompt, Completion: 1}}); got != want {
			t.Errorf("%d tokens of prompt cost %v, want %v", prompt, got, want)
		}
	}
	body := func(tokens int) policy.Bounds { return policy.Bounds{BodyBytes: tokens - 256, OutputLimit: 84} }
	for tokens, want := range map[int]money.USD{
		271_999: 271_999*125 + 100*500, // written to a cache
		272_000: 272_000*250 + 100*750, // a prompt that may be long makes the answer dear too
	} {
		if got, err := prices.Ceiling("gpt-6-luna", policy.Chat, body(tokens), policy.Same, today); got != want || err != nil {
			t.Errorf("the ceiling of %d tokens is %v, %v; want %v", tokens, got, err, want)
		}
	}
}

func TestVersionNamesTheData(t *testing.T) {
	if got := policy.Reviewed().Version(); got != "2026-09-23" {
		t.Errorf("the reviewed prices are called %q", got)
	}
}
