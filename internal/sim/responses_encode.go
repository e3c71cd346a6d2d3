package sim

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// answerOf is a Response object on its way out.
type answerOf struct {
	*responsesRequest
	c                 *call
	reason, said      string // ids of the items
	echoed            []byte // the members that repeat the request
	encryptedIncluded bool
}

func (r *responsesRequest) compose(c *call) (*reply, error) {
	return c.compose("resp_" + hexID())
}

// hexID is 50 hexadecimal digits, like those of the Responses API.
func hexID() string {
	const hex = "0123456789abcdef"
	id := []byte(randomID() + randomID())[:50]
	for i, b := range id {
		id[i] = hex[b&15]
	}
	return string(id)
}

func (r *responsesRequest) answer(c *call) *answerOf {
	a := &answerOf{responsesRequest: r, c: c, reason: "rs_" + hexID(), said: "msg_" + hexID()}
	a.encryptedIncluded = slices.Contains(r.Include, "reasoning.encrypted_content")
	for i := range c.reply.calls {
		call := &c.reply.calls[i]
		call.item = "fc_" + hexID()
		if call.custom {
			call.item = "ctc_" + hexID()
		}
	}
	if c.b.Leak == "fields" {
		a.reason, a.said = "rs_"+c.key, "msg_"+c.key
	}
	return a
}

// encode writes the whole answer, indented like OpenAI's.
func (r *responsesRequest) encode(c *call) []byte {
	a := r.answer(c)
	status := a.status()
	if c.b.Fault == Failed {
		status = "failed"
	}
	return indent(a.append(nil, status))
}

// indent leaves a body as it is when it is no JSON: the faults see to that.
func indent(body []byte) []byte {
	v := jsontext.Value(body)
	if err := v.Indent(jsontext.WithIndent("  "), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return append(body, '\n')
	}
	return append(v, '\n')
}

// status is how the answer ended.
func (a *answerOf) status() string {
	if f := a.c.reply.finish; f == "length" || f == "content_filter" {
		return "incomplete"
	}
	return "completed"
}

// append writes the object in one of its states.
func (a *answerOf) append(b []byte, status string) []byte {
	p, ended := a.c.reply, status != "in_progress"
	b = appendString(append(b, `{"id":`...), p.id, false)
	b = append(b, `,"object":"response","created_at":`...)
	b = strconv.AppendInt(b, p.created, 10)
	b = append(append(append(b, `,"status":"`...), status...), `","background":false,"completed_at":`...)
	if status == "completed" {
		b = strconv.AppendInt(b, time.Now().Unix(), 10)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"error":`...)
	if status == "failed" {
		b = a.appendError(b)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"incomplete_details":`...)
	switch {
	case status != "incomplete":
		b = append(b, "null"...)
	case p.finish == "content_filter":
		b = append(b, `{"reason":"content_filter"}`...)
	default:
		b = append(b, `{"reason":"max_output_tokens"}`...)
	}
	b = append(b, `,"output":[`...)
	if ended && status != "failed" {
		b = a.appendOutput(b)
	}
	b = append(append(b, ']'), a.echo()...)
	switch u, known := a.usage(status); {
	case ended && known:
		b = u.append(append(b, `,"usage":`...), responseUsage)
	case !ended || a.c.b.Usage == "null":
		b = append(b, `,"usage":null`...)
	}
	return append(b, '}')
}

func (a *answerOf) appendError(b []byte) []byte {
	message := a.c.streamFailure().message
	return append(appendString(append(b, `{"code":"server_error","message":`...), message, false), '}')
}

// usage of a failed answer is what it is billed.
func (a *answerOf) usage(status string) (usage, bool) {
	if status != "failed" {
		return a.c.usage()
	}
	in, out := a.c.owes(failed)
	return a.c.claim(usage{in: in, out: out, thought: min(out, a.c.reply.thought)})
}

