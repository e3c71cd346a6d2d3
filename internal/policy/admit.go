package policy

import (
	"net/http"

	"keyshield/internal/apierr"
	"keyshield/internal/wire"
)

// DefaultModeration is who judges when the client names no model, as OpenAI has it.
const DefaultModeration = "omni-moderation-latest"

// Admit says whether the plan allows it, and what of it is sent: the smaller output
// limit, and a service tier always, since none means the project's setting, which
// may cost double.
func (p Plan) Admit(kind Kind, a wire.Asked, prices *Table) (wire.Sent, error) {
	sent := wire.Sent{OutputLimit: int64(p.OutputTokensV1), ServiceTier: "default", Effort: a.Effort}
	switch {
	case !p.MayUse(string(kind)):
		return sent, ErrEndpoint()
	case !p.offers(a.Model, kind, prices):
		return sent, apierr.New(http.StatusNotFound, "model_not_found", "The model %q does not exist for this endpoint, or your plan does not include it. GET /v1/models lists those that you may use.", short(a.Model)).About("model")
	case a.LogProbs && !p.LogProbs:
		return sent, denied("logprobs", "Your plan does not include log probabilities: leave out %q.", "logprobs")
	case a.System && !p.SystemMessages && kind == Responses:
		return sent, ErrSystem("instructions")
	case a.System && !p.SystemMessages:
		return sent, ErrSystem("messages")
	}
	switch a.ServiceTier {
	case "", "auto", "default":
	default:
		if !p.MayTier(a.ServiceTier) {
			return sent, denied("service_tier", "Your plan does not include the service tier %q: leave out %q.", short(a.ServiceTier), "service_tier")
		}
		sent.ServiceTier = a.ServiceTier
	}
	if a.OutputLimit > 0 {
		sent.OutputLimit = min(sent.OutputLimit, a.OutputLimit)
	}
	if !kind.writes() {
		sent.OutputLimit = 0
	}
	model, _ := Lookup(a.Model)
	sent.MaxTokens = kind == Chat && model.MaxTokens
	return sent, nil
}

// ErrEndpoint refuses an endpoint that is open to other plans.
func ErrEndpoint() error {
	return apierr.New(http.StatusForbidden, "endpoint_not_allowed", "Your plan does not include this endpoint.")
}

// ErrSystem refuses what a client wants the model told in the operator's place.
func ErrSystem(param string) error {
	return denied(param, "Your plan does not let clients send system or developer messages, or instructions.")
}

func denied(param, format string, args ...any) error {
	return apierr.New(http.StatusBadRequest, "invalid_field", format, args...).About(param)
}

// offers says whether the plan has a model for a kind of question.
func (p Plan) offers(model string, kind Kind, prices *Table) bool {
	return p.MayAsk(model) && prices.Knows(model, kind)
}

// Offered are the models that the plan's endpoints can be asked for, in the order
// in which they are written.
func (p Plan) Offered(prices *Table) []string {
	var offered []string
	for _, m := range p.Models {
		for _, kind := range kinds {
			if p.MayUse(string(kind)) && p.offers(m, kind, prices) {
				offered = append(offered, m)
				break
			}
		}
	}
	return offered
}
