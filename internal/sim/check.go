package sim

import (
	"slices"
	"strings"
)

var (
	roles   = []string{"system", "assistant", "user", "function", "tool", "developer"}
	tiers   = []string{"auto", "default", "flex", "scale", "priority", "fast"}
	efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}
)

// lastWord is the text of the last user message, or of the last message when
// there is none by a user.
func (r *chatRequest) lastWord() string {
	for _, m := range slices.Backward(r.Messages) {
		if m.Role == "user" {
			return m.Content.text
		}
	}
	if n := len(r.Messages); n > 0 {
		return r.Messages[n-1].Content.text
	}
	return ""
}

// limit is the output limit asked for; 0 when there is none.
func (r *chatRequest) limit() int {
	for _, limit := range []*int{r.MaxCompletionTokens, r.MaxTokens} {
		if limit != nil {
			return *limit
		}
	}
	return 0
}

// check refuses what OpenAI refuses of a well-formed request. models is the list
// of those served, if there is one.
func (r *chatRequest) check(models []string) error {
	switch {
	case r.Model == "":
		return invalid("", "", "you must provide a model parameter")
	case r.Messages == nil:
		return invalid("messages", "missing_required_parameter", "Missing required parameter: 'messages'.")
	case len(r.Messages) == 0:
		return invalid("messages", "empty_array", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	case models != nil && !slices.Contains(models, r.Model):
		return noSuchModel(r.Model)
	}
	for i, m := range r.Messages {
		if err := m.check(i); err != nil {
			return err
		}
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
		return invalid(at("role"), "missing_required_parameter", "Missing required parameter: '%s'.", at("role"))
	case !slices.Contains(roles, m.Role):
		return invalidValue(at("role"), m.Role, roles)
	case !m.Content.given && m.Role != "assistant":
		return invalid("messages.["+itoa(i)+"].content", "", "Invalid value for 'content': expected a string, got null.")
	case m.Role == "tool" && m.ToolCallID == "":
		return invalid(at("tool_call_id"), "missing_required_parameter", "Missing required parameter: '%s'.", at("tool_call_id"))
	}
	return nil
}

func invalidValue(param, value string, values []string) error {
	last := len(values) - 1
	return invalid(param, "invalid_value", "Invalid value: '%s'. Supported values are: '%s', and '%s'.", value,
		strings.Join(values[:last], "', '"), values[last])
}

func (r *chatRequest) checkRanges() error {
	for _, v := range []struct {
		name        string
		value       *float64
		least, most float64
	}{
		{"temperature", r.Temperature, 0, 2},
		{"top_p", r.TopP, 0, 1},
		{"presence_penalty", r.PresencePenalty, -2, 2},
		{"frequency_penalty", r.FrequencyPenalty, -2, 2},
	} {
		switch {
		case v.value != nil && *v.value < v.least:
			return invalid(v.name, "decimal_below_min_value", "Invalid '%s': decimal below minimum value. Expected a value >= %v, but got %v instead.", v.name, v.least, *v.value)
		case v.value != nil && *v.value > v.most:
			return invalid(v.name, "decimal_above_max_value", "Invalid '%s': decimal above maximum value. Expected a value <= %v, but got %v instead.", v.name, v.most, *v.value)
		}
	}
	for _, v := range []struct {
		name        string
		value       *int
		least, most int
	}{
		{"max_tokens", r.MaxTokens, 1, 1 << 30},
		{"max_completion_tokens", r.MaxCompletionTokens, 1, 1 << 30},
		{"n", r.N, 1, 128},
		{"top_logprobs", r.TopLogprobs, 0, 20},
	} {
		switch {
		case v.value != nil && *v.value < v.least:
			return invalid(v.name, "integer_below_min_value", "Invalid '%s': integer below minimum value. Expected a value >= %d, but got %d instead.", v.name, v.least, *v.value)
		case v.value != nil && *v.value > v.most:
			return invalid(v.name, "integer_above_max_value", "Invalid '%s': integer above maximum value. Expected a value <= %d, but got %d instead.", v.name, v.most, *v.value)
		}
	}
	switch {
	case r.MaxTokens != nil && r.MaxCompletionTokens != nil:
		return invalid("max_tokens", "invalid_parameter_combination", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
	case r.StreamOptions != nil && !r.Stream:
		return invalid("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
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

func unsupported(param string) error {
	return invalid(param, "unsupported_parameter", "Unsupported parameter: '%s' is not supported with this model.", param)
}
