package policy_test

import (
	"errors"
	"math"
	"testing"

	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/wire"
)

// TestCeilingIsTheFormula, by hand: nano-dollars per token times tokens.
func TestCeilingIsTheFormula(t *testing.T) {
	const regional = policy.Multiplier(1100)
	for _, tc := range []struct {
		name  string
		model string
		kind  policy.Kind
		b     policy.Bounds
		by    policy.Multiplier
		want  money.USD
	}{
		{"bytes, frame, cache write, 16 more", "gpt-6-luna", policy.Chat, policy.Bounds{BodyBytes: 1000, OutputLimit: 150}, policy.Same, 1256*125 + 166*500},
		{"no cache write price", "gpt-4.1", policy.Chat, policy.Bounds{BodyBytes: 1000, OutputLimit: 150}, policy.Same, 1256*2000 + 166*8000},
		{"an alias, as its dearest snapshot", "gpt-4o", policy.Chat, policy.Bounds{BodyBytes: 1000, OutputLimit: 150}, policy.Same, 1256*5000 + 166*15000},
		{"schema four times, and 1024", "gpt-6-luna", policy.Responses, policy.Bounds{BodyBytes: 1000, SchemaBytes: 300, OutputLimit: 150}, policy.Same, (700+4*300+256+1024)*125 + 166*500},
		{"a region", "gpt-6-luna", policy.Chat, policy.Bounds{BodyBytes: 1000, OutputLimit: 150}, regional, (1256*125 + 166*500) * 11 / 10},
		{"rounded up once", "gpt-6-luna", policy.Chat, policy.Bounds{BodyBytes: 1, OutputLimit: 1}, policy.Multiplier(1001), 40666}, // 40625 × 1.001 = 40665.625
		{"priority", "gpt-6-luna", policy.Chat, policy.Bounds{BodyBytes: 1000, OutputLimit: 150, Tier: "priority"}, policy.Same, 2 * (1256*125 + 166*500)},
		{"fast", "gpt-6-luna", policy.Chat, policy.Bounds{BodyBytes: 1000, OutputLimit: 150, Tier: "fast"}, policy.Same, 2 * (1256*125 + 166*500)},
		{"auto may be priority", "gpt-6-luna", policy.Chat, policy.Bounds{BodyBytes: 1000, OutputLimit: 150, Tier: "auto"}, policy.Same, 2 * (1256*125 + 166*500)},
		{"flex is not given yet", "gpt-6-luna", policy.Chat, policy.Bounds{BodyBytes: 1000, OutputLimit: 150, Tier: "flex"}, policy.Same, 1256*125 + 166*500},
		{"no output", "text-embedding-3-small", policy.Embeddings, policy.Bounds{BodyBytes: 1000}, policy.Same, 1256 * 20},
	} {
		got, err := policy.Reviewed().Ceiling(tc.model, tc.kind, tc.b, tc.by, today)
		if err != nil || got != tc.want {
			t.Errorf("%s: %v, %v; want %v", tc.name, got, err, tc.want)
		}
	}
}

