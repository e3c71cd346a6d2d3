package main

import (
	"bufio"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPercentilesAreNearestRank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Microsecond // not in order
	}
	for _, c := range []struct {
		name     string
		all      []time.Duration
		p50, p99 float64
	}{
		{"none", nil, 0, 0},
		{"one", []time.Duration{7 * time.Microsecond}, 7, 7},
		{"two", []time.Duration{9 * time.Microsecond, 3 * time.Microsecond}, 3, 9},
		{"hundred", hundred, 50, 99},
	} {
		if p50, p99 := percentiles(c.all); p50 != c.p50 || p99 != c.p99 {
			t.Errorf("%s: got p50 %v and p99 %v, want %v and %v", c.name, p50, p99, c.p50, c.p99)
		}
	}
}

func TestMedianOfEachFigureThatEveryRoundHas(t *testing.T) {
	got := medians([]map[string]float64{
		{"cpu": 80, "p50": 4, "once": 1},
		{"cpu": 500, "p50": 2},
		{"cpu": 78, "p50": 3},
	})
	if diff := cmp.Diff(map[string]float64{"cpu": 80, "p50": 3}, got); diff != "" {
		t.Error("one bad round must not move it:", diff)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("of an even number: got %v, want 2.5", got)
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("of nothing: got %v; it must not pass for a measurement", got)
	}
}

func TestRatioIsOursByTheirs(t *testing.T) {
	got := ratios(map[string]float64{"cpu": 60, "errors": 0, "ours": 1}, map[string]float64{"cpu": 80, "errors": 0, "theirs": 1})
	if diff := cmp.Diff(map[string]float64{"cpu": 0.75}, got); diff != "" {
		t.Error(diff)
	}
}

// TestErrorsOfAnyRoundShow: a median of the errors would hide a bad round.
func TestErrorsOfAnyRoundShow(t *testing.T) {
	chosen, err := choose(scenarios(true), "streams-300")
	if err != nil {
		t.Fatal(err)
	}
	s := chosen[0]
	o := newOutcome(s)
	for _, c := range o.Targets {
		for range 3 {
			c.add(&result{Figures: map[string]float64{"delay_p50": 100, "errors": 0}})
		}
	}
	theirs, ours := o.Targets[1], o.Targets[len(o.Targets)-1]
	theirs.Rounds[0].fail(io.ErrClosedPipe)
	ours.Rounds[1].fail(io.ErrUnexpectedEOF)
	for _, r := range ours.Rounds {
		r.Figures["delay_p50"] = 130
	}
	o.conclude()
	if got := ours.Median["errors"]; got != 1 {
		t.Errorf("got %v errors, want 1", got)
	}
	if got := (&report{Scenarios: []*outcome{o}}).errors(); got != 1 {
		t.Errorf("the run has %d errors, want 1: its exit code depends on ours, and not on the reverse proxy's", got)
	}
	if got := ours.Median["added_p50"]; got != 30 {
		t.Errorf("added delay %v, want 30: what the simulator takes by itself is not ours", got)
	}
	var table strings.Builder
	o.print(&table)
	for _, want := range []string{"CPU of the proxy per chunk", "≤ 1.00", io.ErrUnexpectedEOF.Error(), io.ErrClosedPipe.Error()} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}

func TestStatIsReadPastAnyName(t *testing.T) {
	stat := "4242 (evil) R 1 (2) S 1 4242 4242 0 -1 4194560 9 0 0 0 321 123 7 8 20 0 5 0 100 200 300 1\n"
	user, system, err := parseStat([]byte(stat))
	if err != nil || user != 3210*time.Millisecond || system != 1230*time.Millisecond {
		t.Errorf("got %v and %v (%v), want 3.21s and 1.23s", user, system, err)
	}
	for _, bad := range []string{"", "1 (a", "1 (a) R 1 2 3", "1 (a) R 1 1 1 0 -1 1 1 0 0 0 x 1 0 0 20"} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error; a wrong time would look like a measurement", bad)
		}
	}
}

