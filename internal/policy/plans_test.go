package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/limit"
	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// environment is what a plan stands on in these tests.
func environment() policy.Defaults {
	return policy.Defaults{
		Plan: policy.Plan{
			Requests: policy.Rate{Count: 100, Period: time.Hour}, Streams: 5,
			Endpoints: []string{"text", "chat"}, TextModel: "gpt-6-luna", Models: []string{"gpt-6-luna"},
			PromptChars: 300, OutputTokens: 150, OutputTokensV1: 2048, SystemMessages: true, UserDay: money.Dollar, UserMonth: policy.NoCap,
		},
		Prices: policy.Reviewed(),
		ParseRate: func(s string) (policy.Rate, error) {
			var r limit.Rate
			err := r.UnmarshalText([]byte(s))
			return policy.Rate(r), err
		},
	}
}

func TestPlansStandOnTheEnvironment(t *testing.T) {
	d := environment()
	plans, problems := policy.ParsePlans([]byte(`{
		"default": {"requests": "20/1h"},
		"pro": {"requests": "off", "streams": 20, "endpoints": ["text"], "models": ["gpt-6-luna", "gpt-4o-2024-08-06", "text-embedding-3-small"],
			"prompt_chars": 8000, "output_tokens": 2048, "output_tokens_v1": 16, "system_messages": false, "logprobs": true, "service_tiers": ["flex", "fast"],
			"budget_day": "$5", "budget_month": 12.5},
		"free": {"budget_day": "0.05", "budget_month": "off", "streams": "off"},
		"suspended": {"endpoints": [], "models": []},
		"same": {}
	}`), d)
	if problems != nil {
		t.Fatal(problems)
	}
	with := func(name string, change func(*policy.Plan)) policy.Plan {
		p := d.Plan
		p.Name = name
		change(&p)
		return p
	}
	standard := with("default", func(p *policy.Plan) { p.Requests.Count = 20 })
	for claim, want := range map[string]policy.Plan{
		"default": standard, "": standard, "unknown": standard, "Pro": standard, "pro ": standard,
		"pro": {
			Name: "pro", Streams: 20, Endpoints: []string{"text"}, TextModel: "gpt-6-luna", Models: []string{"gpt-6-luna", "gpt-4o-2024-08-06", "text-embedding-3-small"},
			PromptChars: 8000, OutputTokens: 2048, OutputTokensV1: 16, LogProbs: true, ServiceTiers: []string{"flex", "fast"}, UserDay: 5 * money.Dollar, UserMonth: 25 * money.Dollar / 2,
		},
		"free":      with("free", func(p *policy.Plan) { p.UserDay, p.Streams = money.Dollar/20, policy.Unlimited }),
		"suspended": with("suspended", func(p *policy.Plan) { p.Endpoints, p.Models, p.TextModel = []string{}, []string{}, "" }),
		"same":      with("same", func(*policy.Plan) {}),
	} {
		if diff := cmp.Diff(want, plans.For(claim)); diff != "" {
			t.Errorf("plan of %q (-want +got):\n%s", claim, diff)
		}
	}
}

func TestWithoutAFileEveryoneIsOnTheEnvironmentsPlan(t *testing.T) {
	want := environment().Plan
	want.Name = "default"
	plans := policy.NewPlans(environment().Plan)
	empty, problems := policy.ParsePlans([]byte(`{}`), environment())
	if problems != nil {
		t.Fatal(problems)
	}
	for _, claim := range []string{"", "default", "pro"} {
		for _, p := range []policy.Plans{plans, empty} {
			if diff := cmp.Diff(want, p.For(claim)); diff != "" {
				t.Errorf("plan of %q (-want +got):\n%s", claim, diff)
			}
		}
	}
}

func TestAPlanOpensExactlyWhatItNames(t *testing.T) {
	p := environment().Plan
	if !p.MayUse("text") || p.MayUse("responses") || p.MayUse("") || p.MayUse("Text") {
		t.Error("endpoints are opened that the plan does not name")
	}
	if !p.MayAsk("gpt-6-luna") || p.MayAsk("gpt-6-luna-2026-09-22") || p.MayAsk("") || p.MayAsk("gpt-6") {
		t.Error("models are allowed that the plan does not name")
	}
	p.ServiceTiers = []string{"flex"}
	if !p.MayTier("flex") || p.MayTier("priority") || p.MayTier("fast") || p.MayTier("") || p.MayTier("default") || p.MayTier("auto") || p.MayTier("Flex") {
		t.Error("service tiers are opened that the plan does not name")
	}
	none := policy.Plan{}
	if none.MayUse("") || none.MayUse("text") || none.MayAsk("") || none.MayAsk("gpt-6-luna") || none.MayTier("") || none.MayTier("flex") {
		t.Error("the zero plan allows something")
	}
	if none = none.WithFree(policy.Reviewed()); none.MayAsk("omni-moderation-latest") {
		t.Error("the zero plan has a model, though a free one")
	}
}

