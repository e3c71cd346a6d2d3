package server

import (
	"net/http"
	"testing"

	"keyshield/internal/policy"
	"keyshield/internal/secret"
	"keyshield/internal/wire"
)

type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) FlushError() error           { return nil }

// BenchmarkRelayedChunk is what a chunk costs besides the connections on both sides.
func BenchmarkRelayedChunk(b *testing.B) {
	s := &Server{detector: secret.NewDetector(secret.New("test-key-0123456789abcdef"), secret.New("0123456789abcdef0123456789abcdef"))}
	w := &response{ResponseWriter: nowhere{http.Header{}}, control: connectionOf(nowhere{})}
	out := newFrameSink(w, policy.Chat)
	defer out.close()
	p := &passing{scope: &Scope{}, bill: &bill{s: s, q: &question{}}, ears: ears{detector: s.detector}, out: out}
	p.bill.s.breaker = newBreaker(BreakerSettings{})
	p.hear = p.ears.hear
	if err := out.open(nil); err != nil {
		b.Fatal(err)
	}
	data := []byte(`{"id":"chatcmpl-sjn4EGN6JsoOfLpLueooxO78ISv5N","object":"chat.completion.chunk","created":1795313363,"model":"gpt-6-luna","service_tier":"default","system_fingerprint":"fp_simulated","choices":[{"index":0,"delta":{"content":" a placeholder of some bytes"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"0vKd9s"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.event(wire.Event{Data: data}); err != nil {
			b.Fatal(err)
		}
		if err := p.flush(); err != nil {
			b.Fatal(err)
		}
	}
}