// TestNoCeilingWithoutABound: what is not known is refused, never taken for 0.
func TestNoCeilingWithoutABound(t *testing.T) {
	good := policy.Bounds{BodyBytes: 1000, SchemaBytes: 100, OutputLimit: 150}
	for name, change := range map[string]func(*policy.Bounds, *policy.Multiplier, *policy.Kind){
		"no output limit":       func(b *policy.Bounds, _ *policy.Multiplier, _ *policy.Kind) { b.OutputLimit = 0 },
		"negative output":       func(b *policy.Bounds, _ *policy.Multiplier, _ *policy.Kind) { b.OutputLimit = -1 },
		"endless output":        func(b *policy.Bounds, _ *policy.Multiplier, _ *policy.Kind) { b.OutputLimit = math.MaxInt64 },
		"negative body":         func(b *policy.Bounds, _ *policy.Multiplier, _ *policy.Kind) { b.BodyBytes = -1 },
		"endless body":          func(b *policy.Bounds, _ *policy.Multiplier, _ *policy.Kind) { b.BodyBytes = math.MaxInt },
		"negative schema":       func(b *policy.Bounds, _ *policy.Multiplier, _ *policy.Kind) { b.SchemaBytes = -1 },
		"schema beyond body":    func(b *policy.Bounds, _ *policy.Multiplier, _ *policy.Kind) { b.SchemaBytes = 1001 },
		"unknown tier":          func(b *policy.Bounds, _ *policy.Multiplier, _ *policy.Kind) { b.Tier = "scale" },
		"no multiplier":         func(_ *policy.Bounds, m *policy.Multiplier, _ *policy.Kind) { *m = 0 },
		"lower multiplier":      func(_ *policy.Bounds, m *policy.Multiplier, _ *policy.Kind) { *m = policy.Same - 1 },
		"immense multiplier":    func(_ *policy.Bounds, m *policy.Multiplier, _ *policy.Kind) { *m = math.MaxInt64 },
		"output for embeddings": func(_ *policy.Bounds, _ *policy.Multiplier, k *policy.Kind) { *k = policy.Embeddings },
	} {
		b, m, k, model := good, policy.Same, policy.Chat, "gpt-6-luna"
		change(&b, &m, &k)
		if k == policy.Embeddings {
			model = "text-embedding-3-small"
		}
		if c, err := policy.Reviewed().Ceiling(model, k, b, m, today); err == nil || c != 0 {
			t.Errorf("%s: a ceiling of %v, %v", name, c, err)
		}
	}
}

func TestCostCountsEveryPart(t *testing.T) {
	u := wire.Usage{Prompt: 1000, Cached: 300, CacheWrite: 200, Completion: 50, Reasoning: 40, Total: 1050}
	const want = 500*100 + 300*10 + 200*125 + 50*500
	for _, tc := range []struct {
		name string
		a    policy.Answer
		by   policy.Multiplier
		want money.USD
	}{
		{"default", policy.Answer{Usage: u, Tier: "default"}, policy.Same, want},
		{"no tier named", policy.Answer{Usage: u}, policy.Same, want},
		{"priority", policy.Answer{Usage: u, Tier: "priority"}, policy.Same, 2 * want},
		{"fast", policy.Answer{Usage: u, Tier: "fast"}, policy.Same, 2 * want},
		{"flex, proven", policy.Answer{Usage: u, Tier: "flex"}, policy.Same, want / 2},
		{"batch, proven", policy.Answer{Usage: u, Tier: "batch"}, policy.Same, want / 2},
		{"a region", policy.Answer{Usage: u}, 1100, want * 11 / 10},
		{"half a nano-dollar is rounded up", policy.Answer{Usage: wire.Usage{Prompt: 1, CacheWrite: 1}, Tier: "flex"}, policy.Same, 63},
		{"cache writes untold", policy.Answer{Usage: wire.Usage{Prompt: 1000, Cached: 300, Completion: 50}, WritesUntold: true}, policy.Same, 700*125 + 300*10 + 50*500},
		{"nothing but the prompt", policy.Answer{Usage: wire.Usage{Prompt: 1000}}, policy.Same, 1000 * 100},
	} {
		tc.a.Model = "gpt-6-luna-2026-09-22"
		if got, err := policy.Reviewed().Cost("gpt-6-luna", policy.Chat, tc.a, tc.by, today); err != nil || got != tc.want {
			t.Errorf("%s: %v, %v; want %v", tc.name, got, err, tc.want)
		}
	}
	// No discount in the table: cached tokens cost what fresh ones do.
	if got := cost(t, policy.Reviewed(), "gpt-4", today, policy.Answer{Usage: wire.Usage{Prompt: 10, Cached: 10}}); got != 10*30_000 {
		t.Errorf("ten cached tokens of a model without a cached price cost %v", got)
	}
	got, err := policy.Reviewed().Cost("text-embedding-3-small", policy.Embeddings, policy.Answer{Usage: wire.Usage{Prompt: 7}, Received: true}, policy.Same, today)
	if got != 140 || err != nil {
		t.Errorf("seven tokens embedded cost %v, %v", got, err)
	}
}

