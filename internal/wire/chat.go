package wire

import (
	"math"
	"strconv"

	"keyshield/internal/strict"
)

// ChatRequest is a decoded request to /v1/chat/completions. What a client may say
// and has no effect on the answer (store, metadata, user) is checked and dropped.
type ChatRequest struct {
	Asked
	Stream       bool
	IncludeUsage bool // the client asked for the usage chunk

	messages    []chatMessage
	obfuscation *bool // of a stream

	temperature, topP, presence, frequency *float64

	stop        []string
	seed        *int64
	bias        []bias
	logProbs    *bool
	topLogProbs *int64
	verbosity   string

	tools        []chatTool
	toolChoice   chatToolChoice
	parallel     *bool
	functions    []definition // the older form of tools
	functionCall chatToolChoice
	format       chatFormat
}

// bias is one entry of logit_bias.
type bias struct {
	token int64
	by    float64
}

// chatFields are all that the official description knows. Those of deniedChat are
// among them so that null passes, and so that a client reads why.
var chatFields = []string{
	"model", "messages", "stream", "stream_options",
	"max_completion_tokens", "max_tokens", "n", "modalities", "service_tier",
	"temperature", "top_p", "presence_penalty", "frequency_penalty", "stop", "seed", "logit_bias",
	"logprobs", "top_logprobs", "reasoning_effort", "verbosity",
	"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format",
	"store", "metadata", "user", "safety_identifier",
	"audio", "prediction", "web_search_options", "moderation",
	"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
}

// deniedChat are the official fields that no plan opens, and why.
var deniedChat = map[string]string{
	"audio":                  "audio has a price of its own, and no bound in bytes",
	"prediction":             "rejected predictions are billed as output, beyond the limit",
	"web_search_options":     "searches are billed by the call, and what they find as input",
	"moderation":             "it has a second model judge the request; ask /v1/moderations",
	"prompt_cache_key":       cacheIsShared,
	"prompt_cache_retention": cacheIsShared,
	"prompt_cache_options":   cacheIsShared,
}

// ReadChatRequest decodes a body. Every error is an *apierr.Error with status 400
// that names the field. Nothing of body is kept.
func ReadChatRequest(body []byte) (*ChatRequest, error) {
	c := chatReader{req: new(ChatRequest)}
	if err := strict.Read(body, chatFields, c.member); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.req, nil
}

// chatReader is what one has to know while reading.
type chatReader struct {
	req           *ChatRequest
	limit, older  int64 // max_completion_tokens, max_tokens
	streamOptions bool
	calls         map[string]bool // id of a tool call → whether it is answered
}

// member reads one of chatFields. For all of them null is absent.
func (c *chatReader) member(r *strict.Reader, name string) {
	req := c.req
	if r.Null() {
		return
	}
	if why, denied := deniedChat[name]; denied {
		r.Skip()
		r.Invalid("is not accepted: %s", why)
		return
	}
	switch name {
	case "model":
		req.Model = r.Text(maxModel)
	case "messages":
		c.readMessages(r)
	case "stream":
		req.Stream = r.Bool()
	case "stream_options":
		c.readStreamOptions(r)
	case "max_completion_tokens":
		c.limit = r.Int(1, maxOutput)
	case "max_tokens":
		c.older = r.Int(1, maxOutput)
	case "service_tier":
		req.ServiceTier = r.Enum(serviceTiers...)
	case "reasoning_effort":
		req.Effort = r.Enum(efforts...)
	case "tools":
		readTools(r, req)
	case "tool_choice":
		readToolChoice(r, &req.toolChoice)
	case "parallel_tool_calls":
		req.parallel = new(r.Bool())
	case "functions":
		readFunctions(r, req)
	case "function_call":
		readFunctionChoice(r, &req.functionCall)
	case "response_format":
		readResponseFormat(r, &req.format)
	case "n", "modalities", "store", "metadata", "user", "safety_identifier":
		readDropped(r, name)
	default:
		req.readSampling(r, name)
	}
}

