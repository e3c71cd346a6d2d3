package wire

import "strconv"

// Append appends the request as it goes upstream, and returns how many bytes of it
// are values of tools, functions and response_format. Nothing in it comes from the
// client's bytes: it is written from what was read, and from by.
func (req *ChatRequest) Append(dst []byte, by Sent) (body []byte, schema int) {
	e := start(dst)
	e.textMember("model", req.Model)
	req.appendMessages(&e, by.SystemPrompt)
	e.name(limitField(by))
	e.int(by.OutputLimit)
	e.textMember("service_tier", by.ServiceTier)
	e.textMember("reasoning_effort", by.Effort)
	req.appendSampling(&e)
	schema = req.appendTools(&e)
	e.name("store")
	e.bool(false)
	e.textMember("safety_identifier", by.SafetyIdentifier)
	if req.Stream {
		e.name("stream")
		e.bool(true)
		e.name("stream_options")
		e.open('{')
		e.name("include_usage") // else nobody says what it cost
		e.bool(true)
		e.boolMember("include_obfuscation", req.obfuscation)
		e.close('}')
	}
	e.close('}')
	return e.b, schema
}

func limitField(by Sent) string {
	if by.MaxTokens {
		return "max_tokens"
	}
	return "max_completion_tokens"
}

func (req *ChatRequest) appendMessages(e *encoder, system string) {
	e.name("messages")
	e.open('[')
	if system != "" {
		first := chatMessage{role: "system", content: chatContent{text: &system}}
		first.append(e)
	}
	for i := range req.messages {
		req.messages[i].append(e)
	}
	e.close(']')
}

func (m *chatMessage) append(e *encoder) {
	e.open('{')
	e.textMember("role", m.role)
	m.content.append(e)
	e.textMember("name", m.name)
	e.textMember("refusal", m.refusal)
	if m.calls != nil {
		e.name("tool_calls")
		e.open('[')
		for i := range m.calls {
			m.calls[i].append(e)
		}
		e.close(']')
	}
	if m.call != nil {
		e.name("function_call")
		m.call.append(e, "arguments")
	}
	e.textMember("tool_call_id", m.answers)
	e.close('}')
}

func (c *chatContent) append(e *encoder) {
	e.name("content")
	switch {
	case c.text != nil:
		e.text(*c.text)
	case c.parts != nil:
		e.open('[')
		for _, p := range c.parts {
			kind := "text"
			if p.refusal {
				kind = "refusal"
			}
			e.open('{')
			e.name("type")
			e.text(kind)
			e.name(kind)
			e.text(p.text)
			e.close('}')
		}
		e.close(']')
	default:
		e.null()
	}
}

func (t *chatToolCall) append(e *encoder) {
	kind, input := "function", "arguments"
	if t.custom {
		kind, input = "custom", "input"
	}
	e.open('{')
	e.textMember("id", t.id)
	e.textMember("type", kind)
	e.name(kind)
	t.chatCall.append(e, input)
	e.close('}')
}

func (c *chatCall) append(e *encoder, input string) {
	e.open('{')
	e.textMember("name", c.name)
	e.name(input)
	e.text(c.input)
	e.close('}')
}

func (req *ChatRequest) appendSampling(e *encoder) {
	e.numberMember("temperature", req.temperature)
	e.numberMember("top_p", req.topP)
	e.numberMember("presence_penalty", req.presence)
	e.numberMember("frequency_penalty", req.frequency)
	if req.stop != nil {
		e.name("stop")
		e.texts(req.stop)
	}
	e.intMember("seed", req.seed)
	if req.bias != nil {
		e.name("logit_bias")
		e.open('{')
		for _, b := range req.bias {
			e.name(strconv.FormatInt(b.token, 10))
			e.number(b.by)
		}
		e.close('}')
	}
	e.boolMember("logprobs", req.logProbs)
	e.intMember("top_logprobs", req.topLogProbs)
	e.textMember("verbosity", req.verbosity)
}

// appendTools appends what the model may call and how its answer must look, and
// returns how many bytes of it are schemas.
func (req *ChatRequest) appendTools(e *encoder) (schema int) {
	if req.tools != nil {
		schema += e.schemaMember("tools", func() {
			e.open('[')
			for i := range req.tools {
				req.tools[i].append(e)
			}
			e.close(']')
		})
	}
	req.toolChoice.append(e)
	e.boolMember("parallel_tool_calls", req.parallel)
	if req.functions != nil {
		schema += e.schemaMember("functions", func() {
			e.open('[')
			for i := range req.functions {
				e.open('{')
				req.functions[i].append(e, "parameters")
				e.close('}')
			}
			e.close(']')
		})
	}
	req.functionCall.appendOlder(e)
	if req.format.kind != "" {
		schema += e.schemaMember("response_format", func() { req.format.append(e) })
	}
	return schema
}

func (t *chatTool) append(e *encoder) {
	e.open('{')
	e.name("type")
	if !t.custom {
		e.text("function")
		e.name("function")
		e.open('{')
		t.function.append(e, "parameters")
		e.close('}')
		e.close('}')
		return
	}
	e.text("custom")
	e.name("custom")
	e.open('{')
	e.textMember("name", t.name)
	e.textMember("description", t.about)
	if t.format.kind != "" {
		e.name("format")
		t.format.append(e)
	}
	e.close('}')
	e.close('}')
}

func (f *chatToolFormat) append(e *encoder) {
	e.open('{')
	e.textMember("type", f.kind)
	if f.kind == "grammar" {
		e.name("grammar")
		e.open('{')
		f.grammar.append(e)
		e.close('}')
	}
	e.close('}')
}

func (f *chatFormat) append(e *encoder) {
	e.open('{')
	e.textMember("type", f.kind)
	if f.kind == "json_schema" {
		e.name("json_schema")
		e.open('{')
		f.schema.append(e, "schema")
		e.close('}')
	}
	e.close('}')
}

func (c *chatToolChoice) append(e *encoder) {
	if !c.set() {
		return
	}
	e.name("tool_choice")
	switch {
	case c.mode != "":
		e.text(c.mode)
	case c.allowed != nil:
		e.open('{')
		e.textMember("type", "allowed_tools")
		e.name("allowed_tools")
		e.open('{')
		e.textMember("mode", c.among)
		e.name("tools")
		e.open('[')
		for _, t := range c.allowed {
			t.append(e)
		}
		e.close(']')
		e.close('}')
		e.close('}')
	default:
		c.named.append(e)
	}
}

func (t chatToolName) append(e *encoder) {
	kind := "function"
	if t.custom {
		kind = "custom"
	}
	e.open('{')
	e.textMember("type", kind)
	e.name(kind)
	e.open('{')
	e.textMember("name", t.name)
	e.close('}')
	e.close('}')
}

// appendOlder appends it as function_call.
func (c *chatToolChoice) appendOlder(e *encoder) {
	if !c.set() {
		return
	}
	e.name("function_call")
	if c.mode != "" {
		e.text(c.mode)
		return
	}
	e.open('{')
	e.textMember("name", c.named.name)
	e.close('}')
}
