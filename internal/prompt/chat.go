package prompt

import (
	"slices"
	"unicode/utf8"
)

// How large a conversation may be, besides its bytes. Texts are measured in code
// points, as they were sent.
const (
	maxMessages = 200
	maxParts    = 250     // of one message: an answer in many steps has several for each
	maxReply    = 32_000  // of one message that is not the user's
	maxChat     = 128_000 // of all messages together
)

// The roles of a Message.
const (
	User      = "user"
	Assistant = "assistant"
	System    = "system"
)

// Message is what one of the speakers said.
type Message struct {
	Role string
	Text string // never empty; of a user cleaned, of others byte for byte
}

// Chat is a decoded conversation, its last message the user's.
type Chat struct {
	Messages []Message
	System   bool // there is a system message, which a plan may forbid
}

// DecodeChat reads what useChat of the Vercel AI SDK sends: the whole conversation
// at every turn. It takes text alone; of the answers that come back in it, what
// surrounds their text is dropped. Every error is an *apierr.Error. Nothing of
// body is kept.
func (r Rules) DecodeChat(body []byte) (Chat, error) {
	turns, err := readChat(body)
	if err != nil {
		return Chat{}, err
	}
	return r.acceptChat(turns)
}

// DecodeCompletion reads what useCompletion sends: {"prompt": "…"}.
func (r Rules) DecodeCompletion(body []byte) (Chat, error) {
	const field = "prompt"
	m, err := read(body, field)
	if err != nil {
		return Chat{}, err
	}
	text, err := r.accept(m.prompt, field)
	if err != nil {
		return Chat{}, err
	}
	return Chat{Messages: []Message{{User, text}}}, nil
}

func (r Rules) acceptChat(turns []turn) (Chat, error) {
	// What is left of an answer that was given up, or failed, says nothing.
	turns = slices.DeleteFunc(turns, func(t turn) bool { return t.role != User && t.text == "" })
	last := len(turns) - 1
	if last < 0 || turns[last].role != User {
		return Chat{}, refuse("invalid_prompt", "Invalid prompt format. The last message must be the user's.").About("messages")
	}

	var chat Chat
	total := 0
	for i, t := range turns {
		text, err := r.acceptTurn(t, i == last)
		if err != nil {
			return Chat{}, err
		}
		if text == "" && r.tooLong(t.text) {
			continue // left out before it was cleaned, which is what costs
		}
		if total += utf8.RuneCountInString(t.text); total > maxChat {
			return Chat{}, refuse("prompt_too_long", "The conversation is too long: at most %d characters are accepted. Please start a new one.", maxChat).About("messages")
		}
		chat.System = chat.System || t.role == System
		if text != "" {
			chat.Messages = append(chat.Messages, Message{t.role, text})
		}
	}
	return chat, nil
}

// acceptTurn returns the text of a message that may be sent, or "" of one that has
// nothing to say.
func (r Rules) acceptTurn(t turn, last bool) (string, error) {
	if t.role != User {
		if utf8.RuneCountInString(t.text) > maxReply {
			return "", refuse("invalid_field", "Message %q is too long: at most %d characters of the %s are accepted.", t.path(), maxReply, t.role).About(t.path())
		}
		return t.text, nil
	}
	text, err := r.accept(t.text, t.path())
	if err == nil || last {
		return text, err
	}
	// useChat keeps in its conversation what was refused when it came. Nobody has
	// answered it then, and refusing it again would end the conversation for good.
	return "", nil
}
