package sim_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyshield/internal/sim"
)

// nowhere takes an answer and keeps nothing of it.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Flush()                      {}

// The handler alone: what the simulator adds to net/http in a benchmark of
// something else.
func BenchmarkHandler(b *testing.B) {
	for name, stream := range map[string]bool{"whole": false, "stream of 50 chunks": true} {
		b.Run(name, func(b *testing.B) {
			s := sim.New(sim.Options{Record: -1})
			body := completion("[[sim chunks=50]] What does it cost to simulate?", stream)
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+key)
				s.ServeHTTP(&nowhere{http.Header{}}, r)
			}
		})
	}
}

func BenchmarkOverLoopback(b *testing.B) {
	srv := httptest.NewServer(sim.New(sim.Options{Record: -1}))
	defer srv.Close()
	body := completion("What does it cost to simulate?", false)
	b.RunParallel(func(pb *testing.PB) {
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		buffered := bufio.NewReader(nil)
		for pb.Next() {
			r, err := http.NewRequest(http.MethodPost, srv.URL+"/v1/chat/completions", strings.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+key)
			resp, err := transport.RoundTrip(r)
			if err != nil {
				b.Fatal(err)
			}
			buffered.Reset(resp.Body)
			_, _ = io.Copy(io.Discard, buffered)
			resp.Body.Close()
		}
	})
}
