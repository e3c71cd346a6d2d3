// Package policy says what may be asked of which model. It is pure: no clock
// but the caller's, no network, no file.
//
// A model is known here or it is not: there is no guessing from a prefix, for a
// family's next member has broken every such rule so far (gpt-5 takes "minimal"
// and not "none", gpt-5.1 the reverse, gpt-6-astra neither).
package policy

import (
	"slices"
	"time"
)

// Model is what keyshield has to know to build a request for text that a model
// does not refuse.
type Model struct {
	ID            string
	Reasons       bool      // spends output tokens on reasoning, unless told not to
	Efforts       []string  // values of reasoning_effort it takes on chat completions, cheapest first
	Max           bool      // takes the effort "max" too, on responses only
	ToolsNeedNone bool      // takes function tools on chat completions only with effort "none"
	Temperature   bool      // takes temperature; a reasoning model only with effort "none"
	MaxTokens     bool      // wants max_tokens on chat completions, not max_completion_tokens
	Retires       time.Time // when OpenAI shuts it down (UTC); zero if not announced
}

// Lookup finds a model by its exact id, or by the id of one of its dated
// snapshots (gpt-4o-2024-11-20 is a gpt-4o). It knows no `*-latest`, search,
// audio, image, pro, codex or fine-tuned model.
func Lookup(id string) (Model, bool) {
	for _, name := range []string{id, aliasOf(id)} {
		i := slices.IndexFunc(models, func(m Model) bool { return m.ID == name })
		if i >= 0 {
			m := models[i]
			m.ID = id
			m.Efforts = slices.Clone(m.Efforts) // the table is everyone's
			return m, true
		}
	}
	return Model{}, false
}

// TakesEffort reports whether m accepts e as its reasoning_effort on chat
// completions, and so on the text API.
func (m Model) TakesEffort(e string) bool { return slices.Contains(m.Efforts, e) }

// EffortsOn are the efforts that m takes on an endpoint, cheapest first.
func (m Model) EffortsOn(k Kind) []string {
	if k == Responses && m.Max {
		return append(slices.Clip(m.Efforts), "max")
	}
	return m.Efforts
}

// TakesTools reports whether m accepts function tools together with the effort
// that is sent.
func (m Model) TakesTools(k Kind, effort string) bool {
	return k != Chat || !m.ToolsNeedNone || effort == "none"
}

// RetiredBy reports whether OpenAI has shut m down by then.
func (m Model) RetiredBy(then time.Time) bool {
	return !m.Retires.IsZero() && !then.Before(m.Retires)
}

// withoutDate cuts a snapshot's date off, if id ends in a real one.
func withoutDate(id string) string {
	cut := len(id) - len("-2006-01-02")
	if cut <= 0 {
		return id
	}
	if _, err := time.Parse("-2006-01-02", id[cut:]); err != nil {
		return id
	}
	return id[:cut]
}

