package wire

import "hash/crc32"

// Hear is told of every string value of a document, and of every member's name that
// is written with an escape: of all that a search of the bytes might not find. It is
// for a relay that passes the provider's bytes on as they are and must still know
// what they say.
//
// voice is NotGenerated, or the number of the text of the model's own that the string
// is a piece of. A client puts the pieces of each text together by itself, and a secret
// may begin in one and end in the next, though pieces of other texts stand between
// them. What repeats a text (log probabilities, the whole that ends its deltas) is
// not generated, and complete.
//
// Pieces of one voice are told in their order. The numbers hold for all events of a
// stream; 0 is the answer itself in a chat completion, and all that was generated in a
// whole response.
//
// A literal is good for as long as the document is. When the reading ends with an
// error, what was heard before it means nothing. Who makes a Hear for each event
// allocates each time; one for a whole stream is made once.
type Hear func(l Literal, voice int)

// NotGenerated is the voice of a string that is no text of the model's own.
const NotGenerated = -1

// Voices are bounded: of a chat there are fewer than maxVoices + maxPlace of them, of
// a response fewer than maxVoices × maxPlace².
const (
	maxVoices = 512  // by the name of what is said
	maxPlace  = 1000 // by where it stands in a list; what stands beyond is an error
)

// voiceOf is the voice of what goes by a name: a member of a delta, or a type of event.
// New ones come every month, so no list of them would do; that two of them get the same
// number is unlikely, and those that we know do not.
func voiceOf(name []byte) int { return 1 + int(crc32.ChecksumIEEE(name)%(maxVoices-1)) }

// HearAnswer reads a whole chat completion as ReadAnswer does, and tells hear,
// which must not be nil, of what is in it. More than one choice is an error.
// Generated is every string of the message but role, id and type.
func HearAnswer(body []byte, hear Hear) (Answer, error) {
	var c Chunk
	err := c.read(body, "message", hear)
	return c.Answer, err
}

// HearChunk reads one event of a streamed chat completion as ReadChunk does, and
// tells hear, which must not be nil, of what is in it. More than one choice, or
// another than the first, is an error. Generated is every string of the delta but
// role, id and type. Each of its members is a voice, and each tool call, whose name
// and arguments are one.
func HearChunk(data []byte, hear Hear) (c Chunk, err error) {
	err = c.read(data, "delta", hear)
	return c, err
}

// skipCalls walks over tool_calls.
func (s *scanner) skipCalls() {
	if s.null() {
		return
	}
	nth := int64(0)
	for s.open('['); s.next(']'); nth++ {
		s.skipCall(nth)
	}
}

// skipCall walks over the nth tool call of a delta. Which one it continues is said by
// its index, by the place if there is none.
func (s *scanner) skipCall(nth int64) {
	var placed, known bool
	for s.open('{'); s.next('}'); {
		name := s.name()
		if string(name) == "index" {
			s.once(&placed)
			if at, ok := s.count(); ok {
				nth = at
			}
			s.voice, known = maxVoices+s.place(nth), true
			continue
		}
		if !known { // it nearly always comes first
			s.voice, known = maxVoices+s.place(s.indexAhead(nth)), true
		}
		s.skipSpeech(name)
	}
}

// indexAhead returns the index that comes later in the object, of which a name has
// been read; or nth, if none comes. Nothing is heard of it yet.
func (s *scanner) indexAhead(nth int64) int64 {
	ahead := *s
	ahead.hear = nil
	ahead.skip()
	for ahead.next('}') {
		if string(ahead.name()) != "index" {
			ahead.skip()
		} else if at, ok := ahead.count(); ok {
			return at
		}
	}
	return nth
}

// place is where something stands in a list.
func (s *scanner) place(at int64) int {
	if at < 0 || at >= maxPlace {
		s.fail("an index out of bounds")
		return 0
	}
	return int(at)
}

// skipSpeech walks over the member called name of what the model says. All strings
// in it are its own, but for the words of the protocol.
func (s *scanner) skipSpeech(name []byte) {
	switch string(name) {
	case "role", "id", "type":
		voice := s.voice
		s.voice = NotGenerated
		s.skip()
		s.voice = voice
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
