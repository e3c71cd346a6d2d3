package policy_test

import (
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
			Endpoints: []string{"text", "chat"}, Models: []string{"gpt-6-luna"},
			PromptChars: 300, OutputTokens: 150, UserDay: money.Dollar, UserMonth: policy.NoCap,
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
			"prompt_chars": 8000, "output_tokens": 2048, "budget_day": "$5", "budget_month": 12.5},
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
			Name: "pro", Streams: 20, Endpoints: []string{"text"}, Models: []string{"gpt-6-luna", "gpt-4o-2024-08-06", "text-embedding-3-small"},
			PromptChars: 8000, OutputTokens: 2048, UserDay: 5 * money.Dollar, UserMonth: 25 * money.Dollar / 2,
		},
		"free":      with("free", func(p *policy.Plan) { p.UserDay, p.Streams = money.Dollar/20, policy.Unlimited }),
		"suspended": with("suspended", func(p *policy.Plan) { p.Endpoints, p.Models = []string{}, []string{} }),
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
	if none := (policy.Plan{}); none.MayUse("") || none.MayUse("text") || none.MayAsk("") || none.MayAsk("gpt-6-luna") || none.UserDay != 0 {
		t.Error("the zero plan allows something")
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
		`plan "b": "colour" is unknown: there are requests, streams, endpoints, models, prompt_chars, output_tokens, budget_day, budget_month`,
		`plan "c": requests must be text in quotes, not 100`,
		`plan "c": streams must be a whole number`,
		`plan "c": endpoints must be a list`,
		`plan "c": models names "gpt-4o" twice`,
		`plan "c": prompt_chars must be a whole number`,
		`plan "c": output_tokens must be a whole number`,
		`plan "c": budget_day must be a number, not true`,
		`plan "c": budget_month "1.0000000001" has more than 9 decimals`,
		`plan "d e" is not a plan's name`,
		`plan "f" must be an object`,
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if len(problems) != 23 {
		t.Errorf("%d problems, want 23", len(problems))
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
		if p.UserDay <= 0 || p.UserMonth <= 0 || p.Streams < 1 || p.PromptChars < 1 || p.OutputTokens < 1 || p.Requests.Count < 0 {
			t.Fatalf("%q gives %+v", text, p)
		}
	})
}
