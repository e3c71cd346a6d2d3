package wire_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"keyshield/internal/wire"
)

// A checker holds a reader against encoding/json: what it accepts is JSON, it
// hears every string of it in order, and reads the same.
type checker func(t failer, doc []byte) (accepted bool)

func checkAnswer(t failer, doc []byte) bool {
	var l listener
	a, err := wire.HearAnswer(doc, l.hear)
	if err != nil {
		return false
	}
	members := agree(t, doc, &l, spokenIn(".message"), "")
	agreeOn(t, a, members, chatWords())
	choices := members["choices"].([]any)
	said := choices[0].(map[string]any)["message"].(map[string]any)
	content, _ := said["content"].(string)
	refusal, _ := said["refusal"].(string)
	if r := ours(wire.Chunk{Answer: a}); len(choices) != 1 || r.Content != content || r.Refusal != refusal {
		t.Fatalf("%q: %d choices, %+v", doc, len(choices), r)
	}
	return true
}

func checkChunk(t failer, doc []byte) bool {
	var l listener
	c, err := wire.HearChunk(doc, l.hear)
	if err != nil {
		return false
	}
	members := agree(t, doc, &l, spokenIn(".delta"), "")
	agreeOn(t, c.Answer, members, chatWords())
	if choices, _ := members["choices"].([]any); len(choices) != c.Choices || c.Choices > 1 || c.Error != (members["error"] != nil) {
		t.Fatalf("%q: %d choices, error %v", doc, c.Choices, c.Error)
	}
	lenient, err := wire.ReadChunk(doc)
	if diff := cmp.Diff(lenient, c); diff != "" || err != nil {
		t.Fatalf("%q: who does not listen reads something else: %v\n%s", doc, err, diff)
	}
	return true
}

func checkEvent(t failer, doc []byte) bool {
	var l listener
	ev, err := wire.HearResponseEvent(doc, l.hear)
	if err != nil {
		return false
	}
	members := agree(t, doc, &l, streamed, ".delta")
	response, _ := members["response"].(map[string]any)
	agreeOn(t, ev.Answer, response, responseWords())

	kind, _ := members["type"].(string)
	status, _ := response["status"].(string)
	failed := kind == "error" || kind == "response.failed" || status == "failed" || status == "cancelled" ||
		members["error"] != nil || response["error"] != nil
	last := kind == "response.completed" || kind == "response.incomplete" || kind == "response.failed"
	finish := ""
	switch {
	case failed:
		finish = wire.Failed
	case kind == "response.incomplete" || last && status == "incomplete":
		finish = whyIncomplete(response)
	case last:
		finish = "stop"
	}
	if ev.Last != last || ev.Failed != failed || ev.Finish != finish {
		t.Fatalf("%q: last %v, failed %v, finish %q", doc, ev.Last, ev.Failed, ev.Finish)
	}
	if n, ok := countIn(members, "sequence_number"); ok && n != ev.Seq || !ok && ev.Seq != -1 {
		t.Fatalf("%q: sequence number %d", doc, ev.Seq)
	}
	return true
}

func checkResponse(t failer, doc []byte) bool {
	var l listener
	a, err := wire.HearResponse(doc, l.hear)
	if err != nil {
		return false
	}
	members := agree(t, doc, &l, putOut, "")
	agreeOn(t, a, members, responseWords())
	finish := wire.Failed
	switch status, _ := members["status"].(string); {
	case members["error"] != nil:
	case status == "completed":
		finish = "stop"
	case status == "incomplete":
		finish = whyIncomplete(members)
	}
	if a.Finish != finish {
		t.Fatalf("%q: finish %q, want %q", doc, a.Finish, finish)
	}
	return true
}

func whyIncomplete(response map[string]any) string {
	details, _ := response["incomplete_details"].(map[string]any)
	switch reason, _ := details["reason"].(string); reason {
	case "max_output_tokens", "max_tokens":
		return "length"
	case "content_filter":
		return reason
	}
	return "other"
}

