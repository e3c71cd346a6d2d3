package wire_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/wire"
)

// A stream of every kind, and what is heard of it. What each voice says, put together,
// is what the model wrote in one place: nothing else stands between two pieces.
func TestStreamsAreHeard(t *testing.T) {
	for name, said := range map[string][]string{
		"tools":                {`get_weather{"place":"Köln"}`, "run_sqlselect 1;"},
		"stream":               {"Hello \"you\"\n\ufffd"},
		"responses/text":       {"She wrote: \"delta\" {é}\nand left. 😀"},
		"responses/tools":      {`{"place":"Köln"}`, "select 1;"},
		"responses/incomplete": {"**Counting**", "One, two"},
		"responses/refusal":    {"I cannot help."},
		"responses/failed":     nil,
		"responses/error":      nil,
		"responses/others":     {"UklGRg==", "One", "x = 1", "{}", "ls", "a.txt", "ab"},
	} {
		var out strings.Builder
		var l listener
		for _, doc := range documents(t, name+".sse") {
			before := len(l.heard)
			if strings.HasPrefix(name, "responses/") {
				ev, err := wire.HearResponseEvent(doc, l.hear)
				fmt.Fprintf(&out, "%d: last %v, failed %v, finish %q, model %s, tier %s, usage %v %v %+v, %v\n",
					ev.Seq, ev.Last, ev.Failed, ev.Finish, ev.Model, ev.ServiceTier, ev.HasUsage, ev.Detailed, ev.Usage, err)
			} else {
				c, err := wire.HearChunk(doc, l.hear)
				fmt.Fprintf(&out, "%d choices, finish %q, model %s, tier %s, usage %v %v %+v, %v\n",
					c.Choices, c.Finish, c.Model, c.ServiceTier, c.HasUsage, c.Detailed, c.Usage, err)
			}
			for _, h := range l.heard[before:] {
				fmt.Fprintf(&out, "\t%q %d\n", h.Text, h.Voice)
			}
		}
		if diff := cmp.Diff(said, l.said()); diff != "" {
			t.Errorf("%s: generated\n%s", name, diff)
		}
		golden(t, name+".heard", out.String())
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s:\n%s", name, diff)
	}
}

func TestWholeAnswersAreHeard(t *testing.T) {
	type summary struct {
		Reading   reading
		Generated []string // by voice
		Detailed  bool
	}
	usage := wire.Usage{Prompt: 88, Completion: 31, Total: 119, Cached: 64, CacheWrite: 16, Reasoning: 7}
	chatUsage := wire.Usage{Prompt: 82, Completion: 31, Total: 113, Cached: 64}
	const model = "gpt-6-luna-2026-08-01"
	for file, want := range map[string]summary{
		"response.json":          {reading{Finish: "stop", Model: model, Tier: "default", Usage: usage, HasUsage: true}, []string{"**Counting**She wrote: \"delta\" {é}\nand left. 😀{\"place\":\"Köln\"}get_weatherselect 1;run_sql"}, true},
		"answer_tools.json":      {reading{Finish: "tool_calls", Model: model, Tier: "default", Usage: chatUsage, HasUsage: true}, []string{`get_weather{"place":"Köln"}`, "run_sqlselect 1;"}, true},
		"embeddings.json":        {reading{Model: "text-embedding-3-small", Usage: wire.Usage{Prompt: 8, Total: 8}, HasUsage: true}, nil, false},
		"embeddings_base64.json": {reading{Model: "text-embedding-3-small", Usage: wire.Usage{Prompt: 5, Total: 5}, HasUsage: true}, nil, false},
		"moderation.json":        {reading{Model: "omni-moderation-2024-09-26"}, nil, false},
	} {
		doc := documents(t, file)[0]
		var l listener
		var a wire.Answer
		var got summary
		var err error
		switch file {
		case "response.json":
			a, err = wire.HearResponse(doc, l.hear)
		case "answer_tools.json":
			a, err = wire.HearAnswer(doc, l.hear)
		case "moderation.json":
			a, err = wire.HearModerations(doc, l.hear)
		default:
			a, err = wire.HearEmbeddings(doc, l.hear)
		}
		got.Reading, got.Generated, got.Detailed = ours(wire.Chunk{Answer: a}), l.said(), a.Detailed
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", file, err, diff)
		}
		if a.HasUsage && !a.Usage.Valid() {
			t.Errorf("%s: its usage proves nothing", file)
		}
	}
}

