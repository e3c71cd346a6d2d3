package main

import (
	"fmt"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"keyshield/internal/auth"
	"keyshield/internal/policy"
)

// onPlan is a header with a token that names a plan; "" names none.
func onPlan(t *testing.T, user, plan string) string {
	t.Helper()
	return "Authorization: Bearer " + mintFor(t, auth.Claims{Subject: user, Plan: plan})
}

// plansAre is a PLANS_FILE.
func plansAre(t *testing.T, text string) (setting string) {
	t.Helper()
	return "PLANS_FILE=" + writeFile(t, "plans.json", text)
}

// plansRule: each member of a plan, beside users who are on another.
func plansRule(t *testing.T) {
	for name, show := range map[string]func(*testing.T){
		"requests": planLimitsRequests, "streams": planLimitsStreams, "endpoints and models": planOpensEndpointsAndModels,
		"prompt_chars and output_tokens": planBoundsTexts, "budgets": planHasBudgets, "default": plansHaveADefault,
		"output_tokens_v1": planBoundsV1, "system_messages": planForbidsSystemMessages, "logprobs": planOpensLogprobs, "service_tiers": planOpensTiers,
		"models on /v1": planOpensModels,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); show(t) })
	}
}

func planLimitsRequests(t *testing.T) {
	notAtTheTurn(t)
	r := start(t, "RATE_LIMIT_USER=5/1h", plansAre(t, `{"tight": {"requests": "1/1h"}, "free": {"requests": "off"}}`))
	r.ask("hi", onPlan(t, "ana", "tight")).wants200(t, jsonForm)
	r.ask("hi", onPlan(t, "ana", "tight")).wants(t, 429, "rate_limited")
	if said := rates(r.ask("hi", onPlan(t, "bob", ""))); said[3] != "5;w=3600" {
		t.Errorf("who is on no plan is told %v, want 5 an hour", said)
	}
	for range 7 {
		r.ask("hi", onPlan(t, "eve", "free")).wants200(t, jsonForm)
	}
}

func planLimitsStreams(t *testing.T) {
	r := start(t, "MAX_STREAMS_PER_USER=2", plansAre(t, `{"one": {"streams": 1}, "many": {"streams": "off"}}`))
	for plan, room := range map[string]int{"one": 1, "": 2, "many": 4} {
		who := onPlan(t, "on"+plan, plan)
		for range room {
			openStream(t, r, who)
		}
		if plan != "many" {
			r.ask("hi", who, "Accept: text/event-stream").wants(t, 429, "too_many_streams")
		}
	}
}

func planOpensEndpointsAndModels(t *testing.T) {
	r := start(t, plansAre(t, `{"suspended": {"endpoints": []}, "other": {"models": ["gpt-6-sol"]}, "both": {"endpoints": ["text"], "models": ["gpt-6-sol", "gpt-6-luna"]}}`))
	r.untouched(func() {
		r.ask("hi", onPlan(t, "ana", "suspended")).wants(t, 403, "endpoint_not_allowed")
		r.post("/api/ai/chat", `{"message": "hi"}`, onPlan(t, "ana", "suspended")).wants(t, 403, "endpoint_not_allowed")
		r.ask("hi", onPlan(t, "ana", "other")).wants(t, 403, "model_not_allowed")
	})
	r.ask("hi", onPlan(t, "ana", "both")).wants200(t, jsonForm)
	if model := lastCall(t, r)["model"]; model != "gpt-6-luna" {
		t.Errorf("asked %v: the operator chooses the model, the plan only allows it", model)
	}
}

func planBoundsTexts(t *testing.T) {
	r := start(t, plansAre(t, `{"short": {"prompt_chars": 5, "output_tokens": 9}, "long": {"prompt_chars": 400, "output_tokens": 700}}`))
	for plan, want := range map[string]struct {
		chars  int
		output float64
	}{"short": {5, 9}, "": {300, 150}, "long": {400, 700}} {
		who := onPlan(t, "ana", plan)
		r.ask(fmt.Sprintf("%0*d", want.chars, 0), who).wants200(t, jsonForm)
		if got := lastCall(t, r)["max_completion_tokens"]; got != want.output {
			t.Errorf("plan %q: max_completion_tokens is %v, want %v", plan, got, want.output)
		}
		r.ask(fmt.Sprintf("%0*d", want.chars+1, 0), who).wants(t, 400, "prompt_too_long")
	}
}

