package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"keyshield/internal/wire"
)

// BenchmarkHear is each reader on a document of its kind; a delta is what a relay
// sees thousands of per second.
func BenchmarkHear(b *testing.B) {
	completed := documents(b, "responses/tools.sse")
	numbers := strings.Repeat("-0.0069295, ", 1535) + "1"
	vectors := func(vector string) []byte {
		one := `{"object":"embedding","index":0,"embedding":` + vector + "}"
		return fmt.Appendf(nil, `{"object":"list","data":[%s],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}`, strings.Repeat(one+",", 255)+one)
	}
	var generated int
	hear := func(l wire.Literal, voice int) {
		if voice != wire.NotGenerated {
			generated += len(l)
		}
	}
	answer := func(doc []byte) error { _, err := wire.HearAnswer(doc, hear); return err }
	chunk := func(doc []byte) error { _, err := wire.HearChunk(doc, hear); return err }
	event := func(doc []byte) error { _, err := wire.HearResponseEvent(doc, hear); return err }
	embeddings := func(doc []byte) error { _, err := wire.HearEmbeddings(doc, hear); return err }
	for _, bench := range []struct {
		name string
		read func([]byte) error
		doc  []byte
	}{
		{"answer", answer, []byte(sampleAnswer)},
		{"chunk", chunk, []byte(sampleChunk)},
		{"chunk of a tool call", chunk, documents(b, "tools.sse")[1]},
		{"delta", event, documents(b, "responses/text.sse")[4]},
		{"completed", event, completed[len(completed)-1]},
		{"response", func(doc []byte) error { _, err := wire.HearResponse(doc, hear); return err }, documents(b, "response.json")[0]},
		{"vectors as numbers", embeddings, vectors("[" + numbers + "]")},
		{"vectors in base64", embeddings, vectors(`"` + strings.Repeat("AbC/+123", 1024) + `"`)},
		{"moderations", func(doc []byte) error { _, err := wire.HearModerations(doc, hear); return err }, documents(b, "moderation.json")[0]},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.doc)))
			b.ReportAllocs()
			for b.Loop() {
				if err := bench.read(bench.doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
