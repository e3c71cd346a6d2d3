package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// TestWhoHangsUpOnV1IsNotPaidFor: clients that leave an SDK's call or a hook's have it
// cancelled within 100 ms, before the first word and after it. It runs alone, for it
// measures time; those that were slow because the machine was have two more tries.
func TestWhoHangsUpOnV1IsNotPaidFor(t *testing.T) {
	r := hastyV1(t, "UPSTREAM_TIMEOUT=30s", "STREAM_IDLE_TIMEOUT=30s", "STREAM_MAX=1m")
	left := 0
	for _, a := range v1Asks() {
		faults := []string{"fault=hang_before", "latency=30s"}
		switch {
		case a.stream:
			faults = append(faults, "fault=hang_mid", "chunks=20 pace=1s", "fault=never_ending pace=2ms", "fault=hang_mid at=-1")
		case a.words:
			faults = append(faults, "fault=hang_mid", "fault=never_ending")
		}
		for _, fault := range faults {
			slowest := time.Duration(0)
			for range 3 {
				slowest = 0
				for range 4 {
					left++
					end := []func(net.Conn){func(c net.Conn) { c.Close() }, reset, halfClose}[left%3]
					word := a.stream && strings.HasPrefix(fault, "fault=") && !strings.Contains(fault, "at=-1") && !strings.Contains(fault, "before")
					slowest = max(slowest, r.leaveV1(t, a, fault, fmt.Sprint("left-", left), word, end))
				}
				if slowest <= patience {
					break
				}
			}
			if slowest > patience {
				t.Errorf("%s, with %s: of four that left, one call was cancelled after %v; want %v", a.name, fault, slowest, patience)
			}
		}
	}
	if report := r.calm(); report.Cancelled != int64(left) || report.Completed != 0 {
		t.Errorf("%d of %d calls were cancelled, %d completed", report.Cancelled, left, report.Completed)
	}
	if !eventually(t, 5*time.Second, func() bool { return r.logged(499, "client_gone", "INFO") >= left }) {
		t.Errorf("%d of %d hang-ups are logged as 499; as 500 %d", r.logged(499, "client_gone", "INFO"), left, r.logged(500, "internal", "ERROR"))
	}
}

// leaveV1 is one client that leaves, after the first word if there is to be one; it
// returns how long OpenAI was not told.
func (r *rig) leaveV1(t *testing.T, a v1Ask, fault, tag string, word bool, end func(net.Conn)) time.Duration {
	t.Helper()
	body := a.body("[[sim tag=" + tag + " " + fault + "]] hello")
	c := r.connect()
	defer c.Close()
	open := r.sim.Report().Open
	fmt.Fprintf(c, "%s\r\n%s", r.head(a.path, fmt.Sprintf("Content-Length: %d", len(body))), body)
	r.await(t, "the call", func(report sim.Report) bool { return report.Open > open })
	for heard, some := "", make([]byte, 512); word && !strings.Contains(heard, "Hello"); {
		n, err := c.Read(some)
		if heard += string(some[:n]); err != nil {
			t.Fatalf("%s, %s: no word came: %v, %q", a.name, fault, err, heard)
		}
	}
	at := time.Now()
	end(c)
	var heard time.Time
	r.await(t, "the cancellation of "+tag, func(report sim.Report) bool {
		for _, cancelled := range report.Cancellations {
			if cancelled.Tag == tag {
				heard = cancelled.At
			}
		}
		return !heard.IsZero()
	})
	return heard.Sub(at)
}

// aliveDuring is liveDuring for what lasts: it looks less often.
func aliveDuring(do func()) int64 { return liveEach(40*time.Millisecond, do) }

