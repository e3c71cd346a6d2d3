package sim

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
)

// appendString writes s as a JSON string. It passes bytes that are not UTF-8
// through: a fault sends them. escape writes every character as \u00XX.
func appendString(dst []byte, s string, escape bool) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	if escape {
		for _, u := range utf16.Encode([]rune(s)) {
			dst = append(dst, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
		}
		return append(dst, '"')
	}
	for i := range len(s) {
		switch b := s[i]; {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b == '\n':
			dst = append(dst, '\\', 'n')
		case b < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"')
}

// usage is what the answer claims: mostly the truth.
type usage struct{ in, out, cached, thought int }

// usage of the reply; ok is false when it is to be missing or null.
func (c *call) usage() (u usage, ok bool) {
	p := c.reply
	u = usage{in: p.in, out: p.out, thought: p.choices * p.thought}
	switch c.b.Usage {
	case "missing", "null":
		return usage{}, false
	case "zero":
		return usage{}, true
	case "negative":
		return usage{in: -u.in, out: -u.out}, true
	case "huge":
		return usage{in: math.MaxInt64, out: math.MaxInt64}, true
	case "cached":
		u.cached = u.in + 1
	}
	return u, true
}

const (
	usageLine = `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d,` +
		`"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":%d,"audio_tokens":0,"accepted_prediction_tokens":0,` +
		`"rejected_prediction_tokens":0}}`
	usageBlock = `{
    "prompt_tokens": %d,
    "completion_tokens": %d,
    "total_tokens": %d,
    "prompt_tokens_details": {
      "cached_tokens": %d,
      "audio_tokens": 0
    },
    "completion_tokens_details": {
      "reasoning_tokens": %d,
      "audio_tokens": 0,
      "accepted_prediction_tokens": 0,
      "rejected_prediction_tokens": 0
    }
  }`
)

func (u usage) append(dst []byte, layout string) []byte {
	return fmt.Appendf(dst, layout, u.in, u.out, u.total(), u.cached, u.thought)
}

// total does not overflow: a negative one is another fault than a huge one.
func (u usage) total() int {
	if u.out > 0 && u.in > math.MaxInt64-u.out {
		return math.MaxInt64
	}
	return u.in + u.out
}

// frame encodes the chunks of one stream into one buffer.
type frame struct {
	head   []byte // up to and with "choices":[
	tail   string // from there on, but for the obfuscation
	obscur bool
	buf    []byte
}

func (c *call) newFrame() *frame {
	f := &frame{tail: "]", obscur: true, buf: make([]byte, 0, 512)}
	h := append(make([]byte, 0, 256), `data: {"id":`...)
	h = appendString(h, c.reply.id, false)
	h = append(h, `,"object":"chat.completion.chunk","created":`...)
	h = strconv.AppendInt(h, c.reply.created, 10)
	h = appendString(append(h, `,"model":`...), c.reply.model, false)
	h = appendString(append(h, `,"service_tier":`...), c.reply.tier, false)
	h = appendString(append(h, `,"system_fingerprint":`...), c.reply.fingerprint, false)
	f.head = append(h, `,"choices":[`...)
	if o := c.req.StreamOptions; o != nil {
		if o.IncludeUsage {
			f.tail = `],"usage":null`
		}
		f.obscur = o.IncludeObfuscation == nil || *o.IncludeObfuscation
	}
	return f
}

// choice encodes a chunk of one choice. delta is JSON; reason is JSON, mostly null.
func (f *frame) choice(index int, member, text string, escape bool, reason string) []byte {
	b := append(f.buf[:0], f.head...)
	b = strconv.AppendInt(append(b, `{"index":`...), int64(index), 10)
	b = append(append(b, `,"delta":{`...), member...)
	if text != "" {
		b = appendString(b, text, escape)
	}
	b = append(append(b, `},"logprobs":null,"finish_reason":`...), reason...)
	b = append(append(b, '}'), f.tail...)
	if f.obscur {
		// OpenAI pads chunks, so that their length does not tell the word.
		const padding = "rXq7Lw2ZpT0vKd9s"
		b = append(append(append(b, `,"obfuscation":"`...), padding[len(text)%len(padding):]...), '"')
	}
	f.buf = append(b, "}\n\n"...)
	return f.buf
}

// usage encodes the chunk after the last choice.
func (f *frame) usage(u usage, known bool) []byte {
	b := append(append(f.buf[:0], f.head...), `],"usage":`...)
	if known {
		b = u.append(b, usageLine)
	} else {
		b = append(b, "null"...)
	}
	f.buf = append(b, "}\n\n"...)
	return f.buf
}

// encode writes an answer that is not streamed, indented like OpenAI's.
func (c *call) encode() []byte {
	p := c.reply
	b := make([]byte, 0, 1024+p.choices*(256+len(p.text)))
	b = appendString(append(b, "{\n  \"id\": "...), p.id, false)
	b = append(b, ",\n  \"object\": \"chat.completion\",\n  \"created\": "...)
	b = strconv.AppendInt(b, p.created, 10)
	b = appendString(append(b, ",\n  \"model\": "...), p.model, false)
	b = append(b, ",\n  \"choices\": ["...)
	for i := range p.choices {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\n    {\n      \"index\": "...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, ",\n      \"message\": {\n        \"role\": \"assistant\",\n        \"content\": "...)
		text := appendString(make([]byte, 0, len(p.text)+64), p.text, c.b.Escape)
		said, declined := text, []byte("null")
		switch {
		case c.b.Refusal:
			said, declined = declined, text
		case c.b.Fault == NullContent:
			said = declined
		}
		b = append(append(append(b, said...), ",\n        \"refusal\": "...), declined...)
		b = append(b, ",\n        \"annotations\": []\n      },\n      \"logprobs\": null,\n      \"finish_reason\": "...)
		b = append(appendString(b, p.finish, false), "\n    }"...)
	}
	b = append(b, "\n  ]"...)
	if u, known := c.usage(); known {
		b = u.append(append(b, ",\n  \"usage\": "...), usageBlock)
	} else if c.b.Usage == "null" {
		b = append(b, ",\n  \"usage\": null"...)
	}
	b = appendString(append(b, ",\n  \"service_tier\": "...), p.tier, false)
	b = appendString(append(b, ",\n  \"system_fingerprint\": "...), p.fingerprint, false)
	return append(b, "\n}\n"...)
}