func checkEmbeddings(t failer, doc []byte) bool {
	var l listener
	a, err := wire.HearEmbeddings(doc, l.hear)
	if err != nil {
		return false
	}
	members := agree(t, doc, &l, butVectors, "")
	delete(members, "service_tier") // not read
	agreeOn(t, a, members, embeddingWords())
	if _, ok := members["data"].([]any); !ok || members["error"] != nil {
		t.Fatalf("%q is no list of vectors", doc)
	}
	return true
}

func checkModerations(t failer, doc []byte) bool {
	var l listener
	a, err := wire.HearModerations(doc, l.hear)
	if err != nil {
		return false
	}
	members := agree(t, doc, &l, allOfThem, "")
	agreeOn(t, a, map[string]any{"model": members["model"]}, chatWords())
	if _, ok := members["results"].([]any); !ok || members["error"] != nil {
		t.Fatalf("%q is no list of results", doc)
	}
	return true
}

func FuzzHearAnswer(f *testing.F)   { fuzz(f, checkAnswer, "answer.json", "answer_tools.json") }
func FuzzHearChunk(f *testing.F)    { fuzz(f, checkChunk, "stream.sse", "tools.sse", "broken.sse") }
func FuzzHearResponse(f *testing.F) { fuzz(f, checkResponse, "response.json") }
func FuzzHearEmbeddings(f *testing.F) {
	fuzz(f, checkEmbeddings, "embeddings.json", "embeddings_base64.json")
}
func FuzzHearModerations(f *testing.F) { fuzz(f, checkModerations, "moderation.json") }

func FuzzHearResponseEvent(f *testing.F) {
	files, _ := filepath.Glob("testdata/responses/*.sse")
	for i := range files {
		files[i] = filepath.Join("responses", filepath.Base(files[i]))
	}
	fuzz(f, checkEvent, files...)
}

// fuzz begins with the documents in files, and with what no document should be.
func fuzz(f *testing.F, check checker, files ...string) {
	for _, name := range files {
		for _, doc := range documents(f, name) {
			f.Add(doc)
		}
	}
	for _, doc := range []string{
		`{"type":"x.delta","delta":{"a":["b",{"c":"\ud83d"}]},"error":null,"sequence_number":1e999}`,
		`{"type":"response.completed","response":{"status":"incomplete","incomplete_details":{"reason":"max_tokens"},"usage":{"input_tokens":1,"output_tokens":-0}}}`,
		`{"status":"completed","output":[{"text":["a",{"input":"b"}],"name":"c"}],"error":{}}`,
		`{"choices":[{"message":{"role":["a"],"x":{"id":{"y":"z"}},"":""},"delta":{"type":"t","x":[["é"]]},"index":0}],"\u0065rror":null}`,
		`{"data":[{"embedding":"-"},{"embedding":"\/"},{"embedding":"+/=="},{"embedding":[1,-0.5e-7]}],"usage":{"prompt_tokens":18446744073709551616}}`,
		`{"delta":"a","\u0074ype":"\u0078","content_index":7,"output_index":999,"summary_index":null}`, `{"type":"x","delta":{"\u0061":"b"},"output_index":1000}`,
		`{"choices":[{"delta":{"tool_calls":[{"function":{"n\u0061me":"f","arguments":"a"},"index":3,"x":{"index":"y"}},{"custom":{"input":"b"}},{"index":null,"z":["c"]},{"i":"d","index":-1}],"\u0072efusal":"e","reasoning":"g"}}]}`,
		`{"results":[],"model":null}`, "{\"type\":\"\xff\",\"delta\":\"\xed\xa0\xbd\"}",
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) { check(t, doc) })
}

// documents are the JSON documents in a file of testdata, one or a stream of them.
func documents(t testing.TB, name string) (docs [][]byte) {
	t.Helper()
	all, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(name) != ".sse" {
		return [][]byte{all}
	}
	events := wire.NewEvents(bytes.NewReader(all))
	for {
		ev, err := events.Next()
		if err != nil {
			return docs
		}
		if string(ev.Data) != "[DONE]" {
			docs = append(docs, bytes.Clone(ev.Data))
		}
	}
}

