// Package wire says what was said, in OpenAI's words: by clients, in the bodies
// that they send, and by the provider, in its answers, chunks, errors and event
// streams. What becomes of a client's body is told in request.go; this is about the
// provider.
//
// The reading is narrow. A proxy that relays text needs six members of a chat
// completion, and decoding all the others into structs costs more than the rest
// of the request; so one pass checks the grammar of the whole document and
// notes where those six stand. It is a real scanner, not a search: "content"
// inside a string or in another object is never taken for the answer.
//
// The provider's bytes are foreign bytes. Depth, line and event sizes are
// bounded; a member that we read and that appears twice is refused, because two
// readers would disagree on which of them counts; and no error about an answer
// quotes what it read.
package wire

import "errors"

// ErrMalformed is wrapped by every complaint about a document that is not what
// it should be.
var ErrMalformed = errors.New("malformed provider document")

// Answer is what we read of a chat completion. Its literals alias the document:
// they are good for as long as the document's bytes are.
type Answer struct {
	Content     Literal // of the first choice: nil when null or absent
	Refusal     Literal // the model's own refusal, in place of content
	Finish      string  // "", stop, length, content_filter, tool_calls, function_call or other
	Model       Literal // which snapshot answered
	ServiceTier Literal
	Usage       Usage
	HasUsage    bool // both token counts were there; Usage.Valid says if they make sense
	Detailed    bool // so was what the prompt's tokens are made of
}

// Chunk is what we read of one event of a streamed chat completion.
type Chunk struct {
	Answer       // Content and Refusal are what this event adds
	Choices int  // 0 for the terminal chunk, which carries the usage
	Error   bool // the event says that the stream failed; see ReadError
}

// ReadAnswer reads a whole chat completion. A document without a first choice
// and its message is not one, nor is an error envelope sent with a 200.
func ReadAnswer(body []byte) (Answer, error) {
	var c Chunk
	err := c.read(body, "message", nil)
	return c.Answer, err
}

// ReadChunk reads the data of one event. The caller has taken out "[DONE]",
// which is no JSON.
func ReadChunk(data []byte) (c Chunk, err error) {
	err = c.read(data, "delta", nil)
	return c, err
}

// read walks one document. speech is the member of a choice that holds the text.
// hear is nil when nobody listens. c is empty, and stays so with an error.
func (c *Chunk) read(doc []byte, speech string, hear Hear) error {
	s := scan(doc, hear)
	var choices, usage, model, tier, failed bool // seen
	var chose, spoke bool
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "choices":
			s.once(&choices)
			if !s.null() {
				spoke = c.readChoices(&s, speech)
				chose = true
			}
		case "usage":
			s.once(&usage)
			c.readUsage(&s)
		case "model":
			s.once(&model)
			c.Model = s.text()
		case "service_tier":
			s.once(&tier)
			c.ServiceTier = s.text()
		case "error":
			s.once(&failed)
			if !s.null() {
				s.skip()
				c.Error = true
			}
		default:
			s.skip()
		}
	}
	s.end()

	switch {
	case s.err != nil:
	case speech == "message" && (c.Error || !spoke):
		s.fail("no answer in it")
	case !chose && !c.Error:
		s.fail("neither choices nor an error in it")
	}
	if s.err != nil {
		*c = Chunk{}
	}
	return s.err
}

// readChoices reads the first choice and counts them all. We never ask for two: in
// a stream, what comes for another than the first is not of the answer. Who passes
// a document on as it is cannot leave a part of it out, and gets an error instead.
func (c *Chunk) readChoices(s *scanner, speech string) (spoke bool) {
	var place int64
	for s.open('['); s.next(']'); {
		if c.Choices++; c.Choices > 1 {
			if s.hear != nil {
				s.fail("more than one choice")
			}
			s.skip()
			continue
		}
		var finish, said, placed bool
		for s.open('{'); s.next('}'); {
			switch string(s.name()) {
			case "index":
				s.once(&placed)
				place, _ = s.count()
			case "finish_reason":
				s.once(&finish)
				c.Finish = finishReason(s.text())
			case speech:
				s.once(&said)
				if !s.null() {
					c.readSpeech(s)
					spoke = true
				}
			default:
				s.skip()
			}
		}
	}
	if place != 0 {
		if s.hear != nil {
			s.fail("another choice than the first")
		}
		c.Content, c.Refusal, c.Finish = nil, nil, ""
	}
	return spoke
}

func (c *Chunk) readSpeech(s *scanner) {
	var content, refusal, calls bool
	for s.open('{'); s.next('}'); {
		name := s.name()
		switch string(name) {
		case "content":
			s.once(&content)
			s.voice = 0
			c.Content = s.text()
		case "refusal":
			s.once(&refusal)
			s.voice = voiceOf(name)
			c.Refusal = s.text()
		default:
			switch {
			case s.hear == nil:
				s.skip()
			case string(name) == "tool_calls":
				s.once(&calls)
				s.skipCalls()
			default:
				s.voice = voiceOf(name)
				s.skipSpeech(name)
			}
		}
	}
	s.voice = NotGenerated
}

// finishReason maps to constants, so that nothing the provider says becomes a
// log value or a metric label, and nothing is allocated.
func finishReason(l Literal) string {
	if l == nil {
		return ""
	}
	switch string(l.short()) {
	case "stop":
		return "stop"
	case "length":
		return "length"
	case "content_filter":
		return "content_filter"
	case "tool_calls":
		return "tool_calls"
	case "function_call":
		return "function_call"
	}
	return "other"
}