// readSampling reads what steers the choice of words, and costs nothing.
func (req *ChatRequest) readSampling(r *strict.Reader, name string) {
	switch name {
	case "temperature":
		req.temperature = new(r.Number(0, 2))
	case "top_p":
		req.topP = new(r.Number(0, 1))
	case "presence_penalty":
		req.presence = new(r.Number(-2, 2))
	case "frequency_penalty":
		req.frequency = new(r.Number(-2, 2))
	case "stop":
		req.stop = readStop(r)
	case "seed":
		req.seed = new(r.Int(math.MinInt64, math.MaxInt64))
	case "logit_bias":
		req.bias = readBias(r)
	case "logprobs":
		req.logProbs = new(r.Bool())
		req.LogProbs = req.LogProbs || *req.logProbs
	case "top_logprobs":
		req.topLogProbs = new(r.Int(0, 20))
		req.TopLogProbs = *req.topLogProbs
		req.LogProbs = req.LogProbs || req.TopLogProbs > 0
	case "verbosity":
		req.verbosity = r.Enum("low", "medium", "high")
	}
}

func (c *chatReader) readStreamOptions(r *strict.Reader) {
	c.streamOptions = true
	r.Object([]string{"include_usage", "include_obfuscation"}, func(name string) {
		switch {
		case r.Null():
		case name == "include_usage":
			c.req.IncludeUsage = r.Bool()
		default:
			c.req.obfuscation = new(r.Bool())
		}
	})
}

// readDropped checks what has only one value here, or none that is passed on.
func readDropped(r *strict.Reader, name string) {
	switch name {
	case "n":
		if n := r.Int(1, math.MaxInt64); n > 1 {
			r.Invalid("must be 1: each further answer is billed as another")
		}
	case "modalities":
		if n := readEach(r, 2, func() { readModality(r) }); n == 0 {
			r.Invalid(`must be ["text"]`)
		}
	case "store":
		r.Bool()
	case "metadata":
		readMetadata(r)
	default:
		readUpTo(r, maxUser)
	}
}

func readModality(r *strict.Reader) {
	if r.Enum("text", "audio") == "audio" {
		r.Invalid("must be %q: audio has a price of its own, and no bound in bytes", "text")
	}
}

// readMetadata reads what nobody is told: it is kept with a stored answer, and none
// is stored.
func readMetadata(r *strict.Reader) {
	r.Map(16, func(name string) {
		readUpTo(r, maxUser)
		if len(name) > 64 {
			r.Invalid("must have a name of at most 64 bytes")
		}
	})
}

// readStop reads a string or up to four.
func readStop(r *strict.Reader) (stop []string) {
	if r.Kind() == '"' {
		return []string{r.Text(maxStop)}
	}
	if readEach(r, 4, func() { stop = append(stop, r.Text(maxStop)) }) == 0 {
		r.Invalid("must not be empty")
	}
	return stop
}

// readBias reads token ids as JSON can have them, as names; "7" and "07" would be
// one id twice.
func readBias(r *strict.Reader) (list []bias) {
	r.Map(maxBias, func(name string) {
		id, err := strconv.ParseUint(name, 10, 31)
		by := r.Number(-100, 100)
		if err != nil || strconv.FormatUint(id, 10) != name {
			r.Invalid("must be named by a token id")
		}
		list = append(list, bias{int64(id), by})
	})
	return list
}

// readEach reads an array of at most so many elements, and returns how many.
func readEach(r *strict.Reader, most int, one func()) (n int) {
	r.Array(most, func(int) {
		n++
		one()
	})
	return n
}

// check judges what only all members together show.
func (c *chatReader) check() error {
	req := c.req
	req.OutputLimit = max(c.limit, c.older)
	for _, bad := range []struct {
		when         bool
		field, wrong string
	}{
		{req.Model == "", "model", "is missing"},
		{req.messages == nil, "messages", "is missing"},
		{c.limit > 0 && c.older > 0 && c.limit != c.older, "max_tokens", "contradicts max_completion_tokens: leave one of them out"},
		{c.streamOptions && !req.Stream, "stream_options", "needs \"stream\": true"},
		{req.toolChoice.set() && req.tools == nil, "tool_choice", "needs tools to choose from"},
		{req.parallel != nil && req.tools == nil, "parallel_tool_calls", "needs tools to call"},
		{req.functionCall.set() && req.functions == nil, "function_call", "needs functions to choose from"},
	} {
		if bad.when {
			return wrong(bad.field, bad.wrong)
		}
	}
	return nil
}
