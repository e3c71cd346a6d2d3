package server

import (
	"net/http"

	"keyshield/internal/apierr"
	"keyshield/internal/policy"
	"keyshield/internal/prompt"
	"keyshield/internal/upstream"
)

// hook is the story of a conversation that one of the Vercel AI SDK's hooks sends.
// Like the text API it takes words and gives words; the client has no say in
// anything else.
func (s *Server) hook(decode func(prompt.Rules, []byte) (prompt.Chat, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := readBody(w, r, s.cfg.MaxBodyV1)
		if err != nil {
			return err
		}
		t := s.tierOf(r)
		if err := t.admitWords(string(policy.Chat), s.cfg.Text.Model); err != nil { // may they ask this?
			return err
		}
		form, err := hookForm(r)
		if err != nil {
			return err
		}
		release, err := t.takeStream(r) // above the cleaning of a whole conversation
		if err != nil {
			return err
		}
		defer release()
		chat, err := decode(t.rules, body) // what was said?
		if err != nil {
			return err
		}
		q, err := s.hookQuestion(r, t, chat)
		if err != nil {
			return err
		}
		bill, err := s.reserve(w, r, t, q) // can they afford it?
		if err != nil {
			return err
		}
		return s.streamWords(w, r, bill, form)
	}
}

// hookForm is the protocol that the hook was told to expect.
func hookForm(r *http.Request) (form, error) {
	switch r.URL.Query().Get("protocol") {
	case "", "data":
		return asUI, nil
	case "text":
		return asText, nil
	}
	return 0, apierr.New(http.StatusBadRequest, "invalid_field", "There are two protocols: the UI message stream, and ?protocol=text.").About("protocol")
}

// hookQuestion encodes a conversation under the server's settings.
func (s *Server) hookQuestion(r *http.Request, t *tier, chat prompt.Chat) (*question, error) {
	if chat.System && !t.plan.SystemMessages {
		return nil, policy.ErrSystem("messages")
	}
	settings := s.cfg.Text
	settings.MaxOutputTokens = t.plan.OutputTokensV1
	turns := make([]policy.Turn, len(chat.Messages))
	for i, m := range chat.Messages {
		turns[i] = policy.Turn(m)
	}
	body, err := settings.Conversation(turns, scopeOf(r).Caller.Pseudonym)
	if err != nil {
		return nil, err
	}
	return &question{
		Question: upstream.Question{To: upstream.Chat, Body: body, Stream: true},
		kind:     policy.Chat,
		model:    settings.Model,
		limit:    int64(settings.MaxOutputTokens),
	}, nil
}
