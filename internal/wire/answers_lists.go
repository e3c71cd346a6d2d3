package wire

// HearEmbeddings reads embeddings and tells hear of what is in them. Vectors, as
// numbers or in base64, are no text and not heard: a request may fill 30 MB with
// them. Usage has no completion here; HasUsage says that it counts the prompt.
func HearEmbeddings(body []byte, hear Hear) (Answer, error) {
	var a Answer
	s := scan(body, hear)
	var data, usage, model, failed bool // seen
	var listed bool
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "data":
			s.once(&data)
			if listed = !s.null(); listed {
				s.vectors()
			}
		case "usage":
			s.once(&usage)
			a.HasUsage = a.readUsage(&s)
		case "model":
			s.once(&model)
			a.Model = s.text()
		case "error":
			s.refuseError(&failed)
		default:
			s.skip()
		}
	}
	s.end()
	if !listed {
		s.fail("no embeddings in it")
	}
	if s.err != nil {
		return Answer{}, s.err
	}
	return a, nil
}

func (s *scanner) vectors() {
	for s.open('['); s.next(']'); {
		var seen bool
		for s.open('{'); s.next('}'); {
			if string(s.name()) == "embedding" {
				s.once(&seen)
				s.vector()
			} else {
				s.skip()
			}
		}
		if !seen {
			s.fail("no vector in it")
		}
	}
}

// vector walks over an array of numbers or a string in base64. A string that is
// none is heard: it may say anything.
func (s *scanner) vector() {
	if s.peek() == '"' {
		l := s.str()
		if s.hear != nil && l != nil && !isBase64(l[1:len(l)-1]) {
			s.tell(l)
		}
		return
	}
	for s.open('['); s.next(']'); {
		s.number()
	}
}

// isBase64 reports whether text has none but the letters of RFC 4648 §4.
func isBase64(text []byte) bool {
	all := byte(1)
	for _, c := range text { // without a branch: there are megabytes, and all are good
		all &= base64Letters[c]
	}
	return all == 1
}

var base64Letters = [256]byte{
	'A': 1, 'B': 1, 'C': 1, 'D': 1, 'E': 1, 'F': 1, 'G': 1, 'H': 1, 'I': 1, 'J': 1, 'K': 1, 'L': 1, 'M': 1,
	'N': 1, 'O': 1, 'P': 1, 'Q': 1, 'R': 1, 'S': 1, 'T': 1, 'U': 1, 'V': 1, 'W': 1, 'X': 1, 'Y': 1, 'Z': 1,
	'a': 1, 'b': 1, 'c': 1, 'd': 1, 'e': 1, 'f': 1, 'g': 1, 'h': 1, 'i': 1, 'j': 1, 'k': 1, 'l': 1, 'm': 1,
	'n': 1, 'o': 1, 'p': 1, 'q': 1, 'r': 1, 's': 1, 't': 1, 'u': 1, 'v': 1, 'w': 1, 'x': 1, 'y': 1, 'z': 1,
	'0': 1, '1': 1, '2': 1, '3': 1, '4': 1, '5': 1, '6': 1, '7': 1, '8': 1, '9': 1,
	'+': 1, '/': 1, '=': 1,
}

// HearModerations reads moderations and tells hear of what is in them. They cost
// nothing and have no usage.
func HearModerations(body []byte, hear Hear) (Answer, error) {
	var a Answer
	s := scan(body, hear)
	var results, model, failed bool // seen
	var listed bool
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "results":
			s.once(&results)
			if listed = !s.null(); listed {
				for s.open('['); s.next(']'); {
					s.skip()
				}
			}
		case "model":
			s.once(&model)
			a.Model = s.text()
		case "error":
			s.refuseError(&failed)
		default:
			s.skip()
		}
	}
	s.end()
	if !listed {
		s.fail("no results in it")
	}
	if s.err != nil {
		return Answer{}, s.err
	}
	return a, nil
}

// refuseError fails the document unless its error is null.
func (s *scanner) refuseError(seen *bool) {
	s.once(seen)
	if !s.null() {
		s.fail("an error in it")
	}
}