// hearers are the readers, reduced to what a refusal needs.
func hearers() map[string]func([]byte) error {
	deaf := func(wire.Literal, int) {}
	return map[string]func([]byte) error{
		"answer":      func(b []byte) error { _, err := wire.HearAnswer(b, deaf); return err },
		"chunk":       func(b []byte) error { _, err := wire.HearChunk(b, deaf); return err },
		"event":       func(b []byte) error { _, err := wire.HearResponseEvent(b, deaf); return err },
		"response":    func(b []byte) error { _, err := wire.HearResponse(b, deaf); return err },
		"embeddings":  func(b []byte) error { _, err := wire.HearEmbeddings(b, deaf); return err },
		"moderations": func(b []byte) error { _, err := wire.HearModerations(b, deaf); return err },
	}
}

// least are the smallest documents that are accepted, open at the end.
func least() map[string]string {
	return map[string]string{
		"answer":      `{"choices":[{"message":{}}]`,
		"chunk":       `{"choices":[{"delta":{}}]`,
		"event":       `{"type":"response.created","response":{}`,
		"response":    `{"status":"completed","output":[]`,
		"embeddings":  `{"data":[{"embedding":[0]}]`,
		"moderations": `{"results":[{}]`,
	}
}

func TestWhatIsNoDocumentIsRefusedByAll(t *testing.T) {
	for name, read := range hearers() {
		start := least()[name]
		if err := read([]byte(start + "}")); err != nil {
			t.Fatalf("%s}: %v", start, err)
		}
		for _, doc := range []string{
			``, ` `, `null`, `[]`, `"x"`, `1`, `{}`, `[DONE]`, start, start + "}}", start + "},", start + "} x", start + ",}", "\ufeff" + start + "}",
			start + `,"x":01}`, start + `,"x":"` + "\n" + `"}`, start + `,"x":"\q"}`, start + `,"x"}`, start + `,x:1}`,
			start + `,"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + "}",
		} {
			if err := read([]byte(doc)); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("%s: %s: %v, want ErrMalformed", name, doc, err)
			}
		}
		for _, doc := range []string{`{"Zq8Zq8"}`, start + `,"x":Zq8Zq8}`, start + `,"sequence_number":"Zq8Zq8","model":["Zq8Zq8"],"usage":"Zq8Zq8"}`, "Zq8Zq8"} {
			if err := read([]byte(doc)); err == nil || strings.Contains(err.Error(), "Zq8") {
				t.Errorf("%s: %s: %v", name, doc, err)
			}
		}
	}
}

func TestDuplicateMembersAreRefusedByAll(t *testing.T) {
	for name, members := range map[string][]string{
		"answer":      {`"choices":[]`, `"model":"m","model":"m"`, `"usage":null,"\u0075sage":null`, `"error":null,"error":null`, `"service_tier":"a","service_tier":"b"`},
		"chunk":       {`"choices":[]`, `"model":"m","model":"m"`, `"usage":null,"usage":{}`, `"error":null,"error":null`},
		"event":       {`"type":"x"`, `"response":{}`, `"sequence_number":1,"sequence_number":2`, `"delta":"a","delta":"b"`, `"delta":null,"d\u0065lta":null`, `"output_index":1,"output_index":1`, `"content_index":1,"content_index":1`, `"summary_index":1,"summary_index":1`, `"error":null,"error":null`},
		"response":    {`"status":"completed"`, `"output":[]`, `"usage":{"input_tokens":1,"input_tokens":2}`, `"usage":{"output_tokens":1,"output_tokens":2}`, `"usage":{"total_tokens":1,"total_tokens":2}`, `"usage":{"input_tokens_details":{},"input_tokens_details":{}}`, `"usage":{"output_tokens_details":{},"output_tokens_details":{}}`, `"usage":{"input_tokens_details":{"cached_tokens":1,"cached_tokens":1}}`, `"incomplete_details":null,"incomplete_details":null`, `"incomplete_details":{"reason":"a","reason":"a"}`, `"error":null,"error":null`, `"model":"a","model":"a"`, `"service_tier":"a","service_tier":"a"`, `"usage":null,"usage":null`},
		"embeddings":  {`"data":[]`, `"model":"a","model":"a"`, `"usage":null,"usage":null`, `"error":null,"error":null`},
		"moderations": {`"results":[]`, `"model":"a","model":"a"`, `"error":null,"error":null`},
	} {
		for _, member := range members {
			if doc := least()[name] + "," + member + "}"; !errors.Is(hearers()[name]([]byte(doc)), wire.ErrMalformed) {
				t.Errorf("%s: %s is accepted", name, doc)
			}
		}
		if doc := least()[name] + `,"x":{"y":"1","y":"2"},"x":null}`; hearers()[name]([]byte(doc)) != nil {
			t.Errorf("%s: members that we do not read: %v", name, hearers()[name]([]byte(doc)))
		}
	}
	if err := hearers()["embeddings"]([]byte(`{"data":[{"embedding":[0],"embedding":"AA=="}]}`)); !errors.Is(err, wire.ErrMalformed) {
		t.Error("a vector that comes twice")
	}
}

func TestWhatSaysOtherThanAskedIsRefused(t *testing.T) {
	for name, docs := range map[string][]string{
		"answer": {
			`{"choices":[{"message":{}},{"message":{}}]}`, `{"choices":[{"index":1,"message":{}}]}`, `{"choices":[{"message":{}}],"error":{}}`,
			`{"choices":[]}`, `{"choices":[{"message":null}]}`, `{"choices":[{"message":{"content":[]}}]}`, `{"error":{"message":"x"}}`,
		},
		"chunk":       {`{"choices":[{"delta":{}},{"index":1,"delta":{}}]}`, `{"choices":[{"index":1,"delta":{}}]}`, `{"choices":[{"index":"0","delta":{}}]}`, `{"error":null}`},
		"event":       {`{"sequence_number":1}`, `{"type":null}`, `{"type":7}`, `{"type":"response.completed"}`, `{"type":"response.failed","response":null}`, `{"type":"response.incomplete","response":"x"}`, `{"type":"x","sequence_number":"1"}`},
		"response":    {`{"status":"completed"}`, `{"status":null,"output":[]}`, `{"output":[]}`, `{"status":"completed","output":null}`, `{"status":"incomplete","output":{}}`, `{"status":7}`, `{"error":null}`},
		"embeddings":  {`{"data":null}`, `{"data":{}}`, `{"data":[1]}`, `{"data":[{}]}`, `{"data":[{"embedding":null}]}`, `{"data":[{"embedding":["x"]}]}`, `{"data":[{"embedding":[[1]]}]}`, `{"data":[{"embedding":[1]}],"error":{}}`, `{"error":{"message":"x"}}`},
		"moderations": {`{"results":null}`, `{"results":{}}`, `{"results":[],"error":"x"}`, `{"error":{"message":"x"}}`},
	} {
		for _, doc := range docs {
			if err := hearers()[name]([]byte(doc)); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("%s: %s: %v, want ErrMalformed", name, doc, err)
			}
		}
	}
}

// What failed must be seen to have failed, in whatever shape it says so.
func TestFailedResponsesAreSeen(t *testing.T) {
	deaf := func(wire.Literal, int) {}
	for _, doc := range []string{
		`{"type":"error","message":"x"}`, `{"message":"x","\u0074ype":"\u0065rror"}`, `{"error":{"message":"x"}}`, `{"type":"x","error":"x"}`,
		`{"type":"response.failed","response":{}}`, `{"type":"response.completed","response":{"status":"failed"}}`,
		`{"type":"response.completed","response":{"status":"completed","error":{"message":"x"}}}`, `{"type":"response.cancelled","response":{"status":"cancelled"}}`,
	} {
		if ev, err := wire.HearResponseEvent([]byte(doc), deaf); !ev.Failed || ev.Finish != wire.Failed || err != nil {
			t.Errorf("%s: %+v, %v", doc, ev, err)
		}
	}
	for _, doc := range []string{
		`{"error":{"message":"x"}}`, `{"status":"failed"}`, `{"status":"cancelled"}`, `{"status":"queued"}`, `{"status":"in_progress","output":[]}`, `{"status":"of_tomorrow"}`,
		`{"status":"completed","output":[],"error":{"message":"x"}}`,
	} {
		if a, err := wire.HearResponse([]byte(doc), deaf); a.Finish != wire.Failed || err != nil {
			t.Errorf("%s: %+v, %v", doc, a, err)
		}
	}
	for _, doc := range []string{`{"type":"response.created","response":{"status":"in_progress"}}`, `{"type":"response.of_tomorrow","response":"x"}`} {
		if ev, err := wire.HearResponseEvent([]byte(doc), deaf); ev.Failed || ev.Last || ev.Finish != "" || err != nil {
			t.Errorf("%s: %+v, %v", doc, ev, err)
		}
	}
}

// A vector is not text; what only stands in its place may be.
func TestOnlyBase64GoesUnheard(t *testing.T) {
	for literal, want := range map[string]bool{
		`""`: false, `"AAAA/+w="`: false, `"test-key-1"`: true, `"a b"`: true, `"\u002d"`: true, `"é"`: true, `"_"`: true,
	} {
		var l listener
		if _, err := wire.HearEmbeddings([]byte(`{"data":[{"embedding":`+literal+`}]}`), l.hear); len(l.heard) > 0 != want || err != nil {
			t.Errorf("%s: heard %v, %v", literal, l.heard, err)
		}
	}
}

// A relay hears thousands of events a second, and makes its listener once.
func TestHearingAllocatesNothing(t *testing.T) {
	docs := map[string][][]byte{}
	for _, name := range []string{"tools.sse", "responses/text.sse", "responses/tools.sse", "response.json", "answer_tools.json", "embeddings.json", "moderation.json"} {
		docs[name] = documents(t, name)
	}
	generated := 0
	hear := func(l wire.Literal, voice int) {
		if voice != wire.NotGenerated {
			generated += len(l)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		generated = 0
		for _, doc := range docs["tools.sse"] {
			_, _ = wire.HearChunk(doc, hear)
		}
		for _, doc := range docs["responses/text.sse"] {
			_, _ = wire.HearResponseEvent(doc, hear)
		}
		for _, doc := range docs["responses/tools.sse"] {
			_, _ = wire.HearResponseEvent(doc, hear)
		}
		_, _ = wire.HearResponse(docs["response.json"][0], hear)
		_, _ = wire.HearAnswer(docs["answer_tools.json"][0], hear)
		_, _ = wire.HearEmbeddings(docs["embeddings.json"][0], hear)
		_, _ = wire.HearModerations(docs["moderation.json"][0], hear)
		if generated == 0 {
			t.Error("heard nothing")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEventsMayBeLargerWhereAllowed(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	e := wire.NewEvents(strings.NewReader("data: " + long + "\n\n"))
	if _, err := e.Next(); !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("3 MiB without leave: %v", err)
	}
	e.Reset(strings.NewReader("data: " + long + "\n\ndata: " + long + "and then some\n\n"))
	e.Allow(3<<20 + len("data: \n\n"))
	if ev, err := e.Next(); len(ev.Data) != len(long) || err != nil {
		t.Errorf("%d bytes, %v", len(ev.Data), err)
	}
	if _, err := e.Next(); !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("more than allowed: %v", err)
	}
	e.Reset(strings.NewReader("data: " + long + "\n\n"))
	if _, err := e.Next(); !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("the leave outlived its stream: %v", err)
	}
}
