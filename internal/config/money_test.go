package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/config"
	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// with is what serve makes of files (name, content, …) and changes.
func with(t *testing.T, files map[string]string, changes ...string) *config.Loaded {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return config.Load(config.Serve, right(changes...), dir)
}

// about returns the texts of all problems with name.
func about(l *config.Loaded, name string) (texts []string) {
	for _, p := range l.Problems {
		if p.Name == name {
			texts = append(texts, p.Text)
		}
	}
	return texts
}

func TestADayIsAFifthOfTheMonthUnlessSet(t *testing.T) {
	for _, tc := range []struct{ month, day, want string }{
		{"", "", "$4"}, {"100", "", "$20"}, {"0.01", "", "$0.002"}, {"1000000", "", "$200000"}, {"100", "3", "$3"}, {"100", "off", "off"}, {"off", "3", "$3"},
	} {
		l := serve(t, "BUDGET_MONTH="+tc.month, "BUDGET_DAY="+tc.day)
		if got := l.Config.Money.BudgetDay.String(); got != tc.want || len(l.Problems) > 0 {
			t.Errorf("month %q, day %q: a day has %s, want %s; %+v", tc.month, tc.day, got, tc.want, l.Problems)
		}
	}
}

// TestNoBudgetIsSaidInFullAndWarnedOfLoudly: what is off must have been meant.
func TestNoBudgetIsSaidInFullAndWarnedOfLoudly(t *testing.T) {
	l := serve(t, "BUDGET_MONTH=off")
	if text, fix := problemOf(l, "BUDGET_DAY"); !strings.Contains(text, "BUDGET_MONTH, which is off") || fix == "" {
		t.Errorf("a fifth of nothing: %+v", l.Problems)
	}
	l = serve(t, "BUDGET_MONTH=off", "BUDGET_DAY=off")
	if len(l.Problems) > 0 || !strings.Contains(strings.Join(l.Warnings, "\n"), "NOTHING HERE LIMITS WHAT OPENAI MAY BILL.") {
		t.Errorf("neither month nor day: %+v %q", l.Problems, l.Warnings)
	}
	if m := l.Config.Money; money.USD(m.BudgetMonth) != policy.NoCap || money.USD(m.BudgetDay) != policy.NoCap {
		t.Errorf("off is %d and %d, want policy.NoCap", m.BudgetMonth, m.BudgetDay)
	}
	l = serve(t, "BUDGET_MONTH=off", "BUDGET_DAY=3")
	if len(l.Problems) > 0 || !strings.Contains(strings.Join(l.Warnings, "\n"), "IN A MONTH, only in a day ($3)") {
		t.Errorf("no month: %+v %q", l.Problems, l.Warnings)
	}
}

// TestDollarSignInDotEnvIsNoSilentDefault: godotenv makes nothing of $5, and
// nothing would be the default of $20.
func TestDollarSignInDotEnvIsNoSilentDefault(t *testing.T) {
	for _, line := range []string{"BUDGET_MONTH=$5", `BUDGET_MONTH="$5"`, "export BUDGET_MONTH = $0.5", "BUDGET_MONTH: ${5}"} {
		l := with(t, map[string]string{".env": line + "\n"})
		if texts := about(l, "BUDGET_MONTH"); len(texts) != 1 || !strings.Contains(texts[0], "leave it out") {
			t.Errorf("%s is read as %s: %q", line, l.Config.Money.BudgetMonth, texts)
		}
	}
	for _, line := range []string{"BUDGET_MONTH=5", "BUDGET_MONTH='$5'"} {
		if l := with(t, map[string]string{".env": line + "\n"}); l.Config.Money.BudgetMonth.String() != "$5" || len(l.Problems) > 0 {
			t.Errorf("%s is read as %s: %+v", line, l.Config.Money.BudgetMonth, l.Problems)
		}
	}
}

func TestEnvironmentIsTheDefaultPlan(t *testing.T) {
	l := serve(t, "RATE_LIMIT_USER=7/1m", "MAX_STREAMS_PER_USER=off", "MAX_PROMPT_CHARS=500", "MAX_OUTPUT_TOKENS=99", "OPENAI_MODEL=gpt-6-sol", "BUDGET_USER_DAY=2", "BUDGET_USER_MONTH=10",
		"ENDPOINTS=text,responses,moderations", "MODELS=gpt-6-luna,gpt-4o", "MAX_OUTPUT_TOKENS_V1=512")
	want := policy.Plan{
		Name: "default", Requests: policy.Rate{Count: 7, Period: 60e9}, Streams: policy.Unlimited, Endpoints: []string{"text", "responses", "moderations"},
		TextModel: "gpt-6-sol", PromptChars: 500, OutputTokens: 99, UserDay: 2 * money.Dollar, UserMonth: 10 * money.Dollar,
		Models: []string{"gpt-6-luna", "gpt-4o", "omni-moderation-2024-09-26", "omni-moderation-latest"}, OutputTokensV1: 512, SystemMessages: true,
	}
	if diff := cmp.Diff(want, l.Config.Plans.For("")); diff != "" || len(l.Problems) > 0 {
		t.Errorf("(-want +got):\n%s\n%+v", diff, l.Problems)
	}
	if got := serve(t).Config.Plans.For("pro").UserMonth; got != policy.NoCap {
		t.Errorf("a user's month that was not set is %s, want as much as all together", got)
	}
}

