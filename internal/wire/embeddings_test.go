package wire_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/wire"
)

func TestEmbeddingsAsTheyGoUpstream(t *testing.T) {
	for _, tt := range []struct {
		body string
		want wire.EmbeddingsRequest
		sent string
	}{
		{`{"model":"m","input":"é"}`, wire.EmbeddingsRequest{Asked: wire.Asked{Model: "m"}, Inputs: 1}, `{"model":"m","input":"é","encoding_format":"float"}`},
		{`{"input":["a"],"model":"m","encoding_format":null,"dimensions":null,"user":null}`,
			wire.EmbeddingsRequest{Asked: wire.Asked{Model: "m"}, Inputs: 1}, `{"model":"m","input":["a"],"encoding_format":"float"}`},
		{`{"model":"m","input":["a"," ","c"],"encoding_format":"base64","dimensions":16384,"user":"dropped"}`,
			wire.EmbeddingsRequest{Asked: wire.Asked{Model: "m"}, Inputs: 3, Base64: true, Dimensions: 16384}, `{"model":"m","input":["a"," ","c"],"encoding_format":"base64","dimensions":16384}`},
	} {
		got, err := wire.ReadEmbeddingsRequest([]byte(tt.body))
		if err != nil {
			t.Errorf("%s: %v", tt.body, err)
			continue
		}
		if got.Model != tt.want.Model || got.Inputs != tt.want.Inputs || got.Base64 != tt.want.Base64 || got.Dimensions != tt.want.Dimensions {
			t.Errorf("%s = %+v, want %+v", tt.body, got, tt.want)
		}
		if diff := cmp.Diff("x"+tt.sent, string(got.Append([]byte("x")))); diff != "" {
			t.Errorf("%s:\n%s", tt.body, diff)
		}
	}
	largest := `{"model":"m","input":[` + numbered(2048, `"%d"`) + `]}`
	if got, err := wire.ReadEmbeddingsRequest([]byte(largest)); err != nil || got.Inputs != 2048 {
		t.Errorf("2048 inputs: %+v, %v", got, err)
	}
}

var embeddingsRefused = []refusal{
	{`[]`, "invalid_json", "", "JSON"},
	{`{"input":"a"}`, "invalid_field", "model", "missing"},
	{`{"model":"m"}`, "invalid_field", "input", "missing"},
	{`{"model":"m","input":null}`, "invalid_field", "input", "missing"},
	{`{"model":"m","input":""}`, "invalid_field", "input", "empty"},
	{`{"model":"m","input":[]}`, "invalid_field", "input", "empty"},
	{`{"model":"m","input":["a",""]}`, "invalid_field", "input[1]", "empty"},
	{`{"model":"m","input":[1,2,3]}`, "invalid_field", "input[0]", "token ids"},
	{`{"model":"m","input":["a",2]}`, "invalid_field", "input[1]", "must be text"},
	{`{"model":"m","input":[[1,2],[3]]}`, "invalid_field", "input[0]", "no bound by bytes"},
	{`{"model":"m","input":[null]}`, "invalid_field", "input[0]", "string"},
	{`{"model":"m","input":{"text":"a"}}`, "invalid_field", "input", "array"},
	{`{"model":"m","input":[` + numbered(2049, `"%d"`) + `]}`, "invalid_field", "input", "2048"},
	{`{"model":"m","input":"a","encoding_format":"int8"}`, "invalid_field", "encoding_format", "base64"},
	{`{"model":"m","input":"a","dimensions":0}`, "invalid_field", "dimensions", "from 1 to 16384"},
	{`{"model":"m","input":"a","dimensions":16385}`, "invalid_field", "dimensions", "16384"},
	{`{"model":"m","input":"a","user":"` + strings.Repeat("u", 513) + `"}`, "invalid_field", "user", "512"},
	{`{"model":"m","input":"a","service_tier":"flex"}`, "unknown_field", "service_tier", ""},
	{`{"model":"m","input":"a","Input":"b"}`, "duplicate_field", "Input", "input"},
	{`{"model":"m","input":"a","input":"b"}`, "duplicate_field", "input", "more than once"},
}

func TestWhatIsRefusedInEmbeddings(t *testing.T) {
	checkRefusals(t, reads(wire.ReadEmbeddingsRequest), "%s", embeddingsRefused)
}
