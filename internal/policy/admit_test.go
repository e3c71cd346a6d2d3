package policy

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"keyshield/internal/apierr"
	"keyshield/internal/wire"
)

// open is a plan with everything that is judged by Admit switched on.
func open() Plan {
	return Plan{
		Endpoints: Endpoints(), Models: []string{"gpt-6-luna", "gpt-4", "text-embedding-3-small", "omni-moderation-latest"},
		OutputTokensV1: 500, SystemMessages: true, LogProbs: true, ServiceTiers: []string{"flex", "priority"},
	}
}

func TestAPlanGetsWhatItOpensAndNoMore(t *testing.T) {
	without := func(change func(*Plan)) Plan { p := open(); change(&p); return p }
	for _, tt := range []struct {
		name   string
		plan   Plan
		kind   Kind
		asked  wire.Asked
		status int // 0: admitted
		code   string
		param  string
	}{
		{"nothing", Plan{}, Chat, wire.Asked{Model: "gpt-6-luna"}, http.StatusForbidden, "endpoint_not_allowed", ""},
		{"another endpoint", without(func(p *Plan) { p.Endpoints = []string{"responses"} }), Chat, wire.Asked{Model: "gpt-6-luna"}, http.StatusForbidden, "endpoint_not_allowed", ""},
		{"text alone", without(func(p *Plan) { p.Endpoints = []string{TextEndpoint} }), Responses, wire.Asked{Model: "gpt-6-luna"}, http.StatusForbidden, "endpoint_not_allowed", ""},
		{"a model of another plan", open(), Chat, wire.Asked{Model: "gpt-6-sol"}, http.StatusNotFound, "model_not_found", "model"},
		{"a model of another kind", open(), Chat, wire.Asked{Model: "text-embedding-3-small"}, http.StatusNotFound, "model_not_found", "model"},
		{"words for vectors", open(), Embeddings, wire.Asked{Model: "gpt-6-luna"}, http.StatusNotFound, "model_not_found", "model"},
		{"a free model for words", open(), Chat, wire.Asked{Model: "omni-moderation-latest"}, http.StatusNotFound, "model_not_found", "model"},
		{"no model", open(), Chat, wire.Asked{}, http.StatusNotFound, "model_not_found", "model"},
		{"log probabilities", without(func(p *Plan) { p.LogProbs = false }), Chat, wire.Asked{Model: "gpt-6-luna", LogProbs: true}, http.StatusBadRequest, "invalid_field", "logprobs"},
		{"system messages", without(func(p *Plan) { p.SystemMessages = false }), Chat, wire.Asked{Model: "gpt-6-luna", System: true}, http.StatusBadRequest, "invalid_field", "messages"},
		{"instructions", without(func(p *Plan) { p.SystemMessages = false }), Responses, wire.Asked{Model: "gpt-6-luna", System: true}, http.StatusBadRequest, "invalid_field", "instructions"},
		{"a dearer tier", open(), Chat, wire.Asked{Model: "gpt-6-luna", ServiceTier: "fast"}, http.StatusBadRequest, "invalid_field", "service_tier"},
		{"a tier nobody knows", open(), Chat, wire.Asked{Model: "gpt-6-luna", ServiceTier: "scale"}, http.StatusBadRequest, "invalid_field", "service_tier"},

		{"all of it", open(), Chat, wire.Asked{Model: "gpt-6-luna", LogProbs: true, System: true, ServiceTier: "priority"}, 0, "", ""},
		{"vectors", open(), Embeddings, wire.Asked{Model: "text-embedding-3-small"}, 0, "", ""},
		{"moderation", open(), Moderations, wire.Asked{Model: "omni-moderation-latest"}, 0, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.plan.Admit(tt.kind, tt.asked, Reviewed())
			if tt.status == 0 {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			e, ok := errors.AsType[*apierr.Error](err)
			if !ok || e.Status != tt.status || e.Code != tt.code || e.Param != tt.param {
				t.Errorf("got %v about %q, want %d %s about %q", err, e.Param, tt.status, tt.code, tt.param)
			}
		})
	}
}

// TestWhatIsSentIsBoundedByThePlan: never more output than both allow, and never a
// tier that nobody named.
func TestWhatIsSentIsBoundedByThePlan(t *testing.T) {
	for _, tt := range []struct {
		kind  Kind
		asked wire.Asked
		want  wire.Sent
	}{
		{Chat, wire.Asked{Model: "gpt-6-luna"}, wire.Sent{OutputLimit: 500, ServiceTier: "default"}},
		{Chat, wire.Asked{Model: "gpt-6-luna", OutputLimit: 20, ServiceTier: "auto", Effort: "low"}, wire.Sent{OutputLimit: 20, ServiceTier: "default", Effort: "low"}},
		{Chat, wire.Asked{Model: "gpt-4", OutputLimit: 1 << 40, ServiceTier: "default"}, wire.Sent{OutputLimit: 500, ServiceTier: "default", MaxTokens: true}},
		{Responses, wire.Asked{Model: "gpt-6-luna", OutputLimit: 501, ServiceTier: "flex"}, wire.Sent{OutputLimit: 500, ServiceTier: "flex"}},
		{Embeddings, wire.Asked{Model: "text-embedding-3-small"}, wire.Sent{ServiceTier: "default"}},
	} {
		got, err := open().Admit(tt.kind, tt.asked, Reviewed())
		if err != nil || got != tt.want {
			t.Errorf("%s %+v: %+v, %v; want %+v", tt.kind, tt.asked, got, err, tt.want)
		}
	}
}

func TestAPlanOffersWhatItsEndpointsCanBeAskedFor(t *testing.T) {
	p := open()
	p.Models = append(p.Models, "gpt-99")
	if got := p.Offered(Reviewed()); !slices.Equal(got, open().Models) {
		t.Errorf("offers %v, want %v: a model without a price is none", got, open().Models)
	}
	p.Endpoints = []string{TextEndpoint, "embeddings"}
	if got := p.Offered(Reviewed()); !slices.Equal(got, []string{"text-embedding-3-small"}) {
		t.Errorf("with embeddings alone it offers %v", got)
	}
}
