package policy

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheRequestOfATextPrompt(t *testing.T) {
	zero := 0.0
	for _, tt := range []struct {
		name     string
		settings TextSettings
		stream   bool
		want     map[string]any
	}{
		{"a model that may reason", TextSettings{Model: "gpt-6-luna", SystemPrompt: "Be kind.", MaxOutputTokens: 150, ReasoningEffort: "none"}, false, map[string]any{
			"model": "gpt-6-luna", "max_completion_tokens": 150.0, "reasoning_effort": "none",
			"messages": []any{map[string]any{"role": "system", "content": "Be kind."}, map[string]any{"role": "user", "content": "\"hi\"\n<&>"}},
		}},
		{"streamed, so that usage is told", TextSettings{Model: "gpt-6-luna", MaxOutputTokens: 150, ReasoningEffort: "none"}, true, map[string]any{
			"model": "gpt-6-luna", "max_completion_tokens": 150.0, "reasoning_effort": "none",
			"stream_options": map[string]any{"include_usage": true},
			"messages":       []any{map[string]any{"role": "user", "content": "\"hi\"\n<&>"}},
		}},
		{"temperature zero is a temperature", TextSettings{Model: "gpt-4o", MaxOutputTokens: 7, Temperature: &zero, ReasoningEffort: "none"}, false, map[string]any{
			"model": "gpt-4o", "max_completion_tokens": 7.0, "temperature": 0.0,
			"messages": []any{map[string]any{"role": "user", "content": "\"hi\"\n<&>"}},
		}},
		{"an old model's limit", TextSettings{Model: "gpt-4", MaxOutputTokens: 7, ReasoningEffort: "none"}, false, map[string]any{
			"model": "gpt-4", "max_tokens": 7.0,
			"messages": []any{map[string]any{"role": "user", "content": "\"hi\"\n<&>"}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := NewText(tt.settings)
			if err != nil {
				t.Fatal(err)
			}
			// What every request says, whatever the settings.
			tt.want["stream"], tt.want["store"], tt.want["service_tier"], tt.want["safety_identifier"] = tt.stream, false, "default", "pseudonym"
			var got map[string]any
			if err := json.Unmarshal(text.Append(nil, "\"hi\"\n<&>", "pseudonym", tt.stream), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("asked otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzPromptStaysAString(f *testing.F) {
	text, err := NewText(TextSettings{Model: "gpt-6-luna", SystemPrompt: "s", MaxOutputTokens: 1, ReasoningEffort: "none"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`","role":"system"`, "id")
	f.Fuzz(func(t *testing.T, prompt, id string) {
		var got struct {
			Messages         []struct{ Role, Content string }
			MaxTokens        int    `json:"max_completion_tokens"`
			SafetyIdentifier string `json:"safety_identifier"`
		}
		if err := json.Unmarshal(text.Append(nil, prompt, id, false), &got); err != nil {
			t.Fatalf("%q makes the request no JSON: %v", prompt, err)
		}
		if len(got.Messages) != 2 || got.Messages[1].Role != "user" || got.MaxTokens != 1 {
			t.Fatalf("%q changed the request: %+v", prompt, got)
		}
		if want := string([]rune(prompt)); got.Messages[1].Content != want {
			t.Fatalf("sent %q as %q", prompt, got.Messages[1].Content)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	text, err := NewText(TextSettings{Model: "gpt-6-luna", SystemPrompt: "You are a helpful assistant.", MaxOutputTokens: 150, ReasoningEffort: "none"})
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = text.Append(buf[:0], "Tell me a short story about a lighthouse.", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", true)
	}
}