// echo repeats the request, with OpenAI's defaults for what it left out.
func (a *answerOf) echo() []byte {
	if a.echoed != nil {
		return a.echoed
	}
	b := make([]byte, 0, 1024)
	add := func(name string, value any) {
		b = append(appendString(append(b, ','), name, false), ':')
		b = append(b, encoded(value)...)
	}
	raw := func(name string, value jsontext.Value, usual string) {
		if !present(value) {
			value = jsontext.Value(usual)
		}
		add(name, value)
	}
	add("instructions", a.Instructions)
	add("max_output_tokens", a.MaxOutputTokens)
	add("max_tool_calls", a.MaxToolCalls)
	add("model", a.c.reply.model)
	add("parallel_tool_calls", orUsual(a.ParallelToolCalls, true))
	add("previous_response_id", nil)
	add("prompt_cache_key", orNull(a.PromptCacheKey))
	effort, summary := orNull(a.effort()), any(nil)
	if a.Reasoning != nil {
		summary = orNull(a.Reasoning.Summary)
	}
	if effort == nil && abilities(a.Model).reason {
		effort = "medium"
	}
	b = append(append(append(append(b, `,"reasoning":{"effort":`...), encoded(effort)...), `,"summary":`...), encoded(summary)...)
	b = append(b, '}')
	add("safety_identifier", orNull(a.SafetyIdentifier))
	add("service_tier", a.c.reply.tier)
	add("store", orUsual(a.Store, true))
	add("temperature", orUsual(a.Temperature, 1.0))
	var text textOptions
	if a.Text != nil {
		text = *a.Text
	}
	if !present(text.Format) {
		text.Format = jsontext.Value(`{"type":"text"}`)
	}
	b = append(append(b, `,"text":{"format":`...), encoded(text.Format)...)
	b = appendString(append(b, `,"verbosity":`...), cmp.Or(text.Verbosity, "medium"), false)
	b = append(b, '}')
	raw("tool_choice", a.ToolChoice, `"auto"`)
	raw("tools", a.Tools, "[]")
	add("top_logprobs", orUsual(a.TopLogprobs, 0))
	add("top_p", orUsual(a.TopP, 1.0))
	add("truncation", cmp.Or(a.Truncation, "disabled"))
	add("user", orNull(a.User))
	if a.Metadata == nil {
		a.Metadata = map[string]string{}
	}
	add("metadata", a.Metadata)
	a.echoed = b
	return b
}

func orUsual[T any](value *T, usual T) T {
	if value == nil {
		return usual
	}
	return *value
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// encoded is on one line, always the same for the same value.
func encoded(v any) []byte {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("sim: a value of a decoded request cannot be encoded: " + err.Error())
	}
	return b
}

// speaking reports whether there is a message; thought alone has none.
func (a *answerOf) speaking() bool {
	p := a.c.reply
	return len(p.calls) == 0 && (p.text != "" || a.c.b.Fault == NullContent)
}

// appendOutput writes all the items.
func (a *answerOf) appendOutput(b []byte) []byte {
	p, first := a.c.reply, len(b)
	if p.thought > 0 {
		b = a.appendReasoning(b)
	}
	if a.speaking() {
		if len(b) > first {
			b = append(b, ',')
		}
		b = a.appendMessage(b, a.status())
	}
	for i := range p.calls {
		if len(b) > first {
			b = append(b, ',')
		}
		b = a.appendCall(b, i, a.status())
	}
	return b
}

func (a *answerOf) appendReasoning(b []byte) []byte {
	b = appendString(append(b, `{"id":`...), a.reason, false)
	b = append(b, `,"type":"reasoning","summary":[]`...)
	if a.encryptedIncluded {
		b = append(b, `,"encrypted_content":"c2ltdWxhdGVkIHRob3VnaHQ="`...)
	}
	return append(b, '}')
}

// appendMessage writes the message; while in progress it has no content.
func (a *answerOf) appendMessage(b []byte, status string) []byte {
	b = appendString(append(b, `{"id":`...), a.said, false)
	b = append(append(append(b, `,"type":"message","status":"`...), status...), `","content":[`...)
	if status != "in_progress" {
		b = a.appendPart(b, a.c.reply.text)
	}
	return append(b, `],"role":"assistant"}`...)
}

// appendPart writes the part of a message that holds the text.
func (a *answerOf) appendPart(b []byte, text string) []byte {
	switch {
	case a.c.b.Refusal:
		return append(appendString(append(b, `{"type":"refusal","refusal":`...), text, a.c.b.Escape), '}')
	case a.c.b.Fault == NullContent:
		return append(b, `{"type":"output_text","annotations":[],"logprobs":[],"text":null}`...)
	}
	return append(appendString(append(b, `{"type":"output_text","annotations":[],"logprobs":[],"text":`...), text, a.c.b.Escape), '}')
}

// appendCall writes a tool call; while in progress it has no arguments.
func (a *answerOf) appendCall(b []byte, i int, status string) []byte {
	call := &a.c.reply.calls[i]
	kind, member, args := "function_call", "arguments", call.args
	if call.custom {
		kind, member = "custom_tool_call", "input"
	}
	if status == "in_progress" {
		args = ""
	}
	b = appendString(append(b, `{"id":`...), call.item, false)
	b = append(b, `,"type":"`+kind+`","status":"`+status+`","`+member+`":`...)
	b = appendString(b, args, a.c.b.Escape)
	b = appendString(append(b, `,"call_id":`...), call.id, false)
	b = appendString(append(b, `,"name":`...), call.name, a.c.b.Escape)
	return append(b, '}')
}
