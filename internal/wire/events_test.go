package wire_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"keyshield/internal/wire"
)

// readAll returns each event as "name|data" and how the stream ended.
func readAll(r io.Reader) (got []string, err error) {
	events := wire.NewEvents(r)
	for {
		ev, err := events.Next()
		if err != nil {
			if _, again := events.Next(); again != err {
				return got, errors.New("another end at the second call")
			}
			return got, err
		}
		got = append(got, string(ev.Name)+"|"+string(ev.Data))
	}
}

func TestEventsAsTheStandardHasThem(t *testing.T) {
	for _, test := range []struct {
		stream string
		want   []string
		end    error
	}{
		{"", nil, io.EOF},
		{"data: a\n\ndata: b\n\n", []string{"|a", "|b"}, io.EOF},
		{"data: a\r\n\r\ndata: b\r\n\r\n", []string{"|a", "|b"}, io.EOF},
		{"data: a\r\rdata: b\r\r", []string{"|a", "|b"}, io.EOF},
		{"data: a\n\r\ndata: b\r\n\rdata: c\n\n", []string{"|a", "|b", "|c"}, io.EOF},
		{"\ufeffdata: a\n\n\ufeffdata: b\n\n", []string{"|a"}, io.EOF},
		{"data:a\n\ndata:  b\n\ndata: \n\ndata:\n\ndata\n\n", []string{"|a", "| b", "|", "|", "|"}, io.EOF},
		{"data: a\ndata:b\ndata\ndata: c\n\n", []string{"|a\nb\n\nc"}, io.EOF},
		{"data: a\n: between\nid: 7\ndata: b\n\n", []string{"|a\nb"}, io.EOF},
		{"event: x\ndata: a\n\ndata: b\n\n", []string{"x|a", "|b"}, io.EOF},
		{"data: a\nevent: x\nevent: y\n\n", []string{"y|a"}, io.EOF},
		{"event: x\n\ndata: a\n\n", []string{"|a"}, io.EOF},
		{": open\n\n\n\nid: 1\nretry: 5\nwhatever\n\ndata: a: b\n\n:\n\n", []string{"|a: b"}, io.EOF},
		{"Data: a\n data: b\ndatax: c\n\n", nil, io.EOF},
		{"data: a\x00\xff\n\n", []string{"|a\x00\xff"}, io.EOF},
		{"data: a", nil, io.ErrUnexpectedEOF},
		{"data: a\n", nil, io.ErrUnexpectedEOF},
		{"data: a\r", nil, io.ErrUnexpectedEOF},
		{"data: a\n\ndata: b\r\n", []string{"|a"}, io.ErrUnexpectedEOF},
		{"data: a\n\n: cut", []string{"|a"}, io.ErrUnexpectedEOF},
		{"data: a\n\nevent: x\n", []string{"|a"}, io.ErrUnexpectedEOF},
		{"data: a\n\n: whole\n", []string{"|a"}, io.EOF},
	} {
		for name, r := range map[string]io.Reader{
			"at once":      strings.NewReader(test.stream),
			"byte by byte": iotest.OneByteReader(strings.NewReader(test.stream)),
			"end with it":  iotest.DataErrReader(strings.NewReader(test.stream)),
		} {
			got, err := readAll(r)
			if diff := cmp.Diff(test.want, got); diff != "" || err != test.end {
				t.Errorf("%q %s: ended with %v, want %v\n%s", test.stream, name, err, test.end, diff)
			}
		}
	}
}

func TestLongStreamsAreCutShort(t *testing.T) {
	const limit = 1 << 20
	fits := "data: " + strings.Repeat("x", limit-len("data: \n"))
	for name, test := range map[string]struct {
		stream string
		events int
		end    error
	}{
		"a line that fits":        {fits + "\n\n", 1, io.EOF},
		"two that fit":            {fits + "\n\n" + fits + "\n\n", 2, io.EOF},
		"a line too long":         {fits + "x\n\n", 0, wire.ErrTooLong},
		"a comment too long":      {strings.Repeat(":", 2*limit), 0, wire.ErrTooLong},
		"many lines of one event": {strings.Repeat("data: 0123456789\n", limit/10), 0, wire.ErrTooLong},
		"many empty data lines":   {strings.Repeat("data\n", 2*limit), 0, wire.ErrTooLong},
		"comments without end":    {"data: a\n\n" + strings.Repeat(": still here\n\n", limit/10), 1, wire.ErrTooLong},
		"blank lines without end": {strings.Repeat("\n", limit+1), 0, wire.ErrTooLong},
		"fields nobody knows":     {"data: a\n" + strings.Repeat("id: 1\n", limit), 0, wire.ErrTooLong},
		"some between events":     {strings.Repeat(strings.Repeat(": still here\n\n", limit/100)+"data: a\n\n", 9), 9, io.EOF},
	} {
		for kind, r := range map[string]io.Reader{
			"at once":   strings.NewReader(test.stream),
			"in halves": iotest.HalfReader(strings.NewReader(test.stream)),
		} {
			got, err := readAll(r)
			if len(got) != test.events || err != test.end {
				t.Errorf("%s, %s: %d events, then %v; want %d, then %v", name, kind, len(got), err, test.events, test.end)
			}
		}
	}
}

