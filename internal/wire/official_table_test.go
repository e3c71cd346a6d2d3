package wire_test

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// table is a file of verdicts: testdata/openapi/README.md says how it is written.
type table struct {
	rows   map[string][]*row // by path
	given  []given
	sample map[string]any
	always []argument
}

// row is a line of a table.
type row struct {
	line    int
	verdict string
	values  []any // nil: whatever the schema allows
	args    []argument
	why     string // it is refused
	used    bool
}

// given is what a path needs besides itself.
type given struct {
	path string
	args []argument
}

// argument is a member that goes upstream, as it is then; or, in upper case, what the
// decoder reports. Null is absent.
type argument struct {
	name  string
	value any
}

// verdicts are all there are.
var verdicts = []string{"passes", "counted", "judged", "bounded", "forced", "dropped", "refused"}

func readTable(t *testing.T, file string) *table {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tab := &table{rows: make(map[string][]*row), sample: make(map[string]any)}
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if wrong := tab.add(line, n+1); wrong != "" {
			t.Fatalf("%s:%d: %s: %s", file, n+1, wrong, line)
		}
	}
	return tab
}

// add adds a line, or says what is wrong with it.
func (tab *table) add(line string, n int) (wrong string) {
	left, right, _ := strings.Cut(line, " | ")
	verdict, rest, _ := strings.Cut(left, " ")
	path, literals, has := strings.Cut(strings.TrimSpace(rest), " = ")
	values, err := readValues(literals)
	if err != nil || has != (len(values) > 0) {
		return "its values are no JSON"
	}
	r := &row{line: n, verdict: verdict, values: values, why: strings.TrimSpace(right)}
	if verdict != "refused" {
		if r.args, err = readArguments(right); err != nil {
			return "what stands behind the bar is no list of members"
		}
	}
	switch {
	case verdict == "given":
		tab.given = append(tab.given, given{path, r.args})
	case verdict == "always":
		tab.always = append(tab.always, r.args...)
	case verdict == "sample" && len(values) == 1:
		tab.sample[path] = values[0]
	case !slices.Contains(verdicts, verdict):
		return "there is no such verdict"
	case slices.ContainsFunc(tab.rows[path], func(other *row) bool { return other.overlaps(r) }):
		return "this has a verdict already"
	default:
		tab.rows[path] = append(tab.rows[path], r)
		return r.lacks()
	}
	return ""
}

// lacks says what a row does not say though its verdict needs it.
func (r *row) lacks() string {
	reports, sends := slices.ContainsFunc(r.args, argument.reported), r.tells()
	switch {
	case r.verdict == "refused" && r.why == "":
		return "a refusal needs a reason, in words of the message"
	case (r.verdict == "judged" || r.verdict == "bounded") && !reports:
		return "it needs what the decoder reports"
	case (r.verdict == "forced" || r.verdict == "bounded") && !sends:
		return "it needs what is sent instead"
	}
	return ""
}

// tells says whether a row says what goes upstream; else it is what was given.
func (r *row) tells() bool {
	return slices.ContainsFunc(r.args, func(a argument) bool { return !a.reported() })
}

func (r *row) overlaps(other *row) bool {
	return r.values == nil || other.values == nil || slices.ContainsFunc(r.values, func(v any) bool { return holds(other.values, v) })
}

func holds(values []any, v any) bool {
	return slices.ContainsFunc(values, func(w any) bool { return equal(v, w) })
}

// stops says whether nothing inside has a verdict of its own.
func (r *row) stops() bool {
	return r.values == nil && (r.verdict == "refused" || r.verdict == "dropped")
}

// refuses says whether the table refuses a path altogether.
func (tab *table) refuses(path string) bool {
	return slices.ContainsFunc(tab.rows[path], func(r *row) bool { return r.stops() && r.verdict == "refused" })
}

func (a argument) reported() bool { return a.name[0] >= 'A' && a.name[0] <= 'Z' }

func readValues(literals string) (values []any, err error) {
	dec := json.NewDecoder(strings.NewReader(literals))
	for {
		var v any
		switch err := dec.Decode(&v); err {
		case nil:
			values = append(values, v)
		case io.EOF:
			return values, nil
		default:
			return nil, err
		}
	}
}

// readArguments reads name = value, name = value.
func readArguments(text string) (list []argument, err error) {
	for text = strings.TrimSpace(text); text != ""; {
		name, rest, ok := strings.Cut(text, " = ")
		if !ok || name == "" {
			return nil, io.ErrUnexpectedEOF
		}
		dec := json.NewDecoder(strings.NewReader(rest))
		var v any
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		list = append(list, argument{name, v})
		if text, ok = strings.CutPrefix(rest[dec.InputOffset():], ", "); !ok && text != "" {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return list, nil
}
