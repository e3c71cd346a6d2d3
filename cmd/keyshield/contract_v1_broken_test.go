package main

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// v1Break is a stream that breaks, and the text that came before.
type v1Break struct{ words, text, code, message string }

func v1Breaks() []v1Break {
	const stopped, interrupted = "The AI provider stopped answering.", "upstream_interrupted"
	return []v1Break{
		{"fault=cut", "one two", interrupted, stopped},
		{"fault=cut at=-1", "", interrupted, stopped},
		{"fault=cut at=9999", "one two three", interrupted, stopped},
		{"fault=eof", "one two", interrupted, stopped},
		{"fault=eof at=-1", "", interrupted, stopped},
		{"fault=malformed", "one two", interrupted, stopped},
		{"fault=error_chunk", "one two", interrupted, stopped},
		{"fault=error_chunk at=-1", "", interrupted, stopped},
		{"fault=error_chunk leak=error", "one two", interrupted, stopped},
		{"fault=error_event", "one two", interrupted, stopped},
		{"fault=error_event at=-1 leak=error", "", interrupted, stopped},
		{"fault=endless_line amount=64MiB", "one two", interrupted, stopped},
		{"fault=endless_comments amount=4MiB", "one two", interrupted, stopped},
		{"fault=giant amount=64MiB", "one two", interrupted, stopped},
		{"fault=hang_mid", "one two", interrupted, stopped},
		{"fault=hang_mid at=-1", "", interrupted, stopped},
		{"leak=whole", "one", "internal", issue},
		{"leak=fields", "", "internal", issue},
	}
}

// TestABrokenStreamOfV1EndsInOneErrorFrame of the shape that makes the SDKs raise,
// never with a silent end, which they take for success.
func TestABrokenStreamOfV1EndsInOneErrorFrame(t *testing.T) {
	t.Parallel()
	r := startV1(t, "STREAM_IDLE_TIMEOUT=1s", "STREAM_MAX=5s")
	breaks := append(v1Breaks(), v1Break{"fault=failed", "one two", "upstream_interrupted", "The AI provider stopped answering."},
		v1Break{"fault=failed leak=error", "one two", "upstream_interrupted", "The AI provider stopped answering."},
		v1Break{"fault=no_done", "one two three", "upstream_interrupted", "The AI provider stopped answering."})
	for _, c := range breaks {
		t.Run(c.words, func(t *testing.T) {
			t.Parallel()
			for _, w := range ways()[:2] {
				if w.name == "chat" && (strings.Contains(c.words, "failed") || strings.Contains(c.words, "no_done")) {
					continue // there is no such event; a finish says that all was said
				}
				got := r.in(t).post(w.path, w.body(`[[sim text="one two three" `+c.words+`]]`, streaming))
				got.wants200(t, eventForm)
				w.wantsBroken(t, got, c)
			}
		})
	}
}

func (w way) wantsBroken(t *testing.T, got reply, want v1Break) {
	t.Helper()
	all := got.frames(t)
	if len(all) == 0 {
		t.Fatalf("%s: an empty stream", w.name)
	}
	if text := spoken(t, all); text != want.text {
		t.Errorf("%s: got the text %q, want %q", w.name, text, want.text)
	}
	inner := jsonObject{"message": want.message, "type": "server_error", "param": nil, "code": want.code}
	last, frame := all[len(all)-1], jsonObject{"error": inner}
	name := ""
	if w.name == "responses" {
		name = "error"
		frame = jsonObject{"type": "error", "sequence_number": float64(len(all) - 1), "code": want.code, "message": want.message, "param": nil, "error": inner}
	}
	said := object(t, last.data)
	if !strings.HasPrefix(want.words, "fault=failed") && want.code != "internal" && !strings.Contains(want.words, "at=-1") {
		// Of these an event of the provider's was counted, and not passed on.
		if diff := cmp.Diff(frame, said); diff != "" || last.name != name {
			t.Errorf("%s: the last event, named %q (-want +got):\n%s", w.name, last.name, diff)
		}
	} else if diff := cmp.Diff(without(frame, "sequence_number"), without(said, "sequence_number")); diff != "" || last.name != name {
		t.Errorf("%s: the last event, named %q (-want +got):\n%s", w.name, last.name, diff)
	}
	for _, word := range []string{`"error":{`, "[DONE]", "response.completed", "response.failed"} {
		if n := strings.Count(got.body, word); word == `"error":{` && n != 1 || word != `"error":{` && n != 0 {
			t.Errorf("%s: %d times %s:\n%s", w.name, n, word, got.body)
		}
	}
	for _, word := range []string{"org-simulated", "Incorrect", canary[:10], "help center", "req_"} {
		if strings.Contains(got.body, word) {
			t.Errorf("%s: the provider's %q is in the answer:\n%s", w.name, word, got.body)
		}
	}
}

// TestANeverEndingStreamOfV1Ends at STREAM_MAX, and its connection to OpenAI too.
func TestANeverEndingStreamOfV1Ends(t *testing.T) {
	t.Parallel()
	r := startV1(t, "STREAM_MAX=1s")
	for _, w := range ways()[:2] {
		got := r.post(w.path, w.body("[[sim fault=never_ending pace=20ms]]", streaming))
		got.wants200(t, eventForm)
		all := got.frames(t)
		if spoken(t, all) == "" || !strings.Contains(all[len(all)-1].data, "upstream_interrupted") {
			t.Errorf("%s: an endless stream came to\n%s", w.name, got.body)
		}
	}
	r.calm()
}

// TestWhoLeavesEndsTheCall to OpenAI, in both modes, before the first word too.
func TestWhoLeavesEndsTheCall(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	for _, w := range ways()[:2] {
		resp, err := r.web.Do(r.request(w.path, w.body("[[sim fault=hang_mid]] hi", streaming)))
		if err != nil {
			t.Fatal(err)
		}
		readUntil(resp.Body, "\n\n")
		resp.Body.Close()
		if left := r.calm(); left.Cancelled == 0 {
			t.Errorf("%s: the call went on", w.name)
		}
	}
	for _, more := range []string{`"stream":false`, streaming} {
		for _, w := range ways()[:2] {
			before := r.sim.Report().Cancelled
			ctx, leave := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if resp, err := r.web.Do(r.request(w.path, w.body("[[sim fault=hang_before]] hi", more)).WithContext(ctx)); err == nil {
					resp.Body.Close()
				}
			}()
			soon(t, "the call", func() bool { return r.sim.Report().Open == 1 })
			leave()
			<-ended
			if left := r.calm(); left.Cancelled != before+1 {
				t.Errorf("%s, %s: the call went on", w.name, more)
			}
		}
	}
}
