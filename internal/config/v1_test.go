package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keyshield/internal/config"
	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// simulated is a provider whose keys may look like anything.
const simulated = "OPENAI_BASE_URL=http://127.0.0.1:9"

func TestEndpointsAreOpenedByName(t *testing.T) {
	for value, want := range map[string]config.Endpoints{
		"": {"text"}, "text": {"text"}, "chat": {"chat"}, " moderations , text": {"moderations", "text"},
		"text,chat,responses,moderations": {"text", "chat", "responses", "moderations"},
	} {
		l := serve(t, "ENDPOINTS="+value)
		if len(l.Problems) > 0 || !slices.Equal(l.Config.Server.Endpoints, want) || !slices.Equal(l.Config.Plans.For("").Endpoints, want) {
			t.Errorf("%q opens %q, and to everyone %q, want %q: %+v", value, l.Config.Server.Endpoints, l.Config.Plans.For("").Endpoints, want, l.Problems)
		}
	}
	for value, want := range map[string]string{
		"chat,Text":                     "ENDPOINTS=chat,text",
		"txt,chat/completions,response": "ENDPOINTS=text,responses",
		"all":                           "ENDPOINTS=text",
		"chat,,chat":                    "ENDPOINTS=chat",
	} {
		if text, fix := problemOf(serve(t, "ENDPOINTS="+value), "ENDPOINTS"); fix != want || text == "" {
			t.Errorf("%q is corrected to %q, want %q; %s", value, fix, want, text)
		}
	}
}

// TestWrongEndpointsDoNotSpoilPlans: a plan is not blamed for what it opens while
// it is not known what may be opened.
func TestWrongEndpointsDoNotSpoilPlans(t *testing.T) {
	l := with(t, map[string]string{"plans.json": `{"pro": {"endpoints": ["embeddings"], "models": ["text-embedding-3-small"]}}`}, "PLANS_FILE=plans.json", "ENDPOINTS=text,embedding")
	if !slices.Equal(names(l), []string{"ENDPOINTS"}) {
		t.Errorf("%+v", l.Problems)
	}
}

func TestModelsOfV1MustBePricedAndOfUse(t *testing.T) {
	for _, tc := range []struct{ endpoints, models, text, fix string }{
		{"chat", "gpt-6-sol,gpt-99-mystery", "names gpt-99-mystery, which has no reviewed price", "MODELS=gpt-6-sol"},
		{"chat", "gpt-4o-latest", "names gpt-4o-latest, which may become another model", "MODELS=gpt-6-luna"},
		{"chat", "gpt-6-luna,text-embedding-3-small", "names text-embedding-3-small, which is for embeddings only", "MODELS=gpt-6-luna"},
		{"text,embeddings", "gpt-6-luna,text-embedding-3-small", "names gpt-6-luna, which is for chat and responses only", "MODELS=text-embedding-3-small"},
		{"chat,embeddings", "gpt-6-sol", "names no model with a price for embeddings, which ENDPOINTS opens", "MODELS=gpt-6-sol,text-embedding-3-small"},
		{"chat,responses,embeddings", "text-embedding-3-large", "names no model with a price for chat and responses", "MODELS=text-embedding-3-large,gpt-6-luna"},
		{"chat,embeddings", "", "is not set, and OPENAI_MODEL (gpt-6-luna) is none with a price for embeddings", "MODELS=gpt-6-luna,text-embedding-3-small"},
		{"embeddings", "", "is not set", "MODELS=text-embedding-3-small"},
		{"moderations", "gpt-6-luna", "names gpt-6-luna", "MODELS=omni-moderation-latest"},
		{"text", "gpt-99-mystery", "names gpt-99-mystery", "MODELS=gpt-6-luna"},
	} {
		l := serve(t, "ENDPOINTS="+tc.endpoints, "MODELS="+tc.models)
		text, fix := problemOf(l, "MODELS")
		if !strings.HasPrefix(text, tc.text) || fix != tc.fix {
			t.Errorf("ENDPOINTS=%s MODELS=%s: %q, %q; want %q…, %q", tc.endpoints, tc.models, text, fix, tc.text, tc.fix)
		}
		if again := serve(t, "ENDPOINTS="+tc.endpoints, fix); len(again.Problems) > 0 {
			t.Errorf("ENDPOINTS=%s: after writing %q: %+v", tc.endpoints, fix, again.Problems)
		}
	}
	prices := map[string]string{"prices.json": `{"version": "1", "models": {"acme-7b": {"kind": ["chat"], "input": 1, "output": 2}}}`}
	if l := with(t, prices, "PRICES_FILE=prices.json", "ENDPOINTS=chat", "MODELS=acme-7b"); len(l.Problems) > 0 || !strings.Contains(strings.Join(l.Warnings, "\n"), "MODELS has acme-7b, which is not among the models known") {
		t.Errorf("a price of the operator's counts: %+v %q", l.Problems, l.Warnings)
	}
	if l := with(t, prices, "PRICES_FILE=prices.json", "ENDPOINTS=responses", "MODELS=acme-7b"); len(about(l, "MODELS")) != 1 {
		t.Errorf("a price for chat is none for responses: %+v", l.Problems)
	}
}

