package sim

import (
	"bytes"
	"strconv"
)

// events encodes the typed events of one answer of the Responses API.
type events struct {
	*answerOf
	seq     int
	index   int // of the item that is open
	current int // of the tool call that is open
	obscur  bool
	escape  bool
	buf     []byte
}

func (r *responsesRequest) teller(c *call) teller {
	e := &events{answerOf: r.answer(c), obscur: true, escape: c.b.Escape, current: -1, buf: make([]byte, 0, 4096)}
	if o := r.StreamOptions; o != nil && o.IncludeObfuscation != nil {
		e.obscur = *o.IncludeObfuscation
	}
	return e
}

// event begins one; the caller adds members, each with a comma before it.
func (e *events) event(kind string) {
	b := append(append(e.buf, "event: "...), kind...)
	b = append(append(append(b, "\ndata: {\"type\":\""...), kind...), `","sequence_number":`...)
	e.buf = strconv.AppendInt(b, int64(e.seq), 10)
	e.seq++
}

func (e *events) end() { e.buf = append(e.buf, "}\n\n"...) }

// whole is an event that carries the response.
func (e *events) whole(kind, status string) {
	e.event(kind)
	e.buf = e.append(append(e.buf, `,"response":`...), status)
	e.end()
}

// item is an event that carries an item.
func (e *events) item(kind string, write func([]byte) []byte) {
	e.event(kind)
	e.buf = strconv.AppendInt(append(e.buf, `,"output_index":`...), int64(e.index), 10)
	e.buf = write(append(e.buf, `,"item":`...))
	e.end()
}

// within is an event inside an item.
func (e *events) within(kind, item string, inPart bool) {
	e.event(kind)
	e.buf = appendString(append(e.buf, `,"item_id":`...), item, false)
	e.buf = strconv.AppendInt(append(e.buf, `,"output_index":`...), int64(e.index), 10)
	if inPart {
		e.buf = append(e.buf, `,"content_index":0`...)
	}
}

func (e *events) open() []byte {
	e.buf = e.buf[:0]
	e.whole("response.created", "in_progress")
	e.whole("response.in_progress", "in_progress")
	if e.c.reply.thought > 0 {
		e.item("response.output_item.added", e.appendReasoning)
		e.item("response.output_item.done", e.appendReasoning)
		e.index++
	}
	if e.speaking() {
		e.item("response.output_item.added", func(b []byte) []byte { return e.appendMessage(b, "in_progress") })
		e.within("response.content_part.added", e.said, true)
		e.buf = e.appendPart(append(e.buf, `,"part":`...), "")
		e.end()
	}
	return e.buf
}

func (e *events) chunk(i int, piece string) []byte {
	e.buf = e.buf[:0]
	calls := e.c.reply.calls
	if len(calls) == 0 {
		e.delta(piece)
		return e.buf
	}
	if n := e.c.reply.callAt(i); n != e.current && i == calls[n].from {
		e.closeCall()
		e.current = n
		e.item("response.output_item.added", func(b []byte) []byte { return e.appendCall(b, n, "in_progress") })
	}
	e.delta(piece)
	return e.buf
}

// delta adds a piece of what is open.
func (e *events) delta(piece string) {
	switch {
	case e.current >= 0 && e.c.reply.calls[e.current].custom:
		e.within("response.custom_tool_call_input.delta", e.c.reply.calls[e.current].item, false)
	case e.current >= 0:
		e.within("response.function_call_arguments.delta", e.c.reply.calls[e.current].item, false)
	case e.c.b.Refusal:
		e.within("response.refusal.delta", e.said, true)
	default:
		e.within("response.output_text.delta", e.said, true)
	}
	e.buf = appendString(append(e.buf, `,"delta":`...), piece, e.escape)
	if e.current < 0 && !e.c.b.Refusal {
		e.buf = append(e.buf, `,"logprobs":[]`...)
	}
	if e.obscur {
		const padding = "rXq7Lw2ZpT0vKd9s"
		e.buf = append(append(append(e.buf, `,"obfuscation":"`...), padding[len(piece)%len(padding):]...), '"')
	}
	e.end()
}

func (e *events) close() []byte {
	e.buf = e.buf[:0]
	e.closeCall()
	if e.speaking() {
		kind, member := "response.output_text.done", `,"logprobs":[],"text":`
		if e.c.b.Refusal {
			kind, member = "response.refusal.done", `,"refusal":`
		}
		e.within(kind, e.said, true)
		e.buf = append(e.buf, member...)
		if e.c.b.Fault == NullContent && !e.c.b.Refusal {
			e.buf = append(e.buf, "null"...)
		} else {
			e.buf = appendString(e.buf, e.c.reply.text, e.escape)
		}
		e.end()
		e.within("response.content_part.done", e.said, true)
		e.buf = e.appendPart(append(e.buf, `,"part":`...), e.c.reply.text)
		e.end()
		e.item("response.output_item.done", func(b []byte) []byte { return e.appendMessage(b, e.status()) })
	}
	return e.buf
}

// closeCall ends the tool call that is open, if one is.
func (e *events) closeCall() {
	if e.current < 0 {
		return
	}
	call := &e.c.reply.calls[e.current]
	kind, member := "response.function_call_arguments.done", `,"arguments":`
	if call.custom {
		kind, member = "response.custom_tool_call_input.done", `,"input":`
	}
	e.within(kind, call.item, false)
	e.buf = appendString(append(e.buf, member...), call.args, e.escape)
	if !call.custom {
		e.buf = appendString(append(e.buf, `,"name":`...), call.name, e.escape)
	}
	e.end()
	n := e.current
	e.item("response.output_item.done", func(b []byte) []byte { return e.appendCall(b, n, e.status()) })
	e.index++
	e.current = -1
}

func (e *events) last(done bool) []byte {
	e.buf = e.buf[:0]
	if e.c.b.Leak == "last" {
		e.c.reply.text += e.c.key
		if n := len(e.c.reply.calls); n > 0 {
			e.c.reply.calls[n-1].args += e.c.key
		}
	}
	if done {
		e.whole("response."+e.status(), e.status())
	}
	return e.buf
}

func (e *events) sample() (chunk []byte, cut int) {
	e.buf, e.escape = e.buf[:0], false
	e.delta(sampleText)
	e.escape = e.c.b.Escape
	return e.buf, bytes.LastIndex(e.buf, []byte(sampleText))
}

// broken is response.failed or the error event: as documented, or with the error
// inside (error_event), as it has been seen to arrive.
func (e *events) broken(how Fault) []byte {
	e.buf = e.buf[:0]
	if how == Failed {
		e.whole("response.failed", "failed")
		return e.buf
	}
	no := e.c.streamFailure()
	e.event("error")
	if how == ErrorEvent {
		e.buf = appendString(append(e.buf, `,"error":{"type":"server_error","code":"server_error","message":`...), no.message, false)
		e.buf = append(e.buf, `,"param":null}`...)
	} else {
		e.buf = appendString(append(e.buf, `,"code":"server_error","message":`...), no.message, false)
		e.buf = append(e.buf, `,"param":null`...)
	}
	e.end()
	return e.buf
}