func TestReadersFaultIsToldAfterWhatCameBefore(t *testing.T) {
	broken := errors.New("connection reset")
	got, err := readAll(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(broken)))
	if diff := cmp.Diff([]string{"|a"}, got); diff != "" || err != broken {
		t.Errorf("ended with %v\n%s", err, diff)
	}
	if _, err := readAll(silent{}); err != io.ErrNoProgress {
		t.Errorf("a reader that brings nothing: %v", err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// The relay flushes when nothing more is buffered: too early costs system calls,
// too late costs the client its word.
func TestBufferedMeansAWholeFurtherEvent(t *testing.T) {
	for stream, want := range map[string]bool{
		"": false, "d": false, "data: b": false, "data: b\n": false, "data: b\n\n": true, "data: b\r\r": true, "data: b\r\n\r\n": true,
		": ping\n\n": false, ": ping\n\ndata: b\n\n": true, "event: x\n\n": false, "event: x\ndata\n\n": true, "\n\n\n": false,
	} {
		events := wire.NewEvents(strings.NewReader("data: a\n\n" + stream))
		if events.Buffered() {
			t.Fatal("something is buffered before anything was read")
		}
		if _, err := events.Next(); err != nil {
			t.Fatal(err)
		}
		if got := events.Buffered(); got != want {
			t.Errorf("Buffered before %q = %v, want %v", stream, got, want)
		}
	}
}

// An event must be told when its last byte has come, not when more follows it.
func TestEventsAreNotHeldBack(t *testing.T) {
	for _, stream := range []string{"data: a\n\n", "data: a\r\r", "data: a\r\n\r"} {
		pr, pw := io.Pipe()
		go io.WriteString(pw, stream)
		if ev, err := wire.NewEvents(pr).Next(); string(ev.Data) != "a" || err != nil {
			t.Errorf("%q: %q, %v", stream, ev.Data, err)
		}
		pr.Close()
	}
}

func TestResetStartsAnew(t *testing.T) {
	events := wire.NewEvents(strings.NewReader("data: a\n\nevent: x\ndata: left over"))
	events.Next()
	events.Next()
	events.Reset(strings.NewReader("\ufeffdata: b\n\n"))
	if ev, err := events.Next(); string(ev.Data) != "b" || len(ev.Name) != 0 || err != nil {
		t.Errorf("after Reset: %+v, %v", ev, err)
	}
	if _, err := events.Next(); err != io.EOF {
		t.Errorf("after Reset: %v", err)
	}
}

func TestEventsAllocateNothing(t *testing.T) {
	piece := []byte("event: delta\ndata: " + sampleChunk + "\ndata: more\n\n")
	events := wire.NewEvents(&endless{piece: bytes.Repeat(piece, 3)})
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := events.Next(); err != nil {
			t.Fatal(err)
		}
		events.Buffered()
	}); n > 0 {
		t.Errorf("%v allocations per event", n)
	}
}

// FuzzEvents: how the bytes are cut into reads changes nothing, and what comes
// out is what the standard says.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("\ufeffdata: a\r\ndata: b\r\rdata:c\n: x\nevent: y\n\nid\ndata"), []byte{1, 2, 3, 0, 7})
	f.Add([]byte("data: a\n\rdata: a\n\r"), []byte{8})
	f.Fuzz(func(t *testing.T, stream, sizes []byte) { checkEvents(t, string(stream), sizes) })
}

// The same with streams that are made of what matters, and longer than a buffer.
func TestCutsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{
			"data", "data: ", "data: a", "event", "event: x", ":", " ", "id: 1", "\n", "\n", "\n\n", "\r", "\r\n", "\ufeff",
			strings.Repeat("0123456789", 300), strings.Repeat("data: 0123456789\r", 300), strings.Repeat(":\n", 3000),
		}), 0, 40).Draw(t, "stream")
		sizes := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "sizes")
		checkEvents(t, strings.Join(parts, ""), sizes)
	})
}

func checkEvents(t rapid.TB, stream string, sizes []byte) {
	got, err := readAll(strings.NewReader(stream))
	again, aerr := readAll(&pieces{rest: []byte(stream), sizes: sizes})
	if !slices.Equal(got, again) || err != aerr {
		t.Fatalf("%q in pieces of %v: %q and %v, else %q and %v", stream, sizes, again, aerr, got, err)
	}
	want, clean := plainly(stream)
	if !slices.Equal(want, got) || clean != (err == io.EOF) {
		t.Fatalf("%q: %q and %v, want %q and a clean end: %v", stream, got, err, want, clean)
	}
}

// plainly reads a whole stream without minding speed or memory.
func plainly(stream string) (events []string, clean bool) {
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	lines := strings.Split(stream, "\n")
	last := len(lines) - 1
	if last > 0 { // a byte order mark alone is an unfinished line
		lines[0] = strings.TrimPrefix(lines[0], "\ufeff")
	}
	var data []string
	name := ""
	for _, line := range lines[:last] {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data != nil:
			events = append(events, name+"|"+strings.Join(data, "\n"))
			data, name = nil, ""
		case line == "":
			name = ""
		case field == "data":
			data = append(data, value)
		case field == "event":
			name = value
		}
	}
	return events, lines[last] == "" && data == nil && name == ""
}

// pieces reads in the given sizes, over and over.
type pieces struct {
	rest, sizes []byte
	reads       int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	size := 1
	if len(p.sizes) > 0 {
		size += int(p.sizes[p.reads%len(p.sizes)])
		p.reads++
	}
	n := copy(b[:min(size, len(b))], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