// TestModerationsNeedNoModel: the free ones are there with the endpoint.
func TestModerationsNeedNoModel(t *testing.T) {
	l := serve(t, "ENDPOINTS=moderations", simulated)
	if p := l.Config.Plans.For(""); len(l.Problems) > 0 || len(l.Warnings) > 0 || !p.MayAsk("omni-moderation-latest") || !p.MayAsk("omni-moderation-2024-09-26") {
		t.Errorf("%+v %q %+v", l.Problems, l.Warnings, p)
	}
	if p := serve(t, "ENDPOINTS=text,chat").Config.Plans.For(""); p.MayAsk("omni-moderation-latest") {
		t.Errorf("moderations are closed, and %+v", p)
	}
}

// TestDevMayAskForOneOfEach, of what is open.
func TestDevMayAskForOneOfEach(t *testing.T) {
	for set, want := range map[string]config.Models{
		"X=":                           {"gpt-6-luna", "text-embedding-3-small", "omni-moderation-latest"},
		"OPENAI_MODEL=gpt-4o":          {"gpt-4o", "text-embedding-3-small", "omni-moderation-latest"},
		"ENDPOINTS=text,chat":          {"gpt-6-luna"},
		"ENDPOINTS=chat,embeddings":    {"gpt-6-luna", "text-embedding-3-small"},
		"MODELS=gpt-6-sol,gpt-6-astra": nil,
	} {
		l := config.Load(config.Dev, []string{set}, t.TempDir())
		if want == nil {
			if len(about(l, "MODELS")) != 1 {
				t.Errorf("%s opens embeddings without a model: %+v", set, l.Problems)
			}
			continue
		}
		if len(l.Problems) > 0 || !slices.Equal(l.Config.V1.Models, want) {
			t.Errorf("%s: dev may ask for %q, want %q; %+v", set, l.Config.V1.Models, want, l.Problems)
		}
	}
}

func TestModelsOfV1AreWarnedOf(t *testing.T) {
	for _, tc := range []struct {
		changes []string
		want    string
	}{
		{[]string{"ENDPOINTS=chat", "MODELS=gpt-6-luna,gpt-4o,gpt-6-sol"}, "MODELS gpt-4o will be retired by OpenAI on 2027-01-14. Plan for MODELS=gpt-6-luna,gpt-6-sol, or another."},
		{[]string{"ENDPOINTS=chat", "MODELS=gpt-3.5-turbo"}, "MODELS gpt-3.5-turbo was retired by OpenAI on 2026-10-23 and answers no more. Set MODELS=gpt-6-luna, or another."},
		{[]string{"ENDPOINTS=chat", "MODELS=gpt-4-0613"}, "MODELS gpt-4-0613 was retired by OpenAI on 2026-10-23 and answers no more."},
		{[]string{"MODELS=gpt-6-sol"}, "MODELS has no effect: ENDPOINTS (text) opens nothing"},
		{[]string{"SYSTEM_PROMPT_V1=Be kind."}, "SYSTEM_PROMPT_V1 has no effect: ENDPOINTS (text) opens nothing"},
		{[]string{"MAX_OUTPUT_TOKENS_V1=100"}, "MAX_OUTPUT_TOKENS_V1 has no effect: ENDPOINTS (text) opens nothing"},
		{[]string{"MAX_BODY_V1=2MiB"}, "MAX_BODY_V1 has no effect: ENDPOINTS (text) opens nothing"},
		{[]string{"ENDPOINTS=chat", "MAX_OUTPUT_TOKENS_V1=100", "MAX_BODY_V1=2MiB"}, ""}, // which has /api/chat and /api/completion too
		{[]string{"ENDPOINTS=chat,embeddings,moderations", "MODELS=gpt-6-luna,gpt-6-sol,text-embedding-3-large", "SYSTEM_PROMPT_V1=Be kind."}, ""},
		{[]string{"ENDPOINTS=text,chat,responses"}, ""},
	} {
		l := serve(t, append(tc.changes, simulated)...)
		if len(l.Problems) > 0 {
			t.Errorf("%q: %+v", tc.changes, l.Problems)
		}
		if tc.want == "" && len(l.Warnings) > 0 || tc.want != "" && (len(l.Warnings) != 1 || !strings.HasPrefix(l.Warnings[0], tc.want)) {
			t.Errorf("%q: warnings %q, want %q", tc.changes, l.Warnings, tc.want)
		}
	}
	if l := serve(t, "ENDPOINTS=chat", "OPENAI_MODEL=gpt-4o", "MODELS=gpt-4o", simulated); len(l.Warnings) != 1 {
		t.Errorf("one model is warned of once: %q", l.Warnings)
	}
}

