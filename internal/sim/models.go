package sim

import (
	"net/http"
	"slices"
	"strings"
)

// price is nano-dollars per token. long: above 272,000 input tokens the input
// costs double and the output one and a half times.
type price struct {
	id      string
	in, out int64
	long    bool
	at      endpoint // chats stands for responses too
}

// prices is the simulator's own table: it must not share the one under test, or
// a mistake in that would confirm itself.
var prices = []price{
	{"gpt-6-luna", 100, 500, true, chats},
	{"gpt-6-sol", 2_000, 10_000, true, chats},
	{"gpt-6-astra", 10_000, 50_000, true, chats},
	{"gpt-5.6-luna", 200, 1_200, true, chats},
	{"gpt-5.6-terra", 2_000, 12_000, true, chats},
	{"gpt-5.6-sol", 4_000, 20_000, true, chats},
	{"gpt-5.5", 5_000, 30_000, true, chats},
	{"gpt-5.4", 2_500, 15_000, true, chats},
	{"gpt-5.4-mini", 750, 4_500, false, chats},
	{"gpt-5.4-nano", 200, 1_250, false, chats},
	{"gpt-5.2", 1_750, 14_000, false, chats},
	{"gpt-5.1", 1_250, 10_000, false, chats},
	{"gpt-5", 1_250, 10_000, false, chats},
	{"gpt-5-mini", 250, 2_000, false, chats},
	{"gpt-5-nano", 50, 400, false, chats},
	{"gpt-4.1", 2_000, 8_000, false, chats},
	{"gpt-4.1-mini", 400, 1_600, false, chats},
	{"gpt-4.1-nano", 100, 400, false, chats},
	{"gpt-4o", 2_500, 10_000, false, chats},
	{"gpt-4o-mini", 150, 600, false, chats},
	{"o3", 2_000, 8_000, false, chats},
	{"o3-mini", 1_100, 4_400, false, chats},
	{"o4-mini", 1_100, 4_400, false, chats},
	{"gpt-3.5-turbo", 500, 1_500, false, chats},
	{"text-embedding-3-small", 20, 0, false, embeddings},
	{"text-embedding-3-large", 130, 0, false, embeddings},
	{"text-embedding-ada-002", 100, 0, false, embeddings},
	{"omni-moderation-latest", 0, 0, false, moderations},
	{"omni-moderation-2024-09-26", 0, 0, false, moderations},
	{"text-moderation-latest", 0, 0, false, moderations},
	{"text-moderation-stable", 0, 0, false, moderations},
}

// otherPrice is what any other model costs: ten dollars per million tokens in,
// fifty out.
var otherPrice = price{"", 10_000, 50_000, false, chats}

const longContext = 272_000

// priceOf finds a model by its name or a dated snapshot of it.
func priceOf(model string) price {
	name := undated(model)
	for _, p := range prices {
		if p.id == name || p.id == model {
			return p
		}
	}
	return otherPrice
}

// undated cuts "-2026-01-31" off.
func undated(model string) string {
	const date = len("-2026-01-31")
	cut := len(model) - date
	if cut <= 0 {
		return model
	}
	for i, r := range []byte(model[cut:]) {
		dash := i == 0 || i == 5 || i == 8
		if dash != (r == '-') || !dash && (r < '0' || r > '9') {
			return model
		}
	}
	return model[:cut]
}

// cost is exact: it counts in quarters of a nano-dollar, so that one and a half
// times (long output) and half (flex) of it are whole, and rounds up once.
func cost(model, tier string, in, out int) int64 {
	p := priceOf(model)
	inputs, outputs := 4*p.in*int64(in), 4*p.out*int64(out)
	if p.long && in > longContext {
		inputs, outputs = 2*inputs, outputs/2*3
	}
	quarters := inputs + outputs
	switch tier {
	case "priority", "fast", "ultrafast":
		quarters *= 2
	case "flex":
		quarters /= 2
	}
	return (quarters + 3) / 4
}

// ability is what a family of models can do.
type ability struct {
	reason  bool // thinks before it answers
	refrain bool // takes reasoning_effort none
}

func abilities(model string) ability {
	begins := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(model, p) })
	}
	switch {
	case strings.HasSuffix(model, "-chat-latest"):
		return ability{}
	case begins("gpt-6", "gpt-5."):
		return ability{reason: true, refrain: true}
	case begins("gpt-5", "o1", "o3", "o4"):
		return ability{reason: true}
	}
	return ability{}
}

// thinking is how many tokens a model spends before its first word.
func thinking(model, effort string) int {
	if !abilities(model).reason {
		return 0
	}
	switch effort {
	case "none":
		return 0
	case "minimal":
		return 16
	case "low":
		return 64
	case "high":
		return 640
	case "xhigh", "max":
		return 1_280
	}
	return 192 // medium, the default
}

// serves refuses a model that is not among those served (if there is a list), and
// one that is known to belong to another endpoint.
func serves(e endpoint, model string, models []string) error {
	if models != nil && !slices.Contains(models, model) {
		return noSuchModel(model)
	}
	p := priceOf(model)
	if p.id == "" || p.at == e || p.at == chats && e == responses {
		return nil
	}
	switch e {
	case chats:
		return &refusal{http.StatusNotFound, "This is not a chat model and thus not supported in the v1/chat/completions endpoint. " +
			"Did you mean to use v1/completions?", invalidRequest, "model", ""}
	case responses:
		return invalid("model", "unsupported_model", "The requested model '%s' cannot be used with the Responses API.", model)
	case embeddings:
		return &refusal{http.StatusForbidden, "You are not allowed to generate embeddings from this model", invalidRequest, "", ""}
	}
	return invalid("model", "", "Invalid value for 'model' = %s. Please check the OpenAI documentation and try again.", model)
}
