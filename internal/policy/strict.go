package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The operator's files are read member by member, so that every problem is found
// at once and named by its place.

// object is a JSON object before its members are read. Duplicate names, invalid
// UTF-8 and trailing data are refused.
type object map[string]jsontext.Value

func readObject(data []byte) (object, error) {
	if len(data) == 0 {
		return nil, errors.New("is missing")
	}
	if !jsontext.Value(data).IsValid() {
		return nil, fmt.Errorf("is no valid JSON: %w", json.Unmarshal(data, new(object)))
	}
	if jsontext.Value(data).Kind() != '{' {
		return nil, errors.New("must be an object: { … }")
	}
	var o object
	err := json.Unmarshal(data, &o)
	return o, err
}

// names are o's names in order, so that problems come in the same order each time.
func (o object) names() []string { return slices.Sorted(maps.Keys(o)) }

// problems collects what is wrong.
type problems []error

// add reports what is wrong with a member of what stands at place, or with that
// itself when member is "".
func (p *problems) add(place, member string, err error) {
	switch {
	case member == "":
		err = fmt.Errorf("%s %w", place, err)
	case place == "":
		err = fmt.Errorf("%s %w", member, err)
	default:
		err = fmt.Errorf("%s: %s %w", place, member, err)
	}
	*p = append(*p, err)
}

// known refuses every member of o that is not among ours.
func (p *problems) known(place string, o object, ours ...string) {
	for _, name := range o.names() {
		if slices.Contains(ours, name) {
			continue
		}
		hint := "there are " + strings.Join(ours, ", ")
		if meant := closest(name, ours); meant != "" {
			hint = "did you mean " + strconv.Quote(meant) + "?"
		}
		p.add(place, strconv.Quote(short(name)), fmt.Errorf("is unknown: %s", hint))
	}
}

// closest finds the name that is meant: the same in other case, with other
// separators, in the singular or plural, or a part of it.
func closest(name string, ours []string) string {
	plain := func(s string) string {
		s = strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
		return strings.TrimSuffix(s, "s")
	}
	for _, our := range ours {
		if plain(name) == plain(our) || oneEdit(plain(name), plain(our)) {
			return our
		}
	}
	for _, our := range ours {
		if n := plain(name); len(n) > 3 && (strings.Contains(n, plain(our)) || strings.Contains(plain(our), n)) {
			return our
		}
	}
	return ""
}

// oneEdit reports whether one inserted, deleted or changed byte makes a into b.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || len(b) < 3 {
		return false
	}
	at := 0
	for at < len(a) && a[at] == b[at] {
		at++
	}
	if len(a) < len(b) {
		return a[at:] == b[at+1:]
	}
	return at < len(a) && a[at+1:] == b[at+1:]
}

const shown = 60 // bytes of a foreign value that a problem repeats

func short(s string) string {
	if len(s) > shown {
		s = strings.ToValidUTF8(s[:shown], "") + "…"
	}
	return s
}

// text reads a string.
func text(v jsontext.Value) (string, error) {
	var s string
	if v.Kind() != '"' {
		return "", fmt.Errorf("must be text in quotes, not %s", short(string(v)))
	}
	return s, json.Unmarshal(v, &s)
}

// amount is the text of a number, quoted or not: no float stands between what
// was written and what is read.
func amount(v jsontext.Value) (string, error) {
	switch v.Kind() {
	case '"':
		return text(v)
	case '0':
		return string(v), nil
	}
	return "", fmt.Errorf("must be a number, not %s", short(string(v)))
}

// list reads an array of texts, each once.
func list(v jsontext.Value) ([]string, error) {
	var items []string
	if v.Kind() != '[' || json.Unmarshal(v, &items) != nil {
		return nil, fmt.Errorf(`must be a list of texts such as ["a", "b"], not %s`, short(string(v)))
	}
	for i, item := range items {
		if slices.Contains(items[:i], item) {
			return nil, fmt.Errorf("names %q twice", short(item))
		}
	}
	return items, nil
}
