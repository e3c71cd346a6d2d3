package wire_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"keyshield/internal/apierr"
	"keyshield/internal/wire"
)

// sentOfficial is what is decided here, whatever a client says.
var sentOfficial = wire.Sent{OutputLimit: 500, ServiceTier: "default", Effort: "none", SafetyIdentifier: "pseudonym"}

// officialEndpoint is one whose requests have a table of verdicts.
type officialEndpoint struct {
	path string
	file string
	read func(body []byte) (request any, upstream []byte, schema int, err error)
}

func officialEndpoints() []officialEndpoint {
	return []officialEndpoint{
		{"/chat/completions", "testdata/openapi/chat.txt", func(body []byte) (any, []byte, int, error) {
			r, err := wire.ReadChatRequest(body)
			if err != nil {
				return nil, nil, 0, err
			}
			sent, schema := r.Append(nil, sentOfficial)
			return r, sent, schema, nil
		}},
		{"/responses", "testdata/openapi/responses.txt", func(body []byte) (any, []byte, int, error) {
			r, err := wire.ReadResponsesRequest(body)
			if err != nil {
				return nil, nil, 0, err
			}
			sent, schema := r.Append(nil, sentOfficial)
			return r, sent, schema, nil
		}},
		{"/embeddings", "testdata/openapi/embeddings.txt", func(body []byte) (any, []byte, int, error) {
			r, err := wire.ReadEmbeddingsRequest(body)
			if err != nil {
				return nil, nil, 0, err
			}
			return r, r.Append(nil), 0, nil
		}},
		{"/moderations", "testdata/openapi/moderations.txt", func(body []byte) (any, []byte, int, error) {
			r, err := wire.ReadModerationsRequest(body)
			if err != nil {
				return nil, nil, 0, err
			}
			return r, r.Append(nil, r.Model), 0, nil
		}},
	}
}

// TestNothingOfficialEscapes goes through all that OpenAI's own description lets a
// client send, to the last member, kind and value, and tries each: it must fare as
// the table says. What has no verdict there fails, as does a verdict on what does
// not exist; and a member that nobody knows is refused by its name in every object.
func TestNothingOfficialEscapes(t *testing.T) {
	all := readOfficial(t)
	for _, e := range officialEndpoints() {
		t.Run(e.path, func(t *testing.T) {
			w := walker{T: t, all: all, endpoint: e, table: readTable(t, e.file)}
			w.object(spot{}, all.kinds(all.request(e.path))[0])
			for path, rows := range w.table.rows {
				for _, r := range rows {
					if !r.used {
						t.Errorf("%s:%d: there is no %s in the description", e.file, r.line, path)
					}
				}
			}
			t.Logf("%d bodies were tried", w.tried)
		})
	}
}

// walker walks over a request's description.
type walker struct {
	*testing.T
	all      *official
	endpoint officialEndpoint
	table    *table
	tried    int
}

// spot is where a value stands: in the table, and in a body.
type spot struct {
	path  string
	steps []any                 // names and indices
	wrap  func(v any) (top any) // puts a value there, and what has to be around it
}

func (p spot) in(path string, step any, around func(v any) any) spot {
	return spot{path, append(slices.Clip(p.steps), step), func(v any) any {
		if v = around(v); p.wrap != nil {
			v = p.wrap(v)
		}
		return v
	}}
}

// values walks over what may stand in a spot.
func (w *walker) values(p spot, element bool, schemas ...object) {
	if len(p.steps) > 24 {
		w.Fatalf("%s: a description without an end needs a verdict for all of it", p.path)
	}
	kinds := w.all.kinds(schemas...)
	for _, k := range kinds {
		at := p
		at.path = labelled(p.path, element, len(kinds) > 1, k)
		w.value(at, k)
	}
}

// labelled is the path of a kind: one of several needs its name, if it is no list.
func labelled(path string, element, several bool, k kind) string {
	several = several && k.name != "array"
	switch {
	case element && several:
		return path + "[" + k.name + "]"
	case element:
		return path + "[]"
	case several:
		return path + "{" + k.name + "}"
	}
	return path
}

func (w *walker) value(p spot, k kind) {
	rows := w.table.rows[p.path]
	if len(rows) == 0 {
		w.Errorf("%s has no verdict: %s %v", p.path, k.name, k.values)
		return
	}
	for _, r := range rows {
		r.used = true
		tries := r.values
		if tries == nil {
			if tries = w.tries(p, k); k.values != nil && !r.stops() {
				w.Errorf("%s:%d: %s needs a verdict for each of %s", w.endpoint.file, r.line, p.path, line(k.values))
			}
		}
		for _, v := range tries {
			if r.values != nil && !k.allows(v) {
				w.Errorf("%s:%d: the description does not let %s be %s", w.endpoint.file, r.line, p.path, line(v))
			}
			w.try(p, k, v, r)
		}
		if r.stops() || r.verdict == "refused" && k.members != nil {
			return
		}
	}
	for _, v := range k.values {
		if !slices.ContainsFunc(rows, func(r *row) bool { return r.values == nil || holds(r.values, v) }) {
			w.Errorf("%s = %s has no verdict", p.path, line(v))
		}
	}
	switch {
	case k.members != nil:
		w.object(p, k)
	case k.elements != nil:
		w.values(p.in(p.path, 0, func(v any) any { return []any{v} }), true, k.elements...)
	}
}

