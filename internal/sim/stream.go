package sim

import (
	"bytes"
	"net/http"
	"time"
)

// stream answers as server-sent events.
func (c *call) stream() error {
	c.begin(http.StatusOK, "text/event-stream; charset=utf-8")
	f := c.newFrame()
	if c.b.At < 0 {
		if err := c.strike(f); err != nil {
			return err
		}
	}
	member := c.member()
	for i := range c.reply.choices {
		if err := c.send(f.choice(i, `"role":"assistant",`+empty(member)+`,"refusal":null`, "", false, "null")); err != nil {
			return err
		}
	}
	if err := c.streamText(f, member); err != nil {
		return err
	}
	for i := range c.reply.choices {
		if err := c.send(f.choice(i, "", "", false, `"`+c.reply.finish+`"`)); err != nil {
			return err
		}
	}
	return c.streamEnd(f)
}

// member is the start of a delta that carries text.
func (c *call) member() string {
	switch {
	case c.b.Fault == NullContent:
		return `"content":null`
	case c.b.Refusal:
		return `"refusal":`
	}
	return `"content":`
}

// empty is the member in the first chunk of a choice.
func empty(member string) string {
	if member == `"content":` {
		return `"content":""`
	}
	return `"content":null`
}

// streamText sends the pieces, and the fault that strikes among them.
func (c *call) streamText(f *frame, member string) error {
	at, pace := c.b.At, c.b.Pace
	if at == 0 {
		at = defaultAt
	}
	if !c.b.Fault.midway() {
		at = -1
	}
	endless := c.b.Fault == NeverEnding && len(c.reply.pieces) > 0
	if endless && pace == 0 {
		pace = 5 * time.Millisecond
	}
	for i := 0; i < len(c.reply.pieces) || endless; i++ {
		if i == at {
			if err := c.strike(f); err != nil {
				return err
			}
		}
		if i > 0 {
			if err := c.wait(pace); err != nil {
				return err
			}
		}
		piece := c.reply.pieces[i%len(c.reply.pieces)]
		c.parts++
		c.sent += len(piece)
		for choice := range c.reply.choices {
			if err := c.send(f.choice(choice, member, piece, c.b.Escape, "null")); err != nil {
				return err
			}
		}
	}
	if at >= len(c.reply.pieces) { // the text was too short for it to strike before
		return c.strike(f)
	}
	return nil
}

// streamEnd closes the books and then the stream.
func (c *call) streamEnd(f *frame) error {
	c.due = all
	var last []byte
	if o := c.req.StreamOptions; o != nil && o.IncludeUsage && c.b.Usage != "missing" {
		last = f.usage(c.usage())
	}
	if c.b.Fault == NoDone {
		c.sim.leave(c, failed)
		return c.send(last)
	}
	c.sim.leave(c, completed)
	return c.send(append(last, "data: [DONE]\n\n"...))
}

// strike lets the fault happen. It returns nil when the stream goes on after it.
func (c *call) strike(f *frame) error {
	if err := c.send(nil); err != nil { // the headers, if nothing was sent before
		return err
	}
	chunk := f.choice(0, `"content":`, "and so on", false, "null")
	cut := bytes.Index(chunk, []byte("and so on"))
	switch c.b.Fault {
	case HangMid:
		return c.hang()
	case Cut:
		return errCut
	case EOF:
		return errEnded
	case Malformed:
		return c.send(append(chunk[:cut:cut], "\n\n"...))
	case ErrorChunk:
		return c.streamError("data: ")
	case ErrorEvent:
		return c.streamError("event: error\ndata: ")
	case EndlessLine:
		return c.flood(chunk[:cut], "a", nil)
	case EndlessComments:
		return c.flood(nil, ": still thinking\n\n", nil)
	case Giant:
		return c.flood(chunk[:cut], "a", chunk[cut+len("and so on"):])
	}
	return nil
}

// streamError ends a stream with an error object.
func (c *call) streamError(field string) error {
	c.sim.leave(c, failed)
	event := c.streamFailure().append([]byte(field), false)
	if err := c.send(append(event, "\n\n"...)); err != nil {
		return err
	}
	return errEnded
}

func (c *call) streamFailure() *refusal {
	no := &refusal{http.StatusInternalServerError, "The server had an error while processing your request. Sorry about that!", "server_error", "", ""}
	if c.b.Leak == "error" {
		no.message += " Key: " + c.key
	}
	return no
}

// flood sends head, amount bytes of unit and tail. Without a tail the line never
// ends, so it breaks off; with one it goes on.
func (c *call) flood(head []byte, unit string, tail []byte) error {
	const block = 32 << 10
	units := bytes.Repeat([]byte(unit), block/len(unit))
	if len(head) > 0 {
		if err := c.send(head); err != nil {
			return err
		}
	}
	left := c.b.Amount
	if left == 0 {
		left = defaultAmount
	}
	for left > 0 {
		n := min(left, len(units))
		if err := c.send(units[:n]); err != nil {
			return err
		}
		left -= n
		if err := c.wait(c.b.Pace); err != nil {
			return err
		}
	}
	if tail == nil {
		return errCut
	}
	return c.send(tail)
}
