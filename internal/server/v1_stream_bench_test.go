package server

import (
	"net/http"
	"strconv"
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

// line brings the same event at every read, as OpenAI's connection does.
type line struct{ event []byte }

func (l line) Read(p []byte) (int, error) { return copy(p, l.event), nil }

const relayedEvent = `data: {"id":"chatcmpl-sjn4EGN6JsoOfLpLueooxO78ISv5N","object":"chat.completion.chunk","created":1795313363,"model":"gpt-6-luna","service_tier":"default","system_fingerprint":"fp_simulated","choices":[{"index":0,"delta":{"content":" a placeholder of some bytes"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"0vKd9s"}` + "\n\n"

// BenchmarkRelayedChunk is what a chunk costs besides the connections on both sides.
// Of one stream all is at hand; of thousands, nothing is in the processor's cache
// when the next chunk comes.
func BenchmarkRelayedChunk(b *testing.B) {
	for _, streams := range []int{1, 8000} {
		b.Run(strconv.Itoa(streams), func(b *testing.B) { relayChunks(b, streams) })
	}
}

func relayChunks(b *testing.B, streams int) {
	s := &Server{detector: secret.NewDetector(secret.New("test-key-0123456789abcdef"), secret.New("0123456789abcdef0123456789abcdef"))}
	s.breaker = newBreaker(BreakerSettings{})
	defer s.pulse.begin()()
	type stream struct {
		events *wire.Events
		*passing
	}
	all := make([]stream, streams)
	for i := range all {
		x := &exchange{out: response{ResponseWriter: nowhere{http.Header{}}, control: connectionOf(nowhere{}), pulse: &s.pulse}}
		p := newPassing(s, &x.out, &x.scope, &bill{s: s, q: &question{kind: policy.Chat}})
		defer p.out.close()
		if err := p.out.open(nil); err != nil {
			b.Fatal(err)
		}
		all[i] = stream{wire.NewEvents(line{[]byte(relayedEvent)}), p}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := all[i*6151%streams] // in no order that the processor could guess
		e, err := at.events.Next()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := at.event(e); err != nil {
			b.Fatal(err)
		}
		if err := at.flush(); err != nil {
			b.Fatal(err)
		}
	}
}
