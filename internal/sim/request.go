package sim

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
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
	ToolChoice           jsontext.Value `json:"tool_choice"`
	WebSearchOptions     jsontext.Value `json:"web_search_options"`

	asked string // the last user message, without a directive
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
	ToolCalls    jsontext.Value `json:"tool_calls"`
	FunctionCall jsontext.Value `json:"function_call"`
	Audio        jsontext.Value `json:"audio"`
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

var errNotText = errors.New("neither a string nor an array of parts")

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (c *content) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case 'n':
		return d.SkipValue()
	case '"':
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		*c = content{text: token.String(), given: true}
		return nil
	case '[':
		var parts []part
		if err := json.UnmarshalDecode(d, &parts); err != nil {
			return err
		}
		c.given = true
		for _, p := range parts {
			c.text += p.Text + p.Refusal
			c.other += len(p.ImageURL) + len(p.InputAudio) + len(p.File)
		}
		return nil
	}
	if err := d.SkipValue(); err != nil {
		return err
	}
	return errNotText
}

// maxBody bounds what a client can make us hold.
const maxBody = 32 << 20

// receive reads and records the request.
func (c *call) receive() ([]byte, error) {
	var body []byte
	if n := c.r.ContentLength; n > 0 && n <= maxBody {
		body = make([]byte, n)
		n, err := io.ReadFull(c.r.Body, body)
		if err != nil {
			return nil, errGone
		}
		body = body[:n]
	} else if n != 0 {
		var err error
		body, err = io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, &refusal{http.StatusRequestEntityTooLarge, "The request body is too large.", invalidRequest, "", ""}
		} else if err != nil {
			return nil, errGone
		}
	}
	c.sim.ring.keep(c, body)
	return body, nil
}

// decode reads a body as strictly as OpenAI does, and a little more: a member
// that is there twice, or text that is not UTF-8, is no JSON here.
func decode(body []byte) (*chatRequest, error) {
	var r chatRequest
	err := json.Unmarshal(body, &r, json.RejectUnknownMembers(true))
	if err == nil {
		r.asked = r.lastWord()
		return &r, nil
	}
	wrong, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case !ok || wrong.JSONPointer == "":
		return nil, invalid("", "", "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "+
			"your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have "+
			"trouble figuring out how to fix this, please contact us through our help center at help.openai.com.)")
	case errors.Is(err, json.ErrUnknownName):
		at := memberName(wrong.JSONPointer)
		return nil, invalid(at, "unknown_parameter", "Unknown parameter: '%s'.", at)
	case errors.Is(err, errNotText):
		at := memberName(wrong.JSONPointer)
		return nil, invalid(at, "invalid_type", "Invalid type for '%s': expected one of a string or array of objects.", at)
	}
	at := memberName(wrong.JSONPointer)
	return nil, invalid(at, "invalid_type", "Invalid type for '%s': expected %s, but got %s instead.", at, wanted(wrong.GoType), got(wrong.JSONKind))
}

// memberName turns /messages/0/content into messages[0].content.
func memberName(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		switch _, err := strconv.Atoi(token); {
		case err == nil:
			b.WriteString("[" + token + "]")
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
	}
	return b.String()
}

func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int64:
		return "an integer"
	case reflect.Float64:
		return "a decimal"
	case reflect.Bool:
		return "a boolean"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}

func got(k jsontext.Kind) string {
	switch k {
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "a boolean"
	case '[':
		return "an array"
	}
	return "an object"
}
