// Package prompt says what was said: it reads the bodies of the text API, and of the
// Vercel AI SDK's hooks, strictly and cleans the prompts in them.
//
// Whatever it accepts, any JSON parser reads the same way: members are unique,
// none differs from a known one by case alone, every string is valid Unicode,
// nothing follows the object. A body with several faults is refused for the first
// in this order: the text as a whole, its members as they come, the prompt.
package prompt

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"keyshield/internal/apierr"
)

// Rules are the settings of the text API; useChat's and useCompletion's bodies obey
// them too.
type Rules struct {
	MaxChars  int  // of a prompt, or of each message of a user, in code points after trimming
	StripHTML bool // false for apps about code
}

// Request is a decoded, cleaned body.
type Request struct {
	Prompt string // neither empty nor with white space around it
	Stream *bool  // nil when absent
}

// Decode reads {"<field>": "…", "stream": …}, field being this endpoint's name for
// the prompt. Every error is an *apierr.Error. Nothing of body is kept.
func (r Rules) Decode(body []byte, field string) (Request, error) {
	m, err := read(body, field, stream)
	if err != nil {
		return Request{}, err
	}
	prompt, err := r.accept(m.prompt, field)
	if err != nil {
		return Request{}, err
	}
	return Request{Prompt: prompt, Stream: m.stream}, nil
}

// accept measures what the person wrote before anything is taken out of it, so
// that they can count for themselves.
func (r Rules) accept(prompt, field string) (string, error) {
	if prompt == "" {
		return "", refuse("invalid_prompt", "Invalid prompt format.").About(field)
	}
	if r.tooLong(prompt) {
		return "", refuse("prompt_too_long", "Prompt is too long. Please keep it under %d characters.", r.MaxChars).About(field)
	}
	prompt = strings.TrimSpace(Clean(strings.TrimSpace(prompt), r.StripHTML))
	if prompt == "" {
		return "", refuse("prompt_empty", "Prompt cannot be empty.").About(field)
	}
	return prompt, nil
}

// tooLong does not count white space around a prompt.
func (r Rules) tooLong(prompt string) bool {
	return utf8.RuneCountInString(strings.TrimSpace(prompt)) > r.MaxChars
}

func refuse(code, format string, args ...any) *apierr.Error {
	return apierr.New(http.StatusBadRequest, code, format, args...)
}
