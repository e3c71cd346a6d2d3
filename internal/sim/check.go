package sim

import (
	"maps"
	"slices"
	"strings"
)

var (
	roles     = []string{"system", "assistant", "user", "function", "tool", "developer"}
	tiers     = []string{"auto", "default", "flex", "scale", "priority", "fast"}
	callTypes = []string{"function", "custom"}
	efforts   = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}
)

// check refuses what OpenAI refuses of a well-formed request.
func (r *chatRequest) check(models []string) error {
	switch {
	case r.Model == "":
		return invalid("", "", "you must provide a model parameter")
	case r.Messages == nil:
		return missing("messages")
	case len(r.Messages) == 0:
		return invalid("messages", "empty_array", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	if err := serves(chats, r.Model, models); err != nil {
		return err
	}
	for i, m := range r.Messages {
		if err := m.check(i); err != nil {
			return err
		}
	}
	if err := r.checkPairs(); err != nil {
		return err
	}
	if err := r.checkRanges(); err != nil {
		return err
	}
	return r.checkModel()
}

func (m *message) check(i int) error {
	at := func(member string) string { return "messages[" + itoa(i) + "]." + member }
	switch {
	case m.Role == "":
		return missing(at("role"))
	case !slices.Contains(roles, m.Role):
		return invalidValue(at("role"), m.Role, roles)
	case !m.Content.given && m.Role != "assistant":
		return invalid("messages.["+itoa(i)+"].content", "", "Invalid value for 'content': expected a string, got null.")
	case m.Role == "tool" && m.ToolCallID == "":
		return missing(at("tool_call_id"))
	}
	for n := range m.ToolCalls {
		past := &m.ToolCalls[n]
		here := at("tool_calls") + "[" + itoa(n) + "]"
		switch {
		case m.Role != "assistant":
			return invalid(at("tool_calls"), "unknown_parameter", "Unknown parameter: '%s'.", at("tool_calls"))
		case past.ID == "":
			return missing(here + ".id")
		case past.Type != "function" && past.Type != "custom":
			return invalidValue(here+".type", past.Type, callTypes)
		case past.Type == "function" && (past.Function == nil || past.Function.Name == ""):
			return missing(here + ".function.name")
		case past.Type == "custom" && (past.Custom == nil || past.Custom.Name == ""):
			return missing(here + ".custom.name")
		}
	}
	return nil
}

// checkPairs wants every tool call answered at once, and every answer called for.
func (r *chatRequest) checkPairs() error {
	open := map[string]bool{}
	for i, m := range r.Messages {
		if m.Role == "tool" {
			if !open[m.ToolCallID] {
				return invalid("messages.["+itoa(i)+"].role", "", "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.")
			}
			delete(open, m.ToolCallID)
			continue
		}
		if len(open) > 0 {
			return unanswered(i, open)
		}
		for _, past := range m.ToolCalls {
			open[past.ID] = true
		}
	}
	if len(open) > 0 {
		return unanswered(len(r.Messages), open)
	}
	return nil
}

func unanswered(i int, open map[string]bool) error {
	ids := slices.Sorted(maps.Keys(open))
	return invalid("messages.["+itoa(i)+"].role", "", "An assistant message with 'tool_calls' must be followed by tool messages responding to each "+
		"'tool_call_id'. The following tool_call_ids did not have response messages: %s", strings.Join(ids, ", "))
}

func (r *chatRequest) checkRanges() error {
	if err := within([]decimal{
		{"temperature", r.Temperature, 0, 2},
		{"top_p", r.TopP, 0, 1},
		{"presence_penalty", r.PresencePenalty, -2, 2},
		{"frequency_penalty", r.FrequencyPenalty, -2, 2},
	}, []integer{
		{"max_tokens", r.MaxTokens, 1, 1 << 30},
		{"max_completion_tokens", r.MaxCompletionTokens, 1, 1 << 30},
		{"n", r.N, 1, 128},
		{"top_logprobs", r.TopLogprobs, 0, 20},
	}); err != nil {
		return err
	}
	switch {
	case r.MaxTokens != nil && r.MaxCompletionTokens != nil:
		return invalid("max_tokens", "invalid_parameter_combination", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
	case r.StreamOptions != nil && !r.Stream:
		return invalid("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	case r.ParallelToolCalls != nil && !present(r.Tools):
		return invalid("parallel_tool_calls", "", "'parallel_tool_calls' is only allowed when 'tools' are specified.")
	case r.ServiceTier != "" && !slices.Contains(tiers, r.ServiceTier):
		return invalidValue("service_tier", r.ServiceTier, tiers)
	case r.ReasoningEffort != "" && !slices.Contains(efforts, r.ReasoningEffort):
		return invalidValue("reasoning_effort", r.ReasoningEffort, efforts)
	case len(r.SafetyIdentifier) > 64:
		return invalid("safety_identifier", "string_above_max_length", "Invalid 'safety_identifier': string too long. Expected a string with maximum length 64, but got a string with length %d instead.", len(r.SafetyIdentifier))
	}
	return nil
}

// checkModel refuses what this kind of model does not take.
func (r *chatRequest) checkModel() error {
	can := abilities(r.Model)
	if !can.reason {
		if r.ReasoningEffort != "" {
			return invalid("", "", "Unrecognized request argument supplied: reasoning_effort")
		}
		return nil
	}
	if r.MaxTokens != nil {
		return invalid("max_tokens", "unsupported_parameter", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
	}
	if r.ReasoningEffort == "none" {
		if can.refrain {
			return nil
		}
		return invalid("reasoning_effort", "unsupported_value", "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'low', 'medium', and 'high'.")
	}
	switch {
	case r.Temperature != nil && *r.Temperature != 1:
		return invalid("temperature", "unsupported_value", "Unsupported value: 'temperature' does not support %v with this model. Only the default (1) value is supported.", *r.Temperature)
	case r.TopP != nil:
		return unsupported("top_p")
	case r.PresencePenalty != nil:
		return unsupported("presence_penalty")
	case r.FrequencyPenalty != nil:
		return unsupported("frequency_penalty")
	case r.Logprobs:
		return unsupported("logprobs")
	}
	return nil
}