func TestStatusIsReadInBytes(t *testing.T) {
	status := "Name:\tVmRSS: 1 kB\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t5\n"
	for name, want := range map[string]int64{"VmRSS": 10 << 20, "VmHWM": 20 << 20} {
		if got, err := parseStatus([]byte(status), name); err != nil || got != want {
			t.Errorf("%s: got %d (%v), want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"VmSwap", "Threads"} {
		if got, err := parseStatus([]byte(status), name); err == nil {
			t.Errorf("%s: got %d, want an error", name, got)
		}
	}
}

func TestUsageOfThisMachine(t *testing.T) {
	if got := modelName([]byte("processor\t: 0\nmodel name\t: A Fine Processor\n")); got != "A Fine Processor" {
		t.Errorf("got %q", got)
	}
	if cores(otherCores) < 1 || cores(proxyCore) < 1 {
		t.Errorf("%d cores for the proxy and %d for the rest: nothing could run", cores(proxyCore), cores(otherCores))
	}
}

func TestAmountsAreReadable(t *testing.T) {
	for want, got := range map[string]string{
		"11,769": amount(11_769.4, "/s"), "79.6 µs": amount(79.62, "us"), "14.3 ms": amount(14_312, "us"),
		"-771 µs": amount(-771.2, "us"), "0": amount(0, ""), "1,234,567": grouped(1234567), "-999": grouped(-999),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// served answers one request with bytes, as a broken or a good server would.
func served(t *testing.T, answer string) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	go func() {
		defer theirs.Close()
		bufio.NewReader(theirs).ReadString('?')
		io.WriteString(theirs, answer)
	}()
	return &client{conn: ours, r: bufio.NewReader(ours)}
}

func TestClientReadsEitherFraming(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\ncontent-length:5\r\nX: y\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
	} {
		c := served(t, answer)
		status, err := c.ask([]byte("?"))
		if err != nil || status != 200 {
			t.Errorf("%q: status %d, %v", answer, status, err)
			continue
		}
		if body, err := c.readAll(nil); err != nil || string(body) != "hello" {
			t.Errorf("%q: read %q, %v", answer, body, err)
		}
	}
}

// TestClientTakesNoBrokenAnswerForGood: what is not counted as an error is
// counted as an answer.
func TestClientTakesNoBrokenAnswerForGood(t *testing.T) {
	for _, answer := range []string{
		"", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		c := served(t, answer)
		_, err := c.ask([]byte("?"))
		if err == nil {
			_, err = c.readAll(nil)
		}
		if err == nil || err == io.EOF {
			t.Errorf("%q: %v, want an error", answer, err)
		}
	}
}

func TestStampSaysWhenAChunkWasSent(t *testing.T) {
	const marker = `{"delta":"`
	for line, want := range map[string]time.Time{
		`data: {"delta":"01781234567890123456"}`: time.Unix(0, 1781234567890123456),
		`data: {"delta":"` + placeholder + `"}`:  {}, // the simulator did not stamp it
		`data: {"delta":"0178123456789012345x"}`: {},
		`data: {"delta":"0178"}`:                 {},
		`event: done`:                            {},
	} {
		got, ok := stampIn([]byte(line), []byte(marker))
		if ok == want.IsZero() || ok && !got.Equal(want) {
			t.Errorf("%s: got %v, %v", line, got, ok)
		}
	}
}

// streamOf lets a window listen to what a stream says.
func streamOf(text string) (*window, error) {
	w := &window{load: &load{plan: &plan{Token: `{"delta":"`, End: "event: done", Chunks: 2}}, to: time.Now().Add(time.Hour)}
	return w, w.listen(bufio.NewReader(strings.NewReader(text)), time.Now(), &seen{})
}

func TestStreamMustBeWholeAndSaySo(t *testing.T) {
	chunk := "data: {\"delta\":\"01781234567890123456\"}\n\n"
	done := "event: done\ndata: {}\n\n"
	if w, err := streamOf(": open\n\n" + chunk + chunk + done); err != nil || w.open.Load() != 0 {
		t.Errorf("a good stream: %v, %d still open", err, w.open.Load())
	}
	for name, text := range map[string]string{
		"cut":             chunk + chunk,
		"a chunk missing": chunk + done,
		"one too many":    chunk + chunk + chunk + done,
		"empty":           "",
	} {
		if _, err := streamOf(text); err == nil {
			t.Errorf("%s: passed for a good stream", name)
		}
	}
}

// TestTheLedgerIsMeasuredByWhatItBooks runs the ledger's process on a real file:
// a few hundred pairs, all in the books and nothing else, and every figure of the
// table there.
func TestTheLedgerIsMeasuredByWhatItBooks(t *testing.T) {
	p := ledgerPlan{Dir: t.TempDir(), Pairs: 600}
	got, err := p.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Errors > 0 { // the disk is not ours alone, and -race is slow
		t.Logf("%d refused, the first with %q", got.Errors, got.First[0])
	}
	if got.Figures["pairs_per_s"] <= 0 || got.Figures["p99"] < got.Figures["p50"] || got.Figures["p50"] <= 0 {
		t.Errorf("measured %v", got.Figures)
	}
	chosen, err := choose(scenarios(true), "ledger")
	if err != nil {
		t.Fatal(err)
	}
	o := newOutcome(chosen[0])
	got.Figures["errors"] = 0
	o.Targets[0].add(got)
	o.conclude()
	var table strings.Builder
	o.print(&table)
	for _, want := range []string{"≤ 25 µs", "≥ 10,000", "< 25 ms", "256 clients, a reservation, p99"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}