func TestPlansStandOnTheEnvironment(t *testing.T) {
	l := with(t, map[string]string{"plans.json": `{"pro": {"requests": "9/1s", "budget_day": "$3", "output_tokens": 700}, "closed": {"endpoints": []}}`},
		"PLANS_FILE=plans.json", "BUDGET_USER_DAY=0.25", "MAX_PROMPT_CHARS=400")
	if len(l.Problems) > 0 {
		t.Fatal(l.Problems)
	}
	plans := l.Config.Plans
	if pro := plans.For("pro"); pro.Requests.Count != 9 || pro.UserDay != 3*money.Dollar || pro.OutputTokens != 700 || pro.PromptChars != 400 || !pro.MayAsk("gpt-6-luna") {
		t.Errorf("pro = %+v", pro)
	}
	if other := plans.For("unheard-of"); other.Name != "default" || other.UserDay != money.Dollar/4 {
		t.Errorf("an unknown plan gets %+v, want the environment's", other)
	}
	if plans.For("closed").MayUse("text") {
		t.Error("a plan without endpoints may use one")
	}
	var out strings.Builder
	l.Print(&out)
	if !strings.Contains(out.String(), "environment (closed, pro)") {
		t.Errorf("the plans are not listed:\n%s", out.String())
	}
}

// TestEveryProblemOfAFileIsReported, with the file's name and the place in it.
func TestEveryProblemOfAFileIsReported(t *testing.T) {
	l := with(t, map[string]string{
		"plans.json": `{"free": {"request": "9/1s", "streams": 0}, "pro": {"models": ["gpt-9"], "endpoints": ["chat"]}}`,
	}, "PLANS_FILE=plans.json")
	for _, want := range []string{`"plans.json": plan "free": "request" is unknown: did you mean "requests"?`, `"plans.json": plan "free": streams must`, `plan "pro": models "gpt-9"`, `plan "pro": endpoints "chat"`} {
		if all := about(l, "PLANS_FILE"); len(all) != 4 || !strings.Contains(strings.Join(all, "\n"), want) {
			t.Errorf("no %q in %q", want, all)
		}
	}
	l = with(t, map[string]string{"plans.json": `{"pro": {"models": ["a"]}}`, "prices.json": `{"version": "1", "models": {"a": {"kind": ["chat"], "input": 1}, "b-latest": {"kind": ["chat"], "input": 1, "output": 1}}}`},
		"PLANS_FILE=plans.json", "PRICES_FILE=prices.json", "OPENAI_MODEL=a")
	if diff := cmp.Diff([]string{"PRICES_FILE", "PRICES_FILE"}, names(l)); diff != "" {
		t.Errorf("what follows from bad prices is not reported twice (-want +got):\n%s\n%+v", diff, l.Problems)
	}
}

func TestFilesDoNotShowSecretsNorWriteToTheTerminal(t *testing.T) {
	l := with(t, map[string]string{"plans.json": `{"pro": {"requests": "sk-` + canary + `"}, "x` + "\\u001b" + `[31m": {"streams": [1,` + "\n\t" + `2]}}`}, "PLANS_FILE=plans.json")
	for _, p := range l.Problems {
		if strings.ContainsAny(p.Text, "\x1b\n\t") || shows(p.Text) != "" {
			t.Errorf("shown: %q", p.Text)
		}
	}
	if len(l.Problems) < 2 {
		t.Errorf("problems: %+v", l.Problems)
	}
}

func TestAPlanMustBeAbleToAsk(t *testing.T) {
	l := with(t, map[string]string{"plans.json": `{
		"poor": {"budget_day": "0.0000001"},
		"tight": {"budget_month": "0.0002"},
		"wordy": {"prompt_chars": 50000},
		"elsewhere": {"models": ["gpt-6-sol"]},
		"closed": {"endpoints": [], "budget_day": "0.0000001"}}`}, "PLANS_FILE=plans.json", "OPENAI_BASE_URL=http://127.0.0.1:9")
	if all := about(l, "PLANS_FILE"); len(all) != 1 || !strings.Contains(all[0], `plan "poor": budget_day ($0.0000001) is less than its shortest prompt can cost ($0.0`) {
		t.Errorf("problems: %q", all)
	}
	warnings := strings.Join(l.Warnings, "\n")
	for _, want := range []string{`plan "tight": budget_month ($0.0002) is less than its longest`, `prompt_chars of plan "wordy" in PLANS_FILE (50000)`, `plan "elsewhere" has the endpoint "text", but not the model`} {
		if len(l.Warnings) != 3 || !strings.Contains(warnings, want) {
			t.Errorf("no %q in:\n%s", want, warnings)
		}
	}
}