// TestTextAPIHasItsOwnModel: it is the operator's choice, whatever clients may ask
// for on /v1, until a plan's own list leaves it out.
func TestTextAPIHasItsOwnModel(t *testing.T) {
	d := environment()
	d.Plan.TextModel, d.Plan.Models = "gpt-4o", []string{"gpt-6-luna"}
	plans, problems := policy.ParsePlans([]byte(`{"none": {}, "without": {"models": ["gpt-6-sol"]}, "with": {"models": ["gpt-6-sol", "gpt-4o"]}, "snapshot": {"models": ["gpt-4o-2024-08-06"]}}`), d)
	if problems != nil {
		t.Fatal(problems)
	}
	for plan, want := range map[string]string{"": "gpt-4o", "none": "gpt-4o", "without": "", "with": "gpt-4o", "snapshot": ""} {
		if got := plans.For(plan).TextModel; got != want {
			t.Errorf("plan %q: %q answers on the text API, want %q", plan, got, want)
		}
	}
}

// TestFreeModerationsNeedNotBeNamed, where the endpoint is open to the plan.
func TestFreeModerationsNeedNotBeNamed(t *testing.T) {
	d := environment()
	d.Plan.Endpoints = []string{"text", "chat", "moderations"}
	d.Plan = d.Plan.WithFree(d.Prices)
	if got, want := d.Plan.Models, []string{"gpt-6-luna", "omni-moderation-2024-09-26", "omni-moderation-latest"}; !slices.Equal(got, want) {
		t.Errorf("the environment's plan has %q, want %q", got, want)
	}
	plans, problems := policy.ParsePlans([]byte(`{"own": {"models": ["omni-moderation-latest"]}, "none": {"models": []}, "closed": {"endpoints": ["chat"], "models": ["gpt-6-sol"]}}`), d)
	if problems != nil {
		t.Fatal(problems)
	}
	for plan, want := range map[string][]string{
		"":       d.Plan.Models,
		"own":    {"omni-moderation-latest", "omni-moderation-2024-09-26"},
		"none":   {"omni-moderation-2024-09-26", "omni-moderation-latest"},
		"closed": {"gpt-6-sol"},
	} {
		if got := plans.For(plan).Models; !slices.Equal(got, want) {
			t.Errorf("plan %q has %q, want %q", plan, got, want)
		}
	}

	d.Prices, problems = policy.ParsePrices([]byte(`{"version": "1", "models": {"omni-moderation-2024-09-26": {"kind": ["moderations"], "input": 1}, "acme-mod": {"kind": ["moderations"], "input": 0}}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	p := policy.Plan{Endpoints: []string{"moderations"}}.WithFree(d.Prices)
	if want := []string{"acme-mod", "omni-moderation-latest"}; !slices.Equal(p.Models, want) {
		t.Errorf("by the operator's prices %q are free, want %q", p.Models, want)
	}
}

func TestPlansReportEveryProblem(t *testing.T) {
	d := environment()
	d.LeastOutput = 1024
	plans, problems := policy.ParsePlans([]byte(`{
		"a": {"requests": "100", "streams": 0, "endpoints": ["responses"], "models": ["gpt-7"], "prompt_chars": 1.5, "output_tokens": 500,
			"budget_day": "-1", "budget_month": "$0"},
		"b": {"request": "1/1h", "Streams": 3, "stream": 3, "max_output_tokens": 5, "colour": 1},
		"c": {"requests": 100, "streams": "many", "endpoints": "text", "models": ["gpt-4o", "gpt-4o"], "prompt_chars": "8000", "output_tokens": 1e4,
			"budget_day": true, "budget_month": "1.0000000001"},
		"d": {"output_tokens_v1": 15, "system_messages": "yes", "logprobs": 1, "service_tiers": ["flex", "scale"]},
		"e": {"output_tokens_v1": 128001, "logprobs": null, "service_tiers": "flex", "max_output_tokens_v1": 5, "service_tier": ["flex"]},
		"d e": {},
		"f": null
	}`), d)
	if plans.For("a").Name != "default" {
		t.Error("a file with problems is in force")
	}
	var all strings.Builder
	for _, p := range problems {
		all.WriteString(p.Error() + "\n")
	}
	for _, want := range []string{
		`plan "a": requests "100" is not a rate`,
		`plan "a": streams must be a whole number from 1 to 100000, or "off"`,
		`plan "a": endpoints "responses" is not open on this server: ENDPOINTS is text, chat`,
		`plan "a": models "gpt-7" has no reviewed price`,
		`plan "a": prompt_chars must be a whole number from 1 to 1000000`,
		`plan "a": output_tokens must be a whole number from 1024 to 128000: the model reasons first`,
		`plan "a": budget_day "-1" is not an amount`,
		`plan "a": budget_month must be more than $0; for no cap write "off"`,
		`plan "b": "request" is unknown: did you mean "requests"?`,
		`plan "b": "Streams" is unknown: did you mean "streams"?`,
		`plan "b": "stream" is unknown: did you mean "streams"?`,
		`plan "b": "max_output_tokens" is unknown: did you mean "output_tokens"?`,
		`plan "b": "colour" is unknown: there are requests, streams, endpoints, models, output_tokens_v1, system_messages, logprobs, service_tiers, prompt_chars, output_tokens, budget_day, budget_month`,
		`plan "c": requests must be text in quotes, not 100`,
		`plan "c": streams must be a whole number`,
		`plan "c": endpoints must be a list`,
		`plan "c": models names "gpt-4o" twice`,
		`plan "c": prompt_chars must be a whole number`,
		`plan "c": output_tokens must be a whole number`,
		`plan "c": budget_day must be a number, not true`,
		`plan "c": budget_month "1.0000000001" has more than 9 decimals`,
		`plan "d": output_tokens_v1 must be a whole number from 16 to 128000`,
		`plan "d": system_messages must be true or false, not "yes"`,
		`plan "d": logprobs must be true or false, not 1`,
		`plan "d": service_tiers "scale" is none that a plan can open: there are flex, priority, fast`,
		`plan "e": output_tokens_v1 must be a whole number from 16 to 128000`,
		`plan "e": logprobs must be true or false, not null`,
		`plan "e": service_tiers must be a list`,
		`plan "e": "max_output_tokens_v1" is unknown: did you mean "output_tokens_v1"?`,
		`plan "e": "service_tier" is unknown: did you mean "service_tiers"?`,
		`plan "d e" is not a plan's name`,
		`plan "f" must be an object`,
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if len(problems) != 32 {
		t.Errorf("%d problems, want 32", len(problems))
	}
	if t.Failed() {
		t.Log(all.String())
	}
}

func TestPlansFileThatIsNoFile(t *testing.T) {
	for _, text := range []string{"", "null", "[]", "{", "{} {}", `{"a": {}, "a": {}}`, `{"a": {"streams": 1, "streams": 2}}`, "{\"\xff\": {}}"} {
		plans, problems := policy.ParsePlans([]byte(text), environment())
		if len(problems) == 0 || plans.For("a").Name != "default" {
			t.Errorf("%q was read", text)
		}
	}
}

// FuzzPlans: whatever the file says, nobody gets an endpoint or a model that the
// server does not have, nor a limit that is none by mistake.
func FuzzPlans(f *testing.F) {
	f.Add(`{"pro": {"requests": "1000/1h", "streams": "off", "endpoints": ["text"], "models": ["o3"], "budget_day": "$5", "budget_month": "off"}}`, "pro")
	f.Add(`{"default": {"prompt_chars": 1, "output_tokens": 128000, "budget_day": 0.000000001}}`, "x")
	f.Add(`{"a": {"models": [], "endpoints": ["chat"], "output_tokens_v1": 16, "system_messages": false, "logprobs": true, "service_tiers": ["priority"]}}`, "a")
	f.Fuzz(func(t *testing.T, text, claim string) {
		d := environment()
		plans, problems := policy.ParsePlans([]byte(text), d)
		p := plans.For(claim)
		if problems != nil && p.Name != "default" {
			t.Fatalf("%q has problems and is in force", text)
		}
		for _, e := range p.Endpoints {
			if !d.Plan.MayUse(e) {
				t.Fatalf("%q opens %q", text, e)
			}
		}
		for _, m := range p.Models {
			if !d.Prices.Knows(m, policy.Chat) && !d.Prices.Knows(m, policy.Embeddings) && !d.Prices.Knows(m, policy.Moderations) {
				t.Fatalf("%q allows %q, which has no price", text, m)
			}
		}
		if p.TextModel != "" && p.TextModel != d.Plan.TextModel || p.TextModel != "" && !p.MayAsk(p.TextModel) {
			t.Fatalf("%q: %q answers on the text API, of %q", text, p.TextModel, p.Models)
		}
		for _, tier := range p.ServiceTiers {
			if tier != "flex" && tier != "priority" && tier != "fast" {
				t.Fatalf("%q opens the service tier %q", text, tier)
			}
		}
		if p.OutputTokensV1 < 16 || p.UserDay <= 0 || p.UserMonth <= 0 || p.Streams < 1 || p.PromptChars < 1 || p.OutputTokens < 1 || p.Requests.Count < 0 {
			t.Fatalf("%q gives %+v", text, p)
		}
	})
}
