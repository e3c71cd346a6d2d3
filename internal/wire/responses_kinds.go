package wire

// bodyKinds are the types of what a body lists. A type may stand behind the members
// whose meaning it decides, so they are looked up before anything is read. They are
// hints: whoever reads an object by its type checks all of it, and a body that
// cannot be scanned has no hints and is refused there.
type bodyKinds struct {
	input []itemKind
	tools [][]byte
}

// itemKind aliases the body.
type itemKind struct {
	kind  []byte
	parts [][]byte // the types of the parts of its content or output
}

func responsesKinds(body []byte) (k bodyKinds) {
	s := scan(body, nil)
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "input":
			s.elements(maxMessages, func() { k.input = append(k.input, s.itemKind()) })
		case "tools":
			s.elements(maxTools, func() { k.tools = append(k.tools, s.itemKind().kind) })
		default:
			s.skip()
		}
	}
	return k
}

// elements walks over a value, and over the first elements with each, if it is an
// array.
func (s *scanner) elements(most int, each func()) {
	if s.peek() != '[' {
		s.skip()
		return
	}
	n := 0
	for s.open('['); s.next(']'); n++ {
		if n < most {
			each()
		} else {
			s.skip()
		}
	}
}

func (s *scanner) itemKind() (k itemKind) {
	if s.peek() != '{' {
		s.skip()
		return k
	}
	for s.open('{'); s.next('}'); {
		switch name := string(s.name()); {
		case name == "type" && s.peek() == '"':
			k.kind = s.str().short()
		case name == "content" || name == "output":
			s.elements(maxParts, func() { k.parts = append(k.parts, s.partKind()) })
		default:
			s.skip()
		}
	}
	return k
}

func (s *scanner) partKind() (kind []byte) {
	if s.peek() != '{' {
		s.skip()
		return nil
	}
	for s.open('{'); s.next('}'); {
		if string(s.name()) == "type" && s.peek() == '"' {
			kind = s.str().short()
		} else {
			s.skip()
		}
	}
	return kind
}
