package server

import (
	"bytes"
	"net/http"
	"slices"

	"keyshield/internal/apierr"
	"keyshield/internal/aside"
	"keyshield/internal/policy"
	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

// endpoint is one of OpenAI's that we offer. Its read decodes a body strictly into
// our own bounded type, asks the plan, and encodes anew: what was judged is what is
// sent.
type endpoint struct {
	to   upstream.Endpoint
	kind policy.Kind
	read func(c client, body []byte) (*question, error)
	hear func(body []byte, hear wire.Hear) (wire.Answer, error) // reads a whole answer
}

// client is who asks, and what the server adds to what they ask.
type client struct {
	*tier
	s         *Server
	pseudonym string
}

var (
	chatEndpoint        = endpoint{upstream.Chat, policy.Chat, readChat, wire.HearAnswer}
	responsesEndpoint   = endpoint{upstream.Responses, policy.Responses, readResponses, wire.HearResponse}
	embeddingsEndpoint  = endpoint{upstream.Embeddings, policy.Embeddings, readEmbeddings, wire.HearEmbeddings}
	moderationsEndpoint = endpoint{upstream.Moderations, policy.Moderations, readModerations, wire.HearModerations}
)

// openAI is the story of a request from one of OpenAI's SDKs.
func (s *Server) openAI(e endpoint) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := readBody(w, r, s.cfg.MaxBodyV1)
		if err != nil {
			return err
		}
		t := s.tierOf(r)
		var q *question
		aside.Run(func() { q, err = e.read(client{t, s, scopeOf(r).Caller.Pseudonym}, body) }) // what was said? may they ask this?
		if err != nil {
			return err
		}
		q.To, q.Theirs, q.kind = e.to, true, e.kind
		q.Shifted = s.cfg.SystemPromptV1 != ""
		release, err := s.takePlace(r, t, q) // is there room for the answer?
		if err != nil {
			return err
		}
		defer release()
		bill, err := s.reserve(w, r, t, q) // can they afford it?
		if err != nil {
			return err
		}
		if q.Stream {
			return s.relayEvents(w, r, bill)
		}
		return s.relayAnswer(w, r, bill, e)
	}
}

// takePlace occupies one of the user's stream slots, or memory for a whole answer that
// may be large.
func (s *Server) takePlace(r *http.Request, t *tier, q *question) (release func(), err error) {
	if q.Stream {
		return t.takeStream(r)
	}
	return s.upstream.TakeRoom(r.Context(), scopeOf(r).Caller.Pseudonym, &q.Question)
}

// admit asks the plan, and the settings, about what a client wants.
func (c client) admit(kind policy.Kind, asked wire.Asked) (wire.Sent, error) {
	sent, err := c.plan.Admit(kind, asked, c.s.cfg.Prices)
	if err != nil {
		return wire.Sent{}, err
	}
	sent.SafetyIdentifier = c.pseudonym
	sent.SystemPrompt = c.s.cfg.SystemPromptV1
	if model, _ := policy.Lookup(asked.Model); sent.Effort == "" && slices.Contains(model.EffortsOn(kind), c.s.cfg.Text.ReasoningEffort) {
		sent.Effort = c.s.cfg.Text.ReasoningEffort
	}
	return sent, nil
}

func readChat(c client, body []byte) (*question, error) {
	asked, err := wire.ReadChatRequest(body)
	if err != nil {
		return nil, err
	}
	q, err := c.words(policy.Chat, asked.Asked, body, asked.Append)
	if err != nil {
		return nil, err
	}
	q.Stream, q.usageAsked = asked.Stream, asked.IncludeUsage
	return q, nil
}

func readResponses(c client, body []byte) (*question, error) {
	asked, err := wire.ReadResponsesRequest(body)
	if err != nil {
		return nil, err
	}
	q, err := c.words(policy.Responses, asked.Asked, body, asked.Append)
	if err != nil {
		return nil, err
	}
	q.Stream = asked.Stream
	return q, nil
}

// words is a question that is answered in words.
func (c client) words(kind policy.Kind, asked wire.Asked, body []byte, encode func([]byte, wire.Sent) ([]byte, int)) (*question, error) {
	sent, err := c.admit(kind, asked)
	if err != nil {
		return nil, err
	}
	q := &question{model: asked.Model, limit: sent.OutputLimit, tier: sent.ServiceTier}
	q.Body, q.schema = encode(make([]byte, 0, len(body)+len(body)/4+512), sent)
	q.Most = mostWords(kind, q, asked)
	return q, nil
}

func readEmbeddings(c client, body []byte) (*question, error) {
	asked, err := wire.ReadEmbeddingsRequest(body)
	if err != nil {
		return nil, err
	}
	if _, err := c.admit(policy.Embeddings, asked.Asked); err != nil {
		return nil, err
	}
	each := vectorBytes(asked)
	if most := int((upstream.MaxAnswer - roomForFrame) / each); asked.Inputs > most {
		return nil, apierr.New(http.StatusBadRequest, "invalid_field", "The answer to so many inputs would be too large. Please send at most %d of them at once.", most).About("input")
	}
	return &question{
		Question: upstream.Question{Body: asked.Append(nil), Most: each*int64(asked.Inputs) + roomForFrame},
		model:    asked.Model,
	}, nil
}

// roomForFrame is for what of an answer depends on nothing that was asked.
const roomForFrame = 64 << 10

// vectorBytes is how long one vector of the answer can be. OpenAI prints a float
// with up to 20 digits on a line of its own.
func vectorBytes(asked *wire.EmbeddingsRequest) int64 {
	const (
		around   = 256 // of a vector's object
		asFloat  = 32
		asBase64 = 6
		largest  = 4096 // dimensions of a model that we do not know
	)
	n := asked.Dimensions
	if known, ok := policy.Dimensions(asked.Model); n == 0 && ok {
		n = int64(known)
	} else if n == 0 {
		n = largest
	}
	if asked.Base64 {
		return n*asBase64 + around
	}
	return n*asFloat + around
}

// mostWords is how long a whole answer of words can be: so much for each token; and a
// response repeats the tools of its request, indented, and its instructions, escaped.
// Room is taken for all of it, so that what is never repeated is not counted.
func mostWords(kind policy.Kind, q *question, asked wire.Asked) int64 {
	const (
		aToken   = 32      // so that words alone, of the longest limit there is, need no room
		likely   = 1 << 10 // its own probability, with its bytes on lines of their own
		likelier = 390     // and that of another: few are as long
		indented = 16
		escaped  = 6
	)
	each := int64(aToken)
	if asked.LogProbs {
		each += likely + likelier*asked.TopLogProbs
	}
	most := q.limit*each + roomForFrame
	if kind == policy.Responses {
		most += indented*int64(q.schema) + escaped*int64(len(q.Body)-q.schema)
	}
	return most
}

func readModerations(c client, body []byte) (*question, error) {
	asked, err := wire.ReadModerationsRequest(body)
	if err != nil {
		return nil, err
	}
	model := asked.Model
	if model == "" {
		model = policy.DefaultModeration
	}
	if _, err := c.admit(policy.Moderations, wire.Asked{Model: model}); err != nil {
		return nil, err
	}
	const verdict = 8 << 10
	sent := asked.Append(nil, model)
	texts := 1 + bytes.Count(sent, []byte(`","`)) // at most: within a text a quote is escaped
	return &question{Question: upstream.Question{Body: sent, Most: verdict*int64(texts) + roomForFrame}, model: model}, nil
}
