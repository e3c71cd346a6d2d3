package server

import (
	"net/http"

	"keyshield/internal/apierr"
	"keyshield/internal/wire"
)

// uiMark is how clients know the UI message stream, and which version it is.
var uiMark = http.Header{"X-Vercel-Ai-Ui-Message-Stream": {"v1"}}

// uiSink writes the UI message stream, version 1, for the Vercel AI SDK's useChat
// and useCompletion. One message holds one step, which holds one text.
//
// The client checks every frame against a schema and gives up on one that it does
// not know: no type, no member and no finishReason may be invented. Comments it
// never sees.
//
// A message begins with its first word, so that what fails before leaves no empty
// message behind in the client's conversation.
type uiSink struct {
	eventStream
	id    string // of the message
	begun bool
}

func newUISink(w *response, id string) *uiSink {
	s := &uiSink{id: id, eventStream: eventStream{w: w, mark: uiMark}}
	s.start()
	return s
}

const uiEnd = "data: [DONE]\n\n"

func (s *uiSink) say(text []byte, literal wire.Literal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.message()
	}
	s.buf = append(s.buf, `data: {"type":"text-delta","id":"0","delta":`...)
	s.quote(text, literal)
	s.buf = append(s.buf, "}\n\n"...)
	return s.spill()
}

// message begins it; with the lock held.
func (s *uiSink) message() {
	s.begun = true
	s.buf = append(s.buf, `data: {"type":"start","messageId":`...)
	s.buf = wire.AppendQuote(s.buf, s.id)
	s.buf = append(s.buf, "}\n\n"+
		`data: {"type":"start-step"}`+"\n\n"+
		`data: {"type":"text-start","id":"0"}`+"\n\n"...)
}

func (s *uiSink) done(finish string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.message()
	}
	s.buf = append(s.buf, `data: {"type":"text-end","id":"0"}`+"\n\n"+
		`data: {"type":"finish-step"}`+"\n\n"+
		`data: {"type":"finish","finishReason":`...)
	s.buf = wire.AppendQuote(s.buf, uiFinish(finish))
	s.buf = append(s.buf, "}\n\n"+uiEnd...)
	return s.last()
}

// uiFinish is OpenAI's finish_reason in the words of the schema.
func uiFinish(finish string) string {
	switch finish {
	case "stop", "length":
		return finish
	case "content_filter":
		return "content-filter"
	}
	return "other"
}

// fail ends the stream at once. The client drops what follows an error, and keeps
// the text that came before it.
func (s *uiSink) fail(e *apierr.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.beginError() {
		return
	}
	s.buf = append(s.buf, `data: {"type":"error","errorText":`...)
	s.buf = wire.AppendQuote(s.buf, e.Message)
	s.buf = append(s.buf, "}\n\n"+uiEnd...)
	s.last()
}
