package sim

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// responsesRequest has every member that OpenAI's description of the endpoint
// names; what is only echoed or refused is kept as it came.
type responsesRequest struct {
	Model             string            `json:"model"`
	Input             input             `json:"input"`
	Instructions      *string           `json:"instructions"`
	Stream            bool              `json:"stream"`
	StreamOptions     *responseOptions  `json:"stream_options"`
	MaxOutputTokens   *int              `json:"max_output_tokens"`
	MaxToolCalls      *int              `json:"max_tool_calls"`
	Temperature       *float64          `json:"temperature"`
	TopP              *float64          `json:"top_p"`
	TopLogprobs       *int              `json:"top_logprobs"`
	Reasoning         *reasoning        `json:"reasoning"`
	Text              *textOptions      `json:"text"`
	Tools             jsontext.Value    `json:"tools"`
	ToolChoice        jsontext.Value    `json:"tool_choice"`
	ParallelToolCalls *bool             `json:"parallel_tool_calls"`
	Include           []string          `json:"include"`
	ServiceTier       string            `json:"service_tier"`
	SafetyIdentifier  string            `json:"safety_identifier"`
	User              string            `json:"user"`
	Metadata          map[string]string `json:"metadata"`
	Store             *bool             `json:"store"`
	Truncation        string            `json:"truncation"`

	Background           *bool          `json:"background"`
	PreviousResponseID   string         `json:"previous_response_id"`
	Conversation         jsontext.Value `json:"conversation"`
	Prompt               jsontext.Value `json:"prompt"`
	ContextManagement    jsontext.Value `json:"context_management"`
	Moderation           jsontext.Value `json:"moderation"`
	PromptCacheKey       string         `json:"prompt_cache_key"`
	PromptCacheOptions   jsontext.Value `json:"prompt_cache_options"`
	PromptCacheRetention string         `json:"prompt_cache_retention"`

	q question
}

type (
	responseOptions struct {
		IncludeObfuscation *bool `json:"include_obfuscation"`
	}
	reasoning struct {
		Effort          string         `json:"effort"`
		Summary         string         `json:"summary"`
		GenerateSummary string         `json:"generate_summary"`
		Mode            jsontext.Value `json:"mode"`
		Context         jsontext.Value `json:"context"`
	}
	textOptions struct {
		Format    jsontext.Value `json:"format"`
		Verbosity string         `json:"verbosity"`
	}
)

// input is a text or a list of items.
type input struct {
	text  string
	items []item
	given bool
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (in *input) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	err := readContent(d,
		func(text string) { *in = input{text: text, given: true} },
		func(i item) { in.items = append(in.items, i) })
	if err == errNotText {
		return errNotInput
	}
	return err
}

// item is one of any kind: its type tells which members it has.
type item struct {
	Type      string         `json:"type"`
	ID        string         `json:"id"`
	Status    string         `json:"status"`
	Role      string         `json:"role"`
	Phase     string         `json:"phase"`
	Content   itemContent    `json:"content"`
	CallID    string         `json:"call_id"`
	Name      string         `json:"name"`
	Namespace string         `json:"namespace"`
	Caller    jsontext.Value `json:"caller"`
	Arguments *string        `json:"arguments"`
	Input     *string        `json:"input"`
	Output    itemContent    `json:"output"`
	Summary   jsontext.Value `json:"summary"`
	Encrypted string         `json:"encrypted_content"`
}

// itemContent is a text or a list of parts.
type itemContent struct{ content }

type itemPart struct {
	Type                  string         `json:"type"`
	Text                  string         `json:"text"`
	Refusal               string         `json:"refusal"`
	Annotations           jsontext.Value `json:"annotations"`
	Logprobs              jsontext.Value `json:"logprobs"`
	Detail                string         `json:"detail"`
	ImageURL              string         `json:"image_url"`
	FileID                string         `json:"file_id"`
	FileURL               string         `json:"file_url"`
	FileData              string         `json:"file_data"`
	Filename              string         `json:"filename"`
	PromptCacheBreakpoint jsontext.Value `json:"prompt_cache_breakpoint"`
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (c *itemContent) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return readContent(d, func(text string) { c.content = content{text: text, given: true} }, func(p itemPart) {
		c.text += p.Text + p.Refusal
		c.other += len(p.ImageURL) + len(p.FileURL) + len(p.FileData) + len(p.FileID)
	})
}

// readResponses reads a body of /v1/responses.
func readResponses(body []byte, models []string) (request, error) {
	r := new(responsesRequest)
	if err := decode(body, "", r); err != nil {
		return nil, err
	}
	if err := r.check(models); err != nil {
		return nil, err
	}
	toolbox, err := readToolbox(responses, r.Tools, r.ToolChoice)
	if err != nil {
		return nil, err
	}
	r.q = question{
		endpoint: responses, model: r.Model, tier: r.ServiceTier, effort: r.effort(),
		asked: r.lastWord(), param: "input", stream: r.Stream, choices: 1,
		toolbox: toolbox, results: r.results(),
		definitions: len(r.Tools), frames: max(len(r.Input.items), 1),
		texts: len(r.Input.text),
	}
	if r.Text != nil {
		if r.q.format, err = readFormat(responses, r.Text.Format, r.mentions); err != nil {
			return nil, err
		}
		r.q.definitions += len(r.Text.Format)
	}
	if r.MaxOutputTokens != nil {
		r.q.limit = *r.MaxOutputTokens
	}
	if r.Instructions != nil {
		r.q.texts += len(*r.Instructions)
		r.q.frames++
	}
	for i := range r.Input.items {
		r.q.texts += r.Input.items[i].size()
	}
	return r, nil
}

func (r *responsesRequest) question() *question { return &r.q }

func (r *responsesRequest) effort() string {
	if r.Reasoning == nil {
		return ""
	}
	return r.Reasoning.Effort
}

// kind is the item's type; a message may leave it out.
func (i *item) kind() string {
	switch {
	case i.Type == "" && i.Role != "":
		return "message"
	case i.Type == "" && i.ID != "":
		return "item_reference"
	}
	return i.Type
}

func (i *item) isResult() bool {
	return i.Type == "function_call_output" || i.Type == "custom_tool_call_output"
}

// size is how many bytes of an item count.
func (i *item) size() int {
	n := len(i.Content.text) + i.Content.other + len(i.Output.text) + i.Output.other + len(i.Name) + len(i.Encrypted) + len(i.Summary)
	for _, text := range []*string{i.Arguments, i.Input} {
		if text != nil {
			n += len(*text)
		}
	}
	return n
}

// lastWord is the text of the last user message, or of the last item when there
// is none by a user.
func (r *responsesRequest) lastWord() string {
	for _, i := range slices.Backward(r.Input.items) {
		if i.Role == "user" {
			return i.Content.text
		}
	}
	if n := len(r.Input.items); n > 0 {
		return r.Input.items[n-1].Content.text
	}
	return r.Input.text
}

// results are what the tools answered at the end of the input.
func (r *responsesRequest) results() []string {
	var results []string
	for _, i := range slices.Backward(r.Input.items) {
		if !i.isResult() {
			break
		}
		results = append(results, i.Output.text)
	}
	slices.Reverse(results)
	return results
}

// mentions reports whether the input contains the word, in any case.
func (r *responsesRequest) mentions(word string) bool {
	return strings.Contains(strings.ToLower(r.Input.text), word) ||
		r.Instructions != nil && strings.Contains(strings.ToLower(*r.Instructions), word) ||
		slices.ContainsFunc(r.Input.items, func(i item) bool { return strings.Contains(strings.ToLower(i.Content.text), word) })
}
