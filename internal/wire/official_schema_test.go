package wire_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// kind is one of the things that may stand in a place of a request: references and
// unions resolved, null left out, since it is the same as absent.
type kind struct {
	name     string // string, integer, number, boolean, array; of objects their type, role or schema
	values   []any  // all there are, nil when there are more
	min, max float64
	least    int               // elements, or bytes
	members  map[string]object // of an object; nil when they are free
	pinned   string            // the member that the name stands for
	required []string
	elements []object // of an array: what each may be
	schema   string   // where it is described, of an object
}

const unbounded = 1e300

func readOfficial(t *testing.T) *official {
	t.Helper()
	data, err := os.ReadFile(officialFile)
	if err != nil {
		t.Fatal(err)
	}
	var all official
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return &all
}

func (all *official) request(path string) object {
	return all.Paths[path].Post.RequestBody.Content["application/json"].Schema
}

// kinds are what any of the schemas allows. Values of one type are one kind; objects
// are told apart by their type, or else by their role or the name of their schema.
func (all *official) kinds(schemas ...object) []kind {
	var flat, merged []kind
	for _, s := range schemas {
		flat = append(flat, all.flatten(s, "")...)
	}
	for _, k := range flat {
		i := slices.IndexFunc(merged, func(m kind) bool { return m.name == k.name && k.name != "object" })
		if i < 0 {
			merged = append(merged, k)
			continue
		}
		m := &merged[i]
		m.elements = append(m.elements, k.elements...)
		if m.values == nil || k.values == nil {
			m.values = nil
		} else {
			m.values = append(slices.Clip(m.values), k.values...)
		}
	}
	return all.named(merged)
}

// named gives the objects of a union their names.
func (all *official) named(kinds []kind) (each []kind) {
	if len(kinds) < 2 {
		return kinds
	}
	count := make(map[string]int)
	for _, k := range kinds {
		names, by := all.nameOf(k)
		for _, name := range names {
			one := k
			if count[name]++; by != "" {
				one.members = maps.Clone(k.members)
				one.members[by] = object{"type": "string", "enum": []any{name}}
				one.pinned = by
			}
			one.name = name
			each = append(each, one)
		}
	}
	for i := range each {
		switch k := &each[i]; {
		case k.schema != "" && count[k.name] > 1:
			k.name, k.pinned = k.schema, ""
		case k.pinned != "" && !slices.Contains(k.required, k.pinned):
			k.required = append(slices.Clip(k.required), k.pinned)
		}
	}
	return each
}

// nameOf is the types that an object can have, or else its only role, and which
// member says so.
func (all *official) nameOf(k kind) (names []string, by string) {
	for _, by := range []string{"type", "role"} {
		says, ok := k.members[by]
		if !ok {
			continue
		}
		for _, v := range all.kinds(says)[0].values {
			names = append(names, v.(string))
		}
		if by == "type" && len(names) > 0 || len(names) == 1 {
			return names, by
		}
		names = nil
	}
	return []string{k.name}, ""
}

// flatten resolves a schema, which stands in the place of that name if it has one.
func (all *official) flatten(s object, name string) []kind {
	if ref, ok := s["$ref"].(string); ok {
		name = strings.TrimPrefix(ref, schemasAt)
		return all.flatten(all.Components.Schemas[name], name)
	}
	if parts, ok := s["allOf"].([]any); ok {
		return []kind{all.merge(parts, name)}
	}
	for _, union := range []string{"anyOf", "oneOf"} {
		if branches, ok := s[union].([]any); ok {
			var flat []kind
			for _, b := range branches {
				flat = append(flat, all.flatten(b.(object), name)...)
			}
			return flat
		}
	}
	k := kind{schema: name, min: -unbounded, max: unbounded}
	typed := false
	if k.name, typed = s["type"].(string); !typed && s["type"] != nil {
		panic(fmt.Sprintf("schema %q is not understood: %v", name, s))
	}
	k.values, _ = s["enum"].([]any)
	k.bounds(s)
	switch k.name {
	case "null":
		return nil
	case "boolean":
		k.values = []any{true, false}
	case "array":
		k.elements = []object{s["items"].(object)}
	case "object":
		k.object(s)
	case "string", "integer", "number":
	case "": // anything goes, where nothing is described
		k.name = "object"
	default:
		panic(fmt.Sprintf("schema %q is not understood: %v", name, s))
	}
	return []kind{k}
}

// nullable says whether a schema lets null stand for nothing.
func (all *official) nullable(s object) bool {
	if ref, ok := s["$ref"].(string); ok {
		return all.nullable(all.Components.Schemas[strings.TrimPrefix(ref, schemasAt)])
	}
	for _, union := range []string{"anyOf", "oneOf"} {
		branches, _ := s[union].([]any)
		if slices.ContainsFunc(branches, func(b any) bool { return all.nullable(b.(object)) }) {
			return true
		}
	}
	return s["type"] == "null"
}

func (k *kind) bounds(s object) {
	for keyword, to := range map[string]*float64{"minimum": &k.min, "maximum": &k.max} {
		if x, ok := s[keyword].(float64); ok {
			*to = x
		}
	}
	for _, keyword := range []string{"minItems", "minLength"} {
		if x, ok := s[keyword].(float64); ok {
			k.least = int(x)
		}
	}
}

func (k *kind) object(s object) {
	if properties, ok := s["properties"].(object); ok {
		k.members = make(map[string]object)
		for name, p := range properties {
			k.members[name] = p.(object)
		}
	}
	required, _ := s["required"].([]any)
	for _, name := range required {
		k.required = append(k.required, name.(string))
	}
}

// merge is an object of which each part describes some members.
func (all *official) merge(parts []any, name string) kind {
	whole := kind{name: "object", schema: name, members: make(map[string]object)}
	for _, part := range parts {
		for _, k := range all.flatten(part.(object), name) {
			maps.Copy(whole.members, k.members)
			whole.required = append(whole.required, k.required...)
		}
	}
	return whole
}

// allows says whether a value is one of the kind, as far as it is a plain one.
func (k kind) allows(v any) bool {
	if k.values != nil {
		return slices.Contains(k.values, v)
	}
	switch v := v.(type) {
	case string:
		return k.name == "string" && len(v) >= k.least
	case float64:
		return (k.name == "integer" && v == float64(int64(v)) || k.name == "number") && v >= k.min && v <= k.max
	case []any:
		return k.name == "array"
	case object:
		return !slices.Contains([]string{"string", "integer", "number", "array"}, k.name)
	}
	return false
}

// leaf says whether there is nothing inside that has verdicts of its own.
func (k kind) leaf() bool { return k.members == nil && k.elements == nil }
