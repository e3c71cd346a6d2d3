package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/wire"
)

func TestModerationsAsTheyGoUpstream(t *testing.T) {
	for body, want := range map[string]struct{ model, sent string }{
		`{"input":"é"}`:                              {"", `{"model":"ours","input":"é"}`},
		`{"input":"","model":null}`:                  {"", `{"model":"ours","input":""}`},
		`{"model":"theirs","input":["a","b"]}`:       {"theirs", `{"model":"ours","input":["a","b"]}`},
		`{"input":["a"]}`:                            {"", `{"model":"ours","input":["a"]}`},
		`{"input":[{"text":"é","type":"text"}]}`:     {"", `{"model":"ours","input":[{"type":"text","text":"é"}]}`},
		`{"input":[` + numbered(2048, `"%d"`) + `]}`: {"", `{"model":"ours","input":[` + numbered(2048, `"%d"`) + `]}`},
	} {
		got, err := wire.ReadModerationsRequest([]byte(body))
		if err != nil || got.Model != want.model {
			t.Errorf("%.100s = %+v, %v", body, got, err)
			continue
		}
		if diff := cmp.Diff("x"+want.sent, string(got.Append([]byte("x"), "ours"))); diff != "" {
			t.Errorf("%.100s:\n%s", body, diff)
		}
	}
}

var moderationsRefused = []refusal{
	{`7`, "invalid_json", "", "JSON"},
	{`{}`, "invalid_field", "input", "missing"},
	{`{"input":null}`, "invalid_field", "input", "missing"},
	{`{"input":[]}`, "invalid_field", "input", "empty"},
	{`{"input":7}`, "invalid_field", "input", "array"},
	{`{"input":[7]}`, "invalid_field", "input[0]", "must be text"},
	{`{"input":["a",{"type":"text","text":"b"}]}`, "invalid_field", "input[1]", "same kind"},
	{`{"input":[{"type":"text","text":"b"},"a"]}`, "invalid_field", "input[1]", "same kind"},
	{`{"input":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}`, "invalid_field", "input[0].type", "image"},
	{`{"input":[{"type":"text","text":"a"},{"image_url":{"url":"https://example.com/a.png"},"type":"image_url"}]}`, "invalid_field", "input[1].image_url", "image"},
	{`{"input":[{"type":"refusal","refusal":"a"}]}`, "invalid_field", "input[0].type", `"text"`},
	{`{"input":[{"text":"a"}]}`, "invalid_field", "input[0].type", "missing"},
	{`{"input":[{"type":"text"}]}`, "invalid_field", "input[0].text", "missing"},
	{`{"input":[{"type":"text","text":"a","Text":"b"}]}`, "duplicate_field", "input[0].Text", "text"},
	{`{"input":[` + numbered(2049, `"%d"`) + `]}`, "invalid_field", "input", "2048"},
	{`{"input":"a","model":""}`, "invalid_field", "model", "empty"},
	{`{"input":"a","user":"u"}`, "unknown_field", "user", ""},
}

func TestWhatIsRefusedInModerations(t *testing.T) {
	checkRefusals(t, reads(wire.ReadModerationsRequest), "%s", moderationsRefused)
}
