package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testCase is a promise to each SDK that can do op.
type testCase struct {
	name, op string
	check    func(*testing.T, *seat)
	fits     func(*seat) bool // nil: all of them
}

// concerns reports whether the case has something to say about s.
func (c testCase) concerns(s *seat) bool {
	return !slices.Contains(s.lacks, c.op) && (c.fits == nil || c.fits(s))
}

func cases() []testCase {
	return append([]testCase{
		{"answer", "answer", answers, nil},
		{"effort of reasoning", "answer", reasons, func(s *seat) bool { return s.effort != nil }},
		{"stream", "stream", streams, nil},
		{"usage of a stream", "usage", tellsUsage, nil},
		{"a stream cut short is cancelled at the provider", "stream", cancelsStreams, nil},
		{"an answer given up is cancelled at the provider", "giveUp", cancelsAnswers, nil},
		{"turns", "turns", takesTurns, nil},
		{"tools there and back", "tools", callsTools, nil},
		{"tools in a stream", "toolStream", streamsTools, nil},
		{"a tool that takes text", "custom", callsCustomTools, nil},
		{"structured output", "object", structures, nil},
		{"embeddings", "embed", embeds, nil},
		{"models", "models", listsModels, nil},
		{"moderation", "moderate", moderates, nil},
	}, refusals()...)
}

func answers(t *testing.T, s *seat) {
	reply := s.ask(t, "", call{Op: "answer", Prompt: `[[sim text="All is well: ü, 漢字, \"quoted\"."]] How are you?`})
	if reply.Error != nil {
		t.Fatalf("%s raises %v", s.name, reply.Error)
	}
	got := reply.Value
	if want := `All is well: ü, 漢字, "quoted".`; got.Text != want {
		t.Errorf("%s says %q, want %q", s.name, got.Text, want)
	}
	if got.Tokens == 0 || got.Finish == "" {
		t.Errorf("%s has %d tokens and the finish %q, want both", s.name, got.Tokens, got.Finish)
	}
	for _, name := range s.sends() {
		for _, e := range reply.HTTP {
			if _, sent := plainly(e.Sent, name); e.Method == http.MethodPost && !sent {
				t.Errorf("%s in %s does not send %s, which this test is to show harmless: %v", s.name, s.where, name, e.Sent)
			}
		}
	}
}

// reasons: an SDK may ask for more with the effort than its caller wrote.
func reasons(t *testing.T, s *seat) {
	if got := s.ok(t, call{Op: "answer", Prompt: "Think it over", Extra: s.effort}); got.Text == "" {
		t.Errorf("%s says nothing", s.name)
	}
	asked := s.lastAsked(t)
	if !strings.Contains(asked, `"low"`) || strings.Contains(asked, "summary") {
		t.Errorf("%s: the provider is to be asked for a low effort, and for no summary of the reasoning:\n%s", s.name, asked)
	}
}

// sends are headers that only a preflight, or nobody, lets through.
func (s *seat) sends() []string {
	names := []string{"X-App-Secret", "X-Trace", "Authorization"}
	if strings.HasPrefix(s.name, "openai ") || strings.HasPrefix(s.name, "langchain ") {
		names = append(names, "X-Stainless-Lang", "X-Stainless-Retry-Count", "OpenAI-Organization", "OpenAI-Project")
	}
	return names
}

const tale = "Once upon a time there was a key that never left its server."

func streams(t *testing.T, s *seat) {
	got := s.ok(t, call{Op: "stream", Prompt: fmt.Sprintf(`[[sim text=%q pace=5ms]] Tell me a story`, tale)})
	if got.Text != tale || got.Pieces < 5 || got.Finish == "" {
		t.Errorf("%s: %q in %d pieces with the finish %q, want %q in several with one", s.name, got.Text, got.Pieces, got.Finish, tale)
	}
}

func tellsUsage(t *testing.T, s *seat) {
	c := call{Op: "stream", Prompt: "Hello"}
	switch {
	case s.name == "ai compatible":
		c.At.Usage = true
	case s.asks:
		if got := s.ok(t, c); got.Usage != 0 {
			t.Errorf("%s was told %d tokens that it did not ask for", s.name, got.Usage)
		}
		c.Extra = map[string]any{"stream_options": map[string]any{"include_usage": true}}
	}
	if got := s.ok(t, c); got.Usage == 0 {
		t.Errorf("%s: the stream tells no usage", s.name)
	}
}

func cancelsStreams(t *testing.T, s *seat) {
	s.cancels(t, func() {
		got := s.ok(t, call{Op: "stream", Prompt: "[[sim chunks=800 pace=25ms size=8000]] Tell me a long story", After: 3})
		if !got.Aborted || got.Pieces < 3 || got.Pieces > 200 {
			t.Errorf("%s: %d pieces, aborted %v; want 3 and a little, aborted", s.name, got.Pieces, got.Aborted)
		}
	})
}

func cancelsAnswers(t *testing.T, s *seat) {
	s.cancels(t, func() {
		got := s.ask(t, "", without(0, call{Op: "giveUp", Prompt: "[[sim latency=50s]] Think it over", After: 700}))
		if got.Error == nil {
			t.Errorf("%s gave up, and raises nothing", s.name)
		}
	})
}

func takesTurns(t *testing.T, s *seat) {
	got := s.ok(t, call{Op: "turns", Prompts: []string{
		`[[sim text="Red."]] Which colour?`, `[[sim text="Blue."]] And another?`, `[[sim text="Green."]] And a third?`,
	}})
	if diff := cmp.Diff([]string{"Red.", "Blue.", "Green."}, got.Texts); diff != "" {
		t.Errorf("%s, the answers (-want +got):\n%s", s.name, diff)
	}
	last := s.lastAsked(t)
	for _, said := range []string{"Which colour?", "Red.", "And another?", "Blue.", "And a third?"} {
		if !strings.Contains(last, said) {
			t.Errorf("%s: the model is not told %q in the third turn:\n%s", s.name, said, last)
		}
	}
}