// object walks over an object's members, and tries one that nobody knows.
func (w *walker) object(p spot, k kind) {
	least, _ := w.least(p.path, k).(object)
	for _, name := range slices.Sorted(maps.Keys(k.members)) {
		if name == k.pinned {
			continue
		}
		in := p.member(name, least)
		w.values(in, false, k.members[name])
		if w.all.nullable(k.members[name]) {
			w.null(in)
		}
	}
	const invented = "x_invented"
	body, steps := w.body(p.member(invented, least), 1)
	_, _, _, err := w.endpoint.read(line(body))
	if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != 400 || e.Code != "unknown_field" || e.Param != written(steps) {
		w.Errorf("%s: a member of our own invention was not refused as %s: %v", line(body), written(steps), err)
	}
	w.tried++
}

// null is the same as nothing, wherever the description allows it, refusals included:
// some clients write all they know.
func (w *walker) null(p spot) {
	w.tried++
	body, steps := w.body(p, nil)
	without := deleted(generic(line(body)), steps).(object)
	_, upstream, _, err := w.endpoint.read(line(body))
	_, want, _, wrong := w.endpoint.read(line(without))
	if fmt.Sprint(err) != fmt.Sprint(wrong) || string(upstream) != string(want) {
		w.Errorf("%s is not as it is without %s: %v %s; without: %v %s", line(body), written(steps), err, upstream, wrong, want)
	}
}

func (p spot) member(name string, least object) spot {
	path := name
	if p.path != "" {
		path = p.path + "." + name
	}
	return p.in(path, name, func(v any) any {
		o := maps.Clone(least)
		if o == nil {
			o = object{}
		}
		o[name] = v
		return o
	})
}

// try sends a value, and holds what becomes of it against the row.
func (w *walker) try(p spot, k kind, v any, r *row) {
	w.tried++
	body, steps := w.body(p, v)
	fault := func(format string, args ...any) {
		w.Helper()
		w.Errorf("%s:%d: %s %s: %s\n%s", w.endpoint.file, r.line, r.verdict, p.path, fmt.Sprintf(format, args...), line(body))
	}
	request, upstream, schema, err := w.endpoint.read(line(body))
	if r.verdict == "refused" {
		e, ok := errors.AsType[*apierr.Error](err)
		switch at := written(steps); {
		case !ok || e.Status != 400 || e.Code != "invalid_field":
			fault("it was not refused with 400 invalid_field: %v", err)
		case e.Param != at && !strings.HasPrefix(e.Param, at+".") && !strings.HasPrefix(e.Param, at+"["), !strings.Contains(e.Message, e.Param):
			fault("the refusal is about %q, not %q: %s", e.Param, at, e.Message)
		case !strings.Contains(e.Message, r.why):
			fault("the refusal does not say why: %s", e.Message)
		}
		return
	}
	if err != nil {
		fault("it was refused: %v", err)
		return
	}
	out := generic(upstream)
	switch got, there := lookup(out, steps); {
	case r.verdict == "dropped":
		w.dropped(body, steps, out, fault)
	case r.verdict == "bounded", r.verdict == "forced", r.verdict == "judged" && r.tells(): // as the row says, below
	case !there, k.leaf() && !equal(got, v), reflect.TypeOf(got) != reflect.TypeOf(v):
		fault("it did not go upstream as it was: %s", upstream)
	case w.counted(steps) != (r.verdict == "counted"):
		fault("that its bytes count as a schema's is %v", w.counted(steps))
	}
	args := append(slices.Clip(w.table.always), r.args...)
	w.arguments(request, out, args, fault)
	var declared []string
	for _, a := range args {
		declared = append(declared, a.name)
	}
	if at := surplus(out, generic(line(body)), "", declared); at != "" {
		fault("%s is nowhere in it: %s", at, upstream)
	}
	if want := countedBytes(upstream); schema != want {
		fault("%d bytes of schemas were counted, and %d are there: %s", schema, want, upstream)
	}
}

// dropped: it makes no difference to what is sent.
func (w *walker) dropped(body object, steps []any, out object, fault func(string, ...any)) {
	without := deleted(generic(line(body)), steps).(object)
	_, upstream, _, err := w.endpoint.read(line(without))
	switch {
	case err != nil:
		fault("without it the request is refused: %v", err)
	case !equal(generic(upstream), out):
		fault("it changes what is sent: %s, and without it %s", line(out), upstream)
	}
}

func (w *walker) arguments(request any, out object, args []argument, fault func(string, ...any)) {
	for _, a := range args {
		var got any
		if a.reported() {
			field := reflect.ValueOf(request).Elem().FieldByName(a.name)
			if !field.IsValid() {
				fault("the decoder does not report %s", a.name)
				continue
			}
			got = generic(line(object{"v": field.Interface()}))["v"]
		} else {
			var steps []any
			for name := range strings.SplitSeq(a.name, ".") {
				steps = append(steps, name)
			}
			got, _ = lookup(out, steps)
		}
		if !equal(got, a.value) {
			fault("%s is %s, not %s", a.name, line(got), line(a.value))
		}
	}
}
