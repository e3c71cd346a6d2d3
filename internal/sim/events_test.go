package sim_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// events are the data of a stream's events, and what stands before each field.
func events(body string) []string {
	var data []string
	for event := range strings.SplitSeq(body, "\n\n") {
		if d, ok := strings.CutPrefix(event, "data: "); ok {
			data = append(data, d)
		}
	}
	return data
}

type chunk struct {
	ID      string
	Model   string
	Choices []struct {
		Index int
		Delta struct {
			Role    string
			Content *string
			Refusal *string
		}
		Message struct {
			Content *string
			Refusal *string
		}
		FinishReason *string `json:"finish_reason"`
	}
	Usage *usage
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	Prompt           struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	Completion struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// said is what a reader of the whole answer knows, streamed or not.
type said struct {
	pieces  []string // content of the first choice
	refusal string
	finish  string
	usage   *usage
	model   string
	choices int
	done    bool
}

func (s said) text() string { return strings.Join(s.pieces, "") }

func read(t *testing.T, a answer, stream bool) said {
	t.Helper()
	if a.err != nil || a.status != 200 {
		t.Fatalf("got %d %s, %v; want a whole answer", a.status, a.body, a.err)
	}
	data := []string{a.body}
	if stream {
		data = events(a.body)
	}
	var s said
	for _, d := range data {
		if d == "[DONE]" {
			s.done = true
			continue
		}
		var c chunk
		if err := json.Unmarshal([]byte(d), &c); err != nil {
			t.Fatalf("%q: %v", d, err)
		}
		s.add(c)
	}
	return s
}

func (s *said) add(c chunk) {
	s.model = c.Model
	if c.Usage != nil {
		s.usage = c.Usage
	}
	for _, choice := range c.Choices {
		s.choices = max(s.choices, choice.Index+1)
		if choice.Index != 0 {
			continue
		}
		for _, content := range []*string{choice.Delta.Content, choice.Message.Content} {
			if content != nil && *content != "" {
				s.pieces = append(s.pieces, *content)
			}
		}
		for _, refusal := range []*string{choice.Delta.Refusal, choice.Message.Refusal} {
			if refusal != nil {
				s.refusal += *refusal
			}
		}
		if choice.FinishReason != nil {
			s.finish = *choice.FinishReason
		}
	}
}

// bothWays runs a test for a whole answer and for a stream.
func bothWays(t *testing.T, test func(t *testing.T, stream bool)) {
	t.Run("whole", func(t *testing.T) { test(t, false) })
	t.Run("stream", func(t *testing.T) { test(t, true) })
}
