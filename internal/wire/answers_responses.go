package wire

// ResponseEvent is what we read of one event of a streamed response. Content and
// Refusal stay nil: the text is heard.
type ResponseEvent struct {
	Answer       // of the response in it, if there is one; Finish is stop, length, content_filter, other, Failed, or "" while it goes on
	Seq    int64 // its sequence number; -1 when absent
	Last   bool  // the response is completed, incomplete or failed
	Failed bool  // what the provider says about it must never be relayed
}

// Failed is the Finish of a response that did not come to an end of its own. It may
// have cost something all the same.
const Failed = "failed"

// HearResponseEvent reads one event of a streamed response and tells hear of what
// is in it. What stands in its "delta" is generated, whatever the type of event:
// new types come every month, all of them stream their text there, and they are
// passed on. Everything else is a repetition or no text. Each type is a voice, and
// each of its output_index and content_index or summary_index; it may stand behind
// the delta, so that is told of last.
func HearResponseEvent(data []byte, hear Hear) (ResponseEvent, error) {
	ev := ResponseEvent{Seq: -1}
	s := scan(data, hear)
	var o outcome
	var from speaker
	var kind, number, response, delta, output, content, summary, failed bool // seen
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "type":
			s.once(&kind)
			from.kind = s.text()
		case "sequence_number":
			s.once(&number)
			if n, ok := s.count(); ok {
				ev.Seq = n
			}
		case "delta":
			s.once(&delta)
			from.readDelta(&s)
		case "output_index":
			s.once(&output)
			from.output, _ = s.count()
		case "content_index":
			s.once(&content)
			from.content, _ = s.count()
		case "summary_index":
			s.once(&summary)
			from.summary, _ = s.count()
		case "response":
			s.once(&response)
			if s.peek() == '{' {
				o = ev.readResponse(&s, false)
			} else {
				s.skip()
			}
		case "error":
			s.once(&failed)
			if !s.null() {
				s.skip()
				ev.Failed = true
			}
		default:
			s.skip()
		}
	}
	s.end()

	from.tell(&s)
	ev.conclude(&s, from.kind, o)
	if s.err != nil {
		return ResponseEvent{}, s.err
	}
	return ev, nil
}

// speaker is whose delta an event brings.
type speaker struct {
	kind                     Literal // the type of the event
	output, content, summary int64   // which text it continues
	text                     Literal // the delta, if it is a string
	at                       int     // where it begins otherwise; 0 when there is none
}

// readDelta reads the delta, and tells nobody yet.
func (f *speaker) readDelta(s *scanner) {
	if s.peek() == '"' {
		f.text = s.str()
		return
	}
	f.at = s.i
	hear := s.hear
	s.hear = nil
	s.skip()
	s.hear = hear
}

// tell tells of the delta, once the whole event has been read.
func (f *speaker) tell(s *scanner) {
	if s.err != nil || f.text == nil && f.at == 0 {
		return
	}
	// A text has one index in its output: no event has both.
	place := s.place(f.output)*maxPlace + max(s.place(f.content), s.place(f.summary))
	voice := voiceOf(f.kind.short()) + maxVoices*place
	switch {
	case s.err != nil:
	case f.text != nil:
		s.hear(f.text, voice)
	default:
		again := scanner{b: s.b, i: f.at, hear: s.hear, voice: voice}
		again.skip()
	}
}

// conclude says how the response ended. Where the type of the event and the status
// of the response in it contradict each other, the worse counts.
func (ev *ResponseEvent) conclude(s *scanner, kind Literal, o outcome) {
	short := false
	switch string(kind.short()) {
	case "response.completed":
		ev.Last = true
	case "response.incomplete":
		ev.Last, short = true, true
	case "response.failed":
		ev.Last, ev.Failed = true, true
	case "error":
		ev.Failed = true
	}
	switch {
	case kind == nil && !ev.Failed: // else it is a bare envelope
		s.fail("no type in it")
	case ev.Last && !o.there:
		s.fail("no response in it")
	case ev.Failed, o.failed, o.status == "failed", o.status == "cancelled":
		ev.Failed = true
		ev.Finish = Failed
	case !ev.Last:
	case short, o.status == "incomplete":
		ev.Finish = incompleteReason(o.reason)
	default:
		ev.Finish = "stop"
	}
}