// Documents in every shape that JSON allows, with decoys: all are accepted, and read
// as encoding/json reads them.
func TestHearingAgreesWithEncodingJSON(t *testing.T) {
	for name, kind := range map[string]struct {
		write func(writer) string
		check checker
	}{
		"answer": {func(w writer) string { return w.completion("message") }, checkAnswer},
		"chunk":  {func(w writer) string { return w.completion("delta") }, checkChunk},
		"event": {func(w writer) string {
			return w.object(map[string]string{
				"type":  w.pick(`"response.completed"`, `"response.incomplete"`, `"response.failed"`, `"response.output_text.delta"`, `"response.of_tomorrow"`, `"error"`),
				"delta": w.said(), "response": w.response(), "sequence_number": w.pick("0", "17", "null"), "output_index": w.pick("0", "999", "null"), w.pick("content_index", "summary_index", "x"): w.pick("0", "7"), "error": w.pick("null", "null", `{"message":"x"}`), "item": w.said(),
			})
		}, checkEvent},
		"response": {writer.response, checkResponse},
		"embeddings": {func(w writer) string {
			vector := w.object(map[string]string{"object": `"embedding"`, "index": "0", "embedding": w.pick(`[]`, `[ 1,-2.5e-3 , 0]`, `"AAAA/+=="`, `"A\/AA"`, w.text())})
			return w.object(map[string]string{"data": w.pick("[]", "["+vector+"]", "["+vector+" ,"+vector+"]"), "model": w.text(), "usage": w.usage(), "error": "null"})
		}, checkEmbeddings},
		"moderations": {func(w writer) string {
			return w.object(map[string]string{"id": w.text(), "model": w.text(), "results": "[" + w.said() + "]", "error": "null"})
		}, checkModerations},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				if doc := kind.write(writer{t}); !kind.check(t, []byte(doc)) {
					t.Fatalf("refused: %s", doc)
				}
			})
		})
	}
}

func (w writer) completion(speech string) string {
	call := w.object(map[string]string{w.pick("index", "index", "place"): w.pick("0", "1", "999"), "id": w.text(), "type": `"function"`, "function": w.object(map[string]string{"name": w.text(), "arguments": w.text()})})
	said := w.object(map[string]string{
		"role": `"assistant"`, "content": w.maybeText(), "refusal": w.maybeText(), "reasoning": w.said(), "function_call": w.said(), "tool_calls": w.pick("null", "["+call+"]", "["+call+","+call+"]"),
	})
	choice := w.object(map[string]string{"index": "0", speech: said, "finish_reason": w.pick("null", `"stop"`), "logprobs": w.pick("null", w.said())})
	return w.object(map[string]string{"id": w.text(), "model": w.text(), "service_tier": w.maybeText(), "choices": "[" + choice + "]", "usage": w.usage(), "error": "null"})
}

func (w writer) response() string {
	usage := strings.NewReplacer("prompt_tokens", "input_tokens", "completion_tokens", "output_tokens").Replace(w.usage())
	return w.object(map[string]string{
		"id": w.text(), "status": w.pick(`"completed"`, `"incomplete"`, `"failed"`, `"cancelled"`, `"queued"`), "model": w.text(), "service_tier": w.maybeText(),
		"error": w.pick("null", "null", `{"code":"x","message":"y"}`), "usage": usage, "instructions": w.said(), "tools": "[" + w.said() + "]", "output": "[" + w.said() + "]",
		"incomplete_details": w.pick("null", `{}`, `{"reason":"max_output_tokens"}`, `{"reason":"content_filter"}`, `{"x":["y"],"reason":"z"}`),
	})
}

// said is something with text in it.
func (w writer) said() string {
	return w.pick(w.text(), "["+w.text()+", "+w.text()+"]", w.object(map[string]string{"text": w.text(), "name": w.maybeText(), "delta": w.text(), "id": w.text()}))
}
