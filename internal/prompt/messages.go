package prompt

import (
	"fmt"
	"strings"

	"keyshield/internal/strict"
)

// turn is a message as it was sent.
type turn struct {
	at   int // in messages
	role string
	text string
}

func (t turn) path() string { return fmt.Sprintf("messages[%d]", t.at) }

// readChat reads the members that HttpChatTransport sends, and none that a page
// adds to them (body: {…}), which would be without effect.
func readChat(body []byte) ([]turn, error) {
	var turns []turn
	said := false
	err := strict.Read(body, []string{"id", "messages", "trigger", "messageId"}, func(r *strict.Reader, name string) {
		switch {
		case name == "messages":
			said = true
			r.Array(10*maxMessages, func(i int) { turns = append(turns, readTurn(r, i)) })
		case r.Null():
		case name == "trigger":
			r.Enum("submit-message", "regenerate-message")
		default:
			_ = r.String()
		}
	})
	if err == nil && len(turns) > maxMessages { // which whoever is talking gets to read
		return nil, refuse("invalid_field", "The conversation is too long: at most %d messages are accepted. Please start a new one.", maxMessages).About("messages")
	}
	if err == nil && !said {
		return nil, refuse("invalid_prompt", "Invalid prompt format. Field %q is missing.", "messages").About("messages")
	}
	return turns, err
}

// readTurn reads a UIMessage. It has a messageId where the user has edited it.
func readTurn(r *strict.Reader, at int) turn {
	t := turn{at: at}
	var texts []string
	var role, parts bool
	r.Object([]string{"id", "role", "metadata", "parts", "messageId"}, func(name string) {
		switch {
		case name == "role":
			role = true
			t.role = r.Enum(User, Assistant, System)
		case name == "parts":
			parts = true
			r.Array(maxParts, func(int) {
				if text, ok := readPart(r); ok {
					texts = append(texts, text)
				}
			})
		case name == "metadata": // the page's own
			r.Skip()
		case !r.Null():
			_ = r.String()
		}
	})
	switch {
	case !role:
		r.Missing("role")
	case !parts:
		r.Missing("parts")
	}
	// An answer is one text, in however many parts it came; what a person puts into
	// two parts are two texts.
	if t.role == User {
		t.text = strings.Join(texts, "\n")
	} else {
		t.text = strings.Join(texts, "")
	}
	return t
}

// readPart returns a part's text, if it is one of text. A text that was broken off
// has the state "streaming". What marks the steps of an answer, and its reasoning,
// are dropped; our own answers have no more than that.
func readPart(r *strict.Reader) (string, bool) {
	var kind, text string
	var typed, said bool
	r.Object([]string{"type", "text", "state", "providerMetadata", "citations", "id"}, func(name string) {
		switch {
		case name == "type":
			typed = true
			kind = readKind(r)
		case name == "text":
			said = true
			text = r.String()
		case name == "state" && r.Kind() != 'n':
			r.Enum("streaming", "done")
		default: // about the text, and not for the model
			r.Skip()
		}
	})
	switch {
	case !typed:
		r.Missing("type")
	case kind == "text" && !said:
		r.Missing("text")
	}
	return text, kind == "text"
}

// readKind reads a part's type. The SDK puts it first, so that a file is refused as
// what it is, and not for the first member that it has.
func readKind(r *strict.Reader) string {
	kind := r.String()
	switch kind {
	case "text", "step-start", "reasoning":
	default:
		r.Invalid("must be \"text\": files, tools and data are not accepted here")
	}
	return kind
}