// HearResponse reads a whole response and tells hear of what is in it. Generated
// are the text, refusal, arguments, input and name of its output, each complete: they
// are one voice. A response that has neither completed nor stopped short has failed:
// we never ask for one that goes on in the background.
func HearResponse(body []byte, hear Hear) (Answer, error) {
	var a Answer
	s := scan(body, hear)
	o := a.readResponse(&s, true)
	s.end()

	switch {
	case o.failed:
		a.Finish = Failed
	case o.status == "completed":
		a.Finish = "stop"
	case o.status == "incomplete":
		a.Finish = incompleteReason(o.reason)
	default:
		a.Finish = Failed
	}
	if !o.failed && (o.status == "" || !o.output && a.Finish != Failed) {
		s.fail("no response in it")
	}
	if s.err != nil {
		return Answer{}, s.err
	}
	return a, nil
}

// outcome is what a response object says about itself.
type outcome struct {
	there  bool
	output bool // it has a list of them
	failed bool // it has an error
	status string
	reason Literal // why it is incomplete
}

// readResponse reads a response object. whole says that it is the answer itself,
// and its output not the repetition of deltas.
func (a *Answer) readResponse(s *scanner, whole bool) (o outcome) {
	o.there = true
	var status, details, model, tier, usage, failed, output bool // seen
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "status":
			s.once(&status)
			o.status = responseStatus(s.text())
		case "incomplete_details":
			s.once(&details)
			o.reason = readReason(s)
		case "model":
			s.once(&model)
			a.Model = s.text()
		case "service_tier":
			s.once(&tier)
			a.ServiceTier = s.text()
		case "usage":
			s.once(&usage)
			a.readResponseUsage(s)
		case "error":
			s.once(&failed)
			if !s.null() {
				s.skip()
				o.failed = true
			}
		case "output":
			s.once(&output)
			o.output = s.peek() == '['
			if whole {
				s.skipOutput()
			} else {
				s.skip()
			}
		default:
			s.skip()
		}
	}
	return o
}

func readReason(s *scanner) (reason Literal) {
	if s.null() {
		return nil
	}
	var seen bool
	for s.open('{'); s.next('}'); {
		if string(s.name()) == "reason" {
			s.once(&seen)
			reason = s.text()
		} else {
			s.skip()
		}
	}
	return reason
}

// skipOutput walks over the output of a whole response.
func (s *scanner) skipOutput() {
	switch s.peek() {
	case '{':
		for s.open('{'); s.next('}'); {
			name := s.name()
			if s.peek() == '"' && isText(name) {
				s.voice = 0
			}
			s.skipOutput()
			s.voice = NotGenerated
		}
	case '[':
		for s.open('['); s.next(']'); {
			s.skipOutput()
		}
	default:
		s.skip()
	}
}

func isText(name []byte) bool {
	switch string(name) {
	case "text", "refusal", "arguments", "input", "name":
		return true
	}
	return false
}

// incompleteReason and responseStatus map to constants for the reason that
// finishReason does.
func incompleteReason(l Literal) string {
	switch string(l.short()) {
	case "max_output_tokens", "max_tokens": // the latter in OpenAI's own example
		return "length"
	case "content_filter":
		return "content_filter"
	}
	return "other"
}

func responseStatus(l Literal) string {
	if l == nil {
		return ""
	}
	switch string(l.short()) {
	case "completed":
		return "completed"
	case "incomplete":
		return "incomplete"
	case "failed":
		return "failed"
	case "cancelled":
		return "cancelled"
	}
	return "other" // queued, in_progress
}
