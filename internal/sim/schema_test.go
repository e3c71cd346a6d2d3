package sim

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestExamplesFitTheirSchema(t *testing.T) {
	for _, c := range []struct{ schema, want string }{
		{``, `{}`},
		{`null`, `{}`},
		{`true`, `null`},
		{`{}`, `null`},
		{`{"type":"string"}`, `"simulated: why?"`},
		{`{"type":"string","maxLength":3}`, `"sim"`},
		{`{"type":"string","minLength":18}`, `"simulated: why?..."`},
		{`{"type":"string","format":"date-time"}`, `"2026-01-31T12:00:00Z"`},
		{`{"type":["string","null"]}`, `"simulated: why?"`},
		{`{"type":"integer"}`, `7`},
		{`{"type":"integer","minimum":8.5}`, `9`},
		{`{"type":"integer","exclusiveMinimum":9}`, `10`},
		{`{"type":"integer","maximum":3.5}`, `3`},
		{`{"type":"integer","exclusiveMaximum":3}`, `2`},
		{`{"type":"number","minimum":0.25,"exclusiveMaximum":0.75}`, `0.5`},
		{`{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}`, `0.5`},
		{`{"type":"boolean"}`, `true`},
		{`{"type":"null"}`, `null`},
		{`{"enum":["b","a"]}`, `"b"`},
		{`{"const":{"a":[1]}}`, `{"a":[1]}`},
		{`{"anyOf":[{"type":"null"},{"type":"string"}]}`, `null`},
		{`{"type":"array","items":{"type":"integer"}}`, `[7]`},
		{`{"type":"array","items":{"type":"integer"},"minItems":3}`, `[7,7,7]`},
		{`{"type":"array","items":{"type":"integer"},"maxItems":0}`, `[]`},
		{`{"type":"object"}`, `{}`},
		{`{"type":"object","properties":{"z":{"type":"integer"},"a":{"type":"array","items":{"type":"object","properties":{"b\"":{"type":"boolean"}}}}},"required":["z","a"],"additionalProperties":false}`,
			`{"z":7,"a":[{"b\"":true}]}`},
		{`{"properties":{"a":{}}}`, `{"a":null}`},
		{strings.Repeat(`{"items":`, 47) + `{}` + strings.Repeat(`}`, 47), strings.Repeat("[", 47) + "null" + strings.Repeat("]", 47)}, // as deep as keyshield sends
	} {
		got, err := example(jsontext.Value(c.schema), " why? ")
		if err != nil || got != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.schema, got, err, c.want)
		}
	}
	for schema, want := range map[string]string{
		`{"$ref":"#/$defs/a"}`:                                                          "only simple",
		`{"type":"object","properties":[]}`:                                             "only simple",
		`{"type":"colour"}`:                                                             "only simple",
		`{"type":"integer","minimum":1e300}`:                                            "too much",
		`{"type":"string","minLength":99999999}`:                                        "only simple",
		`{"type":"array","items":{},"minItems":9999999}`:                                "too large",
		strings.Repeat(`{"type":"array","items":`, 70) + `{}` + strings.Repeat(`}`, 70): "too deeply",
		`7`: "only simple",
	} {
		if got, err := example(jsontext.Value(schema), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %.80s, %v; want %q", schema, got, err, want)
		}
	}
}

// Whatever the schema, an example is refused or is JSON, and the same each time.
func FuzzExample(f *testing.F) {
	for _, seed := range []string{
		`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"array","items":{"enum":[1,2]}}}}`, `{"const":1e999}`,
		`{"type":"number","minimum":1e308,"maximum":-1e308}`, `{"type":["integer"],"minimum":-3,"maximum":-3}`, `{"anyOf":[{"const":"x"}]}`,
	} {
		f.Add(seed, "why?")
	}
	f.Fuzz(func(t *testing.T, schema, asked string) {
		if !jsontext.Value(schema).IsValid() {
			return // a decoded request holds none
		}
		asked = strings.ToValidUTF8(asked, "?")
		got, err := example(jsontext.Value(schema), asked)
		if err != nil {
			return
		}
		if !json.Valid([]byte(got)) {
			t.Fatalf("%q: got %q, want JSON", schema, got)
		}
		if again, _ := example(jsontext.Value(schema), asked); again != got {
			t.Fatalf("%q: got %q and then %q", schema, got, again)
		}
	})
}
