package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/wire"
)

// inChunks and inEvents are what is heard of documents, one after the other.
func inChunks(t *testing.T, deltas ...string) *listener {
	t.Helper()
	l := new(listener)
	for _, delta := range deltas {
		if _, err := wire.HearChunk([]byte(`{"choices":[{"index":0,"delta":`+delta+`}]}`), l.hear); err != nil {
			t.Fatalf("%s: %v", delta, err)
		}
	}
	return l
}

func inEvents(t *testing.T, events ...string) *listener {
	t.Helper()
	l := new(listener)
	for _, event := range events {
		if _, err := wire.HearResponseEvent([]byte(event), l.hear); err != nil {
			t.Fatalf("%s: %v", event, err)
		}
	}
	return l
}

// A client joins the arguments of each call by itself, so a secret in one of them was
// missed when two calls came in turns.
func TestCallsThatComeInTurnsAreVoicesOfTheirOwn(t *testing.T) {
	for name, tt := range map[string]struct {
		deltas []string
		want   []string
	}{
		"in turns": {[]string{
			`{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}},{"index":1,"id":"b","function":{"name":"g"}}]}`,
			`{"tool_calls":[{"index":0,"function":{"arguments":"test-"}},{"index":1,"function":{"arguments":"key"}}]}`,
			`{"tool_calls":[{"index":1,"function":{"arguments":"s-"}},{"index":0,"function":{"arguments":"key-1"}}]}`,
		}, []string{"ftest-key-1", "gkeys-"}},
		"the index comes last": {[]string{
			`{"tool_calls":[{"function":{"arguments":"a"},"x":{"index":1,"y":["index"]},"index":7},{"custom":{"input":"b"},"index":8}]}`,
			`{"tool_calls":[{"index":8,"custom":{"input":"c"}},{"id":"\u0069","\u0069ndex":7,"function":{"arguments":"d"}}]}`,
		}, []string{"aindexd", "bc"}},
		"the place counts where there is no index": {[]string{
			`{"tool_calls":[{"index":null,"function":{"arguments":"a"}},{"function":{"arguments":"b"},"index":null},{"custom":{"input":"c"}}]}`,
			`{"tool_calls":[{"index":2,"function":{"arguments":"d"}},{"index":0,"function":{"arguments":"e"}},{"index":1,"function":{"arguments":"f"}}]}`,
		}, []string{"ae", "bf", "cd"}},
		"words beside calls": {[]string{
			`{"content":"a","refusal":"b","reasoning":"c","reasoning_content":"d","reasoning_details":[{"text":"e","id":"no"}],"function_call":{"name":"f"},"audio":{"transcript":"g"},"tool_calls":[{"function":{"name":"h"}}]}`,
			`{"tool_calls":[{"function":{"arguments":"H"}}],"audio":{"transcript":"G"},"function_call":{"arguments":"F"},"reasoning_details":[{"type":"no","text":"E"}],"reasoning_content":"D","reasoning":"C","refusal":"B","content":"A"}`,
		}, []string{"aA", "bB", "cC", "dD", "eE", "fF", "gG", "hH"}},
	} {
		l := inChunks(t, tt.deltas...)
		if diff := cmp.Diff(tt.want, l.said()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		for _, h := range l.heard {
			if most := 512 + 1000; h.Voice >= most {
				t.Errorf("%s: voice %d, and %d is promised to be more than all", name, h.Voice, most)
			}
		}
	}
	if l := inChunks(t, `{"content":"a"}`); l.heard[0] != (heard{"a", 0}) {
		t.Errorf("%v: the answer itself is no voice 0", l.heard)
	}
}

func TestTextsOfAResponseThatComeInTurnsAreVoicesOfTheirOwn(t *testing.T) {
	types := []string{"output_text", "refusal", "reasoning_text", "reasoning_summary_text", "function_call_arguments", "custom_tool_call_input", "audio", "audio.transcript", "mcp_call_arguments", "of_next_year"}
	indices := []string{``, `"output_index":1,`, `"content_index":1,`, `"summary_index":2,`, `"output_index":1,"content_index":1,`, `"output_index":999,"content_index":999,`}
	var first, second, want []string
	for _, kind := range types {
		kind = `"type":"response.` + kind + `.delta"`
		for _, at := range indices {
			first = append(first, `{`+kind+`,`+at+`"item_id":"x","delta":"a"}`)
			second = append([]string{`{"delta":["b",{"c":"d"}],` + at + kind + `}`}, second...)
			want = append(want, "abd")
		}
	}
	l := inEvents(t, append(first, second...)...)
	if diff := cmp.Diff(want, l.said()); diff != "" {
		t.Error(diff)
	}
	for _, h := range l.heard {
		if most := 512 * 1000 * 1000; h.Voice >= most {
			t.Errorf("voice %d, and %d is promised to be more than all", h.Voice, most)
		}
	}
	zero := inEvents(t, `{"type":"x","delta":"a"}`, `{"type":"x","delta":"b","output_index":0,"content_index":0,"summary_index":null}`)
	if diff := cmp.Diff([]string{"ab"}, zero.said()); diff != "" {
		t.Errorf("no index is not the first:\n%s", diff)
	}
}

// A key written with an escape in a member's name once passed the relay: the name was
// not heard, and not to be found in the bytes.
func TestEscapedNamesAreHeard(t *testing.T) {
	members := []string{`"\u0074est-key":1`, `"x":{"\u0074est-key":[]}`, `"x":[[{"a":{},"\u0074est-key":{}}]]`, `"\u0074est-key":{"a":{"b":"c"}}`}
	for name, read := range map[string]func(doc []byte, hear wire.Hear) error{
		"answer":      func(b []byte, h wire.Hear) error { _, err := wire.HearAnswer(b, h); return err },
		"chunk":       func(b []byte, h wire.Hear) error { _, err := wire.HearChunk(b, h); return err },
		"event":       func(b []byte, h wire.Hear) error { _, err := wire.HearResponseEvent(b, h); return err },
		"response":    func(b []byte, h wire.Hear) error { _, err := wire.HearResponse(b, h); return err },
		"embeddings":  func(b []byte, h wire.Hear) error { _, err := wire.HearEmbeddings(b, h); return err },
		"moderations": func(b []byte, h wire.Hear) error { _, err := wire.HearModerations(b, h); return err },
	} {
		frame := least()[name] + `,%}`
		frames := []string{frame}
		switch name { // where we read, too
		case "answer", "chunk":
			frames = append(frames, strings.Replace(frame, `{}}]`, `{%}}]`, 1), strings.Replace(frame, `{}}]`, `{"tool_calls":[{%,"index":1}]}}]`, 1), strings.Replace(frame, `{}}]`, `{}, %}]`, 1), frame[:len(frame)-2]+`"usage":{%}}`)
		case "event":
			frames = append(frames, strings.Replace(frame, `{}`, `{%}`, 1), `{"type":"x","delta":{%}}`)
		case "response":
			frames = append(frames, strings.Replace(frame, `[]`, `[{%}]`, 1), frame[:len(frame)-2]+`"incomplete_details":{%}}`)
		case "embeddings":
			frames = append(frames, strings.Replace(frame, `[0]`, `[0],%`, 1))
		case "moderations":
			frames = append(frames, strings.Replace(frame, `{}`, `{%}`, 1))
		}
		for _, frame := range frames {
			for _, member := range members {
				doc := strings.Replace(strings.Replace(frame, "%", member, 1), ",%", "", 1)
				var l listener
				err := read([]byte(doc), l.hear)
				n := 0
				for _, h := range l.heard {
					if h == (heard{"test-key", wire.NotGenerated}) {
						n++
					}
				}
				if n != 1 || err != nil {
					t.Errorf("%s: %s: %v, heard %v", name, doc, err, l.heard)
				}
			}
		}
	}
	l := inEvents(t, `{"\u0074ype":"x"}`) // a name that is ours
	if diff := cmp.Diff([]heard{{"type", wire.NotGenerated}, {"x", wire.NotGenerated}}, l.heard); diff != "" {
		t.Error(diff)
	}
}

// Who counts voices must not be made to count without an end.
func TestIndicesOutOfBoundsAreRefused(t *testing.T) {
	deaf := func(wire.Literal, int) {}
	for _, index := range []string{`1000`, `-1`, `1.5`, `1e2`, `"1"`, `18446744073709551616`, `{}`} {
		for _, delta := range []string{
			`{"tool_calls":[{"index":` + index + `,"function":{"arguments":"a"}}]}`,
			`{"tool_calls":[{"function":{"arguments":"a"},"index":` + index + `}]}`,
		} {
			if _, err := wire.HearChunk([]byte(`{"choices":[{"delta":`+delta+`}]}`), deaf); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("%s: %v, want ErrMalformed", delta, err)
			}
		}
		for _, name := range []string{"output_index", "content_index", "summary_index"} {
			for _, event := range []string{`{"type":"x","` + name + `":` + index + `,"delta":"a"}`, `{"delta":["a"],"` + name + `":` + index + `,"type":"x"}`} {
				if _, err := wire.HearResponseEvent([]byte(event), deaf); !errors.Is(err, wire.ErrMalformed) {
					t.Errorf("%s: %v, want ErrMalformed", event, err)
				}
			}
		}
	}
	many := `{"choices":[{"delta":{"tool_calls":[` + strings.Repeat(`{"id":"x"},`, 1000) + `{"id":"x"}]}}]}`
	for _, doc := range []string{
		many, `{"choices":[{"delta":{"tool_calls":{}}}]}`, `{"choices":[{"delta":{"tool_calls":[[]]}}]}`,
		`{"choices":[{"delta":{"tool_calls":[],"tool_calls":[]}}]}`, `{"choices":[{"delta":{"tool_calls":[{"index":0,"index":0}]}}]}`,
	} {
		if _, err := wire.HearChunk([]byte(doc), deaf); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%.100s: %v, want ErrMalformed", doc, err)
		}
	}
}
