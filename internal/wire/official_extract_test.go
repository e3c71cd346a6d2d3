package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

const officialFile = "testdata/openapi/requests.json"

// descriptionFile is OpenAI's whole description, which is not kept here.
var descriptionFile = flag.String("openapi", "", "OpenAI's description (YAML) to hold the extract of its requests against; with -update, to make it from")

// TestExtractIsWhatTheDescriptionSays extracts the requests and holds them against
// the file in use. Without the whole description, the extract is its own: an extract
// of it must be the same, so that nothing is missing, left over or out of order.
func TestExtractIsWhatTheDescriptionSays(t *testing.T) {
	from := officialFile
	if *descriptionFile != "" {
		from = *descriptionFile
	}
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	want, err := extract(data)
	if err != nil {
		t.Fatalf("%s: %v", from, err)
	}
	if *descriptionFile != "" && *update {
		if err := os.WriteFile(officialFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(officialFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what %s says; README.md beside it says how to make it anew (-want +got):\n%s", officialFile, from, diff)
	}
}

// officialPaths are the endpoints whose requests are extracted.
var officialPaths = []string{"/chat/completions", "/responses", "/embeddings", "/moderations"}

// official is what we need of a description, the whole one's shape.
type official struct {
	Info struct {
		Title   string `json:"title" yaml:"title"`
		Version string `json:"version" yaml:"version"`
		License any    `json:"license" yaml:"license"`
	} `json:"info" yaml:"info"`
	Paths      map[string]officialPath `json:"paths" yaml:"paths"`
	Components struct {
		Schemas map[string]object `json:"schemas" yaml:"schemas"`
	} `json:"components" yaml:"components"`
}

type officialPath struct {
	Post struct {
		RequestBody struct {
			Content map[string]struct {
				Schema object `json:"schema" yaml:"schema"`
			} `json:"content" yaml:"content"`
		} `json:"requestBody" yaml:"requestBody"`
	} `json:"post" yaml:"post"`
}

// extract reduces a description to the requests and what they refer to, a schema a
// line.
func extract(description []byte) ([]byte, error) {
	x := extractor{schemas: make(map[string]any)}
	if err := yaml.Unmarshal(description, &x.all); err != nil { // JSON is YAML too
		return nil, err
	}
	paths := make(map[string]any)
	for _, path := range officialPaths {
		body := x.all.request(path)
		if body == nil {
			return nil, fmt.Errorf("%s has no request in JSON", path)
		}
		paths[path] = object{"post": object{"requestBody": object{"content": object{"application/json": object{"schema": x.reduce(body)}}}}}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"info\":%s,\n\"paths\":%s,\n\"components\":{\"schemas\":%s}}\n", line(x.all.Info), lines(paths), lines(x.schemas))
	return b.Bytes(), x.err
}

func line(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // what was read from YAML with names for keys is JSON
	}
	return bytes.TrimSpace(b.Bytes())
}

// lines is an object with a member a line, in the order of their names.
func lines(members map[string]any) []byte {
	var rows []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		rows = append(rows, fmt.Sprintf("%q:%s", name, line(members[name])))
	}
	return []byte("{\n" + strings.Join(rows, ",\n") + "\n}")
}

// extractor collects the schemas that are referred to.
type extractor struct {
	all     official
	schemas map[string]any
	err     error
}

// reduce keeps what a schema allows, and nothing that explains it.
func (x *extractor) reduce(schema object) object {
	kept := object{}
	for keyword, v := range schema {
		switch keyword {
		case "type", "required", "enum", "minimum", "maximum", "minItems", "minLength":
			kept[keyword] = v
		case "$ref":
			kept[keyword] = v
			x.refer(v)
		case "items", "additionalProperties":
			kept[keyword] = x.part(v)
		case "allOf", "anyOf", "oneOf":
			parts := slices.Clone(v.([]any))
			for i := range parts {
				parts[i] = x.part(parts[i])
			}
			kept[keyword] = parts
		case "properties":
			members := maps.Clone(v.(object))
			for name := range members {
				members[name] = x.part(members[name])
			}
			kept[keyword] = members
		case "const", "not", "if", "prefixItems", "patternProperties", "dependentSchemas", "unevaluatedProperties":
			x.err = errors.Join(x.err, fmt.Errorf("the keyword %q is not understood yet: %v", keyword, schema))
		}
	}
	return kept
}

// part reduces what is a schema, or true or false in place of one.
func (x *extractor) part(v any) any {
	if schema, ok := v.(object); ok {
		return x.reduce(schema)
	}
	return v
}

const schemasAt = "#/components/schemas/"

// refer adds the schema that is referred to, once.
func (x *extractor) refer(ref any) {
	name := strings.TrimPrefix(ref.(string), schemasAt)
	schema, ok := x.all.Components.Schemas[name]
	if !ok {
		x.err = errors.Join(x.err, fmt.Errorf("%s is not there", ref))
		return
	}
	if _, done := x.schemas[name]; !done {
		x.schemas[name] = nil // it may refer to itself
		x.schemas[name] = x.reduce(schema)
	}
}
