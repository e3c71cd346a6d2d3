package sim

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// chatRequest has every member that OpenAI's description of the endpoint names:
// what is not here is refused as unknown.
type chatRequest struct {
	Model               string         `json:"model"`
	Messages            []message      `json:"messages"`
	Stream              bool           `json:"stream"`
	StreamOptions       *streamOptions `json:"stream_options"`
	MaxTokens           *int           `json:"max_tokens"`
	MaxCompletionTokens *int           `json:"max_completion_tokens"`
	N                   *int           `json:"n"`
	Temperature         *float64       `json:"temperature"`
	TopP                *float64       `json:"top_p"`
	PresencePenalty     *float64       `json:"presence_penalty"`
	FrequencyPenalty    *float64       `json:"frequency_penalty"`
	Logprobs            bool           `json:"logprobs"`
	TopLogprobs         *int           `json:"top_logprobs"`
	ReasoningEffort     string         `json:"reasoning_effort"`
	ServiceTier         string         `json:"service_tier"`
	SafetyIdentifier    string         `json:"safety_identifier"`
	User                string         `json:"user"`
	Verbosity           string         `json:"verbosity"`
	Store               bool           `json:"store"`
	ParallelToolCalls   *bool          `json:"parallel_tool_calls"`
	Seed                *int64         `json:"seed"`
	Tools               jsontext.Value `json:"tools"`
	ToolChoice          jsontext.Value `json:"tool_choice"`
	Functions           jsontext.Value `json:"functions"`
	ResponseFormat      jsontext.Value `json:"response_format"`

	Audio                jsontext.Value `json:"audio"`
	FunctionCall         jsontext.Value `json:"function_call"`
	LogitBias            jsontext.Value `json:"logit_bias"`
	Metadata             jsontext.Value `json:"metadata"`
	Modalities           jsontext.Value `json:"modalities"`
	Moderation           jsontext.Value `json:"moderation"`
	Prediction           jsontext.Value `json:"prediction"`
	PromptCacheKey       jsontext.Value `json:"prompt_cache_key"`
	PromptCacheOptions   jsontext.Value `json:"prompt_cache_options"`
	PromptCacheRetention jsontext.Value `json:"prompt_cache_retention"`
	Stop                 jsontext.Value `json:"stop"`
	WebSearchOptions     jsontext.Value `json:"web_search_options"`

	q question
}

type streamOptions struct {
	IncludeUsage       bool  `json:"include_usage"`
	IncludeObfuscation *bool `json:"include_obfuscation"`
}

type message struct {
	Role         string         `json:"role"`
	Content      content        `json:"content"`
	Name         string         `json:"name"`
	Refusal      string         `json:"refusal"`
	ToolCallID   string         `json:"tool_call_id"`
	ToolCalls    []pastCall     `json:"tool_calls"`
	FunctionCall jsontext.Value `json:"function_call"`
	Audio        jsontext.Value `json:"audio"`
}

// pastCall is a tool call that an earlier answer made.
type pastCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function *struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
	Custom *struct {
		Name  string `json:"name"`
		Input string `json:"input"`
	} `json:"custom"`
}

// content is a text or a list of parts, of which the texts are read.
type content struct {
	text  string
	other int // bytes of the parts that are not text
	given bool
}

type part struct {
	Type                  string         `json:"type"`
	Text                  string         `json:"text"`
	Refusal               string         `json:"refusal"`
	ImageURL              jsontext.Value `json:"image_url"`
	InputAudio            jsontext.Value `json:"input_audio"`
	File                  jsontext.Value `json:"file"`
	PromptCacheBreakpoint jsontext.Value `json:"prompt_cache_breakpoint"`
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (c *content) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return readContent(d, func(text string) { *c = content{text: text, given: true} }, func(p part) {
		c.text += p.Text + p.Refusal
		c.other += len(p.ImageURL) + len(p.InputAudio) + len(p.File)
	})
}

// readChat reads a body of /v1/chat/completions. models is the list of those
// served, if there is one.
func readChat(body []byte, models []string) (request, error) {
	r := new(chatRequest)
	if err := decode(body, "", r); err != nil {
		return nil, err
	}
	if err := r.check(models); err != nil {
		return nil, err
	}
	toolbox, err := readToolbox(chats, r.Tools, r.ToolChoice)
	if err != nil {
		return nil, err
	}
	format, err := readFormat(chats, r.ResponseFormat, r.mentions)
	if err != nil {
		return nil, err
	}
	r.q = question{
		endpoint: chats, model: r.Model, tier: r.ServiceTier, effort: r.ReasoningEffort,
		asked: r.lastWord(), param: "messages", stream: r.Stream, limit: r.limit(), choices: 1,
		toolbox: toolbox, format: format, results: r.results(),
		definitions: len(r.Tools) + len(r.Functions) + len(r.ResponseFormat),
		frames:      len(r.Messages),
	}
	for i := range r.Messages {
		r.q.texts += r.Messages[i].size()
	}
	if r.N != nil {
		r.q.choices = *r.N
	}
	return r, nil
}

func (r *chatRequest) question() *question { return &r.q }

func (r *chatRequest) compose(c *call) (*reply, error) { return c.compose("chatcmpl-" + randomID()) }

// lastWord is the text of the last user message, or of the last message when
// there is none by a user.
func (r *chatRequest) lastWord() string {
	for _, m := range slices.Backward(r.Messages) {
		if m.Role == "user" {
			return m.Content.text
		}
	}
	return r.Messages[len(r.Messages)-1].Content.text
}

// results are what the tools answered at the end of the conversation.
func (r *chatRequest) results() []string {
	var results []string
	for _, m := range slices.Backward(r.Messages) {
		if m.Role != "tool" {
			break
		}
		results = append(results, m.Content.text)
	}
	slices.Reverse(results)
	return results
}

// mentions reports whether any message contains the word, in any case.
func (r *chatRequest) mentions(word string) bool {
	return slices.ContainsFunc(r.Messages, func(m message) bool { return strings.Contains(strings.ToLower(m.Content.text), word) })
}

// size is how many bytes of a message count.
func (m *message) size() int {
	n := len(m.Content.text) + m.Content.other + len(m.Name) + len(m.Refusal) + len(m.FunctionCall)
	for _, past := range m.ToolCalls {
		if past.Function != nil {
			n += len(past.Function.Name) + len(past.Function.Arguments)
		}
		if past.Custom != nil {
			n += len(past.Custom.Name) + len(past.Custom.Input)
		}
	}
	return n
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