// TestAFloodFromOpenAICostsNoMemoryOnV1: of a line, a body or comments of 256 MiB no
// more is kept than what an answer may have. It runs alone, for it measures the
// process.
func TestAFloodFromOpenAICostsNoMemoryOnV1(t *testing.T) {
	r := hastyV1(t, "UPSTREAM_TIMEOUT=20s", "STREAM_IDLE_TIMEOUT=20s", "STREAM_MAX=20s")
	for _, w := range ways() {
		for _, stream := range []bool{true, false} {
			if stream && !w.streams {
				continue
			}
			for _, words := range []string{"fault=endless_line", "fault=endless_comments", "fault=giant"} {
				if words != "fault=giant" && (!stream || w.name != "chat") || words == "fault=giant" && !stream && w.name == "chat" {
					continue // the reading is the same everywhere; the bound is not
				}
				most := int64(64 << 20)
				if w.name == "embeddings" {
					most = 160 << 20 // 48 MiB of vectors are an answer
				}
				body, want := w.body("[[sim "+words+"]] hi"), "502 upstream_error"
				if stream {
					body, want = w.body("[[sim "+words+"]] hi", streaming), "200 then upstream_interrupted"
				}
				end := ""
				live := aliveDuring(func() { end = r.endOf(t, w.name, r.post(w.path, body), stream) })
				if end != want || live > most {
					t.Errorf("%s, streamed %v, %s: %s with %d MiB more alive; want %s with less than %d", w.name, stream, words, end, live>>20, want, most>>20)
				}
			}
		}
	}
	r.calm()
}

// TestAnAnswerOfManyVectorsIsOne: 6 MiB of them pass whole.
func TestAnAnswerOfManyVectorsIsOne(t *testing.T) {
	t.Parallel()
	r := hastyV1(t, "UPSTREAM_TIMEOUT=20s")
	w := wayTo("embeddings")
	many := `["hi"` + strings.Repeat(`,"x"`, 999) + `]`
	got := r.post(w.path, `{"model":"text-embedding-3-small","encoding_format":"base64","input":`+many+`}`)
	if got.status != 200 || len(got.body) < 6<<20 || got.err != nil {
		t.Errorf("6 MiB of vectors: %d, %d bytes, %v", got.status, len(got.body), got.err)
	}
}

// TestSoakManyLargeAnswersAtOnceAreBounded: vectors cost almost nothing to ask for, and
// many who ask for the most there is must not take all memory.
func TestSoakManyLargeAnswersAtOnceAreBounded(t *testing.T) {
	soak(t)
	r := hastyV1(t, "UPSTREAM_TIMEOUT=30s")
	w := wayTo("embeddings")
	var tries []func()
	for range 12 {
		tries = append(tries, func() {
			resp, err := r.web.Do(r.request(w.path, w.body("[[sim fault=giant amount=40MiB]] hi", `"encoding_format":"base64"`)))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil && resp.StatusCode == 200 {
				t.Error(err)
			}
		})
	}
	const most = 256 << 20
	if live := aliveDuring(func() { atOnce(tries...) }); live > most {
		t.Errorf("twelve answers of 40 MiB keep %d MiB alive; want less than %d: a machine of 512 MiB must outlive them", live>>20, most>>20)
	}
	r.calm()
}

// TestASlowReaderCostsLittle: a client that reads nothing holds OpenAI back, and takes
// no memory for what it does not read; its call ends with the stream's time.
func TestASlowReaderCostsLittle(t *testing.T) {
	r := hastyV1(t, "STREAM_MAX=2s")
	for _, a := range v1Asks() {
		if !a.stream {
			continue
		}
		body := a.body("[[sim fault=giant amount=700KiB bytes=400 size=8000]] hi")
		if !strings.HasPrefix(a.path, "/v1/") {
			body = a.body("[[sim fault=never_ending pace=1ms]] hi")
		}
		live := aliveDuring(func() {
			var idle []net.Conn
			for range 8 {
				c := r.connect()
				c.(*wiretap).Conn.(*net.TCPConn).SetReadBuffer(4096)
				fmt.Fprintf(c, "%s\r\n%s", r.head(a.path, fmt.Sprintf("Content-Length: %d", len(body))), body)
				idle = append(idle, c)
			}
			r.calm() // within STREAM_MAX
			for _, c := range idle {
				c.Close()
			}
		})
		if live > 64<<20 {
			t.Errorf("%s: eight slow readers keep %d MiB alive", a.name, live>>20)
		}
	}
}

