package wire

import (
	"math"
	"slices"

	"keyshield/internal/strict"
)

// chatMessage is one of a conversation. What it may hold depends on its role.
type chatMessage struct {
	role    string
	name    string // of the speaker, or of a function that was called
	content chatContent
	refusal string // the model's own, in place of content
	calls   []chatToolCall
	call    *chatCall // the older form of calls
	answers string    // tool: the id of the call
}

// chatContent is a string, or a list of parts, or absent.
type chatContent struct {
	text  *string
	parts []chatPart
}

// chatPart is a piece of text, or of a refusal in an assistant's message.
type chatPart struct {
	refusal bool
	text    string
}

// chatToolCall is a call that the model made.
type chatToolCall struct {
	id     string
	custom bool
	chatCall
}

// chatCall is the call of a function, or of a custom tool.
type chatCall struct {
	name  string
	input string // arguments, for a function
}

var chatMessageFields = []string{
	"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "annotations", "audio", "function_call", "parsed",
}

func (c *chatReader) readMessages(r *strict.Reader) {
	r.Array(maxMessages, func(int) { c.readMessage(r) })
	if len(c.req.messages) == 0 {
		r.Invalid("must hold at least one message")
	}
}

// readMessage reads a message: first all that any may hold, since its role may
// come last.
func (c *chatReader) readMessage(r *strict.Reader) {
	var m chatMessage
	var made string // a member that only the model's own messages have
	r.Object(chatMessageFields, func(name string) {
		if r.Null() {
			return
		}
		switch name {
		case "role":
			m.role = r.Enum("system", "developer", "user", "assistant", "tool", "function")
		case "content":
			m.content.read(r)
		case "name":
			m.name = readSpeaker(r)
		case "tool_call_id":
			m.answers = r.Text(maxCallID)
		default:
			m.readMade(r, name)
			made = name
		}
	})
	if m.check(r, made); !r.Refused() {
		c.follow(r, &m)
	}
	c.req.System = c.req.System || m.role == "system" || m.role == "developer"
	c.req.messages = append(c.req.messages, m)
}

// readMade reads what only the model says. People send its messages back whole, with
// what openai-node's parse adds to them.
func (m *chatMessage) readMade(r *strict.Reader, name string) {
	switch name {
	case "tool_calls": // an empty list is what some clients make of none
		readEach(r, maxToolCalls, func() { m.calls = append(m.calls, readToolCall(r)) })
	case "function_call":
		m.call = new(readChatCall(r, chatCallFields))
	case "refusal":
		m.refusal = r.String()
	case "annotations": // where a search found what was said
		list := r.Kind() == '['
		if r.Skip(); !list {
			r.Invalid("must be an array")
		}
	case "audio":
		r.Skip()
		r.Invalid("is not accepted: it refers to a stored answer, which may be anyone's")
	case "parsed": // the content once more
		r.Skip()
	}
}

// check refuses a message that lacks what its role needs, or has what another's
// would.
func (m *chatMessage) check(r *strict.Reader, made string) {
	assistant := m.role == "assistant"
	said := m.content.text != nil || m.content.parts != nil
	for _, bad := range []struct {
		when         bool
		field, wrong string
	}{
		{m.role == "", "role", "is missing"},
		{made != "" && !assistant, made, "belongs to messages of the assistant"},
		{m.content.refuses() && !assistant, "content", "may hold a refusal in messages of the assistant only"},
		{m.answers != "" && m.role != "tool", "tool_call_id", "belongs to messages of a tool"},
		{m.answers == "" && m.role == "tool", "tool_call_id", "is missing: it says which call this answers"},
		{m.name == "" && m.role == "function", "name", "is missing: it says which function this answers for"},
		{(m.role == "function" || m.role == "tool") && !plain(m.name), "name", onlyPlain},
		{m.content.parts != nil && m.role == "function", "content", "must be a string"},
		{!said && assistant && m.calls == nil && m.call == nil && m.refusal == "", "content", "is missing"},
		{!said && !assistant && m.role != "function", "content", "is missing"},
	} {
		if bad.when {
			r.InvalidMember(bad.field, "%s", bad.wrong)
			return
		}
	}
	if m.role == "tool" {
		m.name = "" // many send it, but the call's id says it
	}
}

