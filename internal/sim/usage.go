package sim

import (
	"fmt"
	"math"
)

// usage is what the answer claims: mostly the truth.
type usage struct{ in, out, cached, written, thought int }

// usage of the reply; ok is false when it is to be missing or null.
func (c *call) usage() (u usage, ok bool) {
	p := c.reply
	return c.claim(usage{in: p.in, out: p.out, thought: p.choices * p.thought})
}

// claim is what the answer says instead of the truth.
func (c *call) claim(truth usage) (u usage, ok bool) {
	u = truth
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
	case "written":
		u.written = u.in + 1
	}
	return u, true
}

// The layouts take in, out, total, cached, written and thought, in this order.
const (
	chatUsageLine = `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d,` +
		`"cache_write_tokens":%d,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":%d,"audio_tokens":0,` +
		`"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`
	chatUsageBlock = `{
    "prompt_tokens": %d,
    "completion_tokens": %d,
    "total_tokens": %d,
    "prompt_tokens_details": {
      "cached_tokens": %d,
      "cache_write_tokens": %d,
      "audio_tokens": 0
    },
    "completion_tokens_details": {
      "reasoning_tokens": %d,
      "audio_tokens": 0,
      "accepted_prediction_tokens": 0,
      "rejected_prediction_tokens": 0
    }
  }`
	responseUsage = `{"input_tokens":%[1]d,"input_tokens_details":{"cached_tokens":%[4]d,"cache_write_tokens":%[5]d},` +
		`"output_tokens":%[2]d,"output_tokens_details":{"reasoning_tokens":%[6]d},"total_tokens":%[3]d}`
	embeddingUsage = `{"prompt_tokens":%[1]d,"total_tokens":%[3]d}`
)

func (u usage) append(dst []byte, layout string) []byte {
	return fmt.Appendf(dst, layout, u.in, u.out, u.total(), u.cached, u.written, u.thought)
}

// total does not overflow: a negative one is another fault than a huge one.
func (u usage) total() int {
	if u.out > 0 && u.in > math.MaxInt64-u.out {
		return math.MaxInt64
	}
	return u.in + u.out
}