// models is the reviewed list. Sources, last read in November 2026:
//
//   - Which models there are: the text chat models of @pydantic/genai-prices
//     0.1.8 (2026-09-23), names for the API only (no gpt-5-1 style spellings).
//   - Efforts: OpenAI's model pages and reasoning guide, and what the API itself
//     answers to a value it does not take ("Supported values are: …"). The list is
//     the same on chat completions and responses, but for "max": the models since
//     gpt-5.6 take it, and only on responses.
//   - ToolsNeedNone: what the API itself answers ("Function tools with
//     reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions. To use
//     function tools, use /v1/responses or set reasoning_effort to 'none'"). Without
//     any effort gpt-5.4 and 5.5 take tools too, the later ones do not; gpt-6-astra,
//     which has no "none", never does.
//   - Temperature: OpenAI's deployment checklist ("when reasoning effort is not
//     none, remove temperature").
//   - MaxTokens: models older than max_completion_tokens, which arrived with o1.
//   - Retires: openai-node 7.57.0 and OpenAI's deprecations page.
var models = []Model{
	{ID: "gpt-3.5-turbo", Temperature: true, MaxTokens: true, Retires: day(2026, 10, 23)},
	{ID: "gpt-4", Temperature: true, MaxTokens: true, Retires: day(2026, 10, 23)},
	{ID: "gpt-4-turbo", Temperature: true, MaxTokens: true, Retires: day(2026, 10, 23)},
	{ID: "gpt-4o", Temperature: true, Retires: day(2027, 1, 14)},
	{ID: "gpt-4o-2024-05-13", Temperature: true, Retires: day(2026, 10, 23)}, // earlier than its siblings
	{ID: "gpt-4o-mini", Temperature: true, Retires: day(2027, 1, 14)},
	{ID: "gpt-4.1", Temperature: true, Retires: day(2027, 1, 14)},
	{ID: "gpt-4.1-mini", Temperature: true, Retires: day(2027, 1, 14)},
	{ID: "gpt-4.1-nano", Temperature: true, Retires: day(2026, 10, 23)},

	{ID: "o1", Reasons: true, Efforts: lowToHigh, Retires: day(2026, 10, 23)},
	{ID: "o3-mini", Reasons: true, Efforts: lowToHigh, Retires: day(2026, 10, 23)},
	{ID: "o4-mini", Reasons: true, Efforts: lowToHigh, Retires: day(2026, 10, 23)},
	{ID: "o3", Reasons: true, Efforts: lowToHigh, Retires: day(2026, 12, 11)},

	{ID: "gpt-5", Reasons: true, Efforts: minimalToHigh, Retires: day(2026, 12, 11)},
	{ID: "gpt-5-mini", Reasons: true, Efforts: minimalToHigh, Retires: day(2026, 12, 11)},
	{ID: "gpt-5-nano", Reasons: true, Efforts: minimalToHigh, Retires: day(2026, 12, 11)},
	{ID: "gpt-5.1", Reasons: true, Efforts: noneToHigh, Temperature: true, Retires: day(2027, 4, 1)},
	{ID: "gpt-5.2", Reasons: true, Efforts: noneToXhigh, Temperature: true},
	{ID: "gpt-5.4", Reasons: true, Efforts: noneToXhigh, ToolsNeedNone: true, Temperature: true},
	{ID: "gpt-5.4-mini", Reasons: true, Efforts: noneToXhigh, ToolsNeedNone: true, Temperature: true},
	{ID: "gpt-5.4-nano", Reasons: true, Efforts: noneToXhigh, ToolsNeedNone: true, Temperature: true},
	{ID: "gpt-5.5", Reasons: true, Efforts: noneToXhigh, ToolsNeedNone: true, Temperature: true},
	{ID: "gpt-5.6", Reasons: true, Efforts: noneToXhigh, Max: true, ToolsNeedNone: true, Temperature: true}, // another name of gpt-5.6-sol
	{ID: "gpt-5.6-luna", Reasons: true, Efforts: noneToXhigh, Max: true, ToolsNeedNone: true, Temperature: true},
	{ID: "gpt-5.6-sol", Reasons: true, Efforts: noneToXhigh, Max: true, ToolsNeedNone: true, Temperature: true},
	{ID: "gpt-5.6-terra", Reasons: true, Efforts: noneToXhigh, Max: true, ToolsNeedNone: true, Temperature: true},

	{ID: "gpt-6-luna", Reasons: true, Efforts: noneToXhigh, Max: true, ToolsNeedNone: true, Temperature: true},
	{ID: "gpt-6-sol", Reasons: true, Efforts: noneToXhigh, Max: true, ToolsNeedNone: true, Temperature: true},
	{ID: "gpt-6-astra", Reasons: true, Efforts: lowToXhigh, Max: true, ToolsNeedNone: true}, // cannot be told not to reason
}

// The columns of the table above.
var (
	lowToHigh     = []string{"low", "medium", "high"}
	lowToXhigh    = []string{"low", "medium", "high", "xhigh"}
	minimalToHigh = []string{"minimal", "low", "medium", "high"}
	noneToHigh    = []string{"none", "low", "medium", "high"}
	noneToXhigh   = []string{"none", "low", "medium", "high", "xhigh"}
)

// Dimensions is the length of the vectors that a model makes unless it is asked
// for shorter ones (which text-embedding-ada-002 cannot make). No answer is longer.
func Dimensions(model string) (n int, ok bool) {
	switch model {
	case "text-embedding-3-small", "text-embedding-ada-002", "text-embedding-ada-002-v2":
		return 1536, true
	case "text-embedding-3-large":
		return 3072, true
	}
	return 0, false
}

func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}