// TestBudgetsAreHeldAgainstTheCeilingThatIsCharged, figure by figure.
func TestBudgetsAreHeldAgainstTheCeilingThatIsCharged(t *testing.T) {
	text, err := policy.NewText(policy.TextSettings{Model: "gpt-4o", SystemPrompt: "Be brief.", MaxOutputTokens: 50})
	if err != nil {
		t.Fatal(err)
	}
	ceiling := func(prompt string, stream bool) money.USD {
		body := text.Append(nil, prompt, strings.Repeat("p", 43), stream)
		cost, err := policy.Reviewed().Ceiling("gpt-4o", policy.Chat, policy.Bounds{BodyBytes: len(body), OutputLimit: 50}, policy.Same, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return cost
	}
	least, most := ceiling("x", false), ceiling(strings.Repeat("\U0001F600", 200), true)
	for _, tc := range []struct {
		budget   money.USD
		problem  bool
		warnings int
	}{{least - 1, true, 0}, {least, false, 1}, {most - 1, false, 1}, {most, false, 0}} {
		l := serve(t, "OPENAI_BASE_URL=http://127.0.0.1:9", "OPENAI_MODEL=gpt-4o", "SYSTEM_PROMPT=Be brief.", "MAX_OUTPUT_TOKENS=50", "MAX_PROMPT_CHARS=200", "BUDGET_USER_DAY="+tc.budget.String())
		said := 0
		for _, w := range l.Warnings {
			if strings.Contains(w, "longest prompt can cost ("+most.String()+")") {
				said++
			}
		}
		texts := about(l, "BUDGET_USER_DAY")
		if (len(texts) == 1) != tc.problem || said != tc.warnings {
			t.Errorf("a budget of %s between %s and %s: %q, %q", tc.budget, least, most, texts, l.Warnings)
		}
		if tc.problem && !strings.Contains(texts[0], fmt.Sprintf("(%s) is less than the shortest prompt can cost (%s)", tc.budget, least)) {
			t.Errorf("the figures are not told: %s", texts[0])
		}
	}
}

func TestModelsWithoutAPriceAreRefused(t *testing.T) {
	for _, model := range []string{"gpt-99-mystery", "gpt-4o-latest", "gpt-4o-search-preview", "text-embedding-3-small", "o1-pro"} {
		if text, fix := problemOf(serve(t, "OPENAI_MODEL="+model), "OPENAI_MODEL"); !strings.Contains(text, "no reviewed price") || !strings.Contains(fix, "PRICES_FILE") {
			t.Errorf("%s: %q, %q", model, text, fix)
		}
	}
	l := with(t, map[string]string{"prices.json": `{"version": "mine", "models": {"gpt-99-mystery": {"kind": ["chat"], "input": 1, "output": 2}}}`},
		"OPENAI_MODEL=gpt-99-mystery", "PRICES_FILE=prices.json")
	if len(l.Problems) > 0 || !l.Config.Prices.Knows("gpt-99-mystery", policy.Chat) || !strings.HasSuffix(l.Config.Prices.Version(), "+mine") {
		t.Errorf("with a price of the operator's: %+v, %s", l.Problems, l.Config.Prices.Version())
	}
	if l := config.Load(config.Dev, []string{"OPENAI_MODEL=gpt-99-mystery"}, t.TempDir()); len(l.Problems) != 1 {
		t.Errorf("dev counts money too: %+v", l.Problems)
	}
}

func TestUnknownHostsMustSayWhatTheyCharge(t *testing.T) {
	for _, tc := range []struct {
		url, set string
		want     policy.Multiplier
		warns    bool
	}{
		{"https://api.openai.com/v1", "", 1000, false},
		{"https://eu.api.openai.com/v1", "", 1100, false},
		{"http://127.0.0.1:9", "", 1000, false},
		{"http://[::1]:9/v1", "", 1000, false},
		{"https://llm.example.com/v1", "1", 1000, false},
		{"https://llm.example.com/v1", "2.5", 2500, false},
		{"https://eu.api.openai.com/v1", "1.2", 1200, false},
		{"https://eu.api.openai.com/v1", "1", 1000, true},
	} {
		l := serve(t, "OPENAI_BASE_URL="+tc.url, "PRICE_MULTIPLIER="+tc.set)
		warned := strings.Contains(strings.Join(l.Warnings, ""), "PRICE_MULTIPLIER=1 is less than")
		if len(l.Problems) > 0 || l.Config.Multiplier != tc.want || l.Config.Money.PriceMultiplier != tc.want || warned != tc.warns {
			t.Errorf("%s, %q: %s, want %s; %+v %q", tc.url, tc.set, l.Config.Multiplier, tc.want, l.Problems, l.Warnings)
		}
	}
	text, fix := problemOf(serve(t, "OPENAI_BASE_URL=https://llm.example.com/v1"), "PRICE_MULTIPLIER")
	if !strings.Contains(text, `"llm.example.com"`) || fix != "PRICE_MULTIPLIER=1" {
		t.Errorf("%q, %q", text, fix)
	}
}
