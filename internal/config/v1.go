package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"keyshield/internal/policy"
)

// usual is a model for each endpoint of /v1: what a fix proposes.
var usual = map[policy.Kind]string{
	policy.Chat: "gpt-6-luna", policy.Responses: "gpt-6-luna",
	policy.Embeddings: "text-embedding-3-small", policy.Moderations: policy.DefaultModeration,
}

// fillModels: unset, MODELS is the model that answers on the text API.
func (l *Loaded) fillModels() {
	c := &l.Config
	if !l.sound("ENDPOINTS") {
		c.Server.Endpoints = policy.Endpoints() // so that no plan is blamed for what it opens
	}
	if len(c.V1.Models) > 0 || !l.sound("MODELS") {
		return
	}
	c.V1.Models = Models{c.Text.Model}
	l.note("MODELS", "OPENAI_MODEL")
	if l.mode != Dev {
		return
	}
	l.note("MODELS", "OPENAI_MODEL, and for trying")
	for _, kind := range []policy.Kind{policy.Embeddings, policy.Moderations} {
		if m := usual[kind]; c.Server.Endpoints.open(string(kind)) && m != c.Text.Model {
			c.V1.Models = append(c.V1.Models, m)
		}
	}
}

// checkModels refuses a model whose cost nobody has reviewed, or that no endpoint
// asks, and an endpoint that would have no model to ask.
func (l *Loaded) checkModels(everyones policy.Plan, now time.Time) {
	set := l.Sources["MODELS"] != FromDefault
	if !l.sound("ENDPOINTS") || !l.sound("MODELS") || !set && !l.sound("OPENAI_MODEL") {
		return
	}
	open := l.Config.Server.Endpoints.kinds()
	closed := len(open) == 0
	if closed {
		l.checkNoV1()
		open = kindsOf(policy.Endpoints())
	}
	if set { // else it is OPENAI_MODEL, which is checked for itself
		for _, model := range l.Config.V1.Models {
			if why := l.unusable(model, open); why != "" {
				l.problem("MODELS", "MODELS "+why, "MODELS="+l.rightModels(open).String())
			} else {
				l.checkKnown(model, open, now)
			}
		}
	}
	if !closed && l.sound("MODELS") {
		l.checkServed(open, everyones.Models, set)
	}
}

// checkNoV1 warns of what is set for endpoints that are closed. What /api/chat and
// /api/completion go by is among it: they open with chat.
func (l *Loaded) checkNoV1() {
	for _, name := range []string{"MODELS", "MAX_OUTPUT_TOKENS_V1", "SYSTEM_PROMPT_V1", "MAX_BODY_V1"} {
		if l.Sources[name] != FromDefault {
			l.warn(fmt.Sprintf("%s has no effect: ENDPOINTS (%s) opens nothing of the OpenAI-compatible API.", name, l.Config.Server.Endpoints))
		}
	}
}

// checkServed finds a model for each endpoint.
func (l *Loaded) checkServed(open []policy.Kind, models []string, set bool) {
	var without []string
	for _, kind := range open {
		if !l.serves(models, kind) {
			without = append(without, string(kind))
		}
	}
	if without == nil {
		return
	}
	text := "MODELS names no model"
	if !set {
		text = "MODELS is not set, and OPENAI_MODEL (" + l.Config.Text.Model + ") is none"
	}
	text += " with a price for " + strings.Join(without, " and ") + ", which ENDPOINTS opens"
	l.problem("MODELS", text, "MODELS="+l.rightModels(open).String())
}

// serves reports whether one of models has a price for kind.
func (l *Loaded) serves(models []string, kind policy.Kind) bool {
	return slices.ContainsFunc(models, func(m string) bool { return l.Config.Prices.Knows(m, kind) })
}

// unusable says why a model cannot stand in MODELS.
func (l *Loaded) unusable(model string, open []policy.Kind) string {
	knows := func(kind policy.Kind) bool { return l.Config.Prices.Knows(model, kind) }
	var priced []string
	for _, kind := range kindsOf(policy.Endpoints()) {
		if knows(kind) {
			priced = append(priced, string(kind))
		}
	}
	switch {
	case slices.ContainsFunc(open, knows):
		return ""
	case len(priced) > 0:
		return fmt.Sprintf("names %s, which is for %s only, and ENDPOINTS opens none of that", model, strings.Join(priced, " and "))
	case strings.HasSuffix(model, "-latest"):
		return fmt.Sprintf("names %s, which may become another model at another price any day: name a model by its exact id", model)
	}
	return fmt.Sprintf("names %s, which has no reviewed price, so that no budget could hold: write its exact id, or give it a price in PRICES_FILE", model)
}

// rightModels are those of MODELS that can be asked, with one for each endpoint
// that has none.
func (l *Loaded) rightModels(open []policy.Kind) Models {
	var right Models
	for _, model := range l.Config.V1.Models {
		if l.unusable(model, open) == "" {
			right = append(right, model)
		}
	}
	for _, kind := range l.Config.Server.Endpoints.kinds() {
		switch {
		case l.serves(right, kind), kind == policy.Moderations: // whose free models need not be named
		case l.Config.Prices.Knows(l.Config.Text.Model, kind):
			right = append(right, l.Config.Text.Model)
		default:
			right = append(right, usual[kind])
		}
	}
	if len(right) == 0 {
		right = Models{usual[open[0]]}
	}
	return right
}

// checkKnown warns of a model that answers no more, or that nobody knows.
func (l *Loaded) checkKnown(model string, open []policy.Kind, now time.Time) {
	writes := slices.ContainsFunc(open, func(k policy.Kind) bool {
		return (k == policy.Chat || k == policy.Responses) && l.Config.Prices.Knows(model, k)
	})
	if !writes || model == l.Config.Text.Model {
		return // OPENAI_MODEL is warned of by itself
	}
	m, known := policy.Lookup(model)
	if !known {
		l.warn(fmt.Sprintf("MODELS has %s, which is not among the models known here: it is asked as it is spelt, and nobody checks what else it takes.", model))
		return
	}
	others := slices.DeleteFunc(slices.Clone(l.Config.V1.Models), func(other string) bool { return other == model })
	if !slices.Contains(others, usual[policy.Chat]) {
		others = append(others, usual[policy.Chat])
	}
	l.checkRetirement("MODELS", m, "MODELS="+others.String(), now)
}

// kindsOf are the endpoints of /v1 among names.
func kindsOf(names []string) []policy.Kind { return Endpoints(names).kinds() }