// dripping is an OpenAI that sends head, and then n times the same events.
func dripping(t *testing.T, head, more string, n int) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, head)
		for range n {
			if _, err := io.WriteString(w, more); err != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestWhatIsHeldBackIsBounded: after the beginning of our key, events that add no text
// may follow without end.
func TestWhatIsHeldBackIsBounded(t *testing.T) {
	const most = 8 << 20
	chunk := func(text string) string {
		return `data: {"id":"x","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}` + "\n\n"
	}
	delta := func(text string) string {
		return `data: {"type":"response.output_text.delta","sequence_number":1,"delta":"` + text + `"}` + "\n\n"
	}
	pad := strings.Repeat("p", 2000)
	for what, c := range map[string]struct{ path, body, head, more string }{
		"empty chunks":  {"/v1/chat/completions", wayTo("chat").body("hi", streaming), chunk(canary[:12]), strings.Repeat(strings.Replace(chunk(""), `"x"`, `"`+pad+`"`, 1), 50)},
		"other events":  {"/v1/responses", wayTo("responses").body("hi", streaming), delta(canary[:12]), strings.Repeat(`data: {"type":"response.in_progress","sequence_number":2,"x":"`+pad+`"}`+"\n\n", 50)},
		"the beginning": {"/v1/chat/completions", wayTo("chat").body("hi", streaming), chunk(canary[:12]), strings.Repeat(strings.Replace(chunk(canary[:12]), `"x"`, `"`+pad+`"`, 1), 50)},
	} {
		r := startBefore(t, dripping(t, c.head, c.more, 120), "ENDPOINTS=chat,responses", "LOG_LEVEL=debug") // 12 MB
		began := time.Now()
		live := aliveDuring(func() {
			resp, err := r.web.Do(r.request(c.path, c.body))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			seen, all := "", make([]byte, 32<<10)
			for {
				n, err := resp.Body.Read(all)
				if seen += string(all[:n]); len(seen) > 4096 {
					seen = seen[len(seen)-4096:]
				}
				if err != nil {
					break
				}
			}
			if !strings.Contains(seen, `"error":{`) {
				t.Errorf("%s: the stream broke, and does not say so: %.300q", what, seen)
			}
		})
		if took := time.Since(began); live > most || took > 2*slack {
			t.Errorf("%s: %d MiB more are alive, after %v; want less than %d", what, live>>20, took, most>>20)
		}
	}
}

// TestPiecesThatAClientPutsTogetherAreSearchedTogether: the arguments of two calls may
// come in turns, and each client joins those of one.
func TestPiecesThatAClientPutsTogetherAreSearchedTogether(t *testing.T) {
	t.Parallel()
	call := func(n int, piece string) string {
		return fmt.Sprintf(`data: {"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"function":{"arguments":%q}}]},"finish_reason":null}]}`+"\n\n", n, piece)
	}
	delta := func(n int, piece string) string {
		return fmt.Sprintf(`data: {"type":"response.function_call_arguments.delta","sequence_number":1,"output_index":%d,"item_id":"fc_%d","delta":%q}`+"\n\n", n, n, piece)
	}
	for path, write := range map[string]func(int, string) string{"/v1/chat/completions": call, "/v1/responses": delta} {
		var turns strings.Builder
		for i := 0; i < len(canary); i += 9 {
			turns.WriteString(write(0, canary[i:min(i+9, len(canary))]) + write(1, "{}"))
		}
		w := wayTo(map[bool]string{true: "chat", false: "responses"}[strings.Contains(path, "chat")])
		r := startBefore(t, dripping(t, turns.String(), "", 0), "ENDPOINTS=chat,responses")
		got := r.post(path, w.body("hi", streaming))
		joined := ""
		all, _, _ := events(strings.NewReader(got.body)) // the end is not what this is about
		for _, e := range all {
			if strings.Contains(e.data, `"index":0,"function"`) || strings.Contains(e.data, `"output_index":0`) {
				joined += generatedIn([]event{e})
			}
		}
		if strings.Contains(joined, canary) {
			t.Errorf("%s: the key passed, in turns with another call's arguments", path)
		}
	}
}
