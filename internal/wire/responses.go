package wire

import (
	"math"
	"slices"
	"strings"

	"keyshield/internal/strict"
)

// ResponsesRequest is a decoded request to /v1/responses. What it holds has a bound
// in bytes; what could cost more than its bytes say, or reads what is stored under
// the operator's key, is refused by name.
type ResponsesRequest struct {
	Asked
	Stream bool

	instructions   string
	text           string      // the input, when it is one text
	items          []inputItem // the input otherwise, never empty
	tools          []responsesTool
	toolChoice     responsesChoice
	format         textFormat
	verbosity      string
	truncation     string
	temperature    *float64
	topP           *float64
	outputLogProbs bool // include
	parallel       *bool
	obfuscation    *bool // of a stream
}

const (
	leastOutput = 16 // the API's own
	maxIncludes = 16

	includeLogProbs = "message.output_text.logprobs"
)

// ReadResponsesRequest decodes a body. Every error is an *apierr.Error with status
// 400 that names the field. Nothing of body is kept.
func ReadResponsesRequest(body []byte) (*ResponsesRequest, error) {
	kinds := responsesKinds(body)
	r := new(ResponsesRequest)
	streamOptions := false
	err := strict.Read(body, responsesFields, func(in *strict.Reader, name string) {
		if in.Null() { // which is the same as absent
			return
		}
		streamOptions = streamOptions || name == "stream_options"
		r.read(in, name, kinds)
	})
	switch {
	case err != nil:
		return nil, err
	case r.Model == "":
		return nil, missing("model")
	case r.text == "" && r.items == nil:
		return nil, wrong("input", "is missing: send a text or a list of items")
	case streamOptions && !r.Stream:
		return nil, wrong("stream_options", `needs "stream": true`)
	}
	return r, nil
}

// responsesFields are all that the API knows. Those without a line in read or drop
// are in responsesRefused.
var responsesFields = []string{
	"model", "input", "instructions", "stream", "stream_options", "max_output_tokens", "temperature", "top_p", "top_logprobs",
	"tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "include", "truncation", "service_tier",
	"store", "background", "metadata", "user", "safety_identifier", "max_tool_calls",
	"previous_response_id", "conversation", "prompt", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
	"moderation", "context_management", "output_schema", "access_programs", "image",
}

const readsStored = "it reads what is stored under the operator's key; send the items themselves in input"

var responsesRefused = map[string]string{
	"previous_response_id":   readsStored,
	"conversation":           readsStored,
	"prompt":                 "it reads a prompt stored under the operator's key; send its text in instructions or input",
	"prompt_cache_key":       cacheIsShared,
	"prompt_cache_options":   cacheIsShared,
	"prompt_cache_retention": cacheIsShared,
	"moderation":             "it runs another model, which is not priced here; use /v1/moderations",
	"context_management":     "what compaction costs has no bound by bytes; shorten the input yourself",
	"output_schema":          "what it adds to the prompt has no known bound; use text.format",
	"access_programs":        "it is between the operator and OpenAI",
	"image":                  "only text is accepted, so there are no images to treat",
}

func (r *ResponsesRequest) read(in *strict.Reader, name string, kinds bodyKinds) {
	switch name {
	case "model":
		r.Model = in.Text(maxModel)
	case "input":
		r.readInput(in, kinds.input)
	case "instructions":
		r.instructions = in.String()
		r.System = r.System || r.instructions != ""
	case "stream":
		r.Stream = in.Bool()
	case "stream_options":
		in.Object([]string{"include_obfuscation"}, func(string) {
			if !in.Null() {
				r.obfuscation = new(in.Bool())
			}
		})
	case "max_output_tokens":
		r.OutputLimit = in.Int(leastOutput, maxOutput)
	case "temperature":
		r.temperature = new(in.Number(0, 2))
	case "top_p":
		r.topP = new(in.Number(0, 1))
	case "top_logprobs":
		r.TopLogProbs = in.Int(0, 20)
		r.LogProbs = r.LogProbs || r.TopLogProbs > 0
	case "tools":
		r.tools = readResponsesTools(in, kinds.tools)
	case "tool_choice":
		r.toolChoice.read(in)
	case "parallel_tool_calls":
		r.parallel = new(in.Bool())
	case "text":
		r.readText(in)
	case "reasoning":
		r.readReasoning(in)
	case "include":
		r.readInclude(in)
	case "truncation":
		r.truncation = in.Enum("auto", "disabled")
	case "service_tier":
		r.ServiceTier = in.Enum(serviceTiers...)
	default:
		drop(in, name)
	}
}

// drop reads what is accepted because clients send it, and does not go upstream:
// each of these is decided here, or has no effect without hosted tools.
func drop(in *strict.Reader, name string) {
	switch name {
	case "store":
		in.Bool()
	case "background":
		onlyFalse(in, "an answer made in the background would be stored, and billed when nobody waits for it any more")
	case "metadata":
		readMetadata(in)
	case "user", "safety_identifier":
		readUpTo(in, maxUser)
	case "max_tool_calls":
		in.Int(1, math.MaxInt32)
	default:
		refuseField(in, responsesRefused[name])
	}
}

// refuseField refuses the member whose value comes next.
func refuseField(in *strict.Reader, why string) {
	in.Skip()
	in.Invalid("is not accepted: %s", why)
}

// onlyFalse reads a switch that must be off.
func onlyFalse(in *strict.Reader, why string) {
	if in.Bool() {
		in.Invalid("must not be true: %s", why)
	}
}

func (r *ResponsesRequest) readReasoning(in *strict.Reader) {
	in.Object([]string{"effort", "summary", "generate_summary", "mode", "context"}, func(name string) {
		switch {
		case in.Null():
		case name == "effort":
			r.Effort = in.Enum(efforts...)
		case name == "mode":
			if in.String() != "standard" {
				in.Invalid("must be %q: another mode can cost many times its price", "standard")
			}
		case name == "context":
			refuseField(in, "reasoning of earlier turns is not sent on")
		default: // what a summary costs has no known bound, and @ai-sdk/openai asks for one unbidden: none is made
			in.Enum("auto", "concise", "detailed")
		}
	})
}

func (r *ResponsesRequest) readInclude(in *strict.Reader) {
	const reasoning = "reasoning.encrypted_content"
	in.Array(maxIncludes, func(int) {
		switch what := in.String(); {
		case what == reasoning: // reasoning is not sent back to the model, so nobody misses it
		case what == includeLogProbs:
			r.outputLogProbs, r.LogProbs = true, true
		case includesTool(what): // SDKs add it to the tool, which may stand behind it
			in.Invalid("must not be %q: %s", strict.Shown(what), runsThere)
		default:
			in.Invalid("must be %q or %q: the others add what files and images hold", reasoning, includeLogProbs)
		}
	})
}

// includesTool says whether it is about a tool that runs at OpenAI.
func includesTool(what string) bool {
	return slices.ContainsFunc([]string{"web_search", "file_search", "code_interpreter", "computer"}, func(tool string) bool {
		return strings.HasPrefix(what, tool)
	})
}
