package server

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/wire"
)

const (
	uiStart = `data: {"type":"start","messageId":"ID"}` + "\n\n" +
		`data: {"type":"start-step"}` + "\n\n" +
		`data: {"type":"text-start","id":"0"}` + "\n\n"
	uiStop = `data: {"type":"text-end","id":"0"}` + "\n\n" +
		`data: {"type":"finish-step"}` + "\n\n" +
		`data: {"type":"finish","finishReason":"stop"}` + "\n\n" +
		"data: [DONE]\n\n"
	uiError = `data: {"type":"error","errorText":"It \"broke\"."}` + "\n\n" +
		"data: [DONE]\n\n"
)

func uiDelta(literal string) string {
	return `data: {"type":"text-delta","id":"0","delta":` + literal + "}\n\n"
}

var uiBroke = apierr.New(502, "upstream_interrupted", `It "broke".`)

func TestUIMessageStreamsAreOfTheFramesThatClientsKnow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do     func(s *uiSink)
		want   string
		framed bool
	}{
		"complete": {func(s *uiSink) {
			s.open(nil)
			s.say([]byte("a\"b\n"), nil)
			s.flush()
			s.say(nil, wire.Literal(`"\u00e9 </script>"`)) // as OpenAI wrote it
			s.done("stop")
		}, opening + uiStart + uiDelta(`"a\"b\n"`) + uiDelta(`"\u00e9 </script>"`) + uiStop, true},
		"cut by its limit": {func(s *uiSink) {
			s.open(nil)
			s.say([]byte("a"), nil)
			s.done("length")
		}, opening + uiStart + uiDelta(`"a"`) + strings.Replace(uiStop, "stop", "length", 1), true},
		"filtered": {func(s *uiSink) {
			s.open(nil)
			s.say([]byte("a"), nil)
			s.done("content_filter")
		}, opening + uiStart + uiDelta(`"a"`) + strings.Replace(uiStop, "stop", "content-filter", 1), true},
		"ended by what the schema has no word for": {func(s *uiSink) {
			s.open(nil)
			s.say([]byte("a"), nil)
			s.done("brand_new")
		}, opening + uiStart + uiDelta(`"a"`) + strings.Replace(uiStop, "stop", "other", 1), true},
		"empty":              {func(s *uiSink) { s.open(nil); s.done("stop") }, opening + uiStart + uiStop, true},
		"broken":             {func(s *uiSink) { s.open(nil); s.say([]byte("a"), nil); s.fail(uiBroke) }, opening + uiStart + uiDelta(`"a"`) + uiError, true},
		"broken at once":     {func(s *uiSink) { s.open(nil); s.fail(uiBroke) }, opening + uiError, true},
		"refused":            {func(s *uiSink) { s.fail(uiBroke) }, "", false}, // it still gets its status
		"given up":           {func(s *uiSink) { s.open(nil); s.close() }, opening, false},
		"given up in a word": {func(s *uiSink) { s.open(nil); s.say([]byte("a"), nil); s.flush(); s.close() }, opening + uiStart + uiDelta(`"a"`), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, w := newHeard()
				s := newUISink(w, "ID")
				defer s.close()
				tt.do(s)
				if !tt.framed {
					s.close() // as stream does; nothing may follow, an hour later
				}
				time.Sleep(time.Hour)
				h.wants(t, "an hour later", tt.want)
				if w.framed != tt.framed {
					t.Errorf("framed is %t: only a stream that said how it ended may end cleanly", w.framed)
				}
			})
		})
	}
}

// TestAUIMessageStreamSaysWhatItIs only when it is one: a refusal is JSON.
func TestAUIMessageStreamSaysWhatItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := newHeard()
		s := newUISink(w, "ID")
		defer s.close()
		const mark = "X-Vercel-Ai-Ui-Message-Stream"
		if _, there := h.Header()[mark]; there {
			t.Errorf("%s is set before the stream opens: a refusal would carry it", mark)
		}
		s.open(nil)
		want := http.Header{
			"Content-Type":      {"text/event-stream; charset=utf-8"},
			"Cache-Control":     {"no-cache, no-transform"},
			"X-Accel-Buffering": {"no"},
			mark:                {"v1"},
		}
		for name, values := range want {
			if got := h.Header().Get(name); got != values[0] {
				t.Errorf("%s is %q, want %q", name, got, values[0])
			}
		}
	})
}

// TestOnlyUIMessageStreamsSayThatTheyAre: the text API's events are others.
func TestOnlyUIMessageStreamsSayThatTheyAre(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := newHeard()
		s := newEventSink(w, "ID")
		defer s.close()
		s.open(nil)
		if got := h.Header().Get("X-Vercel-Ai-Ui-Message-Stream"); got != "" {
			t.Errorf("an event stream of the text API says %q", got)
		}
	})
}

// TestAUIMessageStreamIsKeptOpenByComments, before the first word and between two:
// a message begins with its first word.
func TestAUIMessageStreamIsKeptOpenByComments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := newHeard()
		s := newUISink(w, "ID")
		defer s.close()
		time.Sleep(10 * time.Second)
		h.wants(t, "after 10 s", opening)
		time.Sleep(15 * time.Second)
		h.wants(t, "after 10 + 15 s", opening+ping)
		s.open(nil)
		s.say([]byte("a"), nil)
		s.flush()
		want := opening + ping + uiStart + uiDelta(`"a"`)
		h.wants(t, "at the first word", want)
		time.Sleep(15 * time.Second)
		h.wants(t, "15 s after a word", want+ping)
		s.done("stop")
		h.wants(t, "at its end", want+ping+uiStop)
	})
}
