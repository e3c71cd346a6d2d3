package sim_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/sim"
)

// pipes is a listener without a kernel, so that a bubble's clock rules.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.IPAddr{} }

// bubble runs a test whose clock stands still while anything happens.
func bubble(t *testing.T, o sim.Options, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		s := sim.New(o)
		listener := &pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: s}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = server.Serve(listener)
		}()
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			listener.conns <- there
			return here, nil
		}}
		test(t, &world{s, "http://sim", &http.Client{Transport: transport}})
		s.Close()
		transport.CloseIdleConnections()
		_ = server.Close()
		<-served
	})
}

func TestLatencyAndPaceAreKept(t *testing.T) {
	bubble(t, sim.Options{}, func(t *testing.T, w *world) {
		began := time.Now()
		resp, err := w.client.Do(w.request(t.Context(), t, completion("[[sim latency=3s chunks=4 pace=500ms]] hello", true)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := time.Since(began); got != 3*time.Second {
			t.Errorf("the headers came after %v, want 3s", got)
		}
		if got := resp.Header.Get("Openai-Processing-Ms"); got != "3000" {
			t.Errorf("got openai-processing-ms %s, want 3000", got)
		}
		var at []time.Duration
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "data: ") {
				at = append(at, time.Since(began)-3*time.Second)
			}
		}
		const s = time.Second
		// role, four chunks, finish, usage, [DONE]
		want := []time.Duration{0, 0, s / 2, s, s * 3 / 2, s * 3 / 2, s * 3 / 2, s * 3 / 2}
		if len(at) != len(want) {
			t.Fatalf("got %d events, want %d", len(at), len(want))
		}
		for i := range want {
			if at[i] != want[i] {
				t.Errorf("event %d came after %v, want %v", i, at[i], want[i])
			}
		}
	})
}

func TestDeparturesAreNoticedAtOnce(t *testing.T) {
	for _, c := range []struct {
		words  string
		stream bool
		stay   time.Duration
		chunks int
	}{
		{"latency=1m", false, 5 * time.Second, 0},
		{"latency=1m", true, 5 * time.Second, 0},
		{"chunks=40 pace=1s", true, 5500 * time.Millisecond, 6},
		{"fault=hang_before", false, 5 * time.Second, 0},
		{"fault=hang_mid at=3", true, 5 * time.Second, 3},
		{"fault=never_ending pace=1s", true, 5500 * time.Millisecond, 6},
		{"fault=never_ending pace=1s", false, 5500 * time.Millisecond, 0},
	} {
		t.Run(c.words, func(t *testing.T) {
			bubble(t, sim.Options{}, func(t *testing.T, w *world) {
				ctx, leave := context.WithTimeout(t.Context(), c.stay)
				defer leave()
				if resp, err := w.client.Do(w.request(ctx, t, completion("[[sim "+c.words+"]] hello", c.stream))); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				synctest.Wait()
				r := w.Report()
				if r.Cancelled != 1 || r.Open != 0 || r.OpenStreams != 0 || len(r.Cancellations) != 1 {
					t.Fatalf("got %+v, want one cancellation and nothing open", r)
				}
				got := r.Cancellations[0]
				if !got.At.Equal(time.Now()) || got.AfterMS != float64(c.stay.Milliseconds()) || got.Streamed != c.stream || got.Chunks != c.chunks {
					t.Errorf("got %+v at %v, want it noticed at that instant after %d chunks", got, time.Now(), c.chunks)
				}
			})
		})
	}
}

func TestReportWaits(t *testing.T) {
	bubble(t, sim.Options{}, func(t *testing.T, w *world) {
		began := time.Now()
		done := make(chan answer, 1)
		go func() { done <- w.ask(t, "[[sim latency=3s]]", false) }()
		if got := w.control(t, "GET", "report?wait=1m&completed=1&open=0", "", 200); !strings.Contains(got, `"completed": 1`) {
			t.Errorf("got %s", got)
		}
		if got := time.Since(began); got != 3*time.Second {
			t.Errorf("it answered after %v, want when the call was complete, after 3s", got)
		}
		if w.control(t, "GET", "report?wait=7s&cancelled=1", "", 200); time.Since(began) != 10*time.Second {
			t.Errorf("it answered after %v, want when the wait was over, after 10s", time.Since(began))
		}
		<-done
	})
}
