package sim

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// embeddingsRequest has every member that OpenAI's description names.
type embeddingsRequest struct {
	Model          string         `json:"model"`
	Input          jsontext.Value `json:"input"`
	EncodingFormat string         `json:"encoding_format"`
	Dimensions     *int           `json:"dimensions"`
	User           string         `json:"user"`

	inputs []string // texts; a token array as its JSON
	size   int      // of a vector
	q      question
}

const (
	maxInputs      = 2_048
	maxInputTokens = 8_192
	maxAllTokens   = 300_000
)

// readEmbeddings reads a body of /v1/embeddings.
func readEmbeddings(body []byte, models []string) (request, error) {
	r := new(embeddingsRequest)
	if err := decode(body, "", r); err != nil {
		return nil, err
	}
	if r.Model == "" {
		return nil, invalid("", "", "you must provide a model parameter")
	}
	if err := serves(embeddings, r.Model, models); err != nil {
		return nil, err
	}
	if err := r.checkShape(); err != nil {
		return nil, err
	}
	r.q = question{endpoint: embeddings, model: r.Model, param: "input", choices: 1}
	if err := r.readInput(); err != nil {
		return nil, err
	}
	r.q.asked = r.inputs[0]
	return r, nil
}

func (r *embeddingsRequest) checkShape() error {
	switch r.EncodingFormat {
	case "", "float", "base64":
	default:
		return invalidValue("encoding_format", r.EncodingFormat, []string{"float", "base64"})
	}
	r.size = 1_536
	if r.Model == "text-embedding-3-large" {
		r.size = 3_072
	}
	if r.Dimensions == nil {
		return nil
	}
	if r.Model == "text-embedding-ada-002" {
		return invalid("dimensions", "", "This model does not support specifying dimensions.")
	}
	err := within(nil, []integer{{"dimensions", r.Dimensions, 1, r.size}})
	r.size = *r.Dimensions
	return err
}

// readInput takes a text, texts, tokens or arrays of tokens.
func (r *embeddingsRequest) readInput() error {
	badInput := func() error {
		return invalid("input", "invalid_type", "Invalid type for 'input': expected one of a string, array of strings, array of integers, or array of integer arrays.")
	}
	if !present(r.Input) {
		return missing("input")
	}
	var text string
	var many []jsontext.Value
	switch r.Input.Kind() {
	case '"':
		if json.Unmarshal(r.Input, &text) != nil {
			return badInput()
		}
		return r.addText(text)
	case '[':
		if json.Unmarshal(r.Input, &many) != nil {
			return badInput()
		}
	default:
		return badInput()
	}
	switch {
	case len(many) == 0:
		return invalid("input", "empty_array", "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	case many[0].Kind() == '0':
		return r.addTokens(r.Input)
	case len(many) > maxInputs:
		return invalid("input", "array_above_max_length", "Invalid 'input': array too long. Expected an array with maximum length %d, but got an array with length %d instead.", maxInputs, len(many))
	}
	for _, one := range many {
		var err error
		switch {
		case one.Kind() != many[0].Kind():
			err = badInput()
		case one.Kind() == '[':
			err = r.addTokens(one)
		case json.Unmarshal(one, &text) != nil:
			err = badInput()
		default:
			err = r.addText(text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *embeddingsRequest) addText(text string) error {
	r.q.texts += len(text)
	return r.add(text, (len(text)+bytesPerToken-1)/bytesPerToken)
}

func (r *embeddingsRequest) addTokens(raw jsontext.Value) error {
	var tokens []int
	if err := decode(raw, "input", &tokens); err != nil {
		return err
	}
	r.q.counted += len(tokens)
	return r.add(string(raw), len(tokens))
}

func (r *embeddingsRequest) add(input string, tokens int) error {
	all := (r.q.texts+bytesPerToken-1)/bytesPerToken + r.q.counted
	switch {
	case tokens == 0:
		return invalid("input", "", "Invalid 'input': input cannot be empty.")
	case tokens > maxInputTokens:
		return invalid("", "", "This model's maximum context length is %d tokens, however you requested %d tokens (%[2]d in your prompt; 0 for the completion). Please reduce your prompt; or completion length.", maxInputTokens, tokens)
	case all > maxAllTokens:
		return invalid("input", "max_tokens_per_request", "Invalid 'input': maximum request size is %d tokens per request.", maxAllTokens)
	}
	r.inputs = append(r.inputs, input)
	return nil
}

func (r *embeddingsRequest) question() *question { return &r.q }

// compose has only the input to count.
func (r *embeddingsRequest) compose(c *call) (*reply, error) {
	return c.newReply("embd-" + randomID()), nil
}

// encode writes the list of vectors. The first input counts without its directive.
func (r *embeddingsRequest) encode(c *call) []byte {
	p := c.reply
	b := append(make([]byte, 0, len(r.inputs)*r.size*12+256), `{"object":"list","data":[`...)
	for i, input := range r.inputs {
		if i == 0 {
			input = r.q.asked
		} else {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"object":"embedding","index":`...), int64(i), 10)
		b = r.appendVector(append(b, `,"embedding":`...), vector(input, r.size))
		b = append(b, '}')
	}
	b = appendString(append(b, `],"model":`...), p.model, c.b.Escape)
	if u, known := c.usage(); known {
		b = u.append(append(b, `,"usage":`...), embeddingUsage)
	} else if c.b.Usage == "null" {
		b = append(b, `,"usage":null`...)
	}
	return indent(append(c.appendDebug(b), '}'))
}

// appendDebug writes the key where an answer without text can hold it: in a
// member that nobody asked for.
func (c *call) appendDebug(b []byte) []byte {
	if c.b.Leak != "whole" {
		return b
	}
	return appendString(append(b, `,"debug":`...), c.key, c.b.Escape)
}

func (r *embeddingsRequest) appendVector(b []byte, v []float32) []byte {
	if r.EncodingFormat == "base64" {
		raw := make([]byte, 0, 4*len(v))
		for _, x := range v {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, raw)
		return append(b, '"')
	}
	b = append(b, '[')
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(x), 'g', -1, 32)
	}
	return append(b, ']')
}

// vector is of unit length and always the same for the same text.
func vector(text string, size int) []float32 {
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(text)) // a hash takes everything
	state, sum := seed.Sum64(), 0.0
	wide := make([]float64, size)
	for i := range wide {
		// splitmix64: each step is a well mixed 64-bit number
		state += 0x9e3779b97f4a7c15
		x := state
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
		wide[i] = float64(int64(x)) / (1 << 63)
		sum += wide[i] * wide[i]
	}
	v := make([]float32, size)
	for i, x := range wide {
		v[i] = float32(x / math.Sqrt(sum))
	}
	return v
}
