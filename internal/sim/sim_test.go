package sim_test

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	openai "github.com/sashabaranov/go-openai"
	"go.uber.org/goleak"

	"keyshield/internal/sim"
)

var update = flag.Bool("update", false, "rewrite testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "test-key-0123456789abcdefghijklmn"

// world is a simulator on a real port, and a client without patience for ever.
type world struct {
	*sim.Sim
	url    string
	client *http.Client
}

func start(t *testing.T, o sim.Options) *world {
	t.Helper()
	s := sim.New(o)
	srv := httptest.NewServer(s)
	transport := &http.Transport{}
	w := &world{s, srv.URL, &http.Client{
		Transport:     transport,
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(func() {
		s.Close()
		transport.CloseIdleConnections()
		srv.Close()
	})
	return w
}

// answer is all that came back; err is what broke it off.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// request makes a call as the proxy under test would.
func (w *world) request(ctx context.Context, t *testing.T, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	return r
}

func (w *world) do(t *testing.T, r *http.Request) answer {
	t.Helper()
	resp, err := w.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body), err}
}

// ask sends one prompt to a model that was told not to reason.
func (w *world) ask(t *testing.T, prompt string, stream bool) answer {
	t.Helper()
	return w.do(t, w.request(t.Context(), t, completion(prompt, stream)))
}

func completion(prompt string, stream bool) string {
	content, err := json.Marshal(prompt)
	if err != nil {
		panic(err)
	}
	extra := ""
	if stream {
		extra = `,"stream":true,"stream_options":{"include_usage":true}`
	}
	return `{"model":"gpt-6-luna","reasoning_effort":"none","messages":[{"role":"user","content":` + string(content) + `}]` + extra + `}`
}

// control calls /_sim/ and fails on anything but the status wanted.
func (w *world) control(t *testing.T, method, path, body string, want int) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.url+"/_sim/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	a := w.do(t, r)
	if a.status != want {
		t.Fatalf("%s /_sim/%s: got %d %s, want %d", method, path, a.status, a.body, want)
	}
	return a.body
}

func TestWireFormatIsGolden(t *testing.T) {
	w := start(t, sim.Options{})
	for name, stream := range map[string]bool{"answer": false, "stream": true} {
		t.Run(name, func(t *testing.T) {
			golden(t, w, name, "/v1/chat/completions", completion("What is a key? [[sim chunks=3]]", stream))
		})
	}
}

var changing = regexp.MustCompile(`(chatcmpl-|modr-)[0-9A-Za-z]{29}|((?:resp|msg|rs|fc|ctc)_)[0-9a-f]{50}|(call_)[0-9A-Za-z]{24}|(req_)[0-9a-f]{32}|` +
	`("(?:created|created_at|completed_at)": ?)\d+|(Date: ).*|(Processing-Ms: )\d+`)

// golden compares an answer with testdata, but for what changes every time.
func golden(t *testing.T, w *world, name, path, body string) {
	t.Helper()
	r := w.request(t.Context(), t, body)
	r.URL.Path = path
	resp, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got strings.Builder
	got.WriteString(resp.Proto + " " + resp.Status + "\n")
	if err := resp.Header.Write(&got); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	got.WriteString("\n" + string(answer))
	text := changing.ReplaceAllString(strings.ReplaceAll(got.String(), "\r\n", "\n"), "$1$2$3$4$5$6$7…")
	file := filepath.Join("testdata", name+".http")
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("the wire format changed (-want +got), -update if it was meant to:\n%s", diff)
	}
}

func client(w *world) *openai.Client {
	c := openai.DefaultConfig(key)
	c.BaseURL = w.url + "/v1"
	c.HTTPClient = w.client
	return openai.NewClientWithConfig(c)
}

func goRequest(prompt string) openai.ChatCompletionRequest {
	return openai.ChatCompletionRequest{
		Model:               "gpt-6-luna",
		ReasoningEffort:     "none",
		MaxCompletionTokens: 150,
		Messages: []openai.ChatCompletionMessage{
			{Role: "system", Content: "You are a helpful assistant."},
			{Role: "user", Content: prompt},
		},
	}
}

