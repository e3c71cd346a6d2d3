package sim_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	openai "github.com/sashabaranov/go-openai"

	"keyshield/internal/sim"
)

func embedding(members string) string {
	return `{"model":"text-embedding-3-small",` + members + `}`
}

type vectors struct {
	Object string
	Model  string
	Debug  string
	Data   []struct {
		Object    string
		Index     int
		Embedding json.RawMessage
	}
	Usage *struct {
		Prompt int `json:"prompt_tokens"`
		Total  int `json:"total_tokens"`
	}
}

func (w *world) embed(t *testing.T, body string) vectors {
	t.Helper()
	a := w.post(t, "/v1/embeddings", body)
	var v vectors
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: got %d %.300s, %v", body, a.status, a.body, err)
	}
	return v
}

func (v vectors) floats(t *testing.T, i int) []float32 {
	t.Helper()
	var floats []float32
	if err := json.Unmarshal(v.Data[i].Embedding, &floats); err != nil {
		t.Fatal(err)
	}
	return floats
}

func (v vectors) decoded(t *testing.T, i int) []float32 {
	t.Helper()
	var text string
	if err := json.Unmarshal(v.Data[i].Embedding, &text); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	floats := make([]float32, len(raw)/4)
	for i := range floats {
		floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return floats
}

func TestVectorsAreTheSameInBothEncodings(t *testing.T) {
	w := start(t, sim.Options{})
	for model, size := range map[string]int{"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536} {
		const input = `"input":["one","two","one"]`
		body := strings.Replace(embedding(input), "text-embedding-3-small", model, 1)
		plain, packed := w.embed(t, body), w.embed(t, strings.Replace(body, "{", `{"encoding_format":"base64",`, 1))
		if plain.Object != "list" || plain.Model != model || len(plain.Data) != 3 || plain.Data[2].Index != 2 || plain.Data[2].Object != "embedding" {
			t.Errorf("%s: got %+v", model, plain)
		}
		for i := range 3 {
			v := plain.floats(t, i)
			if diff := cmp.Diff(v, packed.decoded(t, i)); diff != "" || len(v) != size {
				t.Errorf("%s: got %d numbers, want %d, the same in both encodings\n%s", model, len(v), size, diff)
			}
			length := 0.0
			for _, x := range v {
				length += float64(x) * float64(x)
			}
			if math.Abs(length-1) > 1e-5 {
				t.Errorf("%s: the vector's length is %v, want 1", model, math.Sqrt(length))
			}
		}
		if one, two, again := plain.floats(t, 0), plain.floats(t, 1), plain.floats(t, 2); !cmp.Equal(one, again) || cmp.Equal(one, two) {
			t.Errorf("%s: want the same vector for the same text and only for that", model)
		}
	}
}

func TestEmbeddingsAreBilled(t *testing.T) {
	for _, c := range []struct {
		model, members string
		in, nano       int64
	}{
		{"text-embedding-3-small", `"input":"12345678"`, 2, 2 * 20},
		{"text-embedding-3-large", `"input":["1234","5678","9"]`, 3, 3 * 130},
		{"text-embedding-ada-002", `"input":[1,2,3,4]`, 4, 4 * 100},
		{"text-embedding-3-small", `"input":[[1,2],[3]],"dimensions":2`, 3, 3 * 20},
		{"text-embedding-3-small", `"input":"[[sim harsh]]x"`, 14, 14 * 20},
		{"text-embedding-3-small", `"input":"[[sim status=500 bill]]x"`, 6, 6 * 20},
		{"text-embedding-3-small", `"input":"[[sim status=500]]x"`, 0, 0},
		{"text-embedding-3-small", `"input":"[[sim fault=cut]]xy"`, 5, 5 * 20},
		{"something-new", `"input":"1234"`, 1, 10_000},
	} {
		w := start(t, sim.Options{})
		w.post(t, "/v1/embeddings", `{"model":"`+c.model+`",`+c.members+`}`)
		if r := w.Report(); r.BillNano != c.nano || r.TokensIn != c.in || r.TokensOut != 0 || r.Models[c.model].BillNano != c.nano {
			t.Errorf("%s %s: got %d nano-dollars for %d + %d tokens, want %d for %d", c.model, c.members, r.BillNano, r.TokensIn, r.TokensOut, c.nano, c.in)
		}
	}
}

func TestGoOpenAIUnderstandsEmbeddings(t *testing.T) {
	w := start(t, sim.Options{})
	for _, format := range []openai.EmbeddingEncodingFormat{openai.EmbeddingEncodingFormatFloat, openai.EmbeddingEncodingFormatBase64} {
		got, err := client(w).CreateEmbeddings(t.Context(), openai.EmbeddingRequest{Input: []string{"a", "b"}, Model: openai.SmallEmbedding3, EncodingFormat: format, Dimensions: 7})
		if err != nil || len(got.Data) != 2 || len(got.Data[1].Embedding) != 7 || got.Usage.PromptTokens != 1 || got.Usage.TotalTokens != 1 {
			t.Errorf("%s: got %+v, %v; want two vectors of seven numbers", format, got, err)
		}
	}
}

func TestEmbeddingsUsageCanLie(t *testing.T) {
	w := start(t, sim.Options{})
	for words, right := range map[string]func(vectors) bool{
		"usage=missing":  func(v vectors) bool { return v.Usage == nil },
		"usage=null":     func(v vectors) bool { return v.Usage == nil },
		"usage=zero":     func(v vectors) bool { return v.Usage.Prompt == 0 && v.Usage.Total == 0 },
		"usage=negative": func(v vectors) bool { return v.Usage.Prompt < 0 && v.Usage.Total < 0 },
		"usage=huge":     func(v vectors) bool { return v.Usage.Prompt == 1<<63-1 && v.Usage.Total == 1<<63-1 },
		"leak=whole":     func(v vectors) bool { return v.Debug == key },
		"leak=fields":    func(v vectors) bool { return v.Model == key },
		"model=other":    func(v vectors) bool { return v.Model == "other" },
	} {
		if got := w.embed(t, embedding(`"input":"[[sim `+words+`]]"`)); !right(got) {
			t.Errorf("%s: got %+v, %+v", words, got.Model, got.Usage)
		}
	}
}

func TestEmbeddingsRefuseWhatOpenAIRefuses(t *testing.T) {
	w := start(t, sim.Options{})
	for _, c := range []struct {
		body   string
		status int
		param  any
		want   string
	}{
		{`{"input":"x"}`, 400, nil, "you must provide a model"},
		{embedding(`"dimensions":3`), 400, "input", "Missing"},
		{embedding(`"input":""`), 400, "input", "empty"},
		{embedding(`"input":[]`), 400, "input", "empty array"},
		{embedding(`"input":["a",""]`), 400, "input", "empty"},
		{embedding(`"input":["a",1]`), 400, "input", "array of integer arrays"},
		{embedding(`"input":[1,"a"]`), 400, "input[1]", "an integer"},
		{embedding(`"input":{}`), 400, "input", "array of integer arrays"},
		{embedding(`"input":[true]`), 400, "input", "array of integer arrays"},
		{embedding(`"input":"x","encoding_format":"hex"`), 400, "encoding_format", "'hex'"},
		{embedding(`"input":"x","dimensions":0`), 400, "dimensions", ">= 1"},
		{embedding(`"input":"x","dimensions":1537`), 400, "dimensions", "<= 1536"},
		{embedding(`"input":"x","stream":true`), 400, "stream", "Unknown"},
		{embedding(`"input":"` + strings.Repeat("x", 4*8192+1) + `"`), 400, nil, "8193 tokens"},
		{embedding(`"input":["x"` + strings.Repeat(`,"x"`, 2048) + `]`), 400, "input", "2049"},
		{embedding(`"input":[` + strings.Repeat(`"`+strings.Repeat("x", 32_000)+`",`, 38) + `"x"]`), 400, "input", "300000 tokens"},
		{`{"model":"text-embedding-ada-002","input":"x","dimensions":3}`, 400, "dimensions", "does not support"},
		{`{"model":"gpt-4o","input":"x"}`, 403, nil, "not allowed to generate embeddings"},
	} {
		got := w.post(t, "/v1/embeddings", c.body)
		if e := envelope(t, got.body); got.status != c.status || e["param"] != c.param || !strings.Contains(e["message"].(string), c.want) {
			t.Errorf("%.80s: got %d %v, want %d, param %v and %q", c.body, got.status, e, c.status, c.param, c.want)
		}
	}
	if r := w.Report(); r.BillNano != 0 || r.Refused != r.Calls {
		t.Errorf("got %+v, want every call refused and none billed", r)
	}
}
