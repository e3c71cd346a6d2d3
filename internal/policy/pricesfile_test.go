package policy_test

import (
	"errors"
	"strings"
	"testing"

	"keyshield/internal/money"
	"keyshield/internal/policy"
	"keyshield/internal/wire"
)

func parsePrices(t *testing.T, models string) *policy.Table {
	t.Helper()
	prices, problems := policy.ParsePrices([]byte(`{"version": "2026-12-01", "models": {` + models + `}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	return prices
}

func TestPricesFileAddsAndOverrides(t *testing.T) {
	prices := parsePrices(t, `
		"gpt-6-luna": {"kind": ["chat"], "input": "0.3", "cached": 0.03, "written": 0.3, "output": 1.5},
		"acme-7b": {"kind": ["chat"], "input": 0.00001, "output": "0.5", "long": {"from": 1000, "input": 0.1, "output": "5.00000"}},
		"acme-embed": {"kind": ["embeddings"], "input": 1},
		"acme-judge": {"kind": ["moderations"], "input": 0}`)
	if got, want := prices.Version(), "2026-09-23+2026-12-01"; got != want {
		t.Errorf("version %q, want %q", got, want)
	}
	for _, tc := range []struct {
		asked, answered string
		want            money.USD
	}{
		{"gpt-6-luna", "gpt-6-luna", 180},
		{"gpt-6-luna", "gpt-6-luna-2026-09-22", 180}, // still any of its snapshots
		{"gpt-6-luna-2026-09-22", "", 180},
		{"gpt-6-sol", "gpt-6-sol", 1200},
	} {
		if got := once(t, prices, tc.asked, tc.answered, today); got != tc.want*money.Dollar/100 {
			t.Errorf("asked %s, answered %q: %v, want %v cents", tc.asked, tc.answered, got, int64(tc.want))
		}
	}
	if got, want := cost(t, prices, "acme-7b", today, policy.Answer{Usage: wire.Usage{Prompt: 999, Completion: 2}}), money.USD(10+1000); got != want {
		t.Errorf("acme-7b costs %v, want %v: 999 × 0.01 + 2 × 500 nano-dollars", got, want)
	}
	if got, want := cost(t, prices, "acme-7b", today, policy.Answer{Usage: wire.Usage{Prompt: 1000, Completion: 2}}), money.USD(1000*100+2*5000); got != want {
		t.Errorf("acme-7b costs %v in a long context, want %v", got, want)
	}
	for id, kind := range map[string]policy.Kind{"acme-embed": policy.Embeddings, "acme-judge": policy.Moderations, "gpt-6-luna": policy.Chat} {
		if !prices.Knows(id, kind) {
			t.Errorf("%s has no price for %s", id, kind)
		}
	}
	if prices.Knows("gpt-6-luna", policy.Responses) || prices.Knows("acme-7b-2026-01-01", policy.Chat) {
		t.Error("the file prices what it does not name")
	}
	if policy.Reviewed().Knows("acme-7b", policy.Chat) || once(t, policy.Reviewed(), "gpt-6-luna", "", today) != 60*money.Dollar/100 {
		t.Error("the file changed everyone's reviewed table")
	}
}

// TestAnAliasCannotBeMadeCheaperThanItsSnapshots: the provider bills the snapshot.
// And a dearer alias counts, although the answer names a snapshot at the old price.
func TestAnAliasCannotBeMadeCheaperThanItsSnapshots(t *testing.T) {
	cheaper := parsePrices(t, `"gpt-4o": {"kind": ["chat"], "input": 1, "output": 1}`)
	if got := once(t, cheaper, "gpt-4o", "gpt-4o-2024-08-06", today); got != 1250*money.Dollar/100 {
		t.Errorf("a snapshot at $12.50 costs %v by its alias", got)
	}
	ceiling, err := cheaper.Ceiling("gpt-4o", policy.Chat, policy.Bounds{BodyBytes: 744, OutputLimit: 984}, policy.Same, today)
	if err != nil || ceiling != 1000*5000+1000*15000 {
		t.Errorf("the ceiling of the cheaper alias is %v, %v", ceiling, err)
	}
	dearer := parsePrices(t, `"gpt-4o": {"kind": ["chat"], "input": 10, "output": 20}`)
	if got := once(t, dearer, "gpt-4o", "gpt-4o-2024-08-06", today); got != 30*money.Dollar {
		t.Errorf("an alias at $30 costs %v when a snapshot at $12.50 answers", got)
	}
}

func TestPricesFileReportsEveryProblem(t *testing.T) {
	_, problems := policy.ParsePrices([]byte(`{
		"version": "no spaces please",
		"model": {},
		"models": {
			"gpt-x-latest": {"kind": ["chat"], "input": 1, "output": 1},
			"gpt-x-search-preview": {"kind": ["chat"], "input": 1, "output": 1},
			"a b": {"kind": ["chat"], "input": 1, "output": 1},
			"m1": {"kind": ["chat", "chats"], "input": -1, "output": "1e3", "price": 2},
			"m2": {"kind": [], "input": 0, "outptu": 1},
			"m3": {"kind": ["chat", "moderations"], "input": 0, "output": 0.000001},
			"m4": {"kind": ["chat"], "input": 2, "output": 2, "long": {"from": 0.5, "input": 1, "output": 2}},
			"m5": {"kind": ["chat"], "input": 2, "cached": 1, "written": 3, "output": 2, "long": {"from": 5, "input": 2, "cached": 1, "output": 2}},
			"m6": {"kind": "chat", "input": true, "output": null},
			"m7": 5
		}
	}`))
	var all strings.Builder
	for _, p := range problems {
		all.WriteString(p.Error() + "\n")
	}
	for _, want := range []string{
		`"model" is unknown: did you mean "models"?`,
		`version must be`,
		`model "gpt-x-latest" may become another model`,
		`model "gpt-x-search-preview" bills for more`,
		`model "a b" is not a model's id`,
		`model "m1": kind "chats" is unknown: there are chat, responses, embeddings, moderations`,
		`model "m1": input must be dollars per million tokens`,
		`model "m1": output must be dollars per million tokens`,
		`model "m1": "price" is unknown: there are kind, input`,
		`model "m2": kind must not be empty`,
		`model "m2": input must not be 0`,
		`model "m2": "outptu" is unknown`,
		`model "m3": input must not be 0`,
		`model "m3": output 0.000001 has more than five decimals`,
		`model "m4", long: from must be a whole number from 1`,
		`model "m5", long has a lower price`,
		`model "m6": kind must be a list`,
		`model "m6": input must be a number, not true`,
		`model "m6": output must be a number, not null`,
		`model "m7" must be an object`,
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if t.Failed() {
		t.Log(all.String())
	}
}

func TestPricesFileThatIsNoFile(t *testing.T) {
	for _, text := range []string{
		"", "null", "[]", "{", `{"version": "1"}`, `{"models": {}}`, `{"version": "1", "models": null}`, `{"version": "1", "models": {}} x`,
		`{"version": "1", "version": "1", "models": {}}`, `{"version": "1", "models": {"a": {"kind": ["chat"], "input": 1, "input": 2, "output": 1}}}`,
		"{\"version\": \"1\", \"models\": {\"a\xff\": {}}}", `{"version": "1", "models": {"m": {"kind": ["chat"], "input": 1, "Output": 1, "output": 1}}}`,
	} {
		if prices, problems := policy.ParsePrices([]byte(text)); prices != nil || len(problems) == 0 {
			t.Errorf("%q was read", text)
		}
	}
}

// FuzzPricesFile: a file is refused, or every model it names is limited by money.
func FuzzPricesFile(f *testing.F) {
	f.Add(`{"version": "1", "models": {"m": {"kind": ["chat"], "input": "0.1", "output": 1}}}`, "m")
	f.Add(`{"version": "1", "models": {"m": {"kind": ["moderations"], "input": 0}}}`, "m")
	f.Add(`{"version": "1", "models": {"gpt-4o": {"kind": ["chat","embeddings"], "input": 1, "written": 2, "output": 1, "long": {"from": 3, "input": 1, "written": 2, "output": 1}}}}`, "gpt-4o")
	f.Fuzz(func(t *testing.T, text, id string) {
		prices, problems := policy.ParsePrices([]byte(text))
		if (prices == nil) == (problems == nil) {
			t.Fatalf("%q: %v, %v", text, prices, problems)
		}
		if prices == nil {
			return
		}
		for kind, b := range map[policy.Kind]policy.Bounds{
			policy.Chat: {BodyBytes: 10, OutputLimit: 10}, policy.Responses: {BodyBytes: 10, OutputLimit: 10}, policy.Embeddings: {BodyBytes: 10},
		} {
			ceiling, err := prices.Ceiling(id, kind, b, policy.Same, today)
			if known := prices.Knows(id, kind); known != (err == nil) || known && ceiling <= 0 || !known && !errors.Is(err, policy.ErrUnpriced) {
				t.Fatalf("%q: %s for %s has a ceiling of %v, %v", text, id, kind, ceiling, err)
			}
		}
	})
}