func TestGoOpenAIUnderstandsAnAnswer(t *testing.T) {
	w := start(t, sim.Options{})
	got, err := client(w).CreateChatCompletion(t.Context(), goRequest("Where is my key?"))
	if err != nil {
		t.Fatal(err)
	}
	text := got.Choices[0].Message.Content
	if !strings.Contains(text, "simulator") || !strings.Contains(text, "Where is my key?") {
		t.Errorf("got %q, want it to say that it is a simulator and to repeat the question", text)
	}
	if got.Choices[0].FinishReason != "stop" || got.Model != "gpt-6-luna" || got.Usage.CompletionTokens != (len(text)+3)/4 {
		t.Errorf("got %+v, want finish stop, the model asked and a token per four bytes", got)
	}
}

func TestGoOpenAIUnderstandsAStream(t *testing.T) {
	w := start(t, sim.Options{})
	r := goRequest("Where is my key?")
	r.StreamOptions = &openai.StreamOptions{IncludeUsage: true}
	stream, err := client(w).CreateChatCompletionStream(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var text, finish strings.Builder
	var usage *openai.Usage
	pieces := 0
	for {
		chunk, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(chunk.Choices) == 0 {
			usage = chunk.Usage
			continue
		}
		text.WriteString(chunk.Choices[0].Delta.Content)
		finish.WriteString(string(chunk.Choices[0].FinishReason))
		if chunk.Choices[0].Delta.Content != "" {
			pieces++
		}
	}
	if !strings.Contains(text.String(), "Where is my key?") || finish.String() != "stop" || pieces < 10 {
		t.Errorf("got %q in %d pieces, finish %q; want the question, word by word, and stop", text.String(), pieces, finish.String())
	}
	if usage == nil || usage.CompletionTokens != (text.Len()+3)/4 {
		t.Errorf("got usage %+v, want it in a chunk without choices, a token per four bytes of %d", usage, text.Len())
	}
}

func TestGoOpenAIListsModels(t *testing.T) {
	w := start(t, sim.Options{Models: []string{"gpt-6-luna", "ft:gpt-4o:me"}})
	list, err := client(w).ListModels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Models) != 2 || list.Models[1].ID != "ft:gpt-4o:me" {
		t.Errorf("got %+v, want the two that are served", list.Models)
	}
	one, err := client(w).GetModel(t.Context(), "gpt-6-luna")
	if err != nil || one.ID != "gpt-6-luna" {
		t.Errorf("got %+v, %v; want gpt-6-luna", one, err)
	}
	if _, err = client(w).GetModel(t.Context(), "gpt-7"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v for a model that is not served, want 404", err)
	}
	r := goRequest("hello")
	r.Model = "gpt-4o"
	if _, err = client(w).CreateChatCompletion(t.Context(), r); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("got %v for a model that is not served, want that it does not exist", err)
	}
}

func TestStreamWithoutUsageUnlessAsked(t *testing.T) {
	w := start(t, sim.Options{})
	body := `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"stream":true}`
	got := w.do(t, w.request(t.Context(), t, body))
	if strings.Contains(got.body, "usage") || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
		t.Errorf("got %q, want [DONE] and not a word of usage", got.body)
	}
}

func TestRequestsAreKept(t *testing.T) {
	w := start(t, sim.Options{Record: 2})
	for _, prompt := range []string{"one", "two", "three"} {
		w.ask(t, prompt, false)
	}
	var kept []sim.Request
	if err := json.Unmarshal([]byte(w.control(t, "GET", "requests", "", 200)), &kept); err != nil {
		t.Fatal(err)
	}
	if len(kept) != 2 || kept[0].Body != completion("two", false) || kept[1].Body != completion("three", false) {
		t.Errorf("got %+v, want the last two bodies byte for byte, oldest first", kept)
	}
	if got := kept[1].Header.Get("Authorization"); got != "Bearer "+key {
		t.Errorf("got Authorization %q, want what was sent", got)
	}
	if off := start(t, sim.Options{Record: -1}); true {
		off.ask(t, "hello", false)
		if n := len(off.Requests()); n != 0 {
			t.Errorf("got %d requests kept with Record -1, want none", n)
		}
	}
}
