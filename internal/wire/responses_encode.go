package wire

// Append appends the request as it goes upstream. schema is how many bytes the
// values of tools and text.format take in it: they are ASCII, and their tokens are
// bounded by a multiple of these.
func (r *ResponsesRequest) Append(dst []byte, by Sent) (body []byte, schema int) {
	e := start(dst)
	e.name("model")
	e.text(r.Model)
	e.name("max_output_tokens")
	e.int(by.OutputLimit)
	e.name("service_tier")
	e.text(by.ServiceTier)
	e.name("store")
	e.bool(false) // the API's own default is true
	e.textMember("safety_identifier", by.SafetyIdentifier)
	if by.Effort != "" {
		e.name("reasoning")
		e.open('{')
		e.textMember("effort", by.Effort)
		e.close('}')
	}
	r.appendStream(&e)
	r.appendSampling(&e, by.SystemPrompt != "")
	if len(r.tools) > 0 {
		schema += e.schemaMember("tools", func() { r.appendTools(&e) })
	}
	r.toolChoice.append(&e)
	e.boolMember("parallel_tool_calls", r.parallel)
	schema += r.appendText(&e)
	r.appendInput(&e, by.SystemPrompt)
	e.close('}')
	return e.b, schema
}

func (r *ResponsesRequest) appendStream(e *encoder) {
	if !r.Stream {
		return
	}
	e.name("stream")
	e.bool(true)
	if r.obfuscation != nil {
		e.name("stream_options")
		e.open('{')
		e.boolMember("include_obfuscation", r.obfuscation)
		e.close('}')
	}
}

func (r *ResponsesRequest) appendSampling(e *encoder, prompted bool) {
	e.numberMember("temperature", r.temperature)
	e.numberMember("top_p", r.topP)
	if r.TopLogProbs > 0 { // 0 is the default
		e.name("top_logprobs")
		e.int(r.TopLogProbs)
	}
	if r.outputLogProbs {
		e.name("include")
		e.texts([]string{includeLogProbs})
	}
	if !prompted { // else truncating would drop the prompt, which comes first
		e.textMember("truncation", r.truncation)
	}
}

func (r *ResponsesRequest) appendTools(e *encoder) {
	e.open('[')
	for i := range r.tools {
		t := &r.tools[i]
		e.open('{')
		if t.custom {
			e.textMember("type", "custom")
		} else {
			e.textMember("type", "function")
		}
		t.append(e, "parameters")
		if t.format != "" {
			e.name("format")
			e.open('{')
			e.textMember("type", t.format)
			t.grammar.append(e)
			e.close('}')
		}
		e.close('}')
	}
	e.close(']')
}

func (c *responsesChoice) append(e *encoder) {
	switch {
	case c.kind != "":
		e.name("tool_choice")
		e.open('{')
		e.textMember("type", c.kind)
		e.textMember("name", c.name)
		e.textMember("mode", c.mode)
		if c.tools != nil {
			e.name("tools")
			e.open('[')
			for _, t := range c.tools {
				e.open('{')
				e.textMember("type", t.kind)
				e.textMember("name", t.name)
				e.close('}')
			}
			e.close(']')
		}
		e.close('}')
	case c.mode != "":
		e.name("tool_choice")
		e.text(c.mode)
	}
}

// appendText appends text, and returns the bytes of its format.
func (r *ResponsesRequest) appendText(e *encoder) (schema int) {
	if r.format.kind == "" && r.verbosity == "" {
		return 0
	}
	e.name("text")
	e.open('{')
	if r.format.kind != "" {
		schema = e.schemaMember("format", func() {
			e.open('{')
			e.textMember("type", r.format.kind)
			r.format.append(e, "schema")
			e.close('}')
		})
	}
	e.textMember("verbosity", r.verbosity)
	e.close('}')
	return schema
}

// appendInput appends instructions and input. The answer repeats the instructions,
// so a system prompt, which the client must not see, is the first item instead; the
// client's own follow it, or they would come before it.
func (r *ResponsesRequest) appendInput(e *encoder, systemPrompt string) {
	if systemPrompt == "" {
		e.textMember("instructions", r.instructions)
		if r.items == nil {
			e.textMember("input", r.text)
			return
		}
	}
	e.name("input")
	e.open('[')
	if systemPrompt != "" {
		(&inputItem{kind: itemMessage, role: "system", text: systemPrompt}).append(e)
		if r.instructions != "" {
			(&inputItem{kind: itemMessage, role: "developer", text: r.instructions}).append(e)
		}
		if r.items == nil {
			(&inputItem{kind: itemMessage, role: "user", text: r.text}).append(e)
		}
	}
	for i := range r.items {
		r.items[i].append(e)
	}
	e.close(']')
}

// append leaves out id and status: an item is what it says, and refers to nothing.
func (item *inputItem) append(e *encoder) {
	e.open('{')
	e.textMember("type", item.kind)
	e.textMember("role", item.role)
	e.textMember("phase", item.phase)
	e.textMember("call_id", item.callID)
	e.textMember("name", item.name)
	switch item.kind {
	case itemMessage:
		e.name("content")
	case itemCall:
		e.name("arguments")
	case itemCustomCall:
		e.name("input")
	default:
		e.name("output")
	}
	if item.parts == nil {
		e.text(item.text)
	} else {
		item.appendParts(e)
	}
	e.close('}')
}

func (item *inputItem) appendParts(e *encoder) {
	e.open('[')
	for _, p := range item.parts {
		e.open('{')
		e.textMember("type", p.kind)
		if p.kind == partRefusal {
			e.name("refusal")
		} else {
			e.name("text")
		}
		e.text(p.text)
		e.close('}')
	}
	e.close(']')
}
