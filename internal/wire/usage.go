package wire

import "math"

// Usage is what the provider says it will bill, in tokens. Cached and CacheWrite
// are parts of Prompt, Reasoning is a part of Completion.
type Usage struct {
	Prompt, Completion, Total int64
	Cached, CacheWrite        int64
	Reasoning                 int64
}

// Valid says whether the counts can prove a cost. It is strict in the one
// direction that matters, a bill higher than what we would count: a part larger
// than its whole, or a total that the two counts do not explain, means that
// tokens are missing from them.
func (u Usage) Valid() bool {
	for _, n := range [...]int64{u.Prompt, u.Completion, u.Total, u.Cached, u.CacheWrite, u.Reasoning} {
		if n < 0 {
			return false
		}
	}
	return u.Completion <= math.MaxInt64-u.Prompt &&
		u.Total <= u.Prompt+u.Completion &&
		u.Cached <= u.Prompt && u.CacheWrite <= u.Prompt-u.Cached &&
		u.Reasoning <= u.Completion
}

// readUsage reads the "usage" member. Counts are optional in the grammar, but
// usage without prompt and completion tokens is no usage.
func (a *Answer) readUsage(s *scanner) (hasPrompt bool) {
	if s.null() {
		return false
	}
	u := &a.Usage
	var prompt, completion, total, ofPrompt, ofCompletion bool
	var hasCompletion bool
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "prompt_tokens":
			s.once(&prompt)
			u.Prompt, hasPrompt = s.count()
		case "completion_tokens":
			s.once(&completion)
			u.Completion, hasCompletion = s.count()
		case "total_tokens":
			s.once(&total)
			u.Total, _ = s.count()
		case "prompt_tokens_details":
			s.once(&ofPrompt)
			a.Detailed = u.readPromptDetails(s)
		case "completion_tokens_details":
			s.once(&ofCompletion)
			u.readCompletionDetails(s)
		default:
			s.skip()
		}
	}
	a.HasUsage = hasPrompt && hasCompletion
	return hasPrompt
}

// readResponseUsage reads the same in the words of the Responses API.
func (a *Answer) readResponseUsage(s *scanner) {
	if s.null() {
		return
	}
	u := &a.Usage
	var input, output, total, ofInput, ofOutput bool
	var hasInput, hasOutput bool
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "input_tokens":
			s.once(&input)
			u.Prompt, hasInput = s.count()
		case "output_tokens":
			s.once(&output)
			u.Completion, hasOutput = s.count()
		case "total_tokens":
			s.once(&total)
			u.Total, _ = s.count()
		case "input_tokens_details":
			s.once(&ofInput)
			a.Detailed = u.readPromptDetails(s)
		case "output_tokens_details":
			s.once(&ofOutput)
			u.readCompletionDetails(s)
		default:
			s.skip()
		}
	}
	a.HasUsage = hasInput && hasOutput
}

// readPromptDetails reports whether there are any.
func (u *Usage) readPromptDetails(s *scanner) bool {
	if s.null() {
		return false
	}
	var cached, written bool
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "cached_tokens":
			s.once(&cached)
			u.Cached, _ = s.count()
		case "cache_write_tokens":
			s.once(&written)
			u.CacheWrite, _ = s.count()
		default:
			s.skip()
		}
	}
	return true
}

func (u *Usage) readCompletionDetails(s *scanner) {
	if s.null() {
		return
	}
	var reasoning bool
	for s.open('{'); s.next('}'); {
		switch string(s.name()) {
		case "reasoning_tokens":
			s.once(&reasoning)
			u.Reasoning, _ = s.count()
		default:
			s.skip()
		}
	}
}

// count reads a number of tokens; null counts as absent. What is no whole
// number, or does not fit, becomes -1: the text of the answer is still good, but
// Valid will not take the usage for proof.
func (s *scanner) count() (n int64, present bool) {
	if s.null() {
		return 0, false
	}
	for _, c := range s.number() {
		digit := int64(c - '0') // of a byte: what is below '0' wraps to above 9
		if digit > 9 || n > (math.MaxInt64-digit)/10 {
			return -1, true
		}
		n = n*10 + digit
	}
	return n, true
}