// TestClosedTextAPIHasNoSay: what concerns it alone does not stop a server without
// it.
func TestClosedTextAPIHasNoSay(t *testing.T) {
	for _, changes := range [][]string{
		{"REASONING_EFFORT=low", "MAX_OUTPUT_TOKENS=150"},
		{"MAX_OUTPUT_TOKENS=128000", "OPENAI_MODEL=gpt-6-sol", "MODELS=gpt-6-luna", "BUDGET_USER_DAY=0.01"},
	} {
		if l := serve(t, append(changes, "ENDPOINTS=text,chat")...); len(l.Problems) == 0 {
			t.Errorf("%q is nothing that the text API refuses", changes)
		}
		if l := serve(t, append(changes, "ENDPOINTS=chat")...); len(l.Problems) > 0 {
			t.Errorf("%q without the text API: %+v", changes, l.Problems)
		}
	}
}

// TestBudgetsPayAShortRequest with the whole output limit, figure by figure.
func TestBudgetsPayAShortRequest(t *testing.T) {
	ceiling := func(model string) money.USD {
		text, err := policy.NewText(policy.TextSettings{Model: model, SystemPrompt: "Be brief.", MaxOutputTokens: 1000})
		if err != nil {
			t.Fatal(err)
		}
		bounds := policy.Bounds{BodyBytes: len(text.Append(nil, "x", strings.Repeat("p", 43), false)), OutputLimit: 1000}
		cost, err := policy.Reviewed().Ceiling(model, policy.Chat, bounds, policy.Same, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return cost
	}
	cheap, dear := ceiling("gpt-6-luna"), ceiling("gpt-6-sol")
	base := []string{simulated, "ENDPOINTS=chat,responses,embeddings,moderations", "MODELS=gpt-6-sol,gpt-6-luna,text-embedding-3-large", "SYSTEM_PROMPT_V1=Be brief.", "MAX_OUTPUT_TOKENS_V1=1000"}
	for _, tc := range []struct {
		budget   money.USD
		problem  bool
		warnings int
	}{{cheap - 1, true, 0}, {cheap, false, 1}, {dear - 1, false, 1}, {dear, false, 0}} {
		l := serve(t, append(base, "BUDGET_USER_DAY="+tc.budget.String())...)
		texts := about(l, "BUDGET_USER_DAY")
		if (len(texts) == 1) != tc.problem || len(l.Warnings) != tc.warnings {
			t.Errorf("a budget of %s between %s and %s: %q, %q", tc.budget, cheap, dear, texts, l.Warnings)
		}
		if want := fmt.Sprintf("is less than a short request to gpt-6-luna on /v1 with 1000 tokens of output can cost (%s)", cheap); tc.problem && !strings.Contains(texts[0], want) {
			t.Errorf("no %q in %q", want, texts)
		}
		if want := fmt.Sprintf("gpt-6-sol on /v1 with 1000 tokens of output can cost (%s)", dear); tc.warnings > 0 && !strings.Contains(l.Warnings[0], want) {
			t.Errorf("no %q in %q", want, l.Warnings)
		}
		if tc.problem {
			_, fix := problemOf(l, "BUDGET_USER_DAY")
			if again := serve(t, append(base, fix)...); len(again.Problems)+len(again.Warnings) > 0 {
				t.Errorf("after writing %s: %+v %q", fix, again.Problems, again.Warnings)
			}
		}
	}
}

func TestPlansOfV1AreHeldAgainstTheServer(t *testing.T) {
	l := with(t, map[string]string{"plans.json": `{
		"pro": {"output_tokens_v1": 8000, "service_tiers": ["priority"], "logprobs": true, "models": ["gpt-6-luna", "text-embedding-3-small"]},
		"mute": {"system_messages": false},
		"poor": {"endpoints": ["embeddings"], "budget_day": "0.000000001"},
		"terse": {"output_tokens_v1": 16, "budget_day": "0.0002"},
		"wordy": {"endpoints": ["chat"], "budget_day": "0.0002"},
		"off": {"endpoints": [], "budget_day": "0.000000001"},
		"odd": {"endpoints": ["chat", "moderations"], "models": ["text-embedding-3-small"]}}`},
		"PLANS_FILE=plans.json", "ENDPOINTS=text,chat,embeddings,moderations", "MODELS=gpt-6-luna,text-embedding-3-small", simulated)
	all := about(l, "PLANS_FILE")
	if len(all) != 2 || !strings.Contains(all[0], `plan "poor": budget_day ($0.000000001) is less than a short request to text-embedding-3-small can cost`) ||
		!strings.Contains(all[1], `plan "wordy": budget_day ($0.0002) is less than a short request to gpt-6-luna on /v1 with 2048 tokens of output can cost`) {
		t.Errorf("problems: %q", all)
	}
	warnings := strings.Join(l.Warnings, "\n")
	for _, want := range []string{`plan "odd" has the endpoint "chat", but no model with a price for it`, `plan "terse": budget_day ($0.0002) is less than its longest prompt`} {
		if len(l.Warnings) != 2 || !strings.Contains(warnings, want) {
			t.Errorf("no %q in:\n%s", want, warnings)
		}
	}

	l = with(t, map[string]string{"plans.json": `{"pro": {"output_tokens_v1": 8000, "service_tiers": ["priority"], "logprobs": true, "models": ["gpt-6-luna"]}, "mute": {"system_messages": false}}`},
		"PLANS_FILE=plans.json", "ENDPOINTS=text,chat")
	if pro := l.Config.Plans.For("pro"); len(l.Problems) > 0 || pro.OutputTokensV1 != 8000 || !pro.MayTier("priority") || !pro.LogProbs || !pro.SystemMessages {
		t.Errorf("pro is %+v; %+v", pro, l.Problems)
	}
	if mute := l.Config.Plans.For("mute"); mute.SystemMessages || mute.OutputTokensV1 != 2048 || mute.LogProbs || mute.MayTier("priority") {
		t.Errorf("mute is %+v", mute)
	}
}

// TestNewNamesAreInForce: they were promised before they were there.
func TestNewNamesAreInForce(t *testing.T) {
	l := serve(t, "ENDPOINTS=chat", "MODELS=gpt-6-luna", "MAX_OUTPUT_TOKENS_V1=100", "REDIS_URL=redis://cache:6379", simulated)
	if len(l.Warnings) != 1 || !strings.HasPrefix(l.Warnings[0], "REDIS_URL is set and is not in force") {
		t.Errorf("warnings: %q", l.Warnings)
	}
}

// FuzzLists: what is read is written so that it is read again, and nothing is open
// or asked that has no name here.
func FuzzLists(f *testing.F) {
	for _, seed := range []string{"text", "text, chat", "chat,,", "gpt-6-luna,text-embedding-3-small", "a,a", "Text", "é", strings.Repeat("a,", 50)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var open, again config.Endpoints
		if open.UnmarshalText([]byte(text)) == nil {
			if err := again.UnmarshalText([]byte(open.String())); err != nil || !slices.Equal(open, again) {
				t.Fatalf("%q opens %q, written again %q: %v", text, open, again, err)
			}
			for _, e := range open {
				if !slices.Contains(policy.Endpoints(), e) {
					t.Fatalf("%q opens %q", text, e)
				}
			}
		}
		var models, same config.Models
		if models.UnmarshalText([]byte(text)) == nil {
			if err := same.UnmarshalText([]byte(models.String())); err != nil || len(models) == 0 || !slices.Equal(models, same) {
				t.Fatalf("%q names %q, written again %q: %v", text, models, same, err)
			}
		}
	})
}
