package wire

// Hear is told of every string value of a document, in the order in which they
// stand there; names of members are not values. It is for a relay that passes the
// provider's bytes on as they are and must still know what they say.
//
// generated says that the string is the model's own text, and perhaps a piece of
// something longer: a secret may begin in one and end in the next. What repeats a text
// (log probabilities, the whole that ends its deltas) comes with generated false
// and complete; it neither continues a text nor interrupts one.
//
// A literal is good for as long as the document is. When the reading ends with an
// error, what was heard before it means nothing. Who makes a Hear for each event
// allocates each time; one for a whole stream is made once.
type Hear func(l Literal, generated bool)

// HearAnswer reads a whole chat completion as ReadAnswer does, and tells hear,
// which must not be nil, of what is in it. More than one choice is an error.
// Generated is every string of the message but role, id and type.
func HearAnswer(body []byte, hear Hear) (Answer, error) {
	c, err := read(body, "message", hear)
	return c.Answer, err
}

// HearChunk reads one event of a streamed chat completion as ReadChunk does, and
// tells hear, which must not be nil, of what is in it. More than one choice, or
// another than the first, is an error. Generated is every string of the delta but
// role, id and type: names and arguments of tool calls too.
func HearChunk(data []byte, hear Hear) (Chunk, error) {
	return read(data, "delta", hear)
}

// skipSpeech walks over the member called name of what the model says. All strings
// in it are its own, but for the words of the protocol.
func (s *scanner) skipSpeech(name []byte) {
	switch string(name) {
	case "role", "id", "type":
		s.generated = false
		s.skip()
		s.generated = true
		return
	}
	switch s.peek() {
	case '{':
		for s.open('{'); s.next('}'); {
			s.skipSpeech(s.name())
		}
	case '[':
		for s.open('['); s.next(']'); {
			s.skipSpeech(nil)
		}
	default:
		s.skip()
	}
}
