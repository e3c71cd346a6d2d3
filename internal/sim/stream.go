package sim

import (
	"bytes"
	"net/http"
	"time"
)

// teller puts a reply into the events of one endpoint. What it returns is valid
// until its next method is called.
type teller interface {
	open() []byte                     // before the first content
	chunk(i int, piece string) []byte // one of content
	close() []byte                    // after the last content
	last(done bool) []byte            // the end; done is false when it is to be left out
	sample() (chunk []byte, cut int)  // one of content whose text, sampleText, begins at cut
	broken(f Fault) []byte            // the end after an error_chunk, an error_event or failed
}

const sampleText = "and so on"

// stream answers as server-sent events.
func (c *call) stream(t teller) error {
	c.begin(http.StatusOK, "text/event-stream; charset=utf-8")
	if c.b.At < 0 {
		if err := c.strike(t); err != nil {
			return err
		}
	}
	if err := c.send(t.open()); err != nil {
		return err
	}
	if err := c.streamText(t); err != nil {
		return err
	}
	if err := c.send(t.close()); err != nil {
		return err
	}
	return c.streamEnd(t)
}

// streamText sends the pieces, and the fault that strikes among them.
func (c *call) streamText(t teller) error {
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
			if err := c.strike(t); err != nil {
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
		if err := c.send(t.chunk(i, piece)); err != nil {
			return err
		}
	}
	if at >= len(c.reply.pieces) { // the text was too short for it to strike before
		return c.strike(t)
	}
	return nil
}

// streamEnd closes the books and then the stream.
func (c *call) streamEnd(t teller) error {
	c.due = all
	how, last := completed, t.last(c.b.Fault != NoDone)
	if c.b.Fault == NoDone {
		how = failed
	}
	c.sim.leave(c, how)
	return c.send(last)
}

// strike lets the fault happen. It returns nil when the stream goes on after it.
func (c *call) strike(t teller) error {
	if err := c.send(nil); err != nil { // the headers, if nothing was sent before
		return err
	}
	switch c.b.Fault {
	case HangMid:
		return c.hang()
	case Cut:
		return errCut
	case EOF:
		return errEnded
	case ErrorChunk, ErrorEvent, Failed:
		return c.streamError(t.broken(c.b.Fault))
	case EndlessComments:
		return c.flood(nil, ": still thinking\n\n", nil)
	}
	chunk, cut := t.sample()
	switch c.b.Fault {
	case Malformed:
		return c.send(append(chunk[:cut:cut], "\n\n"...))
	case EndlessLine:
		return c.flood(chunk[:cut], "a", nil)
	case Giant:
		return c.flood(chunk[:cut], "a", chunk[cut+len(sampleText):])
	}
	return nil
}

// streamError ends a stream with an event that says so.
func (c *call) streamError(event []byte) error {
	c.sim.leave(c, failed)
	if err := c.send(event); err != nil {
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
