package wire

// ResponseEvent is what we read of one event of a streamed response, or of a whole
// one. Content and Refusal stay nil: the text is heard.
type ResponseEvent struct {
	Answer        // of the response in it, if there is one; Finish is stop, length, content_filter, other, or "" while it goes on
	Type   string // one of eventTypes, or other; "" of a whole response
	Seq    int64  // its sequence number; -1 when absent
	Last   bool   // the response is completed, incomplete or failed
	Failed bool   // what the provider says about it must never be relayed
}

// HearResponseEvent reads one event of a streamed response and tells hear of what
// is in it. What stands in its "delta" is generated, whatever the type of event:
// new types come every month, all of them stream their text there, and they are
// passed on. Everything else is a repetition or no text.
func HearResponseEvent(data []byte, hear Hear) (ResponseEvent, error) {
	ev := ResponseEvent{Seq: -1}
	s := scanner{b: data, hear: hear}
	var o outcome
	var kind, number, response, delta, failed bool // seen
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "type":
			s.once(&kind)
			ev.Type = eventType(s.text())
		case "sequence_number":
			s.once(&number)
			if n, ok := s.count(); ok {
				ev.Seq = n
			}
		case "delta":
			s.once(&delta)
			s.generated = true
			s.skip()
			s.generated = false
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

	ev.conclude(&s, o)
	if s.err != nil {
		return ResponseEvent{}, s.err
	}
	return ev, nil
}

// conclude says how the response ended. Where the type of the event and the status
// of the response in it contradict each other, the worse counts.
func (ev *ResponseEvent) conclude(s *scanner, o outcome) {
	switch ev.Type {
	case "":
		if ev.Type = "error"; !ev.Failed { // a bare envelope, else
			s.fail("no type in it")
		}
	case "error":
		ev.Failed = true
	case "response.completed", "response.incomplete", "response.failed":
		if ev.Last = true; !o.there {
			s.fail("no response in it")
		}
	}
	switch {
	case ev.Failed, o.failed, ev.Type == "response.failed", o.status == "failed", o.status == "cancelled":
		ev.Failed = true
		ev.Finish = "other"
	case !ev.Last:
	case ev.Type == "response.incomplete", o.status == "incomplete":
		ev.Finish = incompleteReason(o.reason)
	default:
		ev.Finish = "stop"
	}
}

// HearResponse reads a whole response and tells hear of what is in it. Generated
// are the text, refusal, arguments, input and name of its output. A response that
// has neither completed nor stopped short has failed: we never ask for one that
// goes on in the background.
func HearResponse(body []byte, hear Hear) (ResponseEvent, error) {
	ev := ResponseEvent{Seq: -1}
	s := scanner{b: body, hear: hear}
	o := ev.readResponse(&s, true)
	s.end()

	switch o.status {
	case "completed":
		ev.Last = true
		ev.Finish = "stop"
	case "incomplete":
		ev.Last = true
		ev.Finish = incompleteReason(o.reason)
	default:
		ev.Last = o.status == "failed"
		ev.Failed = true
	}
	if o.failed || ev.Failed {
		ev.Failed = true
		ev.Finish = "other"
	}
	if !o.failed && (o.status == "" || !o.output && !ev.Failed) {
		s.fail("no response in it")
	}
	if s.err != nil {
		return ResponseEvent{}, s.err
	}
	return ev, nil
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
			if s.peek() == '"' {
				s.generated = isText(name)
			}
			s.skipOutput()
			s.generated = false
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

// incompleteReason, responseStatus and eventType map to constants for the reason
// that finishReason does.
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

func eventType(l Literal) string {
	if l == nil {
		return ""
	}
	word := l.short()
	for i := range eventTypes {
		if string(word) == eventTypes[i] {
			return eventTypes[i]
		}
	}
	return "other"
}

// eventTypes are what comes of a request that we let through; the most frequent
// ones first.
var eventTypes = [...]string{
	"response.output_text.delta",
	"response.function_call_arguments.delta",
	"response.custom_tool_call_input.delta",
	"response.reasoning_text.delta",
	"response.reasoning_summary_text.delta",
	"response.refusal.delta",
	"response.output_text.done",
	"response.function_call_arguments.done",
	"response.custom_tool_call_input.done",
	"response.reasoning_text.done",
	"response.reasoning_summary_text.done",
	"response.refusal.done",
	"response.output_text.annotation.added",
	"response.reasoning_summary_part.added",
	"response.reasoning_summary_part.done",
	"response.content_part.added",
	"response.content_part.done",
	"response.output_item.added",
	"response.output_item.done",
	"response.created",
	"response.queued",
	"response.in_progress",
	"response.completed",
	"response.incomplete",
	"response.failed",
	"error",
}
