package wire_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/sashabaranov/go-openai"

	"keyshield/internal/wire"
)

const sampleAnswer = `{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion","created":1741570283,"model":"gpt-6-luna-2026-08-01","choices":[{"index":0,"message":{"role":"assistant","content":"The image shows a wooden boardwalk path running through a lush green field or meadow.\nThe sky is bright blue with some scattered clouds, giving the scene a \"serene\" and peaceful atmosphere. Trees and shrubs are visible in the background. A person walks far away, and the light is that of a late afternoon in summer, when the shadows are long and the grass is dry.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1117,"completion_tokens":46,"total_tokens":1163,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_fc9f1d7035"}`

const sampleChunk = `{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk","created":1694268190,"model":"gpt-6-luna-2026-08-01","service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":" boardwalk"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"p9K3xT6w"}`

type narrow struct {
	Model   string `json:"model"`
	Choices []struct {
		Message struct {
			Content string `json:"content"`
		} `json:"message"`
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int64 `json:"prompt_tokens"`
		CompletionTokens int64 `json:"completion_tokens"`
	} `json:"usage"`
}

func BenchmarkReadAnswer(b *testing.B) {
	body := []byte(sampleAnswer)
	b.Run("wire", func(b *testing.B) {
		text := make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			a, err := wire.ReadAnswer(body)
			if text = a.Content.AppendText(text[:0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	benchmarkJSON[narrow](b, "narrow", body)
	benchmarkJSON[openai.ChatCompletionResponse](b, "go-openai", body)
}

func BenchmarkReadChunk(b *testing.B) {
	data := []byte(sampleChunk)
	b.Run("wire", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, err := wire.ReadChunk(data)
			if _, plain := c.Content.Plain(); err != nil || !plain {
				b.Fatal(err)
			}
		}
	})
	benchmarkJSON[narrow](b, "narrow", data)
	benchmarkJSON[openai.ChatCompletionStreamResponse](b, "go-openai", data)
}

func benchmarkJSON[T any](b *testing.B, name string, data []byte) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v T
			if err := json.Unmarshal(data, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEvents is one event of an endless stream, arriving 1 or 8 per read.
func BenchmarkEvents(b *testing.B) {
	event := "data: " + sampleChunk + "\n\n"
	for name, perRead := range map[string]int{"1 per read": 1, "8 per read": 8} {
		b.Run(name, func(b *testing.B) {
			events := wire.NewEvents(&endless{piece: []byte(strings.Repeat(event, perRead))})
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			for b.Loop() {
				if ev, err := events.Next(); err != nil || len(ev.Data) != len(sampleChunk) {
					b.Fatal(err)
				}
				events.Buffered()
			}
		})
	}
}

func BenchmarkAppendQuote(b *testing.B) {
	text := bytes.Repeat([]byte("a word, or "), 20)
	dst := make([]byte, 0, 1024)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		dst = wire.AppendQuote(dst[:0], text)
	}
}

type endless struct {
	piece []byte
	at    int
}

func (r *endless) Read(p []byte) (int, error) {
	n := copy(p, r.piece[r.at:])
	if r.at += n; r.at == len(r.piece) {
		r.at = 0
	}
	return n, nil
}

var _ io.Reader = (*endless)(nil)
