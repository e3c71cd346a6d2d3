package sim

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// whole answers with one JSON object.
func (c *call) whole() error {
	if c.b.Fault == Failed {
		c.sent = len(c.reply.text) // it was generated, so its usage is told
	}
	body := c.req.encode(c)
	const plain = "application/json"
	switch c.b.Fault {
	case HangMid, Cut, Malformed:
		if c.b.Fault == Malformed {
			body = append(bytes.Clone(body[:len(body)-1]), ",}"...)
		}
		c.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
		c.begin(http.StatusOK, plain)
		return c.wholeBroken(body)
	case EOF:
		c.begin(http.StatusOK, plain)
		return c.wholeBroken(body)
	case ErrorChunk, ErrorEvent:
		c.sim.leave(c, failed)
		c.json(c.streamFailure().append(nil, true))
		return errEnded
	case Failed:
		c.sim.leave(c, failed)
		c.json(body)
		return errEnded
	case EndlessLine, Giant:
		c.begin(http.StatusOK, plain)
		return c.wholeFlood(body)
	case EndlessComments:
		c.begin(http.StatusOK, plain)
		return c.flood(nil, "\n", nil)
	case NeverEnding:
		c.begin(http.StatusOK, plain)
		return c.dribble()
	}
	c.due = all
	c.sim.leave(c, completed)
	c.json(body)
	return nil
}

// wholeBroken sends half a body, or all of a broken one.
func (c *call) wholeBroken(body []byte) error {
	c.sent = len(c.reply.text) // it was generated before it was sent
	if c.b.Fault == Malformed {
		c.sim.leave(c, failed)
		if err := c.send(body); err != nil {
			return err
		}
		return errEnded
	}
	if c.b.Fault == EOF {
		c.sim.leave(c, failed)
	}
	if err := c.send(body[:len(body)/2]); err != nil {
		return err
	}
	switch c.b.Fault {
	case HangMid:
		return c.hang()
	case Cut:
		return errCut
	}
	return errEnded
}

// wholeFlood puts amount bytes in front of the text.
func (c *call) wholeFlood(body []byte) error {
	c.sent = len(c.reply.text)
	at := -1
	for _, name := range []string{"content", "refusal", "text", "arguments", "input", "embedding", "model"} {
		start := []byte(`"` + name + `": "`)
		if at = bytes.Index(body, start); at >= 0 {
			at += len(start)
			break
		}
	}
	if c.b.Fault == EndlessLine {
		return c.flood(body[:at], "a", nil)
	}
	if err := c.flood(body[:at], "a", body[at:len(body)-1]); err != nil {
		return err
	}
	c.due = all
	c.sim.leave(c, completed)
	return c.send(body[len(body)-1:])
}

// dribble sends the white space that JSON allows before a value, for ever.
func (c *call) dribble() error {
	pace := c.b.Pace
	if pace == 0 {
		pace = 5 * time.Millisecond
	}
	for {
		if err := c.send([]byte{'\n'}); err != nil {
			return err
		}
		if err := c.wait(pace); err != nil {
			return err
		}
	}
}
