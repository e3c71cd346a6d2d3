package wire_test

import (
	"fmt"
	"math"
	"testing"

	"keyshield/internal/wire"
)

func TestUsageThatProvesNothing(t *testing.T) {
	for _, u := range []wire.Usage{
		{Prompt: -1, Completion: 1},
		{Prompt: 1, Completion: -1},
		{Prompt: 1, Completion: 1, Total: -1},
		{Prompt: 1, Completion: 1, Cached: -1},
		{Prompt: 1, Completion: 1, CacheWrite: -1},
		{Prompt: 1, Completion: 1, Reasoning: -1},
		{Prompt: math.MaxInt64, Completion: 1},
		{Prompt: 10, Cached: 11},
		{Prompt: 10, Cached: 6, CacheWrite: 5},
		{Prompt: 10, Cached: math.MaxInt64, CacheWrite: math.MaxInt64},
		{Prompt: 10, CacheWrite: math.MaxInt64},
		{Prompt: 10, Completion: 5, Reasoning: 6},
		{Prompt: 10, Completion: 5, Total: 16},
	} {
		if u.Valid() {
			t.Errorf("%+v is taken for proof", u)
		}
	}
	for _, u := range []wire.Usage{
		{},
		{Prompt: 10, Completion: 5, Total: 15, Cached: 6, CacheWrite: 4, Reasoning: 5},
		{Prompt: 10, Completion: 5},
		{Prompt: math.MaxInt64, Total: math.MaxInt64},
	} {
		if !u.Valid() {
			t.Errorf("%+v is not taken for proof", u)
		}
	}
}

func TestCountsThatAreNoCountsSpoilUsageNotText(t *testing.T) {
	for count, want := range map[string]int64{
		"0": 0, "7": 7, "9223372036854775807": math.MaxInt64,
		"9223372036854775808": -1, "99999999999999999999999": -1, "-0": -1, "-5": -1, "1.0": -1, "1e3": -1, "1E+2": -1,
	} {
		body := fmt.Sprintf(`{"choices":[{"message":{"content":"text"}}],"usage":{"prompt_tokens":%s,"completion_tokens":1}}`, count)
		a, err := wire.ReadAnswer([]byte(body))
		if err != nil || !a.HasUsage || a.Usage.Prompt != want || a.Usage.Valid() != (want >= 0 && want < math.MaxInt64) || string(a.Content) != `"text"` {
			t.Errorf("%s: %+v, %v; want %d", count, a, err, want)
		}
	}
}

func TestIncompleteUsageIsNone(t *testing.T) {
	for usage, want := range map[string]bool{
		`null`:                    false,
		`{}`:                      false,
		`{"total_tokens":3}`:      false,
		`{"prompt_tokens":1}`:     false,
		`{"completion_tokens":1}`: false,
		`{"prompt_tokens":1,"completion_tokens":null}`:     false,
		`{"prompt_tokens":1,"completion_tokens":2}`:        true,
		`{"completion_tokens":2,"prompt_tokens":1,"x":[]}`: true,
		`{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":null,"completion_tokens_details":null,"total_tokens":null}`: true,
	} {
		c, err := wire.ReadChunk([]byte(`{"choices":[],"usage":` + usage + `}`))
		if c.HasUsage != want || err != nil {
			t.Errorf("%s: has usage %v, %v; want %v", usage, c.HasUsage, err, want)
		}
	}
}