func TestWhatIsNoProof(t *testing.T) {
	good := policy.Answer{Model: "gpt-6-luna", Usage: wire.Usage{Prompt: 10, Completion: 5}, Received: true}
	if _, err := policy.Reviewed().Cost("gpt-6-luna", policy.Chat, good, policy.Same, today); err != nil {
		t.Fatal(err)
	}
	for name, usage := range map[string]wire.Usage{
		"zero":                        {},
		"zero answer with text":       {Prompt: 10},
		"zero prompt":                 {Completion: 5},
		"negative":                    {Prompt: -10, Completion: -5},
		"overflowing":                 {Prompt: math.MaxInt64, Completion: math.MaxInt64},
		"more money than there is":    {Prompt: math.MaxInt64 - 1, Completion: 1},
		"cached beyond prompt":        {Prompt: 10, Completion: 5, Cached: 11},
		"cached and written beyond":   {Prompt: 10, Completion: 5, Cached: 6, CacheWrite: 5},
		"reasoning beyond completion": {Prompt: 10, Completion: 5, Reasoning: 6},
		"total beyond its parts":      {Prompt: 10, Completion: 5, Total: 16},
	} {
		a := good
		a.Usage = usage
		if c, err := policy.Reviewed().Cost("gpt-6-luna", policy.Chat, a, policy.Same, today); !errors.Is(err, policy.ErrUnproven) || c != 0 {
			t.Errorf("%s proves a cost of %v, %v", name, c, err)
		}
	}
	for name, tc := range map[string]struct {
		model string
		kind  policy.Kind
		by    policy.Multiplier
		a     policy.Answer
	}{
		"unknown tier":                     {"gpt-6-luna", policy.Chat, policy.Same, policy.Answer{Usage: good.Usage, Tier: "scale"}},
		"auto is no tier that served":      {"gpt-6-luna", policy.Chat, policy.Same, policy.Answer{Usage: good.Usage, Tier: "auto"}},
		"unknown model":                    {"gpt-7", policy.Chat, policy.Same, good},
		"a write that has no price":        {"gpt-4o", policy.Chat, policy.Same, policy.Answer{Usage: wire.Usage{Prompt: 2, CacheWrite: 1}}},
		"an embedding that wrote":          {"text-embedding-3-small", policy.Embeddings, policy.Same, policy.Answer{Usage: wire.Usage{Prompt: 2, Completion: 1}}},
		"no multiplier":                    {"gpt-6-luna", policy.Chat, 0, good},
		"a failure, said to have cost nil": {"gpt-6-luna", policy.Responses, policy.Same, policy.Answer{}},
	} {
		if c, err := policy.Reviewed().Cost(tc.model, tc.kind, tc.a, tc.by, today); !errors.Is(err, policy.ErrUnproven) || c != 0 {
			t.Errorf("%s: proves a cost of %v, %v", name, c, err)
		}
	}
}

func BenchmarkCeilingAndCost(b *testing.B) {
	prices := policy.Reviewed()
	a := policy.Answer{Model: "gpt-6-luna-2026-09-22", Usage: wire.Usage{Prompt: 40, Completion: 100}, Received: true}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := prices.Ceiling("gpt-6-luna", policy.Chat, policy.Bounds{BodyBytes: 400, OutputLimit: 150}, policy.Same, today); err != nil {
			b.Fatal(err)
		}
		if _, err := prices.Cost("gpt-6-luna", policy.Chat, a, policy.Same, today); err != nil {
			b.Fatal(err)
		}
	}
}