func planHasBudgets(t *testing.T) {
	notAtTheTurn(t)
	c := ceilingFor(t, noProof)
	r := start(t, "BUDGET_USER_DAY="+times(3, c), plansAre(t, fmt.Sprintf(
		`{"day": {"budget_day": "%[1]v"}, "month": {"budget_day": "off", "budget_month": "%[1]v"}, "free": {"budget_day": "off"}}`, c)))
	for _, of := range []struct {
		plan  string
		admit int
	}{{"day", 1}, {"month", 1}, {"", 3}} {
		who := onPlan(t, "on"+of.plan, of.plan)
		for range of.admit {
			r.ask(noProof, who).wants200(t, jsonForm)
		}
		r.settled("on" + of.plan)
		end := endOfDay()
		if of.plan == "month" {
			end = endOfMonth()
		}
		r.ask(noProof, who).wantsExhausted(t, end)
	}
	for range 5 {
		r.ask(noProof, onPlan(t, "onfree", "free")).wants200(t, jsonForm)
	}
}

// plansHaveADefault: for those who name none, and for names that nobody wrote.
func plansHaveADefault(t *testing.T) {
	r := start(t, plansAre(t, `{"default": {"output_tokens": 11}, "pro": {"output_tokens": 77}}`))
	for plan, want := range map[string]float64{"": 11, "default": 11, "unheard-of": 11, "PRO": 11, "pro": 77} {
		r.ask("hi", onPlan(t, "ana", plan)).wants200(t, jsonForm)
		if got := lastCall(t, r)["max_completion_tokens"]; got != want {
			t.Errorf("plan %q: max_completion_tokens is %v, want %v", plan, got, want)
		}
	}
}

// planClaimIsThePlan: a name with dots is taken literally first, and then as a path.
func planClaimIsThePlan(t *testing.T) {
	plans := plansAre(t, `{"pro": {"output_tokens": 77}}`)
	keys := newKeyServer(t)
	for setting, claims := range map[string]jwt.MapClaims{
		"JWT_PLAN_CLAIM":                   {"plan": "pro"},
		"JWT_PLAN_CLAIM=tier":              {"tier": "pro", "plan": "free"},
		"JWT_PLAN_CLAIM=app_metadata.plan": {"app_metadata": map[string]any{"plan": "pro"}},
	} {
		r := start(t, "JWT_SECRET", "JWT_JWKS_URL="+keys.url+"/keys", "JWT_ISSUER="+keys.url, plans, setting)
		soon(t, "the key set", func() bool { return r.get("/readyz").status == 200 })
		for _, c := range []struct {
			claims jwt.MapClaims
			want   float64
		}{{claims, 77}, {jwt.MapClaims{"level": "pro"}, 150}} {
			r.ask("hi", "Authorization: Bearer "+keys.token(t, merged(jwt.MapClaims{"iss": keys.url}, c.claims))).wants200(t, jsonForm)
			if got := lastCall(t, r)["max_completion_tokens"]; got != c.want {
				t.Errorf("%s, %v: max_completion_tokens is %v, want %v", setting, c.claims, got, c.want)
			}
		}
	}
}

// breakerOpens after so many failures without proof, and not at all when off.
func breakerOpens(t *testing.T) {
	for setting, failures := range map[string]int{"BREAKER=1/10s": 1, "BREAKER=5/1m": 5, "BREAKER": 3} {
		r := start(t, setting)
		for range failures {
			r.ask("[[sim status=500]]").wants(t, 502, "upstream_error")
		}
		r.untouched(func() { r.ask("hi").wants(t, 503, "unavailable") })
	}
	r := start(t, "BREAKER=off")
	for range 12 {
		r.ask("[[sim status=500]]").wants(t, 502, "upstream_error")
	}
	r.settled("ana")
	if got, want := r.mine("ana").Day.ChargedAtCeiling, times(12, r.ceilingOfLast(policy.Reviewed(), policy.Same)); got != want {
		t.Errorf("twelve failures are charged %s, want %s: each its ceiling", got, want)
	}
}
