package wire_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// body is a request with a value in a place, all that it needs, and nothing more; and
// where the value stands in it.
func (w *walker) body(p spot, v any) (object, []any) {
	top := p.wrap(v).(object)
	steps := slices.Clone(p.steps)
	before := object{}
	for _, g := range w.table.given {
		if g.path == "" || within(p.path, g.path) {
			for _, a := range g.args {
				before[a.name] = a.value
			}
		}
	}
	for name, value := range top {
		list, ok := value.([]any)
		if first, given := before[name].([]any); ok && given && name == steps[0] && w.leads(p.path, name) {
			value = append(slices.Clone(first), list...)
			steps[1] = len(first)
		}
		before[name] = value
	}
	return before, steps
}

// leads says whether what is given for a path comes first in the list of that name,
// and is not all of it.
func (w *walker) leads(path, list string) bool {
	return slices.ContainsFunc(w.table.given, func(g given) bool {
		return g.path != "" && within(path, g.path) && within(g.path, list) &&
			slices.ContainsFunc(g.args, func(a argument) bool { return a.name == list })
	})
}

// within says whether a path is another, or inside it.
func within(path, of string) bool {
	rest, ok := strings.CutPrefix(path, of)
	return ok && (rest == "" || strings.ContainsRune(".[{", rune(rest[0])))
}

// least is the smallest value of a kind that is worth a try.
func (w *walker) least(path string, k kind) any {
	if v, ok := w.table.sample[path]; ok {
		return v
	}
	switch {
	case k.values != nil:
		return k.values[0]
	case k.name == "string":
		return "x"
	case k.name == "integer" || k.name == "number":
		return float64(max(1, k.min))
	case k.name == "array":
		return []any{w.leastOf(path, true, k.elements...)}
	}
	o := object{}
	for _, name := range k.required {
		inside := name
		if path != "" {
			inside = path + "." + name
		}
		o[name] = w.leastOf(inside, false, k.members[name])
	}
	return o
}

// leastOf is the smallest value of a kind that the table does not refuse.
func (w *walker) leastOf(path string, element bool, schemas ...object) any {
	kinds := w.all.kinds(schemas...)
	for _, k := range kinds {
		if at := labelled(path, element, len(kinds) > 1, k); !w.table.refuses(at) {
			return w.least(at, k)
		}
	}
	return w.least(path, kinds[0])
}

// tries are values of a kind: all, the bounds, or one.
func (w *walker) tries(p spot, k kind) []any {
	_, given := w.table.sample[p.path]
	switch {
	case given:
	case k.values != nil:
		return k.values
	case k.max < unbounded && k.min > -unbounded && k.min < k.max:
		return []any{k.min, k.max}
	}
	return []any{w.least(p.path, k)}
}

// countedMembers are those whose bytes the ceiling counts several times.
var countedMembers = [][]any{{"tools"}, {"functions"}, {"response_format"}, {"text", "format"}}

func (w *walker) counted(steps []any) bool {
	return slices.ContainsFunc(countedMembers, func(m []any) bool { return len(steps) >= len(m) && equal(steps[:len(m)], m) })
}

// countedBytes is how many bytes of a document are values of counted members.
func countedBytes(doc []byte) (n int) {
	for _, steps := range countedMembers {
		raw := json.RawMessage(doc)
		for _, name := range steps {
			var members map[string]json.RawMessage
			if json.Unmarshal(raw, &members) != nil {
				raw = nil
				break
			}
			raw = members[name.(string)]
		}
		n += len(raw)
	}
	return n
}

// written is where a value stands, as a refusal says it.
func written(steps []any) string {
	var b strings.Builder
	for _, step := range steps {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case string:
			b.WriteString("." + step)
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}

func lookup(v any, steps []any) (found any, there bool) {
	for _, step := range steps {
		switch in := v.(type) {
		case object:
			name, _ := step.(string)
			if v, there = in[name]; !there {
				return nil, false
			}
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// deleted is a document without what stands there, nor a list that is empty then.
func deleted(v any, steps []any) any {
	switch in := v.(type) {
	case object:
		name := steps[0].(string)
		if len(steps) == 1 {
			delete(in, name)
		} else if rest := deleted(in[name], steps[1:]); rest == nil {
			delete(in, name)
		} else {
			in[name] = rest
		}
		return in
	case []any:
		i := steps[0].(int)
		if len(steps) > 1 {
			in[i] = deleted(in[i], steps[1:])
			return in
		}
		if in = slices.Delete(in, i, i+1); len(in) == 0 {
			return nil
		}
		return in
	}
	return v
}

// surplus is where a document says what neither the body nor a declaration does; ""
// if nowhere. That an item is a message is the API's own default.
func surplus(out, body any, path string, declared []string) string {
	if slices.Contains(declared, path) {
		return ""
	}
	switch out := out.(type) {
	case object:
		said, _ := body.(object)
		for _, name := range slices.Sorted(maps.Keys(out)) {
			inside := strings.TrimPrefix(path+"."+name, ".")
			if name == "type" && out[name] == "message" && said[name] == nil {
				continue
			}
			if found := surplus(out[name], said[name], inside, declared); found != "" {
				return found
			}
		}
		if body == nil && len(out) == 0 {
			return path
		}
	case []any:
		said, _ := body.([]any)
		if len(said) < len(out) || body == nil {
			return path
		}
		for i := range out {
			if found := surplus(out[i], said[i], fmt.Sprintf("%s[%d]", path, i), declared); found != "" {
				return found
			}
		}
	default:
		if !equal(out, body) {
			return path
		}
	}
	return ""
}

// generic is a document as any reader sees it.
func generic(doc []byte) (v object) {
	if err := json.Unmarshal(doc, &v); err != nil {
		panic(err) // it was encoded a moment ago
	}
	return v
}

func equal(a, b any) bool { return cmp.Equal(a, b) }
