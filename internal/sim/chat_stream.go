package sim

import (
	"bytes"
	"strconv"
)

// frame encodes the chunks of one stream of chat completions into one buffer.
type frame struct {
	c      *call
	asked  *streamOptions
	head   []byte // up to and with "choices":[
	tail   string // from there on, but for the obfuscation
	obscur bool
	member string // of a delta that carries text
	escape bool
	buf    []byte
}

func (r *chatRequest) teller(c *call) teller {
	f := &frame{c: c, asked: r.StreamOptions, tail: "]", obscur: true, member: `"content":`, escape: c.b.Escape, buf: make([]byte, 0, 512)}
	switch {
	case c.b.Fault == NullContent:
		f.member = `"content":null`
	case c.b.Refusal:
		f.member = `"refusal":`
	}
	if o := r.StreamOptions; o != nil {
		if o.IncludeUsage {
			f.tail = `],"usage":null`
		}
		f.obscur = o.IncludeObfuscation == nil || *o.IncludeObfuscation
	}
	f.entitle()
	return f
}

// entitle writes what every chunk begins with.
func (f *frame) entitle() {
	p := f.c.reply
	h := append(make([]byte, 0, 256), `data: {"id":`...)
	h = appendString(h, p.id, false)
	h = append(h, `,"object":"chat.completion.chunk","created":`...)
	h = strconv.AppendInt(h, p.created, 10)
	h = appendString(append(h, `,"model":`...), p.model, false)
	h = appendString(append(h, `,"service_tier":`...), p.tier, false)
	h = appendString(append(h, `,"system_fingerprint":`...), p.fingerprint, false)
	f.head = append(h, `,"choices":[`...)
}

func (f *frame) open() []byte {
	empty := `"content":null`
	if f.member == `"content":` && len(f.c.reply.calls) == 0 {
		empty = `"content":""`
	}
	f.buf = f.buf[:0]
	for i := range f.c.reply.choices {
		f.choice(i, `"role":"assistant",`+empty+`,"refusal":null`, "", "", "null")
	}
	return f.buf
}

func (f *frame) chunk(i int, piece string) []byte {
	f.buf = f.buf[:0]
	if len(f.c.reply.calls) > 0 {
		f.calling(i, piece)
		return f.buf
	}
	for choice := range f.c.reply.choices {
		f.choice(choice, f.member, piece, "", "null")
	}
	return f.buf
}

func (f *frame) close() []byte {
	if f.c.b.Leak == "last" {
		f.c.reply.fingerprint = "fp_" + f.c.key
		f.entitle()
	}
	f.buf = f.buf[:0]
	for i := range f.c.reply.choices {
		f.choice(i, "", "", "", `"`+f.c.reply.finish+`"`)
	}
	return f.buf
}

func (f *frame) last(done bool) []byte {
	f.buf = f.buf[:0]
	if f.asked != nil && f.asked.IncludeUsage && f.c.b.Usage != "missing" {
		f.usage()
	}
	if done {
		f.buf = append(f.buf, "data: [DONE]\n\n"...)
	}
	return f.buf
}

func (f *frame) sample() (chunk []byte, cut int) {
	f.buf, f.escape = f.buf[:0], false
	if calls := f.c.reply.calls; len(calls) > 0 {
		f.arguments(0, 0, calls[0].custom, sampleText)
	} else {
		f.choice(0, `"content":`, sampleText, "", "null")
	}
	f.escape = f.c.b.Escape
	return f.buf, bytes.LastIndex(f.buf, []byte(sampleText))
}

func (f *frame) broken(how Fault) []byte {
	f.buf = f.buf[:0]
	if how == ErrorEvent {
		f.buf = append(f.buf, "event: error\n"...)
	}
	f.buf = f.c.streamFailure().append(append(f.buf, "data: "...), false)
	return append(f.buf, "\n\n"...)
}

// choice adds a chunk of one choice: the start of a delta, its text if there is
// any, and the end of the delta. reason is JSON, mostly null.
func (f *frame) choice(index int, member, text, after, reason string) {
	b := append(f.buf, f.head...)
	b = strconv.AppendInt(append(b, `{"index":`...), int64(index), 10)
	b = append(append(b, `,"delta":{`...), member...)
	if text != "" {
		b = appendString(b, text, f.escape)
	}
	b = append(append(b, after...), `},"logprobs":null,"finish_reason":`...)
	b = append(append(append(b, reason...), '}'), f.tail...)
	if f.obscur {
		// OpenAI pads chunks, so that their length does not tell the word.
		const padding = "rXq7Lw2ZpT0vKd9s"
		b = append(append(append(b, `,"obfuscation":"`...), padding[len(text)%len(padding):]...), '"')
	}
	f.buf = append(b, "}\n\n"...)
}

// calling adds a piece of a tool call's arguments, and its name before the first.
func (f *frame) calling(i int, piece string) {
	p := f.c.reply
	n := p.callAt(i)
	call := &p.calls[n]
	for choice := range p.choices {
		if i == call.from {
			const function, custom = `,"type":"function","function":{"name":`, `,"type":"custom","custom":{"name":`
			kind, empty := function, `,"arguments":""}}]`
			if call.custom {
				kind, empty = custom, `,"input":""}}]`
			}
			head := append([]byte(`"tool_calls":[{"index":`), itoa(n)...)
			head = append(appendString(append(head, `,"id":`...), call.id, false), kind...)
			f.choice(choice, string(head), call.name, empty, "null")
		}
		f.arguments(choice, n, call.custom, piece)
	}
}

func (f *frame) arguments(choice, n int, custom bool, piece string) {
	member := `,"function":{"arguments":`
	if custom {
		member = `,"custom":{"input":`
	}
	f.choice(choice, `"tool_calls":[{"index":`+itoa(n)+member, piece, "}}]", "null")
}

// usage adds the chunk after the last choice.
func (f *frame) usage() {
	b := append(append(f.buf, f.head...), `],"usage":`...)
	if u, known := f.c.usage(); known {
		b = u.append(b, chatUsageLine)
	} else {
		b = append(b, "null"...)
	}
	f.buf = append(b, "}\n\n"...)
}
