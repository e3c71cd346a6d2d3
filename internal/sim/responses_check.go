package sim

import (
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var (
	itemTypes = []string{"message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
		"reasoning", "item_reference"}
	itemRoles = []string{"assistant", "system", "developer", "user"}
	fastTiers = append(tiers[:len(tiers):len(tiers)], "ultrafast")
	included  = []string{"file_search_call.results", "web_search_call.results", "web_search_call.action.sources", "message.input_image.image_url",
		"computer_call_output.output.image_url", "code_interpreter_call.outputs", "reasoning.encrypted_content", "message.output_text.logprobs"}
)

// check refuses what OpenAI refuses of a well-formed request.
func (r *responsesRequest) check(models []string) error {
	switch {
	case r.Model == "" && !present(r.Prompt):
		return missing("model")
	case !r.Input.given && r.PreviousResponseID == "" && !present(r.Prompt) && !present(r.Conversation):
		return invalid("", "missing_required_parameter", `One of "input" or "previous_response_id" or 'prompt' or 'conversation' must be provided.`)
	}
	if err := r.checkStored(); err != nil {
		return err
	}
	if err := serves(responses, r.Model, models); err != nil {
		return err
	}
	if r.Input.given && r.Input.items == nil && r.Input.text == "" {
		return invalid("input", "empty_array", "Invalid 'input': an empty text or array. Expected at least one item.")
	}
	for i := range r.Input.items {
		if err := r.Input.items[i].check("input[" + itoa(i) + "]"); err != nil {
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

// checkStored refuses what reads stored state: the simulator keeps none, and so
// knows of nothing.
func (r *responsesRequest) checkStored() error {
	switch {
	case r.PreviousResponseID != "" && present(r.Conversation):
		return invalid("", "mutually_exclusive_parameters", "Mutually exclusive parameters. Ensure you are only providing one of: 'previous_response_id' or 'conversation'.")
	case r.PreviousResponseID != "":
		return invalid("previous_response_id", "previous_response_not_found", "Previous response with id '%s' not found.", r.PreviousResponseID)
	case present(r.Conversation):
		return &refusal{http.StatusNotFound, "Conversation with id '" + idOf(r.Conversation) + "' not found.", invalidRequest, "", ""}
	case present(r.Prompt):
		return &refusal{http.StatusNotFound, "Prompt with id '" + idOf(r.Prompt) + "' not found.", invalidRequest, "", ""}
	case r.Background != nil && *r.Background && r.Store != nil && !*r.Store:
		return invalid("background", "", "Background mode requires 'store' to be true.")
	case r.Background != nil && *r.Background:
		return unsupported("background")
	}
	return nil
}

// idOf reads an id, alone or in an object.
func idOf(v jsontext.Value) string {
	var id string
	if json.Unmarshal(v, &id) != nil {
		var object struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(v, &object) // what has no id has the empty one
		id = object.ID
	}
	return id
}

func (i *item) check(at string) error {
	kind := i.kind()
	call := kind == "function_call" || kind == "custom_tool_call"
	switch {
	case kind == "":
		return missing(at + ".type")
	case kind == "item_reference":
		return &refusal{http.StatusNotFound, "Item with id '" + i.ID + "' not found.", invalidRequest, "input", ""}
	case !slices.Contains(itemTypes, kind):
		return invalidValue(at+".type", kind, itemTypes)
	case kind == "message" && !slices.Contains(itemRoles, i.Role):
		return invalidValue(at+".role", i.Role, itemRoles)
	case kind == "message" && !i.Content.given:
		return missing(at + ".content")
	case (call || i.isResult()) && i.CallID == "":
		return missing(at + ".call_id")
	case call && i.Name == "":
		return missing(at + ".name")
	case kind == "function_call" && i.Arguments == nil:
		return missing(at + ".arguments")
	case kind == "custom_tool_call" && i.Input == nil:
		return missing(at + ".input")
	case i.isResult() && !i.Output.given:
		return missing(at + ".output")
	}
	return nil
}

// checkPairs wants a call for every result, before it, and a result for every call.
func (r *responsesRequest) checkPairs() error {
	open := map[string]string{} // call id → type of its result
	for _, i := range r.Input.items {
		switch i.Type {
		case "function_call", "custom_tool_call":
			open[i.CallID] = i.Type + "_output"
		case "function_call_output", "custom_tool_call_output":
			if open[i.CallID] != i.Type {
				return invalid("input", "", "No tool call found for %s with call_id %s.", resultNames[i.Type], i.CallID)
			}
			delete(open, i.CallID)
		}
	}
	for _, i := range r.Input.items {
		if open[i.CallID] != "" {
			return invalid("input", "", "No tool output found for %s call %s.", callNames[i.Type], i.CallID)
		}
	}
	return nil
}

var (
	resultNames = map[string]string{"function_call_output": "function call output", "custom_tool_call_output": "custom tool call output"}
	callNames   = map[string]string{"function_call": "function", "custom_tool_call": "custom tool"}
)

func (r *responsesRequest) checkRanges() error {
	if err := within([]decimal{
		{"temperature", r.Temperature, 0, 2},
		{"top_p", r.TopP, 0, 1},
	}, []integer{
		{"max_output_tokens", r.MaxOutputTokens, 16, 1 << 30},
		{"max_tool_calls", r.MaxToolCalls, 1, 1 << 30},
		{"top_logprobs", r.TopLogprobs, 0, 20},
	}); err != nil {
		return err
	}
	for i, name := range r.Include {
		if !slices.Contains(included, name) {
			return invalidValue("include["+itoa(i)+"]", name, included)
		}
	}
	switch {
	case r.StreamOptions != nil && !r.Stream:
		return invalid("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	case r.ServiceTier != "" && !slices.Contains(fastTiers, r.ServiceTier):
		return invalidValue("service_tier", r.ServiceTier, fastTiers)
	case r.Truncation != "" && r.Truncation != "auto" && r.Truncation != "disabled":
		return invalidValue("truncation", r.Truncation, []string{"auto", "disabled"})
	case r.effort() != "" && !slices.Contains(efforts, r.effort()):
		return invalidValue("reasoning.effort", r.effort(), efforts)
	case len(r.SafetyIdentifier) > 64:
		return invalid("safety_identifier", "string_above_max_length", "Invalid 'safety_identifier': string too long. Expected a string with maximum length 64, but got a string with length %d instead.", len(r.SafetyIdentifier))
	case len(r.Metadata) > 16:
		return invalid("metadata", "object_above_max_properties", "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with %d properties instead.", len(r.Metadata))
	}
	return nil
}

// checkModel refuses what this kind of model does not take.
func (r *responsesRequest) checkModel() error {
	can := abilities(r.Model)
	switch {
	case !can.reason && r.effort() != "":
		return unsupported("reasoning.effort")
	case !can.reason:
		return nil
	case r.effort() == "none" && can.refrain:
		return nil
	case r.effort() == "none":
		return invalid("reasoning.effort", "unsupported_value", "Unsupported value: 'none' is not supported with the '%s' model. Supported values are: 'low', 'medium', and 'high'.", r.Model)
	case r.Temperature != nil && *r.Temperature != 1:
		return unsupported("temperature")
	case r.TopP != nil && *r.TopP != 1:
		return unsupported("top_p")
	}
	return nil
}