// follow holds calls and their answers against each other: an id is defined once
// and answered once, after that.
func (c *chatReader) follow(r *strict.Reader, m *chatMessage) {
	for _, call := range m.calls {
		if _, defined := c.calls[call.id]; defined {
			r.InvalidMember("tool_calls", "defines the call %q a second time", strict.Shown(call.id))
			return
		}
		if c.calls == nil {
			c.calls = make(map[string]bool)
		}
		c.calls[call.id] = false
	}
	if m.role != "tool" {
		return
	}
	switch answered, defined := c.calls[m.answers]; {
	case !defined:
		r.InvalidMember("tool_call_id", "answers %q, which no message of the assistant before it has called", strict.Shown(m.answers))
	case answered:
		r.InvalidMember("tool_call_id", "answers %q a second time", strict.Shown(m.answers))
	default:
		c.calls[m.answers] = true
	}
}

// read reads a string or parts.
func (c *chatContent) read(r *strict.Reader) {
	switch r.Kind() {
	case '"':
		c.text = new(r.String())
	case '[':
		if readEach(r, maxParts, func() { c.parts = append(c.parts, readChatPart(r)) }) == 0 {
			r.Invalid("must not be empty")
		}
	default:
		r.Skip()
		r.Invalid("must be a string or an array of text parts")
	}
}

func (c *chatContent) refuses() bool {
	for _, p := range c.parts {
		if p.refusal {
			return true
		}
	}
	return false
}

// chatPartFields are those of every kind of part, so that a client reads why a kind is
// refused.
var chatPartFields = []string{"type", "text", "refusal", "image_url", "input_audio", "file", "prompt_cache_breakpoint"}

// deniedParts are kinds of parts, and members of parts, that no plan opens, and why.
var deniedParts = map[string]string{
	"image_url":               "the tokens of an image are not bounded by bytes",
	"input_audio":             "the tokens of audio are not bounded by bytes",
	"file":                    "a file is read from storage, or has no bound in bytes",
	"prompt_cache_breakpoint": cacheIsShared,
}

func readChatPart(r *strict.Reader) (p chatPart) {
	var kind string
	var text, refusal *string
	r.Object(chatPartFields, func(name string) {
		if r.Null() {
			return
		}
		switch name {
		case "type":
			kind = readPartKind(r, "text", "refusal")
		case "text":
			text = new(r.String())
		case "refusal":
			refusal = new(r.String())
		default:
			r.Skip()
			r.Invalid("is not accepted: %s", deniedParts[name])
		}
	})
	p.refusal = kind == "refusal"
	member, other, value := "text", "refusal", text
	if p.refusal {
		member, other, value = "refusal", "text", refusal
	}
	switch {
	case kind == "":
		r.Missing("type")
	case value == nil:
		r.Missing(member)
	case text != nil && refusal != nil:
		r.InvalidMember(other, "has no place in a part of type %q", kind)
	default:
		p.text = *value
	}
	return p
}

// readPartKind reads the type of a part, which must be one of these.
func readPartKind(r *strict.Reader, of ...string) string {
	kind := r.String()
	why, denied := deniedParts[kind]
	switch {
	case slices.Contains(of, kind):
		return kind
	case denied:
		r.Invalid("must be %q, not %q: %s", of[0], kind, why)
	default:
		r.Invalid("must be %q", of[0])
	}
	return ""
}

// readToolCall reads a call. A stream's pieces have an index, and who puts them
// together may leave it in.
func readToolCall(r *strict.Reader) (t chatToolCall) {
	var kind string
	var function, custom bool
	r.Object([]string{"id", "type", "function", "custom", "index"}, func(name string) {
		switch {
		case r.Null():
		case name == "id":
			t.id = r.Text(maxCallID)
		case name == "type":
			kind = r.Enum("function", "custom")
		case name == "function":
			function = true
			t.chatCall = readChatCall(r, chatCallFields)
		case name == "custom":
			custom = true
			t.chatCall = readChatCall(r, chatCustomFields)
		case name == "index":
			r.Int(0, math.MaxInt32)
		}
	})
	if t.id == "" {
		r.Missing("id")
	}
	checkKind(r, kind, function, custom)
	t.custom = custom
	return t
}

// What a call holds: a name, what is handed over, and the same once more, from
// openai-node's parse.
var (
	chatCallFields   = []string{"name", "arguments", "parsed_arguments"}
	chatCustomFields = []string{"name", "input"}
)

func readChatCall(r *strict.Reader, fields []string) (c chatCall) {
	input, given := fields[1], false
	r.Object(fields, func(name string) {
		switch {
		case r.Null():
		case name == "name":
			c.name = readName(r, maxName)
		case name == input:
			c.input = r.String()
			given = true
		default:
			r.Skip()
		}
	})
	switch {
	case c.name == "":
		r.Missing("name")
	case !given:
		r.Missing(input)
	}
	return c
}
