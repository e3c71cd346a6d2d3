package sim

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// format is the form the text must have.
type format struct {
	json   bool
	schema jsontext.Value // may be absent
}

// readFormat reads response_format, or text.format. mentions tells whether the
// conversation contains a word.
func readFormat(e endpoint, raw jsontext.Value, mentions func(string) bool) (f format, err error) {
	path := map[endpoint]string{chats: "response_format", responses: "text.format"}[e]
	if !present(raw) {
		return f, nil
	}
	kind, err := typeOf(raw, path)
	if err != nil {
		return f, err
	}
	type named struct {
		Type        string         `json:"type,omitzero"`
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Schema      jsontext.Value `json:"schema"`
		Strict      *bool          `json:"strict"`
	}
	var n named
	switch {
	case kind == "json_schema" && e == chats:
		var wrapped struct {
			Type       string         `json:"type"`
			JSONSchema jsontext.Value `json:"json_schema"`
		}
		if err := decode(raw, path, &wrapped); err != nil {
			return f, err
		}
		path += ".json_schema"
		if !present(wrapped.JSONSchema) {
			return f, missing(path)
		}
		err = decode(wrapped.JSONSchema, path, &n)
	case kind == "json_schema":
		err = decode(raw, path, &n)
		if err == nil && !present(n.Schema) {
			return f, missing(path + ".schema")
		}
	case kind == "json_object" && !mentions("json"):
		return f, invalid(path, "", "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
	case kind == "json_object" || kind == "text":
		return format{json: kind == "json_object"}, decode(raw, path, &struct {
			Type string `json:"type"`
		}{})
	default:
		return f, invalidValue(path+".type", kind, []string{"text", "json_object", "json_schema"})
	}
	switch {
	case err != nil:
		return f, err
	case n.Name == "":
		return f, missing(path + ".name")
	case !toolName.MatchString(n.Name):
		return f, invalid(path+".name", "invalid_value", "Invalid '%s.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.", path)
	case n.Strict != nil && *n.Strict && !rootIsObject(n.Schema):
		return f, invalid(path, "", "Invalid schema for response_format '%s': schema must be a JSON Schema of 'type: \"object\"' with 'additionalProperties' false.", n.Name)
	}
	return format{json: true, schema: n.Schema}, nil
}

func rootIsObject(schema jsontext.Value) bool {
	var root struct {
		Type       jsontext.Value `json:"type"`
		Additional *bool          `json:"additionalProperties"`
	}
	err := json.Unmarshal(schema, &root)
	return err == nil && string(root.Type) == `"object"` && root.Additional != nil && !*root.Additional
}

// schema is the part of JSON Schema that OpenAI's structured outputs take.
type schema struct {
	Type       jsontext.Value   `json:"type"`
	Properties jsontext.Value   `json:"properties"`
	Items      jsontext.Value   `json:"items"`
	Enum       []jsontext.Value `json:"enum"`
	Const      jsontext.Value   `json:"const"`
	AnyOf      []jsontext.Value `json:"anyOf"`
	OneOf      []jsontext.Value `json:"oneOf"`
	AllOf      []jsontext.Value `json:"allOf"`
	Ref        string           `json:"$ref"`
	Defs       jsontext.Value   `json:"$defs"`
	MinItems   int              `json:"minItems"`
	MaxItems   *int             `json:"maxItems"`
	MinLength  int              `json:"minLength"`
	MaxLength  *int             `json:"maxLength"`
	Minimum    *float64         `json:"minimum"`
	Above      *float64         `json:"exclusiveMinimum"`
	Maximum    *float64         `json:"maximum"`
	Below      *float64         `json:"exclusiveMaximum"`
	Format     string           `json:"format"`
}

var (
	errSchema = errors.New("the simulator fits only simple schemas: types, enum, const, properties, items, bounds and anyOf; no $ref, oneOf or allOf")
	errDeep   = errors.New("the schema is nested too deeply")
)

const (
	maxDepth   = 64
	maxExample = 64 << 10 // bytes, and a bound for minItems and minLength
)

// example is JSON that fits a schema, always the same for the same question. An
// absent schema fits anything.
func example(s jsontext.Value, asked string) (string, error) {
	if !present(s) {
		return "{}", nil
	}
	b, err := appendExample(nil, s, shorten(oneLine(asked), 40), 0)
	return string(b), err
}

func appendExample(dst []byte, raw jsontext.Value, asked string, depth int) ([]byte, error) {
	var s schema
	switch {
	case depth > maxDepth:
		return nil, errDeep
	case len(dst) > maxExample:
		return nil, errors.New("what fits the schema is too large")
	case raw.Kind() == 't':
		return append(dst, "null"...), nil // anything fits
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, errSchema
	}
	switch {
	case s.Ref != "" || present(s.Defs) || len(s.OneOf)+len(s.AllOf) > 0:
		return nil, errSchema
	case len(s.Const) > 0:
		return append(dst, s.Const...), nil
	case len(s.Enum) > 0:
		return append(dst, s.Enum[0]...), nil
	case len(s.AnyOf) > 0:
		return appendExample(dst, s.AnyOf[0], asked, depth+1)
	}
	switch s.kind() {
	case "object":
		return s.appendObject(dst, asked, depth)
	case "array":
		return s.appendArray(dst, asked, depth)
	case "string":
		return s.appendText(dst, asked)
	case "integer", "number":
		return s.appendNumber(dst)
	case "boolean":
		return append(dst, "true"...), nil
	case "null", "":
		return append(dst, "null"...), nil
	}
	return nil, errSchema
}

// kind is the type, the first of several, or what the other members tell.
func (s *schema) kind() string {
	var one string
	var several []string
	switch {
	case json.Unmarshal(s.Type, &one) == nil:
		return one
	case json.Unmarshal(s.Type, &several) == nil && len(several) > 0:
		return several[0]
	case present(s.Properties):
		return "object"
	case present(s.Items):
		return "array"
	}
	return ""
}

// appendObject writes every property, required or not, in the schema's order.
func (s *schema) appendObject(dst []byte, asked string, depth int) ([]byte, error) {
	dst = append(dst, '{')
	if present(s.Properties) {
		if s.Properties.Kind() != '{' {
			return nil, errSchema
		}
		members, err := membersOf(s.Properties)
		if err != nil {
			return nil, err
		}
		for i, m := range members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, m.name, false), ':')
			if dst, err = appendExample(dst, m.value, asked, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return append(dst, '}'), nil
}

type member struct {
	name  string
	value jsontext.Value
}

// membersOf keeps the order, which a map would not.
func membersOf(object jsontext.Value) ([]member, error) {
	var members []member
	d := jsontext.NewDecoder(strings.NewReader(string(object)))
	if _, err := d.ReadToken(); err != nil {
		return nil, errSchema
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, errSchema
		}
		text := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return nil, errSchema
		}
		members = append(members, member{text, value.Clone()})
	}
	return members, nil
}

