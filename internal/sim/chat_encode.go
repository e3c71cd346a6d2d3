package sim

import "strconv"

// encode writes an answer that is not streamed, indented like OpenAI's.
func (r *chatRequest) encode(c *call) []byte {
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
		b = c.appendMessage(b)
		b = append(b, ",\n        \"annotations\": []\n      },\n      \"logprobs\": null,\n      \"finish_reason\": "...)
		b = append(appendString(b, p.finish, false), "\n    }"...)
	}
	b = append(b, "\n  ]"...)
	if u, known := c.usage(); known {
		b = u.append(append(b, ",\n  \"usage\": "...), chatUsageBlock)
	} else if c.b.Usage == "null" {
		b = append(b, ",\n  \"usage\": null"...)
	}
	b = appendString(append(b, ",\n  \"service_tier\": "...), p.tier, false)
	b = appendString(append(b, ",\n  \"system_fingerprint\": "...), p.fingerprint, false)
	return append(b, "\n}\n"...)
}

// appendMessage writes the value of content, the refusal and the tool calls.
func (c *call) appendMessage(b []byte) []byte {
	const refusal = ",\n        \"refusal\": "
	p := c.reply
	if len(p.calls) > 0 {
		b = append(b, "null"+refusal+"null,\n        \"tool_calls\": ["...)
		for i := range p.calls {
			if i > 0 {
				b = append(b, ',')
			}
			b = c.appendCall(b, &p.calls[i])
		}
		return append(b, "\n        ]"...)
	}
	text := appendString(make([]byte, 0, len(p.text)+64), p.text, c.b.Escape)
	said, declined := text, []byte("null")
	switch {
	case c.b.Refusal:
		said, declined = declined, text
	case c.b.Fault == NullContent:
		said = declined
	}
	return append(append(append(b, said...), refusal...), declined...)
}

func (c *call) appendCall(b []byte, call *toolCall) []byte {
	kind, member := "function", "arguments"
	if call.custom {
		kind, member = "custom", "input"
	}
	b = appendString(append(b, "\n          {\n            \"id\": "...), call.id, false)
	b = append(b, ",\n            \"type\": \""+kind+"\",\n            \""+kind+"\": {\n              \"name\": "...)
	b = appendString(b, call.name, c.b.Escape)
	b = append(b, ",\n              \""+member+"\": "...)
	return append(appendString(b, call.args, c.b.Escape), "\n            }\n          }"...)
}