const callWeather = `[[sim tool=weather args="{\"city\":\"São Paulo\"}"]] What is the weather in São Paulo?`

func callsTools(t *testing.T, s *seat) {
	got := s.ok(t, call{Op: "tools", Prompt: callWeather})
	s.calledWeather(t, got)
	// The simulator repeats what the tool answered.
	if !strings.Contains(got.Text, "clear") || !strings.Contains(got.Text, "São Paulo") {
		t.Errorf("%s: the answer %q does not know what the tool said", s.name, got.Text)
	}
}

func streamsTools(t *testing.T, s *seat) {
	s.calledWeather(t, s.ok(t, call{Op: "toolStream", Prompt: callWeather}))
}

func callsCustomTools(t *testing.T, s *seat) {
	got := s.ok(t, call{Op: "custom", Prompt: `[[sim tool=note args="buy milk, \"fresh\""]] Remember the milk`})
	if want := `buy milk, "fresh"`; !slices.Equal(got.Texts, []string{want}) || !strings.Contains(got.Text, "written") {
		t.Errorf("%s: the tool is told %q and then the answer is %q, want %q and one that knows what the tool said", s.name, got.Texts, got.Text, want)
	}
}

func (s *seat) calledWeather(t *testing.T, got value) {
	t.Helper()
	want := []toolCall{{Name: "weather", Arguments: map[string]any{"city": "São Paulo"}}}
	if diff := cmp.Diff(want, got.Calls); diff != "" {
		t.Errorf("%s, the calls (-want +got):\n%s", s.name, diff)
	}
}

func structures(t *testing.T, s *seat) {
	const ada = `{"name":"Ada","age":36,"tags":["poet","engine"]}`
	got := s.ok(t, call{Op: "object", Prompt: fmt.Sprintf("[[sim text=%q]] Who was the first programmer?", ada)})
	var object, want any
	if err := json.Unmarshal(got.Object, &object); err != nil {
		t.Fatalf("%s: %v in %q", s.name, err, got.Object)
	}
	if err := json.Unmarshal([]byte(ada), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, object); diff != "" {
		t.Errorf("%s (-want +got):\n%s", s.name, diff)
	}
	if asked := s.lastAsked(t); !strings.Contains(asked, `"json_schema"`) || !strings.Contains(asked, `"tags"`) {
		t.Errorf("%s: the schema does not reach the model:\n%s", s.name, asked)
	}
}

// embeds asks for floats and for base64 (openai-node's own choice), and wants the
// same numbers.
func embeds(t *testing.T, s *seat) {
	texts := []string{"a key", "a lock"}
	var first [][]float64
	formats := []string{"float", "base64", ""}
	if strings.HasPrefix(s.name, "ai ") {
		formats = []string{""} // it has no choice: floats
	}
	for _, format := range formats {
		got := s.ok(t, call{Op: "embed", Texts: texts, Format: format}).Vectors
		if first == nil {
			first = got
		}
		switch {
		case len(got) != len(texts) || len(got[0]) < 100 || len(got[0]) != len(got[1]) || slices.Equal(got[0], got[1]):
			t.Fatalf("%s, format %q: %d vectors, want %d different ones of one length", s.name, format, len(got), len(texts))
		case !alike(first, got):
			t.Errorf("%s: the vectors in format %q are not those in %q", s.name, format, formats[0])
		}
		if format != "" && !strings.Contains(s.lastAsked(t), format) {
			t.Errorf("%s: the provider is not asked for %s:\n%s", s.name, format, s.lastAsked(t))
		}
	}
	if s.name == "openai chat" && !strings.Contains(s.lastAsked(t), "base64") {
		t.Errorf("%s does not ask for base64 by itself any more: this test proves less than it says", s.name)
	}
}

// alike allows for float32.
func alike(a, b [][]float64) bool {
	return slices.EqualFunc(a, b, func(a, b []float64) bool {
		return slices.EqualFunc(a, b, func(a, b float64) bool { return math.Abs(a-b) < 1e-6 })
	})
}

func listsModels(t *testing.T, s *seat) {
	got := s.ok(t, call{Op: "models"}).IDs
	for _, id := range []string{model, embedding, moderation} {
		if !slices.Contains(got, id) {
			t.Errorf("%s: the models are %v, without %s", s.name, got, id)
		}
	}
	if slices.Contains(got, "gpt-6-astra") {
		t.Errorf("%s: the models are %v, with one that nobody may use here", s.name, got)
	}
	if one := s.ok(t, call{Op: "model", ID: model}).IDs; !slices.Equal(one, []string{model}) {
		t.Errorf("%s: model %s is %v", s.name, model, one)
	}
	none := s.ask(t, "", without(0, call{Op: "model", ID: "gpt-6-astra"}))
	s.raises(t, none, refusal{status: 404, code: "model_not_found", says: "GET /v1/models"})
}

func moderates(t *testing.T, s *seat) {
	if got := s.ok(t, call{Op: "moderate", Prompt: "A kind word"}).Flagged; !slices.Equal(got, []bool{false}) {
		t.Errorf("%s: flagged is %v, want false", s.name, got)
	}
	if got := s.ok(t, call{Op: "moderate", Prompt: "[[sim flagged=violence]] Another"}).Flagged; !slices.Equal(got, []bool{true}) {
		t.Errorf("%s: flagged is %v, want true", s.name, got)
	}
}
