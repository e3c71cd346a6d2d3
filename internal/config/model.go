package config

import (
	"fmt"
	"strings"
	"time"

	"keyshield/internal/policy"
)

// leastReasoning is the smallest output limit for a model that reasons: its
// reasoning counts against it, and below this nothing may be left to say.
const leastReasoning = 1024

// checkModel refuses what the model would refuse, at start-up instead of at the
// first prompt; and what would be paid for and come back empty.
func (l *Loaded) checkModel(now time.Time) {
	c := l.Config.Text
	if !l.sound("OPENAI_MODEL") || !l.sound("REASONING_EFFORT") {
		return
	}
	m, known := policy.Lookup(c.Model)
	if !known {
		l.checkUnknownModel(c)
		return
	}
	l.checkRetirement("OPENAI_MODEL", m, "OPENAI_MODEL=gpt-6-luna", now)

	effort := c.ReasoningEffort
	if !m.Reasons {
		if effort != "none" {
			l.problem("REASONING_EFFORT", fmt.Sprintf("REASONING_EFFORT is %s, but %s does not reason", effort, m.ID), "REASONING_EFFORT=none")
		}
		return
	}
	if !m.TakesEffort(effort) {
		l.problem("REASONING_EFFORT", fmt.Sprintf("REASONING_EFFORT is %s, but %s takes only %s", effort, m.ID, strings.Join(m.Efforts, ", ")), "REASONING_EFFORT="+m.Efforts[0])
		effort = m.Efforts[0] // what else is wrong, if that is what it will be
	}
	if effort == "none" {
		return
	}
	if c.Temperature != nil && l.sound("TEMPERATURE") {
		text := fmt.Sprintf("TEMPERATURE is set, but %s takes none while it reasons: leave it empty, or set REASONING_EFFORT=none", m.ID)
		if !m.Temperature {
			text = fmt.Sprintf("TEMPERATURE is set, but %s takes none: leave it empty", m.ID)
		}
		l.problem("TEMPERATURE", text, "TEMPERATURE=")
	}
	if c.MaxOutputTokens < leastReasoning && l.Config.Server.Endpoints.open(policy.TextEndpoint) && l.sound("MAX_OUTPUT_TOKENS") {
		l.problem("MAX_OUTPUT_TOKENS", fmt.Sprintf("MAX_OUTPUT_TOKENS is %d, but %s reasons first, which counts: with less than %d it may have nothing left to answer with", c.MaxOutputTokens, m.ID, leastReasoning), fmt.Sprintf("MAX_OUTPUT_TOKENS=%d", leastReasoning))
	}
}

// checkUnknownModel: such a model is sent max_completion_tokens, and no
// reasoning_effort; a temperature only because the operator says so.
func (l *Loaded) checkUnknownModel(c Text) {
	if c.ReasoningEffort != "none" {
		l.problem("REASONING_EFFORT", fmt.Sprintf("REASONING_EFFORT is %s, but whether %s takes that is not known here, so it would not be sent", c.ReasoningEffort, c.Model), "REASONING_EFFORT=none")
	}
	advice := ""
	if c.MaxOutputTokens < leastReasoning {
		advice = fmt.Sprintf(" If it reasons, its answers may come back empty with MAX_OUTPUT_TOKENS below %d.", leastReasoning)
	}
	l.warn(fmt.Sprintf("OPENAI_MODEL %s is not among the models known here: it is asked without reasoning_effort, and as it is spelt.%s", c.Model, advice))
}

// leastOutput is the smallest output limit that leaves the model something to say.
func (l *Loaded) leastOutput() int {
	c := l.Config.Text
	if m, known := policy.Lookup(c.Model); known && m.Reasons && c.ReasoningEffort != "none" {
		return leastReasoning
	}
	return 1
}

// checkRetirement looks after a model that the setting name asks for; instead is
// a line without it.
func (l *Loaded) checkRetirement(name string, m policy.Model, instead string, now time.Time) {
	day := m.Retires.Format(time.DateOnly)
	switch {
	case m.RetiredBy(now):
		l.warn(fmt.Sprintf("%s %s was retired by OpenAI on %s and answers no more. Set %s, or another.", name, m.ID, day, instead))
	case !m.Retires.IsZero():
		l.warn(fmt.Sprintf("%s %s will be retired by OpenAI on %s. Plan for %s, or another.", name, m.ID, day, instead))
	}
}