func (s *schema) appendArray(dst []byte, asked string, depth int) (_ []byte, err error) {
	n := max(1, s.MinItems)
	if s.MaxItems != nil {
		n = min(n, *s.MaxItems)
	}
	if !present(s.Items) {
		n = min(n, 0)
	}
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendExample(dst, s.Items, asked, depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func (s *schema) appendText(dst []byte, asked string) ([]byte, error) {
	text := map[string]string{
		"date-time": "2026-01-31T12:00:00Z", "date": "2026-01-31", "time": "12:00:00Z", "duration": "PT1H",
		"email": "simulator@example.com", "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
		"uuid": "00000000-0000-4000-8000-000000000000", "uri": "https://example.com/",
	}[s.Format]
	if text == "" {
		text = "simulated: " + asked
	}
	if s.MinLength > maxExample {
		return nil, errSchema
	}
	characters := []rune(text)
	for len(characters) < s.MinLength {
		characters = append(characters, '.')
	}
	if s.MaxLength != nil && *s.MaxLength >= 0 && len(characters) > *s.MaxLength {
		characters = characters[:*s.MaxLength]
	}
	return appendString(dst, string(characters), false), nil
}

func (s *schema) highest() float64 {
	high := math.Inf(1)
	for _, bound := range []*float64{s.Maximum, s.Below} {
		if bound != nil {
			high = math.Min(high, *bound)
		}
	}
	return high
}

func (s *schema) lowest() float64 {
	low := math.Inf(-1)
	for _, bound := range []*float64{s.Minimum, s.Above} {
		if bound != nil {
			low = math.Max(low, *bound)
		}
	}
	return low
}

// appendNumber takes 7, or the whole number nearest to it within the bounds.
func (s *schema) appendNumber(dst []byte) ([]byte, error) {
	n := 7.0
	if s.Maximum != nil {
		n = math.Min(n, math.Floor(*s.Maximum))
	}
	if s.Below != nil {
		n = math.Min(n, math.Ceil(*s.Below)-1)
	}
	if s.Minimum != nil {
		n = math.Max(n, math.Ceil(*s.Minimum))
	}
	if s.Above != nil {
		n = math.Max(n, math.Floor(*s.Above)+1)
	}
	if high := s.highest(); n > high || s.Below != nil && n >= *s.Below { // no whole number lies between the bounds
		return strconv.AppendFloat(dst, (s.lowest()+high)/2, 'g', -1, 64), nil
	}
	if math.Abs(n) > 1<<53 {
		return nil, fmt.Errorf("a number as large as %v is too much for the simulator", n)
	}
	return strconv.AppendInt(dst, int64(n), 10), nil
}
